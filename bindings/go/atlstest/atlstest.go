// Package atlstest helps to test programs that use package atls, without a TEE: it is to atls what net/http/httptest is to net/http. The TEE is
// simulated by `simtee`, a program of libatls (tests/simtee): a guest agent that signs evidence under a root of its own, which only programs trust that
// say so twice, in the verifier and in the policy.
package atlstest

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"libatls.invalid/atls"
)

// Simulator is a simulated world that runs: a folder of files and sockets, which tests/simtee/src/world.rs lists.
type Simulator struct {
	Folder string

	child *exec.Cmd
	input io.Closer
}

// Running is the simulator that runs already, in the folder that the environment variable ATLS_SIM names. Without one, the test is skipped.
func Running(t testing.TB) *Simulator {
	t.Helper()
	folder := os.Getenv("ATLS_SIM")
	if folder == "" {
		t.Skip("no simulator: ATLS_SIM is not set")
	}
	return &Simulator{Folder: folder}
}

// Start runs the program simtee, which may be found in PATH, with a folder for its files. It ends with Close, or with this process.
func Start(program, folder string) (*Simulator, error) {
	child := exec.Command(program, folder)
	child.Stderr = os.Stderr
	input, err := child.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := child.Start(); err != nil {
		return nil, err
	}
	s := &Simulator{Folder: folder, child: child, input: input}
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if _, err := os.Stat(filepath.Join(folder, "ports")); err == nil { // it is written last
			return s, nil
		}
	}
	s.Close()
	return nil, fmt.Errorf("atlstest: %s did not start", program)
}

// Close ends a simulator that Start has started.
func (s *Simulator) Close() {
	if s.child != nil {
		s.input.Close()
		s.child.Process.Kill()
		s.child.Wait()
		s.child = nil
	}
}

// File reads one of the simulator's files; it panics if it is not there.
func (s *Simulator) File(name string) []byte {
	data, err := os.ReadFile(filepath.Join(s.Folder, name))
	if err != nil {
		panic("atlstest: " + err.Error())
	}
	return data
}

// Port is that of one of the servers that the project's own tests have beside the simulator; 0 if there is none of this name.
func (s *Simulator) Port(name string) (port int) {
	for _, line := range strings.Split(string(s.File("ports")), "\n") {
		if text, ok := strings.CutPrefix(line, name+"="); ok {
			fmt.Sscan(text, &port)
		}
	}
	return port
}

// Policy is one of the simulator's; it panics if it is not there.
func (s *Simulator) Policy(name string) *atls.Policy {
	policy, err := atls.NewPolicy(s.File(name))
	if err != nil {
		panic("atlstest: " + err.Error())
	}
	return policy
}

// Verifier trusts the simulator's roots, in place of the vendors' own.
func (s *Simulator) Verifier() *atls.Verifier {
	verifier, err := atls.NewVerifier(&atls.VerifierConfig{SimulatedRoots: s.Roots()})
	if err != nil {
		panic("atlstest: " + err.Error())
	}
	return verifier
}

// Roots are the simulator's, by vendor.
func (s *Simulator) Roots() map[string][]byte {
	roots := map[string][]byte{"intel": s.File("root.der")}
	for _, vendor := range []string{"amd", "aws", "microsoft", "nvidia"} {
		name := vendor + "-root.pem"
		if vendor == "amd" {
			name = "amd-roots.pem"
		}
		roots[vendor] = s.File(name)
	}
	return roots
}

// Config is for clients of servers under this simulator, whose evidence must satisfy policy.json.
func (s *Simulator) Config() *atls.Config {
	return &atls.Config{Policy: s.Policy("policy.json"), Verifier: s.Verifier(), RootsPEM: s.File("web-ca.pem")}
}

// Server is an attested server that listens on a port of the loopback interface.
type Server struct {
	// URL is "https://localhost:port".
	URL string
	// Address is "localhost:port", for Dial.
	Address string
	// Server is what serves.
	Server *atls.Server
	// Config satisfies clients of this server.
	Config *atls.Config

	transport *atls.Transport
}

// NewServer starts one, whose evidence satisfies Config. Close it when the test is over.
func (s *Simulator) NewServer(handler http.Handler) *Server {
	return s.Serve(&atls.Server{
		Handler:        handler,
		CertificatePEM: s.File("peer.pem"),
		KeyPEM:         s.File("peer-key.pem"),
		Evidence:       []atls.Evidence{atls.DstackAgent(filepath.Join(s.Folder, "agent.sock"))},
	})
}

// Serve starts a server of the test's own making.
func (s *Simulator) Serve(server *atls.Server) *Server {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic("atlstest: " + err.Error())
	}
	config := s.Config()
	address := fmt.Sprintf("localhost:%d", listener.Addr().(*net.TCPAddr).Port)
	ended := make(chan error, 1)
	go func() {
		err := server.Serve(listener)
		if err != http.ErrServerClosed {
			ended <- err
			server.Close()
		}
	}()
	select {
	case err := <-ended:
		panic("atlstest: " + err.Error())
	default:
	}
	return &Server{URL: "https://" + address, Address: address, Server: server, Config: config, transport: &atls.Transport{Config: *config}}
}

// Client is an http.Client that talks to this server once it is attested. Its transport is the server's: CloseIdleConnections and Close concern it.
func (s *Server) Client() *http.Client { return s.transport.Client() }

// Transport is that of Client.
func (s *Server) Transport() *atls.Transport { return s.transport }

// Close closes the transport, and then the server.
func (s *Server) Close() {
	s.transport.Close()
	s.Server.Close()
}
