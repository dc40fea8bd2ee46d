package atls

// #include "shim.h"
import "C"

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/url"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"
	"unsafe"
)

// visit is one request to a server, and its response.
type visit struct {
	transfer
	host *host
	// end ends the context of the request.
	end context.CancelFunc
	// trailers of the request, under mu.
	trailers *head
	reader   sync.Mutex
}

var visitCalls = calls{
	write: func(object unsafe.Pointer, data C.atls_bytes, failure **C.atls_error) C.atls_status {
		return C.atls_server_request_write((*C.atls_server_request)(object), data, failure)
	},
	grant: func(object unsafe.Pointer, bytes C.uint64_t) {
		C.atls_server_request_grant((*C.atls_server_request)(object), bytes, nil)
	},
	cancel: func(object unsafe.Pointer) { C.atls_server_request_cancel((*C.atls_server_request)(object), nil) },
	free:   func(object unsafe.Pointer) { C.atls_server_request_free((*C.atls_server_request)(object)) },
}

// handle takes over a reference to the request, and sees it through.
func (h *host) handle(object *C.atls_server_request) {
	defer h.server.handlers.Done()
	base := h.server.BaseContext
	if base == nil {
		base = context.Background()
	}
	ctx, end := context.WithCancel(base)
	defer end()
	v := &visit{host: h, end: end}
	v.init(&visitCalls)
	request, handler := v.request(object)
	verdict := newVerdict(C.atls_server_request_verdict(object))
	err := h.engine.begin(v, func(sink *C.atls_sink, failure **C.atls_error) C.atls_status {
		return C.atls_server_request_start(object, h.engine.runtime, sink, failure)
	})
	if err != nil {
		C.atls_server_request_free(object) // one that was not started is answered with 500
		return
	}
	v.begun(unsafe.Pointer(object))
	response := &response{visit: v, fields: make(http.Header), request: request}
	if verdict != nil {
		ctx = context.WithValue(ctx, verdictKey{}, verdict)
	}
	request = request.WithContext(ctx)
	request.Body = &requestBody{visit: v, request: request}
	v.run(handler, response, request)
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.given == nil { // the response is on its way; nobody reads what comes of the request
		v.given = http.ErrBodyReadAfterClose
		v.discard()
	}
}

// run calls the handler. A panic of it cuts the response off, as with net/http.
func (v *visit) run(handler http.Handler, response *response, request *http.Request) {
	defer func() {
		reason := recover()
		if reason == nil {
			return
		}
		if reason != http.ErrAbortHandler {
			v.host.server.logf("atls: panic serving %s: %v\n%s", request.RemoteAddr, reason, debug.Stack())
		}
		v.give(http.ErrAbortHandler)
	}()
	handler.ServeHTTP(response, request)
	response.finish()
}

func (v *visit) event(event *C.atls_event) {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch event.kind {
	case C.ATLS_EVENT_TRAILERS:
		v.trailers = headOf(event.head)
	case C.ATLS_EVENT_CLOSED:
		v.end()
	}
	v.note(event)
}

// malformed answers requests whose target is no URL, as net/http does: the program's handler does not see them.
func malformed(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Connection", "close")
	http.Error(w, "400 Bad Request: malformed target", http.StatusBadRequest)
}

// request makes net/http's request of the library's, and says who answers it.
func (v *visit) request(object *C.atls_server_request) (*http.Request, http.Handler) {
	handler := v.host.server.Handler
	if handler == nil {
		handler = http.DefaultServeMux
	}
	native := C.atls_server_request_head(object)
	defer C.atls_head_free(native)
	head := headOf(native)
	target := goString(C.atls_server_request_target(object))
	request := &http.Request{
		Method:     goString(C.atls_server_request_method(object)),
		RequestURI: target,
		Proto:      "HTTP/1." + strconv.Itoa(head.minor),
		ProtoMajor: 1, ProtoMinor: head.minor,
		Header:     head.fields,
		Host:       goString(C.atls_server_request_authority(object)),
		RemoteAddr: goString(C.atls_server_request_peer(object)),
	}
	var err error
	if request.Method == http.MethodConnect {
		request.URL = &url.URL{Host: target}
	} else if request.URL, err = url.ParseRequestURI(target); err != nil {
		request.URL, handler = new(url.URL), http.HandlerFunc(malformed)
	}
	delete(head.fields, "Host")
	request.ContentLength = contentLength(head.fields)
	if strings.EqualFold(head.fields.Get("Transfer-Encoding"), "chunked") {
		request.TransferEncoding = []string{"chunked"}
		delete(head.fields, "Transfer-Encoding")
	} else if request.ContentLength < 0 {
		request.ContentLength = 0
	}
	state := &tls.ConnectionState{Version: tls.VersionTLS13, HandshakeComplete: true}
	if leaf := C.atls_server_request_certificate(object); leaf != nil {
		if certificate, err := x509.ParseCertificate(goBytes(leaf)); err == nil {
			state.PeerCertificates = []*x509.Certificate{certificate}
		}
	}
	request.TLS = state
	return request, handler
}

// RequestVerdict is the verdict on the client of a request; nil if the server has no ClientPolicy.
func RequestVerdict(request *http.Request) *Verdict {
	verdict, _ := request.Context().Value(verdictKey{}).(*Verdict)
	return verdict
}

// requestBody is what the handler reads.
type requestBody struct {
	visit   *visit
	request *http.Request
}

func (b *requestBody) Read(p []byte) (int, error) {
	v := b.visit
	v.reader.Lock()
	defer v.reader.Unlock()
	count, err := v.read(p, io.ErrUnexpectedEOF)
	if err == io.EOF {
		v.mu.Lock()
		if v.trailers != nil {
			b.request.Trailer = v.trailers.fields
		}
		v.mu.Unlock()
	}
	return count, err
}

// Close is of io.Closer. What was not read is discarded when the handler returns.
func (b *requestBody) Close() error { return nil }

const (
	// drained is how much of an unread request body is read before its connection is closed instead, and drainTime how long that may take.
	drained   = 256 << 10
	drainTime = 5 * time.Second
)

// drain reads what a handler has left of a short body, so that the connection can carry another request.
func (v *visit) drain(length int64) {
	v.mu.Lock()
	over := v.ended || v.given != nil || v.closed
	v.mu.Unlock()
	if over || length > drained {
		return
	}
	v.set(&v.reading, time.Now().Add(drainTime))
	v.reader.Lock()
	defer v.reader.Unlock()
	buffer, left := make([]byte, 8<<10), drained
	for left > 0 {
		count, err := v.read(buffer, net.ErrClosed)
		left -= count
		if err != nil {
			return
		}
	}
}
