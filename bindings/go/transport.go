package atls

// #include "shim.h"
import "C"

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"strings"
	"sync"
	"time"
	"unsafe"
)

// Transport is an http.RoundTripper that talks to attested servers and to nobody else: a server is sent a request once it has satisfied the policy for
// its host, and a host that no policy covers is not contacted. It speaks HTTP/1.1 over pooled connections. Any number of goroutines may use one. Do not
// change its fields once it is in use.
//
// A request's context ends it at any phase. Idle connections are the library's: they hold no goroutine and no thread.
//
// Unlike http.Transport it refuses, with RedirectRefused, a redirect that leaves the origin, and it supports neither request trailers nor upgrades.
type Transport struct {
	// Config has the policy for every host that Policies does not name. Its ServerName is ignored.
	Config
	// Policies are for single hosts: "llm.example", or "*.example" for all below it. If Config.Policy is nil, there is no other host.
	Policies map[string]*Policy

	// AllowOtherOrigins lets an http.Client follow redirects to other origins. The policy for the new host applies.
	AllowOtherOrigins bool
	// DisableCompression leaves out Accept-Encoding, and decodes nothing. Otherwise responses are decoded as http.Transport does: gzip, deflate, br, zstd.
	DisableCompression bool

	// MaxConnsPerHost and MaxRequests bound connections to one host, and requests under way. 0 is no limit; further requests wait.
	MaxConnsPerHost, MaxRequests int
	// MaxIdleConns bounds idle connections to all hosts: 100 by default.
	MaxIdleConns int
	// IdleConnTimeout is how long a connection may wait for its next request: 90 seconds by default. Negative is no limit.
	IdleConnTimeout time.Duration
	// MaxConnAge replaces connections of this age by new ones, attested anew. 0 is no limit.
	MaxConnAge time.Duration
	// ResponseHeaderTimeout bounds the wait for the response head once the request is sent; BodyIdleTimeout that between pieces of the body. 0 is no limit.
	ResponseHeaderTimeout, BodyIdleTimeout time.Duration
	// ExpectContinueTimeout is how long a request with "Expect: 100-continue" waits before it sends its body anyway: 1 second by default.
	ExpectContinueTimeout time.Duration

	mu     sync.Mutex
	pool   *reference
	closed bool
}

var _ http.RoundTripper = (*Transport)(nil)

// Client is an http.Client on this transport.
func (t *Transport) Client() *http.Client { return &http.Client{Transport: t} }

// CloseIdleConnections closes connections that carry no request. http.Client has a method that calls it.
func (t *Transport) CloseIdleConnections() {
	t.mu.Lock()
	pool := t.pool
	t.mu.Unlock()
	if pool != nil {
		pool.with(func(client unsafe.Pointer) { C.atls_client_close_idle((*C.atls_client)(client), nil) })
	}
}

// IdleConnections is how many connections wait for their next request.
func (t *Transport) IdleConnections() (count int) {
	t.mu.Lock()
	pool := t.pool
	t.mu.Unlock()
	if pool != nil {
		pool.with(func(client unsafe.Pointer) { count = int(C.atls_client_idle_connections((*C.atls_client)(client))) })
	}
	return count
}

// Close closes idle connections, and refuses further requests. Requests under way run to their end.
func (t *Transport) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	if t.pool != nil {
		t.pool.close()
	}
	return nil
}

// client makes the pool at the first request.
func (t *Transport) client(e *engine) (*reference, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil, &Error{Status: InvalidState, Phase: "call", TLSAlert: -1, Message: "the transport is closed"}
	}
	if t.pool == nil {
		made, err := t.make(e)
		if err != nil {
			return nil, err
		}
		t.pool = newReference(unsafe.Pointer(made), func(p unsafe.Pointer) { C.atls_client_free((*C.atls_client)(p)) })
		collect(t, t.pool)
	}
	return t.pool, nil
}

