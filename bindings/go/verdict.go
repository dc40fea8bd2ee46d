package atls

// #include "shim.h"
import "C"

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"unsafe"
)

// Policy says what a peer must prove about its hardware and its software. Immutable; any number of goroutines may use it.
type Policy struct{ held *reference }

// NewPolicy parses and validates a policy document (docs/policy.md). Errors name the field and the bad value.
func NewPolicy(json []byte) (*Policy, error) {
	return newPolicy(func(policy **C.atls_policy, failure **C.atls_error) C.atls_status {
		return C.atls_policy_new(bytesOf(json), policy, failure)
	})
}

func newPolicy(call func(policy **C.atls_policy, failure **C.atls_error) C.atls_status) (*Policy, error) {
	var policy *C.atls_policy
	err := checked(func(failure **C.atls_error) C.atls_status { return call(&policy, failure) })
	if err != nil {
		return nil, err
	}
	held := newReference(unsafe.Pointer(policy), func(p unsafe.Pointer) { C.atls_policy_free((*C.atls_policy)(p)) })
	made := &Policy{held}
	collect(made, held)
	return made, nil
}

// NewMeasuringPolicy makes a policy that nothing satisfies, to see what a server is before there is a policy for it: Dial under it sends no data and always
// fails, with OnlyMeasured if nothing else is wrong. The error's Verdict then drafts a policy. settings may be nil; it is a JSON object with any of the
// members binding, identity, collateral, ra_tls and allow_simulated of a policy.
func NewMeasuringPolicy(settings []byte) (*Policy, error) {
	return newPolicy(func(policy **C.atls_policy, failure **C.atls_error) C.atls_status {
		return C.atls_policy_new_measuring(bytesOf(settings), policy, failure)
	})
}

// ReadPolicy is NewPolicy for a file.
func ReadPolicy(file string) (*Policy, error) {
	json, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	policy, err := NewPolicy(json)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return policy, nil
}

// Close lets the policy go. Connections that were made under it keep it. What is started with a closed policy fails.
func (p *Policy) Close() error {
	p.held.close()
	return nil
}

// use lends the policy to a call of s.
func (p *Policy) use(s *setup, call func(policy *C.atls_policy, failure **C.atls_error) C.atls_status) {
	alive := p.held.with(func(object unsafe.Pointer) {
		s.do(func(failure **C.atls_error) C.atls_status { return call((*C.atls_policy)(object), failure) })
	})
	if !alive {
		s.fail("the policy is closed")
	}
}

// Outcome is that of one check.
type Outcome uint32

const (
	// Pass: the evidence satisfies the check.
	Pass Outcome = C.ATLS_CHECK_PASS
	// Fail: it does not.
	Fail Outcome = C.ATLS_CHECK_FAIL
	// Skipped: not judged; Check.Actual says why.
	Skipped Outcome = C.ATLS_CHECK_SKIPPED
)

func (o Outcome) String() string {
	switch o {
	case Pass:
		return "pass"
	case Skipped:
		return "skipped"
	}
	return "FAIL"
}

// Check is one line of a verdict.
type Check struct {
	Name             string
	Expected, Actual string
	Outcome          Outcome
}

// Verdict is the result of judging evidence. Immutable; any number of goroutines may use it.
type Verdict struct{ held *reference }

// newVerdict takes over a reference; nil for NULL.
func newVerdict(verdict *C.atls_verdict) *Verdict {
	if verdict == nil {
		return nil
	}
	held := newReference(unsafe.Pointer(verdict), func(p unsafe.Pointer) { C.atls_verdict_free((*C.atls_verdict)(p)) })
	made := &Verdict{held}
	collect(made, held)
	return made
}

// Close lets the verdict go before it is collected. A closed one is not trusted and has no checks.
func (v *Verdict) Close() error {
	v.held.close()
	return nil
}

func ask[T any](v *Verdict, question func(verdict *C.atls_verdict) T) (answer T) {
	if v != nil {
		v.held.with(func(object unsafe.Pointer) { answer = question((*C.atls_verdict)(object)) })
	}
	return answer
}

// Trusted says whether all mandatory checks ran and every check that ran passed; false for nil.
func (v *Verdict) Trusted() bool {
	return ask(v, func(verdict *C.atls_verdict) bool { return bool(C.atls_verdict_trusted(verdict)) })
}

// TEE is the kind of TEE that the evidence is about, for example "tdx" or "snp".
func (v *Verdict) TEE() string {
	return ask(v, func(verdict *C.atls_verdict) string { return goString(C.atls_verdict_tee_type(verdict)) })
}

