package atls_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand"
	"net"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"libatls.invalid/atls"
	"libatls.invalid/atls/atlstest"
)

func dial(t *testing.T, sim *atlstest.Simulator, name string) *atls.Conn {
	t.Helper()
	conn, err := atls.Dial(context.Background(), "tcp", localhost(t, sim, name), sim.Config())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func TestConnIsAttestedAndCarriesBytesBothWays(t *testing.T) {
	sim := atlstest.Running(t)
	conn := dial(t, sim, "RAW")
	if verdict := conn.Verdict(); !verdict.Trusted() || !verdict.Bound() || verdict.TEE() != "tdx" || verdict.Anchor() != "simulated" {
		t.Fatal(verdict)
	}
	sent := make([]byte, 4<<20)
	rand.New(rand.NewSource(1)).Read(sent)
	go func() {
		if n, err := conn.Write(sent); n != len(sent) || err != nil {
			t.Error(n, err)
		}
		if err := conn.CloseWrite(); err != nil {
			t.Error(err)
		}
	}()
	received, err := io.ReadAll(conn)
	if err != nil || sha256.Sum256(received) != sha256.Sum256(sent) {
		t.Fatal(len(received), err)
	}
}

func TestConnCanBeUsedByManyGoroutines(t *testing.T) {
	conn := dial(t, atlstest.Running(t), "RAW")
	const writers, size = 8, 100_000
	var group sync.WaitGroup
	for i := range writers {
		group.Add(1)
		go func() {
			defer group.Done()
			if n, err := conn.Write(bytes.Repeat([]byte{byte(i)}, size)); n != size || err != nil {
				t.Error(n, err)
			}
		}()
	}
	go func() {
		group.Wait()
		conn.CloseWrite()
	}()
	var mu sync.Mutex
	counts, total := [writers]int{}, 0
	var readers sync.WaitGroup
	for range 4 {
		readers.Add(1)
		go func() {
			defer readers.Done()
			buffer := make([]byte, 5000)
			for {
				n, err := conn.Read(buffer)
				mu.Lock()
				for _, b := range buffer[:n] {
					counts[b]++
				}
				total += n
				mu.Unlock()
				if err != nil {
					if err != io.EOF {
						t.Error(err)
					}
					return
				}
			}
		}()
	}
	readers.Wait()
	for i, count := range counts {
		if count != size {
			t.Errorf("%d bytes of writer %d", count, i)
		}
	}
}

func TestDeadlinesPassAndLoseNothing(t *testing.T) {
	conn := dial(t, atlstest.Running(t), "RAW")
	buffer := make([]byte, 100)
	expect := func(err error) {
		t.Helper()
		var timeout net.Error
		if !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Fatal(err)
		}
	}
	conn.SetReadDeadline(time.Now().Add(30 * time.Millisecond))
	_, err := conn.Read(buffer)
	expect(err)
	conn.SetReadDeadline(time.Now().Add(-time.Second))
	_, err = conn.Read(buffer)
	expect(err)
	conn.SetReadDeadline(time.Time{})
	if _, err := conn.Write([]byte("still there")); err != nil {
		t.Fatal(err)
	}
	if n, err := io.ReadFull(conn, buffer[:11]); n != 11 || err != nil || string(buffer[:11]) != "still there" {
		t.Fatal(n, err)
	}
	// A deadline that is set while a read waits ends that read.
	go func() {
		time.Sleep(20 * time.Millisecond)
		conn.SetDeadline(time.Unix(1, 0))
	}()
	_, err = conn.Read(buffer)
	expect(err)
	_, err = conn.Write([]byte("x"))
	expect(err)
	conn.SetDeadline(time.Time{})
	// Nobody reads the echo: at some point nothing more is taken.
	conn.SetWriteDeadline(time.Now().Add(300 * time.Millisecond))
	written, err := conn.Write(make([]byte, 64<<20))
	expect(err)
	if written == 0 || written == 64<<20 {
		t.Fatal(written)
	}
}

func TestCloseEndsCallsUnderWay(t *testing.T) {
	conn := dial(t, atlstest.Running(t), "RAW")
	ended := make(chan error)
	go func() {
		_, err := conn.Read(make([]byte, 1))
		ended <- err
	}()
	time.Sleep(20 * time.Millisecond)
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Fatal(err)
	}
	if _, err := conn.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Fatal(err)
	}
	if err := conn.CloseWrite(); !errors.Is(err, net.ErrClosed) {
		t.Fatal(err)
	}
	if err := conn.Close(); !errors.Is(err, net.ErrClosed) {
		t.Fatal(err)
	}
}

