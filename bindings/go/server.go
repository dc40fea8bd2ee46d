package atls

// #include "shim.h"
import "C"

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"
)

// Server serves HTTP/1.1 in TLS 1.3, and proves itself to clients that ask, as the library does: with the evidence of the machine that it runs on. It is
// used as http.Server is. The handler does not see requests for evidence. Do not change its fields once it serves.
type Server struct {
	// Handler answers requests, each on a goroutine of its own; nil is http.DefaultServeMux.
	Handler http.Handler
	// CertificatePEM is the chain, leaf first, and KeyPEM the key of the leaf.
	CertificatePEM, KeyPEM []byte
	// Evidence proves the server. At most one source of each kind. With none, it is an ordinary TLS server.
	Evidence []Evidence
	// Names are those that the server proves itself under by protocol exporter-v1; none is any.
	Names []string

	// ClientPolicy is what clients must prove; RequestVerdict tells what one has. ClientVerifier judges them.
	ClientPolicy   *Policy
	ClientVerifier *Verifier
	// ClientRootsPEM asks clients for a certificate that leads to one of these roots; RequireCertificate refuses those that have none.
	ClientRootsPEM     []byte
	RequireCertificate bool

	// MaxHeaderBytes is 65,536 by default, MaxBodyBytes 100 MiB (negative is no limit), MaxConns 10,000.
	MaxHeaderBytes int
	MaxBodyBytes   int64
	MaxConns       int
	// HandshakeTimeout is 10 seconds by default, ReadHeaderTimeout 30, IdleTimeout 60, BodyTimeout, for a whole request body, none, and WriteTimeout,
	// while a client takes nothing of a response, 60.
	HandshakeTimeout, ReadHeaderTimeout, IdleTimeout, BodyTimeout, WriteTimeout time.Duration

	// Refused is told of clients and requests that were refused before the handler saw them; err has the address, and the verdict if there is one.
	Refused func(err *Error)
	// ErrorLog is told of handlers that panic; nil is the log package's.
	ErrorLog *log.Logger
	// BaseContext is what the contexts of requests are made from.
	BaseContext context.Context

	mu        sync.Mutex
	running   map[*host]struct{}
	handlers  sync.WaitGroup
	isClosing bool
}

// host is one call of Serve.
type host struct {
	server *Server
	engine *engine

	// mu guards object: it is called, and freed after CLOSED, under it.
	mu     sync.Mutex
	object *C.atls_server
	done   chan struct{} // closed by CLOSED, or if there was no start
	// failure is why the server ended, if that was no regular end. It is there once done is closed.
	failure error
	// stopping is closed by Shutdown and Close.
	stopping chan struct{}
	stopOnce sync.Once
	listener net.Listener
}

// ListenAndServe listens on a TCP address, such as ":8443", and serves until Shutdown or Close; then it returns http.ErrServerClosed.
func (s *Server) ListenAndServe(address string) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	return s.Serve(listener)
}

// Serve serves the connections of a TCP or Unix listener until Shutdown or Close; then it returns http.ErrServerClosed. A server that ends otherwise
// returns why. It closes the listener.
func (s *Server) Serve(listener net.Listener) error {
	defer listener.Close()
	e, err := start()
	if err != nil {
		return err
	}
	h := &host{server: s, engine: e, done: make(chan struct{}), stopping: make(chan struct{}), listener: listener}
	if !s.enter(h) {
		return http.ErrServerClosed
	}
	if err := h.serve(listener); err != nil {
		<-h.done
		s.leave(h)
		return err
	}
	select {
	case <-h.stopping:
	case <-h.done: // the runtime is gone, or listening failed
		s.leave(h)
	}
	return h.outcome()
}

// outcome is what Serve returns once it was told to stop, or done is closed.
func (h *host) outcome() error {
	select {
	case <-h.stopping:
		return http.ErrServerClosed
	default:
	}
	if h.failure != nil {
		return h.failure
	}
	return http.ErrServerClosed
}

func (s *Server) enter(h *host) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.isClosing {
		return false
	}
	if s.running == nil {
		s.running = make(map[*host]struct{})
	}
	s.running[h] = struct{}{}
	return true
}

func (s *Server) leave(h *host) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.running, h)
}

