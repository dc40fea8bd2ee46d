package atls

// #include "shim.h"
import "C"

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
	"unsafe"
)

// buffered is how much of a response is held back, to send it with its length if it is all.
const buffered = 4 << 10

// response is the http.ResponseWriter of a visit, and of its http.ResponseController. As with net/http, only the handler's goroutine may use it.
type response struct {
	visit   *visit
	request *http.Request
	fields  http.Header
	// announced are the fields as they were at WriteHeader.
	announced http.Header
	// status is 0 until WriteHeader.
	status int
	// sent: the head is on its way.
	sent bool
	// length is what Content-Length announces, or -1; written is how much the handler has written.
	length, written int64
	pending         []byte
	failure         error
	finished        bool
}

var (
	_ http.ResponseWriter = (*response)(nil)
	_ http.Flusher        = (*response)(nil)
	_ io.StringWriter     = (*response)(nil)
)

func (r *response) Header() http.Header { return r.fields }

func (r *response) WriteHeader(status int) {
	switch {
	case status < 100 || status > 999:
		panic(fmt.Sprintf("invalid WriteHeader code %v", status))
	case r.status != 0 || r.finished:
		r.visit.host.server.logf("atls: superfluous WriteHeader call with %d", status)
	case status == http.StatusContinue: // the library sends it by itself
	case status < 200 && status != http.StatusSwitchingProtocols:
		r.failed(r.head(status, r.fields, -1))
	default: // 101 ends the request with an error: a handler cannot leave HTTP
		r.status = status
		r.length = contentLength(r.fields)
		r.announced = r.fields.Clone()
	}
}

// bodiless says whether a response has no body, whatever its handler writes.
func (r *response) bodiless() bool {
	return r.request.Method == http.MethodHead || r.status == http.StatusNoContent || r.status == http.StatusNotModified
}

func (r *response) Write(p []byte) (int, error) {
	if r.finished {
		return 0, http.ErrBodyNotAllowed
	}
	if r.status == 0 {
		r.WriteHeader(http.StatusOK)
	}
	if r.status == http.StatusNoContent || r.status == http.StatusNotModified {
		return 0, http.ErrBodyNotAllowed
	}
	if r.length >= 0 && r.written+int64(len(p)) > r.length {
		return 0, http.ErrContentLength
	}
	r.written += int64(len(p))
	if r.failure != nil {
		return 0, r.failure
	}
	if !r.sent && len(r.pending)+len(p) <= buffered || r.request.Method == http.MethodHead {
		r.pending = append(r.pending, p[:min(len(p), buffered-min(buffered, len(r.pending)))]...)
		return len(p), nil
	}
	if err := r.begin(); err != nil {
		return 0, err
	}
	if len(r.pending)+len(p) <= buffered {
		r.pending = append(r.pending, p...)
		return len(p), nil
	}
	if err := r.push(); err != nil {
		return 0, err
	}
	count, err := r.visit.write(p)
	return count, r.failed(err)
}

func (r *response) WriteString(text string) (int, error) {
	return r.Write(unsafe.Slice(unsafe.StringData(text), len(text)))
}

// failed keeps the first failure.
func (r *response) failed(err error) error {
	if err != nil && r.failure == nil {
		r.failure = err
	}
	return err
}

// begin sends the head, once.
func (r *response) begin() error {
	if r.sent {
		return r.failure
	}
	r.sent = true
	r.sniff()
	return r.failed(r.head(r.status, r.announced, r.length))
}

// push sends what is held back.
func (r *response) push() error {
	if len(r.pending) == 0 || r.request.Method == http.MethodHead {
		return r.failure
	}
	_, err := r.visit.write(r.pending)
	r.pending = r.pending[:0]
	return r.failed(err)
}

