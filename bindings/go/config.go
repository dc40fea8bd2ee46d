package atls

// #include "shim.h"
import "C"

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"runtime/cgo"
	"strconv"
	"time"
	"unsafe"
)

// Config says what a server must prove, and by which way it is reached. Everything but the policy has a default. There are no unattested
// connections: for those there is net/http. Do not change a Config once it is in use.
type Config struct {
	// Policy is what the server must prove.
	Policy *Policy
	// Verifier keeps the vendor's documents for all connections that share it. Without one, each connection fetches its own.
	Verifier *Verifier

	// ServerName is the name to check the certificate against, and to send, if it is not the host's. Dial only.
	ServerName string
	// RootsPEM are further root certificates for TLS.
	RootsPEM []byte
	// NoWebRoots leaves out the built-in Mozilla set.
	NoWebRoots bool
	// PlatformRoots trusts the roots of the operating system too.
	PlatformRoots bool
	// CertificatePEM and KeyPEM are shown to servers that ask for a client certificate.
	CertificatePEM, KeyPEM []byte

	// Evidence proves this side to servers that ask. At most one source of each kind.
	Evidence []Evidence

	// ConnectTimeout bounds resolving, TCP and tunnel, TLSTimeout the TLS handshake, 20 seconds each by default.
	ConnectTimeout, TLSTimeout time.Duration
	// Timeout bounds connecting as a whole, attestation included: 90 seconds by default. Negative is no limit.
	Timeout time.Duration

	// Proxy is "http://..", "socks5://.." or "socks5h://..", with user and password if there are any. TLS is end to end.
	Proxy string
	// Tunnel is a WebSocket forwarder, "ws://.." or "wss://..".
	Tunnel string
	// LocalAddress is the address, or the interface, that connections go out from.
	LocalAddress string
	// ConnectTo maps "host:port" to another "host:port" to connect to. TLS and HTTP still go by the former.
	ConnectTo map[string]string
	// Resolve replaces the system's resolver. It runs on goroutines of its own and may wait; an answer that comes too late is discarded.
	Resolve func(host string) ([]netip.Addr, error)
}

// build makes the library's configuration, which is the caller's to free. family is 0, 4 or 6.
func (c *Config) build(host string, port uint16, family C.atls_family) (*C.atls_config, error) {
	s := &setup{}
	defer s.free()
	var config *C.atls_config
	name := s.optional("host", host)
	s.do(func(failure **C.atls_error) C.atls_status {
		return C.atls_config_new(name, C.uint16_t(port), &config, failure)
	})
	c.attestation(s, config)
	c.tls(s, config)
	c.route(s, config)
	s.do(func(failure **C.atls_error) C.atls_status {
		return C.atls_config_set_family(config, family, failure)
	})
	s.do(func(failure **C.atls_error) C.atls_status {
		return C.atls_config_set_timeouts(config, millis(c.ConnectTimeout), millis(c.TLSTimeout), failure)
	})
	s.do(func(failure **C.atls_error) C.atls_status {
		return C.atls_config_set_deadline(config, millis(c.Timeout), failure)
	})
	s.do(func(failure **C.atls_error) C.atls_status {
		return C.atls_config_set_credit(config, credit, false, failure)
	})
	if s.err != nil {
		C.atls_config_free(config)
		return nil, s.err
	}
	return config, nil
}

func (c *Config) attestation(s *setup, config *C.atls_config) {
	if c.Policy != nil {
		c.Policy.use(s, func(policy *C.atls_policy, failure **C.atls_error) C.atls_status {
			return C.atls_config_set_policy(config, policy, failure)
		})
	}
	if c.Verifier != nil {
		c.Verifier.use(s, func(verifier *C.atls_verifier, failure **C.atls_error) C.atls_status {
			return C.atls_config_set_verifier(config, verifier, failure)
		})
	}
	for _, source := range c.Evidence {
		source.client(s, config)
	}
}