// TCBStatus is that of the platform, for example "UpToDate"; "" if there is none.
func (v *Verdict) TCBStatus() string {
	return ask(v, func(verdict *C.atls_verdict) string { return goString(C.atls_verdict_tcb_status(verdict)) })
}

// Anchor is the root that the evidence must lead to: "intel", "amd" and so on, or "simulated" in tests.
func (v *Verdict) Anchor() string {
	return ask(v, func(verdict *C.atls_verdict) string { return goString(C.atls_verdict_trust_anchor(verdict)) })
}

// Bound says whether the evidence was checked to belong to the TLS session.
func (v *Verdict) Bound() bool {
	return ask(v, func(verdict *C.atls_verdict) bool { return bool(C.atls_verdict_bound_to_session(verdict)) })
}

// Advisories lists the security advisories that apply to the platform, for example "INTEL-SA-00960".
func (v *Verdict) Advisories() []string {
	return ask(v, func(verdict *C.atls_verdict) (all []string) {
		for i := range C.atls_verdict_advisory_count(verdict) {
			all = append(all, goString(C.atls_verdict_advisory(verdict, i)))
		}
		return all
	})
}

// Checks lists what was checked, in order. For a measurement, Actual is what runs there.
func (v *Verdict) Checks() []Check {
	return ask(v, func(verdict *C.atls_verdict) (all []Check) {
		for i := range C.atls_verdict_check_count(verdict) {
			all = append(all, Check{
				Name:     goString(C.atls_verdict_check_name(verdict, i)),
				Expected: goString(C.atls_verdict_check_expected(verdict, i)),
				Actual:   goString(C.atls_verdict_check_actual(verdict, i)),
				Outcome:  Outcome(C.atls_verdict_check_outcome(verdict, i)),
			})
		}
		return all
	})
}

// Claim is what authentic evidence says: Name is the path in the JSON of the verdict, for example "measurements.rtmr1".
type Claim struct{ Name, Value string }

// Claims lists what the evidence says of the machine and of what runs there, acceptable or not; none if it is not authentic. Values may be texts of the
// machine's own: escape them before you show them.
func (v *Verdict) Claims() []Claim {
	return ask(v, func(verdict *C.atls_verdict) (all []Claim) {
		for i := range C.atls_verdict_claim_count(verdict) {
			name, value := C.atls_verdict_claim_name(verdict, i), C.atls_verdict_claim_value(verdict, i)
			all = append(all, Claim{goString(name), goString(value)})
		}
		return all
	})
}

// JSON is the whole verdict, measurements included (docs/verdict.md).
func (v *Verdict) JSON() []byte {
	return ask(v, func(verdict *C.atls_verdict) []byte { return []byte(goString(C.atls_verdict_json(verdict))) })
}

// MarshalJSON is JSON, so that a verdict can be a member of a log line.
func (v *Verdict) MarshalJSON() ([]byte, error) {
	if json := v.JSON(); len(json) > 0 {
		return json, nil
	}
	return []byte("null"), nil
}

// String is a table of the checks, for people. What the machine says of itself is escaped where a terminal would obey it.
func (v *Verdict) String() string {
	var text strings.Builder
	for _, check := range v.Checks() {
		fmt.Fprintf(&text, "%-7s  %-24s %s\n", check.Outcome, check.Name, escaped(check.Actual))
	}
	word := "NOT TRUSTED"
	if v.Trusted() {
		word = "trusted"
	}
	fmt.Fprintf(&text, "%s: %s, root %s, TCB %q", word, v.TEE(), v.Anchor(), v.TCBStatus())
	return text.String()
}

func escaped(text string) string {
	quoted := strconv.QuoteToGraphic(text)
	return strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
}

// DraftPolicy drafts a policy that pins all that was measured, trusted or refused. It is a draft: what was seen is not what ought to run, and the draft
// is only as good as the moment at which it was seen.
func (v *Verdict) DraftPolicy() ([]byte, error) {
	var json *C.atls_buf
	err := error(&Error{Status: InvalidState, Phase: "call", Message: "the verdict is closed", TLSAlert: -1})
	v.held.with(func(object unsafe.Pointer) {
		err = checked(func(failure **C.atls_error) C.atls_status {
			return C.atls_verdict_draft_policy((*C.atls_verdict)(object), &json, failure)
		})
	})
	if err != nil {
		return nil, err
	}
	return goBytes(json), nil
}
