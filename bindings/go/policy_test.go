package atls_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"libatls.invalid/atls"
	"libatls.invalid/atls/atlstest"
)

// What a refused server is sent: nothing but the question for evidence.
func TestARefusedServerSeesNothing(t *testing.T) {
	sim := atlstest.Running(t)
	var seen atomic.Int64
	server := sim.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { seen.Add(1) }))
	defer server.Close()
	config := *server.Config
	config.Policy = sim.Policy("wrong-policy.json")
	refused := &atls.Transport{Config: config}
	defer refused.Close()
	for range 3 {
		source := &counted{Reader: strings.NewReader("a secret prompt")}
		_, err := refused.Client().Post(server.URL, "text/plain", source)
		failure := wantStatus(t, err, atls.MeasurementMismatch)
		if failure.Verdict() == nil || failure.Verdict().Trusted() {
			t.Fatal(failure)
		}
		if source.count() != 0 {
			t.Fatal("the body was read before the server was attested")
		}
	}
	if seen.Load() != 0 {
		t.Fatal("the server saw a request")
	}
	if response, err := server.Client().Get(server.URL); err != nil || seen.Load() != 1 {
		t.Fatal(err, seen.Load())
	} else {
		response.Body.Close()
	}
}

func TestATransportTalksToAttestedHostsOnly(t *testing.T) {
	sim := atlstest.Running(t)
	base := localhost(t, sim, "HTTP")
	for _, url := range []string{"http://" + base + "/small", "https://" + localhost(t, sim, "EVIL")} {
		if _, err := transport(t, sim).Client().Get(url); !errors.Is(err, atls.ErrAttestation) && !errors.Is(err, atls.InvalidArgument) {
			t.Fatal(url, err)
		}
	}
	config := *sim.Config()
	policy := config.Policy
	config.Policy = nil
	none := &atls.Transport{Config: config}
	defer none.Close()
	_, err := none.Client().Get("https://" + base + "/small")
	wantStatus(t, err, atls.PolicyRequired)
	one := &atls.Transport{Config: config, Policies: map[string]*atls.Policy{"localhost": policy}}
	defer one.Close()
	get(t, one.Client(), "https://"+base+"/small")
	_, err = one.Client().Get("https://127.0.0.1:1/")
	if failure := wantStatus(t, err, atls.PolicyRequired); !errors.Is(failure, atls.ErrPolicy) {
		t.Fatal(err)
	}
	for _, name := range []string{"NGINX", "TLS"} {
		t.Run(name, func(t *testing.T) {
			if _, err := transport(t, sim).Client().Get("https://" + peer(t, name)); !errors.Is(err, atls.ErrAttestation) {
				t.Fatal(err)
			}
		})
	}
}

func TestRedirectsDoNotLeaveTheOrigin(t *testing.T) {
	sim := atlstest.Running(t)
	base := "https://" + localhost(t, sim, "HTTP")
	other := sim.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "elsewhere") }))
	defer other.Close()
	client := transport(t, sim)
	if response, body := get(t, client.Client(), base+"/redirect?302,/small"); len(body) != 100 || !atls.ResponseVerdict(response).Trusted() {
		t.Fatal(body)
	}
	_, err := client.Client().Get(base + "/redirect?307," + other.URL + "/")
	wantStatus(t, err, atls.RedirectRefused)
	_, err = client.Client().Get(base + "/redirect?302,http://localhost/")
	wantStatus(t, err, atls.RedirectRefused)
	open := &atls.Transport{Config: *sim.Config(), AllowOtherOrigins: true}
	defer open.Close()
	if _, body := get(t, open.Client(), base+"/redirect?307,"+other.URL+"/"); body != "elsewhere" {
		t.Fatal(body)
	}
	if _, err := open.Client().Get(base + "/redirect?302,http://localhost:1/"); err == nil {
		t.Fatal("a redirect led out of TLS")
	}
}

func TestPoliciesNameWhatIsWrong(t *testing.T) {
	sim := atlstest.Running(t)
	json := strings.Replace(string(sim.File("policy.json")), "{", `{"colour":"green",`, 1)
	_, err := atls.NewPolicy([]byte(json))
	failure := wantStatus(t, err, atls.PolicyInvalid)
	if !strings.Contains(failure.Message, "colour") || !errors.Is(err, atls.ErrPolicy) || errors.Is(err, atls.ErrAttestation) {
		t.Fatal(err)
	}
	file := t.TempDir() + "/policy.json"
	if _, err := atls.ReadPolicy(file); !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	os.WriteFile(file, []byte("{"), 0o600)
	if _, err := atls.ReadPolicy(file); err == nil || !strings.Contains(err.Error(), file) {
		t.Fatal(err)
	}
}

