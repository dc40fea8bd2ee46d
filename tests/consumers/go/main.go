// An attested request from Go: a polled queue, a token instead of pointers, and no thread held while waiting.
package main

// #cgo pkg-config: atls
// #include <stdlib.h>
// #include <atls.h>
import "C"

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"unsafe"
)

// Takes the place of the error, not its value: the order in which arguments are evaluated is not ours to rely on.
func fail(status C.atls_status, err **C.atls_error) {
	if status != C.ATLS_OK {
		fmt.Fprintln(os.Stderr, C.GoString(C.atls_status_name(status).ptr), C.GoString(C.atls_error_message(*err).ptr))
		os.Exit(1)
	}
}

func read(name string) []byte {
	data, err := os.ReadFile(filepath.Join(os.Getenv("ATLS_SIM"), name))
	if err != nil {
		panic(err)
	}
	return data
}

func pointer(data []byte) *C.uint8_t { return (*C.uint8_t)(unsafe.Pointer(&data[0])) }

func config() *C.atls_config {
	var err *C.atls_error
	var policy *C.atls_policy
	var verifier *C.atls_verifier
	var config *C.atls_config
	ports := strings.Split(string(read("ports")), "\n")
	port, _ := strconv.Atoi(strings.TrimPrefix(ports[0], "HTTP="))
	host, pem := C.CString("localhost"), C.CString(string(read("web-ca.pem")))
	defer C.free(unsafe.Pointer(host))
	defer C.free(unsafe.Pointer(pem))
	json, root := read("policy.json"), read("root.der")
	var trust *C.atls_verifier_config
	fail(C.atls_verifier_config_new(&trust, &err), &err)
	fail(C.atls_verifier_config_set_simulated_root(trust, C.atls_bytes{ptr: pointer(root), len: C.size_t(len(root))}, &err), &err)
	fail(C.atls_verifier_new(trust, &verifier, &err), &err)
	fail(C.atls_policy_new(C.atls_bytes{ptr: pointer(json), len: C.size_t(len(json))}, &policy, &err), &err)
	fail(C.atls_config_new(host, C.uint16_t(port), &config, &err), &err)
	fail(C.atls_config_set_policy(config, policy, &err), &err)
	fail(C.atls_config_set_verifier(config, verifier, &err), &err)
	fail(C.atls_config_add_root_pem(config, pem, &err), &err)
	C.atls_policy_free(policy)
	C.atls_verifier_free(verifier)
	C.atls_verifier_config_free(trust)
	return config
}

const (
	connection = 1
	exchange   = 2
)

func main() {
	var err *C.atls_error
	var runtime *C.atls_runtime
	var queue *C.atls_queue
	var http *C.atls_http
	var request *C.atls_request
	var fetched *C.atls_exchange
	fail(C.atls_runtime_new(1, &runtime, &err), &err)
	fail(C.atls_queue_new_polled(&queue, &err), &err)
	settings := config()
	sink := C.atls_sink{queue: queue, token: connection}
	fail(C.atls_http_connect_start(runtime, settings, &sink, &http, &err), &err)
	method, path, host := C.CString("GET"), C.CString("/small"), C.CString("localhost")
	fail(C.atls_request_new(method, path, host, &request, &err), &err)
	body := 0
	for open := true; open; {
		var events [8]C.atls_event
		var count C.size_t
		fail(C.atls_queue_wait(queue, &events[0], C.size_t(unsafe.Sizeof(events[0])), 8, 10000, &count, &err), &err)
		for i := range events[:count] {
			event := &events[i]
			switch {
			case event.kind == C.ATLS_EVENT_CONNECTED:
				next := C.atls_sink{queue: queue, token: exchange}
				fail(C.atls_http_start(http, request, &next, &fetched, &err), &err)
			case event.kind == C.ATLS_EVENT_DATA:
				body += int(C.atls_buf_len(event.buf))
			case event.kind == C.ATLS_EVENT_CLOSED:
				fail(event.status, &event.error)
				open = false
			}
			C.atls_event_release(event)
		}
	}
	verdict := C.atls_http_verdict(http)
	if !bool(C.atls_verdict_trusted(verdict)) || body != 100 {
		fmt.Fprintln(os.Stderr, "body of", body, "bytes")
		os.Exit(1)
	}
	C.atls_verdict_free(verdict)
	C.atls_exchange_free(fetched)
	C.atls_request_free(request)
	C.atls_http_free(http)
	fail(C.atls_queue_stop(queue, &err), &err)
	C.atls_queue_free(queue)
	C.atls_runtime_free(runtime)
	C.atls_config_free(settings)
	for _, text := range []*C.char{method, path, host} {
		C.free(unsafe.Pointer(text))
	}
}
