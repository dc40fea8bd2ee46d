package atls

// #include "shim.h"
import "C"

import (
	"io"
	"net"
	"os"
	"sync"
	"time"
	"unsafe"
)

// credit is how many bytes may have been received and not been read, for each transfer.
const credit = 256 << 10

// piece is how many bytes are written at a time, of the 256 KiB that the library queues.
const piece = 32 << 10

// calls are those of the library for one kind of object: stream, exchange or server request.
type calls struct {
	write  func(object unsafe.Pointer, data C.atls_bytes, failure **C.atls_error) C.atls_status
	grant  func(object unsafe.Pointer, bytes C.uint64_t)
	cancel func(object unsafe.Pointer)
	free   func(object unsafe.Pointer)
}

// transfer is an object of the library that bytes go in and out of, and what its events have said of it.
//
// mu guards everything below it. The object is called only under mu, and freed under mu when CLOSED comes, so no call meets a freed object. The
// library takes no lock of the program, and calls nothing of it, in these calls.
type transfer struct {
	calls *calls

	mu   sync.Mutex
	cond sync.Cond
	// object is set once it has started, and nil again after CLOSED.
	object unsafe.Pointer
	// closed: CLOSED has come. If it has overtaken the call that starts the object, begun frees that.
	closed bool
	// opened: CONNECTED has come.
	opened bool
	// ended: END has come, so that nothing is received after what waits here.
	ended bool
	// full: a write was refused with AGAIN, and WRITABLE has not come.
	full bool
	// received are buffers that were not read yet, the first from offset on.
	received []*C.atls_buf
	offset   int
	// failure is why the object ended: the error of its CLOSED.
	failure error
	// given is why this side gave it up: it counts before everything else, and what was received is discarded.
	given error

	reading, writing timeout
}

// timeout is a deadline of one direction.
type timeout struct {
	timer  *time.Timer
	passed bool
}

func (t *transfer) init(calls *calls) {
	t.calls = calls
	t.cond.L = &t.mu
}

// begun takes the object over once the call that starts it has returned. Its events may have come before, even the last one.
func (t *transfer) begun(object unsafe.Pointer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		t.calls.free(object)
		return
	}
	t.object = object
	t.cond.Broadcast() // a body may be waiting to be written already
	if t.given != nil {
		t.calls.cancel(object)
	}
}

// note takes what an event says of bytes. Runs under mu.
func (t *transfer) note(event *C.atls_event) {
	switch event.kind {
	case C.ATLS_EVENT_CONNECTED:
		t.opened = true
	case C.ATLS_EVENT_DATA:
		if t.given == nil {
			t.received = append(t.received, C.atls_buf_ref(event.buf))
		}
	case C.ATLS_EVENT_WRITABLE:
		t.full = false
	case C.ATLS_EVENT_END:
		t.ended = true
	case C.ATLS_EVENT_CLOSED:
		t.closed = true
		if event.status != C.ATLS_OK {
			t.failure = failureOf(event.status, event.error)
		}
		if t.object != nil {
			t.calls.free(t.object)
			t.object = nil
		}
		t.reading.stop()
		t.writing.stop()
	}
	t.cond.Broadcast()
}

// give gives the transfer up: calls that wait return err, and what was received is discarded. Only the first reason counts.
func (t *transfer) give(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.giveLocked(err)
}

func (t *transfer) giveLocked(err error) {
	if t.given != nil {
		return
	}
	t.given = err
	t.discard()
	if t.object != nil {
		t.calls.cancel(t.object)
	}
	t.cond.Broadcast()
}

func (t *transfer) discard() {
	for _, buf := range t.received {
		C.atls_buf_free(buf)
	}
	t.received, t.offset = nil, 0
}

// read is io.Reader's. gone is the error after CLOSED without a failure and without END.
func (t *transfer) read(p []byte, gone error) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(p) == 0 && t.given == nil {
		return 0, nil
	}
	for {
		switch {
		case t.given != nil:
			return 0, t.given
		case t.reading.passed:
			return 0, os.ErrDeadlineExceeded
		case len(t.received) > 0:
			return t.take(p), nil
		case t.failure != nil:
			return 0, t.failure
		case t.ended:
			return 0, io.EOF
		case t.closed:
			return 0, gone
		}
		t.cond.Wait()
	}
}

// take copies what was received, and allows as much to be received again. Runs under mu.
func (t *transfer) take(p []byte) (n int) {
	for n < len(p) && len(t.received) > 0 {
		first := view(t.received[0])
		count := copy(p[n:], first[t.offset:])
		n, t.offset = n+count, t.offset+count
		if t.offset == len(first) {
			C.atls_buf_free(t.received[0])
			t.received[0] = nil
			t.received, t.offset = t.received[1:], 0
		}
	}
	if t.object != nil && !t.ended {
		t.calls.grant(t.object, C.uint64_t(n))
	}
	return n
}

// write is io.Writer's: it returns once the library has taken all of p.
func (t *transfer) write(p []byte) (n int, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for {
		switch {
		case t.given != nil:
			return n, t.given
		case t.writing.passed:
			return n, os.ErrDeadlineExceeded
		case t.closed && t.failure != nil:
			return n, t.failure
		case t.closed:
			return n, net.ErrClosed
		case t.object == nil || t.full:
			t.cond.Wait()
			continue
		case n == len(p):
			return n, nil
		}
		part := p[n:min(n+piece, len(p))]
		var failure *C.atls_error
		switch status := t.calls.write(t.object, bytesOf(part), &failure); status {
		case C.ATLS_OK:
			n += len(part)
		case C.ATLS_AGAIN:
			C.atls_error_free(failure)
			t.full = true
		default:
			err := failureOf(status, failure)
			C.atls_error_free(failure)
			return n, err
		}
	}
}

// set moves a deadline; the zero time is none. Calls that wait look at it again.
func (t *transfer) set(deadline *timeout, at time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	deadline.stop()
	deadline.passed = false
	if t.closed && t.object == nil && at.IsZero() {
		return
	}
	if left := time.Until(at); at.IsZero() {
		deadline.timer = nil
	} else if left <= 0 {
		deadline.passed = true
	} else {
		var timer *time.Timer
		timer = time.AfterFunc(left, func() {
			t.mu.Lock()
			defer t.mu.Unlock()
			if deadline.timer == timer {
				deadline.passed = true
				t.cond.Broadcast()
			}
		})
		deadline.timer = timer
	}
	t.cond.Broadcast()
}

func (t *timeout) stop() {
	if t.timer != nil {
		t.timer.Stop()
		t.timer = nil
	}
}
