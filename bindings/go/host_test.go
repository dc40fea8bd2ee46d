package atls

import (
	"errors"
	"net/http"
	"testing"
)

// What Serve returns: why the server ended by itself, and http.ErrServerClosed only if it was told to.
func TestServeSaysWhyItEnded(t *testing.T) {
	why := &Error{Status: IO, Message: "nothing can be accepted"}
	h := &host{done: make(chan struct{}), stopping: make(chan struct{}), failure: why}
	close(h.done)
	if err := h.outcome(); !errors.Is(err, IO) {
		t.Fatal(err)
	}
	close(h.stopping)
	if err := h.outcome(); err != http.ErrServerClosed {
		t.Fatal(err)
	}
}
