package atls_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"libatls.invalid/atls"
	"libatls.invalid/atls/atlstest"
)

// slowEvidence is a server whose evidence is not made before the test ends.
func slowEvidence(t *testing.T, sim *atlstest.Simulator) (address string) {
	t.Helper()
	held := make(chan struct{})
	server := sim.Serve(&atls.Server{
		Handler:        http.NotFoundHandler(),
		CertificatePEM: sim.File("peer.pem"),
		KeyPEM:         sim.File("peer-key.pem"),
		Evidence: []atls.Evidence{atls.EvidenceFunc("tdx", func([64]byte, bool) ([]byte, error) {
			<-held
			return nil, net.ErrClosed
		})},
	})
	t.Cleanup(func() {
		close(held)
		server.Close()
	})
	return server.Address
}

// plain is an ordinary client of net/http: a server proves itself to those that ask, and serves the others too.
func plain(t *testing.T, sim *atlstest.Simulator) *http.Client {
	t.Helper()
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(sim.File("web-ca.pem")) {
		t.Fatal("no certificate")
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func TestHandlersSeeWhatNetHTTPShows(t *testing.T) {
	sim := atlstest.Running(t)
	server := sim.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		host, _, _ := net.SplitHostPort(r.RemoteAddr)
		fmt.Fprintln(w, r.Method, r.URL.Path, r.URL.Query().Get("q"), r.Proto, r.Host == "x.example", r.Header["X-Two"], host,
			r.ContentLength, r.TransferEncoding, r.TLS.HandshakeComplete, string(body), err, r.Trailer.Get("X-End"), r.Header.Get("Host"))
	}))
	defer server.Close()
	request, _ := http.NewRequest("POST", server.URL+"/a%20b?q=1", io.MultiReader(strings.NewReader("body")))
	request.Host = "x.example"
	request.Header["X-Two"] = []string{"1", "2"}
	request.Trailer = http.Header{"X-End": {"yes"}}
	response, err := plain(t, sim).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(response.Body)
	if want := "POST /a b 1 HTTP/1.1 true [1 2] 127.0.0.1 -1 [chunked] true body <nil> yes \n"; string(body) != want {
		t.Fatalf("%q, want %q", body, want)
	}
	if response.Header.Get("Content-Type") != "text/plain; charset=utf-8" || response.ContentLength != int64(len(body)) || response.Header.Get("Date") == "" {
		t.Fatal(response.Header)
	}
}

func TestResponseWritersDoWhatTheyPromise(t *testing.T) {
	sim := atlstest.Running(t)
	var logged bytes.Buffer
	var mu sync.Mutex
	mux := http.NewServeMux()
	mux.HandleFunc("/nothing", func(w http.ResponseWriter, r *http.Request) {})
	mux.HandleFunc("/none", func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(204)
		if _, err := w.Write([]byte("x")); err != http.ErrBodyNotAllowed {
			t.Error(err)
		}
	})
	mux.HandleFunc("/length", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "5")
		io.WriteString(w, "five!")
		if _, err := io.WriteString(w, "6"); err != http.ErrContentLength {
			t.Error(err)
		}
	})
	mux.HandleFunc("/short", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "500")
		io.WriteString(w, "five!")
	})
	mux.HandleFunc("/hints", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</style>")
		w.WriteHeader(103)
		w.WriteHeader(201)
		w.Header().Set("X-Late", "not sent")
	})
	mux.HandleFunc("/trailers", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-Sum")
		io.WriteString(w, "body")
		w.Header().Set("X-Sum", "4")
		w.Header().Set(http.TrailerPrefix+"X-More", "too")
	})
	mux.HandleFunc("/panic", func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, strings.Repeat("x", 10_000))
		panic("a handler's own")
	})
	mux.HandleFunc("/flush", func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "first")
		if err := http.NewResponseController(w).Flush(); err != nil {
			t.Error(err)
		}
		<-r.Context().Done()
	})
	server := sim.NewServer(mux)
	defer server.Close()
	server.Server.ErrorLog = log.New(&locked{&mu, &logged}, "", 0)
	client := server.Client()
	for _, c := range []struct {
		path, body string
		status     int
		length     int64
	}{{"/nothing", "", 200, 0}, {"/none", "", 204, 0}, {"/length", "five!", 200, 5}, {"/trailers", "body", 200, -1}, {"/hints", "", 201, 0}} {
		response, body := get(t, client, server.URL+c.path)
		if body != c.body || response.StatusCode != c.status || response.ContentLength != c.length || response.Header.Get("X-Late") != "" {
			t.Fatal(c.path, response, body)
		}
		if c.path == "/trailers" && (response.Trailer.Get("X-Sum") != "4" || response.Trailer.Get("X-More") != "too" || response.Header.Get("X-Sum") != "") {
			t.Fatal(response.Trailer, response.Header)
		}
	}
	response, err := client.Head(server.URL + "/length")
	if err != nil || response.ContentLength != 5 {
		t.Fatal(response, err)
	}
	response.Body.Close()
	for _, path := range []string{"/short", "/panic"} {
		response, err := client.Get(server.URL + path)
		if err == nil {
			_, err = io.ReadAll(response.Body)
			response.Body.Close()
		}
		if !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, atls.IO) && !errors.Is(err, atls.HTTPProtocol) {
			t.Fatal(path, err)
		}
	}
	mu.Lock()
	if !strings.Contains(logged.String(), "a handler's own") {
		t.Error(logged.String())
	}
	mu.Unlock()
	response, err = client.Get(server.URL + "/flush")
	if err != nil {
		t.Fatal(err)
	}
	first := make([]byte, 5)
	if _, err := io.ReadFull(response.Body, first); string(first) != "first" || err != nil {
		t.Fatal(string(first), err)
	}
	response.Body.Close() // ends the handler's context
}