func (t *Transport) make(e *engine) (*C.atls_client, error) {
	config, err := t.Config.build("", 0, C.ATLS_FAMILY_ANY)
	if err != nil {
		return nil, err
	}
	defer C.atls_config_free(config)
	s := &setup{}
	defer s.free()
	var limits *C.atls_client_limits
	var client *C.atls_client
	s.do(func(failure **C.atls_error) C.atls_status { return C.atls_client_limits_new(&limits, failure) })
	defer func() { C.atls_client_limits_free(limits) }()
	t.limit(s, limits)
	s.do(func(failure **C.atls_error) C.atls_status {
		return C.atls_client_new(e.runtime, config, limits, &client, failure)
	})
	for host, policy := range t.Policies {
		if policy == nil {
			s.fail(fmt.Sprintf("the policy for %q is nil", host))
			break
		}
		pattern := s.text("host", host)
		policy.use(s, func(policy *C.atls_policy, failure **C.atls_error) C.atls_status {
			return C.atls_client_set_policy(client, pattern, policy, failure)
		})
	}
	if s.err != nil {
		C.atls_client_free(client)
		return nil, s.err
	}
	return client, nil
}

func (t *Transport) limit(s *setup, limits *C.atls_client_limits) {
	count := func(limit int, none C.uint32_t) C.uint32_t {
		if limit <= 0 || limit > math.MaxInt32 {
			return none
		}
		return C.uint32_t(limit)
	}
	s.do(func(failure **C.atls_error) C.atls_status {
		return C.atls_client_limits_set_requests(limits, count(t.MaxRequests, math.MaxUint32), failure)
	})
	s.do(func(failure **C.atls_error) C.atls_status {
		perHost, idle := count(t.MaxConnsPerHost, math.MaxUint32), count(t.MaxIdleConns, 0)
		return C.atls_client_limits_set_connections(limits, perHost, idle, failure)
	})
	s.do(func(failure **C.atls_error) C.atls_status {
		return C.atls_client_limits_set_times(limits, millis(t.IdleConnTimeout), millis(t.MaxConnAge), failure)
	})
}

// RoundTrip is of http.RoundTripper: it sends the request to its host, once that is attested, and returns when the response head has come. The body of
// the request is not read before the host is attested.
func (t *Transport) RoundTrip(request *http.Request) (*http.Response, error) {
	x := newExchange(t, request)
	if err := x.start(); err != nil {
		x.closeBody()
		return nil, err
	}
	return x.response()
}

// refusal says why the request cannot be sent, before anything is done for it.
func (t *Transport) refusal(request *http.Request) error {
	wrong := func(status Status, message string) error {
		return &Error{Status: status, Phase: "call", TLSAlert: -1, Message: message}
	}
	switch {
	case request.Context().Err() != nil:
		return contextError(request.Context(), "canceled before the request was sent")
	case request.URL == nil || request.URL.Host == "" || request.URL.Opaque != "":
		return wrong(InvalidArgument, "the request's URL has no host")
	case len(request.Trailer) > 0:
		return wrong(Unsupported, "trailers of requests")
	}
	if before := request.Response; before != nil && before.Request != nil && !t.AllowOtherOrigins {
		from, to := before.Request.URL, request.URL
		if origin(from.Scheme, from.Host) != origin(to.Scheme, to.Host) {
			return wrong(RedirectRefused, fmt.Sprintf("the redirect leaves %s for %s", from.Host, to.Host))
		}
	}
	return nil
}

func origin(scheme, host string) string {
	host = strings.ToLower(host)
	if scheme == "https" {
		host = strings.TrimSuffix(host, ":443")
	}
	return scheme + "://" + host
}

type verdictKey struct{}

// ResponseVerdict is the verdict on the server that sent the response: the one that held when the request was sent. nil if the response did not come
// from a Transport.
func ResponseVerdict(response *http.Response) *Verdict {
	if response == nil || response.Request == nil {
		return nil
	}
	verdict, _ := response.Request.Context().Value(verdictKey{}).(*Verdict)
	return verdict
}

func withVerdict(request *http.Request, verdict *Verdict) *http.Request {
	return request.WithContext(context.WithValue(request.Context(), verdictKey{}, verdict))
}