func offline(sim *atlstest.Simulator) *atls.Verification {
	return &atls.Verification{
		Quote: sim.File("quote.bin"), EventLog: sim.File("log.json"), Collateral: sim.File("collateral.json"),
		Policy: sim.Policy("policy.json"), Time: time.Now(), SkipBinding: true, SimulatedRoots: sim.Roots(),
	}
}

func TestVerifyIsAFunctionOfItsInput(t *testing.T) {
	sim := atlstest.Running(t)
	verdict, err := atls.Verify(offline(sim))
	if err != nil || !verdict.Trusted() || verdict.Bound() || verdict.TCBStatus() != "UpToDate" || len(verdict.Advisories()) != 0 {
		t.Fatal(verdict, err)
	}
	var parsed struct{ Version int }
	if err := json.Unmarshal(verdict.JSON(), &parsed); err != nil || parsed.Version != 1 {
		t.Fatal(err, parsed)
	}
	if line, err := json.Marshal(map[string]any{"verdict": verdict}); err != nil || !strings.Contains(string(line), `"tdx"`) {
		t.Fatal(string(line), err)
	}
	draft, err := verdict.DraftPolicy()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := atls.NewPolicy(draft); err != nil {
		t.Fatal(string(draft), err)
	}
	if table := verdict.String(); !strings.Contains(table, "trusted: tdx") || !strings.Contains(table, "skipped") {
		t.Fatal(table)
	}
	verdict.Close()
	if _, err := verdict.DraftPolicy(); verdict.Trusted() || len(verdict.Checks()) != 0 || !errors.Is(err, atls.InvalidState) {
		t.Fatal("a closed verdict speaks")
	}

	input := offline(sim)
	input.Policy = sim.Policy("wrong-policy.json")
	verdict, err = atls.Verify(input)
	failure := wantStatus(t, err, atls.MeasurementMismatch)
	if verdict == nil || verdict.Trusted() || failure.Verdict() != verdict || failure.Check == "" || !errors.Is(err, atls.ErrAttestation) {
		t.Fatalf("%+v", failure)
	}
	input = offline(sim)
	input.Quote[700] ^= 1
	if verdict, err := atls.Verify(input); err == nil || verdict.Trusted() {
		t.Fatal("a changed quote is trusted")
	}
}

func TestVerifyRefusesWhatIsMissingOrTooMuch(t *testing.T) {
	sim := atlstest.Running(t)
	for name, change := range map[string]func(v *atls.Verification){
		"no evidence":   func(v *atls.Verification) { v.Quote = nil },
		"no policy":     func(v *atls.Verification) { v.Policy = nil },
		"no time":       func(v *atls.Verification) { v.Time = time.Time{} },
		"no session":    func(v *atls.Verification) { v.SkipBinding = false },
		"no collateral": func(v *atls.Verification) { v.Collateral = nil },
		"two forms":     func(v *atls.Verification) { v.EvidenceJSON = []byte("{}") },
		"two sessions":  func(v *atls.Verification) { v.Session = &atls.Session{} },
		"a NUL":         func(v *atls.Verification) { v.SimulatedRoots = map[string][]byte{"am\x00d": nil} },
		"another root":  func(v *atls.Verification) { v.SimulatedRoots = nil },
		"expired":       func(v *atls.Verification) { v.Time = time.Now().AddDate(80, 0, 0) },
	} {
		input := offline(sim)
		change(input)
		verdict, err := atls.Verify(input)
		if err == nil || verdict != nil && verdict.Trusted() {
			t.Fatal(name, verdict)
		}
	}
	bound := offline(sim)
	bound.SkipBinding = false
	bound.ExporterSession = &atls.ExporterSession{Nonce: make([]byte, 32), Exporter: make([]byte, 32), ServerLeaf: []byte{1}}
	if _, err := atls.Verify(bound); !errors.Is(err, atls.BindingMismatch) {
		t.Fatal(err)
	}
}