func (c *Config) tls(s *setup, config *C.atls_config) {
	if c.ServerName != "" {
		name := s.text("ServerName", c.ServerName)
		s.do(func(failure **C.atls_error) C.atls_status {
			return C.atls_config_set_server_name(config, name, failure)
		})
	}
	if len(c.RootsPEM) > 0 {
		pem := s.text("RootsPEM", string(c.RootsPEM))
		s.do(func(failure **C.atls_error) C.atls_status {
			return C.atls_config_add_root_pem(config, pem, failure)
		})
	}
	s.do(func(failure **C.atls_error) C.atls_status {
		return C.atls_config_set_roots(config, C.bool(!c.NoWebRoots), C.bool(c.PlatformRoots), failure)
	})
	if len(c.CertificatePEM) > 0 || len(c.KeyPEM) > 0 {
		chain, key := s.text("CertificatePEM", string(c.CertificatePEM)), s.text("KeyPEM", string(c.KeyPEM))
		s.do(func(failure **C.atls_error) C.atls_status {
			return C.atls_config_set_client_certificate(config, chain, key, failure)
		})
	}
}

func (c *Config) route(s *setup, config *C.atls_config) {
	if c.Tunnel != "" {
		tunnel := s.text("Tunnel", c.Tunnel)
		s.do(func(failure **C.atls_error) C.atls_status {
			return C.atls_config_set_tunnel(config, tunnel, failure)
		})
	}
	if c.Proxy != "" {
		c.proxy(s, config)
	}
	if c.LocalAddress != "" {
		address := s.text("LocalAddress", c.LocalAddress)
		s.do(func(failure **C.atls_error) C.atls_status {
			return C.atls_config_set_bind(config, address, failure)
		})
	}
	for from, to := range c.ConnectTo {
		host, port := hostPort(s, "ConnectTo", from)
		other, otherPort := hostPort(s, "ConnectTo", to)
		s.do(func(failure **C.atls_error) C.atls_status {
			return C.atls_config_map_host(config, host, port, other, otherPort, failure)
		})
	}
	if c.Resolve != nil {
		s.do(func(failure **C.atls_error) C.atls_status {
			return C.atlsgo_config_set_resolver(config, C.uintptr_t(cgo.NewHandle(c.Resolve)), failure)
		})
	}
}

func (c *Config) proxy(s *setup, config *C.atls_config) {
	parsed, err := url.Parse(c.Proxy)
	if err != nil {
		s.fail("Proxy is not a URL") // the error would show the password
		return
	}
	var user, password *C.char
	if parsed.User != nil {
		secret, _ := parsed.User.Password()
		user, password = s.text("the proxy's user", parsed.User.Username()), s.text("the proxy's password", secret)
		parsed.User = nil
	}
	address := s.text("Proxy", parsed.String())
	s.do(func(failure **C.atls_error) C.atls_status {
		return C.atls_config_set_proxy(config, address, user, password, C.ATLS_AUTH_BASIC, failure)
	})
}

// hostPort takes "host:port" apart.
func hostPort(s *setup, what, address string) (*C.char, C.uint16_t) {
	host, text, err := net.SplitHostPort(address)
	port, portErr := strconv.ParseUint(text, 10, 16)
	if err != nil || portErr != nil || host == "" || port == 0 {
		s.fail(fmt.Sprintf("%s %q is not host:port", what, address))
	}
	return s.text(what, host), C.uint16_t(port)
}

//export atlsgoResolve
func atlsgoResolve(handle C.uintptr_t, host *C.char, addresses *C.atls_addresses) C.int32_t {
	resolve := cgo.Handle(handle).Value().(func(string) ([]netip.Addr, error))
	found, err := resolve(C.GoString(host))
	if err != nil {
		return 1
	}
	for _, address := range found {
		text := C.CString(address.WithZone("").Unmap().String())
		status := C.atls_addresses_add(addresses, text, nil)
		C.free(unsafe.Pointer(text))
		if status != C.ATLS_OK {
			return 2
		}
	}
	return 0
}

//export atlsgoDrop
func atlsgoDrop(handle C.uintptr_t) { cgo.Handle(handle).Delete() }