func TestDialRefusesWhatIsNotAttested(t *testing.T) {
	sim := atlstest.Running(t)
	config := sim.Config()
	dial := func(address string, config *atls.Config) error {
		conn, err := atls.Dial(context.Background(), "tcp", address, config)
		if err == nil {
			conn.Close()
			t.Fatalf("%s was trusted", address)
		}
		return err
	}
	failure := wantStatus(t, dial(localhost(t, sim, "EVIL"), config), atls.BindingMismatch)
	if failure.Check == "" || failure.Verdict().Trusted() || !errors.Is(failure, atls.ErrAttestation) || !errors.Is(failure, atls.ErrPolicy) {
		t.Fatalf("%+v", failure)
	}
	wrong := *config
	wrong.Policy = sim.Policy("wrong-policy.json")
	failure = wantStatus(t, dial(localhost(t, sim, "HTTP"), &wrong), atls.MeasurementMismatch)
	if failure.Check == "" || failure.Phase != "verify" {
		t.Fatalf("%+v", failure)
	}
	if draft, err := failure.Verdict().DraftPolicy(); err != nil || !bytes.Contains(draft, []byte("mrtd")) {
		t.Fatal(string(draft), err)
	}
	if err := dial(localhost(t, sim, "HTTP"), &atls.Config{}); !errors.Is(err, atls.ErrPolicy) {
		t.Fatal(err)
	}
	unknown := *config
	unknown.RootsPEM = nil
	wantStatus(t, dial(localhost(t, sim, "HTTP"), &unknown), atls.TLSCertificate)
	genuine := *config
	genuine.Verifier = nil // trusts Intel's root only
	if err := dial(localhost(t, sim, "HTTP"), &genuine); !errors.Is(err, atls.ErrAttestation) {
		t.Fatal(err)
	}
	for _, name := range []string{"NGINX", "TLS", "TLS12"} {
		t.Run(name, func(t *testing.T) {
			err := dial(peer(t, name), config)
			if !errors.Is(err, atls.ErrAttestation) && !errors.Is(err, atls.TLSVersion) {
				t.Fatal(err)
			}
		})
	}
}

func TestContextEndsDialingAtEachPhase(t *testing.T) {
	sim := atlstest.Running(t)
	resolving := make(chan struct{})
	t.Cleanup(func() { close(resolving) })
	slow := sim.Config()
	slow.Resolve = func(string) ([]netip.Addr, error) {
		<-resolving
		return nil, errors.New("too late")
	}
	phases := map[string]func(ctx context.Context) error{
		"resolve": func(ctx context.Context) error {
			_, err := atls.Dial(ctx, "tcp", "slow.test:1", slow)
			return err
		},
		"connect": func(ctx context.Context) error {
			behind := sim.Config()
			behind.Proxy = "http://" + silent(t)
			_, err := atls.Dial(ctx, "tcp", "localhost:1", behind)
			return err
		},
		"tls": func(ctx context.Context) error {
			_, err := atls.Dial(ctx, "tcp", silent(t), sim.Config())
			return err
		},
		"attest": func(ctx context.Context) error {
			_, err := atls.Dial(ctx, "tcp", slowEvidence(t, sim), sim.Config())
			return err
		},
	}
	for name, dial := range phases {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(context.Background())
			time.AfterFunc(100*time.Millisecond, cancel)
			begun := time.Now()
			if err := dial(ctx); !errors.Is(err, context.Canceled) || !errors.Is(err, atls.Canceled) || errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatal(err)
			}
			if took := time.Since(begun); took > 5*time.Second {
				t.Fatal(took)
			}
			ctx, cancel = context.WithTimeout(context.Background(), 100*time.Millisecond)
			defer cancel()
			err := dial(ctx)
			var timeout net.Error
			if !errors.Is(err, context.DeadlineExceeded) || !errors.As(err, &timeout) || !timeout.Timeout() {
				t.Fatal(err)
			}
		})
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	reason := errors.New("a reason")
	cancel(reason)
	if _, err := atls.Dial(ctx, "tcp", silent(t), sim.Config()); !errors.Is(err, context.Canceled) || !errors.Is(err, reason) {
		t.Fatal(err)
	}
}

func TestTheTimeoutOfAConfigEndsDialing(t *testing.T) {
	sim := atlstest.Running(t)
	config := sim.Config()
	config.Timeout = 50 * time.Millisecond
	_, err := atls.Dial(context.Background(), "tcp", silent(t), config)
	failure := wantStatus(t, err, atls.TimedOut)
	if !failure.Timeout() || !errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
}

func TestDialRefusesImpossibleArguments(t *testing.T) {
	sim := atlstest.Running(t)
	config := sim.Config()
	for _, bad := range [][2]string{{"udp", "localhost:1"}, {"tcp", "localhost"}, {"tcp", "localhost:notaport"}, {"tcp", "local\x00host:1"}} {
		if _, err := atls.Dial(context.Background(), bad[0], bad[1], config); err == nil {
			t.Fatal(bad)
		}
	}
	closed := sim.Policy("policy.json")
	closed.Close()
	config.Policy = closed
	_, err := atls.Dial(context.Background(), "tcp", localhost(t, sim, "RAW"), config)
	wantStatus(t, err, atls.InvalidArgument)
	// A port at which nobody listens.
	_, err = atls.Dial(context.Background(), "tcp", "localhost:1", sim.Config())
	if failure := wantStatus(t, err, atls.IO); failure.Errno == 0 {
		t.Fatal(err)
	}
}

// A Read that waits keeps its Conn, also if it is the last to use it.
func TestABlockedReadKeepsItsConn(t *testing.T) {
	sim := atlstest.Running(t)
	conn, err := atls.Dial(context.Background(), "tcp", localhost(t, sim, "RAW"), sim.Config())
	if err != nil {
		t.Fatal(err)
	}
	conn.SetReadDeadline(time.Now().Add(500 * time.Millisecond))
	ended := make(chan error, 1)
	last := func(conn *atls.Conn) {
		_, err := conn.Read(make([]byte, 1))
		ended <- err
	}
	go last(conn)
	conn = nil
	for {
		select {
		case err := <-ended:
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatal(err)
			}
			return
		case <-time.After(10 * time.Millisecond):
			runtime.GC()
		}
	}
}
