package atls

// #include "shim.h"
import "C"

import (
	"encoding/pem"
	"time"
)

// Verification is what Verify judges. Set one of the four forms of evidence; a policy; a time; and Session, ExporterSession or SkipBinding, unless the
// evidence came in a certificate.
type Verification struct {
	// EvidenceJSON is evidence as protocol exporter-v1 or the answer to POST /tdx_quote has it.
	EvidenceJSON []byte
	// Document is evidence as another stack stores it; Format says which, as atls_verification_set_evidence_document() names them.
	Document []byte
	Format   string
	// Quote is a binary quote, with the JSON of its event log if it has one.
	Quote, EventLog []byte
	// Certificate carries its evidence itself (RA-TLS): DER or PEM.
	Certificate []byte

	// Collateral are the vendor's documents: Verifier.Export, or one set in the form of dcap-qvl.
	Collateral []byte
	// Policy is what the evidence must satisfy.
	Policy *Policy
	// Time is when to judge: the vendor's documents must be valid then. It must be given: Verify reads no clock.
	Time time.Time

	// Session is the TLS session that the evidence must be bound to, by protocol atlas-v1.
	Session *Session
	// ExporterSession is the same for protocol exporter-v1.
	ExporterSession *ExporterSession
	// SkipBinding judges evidence by itself. Never decide by it whether to talk to a server: anybody can replay evidence.
	SkipBinding bool

	// SimulatedRoots are for tests, as those of VerifierConfig.
	SimulatedRoots map[string][]byte
}

// Session is what evidence of protocol atlas-v1 is bound to. docs/protocol.md has the labels.
type Session struct {
	Nonce, Exporter []byte // 32 bytes each
	Leaf            []byte // the server's certificate, DER
}

// ExporterSession is what evidence of protocol exporter-v1 is bound to.
type ExporterSession struct {
	ClientProves           bool   // rather than the server
	Nonce, Exporter        []byte // 32 bytes each
	ServerLeaf, ClientLeaf []byte // DER; no client certificate is none
	ServerName             string
}

// Verify judges evidence: pure, without network and clock. The error is nil only if the evidence is trusted. If it is not, the error says why, and the
// verdict is returned too; it is nil if no verdict was reached.
func Verify(v *Verification) (*Verdict, error) {
	s := &setup{}
	defer s.free()
	var input *C.atls_verification
	s.do(func(failure **C.atls_error) C.atls_status { return C.atls_verification_new(&input, failure) })
	defer func() { C.atls_verification_free(input) }()
	v.evidence(s, input)
	v.session(s, input)
	v.terms(s, input)
	var made *C.atls_verdict
	s.do(func(failure **C.atls_error) C.atls_status { return C.atls_verify(input, &made, failure) })
	if s.err != nil {
		return nil, s.err
	}
	verdict := newVerdict(made)
	return verdict, refusal(verdict)
}

// refusal is the error that goes with a verdict; nil if that is trusted.
func refusal(verdict *Verdict) error {
	if verdict.Trusted() {
		return nil
	}
	status := ask(verdict, func(verdict *C.atls_verdict) Status { return Status(C.atls_verdict_status(verdict)) })
	err := &Error{Status: status, Phase: "verify", TLSAlert: -1, Message: "the evidence is not trusted", verdict: verdict}
	for _, check := range verdict.Checks() {
		if check.Outcome == Fail {
			err.Check = check.Name
			err.Message = check.Name + ": expected " + check.Expected + ", found " + check.Actual
			break
		}
	}
	return err
}

func (v *Verification) evidence(s *setup, input *C.atls_verification) {
	given := 0
	form := func(data []byte, call func(failure **C.atls_error) C.atls_status) {
		if len(data) > 0 {
			given++
			s.do(call)
		}
	}
	form(v.EvidenceJSON, func(failure **C.atls_error) C.atls_status {
		return C.atls_verification_set_evidence_json(input, bytesOf(v.EvidenceJSON), failure)
	})
	format := s.text("Format", v.Format)
	form(v.Document, func(failure **C.atls_error) C.atls_status {
		return C.atls_verification_set_evidence_document(input, format, bytesOf(v.Document), failure)
	})
	form(v.Quote, func(failure **C.atls_error) C.atls_status {
		return C.atls_verification_set_quote(input, bytesOf(v.Quote), bytesOf(v.EventLog), failure)
	})
	form(v.Certificate, func(failure **C.atls_error) C.atls_status {
		return C.atls_verification_set_ra_tls_certificate(input, bytesOf(v.Certificate), failure)
	})
	if given > 1 {
		s.fail("several forms of evidence are set")
	}
}

func (v *Verification) session(s *setup, input *C.atls_verification) {
	given := 0
	if session := v.Session; session != nil {
		given++
		s.do(func(failure **C.atls_error) C.atls_status {
			nonce, exporter := bytesOf(session.Nonce), bytesOf(session.Exporter)
			return C.atls_verification_set_session(input, nonce, exporter, bytesOf(session.Leaf), failure)
		})
	}
	if session := v.ExporterSession; session != nil {
		given++
		side := C.atls_attester(C.ATLS_ATTESTER_SERVER)
		if session.ClientProves {
			side = C.ATLS_ATTESTER_CLIENT
		}
		name := s.optional("ServerName", session.ServerName)
		s.do(func(failure **C.atls_error) C.atls_status {
			return C.atls_verification_set_exporter_session(input, side, bytesOf(session.Nonce), bytesOf(session.Exporter),
				bytesOf(session.ServerLeaf), bytesOf(session.ClientLeaf), name, failure)
		})
	}
	if v.SkipBinding {
		given++
		s.do(func(failure **C.atls_error) C.atls_status { return C.atls_verification_skip_binding(input, failure) })
	}
	if given > 1 {
		s.fail("several of Session, ExporterSession and SkipBinding are set")
	}
}

func (v *Verification) terms(s *setup, input *C.atls_verification) {
	if v.Policy != nil {
		v.Policy.use(s, func(policy *C.atls_policy, failure **C.atls_error) C.atls_status {
			return C.atls_verification_set_policy(input, policy, failure)
		})
	}
	if len(v.Collateral) > 0 {
		s.do(func(failure **C.atls_error) C.atls_status {
			return C.atls_verification_set_collateral_json(input, bytesOf(v.Collateral), failure)
		})
	}
	if seconds := v.Time.Unix(); !v.Time.IsZero() && seconds > 0 {
		s.do(func(failure **C.atls_error) C.atls_status {
			return C.atls_verification_set_time(input, C.uint64_t(seconds), failure)
		})
	}
	for vendor, root := range v.SimulatedRoots {
		name := s.text("vendor", vendor)
		s.do(func(failure **C.atls_error) C.atls_status {
			if vendor == "intel" {
				return C.atls_verification_set_simulated_root(input, bytesOf(der(root)), failure)
			}
			return C.atls_verification_add_simulated_root(input, name, bytesOf(root), failure)
		})
	}
}

// der is a certificate in DER, which may be given in PEM.
func der(certificate []byte) []byte {
	if block, _ := pem.Decode(certificate); block != nil {
		return block.Bytes
	}
	return certificate
}
