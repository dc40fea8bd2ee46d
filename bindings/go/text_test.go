package atls_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"libatls.invalid/atls"
	"libatls.invalid/atls/atlstest"
)

// NULL is "none" to the library: a text that is refused must never become one, or a connection would go another way than it was told to.
func TestATextWithANULIsRefusedBeforeAnythingIsSent(t *testing.T) {
	sim := atlstest.Running(t)
	for name, spoil := range map[string]func(config *atls.Config){
		"Tunnel":       func(config *atls.Config) { config.Tunnel = "wss://forwarder.invalid/\x00" },
		"Proxy":        func(config *atls.Config) { config.Proxy = "http://proxy.invalid/\x00" },
		"password":     func(config *atls.Config) { config.Proxy = "http://user:%00@proxy.invalid/" },
		"LocalAddress": func(config *atls.Config) { config.LocalAddress = "lo\x00" },
		"ServerName":   func(config *atls.Config) { config.ServerName = "localhost\x00" },
		"RootsPEM":     func(config *atls.Config) { config.RootsPEM = append(config.RootsPEM, 0) },
		"ConnectTo":    func(config *atls.Config) { config.ConnectTo = map[string]string{"a:1": "b\x00:1"} },
		"path":         func(config *atls.Config) { config.Evidence = []atls.Evidence{atls.DstackAgent("/agent\x00.sock")} },
		"metadata URL": func(config *atls.Config) { config.Evidence = []atls.Evidence{atls.AzureVTPM("", "http://a\x00")} },
		"kind":         func(config *atls.Config) { config.Evidence = []atls.Evidence{atls.EvidenceFunc("tdx\x00", nil)} },
		"KeyPEM":       func(config *atls.Config) { config.CertificatePEM, config.KeyPEM = []byte("c"), []byte("k\x00") },
	} {
		config := sim.Config()
		spoil(config)
		conn, err := atls.Dial(context.Background(), "tcp", localhost(t, sim, "RAW"), config)
		if err == nil {
			conn.Close()
			t.Errorf("%s: connected", name)
			continue
		}
		if failure := wantStatus(t, err, atls.InvalidArgument); !strings.Contains(failure.Message, name) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := atls.NewVerifier(&atls.VerifierConfig{Route: config}); !errors.Is(err, atls.InvalidArgument) {
			t.Errorf("%s of a route: %v", name, err)
		}
	}
	if _, err := atls.Dial(context.Background(), "tcp", "local\x00host:1", sim.Config()); !errors.Is(err, atls.InvalidArgument) {
		t.Error(err)
	}
}

func TestOtherTextsWithANULAreRefused(t *testing.T) {
	sim := atlstest.Running(t)
	for _, config := range []*atls.VerifierConfig{
		{CacheFolder: "/tmp/a\x00b"}, {RootsPEM: []byte("a\x00")}, {SimulatedRoots: map[string][]byte{"amd\x00": sim.File("root.der")}},
	} {
		if _, err := atls.NewVerifier(config); !errors.Is(err, atls.InvalidArgument) || !strings.Contains(err.Error(), "NUL") {
			t.Errorf("%v: %v", config, err)
		}
	}
	server := &atls.Server{CertificatePEM: sim.File("peer.pem"), KeyPEM: sim.File("peer-key.pem"), Names: []string{"a\x00"}}
	if err := server.ListenAndServe("127.0.0.1:0"); !errors.Is(err, atls.InvalidArgument) || !strings.Contains(err.Error(), "NUL") {
		t.Error(err)
	}
	base := "https://" + localhost(t, sim, "HTTP")
	for name, spoil := range map[string]func(request *http.Request){
		"Method":       func(request *http.Request) { request.Method = "GE\x00T" },
		"Host":         func(request *http.Request) { request.Host = "localhost\x00" },
		"URL":          func(request *http.Request) { request.URL.RawQuery = "a\x00b" },
		"header field": func(request *http.Request) { request.Header["A\x00"] = []string{"b"} },
	} {
		request, _ := http.NewRequest("GET", base+"/small", nil)
		spoil(request)
		if _, err := transport(t, sim).RoundTrip(request); !errors.Is(err, atls.InvalidArgument) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	question := offline(sim)
	question.EvidenceJSON, question.Quote, question.EventLog = nil, nil, nil
	question.Document, question.Format = []byte("{}"), "x\x00"
	if _, err := atls.Verify(question); !errors.Is(err, atls.InvalidArgument) || !strings.Contains(err.Error(), "NUL") {
		t.Error(err)
	}
}
