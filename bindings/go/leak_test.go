package atls_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"runtime/pprof"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"libatls.invalid/atls"
	"libatls.invalid/atls/atlstest"
)

// use is what a process holds.
type use struct{ goroutines, threads, files, kilobytes int }

func measure(t *testing.T) use {
	t.Helper()
	runtime.GC()
	runtime.GC()
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("no /proc here")
	}
	status, _ := os.ReadFile("/proc/self/status")
	number := func(name string) (value int) {
		_, rest, _ := strings.Cut(string(status), name+":")
		value, _ = strconv.Atoi(strings.Fields(rest)[0])
		return value
	}
	return use{runtime.NumGoroutine(), number("Threads"), len(files), number("VmRSS")}
}

// settled waits until good says so: what was closed goes in the background.
func settled(t *testing.T, good func(use) bool) use {
	t.Helper()
	var now use
	for range 200 {
		if now = measure(t); good(now) {
			return now
		}
		time.Sleep(50 * time.Millisecond)
	}
	pprof.Lookup("goroutine").WriteTo(os.Stderr, 1)
	t.Fatalf("%+v", now)
	return now
}

func TestNothingLeaks(t *testing.T) {
	sim := atlstest.Running(t)
	base := "https://" + localhost(t, sim, "HTTP")
	config := sim.Config()
	round := func(i int) {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		conn, err := atls.Dial(ctx, "tcp", localhost(t, sim, "RAW"), config)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write(make([]byte, 20_000)); err != nil {
			t.Fatal(err)
		}
		if i%3 > 0 {
			io.ReadFull(conn, make([]byte, 10_000))
		}
		if i%3 > 1 {
			conn.Close() // otherwise it is forgotten
		}
		early, stop := context.WithTimeout(ctx, time.Duration(i%10)*time.Millisecond)
		defer stop()
		if conn, err := atls.Dial(early, "tcp", localhost(t, sim, "RAW"), config); err == nil {
			conn.Close()
		}
		if _, err := atls.Dial(ctx, "tcp", localhost(t, sim, "EVIL"), config); err == nil {
			t.Fatal("trusted")
		}
		client := &atls.Transport{Config: *config}
		for _, path := range []string{"/small", "/bytes/300000", "/cut", "/reset"} {
			response, err := client.Client().Get(base + path)
			if err == nil && i%3 > 0 {
				io.CopyN(io.Discard, response.Body, int64(i*1000))
			}
			if err == nil && i%3 > 1 {
				response.Body.Close() // otherwise it is forgotten
			}
		}
		if i%2 == 0 {
			client.Close()
		}
		if i%10 == 0 {
			runtime.GC() // what was forgotten holds memory that the collector does not see
		}
	}
	for i := range 40 {
		round(i)
	}
	before := settled(t, func(now use) bool { return now.files < 60 })
	rounds := setting("ATLS_TEST_ROUNDS", 120)
	for i := range rounds {
		round(i)
	}
	after := settled(t, func(now use) bool {
		return now.goroutines <= before.goroutines+2 && now.files <= before.files+3 && now.threads <= before.threads+8
	})
	t.Logf("before %+v, after %d rounds %+v", before, rounds, after)
	if grown := after.kilobytes - before.kilobytes; grown > 24<<10 && !raceEnabled {
		t.Fatalf("%d KiB more after %d rounds", grown, rounds)
	}
}

// setting is a number from the environment, for tests that take longer on demand.
func setting(name string, usual int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return usual
}

func TestIdleConnectionsHoldNoGoroutineAndNoThread(t *testing.T) {
	sim := atlstest.Running(t)
	count := setting("ATLS_TEST_IDLE", 200)
	client := &atls.Transport{Config: *sim.Config(), MaxIdleConns: count, IdleConnTimeout: -1}
	defer client.Close()
	var arrived, done sync.WaitGroup
	arrived.Add(count)
	resume := make(chan struct{})
	// A response that takes so long that each request needs a connection of its own.
	url := fmt.Sprintf("https://%s/v1/chat/completions?pause=%d", localhost(t, sim, "HTTP"), 200+2*count)
	slots := make(chan struct{}, 50) // handshakes at a time
	get(t, client.Client(), "https://"+localhost(t, sim, "HTTP")+"/small")
	before := measure(t)
	for range count {
		done.Add(1)
		go func() {
			defer done.Done()
			slots <- struct{}{}
			response, err := client.Client().Post(url, "application/json", strings.NewReader("{}"))
			<-slots
			arrived.Done()
			<-resume
			if err != nil {
				t.Error(err)
				return
			}
			if n, err := io.Copy(io.Discard, response.Body); n < 100 || err != nil {
				t.Error(n, err)
			}
			response.Body.Close()
		}()
	}
	arrived.Wait()
	close(resume)
	done.Wait()
	for i := 0; client.IdleConnections() < count && i < 100; i++ {
		time.Sleep(20 * time.Millisecond)
	}
	after := settled(t, func(now use) bool { return now.goroutines <= before.goroutines+2 })
	t.Logf("%d idle connections: before %+v, after %+v", client.IdleConnections(), before, after)
	// Descriptors of what ran before may still have been open at first.
	few := count / 10
	if idle := client.IdleConnections(); idle < count || after.files < before.files+count-few || after.threads > before.threads+40 {
		t.Fatalf("%d idle connections, %+v, then %+v", idle, before, after)
	}
}

// Requests from many goroutines, some of which are canceled, over one transport to one server.
func TestConcurrentRequestsKeepApart(t *testing.T) {
	sim := atlstest.Running(t)
	server := sim.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) }))
	defer server.Close()
	var group sync.WaitGroup
	for i := range 8 {
		group.Add(1)
		go func() {
			defer group.Done()
			for j := range 12 {
				ctx, cancel := context.WithCancel(context.Background())
				if j%4 == 3 {
					time.AfterFunc(time.Duration(i+j)*500*time.Microsecond, cancel)
				}
				text := strings.Repeat(fmt.Sprintf("goroutine %d, round %d. ", i, j), 2000)
				request, _ := http.NewRequestWithContext(ctx, "POST", server.URL, strings.NewReader(text))
				response, err := server.Client().Do(request)
				var body []byte
				if err == nil {
					body, err = io.ReadAll(response.Body)
					response.Body.Close()
				}
				if err == nil && string(body) != text || err != nil && ctx.Err() == nil {
					t.Errorf("goroutine %d, round %d: %d bytes, %v", i, j, len(body), err)
				}
				cancel()
			}
		}()
	}
	group.Wait()
}
