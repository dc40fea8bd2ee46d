package atls_test

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"testing"
	"time"

	"libatls.invalid/atls/atlstest"
)

func TestLargeBodiesGoBothWaysWhole(t *testing.T) {
	sim := atlstest.Running(t)
	server := sim.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hash := sha256.New()
		w.Header().Set("Trailer", "X-Hash")
		io.Copy(io.MultiWriter(w, hash), r.Body)
		w.Header().Set("X-Hash", hex.EncodeToString(hash.Sum(nil)))
	}))
	defer server.Close()
	const size = 24 << 20
	for _, length := range []int64{size, -1} {
		up, down := sha256.New(), sha256.New()
		source := io.LimitReader(rand.New(rand.NewSource(7)), size)
		request, _ := http.NewRequest("PUT", server.URL+"/", io.TeeReader(source, up))
		request.ContentLength = length
		response, err := server.Client().Do(request)
		if err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(down, response.Body)
		response.Body.Close()
		sum := hex.EncodeToString(up.Sum(nil))
		if err != nil || n != size || hex.EncodeToString(down.Sum(nil)) != sum || response.Trailer.Get("X-Hash") != sum {
			t.Fatal(n, err, response.Trailer)
		}
	}
}

func TestBodiesStreamBothWaysAtOnce(t *testing.T) {
	sim := atlstest.Running(t)
	server := sim.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		lines := bufio.NewScanner(r.Body)
		for lines.Scan() {
			fmt.Fprintf(w, "got %s\n", lines.Text())
			w.(http.Flusher).Flush()
		}
	}))
	defer server.Close()
	source, sink := io.Pipe()
	request, _ := http.NewRequest("POST", server.URL, source)
	go fmt.Fprintln(sink, "word 0")
	response, err := server.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	lines := bufio.NewScanner(response.Body)
	for i := range 20 {
		if !lines.Scan() || lines.Text() != fmt.Sprintf("got word %d", i) {
			t.Fatal(lines.Text(), lines.Err())
		}
		go fmt.Fprintf(sink, "word %d\n", i+1)
	}
	sink.Close()
	io.Copy(io.Discard, response.Body)
}

// A server that reads nothing bounds how much is read of the request's body.
func TestUploadsWaitForTheServer(t *testing.T) {
	sim := atlstest.Running(t)
	resume := make(chan struct{})
	server := sim.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		<-resume
		n, err := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, n, err)
	}))
	defer server.Close()
	const size = 80 << 20
	source := &counted{Reader: io.LimitReader(zeros{}, size)}
	request, _ := http.NewRequest("POST", server.URL, source)
	time.AfterFunc(500*time.Millisecond, func() {
		if n := source.count(); n == 0 || n > size/2 {
			t.Errorf("%d bytes were read ahead", n)
		}
		close(resume)
	})
	response, err := server.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if body, err := io.ReadAll(response.Body); err != nil || string(body) != fmt.Sprint(size, "<nil>") && string(body) != fmt.Sprint(size, nil) {
		t.Fatal(string(body), err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

type counted struct {
	io.Reader
	mu sync.Mutex
	n  int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.mu.Lock()
	c.n += int64(n)
	c.mu.Unlock()
	return n, err
}

func (c *counted) count() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n
}

func TestRequestBodiesOfTheWrongLengthAreErrors(t *testing.T) {
	sim := atlstest.Running(t)
	base := "https://" + localhost(t, sim, "HTTP")
	for _, length := range []int64{3, 30} {
		request, _ := http.NewRequest("POST", base+"/echo", io.NopCloser(strings.NewReader("ten bytes.")))
		request.ContentLength = length
		if response, err := transport(t, sim).RoundTrip(request); err == nil || !strings.Contains(err.Error(), "ContentLength") {
			t.Fatal(response, err)
		}
	}
	broken := errors.New("the disk is gone")
	request, _ := http.NewRequest("POST", base+"/echo", io.MultiReader(strings.NewReader("some"), failing{broken}))
	if _, err := transport(t, sim).RoundTrip(request); !errors.Is(err, broken) {
		t.Fatal(err)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestAnEarlyAnswerEndsTheUpload(t *testing.T) {
	sim := atlstest.Running(t)
	base := "https://" + localhost(t, sim, "HTTP")
	source := &closing{Reader: io.LimitReader(zeros{}, 1<<40), closed: make(chan struct{})}
	request, _ := http.NewRequest("POST", base+"/hasty?close", source)
	response, err := transport(t, sim).RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if body, err := io.ReadAll(response.Body); response.StatusCode != 413 || string(body) != "hasty" || err != nil {
		t.Fatal(response.Status, string(body), err)
	}
	select {
	case <-source.closed:
	case <-time.After(10 * time.Second):
		t.Fatal("the request's body was not closed")
	}
}

type closing struct {
	io.Reader
	once   sync.Once
	closed chan struct{}
}

func (c *closing) Close() error {
	c.once.Do(func() { close(c.closed) })
	return nil
}

// untilClosed is a body that ends when it is closed.
type untilClosed struct {
	once   sync.Once
	closed chan struct{}
}

func (u *untilClosed) Read([]byte) (int, error) {
	<-u.closed
	time.Sleep(50 * time.Millisecond) // the exchange is over by then
	return 0, io.EOF
}

func (u *untilClosed) Close() error {
	u.once.Do(func() { close(u.closed) })
	return nil
}

func TestARequestThatWasCutOffWasNotWritten(t *testing.T) {
	sim := atlstest.Running(t)
	server := sim.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	defer server.Close()
	wrote := make(chan error, 1)
	trace := &httptrace.ClientTrace{WroteRequest: func(info httptrace.WroteRequestInfo) { wrote <- info.Err }}
	ctx := httptrace.WithClientTrace(context.Background(), trace)
	request, _ := http.NewRequestWithContext(ctx, "POST", server.URL, &untilClosed{closed: make(chan struct{})})
	if _, err := server.Transport().RoundTrip(request); err == nil {
		t.Fatal("an answer")
	}
	if err := <-wrote; err == nil {
		t.Fatal("the trace was told that the whole request was written")
	}
}
