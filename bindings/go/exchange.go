package atls

// #include "shim.h"
import "C"

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"unsafe"
)

// exchange is one request and its response.
type exchange struct {
	transfer
	transport *Transport
	from      *http.Request
	// decodes: the library was asked to decode the response.
	decodes bool
	// bodyOnce closes the request's body.
	bodyOnce sync.Once
	// stop ends the watch over the context.
	stop func() bool

	// Under mu, as what transfer has:
	head     *head
	interim  []*head // informational heads that were not told of
	trailers *head
	verdict  *Verdict
	leaf     []byte // the server's certificate
	first    bool   // GotFirstResponseByte was told
}

var exchangeCalls = calls{
	write: func(object unsafe.Pointer, data C.atls_bytes, failure **C.atls_error) C.atls_status {
		return C.atls_exchange_write((*C.atls_exchange)(object), data, failure)
	},
	grant: func(object unsafe.Pointer, bytes C.uint64_t) {
		C.atls_exchange_grant((*C.atls_exchange)(object), bytes, nil)
	},
	cancel: func(object unsafe.Pointer) { C.atls_exchange_cancel((*C.atls_exchange)(object), nil) },
	free:   func(object unsafe.Pointer) { C.atls_exchange_free((*C.atls_exchange)(object)) },
}

func newExchange(t *Transport, request *http.Request) *exchange {
	x := &exchange{transport: t, from: request, stop: func() bool { return true }}
	x.init(&exchangeCalls)
	return x
}

// start sends the request on its way. After an error nothing is under way.
func (x *exchange) start() error {
	if err := x.transport.refusal(x.from); err != nil {
		return err
	}
	e, err := start()
	if err != nil {
		return err
	}
	pool, err := x.transport.client(e)
	if err != nil {
		return err
	}
	s := &setup{}
	defer s.free()
	request := x.native(s)
	defer C.atls_request_free(request)
	if s.err != nil {
		return s.err
	}
	var object *C.atls_exchange
	alive := pool.with(func(client unsafe.Pointer) {
		err = e.begin(x, func(sink *C.atls_sink, failure **C.atls_error) C.atls_status {
			return C.atls_client_start((*C.atls_client)(client), request, sink, &object, failure)
		})
	})
	if !alive {
		return &Error{Status: InvalidState, Phase: "call", TLSAlert: -1, Message: "the transport is closed"}
	}
	if err != nil {
		return err
	}
	x.begun(unsafe.Pointer(object))
	ctx := x.from.Context()
	stop := context.AfterFunc(ctx, func() { x.give(contextError(ctx, "the request was canceled")) })
	x.mu.Lock()
	defer x.mu.Unlock()
	x.stop = stop
	if x.closed {
		stop()
	}
	return nil
}

func (x *exchange) event(event *C.atls_event) {
	x.mu.Lock()
	defer x.mu.Unlock()
	switch event.kind {
	case C.ATLS_EVENT_CONNECTED:
		if x.hasBody() {
			go x.upload()
		}
	case C.ATLS_EVENT_INFORMATIONAL:
		x.interim = append(x.interim, headOf(event.head))
	case C.ATLS_EVENT_HEAD:
		x.head = headOf(event.head)
		source := (*C.atls_exchange)(event.source)
		if source != nil {
			x.verdict = newVerdict(C.atls_exchange_verdict(source))
			if leaf := C.atls_exchange_certificate(source); leaf != nil {
				x.leaf = goBytes(leaf)
			}
		}
	case C.ATLS_EVENT_TRAILERS:
		x.trailers = headOf(event.head)
	case C.ATLS_EVENT_CLOSED:
		x.stop()
		go x.closeBody() // unblocks an upload that waits for its source
	}
	x.note(event)
}

func (x *exchange) closeBody() {
	x.bodyOnce.Do(func() {
		if x.from.Body != nil {
			x.from.Body.Close()
		}
	})
}

// upload copies the request's body, at the pace of the server. If the server has answered before it had all of it, the rest is not sent.
func (x *exchange) upload() {
	defer x.closeBody()
	buffer := make([]byte, piece)
	sent := int64(0)
	for {
		count, err := x.from.Body.Read(buffer)
		if wanted := x.from.ContentLength; wanted > 0 && sent+int64(count) > wanted {
			x.give(fmt.Errorf("atls: the request's body is longer than its ContentLength of %d", wanted))
			return
		}
		if count > 0 {
			if _, failure := x.write(buffer[:count]); failure != nil {
				return // the response, or the error of the exchange, says why
			}
			sent += int64(count)
		}
		if err == io.EOF {
			x.finish(sent)
			return
		}
		if err != nil {
			x.give(fmt.Errorf("atls: reading the request's body: %w", err))
			return
		}
	}
}

func (x *exchange) finish(sent int64) {
	if wanted := x.from.ContentLength; wanted > 0 && sent < wanted {
		x.give(fmt.Errorf("atls: the request's body has %d bytes, and its ContentLength is %d", sent, wanted))
		return
	}
	err := x.end()
	if trace := httptrace.ContextClientTrace(x.from.Context()); trace != nil && trace.WroteRequest != nil {
		trace.WroteRequest(httptrace.WroteRequestInfo{Err: err})
	}
}

// end ends the body. A call that the library refuses gives the exchange up; why an exchange failed by itself, its last event says.
func (x *exchange) end() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	switch {
	case x.given != nil:
		return x.given
	case x.object == nil:
		return x.failure
	}
	err := checked(func(failure **C.atls_error) C.atls_status {
		return C.atls_exchange_finish((*C.atls_exchange)(x.object), failure)
	})
	var refused *Error
	if errors.As(err, &refused) && refused.Status < 200 && refused.Status != Closed {
		x.giveLocked(err)
	}
	return err
}