type locked struct {
	mu *sync.Mutex
	to io.Writer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.to.Write(p)
}

func TestConnectionsSurviveHandlersThatLeaveTheBody(t *testing.T) {
	sim := atlstest.Running(t)
	server := sim.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.RemoteAddr) }))
	defer server.Close()
	var before string
	for range 5 {
		response, err := server.Client().Post(server.URL, "text/plain", strings.NewReader(strings.Repeat("x", 20_000)))
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(response.Body)
		response.Body.Close()
		if before != "" && before != string(body) {
			t.Fatalf("a new connection: %s, then %s", before, body)
		}
		before = string(body)
	}
}

func TestShutdownLetsRequestsEndAndCloseDoesNot(t *testing.T) {
	sim := atlstest.Running(t)
	begun, resume := make(chan struct{}), make(chan struct{})
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begun <- struct{}{}
		select {
		case <-resume:
			fmt.Fprint(w, "to the end")
		case <-r.Context().Done():
		}
	})
	server := sim.NewServer(handler)
	answer := make(chan string)
	ask := func() {
		response, err := server.Client().Get(server.URL)
		if err != nil {
			answer <- err.Error()
			return
		}
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		answer <- fmt.Sprint(string(body), err)
	}
	go ask()
	<-begun
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := server.Server.Shutdown(ctx); err != context.DeadlineExceeded {
		t.Fatal(err)
	}
	if _, err := net.Dial("tcp", server.Address); err == nil {
		t.Fatal("it still listens")
	}
	close(resume)
	if got := <-answer; got != "to the end<nil>" {
		t.Fatal(got)
	}
	if err := server.Server.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := server.Server.ListenAndServe("127.0.0.1:0"); err != http.ErrServerClosed {
		t.Fatal(err)
	}
	server.Close()
	resume = make(chan struct{})
	server = sim.NewServer(handler)
	go ask()
	<-begun
	server.Server.Close()
	if got := <-answer; !strings.Contains(got, "atls: ") {
		t.Fatal(got)
	}
}

func TestClientsProveThemselvesIfTheServerAsks(t *testing.T) {
	sim := atlstest.Running(t)
	refused := make(chan *atls.Error, 10)
	server := sim.Serve(&atls.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			verdict := atls.RequestVerdict(r)
			fmt.Fprint(w, verdict.Trusted(), verdict.Bound(), verdict.TEE())
		}),
		CertificatePEM: sim.File("peer.pem"), KeyPEM: sim.File("peer-key.pem"),
		Evidence:     []atls.Evidence{atls.DstackAgent(filepath.Join(sim.Folder, "agent.sock"))},
		ClientPolicy: sim.Policy("peer-policy.json"), ClientVerifier: sim.Verifier(),
		Refused: func(err *atls.Error) { refused <- err },
	})
	defer server.Close()
	config := *server.Config
	config.Policy = sim.Policy("strict-policy.json")
	config.Evidence = []atls.Evidence{atls.DstackAgent(filepath.Join(sim.Folder, "peer-agent.sock"))}
	known := &atls.Transport{Config: config}
	defer known.Close()
	if _, body := get(t, known.Client(), server.URL); body != "true truetdx" {
		t.Fatal(body)
	}
	config.Evidence = []atls.Evidence{atls.DstackAgent(filepath.Join(sim.Folder, "agent.sock"))}
	unknown := &atls.Transport{Config: config}
	defer unknown.Close()
	_, err := unknown.Client().Get(server.URL)
	wantStatus(t, err, atls.EvidenceRefused)
	failure := <-refused
	if failure.Verdict() == nil || failure.Verdict().Trusted() || failure.Peer == "" || failure.Check == "" {
		t.Fatalf("%v from %q, check %q, %v", failure, failure.Peer, failure.Check, failure.Verdict())
	}
}

