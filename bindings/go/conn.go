package atls

// #include "shim.h"
import "C"

import (
	"context"
	"net"
	"runtime"
	"sync"
	"time"
	"unsafe"
)

// linger is how long a closed connection may take to send what was written, before it is cut.
const linger = 10 * time.Second

// Conn is an attested connection: a net.Conn that is open only because its server has satisfied the policy. All its methods may be called by several
// goroutines at a time. A read after the other side ended without TLS's close_notify is io.ErrUnexpectedEOF, not io.EOF: anybody on the path may have cut
// the stream short.
type Conn struct {
	stream *stream
	remote net.Addr
}

var _ net.Conn = (*Conn)(nil)

// stream is what events need of a connection: it outlives a Conn that its program has dropped.
type stream struct {
	transfer
	// writer is held by the call of Write that has its turn, so that what others write does not come between.
	writer sync.Mutex
	// verdict is the last one, once the stream is closed.
	verdict *Verdict
	// last cuts a stream that does not end by itself after Close.
	last *time.Timer
}

var streamCalls = calls{
	write: func(object unsafe.Pointer, data C.atls_bytes, failure **C.atls_error) C.atls_status {
		return C.atls_stream_write((*C.atls_stream)(object), data, failure)
	},
	grant: func(object unsafe.Pointer, bytes C.uint64_t) {
		C.atls_stream_grant((*C.atls_stream)(object), bytes, nil)
	},
	cancel: func(object unsafe.Pointer) { C.atls_stream_cancel((*C.atls_stream)(object), nil) },
	free:   func(object unsafe.Pointer) { C.atls_stream_free((*C.atls_stream)(object)) },
}

// Dial connects to a server and attests it: it returns once the server has satisfied the policy, and until then sends nothing of the program. network is
// "tcp", "tcp4" or "tcp6", address is "host:port". The context ends connecting at any phase; it has no effect on the connection afterwards.
func Dial(ctx context.Context, network, address string, config *Config) (*Conn, error) {
	if ctx.Err() != nil {
		return nil, contextError(ctx, "dial "+address)
	}
	s, err := dial(ctx, network, address, config)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Addr: endpoint(address), Err: err}
	}
	conn := &Conn{stream: s, remote: s.peer(address)}
	runtime.AddCleanup(conn, func(s *stream) { s.give(net.ErrClosed) }, s)
	return conn, nil
}

func dial(ctx context.Context, network, address string, config *Config) (*stream, error) {
	native, err := target(network, address, config)
	if err != nil {
		return nil, err
	}
	defer C.atls_config_free(native)
	e, err := start()
	if err != nil {
		return nil, err
	}
	s := &stream{}
	s.init(&streamCalls)
	var object *C.atls_stream
	err = e.begin(s, func(sink *C.atls_sink, failure **C.atls_error) C.atls_status {
		return C.atls_stream_connect_start(e.runtime, native, sink, &object, failure)
	})
	if err != nil {
		return nil, err
	}
	s.begun(unsafe.Pointer(object))
	stop := context.AfterFunc(ctx, func() { s.give(contextError(ctx, "canceled while connecting to "+address)) })
	defer stop()
	if err := s.connected(); err != nil {
		return nil, err
	}
	if !stop() {
		s.give(contextError(ctx, "canceled while connecting to "+address))
		return nil, contextError(ctx, "canceled while connecting to "+address)
	}
	return s, nil
}

func target(network, address string, config *Config) (*C.atls_config, error) {
	families := map[string]C.atls_family{"tcp": C.ATLS_FAMILY_ANY, "tcp4": C.ATLS_FAMILY_IPV4, "tcp6": C.ATLS_FAMILY_IPV6}
	family, ok := families[network]
	if !ok {
		return nil, net.UnknownNetworkError(network)
	}
	host, service, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	port, err := net.LookupPort(network, service)
	if err != nil {
		return nil, err
	}
	if config == nil || config.Policy == nil {
		return nil, &Error{Status: PolicyRequired, Phase: "call", TLSAlert: -1, Message: "Config.Policy is nil"}
	}
	return config.build(host, uint16(port), family)
}

