// Go's net/http in the bench.
//
//	peer client MODE ARGS   seq N | conc N AT_A_TIME | down PATH N | up BYTES N | hs N | idle N
//	peer server PORT        GET /small, /256m; over HTTP/2 if BENCH_H2 is set
package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"
)

const piece = 64 << 10

var origin = "https://localhost:" + os.Getenv("BENCH_PORT")

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}

func number(text string) int64 { return must(strconv.ParseInt(text, 10, 64)) }

// usage is what the process has taken: CPU and resident memory.
func usage() (cpu time.Duration, kib int64) {
	var spent syscall.Rusage
	must(0, syscall.Getrusage(syscall.RUSAGE_SELF, &spent))
	var all, resident int64
	must(fmt.Sscan(string(must(os.ReadFile("/proc/self/statm"))), &all, &resident))
	return time.Duration(spent.Utime.Nano() + spent.Stime.Nano()), resident * int64(os.Getpagesize()) / 1024
}

// measure prints the line of the bench about work that is ops operations and some bytes.
func measure(ops int64, work func() int64) {
	cpu0, rss0 := usage()
	begun := time.Now()
	bytes := work()
	wall := time.Since(begun)
	cpu, rss := usage()
	fmt.Printf("{\"ops\":%d,\"bytes\":%d,\"wall\":%.6f,\"cpu\":%.6f,\"rss0_kb\":%d,\"rss_kb\":%d}\n",
		ops, bytes, wall.Seconds(), (cpu - cpu0).Seconds(), rss0, rss)
}

func newClient() *http.Client {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(must(os.ReadFile(os.Getenv("BENCH_PKI") + "/ca.pem")))
	return &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{
			RootCAs: roots, MinVersion: tls.VersionTLS13, SessionTicketsDisabled: true,
		},
		MaxIdleConns: 1 << 16, MaxIdleConnsPerHost: 1 << 16, DisableCompression: true,
		ReadBufferSize: piece, WriteBufferSize: piece,
	}}
}

func ask(client *http.Client, method, path string, body io.Reader, length int64, closes bool) *http.Response {
	request := must(http.NewRequest(method, origin+path, body))
	request.ContentLength = length
	request.Close = closes
	request.Header.Set("User-Agent", "bench/1")
	request.Header.Set("Accept", "*/*")
	response := must(client.Do(request))
	if response.StatusCode != http.StatusOK {
		log.Fatal(response.Status)
	}
	return response
}

// read takes a body to its end, by way of a buffer of the caller's.
func read(response *http.Response, buffer []byte) (total int64) {
	defer response.Body.Close()
	for {
		n, err := response.Body.Read(buffer)
		total += int64(n)
		if errors.Is(err, io.EOF) {
			return total
		}
		must(0, err)
	}
}

func get(client *http.Client, path string, buffer []byte) int64 {
	return read(ask(client, "GET", path, nil, 0, false), buffer)
}

// connect makes so many connections, each of which has served one request: none is given back before the last one is open.
func connect(client *http.Client, count int64) {
	open := make([]*http.Response, count)
	for i := range open {
		open[i] = ask(client, "GET", "/small", nil, 0, false)
	}
	buffer := make([]byte, 4096)
	for _, response := range open {
		read(response, buffer)
	}
}

func atATime(client *http.Client, total, workers int64) int64 {
	var all sync.WaitGroup
	for i := int64(0); i < workers; i++ {
		all.Add(1)
		go func() {
			defer all.Done()
			buffer := make([]byte, 4096)
			for n := i; n < total; n += workers {
				get(client, "/small", buffer)
			}
		}()
	}
	all.Wait()
	return total * 100
}

// repeated reads as the same bytes, so many in all.
func repeated(size int64) io.Reader {
	data := bytes.Repeat([]byte{'u'}, piece)
	readers := make([]io.Reader, size/piece)
	for i := range readers {
		readers[i] = bytes.NewReader(data)
	}
	return io.MultiReader(readers...)
}

func times(count int64, once func() int64) func() int64 {
	return func() (total int64) {
		for i := int64(0); i < count; i++ {
			total += once()
		}
		return total
	}
}

func runClient(mode string, arguments []string) {
	client, buffer := newClient(), make([]byte, piece)
	count := number(arguments[len(arguments)-1])
	get(client, "/small", buffer)
	switch mode {
	case "seq":
		measure(count, times(count, func() int64 { return get(client, "/small", buffer) }))
	case "conc":
		connect(client, count)
		total := number(arguments[0])
		measure(total, func() int64 { return atATime(client, total, count) })
	case "down":
		measure(count, times(count, func() int64 { return get(client, arguments[0], buffer) }))
	case "up":
		size := number(arguments[0])
		measure(count, times(count, func() int64 {
			read(ask(client, "POST", "/sink", repeated(size), size, false), buffer)
			return size
		}))
	case "hs":
		client.CloseIdleConnections()
		measure(count, times(count, func() int64 {
			return read(ask(client, "GET", "/small", nil, 0, true), buffer)
		}))
	case "idle":
		measure(count, func() int64 { connect(client, count); return 0 })
	default:
		log.Fatalf("no mode is called %q", mode)
	}
}

func serve(port string) {
	small, large := bytes.Repeat([]byte{'s'}, 100), bytes.Repeat([]byte{'b'}, piece)
	pages := http.NewServeMux()
	pages.HandleFunc("/small", func(out http.ResponseWriter, _ *http.Request) {
		out.Header().Set("Content-Length", "100")
		must(out.Write(small))
	})
	pages.HandleFunc("/256m", func(out http.ResponseWriter, _ *http.Request) {
		out.Header().Set("Content-Length", strconv.Itoa(256<<20))
		for i := 0; i < 256<<20/piece; i++ {
			if _, err := out.Write(large); err != nil {
				return
			}
		}
	})
	server := &http.Server{
		Addr: "127.0.0.1:" + port, Handler: pages, ErrorLog: log.New(io.Discard, "", 0),
		TLSConfig: &tls.Config{MinVersion: tls.VersionTLS13, SessionTicketsDisabled: true},
	}
	if os.Getenv("BENCH_H2") == "" {
		server.TLSNextProto = map[string]func(*http.Server, *tls.Conn, http.Handler){}
	}
	pki := os.Getenv("BENCH_PKI")
	log.Fatal(server.ListenAndServeTLS(pki+"/cert.pem", pki+"/key.pem"))
}

func main() {
	switch {
	case len(os.Args) == 3 && os.Args[1] == "server":
		serve(os.Args[2])
	case len(os.Args) > 3 && os.Args[1] == "client":
		runClient(os.Args[2], os.Args[3:])
	default:
		log.Fatal("usage: peer client MODE ARGS | peer server PORT")
	}
}