func TestAVerifierKeepsWhatItFetched(t *testing.T) {
	sim := atlstest.Running(t)
	folder := t.TempDir()
	verifier, err := atls.NewVerifier(&atls.VerifierConfig{SimulatedRoots: sim.Roots(), CacheFolder: folder, Route: &atls.Config{}})
	if err != nil {
		t.Fatal(err)
	}
	config := sim.Config()
	config.Verifier = verifier
	conn, err := atls.Dial(context.Background(), "tcp4", localhost(t, sim, "RAW"), config)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	bundle, err := verifier.Export()
	if err != nil {
		t.Fatal(err)
	}
	if files, _ := os.ReadDir(folder); len(files) == 0 {
		t.Fatal("nothing in the folder")
	}
	other := sim.Verifier()
	if taken, err := other.Import(bundle); err != nil || taken == 0 {
		t.Fatal(taken, err)
	}
	if _, err := other.Import([]byte(`{"documents":[{}]}`)); !errors.Is(err, atls.CollateralInvalid) {
		t.Fatal(err)
	}
	other.Close()
	if _, err := other.Export(); err == nil {
		t.Fatal("a closed verifier exports")
	}
}

func TestErrorsMatchWhatTheyAre(t *testing.T) {
	for _, c := range []struct {
		err  *atls.Error
		is   []error
		not  []error
		late bool
	}{
		{&atls.Error{Status: atls.TimedOut}, []error{atls.TimedOut, os.ErrDeadlineExceeded}, []error{context.DeadlineExceeded, atls.ErrAttestation}, true},
		{&atls.Error{Status: atls.Canceled}, []error{atls.Canceled}, []error{context.Canceled, os.ErrDeadlineExceeded}, false},
		{&atls.Error{Status: atls.Truncated}, []error{io.ErrUnexpectedEOF}, []error{io.EOF}, false},
		{&atls.Error{Status: atls.Closed}, []error{net.ErrClosed}, nil, false},
		{&atls.Error{Status: atls.IO, Errno: syscall.ECONNREFUSED}, []error{syscall.ECONNREFUSED, atls.IO}, []error{syscall.ECONNRESET}, false},
		{&atls.Error{Status: atls.TCBRejected}, []error{atls.ErrAttestation}, []error{atls.ErrPolicy, atls.MeasurementMismatch}, false},
		{&atls.Error{Status: atls.PolicyRequired}, []error{atls.ErrAttestation, atls.ErrPolicy}, nil, false},
		{&atls.Error{Status: atls.PolicyInvalid}, []error{atls.ErrPolicy}, []error{atls.ErrAttestation}, false},
		{&atls.Error{Status: atls.HTTPProtocol}, nil, []error{atls.ErrAttestation, atls.ErrPolicy}, false},
	} {
		wrapped := fmt.Errorf("a program's own words: %w", c.err)
		for _, target := range c.is {
			if !errors.Is(wrapped, target) {
				t.Errorf("%v is not %v", c.err, target)
			}
		}
		for _, target := range c.not {
			if errors.Is(wrapped, target) {
				t.Errorf("%v is %v", c.err, target)
			}
		}
		var timeout net.Error
		if !errors.As(wrapped, &timeout) || timeout.Timeout() != c.late {
			t.Errorf("%v: Timeout is %v", c.err, !c.late)
		}
	}
}

// Without a policy a server can be looked at, and is sent nothing; what was seen makes a policy.
func TestAServerIsMeasuredBeforeThereIsAPolicy(t *testing.T) {
	sim := atlstest.Running(t)
	config := sim.Config()
	sources := fmt.Sprintf(`"collateral":{"sources":["http://127.0.0.1:%d"]}`, sim.Port("PCCS"))
	settings := `{"allow_simulated":true,` + sources + `}`
	var err error
	if config.Policy, err = atls.NewMeasuringPolicy([]byte(settings)); err != nil {
		t.Fatal(err)
	}
	_, err = atls.Dial(context.Background(), "tcp", localhost(t, sim, "RAW"), config)
	failure := wantStatus(t, err, atls.OnlyMeasured)
	draft, err := failure.Verdict().DraftPolicy()
	if err != nil || !errors.Is(failure, atls.ErrAttestation) {
		t.Fatal(err)
	}
	claims := map[string]string{}
	for _, claim := range failure.Verdict().Claims() {
		claims[claim.Name] = claim.Value
	}
	if claims["measurements.mrtd"] != strings.Repeat("11", 48) {
		t.Fatal(claims)
	}
	draft = []byte(strings.Replace(string(draft), "{", "{"+sources+",", 1))
	if config.Policy, err = atls.NewPolicy(draft); err != nil {
		t.Fatal(string(draft), err)
	}
	conn, err := atls.Dial(context.Background(), "tcp", localhost(t, sim, "RAW"), config)
	if err != nil {
		t.Fatal(string(draft), err)
	}
	conn.Close()
}