// connected waits until the server is attested.
func (s *stream) connected() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for !s.opened && s.given == nil && !s.closed {
		s.cond.Wait()
	}
	if s.given != nil {
		return s.given
	}
	if s.failure != nil {
		return s.failure
	}
	if s.object == nil {
		return net.ErrClosed
	}
	verdict := newVerdict(C.atls_stream_verdict((*C.atls_stream)(s.object)))
	if !verdict.Trusted() { // the library has seen to it; nothing is sent if it has not
		err := &Error{Status: Internal, Phase: "verify", TLSAlert: -1, Message: "connected without a favourable verdict"}
		s.giveLocked(err)
		return err
	}
	s.verdict = verdict
	return nil
}

func (s *stream) event(event *C.atls_event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if event.kind == C.ATLS_EVENT_CLOSED {
		if s.object != nil && s.opened {
			s.verdict = newVerdict(C.atls_stream_verdict((*C.atls_stream)(s.object)))
		}
		if s.last != nil {
			s.last.Stop()
		}
	}
	s.note(event)
}

// Read reads what has arrived, or waits for it.
func (c *Conn) Read(p []byte) (int, error) {
	defer runtime.KeepAlive(c) // to drop the last reference to it is not to close it under this call
	return c.stream.read(p, net.ErrClosed)
}

// Write returns once the library has taken all of p, which it sends at the pace of the other side.
func (c *Conn) Write(p []byte) (int, error) {
	defer runtime.KeepAlive(c)
	c.stream.writer.Lock()
	defer c.stream.writer.Unlock()
	return c.stream.write(p)
}

// CloseWrite ends this direction, after what was written. Reading continues.
func (c *Conn) CloseWrite() error {
	s := c.stream
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.given != nil:
		return s.given
	case s.object == nil && s.failure != nil:
		return s.failure
	case s.object == nil:
		return net.ErrClosed
	}
	return checked(func(failure **C.atls_error) C.atls_status {
		return C.atls_stream_finish((*C.atls_stream)(s.object), failure)
	})
}

// Close closes the connection. It does not wait: what was written is still sent, for at most 10 seconds. Calls under way return net.ErrClosed.
func (c *Conn) Close() error {
	s := c.stream
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.given != nil {
		return s.given
	}
	s.given = net.ErrClosed
	s.discard()
	if s.object != nil {
		C.atls_stream_close((*C.atls_stream)(s.object), nil)
		s.last = time.AfterFunc(linger, s.cut)
	}
	s.cond.Broadcast()
	return nil
}

func (s *stream) cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.object != nil {
		s.calls.cancel(s.object)
	}
}

// Verdict is the one on the server: the newest, since it is judged again while the connection is open if the policy says so.
func (c *Conn) Verdict() *Verdict {
	s := c.stream
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.object != nil {
		return newVerdict(C.atls_stream_verdict((*C.atls_stream)(s.object)))
	}
	return s.verdict
}

// LocalAddr is of net.Conn. The library does not tell which address it is: it has no port.
func (c *Conn) LocalAddr() net.Addr { return endpoint("") }

// RemoteAddr is the address that was dialled.
func (c *Conn) RemoteAddr() net.Addr { return c.remote }

// SetDeadline is of net.Conn, as are SetReadDeadline and SetWriteDeadline. A call whose deadline has passed returns os.ErrDeadlineExceeded, and loses
// nothing: the connection can be used on.
func (c *Conn) SetDeadline(t time.Time) error {
	c.stream.set(&c.stream.reading, t)
	c.stream.set(&c.stream.writing, t)
	return c.usable()
}

// SetReadDeadline is of net.Conn.
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.stream.set(&c.stream.reading, t)
	return c.usable()
}

// SetWriteDeadline is of net.Conn.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	c.stream.set(&c.stream.writing, t)
	return c.usable()
}

func (c *Conn) usable() error {
	c.stream.mu.Lock()
	defer c.stream.mu.Unlock()
	return c.stream.given
}

// peer is the other end of the socket or, if that is not known, the address that was dialled.
func (s *stream) peer(address string) net.Addr { return endpoint(address) }

// endpoint is an address as text.
type endpoint string

func (endpoint) Network() string  { return "tcp" }
func (e endpoint) String() string { return string(e) }
