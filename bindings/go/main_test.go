package atls_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"

	"libatls.invalid/atls"
	"libatls.invalid/atls/atlstest"
)

// localhost is one of the servers beside the simulator: HTTP, RAW, EVIL, ..
func localhost(t *testing.T, sim *atlstest.Simulator, name string) string {
	t.Helper()
	port := sim.Port(name)
	if port == 0 {
		t.Fatalf("the simulator has no port %s", name)
	}
	return fmt.Sprintf("localhost:%d", port)
}

// peer is a server of others, for example "NGINX"; skips the test if there is none.
func peer(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(os.Getenv("ATLS_PEERS"))
	if err != nil {
		t.Skip("no servers of others: ATLS_PEERS is not set")
	}
	for _, line := range strings.Split(string(data), "\n") {
		if port, ok := strings.CutPrefix(line, name+"="); ok {
			return "localhost:" + port
		}
	}
	t.Fatalf("no port %s", name)
	return ""
}

// silent is a server that accepts, and says nothing.
func silent(t *testing.T) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { conn.Close() })
		}
	}()
	return fmt.Sprintf("localhost:%d", listener.Addr().(*net.TCPAddr).Port)
}

func wantStatus(t *testing.T, err error, status atls.Status) *atls.Error {
	t.Helper()
	var failure *atls.Error
	if !errors.As(err, &failure) || failure.Status != status || !errors.Is(err, status) {
		t.Fatalf("got %v, want %v", err, status)
	}
	return failure
}
