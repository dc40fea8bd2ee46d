package atls_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"os"
	"strings"
	"testing"
	"time"

	"libatls.invalid/atls"
	"libatls.invalid/atls/atlstest"
)

func transport(t *testing.T, sim *atlstest.Simulator) *atls.Transport {
	t.Helper()
	made := &atls.Transport{Config: *sim.Config()}
	t.Cleanup(func() { made.Close() })
	return made
}

func get(t *testing.T, client *http.Client, url string) (*http.Response, string) {
	t.Helper()
	response, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(body)
}

func TestResponsesAreWholeAndTheirServerIsAttested(t *testing.T) {
	sim := atlstest.Running(t)
	client := transport(t, sim).Client()
	base := "https://" + localhost(t, sim, "HTTP")
	response, body := get(t, client, base+"/small")
	if response.StatusCode != 200 || response.ContentLength != 100 || body != strings.Repeat("x", 100) {
		t.Fatal(response, body)
	}
	if verdict := atls.ResponseVerdict(response); !verdict.Trusted() || !verdict.Bound() {
		t.Fatal(verdict)
	}
	if state := response.TLS; state == nil || len(state.PeerCertificates) != 1 || !state.HandshakeComplete {
		t.Fatal(state)
	}
	response, body = get(t, client, base+"/early")
	want := http.Header{"X-Case": {"Kept", "twice"}, "Z": {"1"}, "A": {"2"}}
	for name, values := range want {
		if fmt.Sprint(response.Header[name]) != fmt.Sprint(values) {
			t.Fatal(response.Header)
		}
	}
	if response.Status != "200 Quite Fine" || body != "body" || response.ContentLength != -1 || response.Trailer.Get("X-Trailer") != "end" {
		t.Fatal(response.Status, body, response.Trailer)
	}
	if _, body = get(t, client, base+"/close"); body != "until the end" {
		t.Fatal(body)
	}
	if response, _ = get(t, client, base+"/nothing"); response.StatusCode != 404 {
		t.Fatal(response)
	}
}

func TestRequestsSayWhatNetHTTPSays(t *testing.T) {
	sim := atlstest.Running(t)
	base := "https://" + localhost(t, sim, "HTTP")
	client := transport(t, sim).Client()
	request, _ := http.NewRequest("GET", base+"/head?a=%20b", nil)
	request.Host = "other.example"
	request.Header["X-Mine"] = []string{"one", "two"}
	request.Header.Set("Content-Length", "77")
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	head, _ := io.ReadAll(response.Body)
	response.Body.Close()
	for _, line := range []string{"GET /head?a=%20b HTTP/1.1\r\n", "\r\nHost: other.example\r\n", "\r\nX-Mine: one\r\n", "\r\nX-Mine: two\r\n", "\r\nUser-Agent: libatls-go\r\n"} {
		if !bytes.Contains(head, []byte(line)) {
			t.Fatalf("no %q in\n%s", line, head)
		}
	}
	if bytes.Contains(head, []byte("77")) {
		t.Fatalf("%s", head)
	}
	request, _ = http.NewRequest("POST", base+"/head", nil)
	request.Header["User-Agent"] = []string{""}
	response, err = client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	head, _ = io.ReadAll(response.Body)
	response.Body.Close()
	if !bytes.Contains(head, []byte("\r\nContent-Length: 0\r\n")) || bytes.Contains(head, []byte("User-Agent")) {
		t.Fatalf("%s", head)
	}
	for _, bad := range []func(*http.Request){
		func(r *http.Request) { r.Header["X"] = []string{"a\r\nInjected: b"} },
		func(r *http.Request) { r.Header["X"] = []string{"a\x00b"} },
		func(r *http.Request) { r.Header["X y"] = []string{"a"} },
		func(r *http.Request) { r.Method = "GE T" },
		func(r *http.Request) { r.URL.Host = "" },
		func(r *http.Request) { r.URL.Scheme = "ftp" },
		func(r *http.Request) { r.Trailer = http.Header{"X": {"y"}} },
		func(r *http.Request) { r.Header.Set("Upgrade", "websocket") },
	} {
		request, _ := http.NewRequest("GET", base+"/head", nil)
		bad(request)
		if response, err := transport(t, sim).RoundTrip(request); err == nil {
			response.Body.Close()
			t.Fatalf("sent: %+v", request)
		}
	}
}

func TestATruncatedBodyIsAnUnexpectedEOF(t *testing.T) {
	sim := atlstest.Running(t)
	client := transport(t, sim).Client()
	base := "https://" + localhost(t, sim, "HTTP")
	response, err := client.Get(base + "/cut")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if string(body) != "short" || !errors.Is(err, io.ErrUnexpectedEOF) || !errors.Is(err, atls.Truncated) {
		t.Fatal(string(body), err)
	}
	if _, err := client.Get(base + "/reset"); err == nil {
		t.Fatal("a reset connection gave a response")
	}
}