// head sends a head; a length below 0 is not known.
func (r *response) head(status int, fields http.Header, length int64) error {
	s := &setup{}
	defer s.free()
	list := nativeFields(s, fields, func(name string) bool {
		framing := strings.EqualFold(name, "Content-Length") || strings.EqualFold(name, "Transfer-Encoding")
		return framing || strings.HasPrefix(name, http.TrailerPrefix) || status >= 200 && r.isTrailer(name)
	})
	defer func() { C.atls_headers_free(list) }()
	native := C.uint64_t(C.ATLS_LENGTH_UNKNOWN)
	if length >= 0 {
		native = C.uint64_t(length)
	}
	return r.visit.call(s, func(object *C.atls_server_request, failure **C.atls_error) C.atls_status {
		return C.atls_server_request_send_head(object, C.uint32_t(status), nil, list, native, failure)
	})
}

// sniff sets Content-Type from what the body begins with, as net/http does, unless the handler has said something of it.
func (r *response) sniff() {
	_, said := r.announced["Content-Type"]
	if !said && len(r.pending) > 0 && r.announced.Get("Content-Encoding") == "" {
		r.announced.Set("Content-Type", http.DetectContentType(r.pending))
	}
}

// isTrailer says whether the handler has announced a field as a trailer.
func (r *response) isTrailer(name string) bool {
	for _, names := range r.fields.Values("Trailer") {
		for _, announced := range strings.Split(names, ",") {
			if strings.EqualFold(strings.TrimSpace(announced), name) {
				return true
			}
		}
	}
	return false
}

// call makes a call with the object of the visit, unless the setup, or the visit, is over.
func (v *visit) call(s *setup, call func(object *C.atls_server_request, failure **C.atls_error) C.atls_status) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch {
	case s.err != nil:
		return s.err
	case v.given != nil:
		return v.given
	case v.object == nil && v.failure != nil:
		return v.failure
	case v.object == nil:
		return net.ErrClosed
	}
	s.do(func(failure **C.atls_error) C.atls_status { return call((*C.atls_server_request)(v.object), failure) })
	return s.err
}

// finish ends the response when the handler has returned.
func (r *response) finish() {
	if r.status == 0 {
		r.WriteHeader(http.StatusOK)
	}
	whole := !r.sent && !r.hasTrailers()
	if whole && r.length < 0 && !r.bodiless() {
		r.length = int64(len(r.pending))
	}
	r.visit.drain(r.request.ContentLength)
	err := r.begin()
	if err == nil {
		err = r.push()
	}
	r.finished = true
	s := &setup{}
	defer s.free()
	var trailers *C.atls_headers
	if r.hasTrailers() && r.length < 0 && !r.bodiless() {
		trailers = r.trailers(s)
	}
	defer func() { C.atls_headers_free(trailers) }()
	if err == nil {
		err = r.visit.call(s, func(object *C.atls_server_request, failure **C.atls_error) C.atls_status {
			return C.atls_server_request_finish(object, trailers, failure)
		})
	}
	if err != nil {
		r.visit.give(err)
	}
}

func (r *response) hasTrailers() bool {
	for name := range r.fields {
		if strings.HasPrefix(name, http.TrailerPrefix) || r.isTrailer(name) {
			return true
		}
	}
	return false
}

func (r *response) trailers(s *setup) *C.atls_headers {
	trailers := make(http.Header)
	for name, values := range r.fields {
		if plain, ok := strings.CutPrefix(name, http.TrailerPrefix); ok {
			trailers[plain] = values
		} else if r.isTrailer(name) {
			trailers[name] = values
		}
	}
	return nativeFields(s, trailers, func(string) bool { return false })
}

// Flush sends what was written so far.
func (r *response) Flush() { _ = r.FlushError() }

// FlushError is of http.ResponseController, as are the methods that follow.
func (r *response) FlushError() error {
	if r.status == 0 {
		r.WriteHeader(http.StatusOK)
	}
	if err := r.begin(); err != nil {
		return err
	}
	return r.push()
}

func (r *response) SetReadDeadline(at time.Time) error {
	r.visit.set(&r.visit.reading, at)
	return nil
}

func (r *response) SetWriteDeadline(at time.Time) error {
	r.visit.set(&r.visit.writing, at)
	return nil
}

func (r *response) EnableFullDuplex() error { return nil }
