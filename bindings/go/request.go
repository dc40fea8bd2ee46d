package atls

// #include "shim.h"
import "C"

import (
	"math"
	"net/http"
	"net/url"
	"strings"
)

// userAgent is sent if the request names none. An empty one of the request's sends none, as with http.Transport.
const userAgent = "libatls-go"

// own are header fields that come from other fields of http.Request, as with http.Transport.
var own = map[string]bool{
	"Host": true, "Content-Length": true, "Transfer-Encoding": true, "Trailer": true, "User-Agent": true, "Expect": true,
}

// native makes the library's request, which is the caller's to free. It has no body yet.
func (x *exchange) native(s *setup) *C.atls_request {
	from, t := x.from, x.transport
	method := from.Method
	if method == "" {
		method = http.MethodGet
	}
	target := url.URL{Scheme: from.URL.Scheme, Host: from.URL.Host, Path: from.URL.Path, RawPath: from.URL.RawPath,
		ForceQuery: from.URL.ForceQuery, RawQuery: from.URL.RawQuery}
	if target.Path == "" {
		target.Path = "/"
	}
	var request *C.atls_request
	name := s.text("Method", method)
	address := s.text("URL", target.String())
	s.do(func(failure **C.atls_error) C.atls_status {
		return C.atls_request_new_url(name, address, &request, failure)
	})
	if from.Host != "" && from.Host != from.URL.Host {
		host := s.text("Host", from.Host)
		s.do(func(failure **C.atls_error) C.atls_status {
			return C.atls_request_set_host(request, host, failure)
		})
	}
	x.headers(s, request)
	deadline := func(which C.atls_request_deadline, limit C.uint32_t) {
		s.do(func(failure **C.atls_error) C.atls_status {
			return C.atls_request_set_deadline(request, which, limit, failure)
		})
	}
	deadline(C.ATLS_REQUEST_DEADLINE_HEAD, math.MaxUint32) // the context bounds the whole
	if t.ResponseHeaderTimeout > 0 {
		deadline(C.ATLS_REQUEST_DEADLINE_FIRST_BYTE, millis(t.ResponseHeaderTimeout))
	}
	if t.BodyIdleTimeout > 0 {
		deadline(C.ATLS_REQUEST_DEADLINE_IDLE, millis(t.BodyIdleTimeout))
	}
	s.do(func(failure **C.atls_error) C.atls_status {
		return C.atls_request_set_redirects(request, 0, 0, failure) // http.Client follows them
	})
	x.coding(s, request)
	x.stream(s, request)
	return request
}

func (x *exchange) headers(s *setup, request *C.atls_request) {
	add := func(name, value string) {
		text := s.text("header field", name)
		s.do(func(failure **C.atls_error) C.atls_status {
			return C.atls_request_add_header(request, text, bytesOf([]byte(value)), failure)
		})
	}
	agent, named := x.from.Header["User-Agent"]
	if !named {
		agent = []string{userAgent}
	}
	if len(agent) > 0 && agent[0] != "" {
		add("User-Agent", agent[0])
	}
	for name, values := range x.from.Header {
		if own[http.CanonicalHeaderKey(name)] {
			continue
		}
		for _, value := range values {
			add(name, strings.Trim(value, " \t"))
		}
	}
	if x.from.Close {
		add("Connection", "close")
	}
}

// coding asks for codings as http.Transport does: unless the caller asks for some itself, or for a part of the resource.
func (x *exchange) coding(s *setup, request *C.atls_request) {
	header := x.from.Header
	x.decodes = !x.transport.DisableCompression && header.Get("Accept-Encoding") == "" && header.Get("Range") == "" &&
		x.from.Method != http.MethodHead
	if x.decodes {
		s.do(func(failure **C.atls_error) C.atls_status { return C.atls_request_set_decode(request, true, failure) })
	}
}

// stream announces the body, which is written once the server is attested.
func (x *exchange) stream(s *setup, request *C.atls_request) {
	if !x.hasBody() {
		if x.from.Body == http.NoBody || x.from.Method == http.MethodPost || x.from.Method == http.MethodPut || x.from.Method == http.MethodPatch {
			s.do(func(failure **C.atls_error) C.atls_status {
				return C.atls_request_set_body(request, bytesOf(nil), failure)
			})
		}
		return
	}
	length := C.uint64_t(C.ATLS_LENGTH_UNKNOWN)
	if x.from.ContentLength > 0 {
		length = C.uint64_t(x.from.ContentLength)
	}
	s.do(func(failure **C.atls_error) C.atls_status {
		return C.atls_request_set_body_stream(request, length, failure)
	})
	if strings.EqualFold(x.from.Header.Get("Expect"), "100-continue") {
		s.do(func(failure **C.atls_error) C.atls_status {
			return C.atls_request_set_expect_continue(request, millis(x.transport.ExpectContinueTimeout), failure)
		})
	}
}

func (x *exchange) hasBody() bool { return x.from.Body != nil && x.from.Body != http.NoBody }
