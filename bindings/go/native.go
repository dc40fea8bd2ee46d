package atls

// #cgo pkg-config: atls
// #include "shim.h"
import "C"

import (
	"fmt"
	"math"
	"runtime"
	"strings"
	"sync"
	"time"
	"unsafe"
)

// goString copies text that belongs to the library.
func goString(text C.atls_str) string {
	return C.GoStringN(text.ptr, C.int(text.len))
}

// goBytes copies a buffer of the library and frees it.
func goBytes(buf *C.atls_buf) []byte {
	defer C.atls_buf_free(buf)
	return append([]byte(nil), view(buf)...)
}

// view is what a buffer holds, without a copy: valid as long as the buffer.
func view(buf *C.atls_buf) []byte {
	return unsafe.Slice((*byte)(C.atls_buf_data(buf)), int(C.atls_buf_len(buf)))
}

// bytesOf lends bytes to a call, which must not keep them.
func bytesOf(data []byte) C.atls_bytes {
	return C.atls_bytes{ptr: (*C.uint8_t)(unsafe.SliceData(data)), len: C.size_t(len(data))}
}

// millis rounds up, so that no deadline passes early. A negative duration is no limit.
func millis(d time.Duration) C.uint32_t {
	if d < 0 {
		return math.MaxUint32
	}
	return C.uint32_t(min((d+time.Millisecond-1)/time.Millisecond, math.MaxUint32-1))
}

// setup runs the calls that fill a builder of the library, until one fails, and keeps the texts that they are given.
type setup struct {
	err   error
	texts []unsafe.Pointer
}

// do makes one call, unless one before it, or a text, has failed. Make texts before: one that is refused is NULL, which many calls take for "none". The
// first failure stays, also one that the call itself has noted.
func (s *setup) do(call func(failure **C.atls_error) C.atls_status) {
	if s.err != nil {
		return
	}
	if err := checked(call); s.err == nil {
		s.err = err
	}
}

// text lends a string to calls of this setup. One with a NUL in it would end there: it is refused, and no call follows.
func (s *setup) text(what, value string) *C.char {
	if strings.IndexByte(value, 0) >= 0 {
		s.fail(fmt.Sprintf("%s %q has a NUL in it", what, value))
		return nil
	}
	text := C.CString(value)
	s.texts = append(s.texts, unsafe.Pointer(text))
	return text
}

// optional is text, and NULL for "".
func (s *setup) optional(what, value string) *C.char {
	if value == "" {
		return nil
	}
	return s.text(what, value)
}

func (s *setup) fail(message string) {
	if s.err == nil {
		s.err = &Error{Status: InvalidArgument, Phase: "call", Message: message}
	}
}

// free gives the texts back. Calls have copied what they need.
func (s *setup) free() {
	for _, text := range s.texts {
		C.free(text)
	}
	s.texts = nil
}

// reference is one reference to an object of the library. It is dropped by close, or else when its owner is collected.
type reference struct {
	mu      sync.RWMutex
	object  unsafe.Pointer // nil once closed
	dropper func(unsafe.Pointer)
}

func newReference(object unsafe.Pointer, dropper func(unsafe.Pointer)) *reference {
	return &reference{object: object, dropper: dropper}
}

// with calls use with the object, which stays until it returns; false if it is closed.
func (r *reference) with(use func(object unsafe.Pointer)) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.object == nil {
		return false
	}
	use(r.object)
	return true
}

func (r *reference) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.object != nil {
		r.dropper(r.object)
		r.object = nil
	}
}

// collect closes the reference when owner is collected, for programs that forget to close it.
func collect[T any](owner *T, held *reference) {
	runtime.AddCleanup(owner, (*reference).close, held)
}
