package atls

// #include "shim.h"
import "C"

import (
	"math"
	"time"
)

// build makes the library's configuration, which is the caller's to free.
func (s *Server) build() (*C.atls_server_config, error) {
	set := &setup{}
	defer set.free()
	var config *C.atls_server_config
	set.do(func(failure **C.atls_error) C.atls_status { return C.atls_server_config_new(&config, failure) })
	chain, key := set.text("CertificatePEM", string(s.CertificatePEM)), set.text("KeyPEM", string(s.KeyPEM))
	set.do(func(failure **C.atls_error) C.atls_status {
		return C.atls_server_config_set_certificate(config, chain, key, failure)
	})
	set.do(func(failure **C.atls_error) C.atls_status {
		return C.atls_server_config_set_credit(config, credit, false, failure)
	})
	for _, source := range s.Evidence {
		source.server(set, config)
	}
	for _, name := range s.Names {
		text := set.text("name", name)
		set.do(func(failure **C.atls_error) C.atls_status {
			return C.atls_server_config_add_name(config, text, failure)
		})
	}
	s.clients(set, config)
	s.limits(set, config)
	if set.err != nil {
		C.atls_server_config_free(config)
		return nil, set.err
	}
	return config, nil
}

func (s *Server) clients(set *setup, config *C.atls_server_config) {
	if len(s.ClientRootsPEM) > 0 {
		roots := set.text("ClientRootsPEM", string(s.ClientRootsPEM))
		set.do(func(failure **C.atls_error) C.atls_status {
			return C.atls_server_config_set_client_roots(config, roots, C.bool(s.RequireCertificate), failure)
		})
	} else if s.RequireCertificate {
		set.fail("RequireCertificate without ClientRootsPEM")
	}
	switch {
	case s.ClientPolicy == nil && s.ClientVerifier == nil:
	case s.ClientPolicy == nil:
		set.fail("ClientVerifier without ClientPolicy")
	case s.ClientVerifier == nil:
		set.fail("ClientPolicy without ClientVerifier")
	default:
		s.ClientPolicy.use(set, func(policy *C.atls_policy, _ **C.atls_error) C.atls_status {
			s.ClientVerifier.use(set, func(verifier *C.atls_verifier, failure **C.atls_error) C.atls_status {
				return C.atls_server_config_set_client_policy(config, policy, verifier, failure)
			})
			return C.ATLS_OK
		})
	}
}

func (s *Server) limits(set *setup, config *C.atls_server_config) {
	limit := func(which C.atls_server_limit, value int64) {
		if value == 0 {
			return
		}
		set.do(func(failure **C.atls_error) C.atls_status {
			return C.atls_server_config_set_limit(config, which, C.uint64_t(value), failure)
		})
	}
	deadline := func(which C.atls_server_deadline, d time.Duration) {
		set.do(func(failure **C.atls_error) C.atls_status {
			return C.atls_server_config_set_deadline(config, which, millis(d), failure)
		})
	}
	body := s.MaxBodyBytes
	if body < 0 {
		body = math.MaxInt64
	}
	limit(C.ATLS_SERVER_LIMIT_BODY_BYTES, body)
	limit(C.ATLS_SERVER_LIMIT_HEAD_BYTES, int64(s.MaxHeaderBytes))
	limit(C.ATLS_SERVER_LIMIT_CONNECTIONS, int64(s.MaxConns))
	deadline(C.ATLS_SERVER_DEADLINE_HANDSHAKE, s.HandshakeTimeout)
	deadline(C.ATLS_SERVER_DEADLINE_HEAD, s.ReadHeaderTimeout)
	deadline(C.ATLS_SERVER_DEADLINE_IDLE, s.IdleTimeout)
	deadline(C.ATLS_SERVER_DEADLINE_BODY, s.BodyTimeout)
	deadline(C.ATLS_SERVER_DEADLINE_SEND, s.WriteTimeout)
}
