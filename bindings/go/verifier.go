package atls

// #include "shim.h"
import "C"

import "unsafe"

// VerifierConfig says whom a Verifier trusts, and how it reaches the vendors' services. The zero value is what programs need.
type VerifierConfig struct {
	// RootsPEM are further roots for the HTTPS of the services.
	RootsPEM []byte
	// CacheFolder also keeps documents in a folder, for other processes and later runs.
	CacheFolder string
	// Route is how the services are reached; by default they are reached by the route of the connection whose evidence is judged.
	Route *Config
	// SimulatedRoots are for tests: evidence must lead to these roots, by vendor ("intel", "amd", "aws", ..), instead of the vendor's own. PEM, or DER for
	// "intel". Each policy must consent with "allow_simulated".
	SimulatedRoots map[string][]byte
}

// Verifier keeps the vendors' documents (collateral) for all that share it: each is fetched once, refreshed before it expires, and never used after that.
// Any number of goroutines may use it.
type Verifier struct{ held *reference }

// NewVerifier makes one; config may be nil.
func NewVerifier(config *VerifierConfig) (*Verifier, error) {
	if config == nil {
		config = &VerifierConfig{}
	}
	s := &setup{}
	defer s.free()
	var trust *C.atls_verifier_config
	var verifier *C.atls_verifier
	s.do(func(failure **C.atls_error) C.atls_status { return C.atls_verifier_config_new(&trust, failure) })
	defer func() { C.atls_verifier_config_free(trust) }()
	config.fill(s, trust)
	s.do(func(failure **C.atls_error) C.atls_status { return C.atls_verifier_new(trust, &verifier, failure) })
	if s.err != nil {
		return nil, s.err
	}
	held := newReference(unsafe.Pointer(verifier), func(p unsafe.Pointer) { C.atls_verifier_free((*C.atls_verifier)(p)) })
	made := &Verifier{held}
	collect(made, held)
	return made, nil
}

func (c *VerifierConfig) fill(s *setup, trust *C.atls_verifier_config) {
	if len(c.RootsPEM) > 0 {
		pem := s.text("RootsPEM", string(c.RootsPEM))
		s.do(func(failure **C.atls_error) C.atls_status {
			return C.atls_verifier_config_add_root_pem(trust, pem, failure)
		})
	}
	for vendor, root := range c.SimulatedRoots {
		name := s.text("vendor", vendor)
		s.do(func(failure **C.atls_error) C.atls_status {
			if vendor == "intel" {
				return C.atls_verifier_config_set_simulated_root(trust, bytesOf(der(root)), failure)
			}
			return C.atls_verifier_config_add_simulated_root(trust, name, bytesOf(root), failure)
		})
	}
	if c.CacheFolder != "" {
		folder := s.text("CacheFolder", c.CacheFolder)
		s.do(func(failure **C.atls_error) C.atls_status {
			return C.atls_verifier_config_set_disk_cache(trust, folder, failure)
		})
	}
	if c.Route != nil && s.err == nil {
		route, err := c.Route.build("", 0, C.ATLS_FAMILY_ANY)
		if err != nil {
			s.err = err
			return
		}
		defer C.atls_config_free(route)
		s.do(func(failure **C.atls_error) C.atls_status {
			return C.atls_verifier_config_set_route(trust, route, failure)
		})
	}
}

// Export returns all documents as one JSON object, for a machine that cannot reach the vendor.
func (v *Verifier) Export() ([]byte, error) {
	s := &setup{}
	var bundle *C.atls_buf
	v.use(s, func(verifier *C.atls_verifier, failure **C.atls_error) C.atls_status {
		return C.atls_verifier_export(verifier, &bundle, failure)
	})
	if s.err != nil {
		return nil, s.err
	}
	return goBytes(bundle), nil
}

// Import takes the documents of a bundle that are newer than those already held; it returns how many. A bundle with one bad document changes nothing.
func (v *Verifier) Import(bundle []byte) (int, error) {
	s := &setup{}
	var taken C.size_t
	v.use(s, func(verifier *C.atls_verifier, failure **C.atls_error) C.atls_status {
		return C.atls_verifier_import(verifier, bytesOf(bundle), &taken, failure)
	})
	return int(taken), s.err
}

// Close lets the verifier go. Connections that use it keep it.
func (v *Verifier) Close() error {
	v.held.close()
	return nil
}

func (v *Verifier) use(s *setup, call func(verifier *C.atls_verifier, failure **C.atls_error) C.atls_status) {
	alive := v.held.with(func(object unsafe.Pointer) {
		s.do(func(failure **C.atls_error) C.atls_status { return call((*C.atls_verifier)(object), failure) })
	})
	if !alive {
		s.fail("the verifier is closed")
	}
}