// A machine of another kind, whose evidence the program gets by itself.
func TestEvidenceMayComeFromTheProgram(t *testing.T) {
	sim := atlstest.Running(t)
	asked := 0
	source := atls.EvidenceFunc("snp", func(binder [64]byte, fresh bool) ([]byte, error) {
		asked++
		conn, err := net.Dial("unix", filepath.Join(sim.Folder, "evidence.sock"))
		if err != nil {
			return nil, err
		}
		defer conn.Close()
		fmt.Fprintf(conn, "snp %s\n", hex.EncodeToString(binder[:]))
		return io.ReadAll(conn)
	})
	server := sim.Serve(&atls.Server{
		Handler:        http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "hello") }),
		CertificatePEM: sim.File("peer.pem"), KeyPEM: sim.File("peer-key.pem"), Evidence: []atls.Evidence{source},
	})
	defer server.Close()
	config := *server.Config
	config.Policy = sim.Policy("snp-first.json")
	client := &atls.Transport{Config: config}
	defer client.Close()
	response, body := get(t, client.Client(), server.URL)
	if verdict := atls.ResponseVerdict(response); body != "hello" || verdict.TEE() != "snp" || asked != 1 {
		t.Fatal(body, verdict, asked)
	}
	broken := sim.Serve(&atls.Server{
		CertificatePEM: sim.File("peer.pem"), KeyPEM: sim.File("peer-key.pem"),
		Evidence: []atls.Evidence{atls.EvidenceFunc("snp", func([64]byte, bool) ([]byte, error) { return nil, errors.New("no machine") })},
	})
	defer broken.Close()
	if _, err := client.Client().Get(broken.URL); !errors.Is(err, atls.ErrAttestation) {
		t.Fatal(err)
	}
}

func TestServersRefuseImpossibleSettings(t *testing.T) {
	sim := atlstest.Running(t)
	chain, key := sim.File("peer.pem"), sim.File("peer-key.pem")
	for name, server := range map[string]*atls.Server{
		"no certificate": {},
		"no key":         {CertificatePEM: chain},
		"no module":      {CertificatePEM: chain, KeyPEM: key, Evidence: []atls.Evidence{atls.NSM("/nonexistent")}},
		"no such kind":   {CertificatePEM: chain, KeyPEM: key, Evidence: []atls.Evidence{atls.EvidenceFunc("colour", nil)}},
		"half a policy":  {CertificatePEM: chain, KeyPEM: key, ClientPolicy: sim.Policy("peer-policy.json")},
		"no roots":       {CertificatePEM: chain, KeyPEM: key, RequireCertificate: true},
	} {
		timer := time.AfterFunc(5*time.Second, func() { server.Close() })
		if err := server.ListenAndServe("127.0.0.1:0"); err == nil || err == http.ErrServerClosed {
			t.Error(name, err)
		}
		timer.Stop()
	}
}

// Close at any moment of Serve ends it, and returns.
func TestAServerMayBeClosedWhileItStarts(t *testing.T) {
	sim := atlstest.Running(t)
	for i := range 40 {
		server := &atls.Server{CertificatePEM: sim.File("peer.pem"), KeyPEM: sim.File("peer-key.pem")}
		if i%4 == 0 {
			server.KeyPEM = nil
		}
		ended := make(chan error, 1)
		go func() { ended <- server.ListenAndServe("127.0.0.1:0") }()
		time.Sleep(time.Duration(i) * 50 * time.Microsecond)
		server.Close()
		if err := <-ended; err == nil {
			t.Fatal(err)
		}
	}
}

func TestATargetThatIsNoURLIsABadRequest(t *testing.T) {
	sim := atlstest.Running(t)
	server := sim.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the handler saw it") }))
	defer server.Close()
	for _, target := range []string{"/%zz", "/a%", "http://[::1/x"} {
		request, _ := http.NewRequest("GET", server.URL, nil)
		request.URL.Opaque = target
		response, err := plain(t, sim).Do(request)
		if err != nil {
			t.Fatal(target, err)
		}
		response.Body.Close()
		if response.StatusCode != http.StatusBadRequest {
			t.Error(target, response.Status)
		}
	}
}
