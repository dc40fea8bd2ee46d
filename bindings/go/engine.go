package atls

// #include "shim.h"
import "C"

import (
	"fmt"
	"os"
	"sync"
	"syscall"
	"unsafe"
)

// engine is the library's runtime and the queue that all operations of the process report to. One goroutine takes events from the queue; while there
// are none it is parked in Go's netpoller, and holds no thread.
type engine struct {
	runtime *C.atls_runtime
	queue   *C.atls_queue
	file    *os.File // a duplicate of the queue's descriptor, for the netpoller

	// mu guards operations: from a token to whose it is. An operation is in it from before it starts until its CLOSED, which is its last event.
	mu         sync.Mutex
	operations map[uint64]receiver
	last       uint64
}

// receiver is told of events on the engine's goroutine, one at a time. It must not wait for anything.
type receiver interface {
	event(event *C.atls_event)
}

// batch is how many events are taken at a time.
const batch = 64

var shared struct {
	sync.Mutex
	engine *engine
}

// start gives the engine of the process, which lives as long as that does.
func start() (*engine, error) {
	shared.Lock()
	defer shared.Unlock()
	if shared.engine == nil {
		made, err := newEngine()
		if err != nil {
			return nil, err
		}
		shared.engine = made
	}
	return shared.engine, nil
}

func newEngine() (*engine, error) {
	e := &engine{operations: make(map[uint64]receiver)}
	s := &setup{}
	s.do(func(failure **C.atls_error) C.atls_status { return C.atls_runtime_new(0, &e.runtime, failure) })
	s.do(func(failure **C.atls_error) C.atls_status { return C.atls_queue_new_polled(&e.queue, failure) })
	var wakeups syscall.RawConn
	if s.err == nil {
		wakeups, s.err = e.watch()
	}
	if s.err != nil {
		C.atls_queue_free(e.queue)
		C.atls_runtime_free(e.runtime)
		return nil, s.err
	}
	go e.run(wakeups)
	return e, nil
}

// watch gives the netpoller a descriptor of its own: an os.File closes its descriptor, and the queue's belongs to the queue.
func (e *engine) watch() (syscall.RawConn, error) {
	syscall.ForkLock.RLock()
	fd, err := syscall.Dup(int(C.atls_queue_fd(e.queue)))
	if err == nil {
		syscall.CloseOnExec(fd)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, os.NewSyscallError("dup", err)
	}
	e.file = os.NewFile(uintptr(fd), "atls queue") // it is non-blocking, so this registers it with the netpoller
	return e.file.SyscallConn()
}

// run hands events on for ever. The bell of the queue rings whenever it stops being empty, and the netpoller remembers a ring that comes between looking
// into the queue and waiting, so none is missed.
func (e *engine) run(wakeups syscall.RawConn) {
	events := unsafe.Slice((*C.atls_event)(C.calloc(batch, C.sizeof_atls_event)), batch)
	for {
		var count C.size_t
		err := wakeups.Read(func(uintptr) bool {
			C.atls_queue_next(e.queue, &events[0], C.sizeof_atls_event, batch, &count, nil)
			return count > 0
		})
		if err != nil {
			panic(fmt.Sprintf("atls: the queue's descriptor cannot be polled: %v", err))
		}
		for i := range events[:count] {
			e.deliver(&events[i])
		}
	}
}

func (e *engine) deliver(event *C.atls_event) {
	token := uint64(event.token)
	e.mu.Lock()
	receiver := e.operations[token]
	if event.kind == C.ATLS_EVENT_CLOSED {
		delete(e.operations, token)
	}
	e.mu.Unlock()
	if receiver != nil {
		receiver.event(event)
	}
	C.atls_event_release(event)
}

// begin registers r, and then starts its operation: events may come before the call returns. If it fails, r is forgotten.
func (e *engine) begin(r receiver, call func(sink *C.atls_sink, failure **C.atls_error) C.atls_status) error {
	e.mu.Lock()
	e.last++
	token := e.last
	e.operations[token] = r
	e.mu.Unlock()
	sink := C.atls_sink{queue: e.queue, token: C.uint64_t(token)}
	err := checked(func(failure **C.atls_error) C.atls_status { return call(&sink, failure) })
	if err != nil {
		e.mu.Lock()
		delete(e.operations, token)
		e.mu.Unlock()
	}
	return err
}