// serve starts the library's server. If it fails, done is closed all the same: Close waits for it.
func (h *host) serve(listener net.Listener) error {
	config, err := h.server.build()
	if err != nil {
		close(h.done)
		return err
	}
	defer C.atls_server_config_free(config)
	// Events and Close, which free the object or call it, wait until it listens.
	h.mu.Lock()
	defer h.mu.Unlock()
	err = h.engine.begin(h, func(sink *C.atls_sink, failure **C.atls_error) C.atls_status {
		return C.atls_server_start(h.engine.runtime, config, sink, &h.object, failure)
	})
	if err != nil {
		close(h.done)
		return err
	}
	err = adopt(h.object, listener)
	select {
	case <-h.stopping: // Shutdown or Close came before there was an object
		C.atls_server_close(h.object, nil)
	default:
		if err != nil {
			C.atls_server_close(h.object, nil)
		}
	}
	return err
}

// adopt gives the library a descriptor of its own: the listener closes its own one.
func adopt(object *C.atls_server, listener net.Listener) error {
	conn, ok := listener.(syscall.Conn)
	if !ok {
		return fmt.Errorf("atls: a %T has no socket to serve", listener)
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	fd := -1
	var failed error
	err = raw.Control(func(own uintptr) {
		syscall.ForkLock.RLock()
		defer syscall.ForkLock.RUnlock()
		if fd, failed = syscall.Dup(int(own)); failed == nil {
			syscall.CloseOnExec(fd)
		}
	})
	if err := errors.Join(err, failed); err != nil {
		return err
	}
	err = checked(func(failure **C.atls_error) C.atls_status {
		return C.atls_server_adopt_listener(object, C.int32_t(fd), failure)
	})
	if err != nil {
		syscall.Close(fd)
	}
	return err
}

func (h *host) event(event *C.atls_event) {
	switch event.kind {
	case C.ATLS_EVENT_REQUEST:
		request := C.atls_server_request_ref((*C.atls_server_request)(event.source))
		h.server.handlers.Add(1)
		go h.handle(request)
	case C.ATLS_EVENT_REFUSED:
		if refused := h.server.Refused; refused != nil {
			go refused(failureOf(event.status, event.error))
		}
	case C.ATLS_EVENT_CLOSED:
		if event.status != C.ATLS_OK {
			h.failure = failureOf(event.status, event.error)
		}
		h.mu.Lock()
		C.atls_server_free(h.object)
		h.object = nil
		h.mu.Unlock()
		close(h.done)
	}
}

// stop calls the library for each server that runs, once its Serve has been told.
func (s *Server) stop(call func(object *C.atls_server)) []*host {
	s.mu.Lock()
	s.isClosing = true
	var all []*host
	for h := range s.running {
		all = append(all, h)
	}
	s.mu.Unlock()
	for _, h := range all {
		h.stopOnce.Do(func() { close(h.stopping) })
		h.listener.Close()
		h.mu.Lock()
		if h.object != nil {
			call(h.object)
		}
		h.mu.Unlock()
	}
	return all
}

// Shutdown stops listening, closes idle connections, and waits until the requests under way have ended, or until the context ends, whose error it then
// returns. Serve returns at once. A server that was shut down cannot serve again.
func (s *Server) Shutdown(ctx context.Context) error {
	for _, h := range s.stop(func(object *C.atls_server) { C.atls_server_stop(object, nil) }) {
		select {
		case <-h.done:
			s.leave(h)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	ended := make(chan struct{})
	go func() {
		s.handlers.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close closes the server at once; the contexts of requests under way end.
func (s *Server) Close() error {
	for _, h := range s.stop(func(object *C.atls_server) { C.atls_server_close(object, nil) }) {
		<-h.done
		s.leave(h)
	}
	return nil
}

// Connections is how many are open now.
func (s *Server) Connections() (count int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for h := range s.running {
		h.mu.Lock()
		count += int(C.atls_server_count(h.object, C.ATLS_SERVER_COUNT_CONNECTIONS))
		h.mu.Unlock()
	}
	return count
}

func (s *Server) logf(format string, arguments ...any) {
	if s.ErrorLog != nil {
		s.ErrorLog.Printf(format, arguments...)
		return
	}
	log.Printf(format, arguments...)
}