func TestContextEndsRequestsAtEachPhase(t *testing.T) {
	sim := atlstest.Running(t)
	base := "https://" + localhost(t, sim, "HTTP")
	blocked, never := io.Pipe()
	defer never.Close()
	expect := func(t *testing.T, err error) {
		t.Helper()
		if !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	}
	phases := map[string]func(ctx context.Context, client *http.Client) error{
		"connect": func(ctx context.Context, client *http.Client) error {
			request, _ := http.NewRequestWithContext(ctx, "GET", "https://"+silent(t), nil)
			_, err := client.Do(request)
			return err
		},
		"attest": func(ctx context.Context, client *http.Client) error {
			request, _ := http.NewRequestWithContext(ctx, "GET", "https://"+slowEvidence(t, sim), nil)
			_, err := client.Do(request)
			return err
		},
		"request body": func(ctx context.Context, client *http.Client) error {
			request, _ := http.NewRequestWithContext(ctx, "POST", base+"/sink", blocked)
			_, err := client.Do(request)
			return err
		},
		"head": func(ctx context.Context, client *http.Client) error {
			request, _ := http.NewRequestWithContext(ctx, "GET", base+"/hang", nil)
			_, err := client.Do(request)
			return err
		},
		"response body": func(ctx context.Context, client *http.Client) error {
			body := strings.NewReader(`{"messages":[{"content":"hello"}]}`)
			request, _ := http.NewRequestWithContext(ctx, "POST", base+"/v1/chat/completions?pause=20000", body)
			response, err := client.Do(request)
			if err != nil {
				return err
			}
			defer response.Body.Close()
			_, err = io.Copy(io.Discard, response.Body)
			return err
		},
	}
	for name, phase := range phases {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(context.Background())
			time.AfterFunc(150*time.Millisecond, cancel)
			begun := time.Now()
			expect(t, phase(ctx, transport(t, sim).Client()))
			if took := time.Since(begun); took > 5*time.Second {
				t.Fatal(took)
			}
		})
	}
	client := transport(t, sim).Client()
	client.Timeout = 100 * time.Millisecond
	_, err := client.Get(base + "/hang")
	if !os.IsTimeout(err) || !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	request, _ := http.NewRequestWithContext(ctx, "GET", base+"/small", nil)
	_, err = client.Do(request)
	expect(t, err)
}

func TestAClosedBodyEndsItsExchange(t *testing.T) {
	sim := atlstest.Running(t)
	gone := make(chan struct{})
	server := sim.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 10_000)); err != nil {
				break
			}
		}
		close(gone)
	}))
	defer server.Close()
	response, err := server.Client().Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Read(make([]byte, 100))
	response.Body.Close()
	if _, err := response.Body.Read(make([]byte, 1)); err != http.ErrBodyReadAfterClose {
		t.Fatal(err)
	}
	select {
	case <-gone:
	case <-time.After(10 * time.Second):
		t.Fatal("the server still writes")
	}
}

func TestTracesAndInformationalResponses(t *testing.T) {
	sim := atlstest.Running(t)
	client := transport(t, sim).Client()
	base := "https://" + localhost(t, sim, "HTTP")
	var told []string
	trace := &httptrace.ClientTrace{
		Got1xxResponse: func(code int, header textproto.MIMEHeader) error {
			told = append(told, fmt.Sprint(code, header.Get("Link")))
			return nil
		},
		GotFirstResponseByte: func() { told = append(told, "first") },
	}
	ctx := httptrace.WithClientTrace(context.Background(), trace)
	request, _ := http.NewRequestWithContext(ctx, "GET", base+"/early", nil)
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if fmt.Sprint(told) != "[103</x> first]" {
		t.Fatal(told)
	}
	refuse := errors.New("no hints, please")
	trace.Got1xxResponse = func(int, textproto.MIMEHeader) error { return refuse }
	request, _ = http.NewRequestWithContext(ctx, "GET", base+"/early", nil)
	if _, err := client.Do(request); !errors.Is(err, refuse) {
		t.Fatal(err)
	}
	got100 := 0
	trace = &httptrace.ClientTrace{Got100Continue: func() { got100++ }}
	request, _ = http.NewRequestWithContext(httptrace.WithClientTrace(context.Background(), trace), "POST", base+"/echo", strings.NewReader("expected"))
	request.Header.Set("Expect", "100-continue")
	response, err = client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if body, _ := io.ReadAll(response.Body); string(body) != "expected" || got100 != 1 {
		t.Fatal(string(body), got100)
	}
}

// A trace that waits holds up its own request, and no other.
func TestATraceDoesNotHoldUpOthers(t *testing.T) {
	sim := atlstest.Running(t)
	client := transport(t, sim).Client()
	base := "https://" + localhost(t, sim, "HTTP")
	var held error
	trace := &httptrace.ClientTrace{GotFirstResponseByte: func() {
		time.Sleep(50 * time.Millisecond) // for more events of the request to come
		other := &http.Client{Transport: client.Transport, Timeout: 10 * time.Second}
		response, err := other.Get(base + "/small")
		if held = err; err == nil {
			response.Body.Close()
		}
	}}
	request, _ := http.NewRequestWithContext(httptrace.WithClientTrace(context.Background(), trace), "GET", base+"/bytes/300000", nil)
	response, err := client.Do(request)
	if err != nil || held != nil {
		t.Fatal(err, held)
	}
	defer response.Body.Close()
	if body, err := io.ReadAll(response.Body); len(body) != 300_000 {
		t.Fatal(len(body), err)
	}
}