// response waits for the head.
func (x *exchange) response() (*http.Response, error) {
	trace := httptrace.ContextClientTrace(x.from.Context())
	x.mu.Lock()
	defer x.mu.Unlock()
	for {
		switch {
		case x.given != nil:
			return nil, x.given
		case len(x.interim) > 0:
			interim := x.interim[0]
			x.interim = x.interim[1:]
			if err := x.tell(trace, interim); err != nil {
				x.giveLocked(err)
			}
			continue
		case x.head != nil && !x.first && x.verdict.Trusted():
			x.first = true
			x.tellFirst(trace)
			continue // the request may have been given up meanwhile
		case x.head != nil:
			return x.answered()
		case x.failure != nil:
			return nil, x.failure
		case x.closed:
			return nil, net.ErrClosed
		}
		x.cond.Wait()
	}
}

// tell calls the program's trace, without mu.
func (x *exchange) tell(trace *httptrace.ClientTrace, interim *head) (err error) {
	x.mu.Unlock()
	defer x.mu.Lock()
	if trace != nil && trace.Got1xxResponse != nil {
		err = trace.Got1xxResponse(interim.status, textproto.MIMEHeader(interim.fields))
	}
	if trace != nil && trace.Got100Continue != nil && interim.status == http.StatusContinue {
		trace.Got100Continue()
	}
	return err
}

// tellFirst does so for the first byte of the response.
func (x *exchange) tellFirst(trace *httptrace.ClientTrace) {
	x.mu.Unlock()
	defer x.mu.Lock()
	if trace != nil && trace.GotFirstResponseByte != nil {
		trace.GotFirstResponseByte()
	}
}

// answered makes the response. Runs under mu.
func (x *exchange) answered() (*http.Response, error) {
	if !x.verdict.Trusted() { // the library has seen to it; nothing was sent if it has not
		err := &Error{Status: Internal, Phase: "verify", TLSAlert: -1, Message: "a response without a favourable verdict"}
		x.giveLocked(err)
		return nil, err
	}
	head := x.head
	response := &http.Response{
		StatusCode: head.status, Status: strconv.Itoa(head.status) + " " + head.reason,
		Proto: "HTTP/1." + strconv.Itoa(head.minor), ProtoMajor: 1, ProtoMinor: head.minor,
		Header: head.fields, Request: withVerdict(x.from, x.verdict), TLS: x.state(),
	}
	x.frame(response)
	body := &responseBody{exchange: x, response: response}
	body.empty = response.ContentLength == 0 || x.from.Method == http.MethodHead
	response.Body = body
	runtime.AddCleanup(body, func(x *exchange) { x.give(http.ErrBodyReadAfterClose) }, x)
	return response, nil
}

// frame sets what net/http takes out of the header fields: length, framing, codings, trailers.
func (x *exchange) frame(response *http.Response) {
	header := response.Header
	if strings.EqualFold(header.Get("Transfer-Encoding"), "chunked") {
		response.TransferEncoding = []string{"chunked"}
		header.Del("Transfer-Encoding")
	}
	response.ContentLength = contentLength(header)
	if status := response.StatusCode; status == http.StatusNoContent || status == http.StatusNotModified {
		response.ContentLength = 0
	}
	if x.decodes && header.Get("Content-Encoding") != "" && response.ContentLength != 0 {
		header.Del("Content-Encoding")
		header.Del("Content-Length")
		response.ContentLength, response.Uncompressed = -1, true
	}
	response.Close = strings.EqualFold(header.Get("Connection"), "close")
	if names := header.Values("Trailer"); len(names) > 0 {
		response.Trailer = make(http.Header)
		for _, name := range strings.Split(strings.Join(names, ","), ",") {
			if name = http.CanonicalHeaderKey(strings.TrimSpace(name)); name != "" {
				response.Trailer[name] = nil
			}
		}
		header.Del("Trailer")
	}
}

func (x *exchange) state() *tls.ConnectionState {
	state := &tls.ConnectionState{Version: tls.VersionTLS13, HandshakeComplete: true, ServerName: x.from.URL.Hostname()}
	if leaf, err := x509.ParseCertificate(x.leaf); err == nil {
		state.PeerCertificates = []*x509.Certificate{leaf}
	}
	return state
}

// responseBody is what the program reads.
type responseBody struct {
	exchange *exchange
	response *http.Response
	reader   sync.Mutex
	// empty: the response has no body, so that closing it unread cuts nothing short.
	empty bool
}

func (b *responseBody) Read(p []byte) (int, error) {
	b.reader.Lock()
	defer b.reader.Unlock()
	count, err := b.exchange.read(p, io.ErrUnexpectedEOF)
	if err == io.EOF {
		b.exchange.mu.Lock()
		trailers := b.exchange.trailers
		b.exchange.mu.Unlock()
		if trailers != nil && b.response.Trailer == nil {
			b.response.Trailer = make(http.Header)
		}
		if trailers != nil {
			for name, values := range trailers.fields {
				b.response.Trailer[name] = values
			}
		}
	}
	return count, err
}

// Close ends the exchange. If the body was not read to its end, that closes the connection.
func (b *responseBody) Close() error {
	x := b.exchange
	x.mu.Lock()
	defer x.mu.Unlock()
	if b.empty || x.ended && x.failure == nil {
		if x.given == nil {
			x.given = http.ErrBodyReadAfterClose
			x.discard()
			x.cond.Broadcast()
		}
		return nil
	}
	x.giveLocked(http.ErrBodyReadAfterClose)
	return nil
}
