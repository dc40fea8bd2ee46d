package atls

// #include "shim.h"
import "C"

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
)

// Status says what kind of failure it was. Its numbers never change; go by the hundred of one that you do not know: 1xx the call was wrong, 2xx system
// or time, 3xx TLS, 4xx attestation, 5xx HTTP or tunnel, 9xx a defect of the library. A Status is an error itself, for errors.Is:
//
//	errors.Is(err, atls.MeasurementMismatch)
type Status int32

// The statuses that errors of this package have. The header, atls.h, explains each.
const (
	InvalidArgument       Status = C.ATLS_INVALID_ARGUMENT
	InvalidState          Status = C.ATLS_INVALID_STATE
	Closed                Status = C.ATLS_CLOSED
	Unsupported           Status = C.ATLS_UNSUPPORTED
	PolicyInvalid         Status = C.ATLS_POLICY_INVALID
	IO                    Status = C.ATLS_IO
	DNS                   Status = C.ATLS_DNS
	TimedOut              Status = C.ATLS_TIMED_OUT
	Canceled              Status = C.ATLS_CANCELED
	Truncated             Status = C.ATLS_TRUNCATED
	NoResources           Status = C.ATLS_NO_RESOURCES
	TLSHandshake          Status = C.ATLS_TLS_HANDSHAKE
	TLSCertificate        Status = C.ATLS_TLS_CERTIFICATE
	TLSVersion            Status = C.ATLS_TLS_VERSION
	NoEvidence            Status = C.ATLS_NO_EVIDENCE
	EvidenceInvalid       Status = C.ATLS_EVIDENCE_INVALID
	QuoteInvalid          Status = C.ATLS_QUOTE_INVALID
	TCBRejected           Status = C.ATLS_TCB_REJECTED
	MeasurementMismatch   Status = C.ATLS_MEASUREMENT_MISMATCH
	BindingMismatch       Status = C.ATLS_BINDING_MISMATCH
	EventLogInvalid       Status = C.ATLS_EVENT_LOG_INVALID
	CollateralUnavailable Status = C.ATLS_COLLATERAL_UNAVAILABLE
	CollateralInvalid     Status = C.ATLS_COLLATERAL_INVALID
	TrustAnchor           Status = C.ATLS_TRUST_ANCHOR
	PolicyRequired        Status = C.ATLS_POLICY_REQUIRED
	EvidenceRefused       Status = C.ATLS_EVIDENCE_REFUSED
	EvidenceBusy          Status = C.ATLS_EVIDENCE_BUSY
	OnlyMeasured          Status = C.ATLS_ONLY_MEASURED
	HTTPProtocol          Status = C.ATLS_HTTP_PROTOCOL
	HTTPHeaderInvalid     Status = C.ATLS_HTTP_HEADER_INVALID
	RedirectRefused       Status = C.ATLS_REDIRECT_REFUSED
	ContentCoding         Status = C.ATLS_CONTENT_CODING
	TunnelRefused         Status = C.ATLS_TUNNEL_REFUSED
	Internal              Status = C.ATLS_INTERNAL
)

// String returns the name, for example "TIMED_OUT".
func (s Status) String() string { return goString(C.atls_status_name(C.atls_status(s))) }

func (s Status) Error() string { return "atls: " + s.String() }

var (
	// ErrAttestation matches each error by which a peer was not trusted: all statuses of 4xx. No data was sent to it.
	ErrAttestation = errors.New("atls: the peer is not attested")
	// ErrPolicy matches errors of policies: one that is invalid, one that is missing, and evidence that does not satisfy it.
	ErrPolicy = errors.New("atls: the policy is not satisfied")
)

// Error is a failure, with everything that is known about it. Errors of Dial, Transport, Server, Verify and so on wrap one.
type Error struct {
	Status Status
	// Detail is the exact cause if one status covers several: ATLS_DETAIL_* of atls.h; else 0.
	Detail uint32
	// Phase is where it failed: "call", "queue", "dns", "connect", "tunnel", "tls", "evidence", "collateral", "verify" or "transfer".
	Phase string
	// Message is one sentence with all causes.
	Message string
	// Check is the name of the first check that failed, if the peer's evidence was judged.
	Check string
	// Errno is that of the system call that failed, or 0.
	Errno syscall.Errno
	// TLSAlert is the number of the alert, or -1.
	TLSAlert int
	// HTTPStatus is the one that caused the error, or 0.
	HTTPStatus int
	// Retryable says whether the same call may succeed later.
	Retryable bool
	// Peer is the address of the other end, if a server refused it.
	Peer string

	verdict *Verdict
	causes  []error
}

func (e *Error) Error() string {
	if e.Status == 0 {
		return "atls: " + e.Message
	}
	return fmt.Sprintf("atls: %s: %s", e.Status.String(), e.Message)
}

// Verdict is the one that refused the peer; nil if its evidence was not judged.
func (e *Error) Verdict() *Verdict { return e.verdict }

// Unwrap gives the system's error, or the error of the context that ended the operation.
func (e *Error) Unwrap() []error {
	if e.Errno != 0 {
		return append([]error{e.Errno}, e.causes...)
	}
	return e.causes
}

// Is matches a Status, ErrAttestation, ErrPolicy, and the errors that Go's own packages have for the same: os.ErrDeadlineExceeded, io.ErrUnexpectedEOF
// and net.ErrClosed. context.Canceled and context.DeadlineExceeded match if a context ended the operation.
func (e *Error) Is(target error) bool {
	switch target {
	case ErrAttestation:
		return e.Status >= 400 && e.Status < 500
	case ErrPolicy:
		judged := e.verdict != nil && !e.verdict.Trusted()
		return e.Status == PolicyInvalid || e.Status == PolicyRequired || judged
	case os.ErrDeadlineExceeded:
		return e.Status == TimedOut && len(e.causes) == 0
	case io.ErrUnexpectedEOF:
		return e.Status == Truncated
	case net.ErrClosed:
		return e.Status == Closed
	}
	status, ok := target.(Status)
	return ok && status == e.Status
}

// Timeout is of net.Error: a deadline passed, whether the library's, the context's or one that was set on the connection.
func (e *Error) Timeout() bool { return e.Status == TimedOut }

// Temporary is of net.Error.
func (e *Error) Temporary() bool { return e.Retryable }

var _ net.Error = (*Error)(nil)

// checked makes a call of the library and turns its failure into an error.
func checked(call func(failure **C.atls_error) C.atls_status) error {
	var failure *C.atls_error
	status := call(&failure)
	if status == C.ATLS_OK {
		return nil
	}
	defer C.atls_error_free(failure)
	return failureOf(status, failure)
}

// failureOf copies an error that belongs to the library, which may be NULL.
func failureOf(status C.atls_status, failure *C.atls_error) *Error {
	err := &Error{Status: Status(status), TLSAlert: -1}
	if failure == nil {
		err.Message = err.Status.String()
		return err
	}
	err.Detail = uint32(C.atls_error_detail(failure))
	err.Phase = goString(C.atls_error_phase(failure))
	err.Message = goString(C.atls_error_message(failure))
	err.Errno = syscall.Errno(C.atls_error_os_errno(failure))
	err.TLSAlert = int(C.atls_error_tls_alert(failure))
	err.HTTPStatus = int(C.atls_error_http_status(failure))
	err.Retryable = bool(C.atls_error_retryable(failure))
	err.Peer = goString(C.atls_error_peer(failure))
	if judged := C.atls_error_verdict(failure); judged != nil {
		err.verdict = newVerdict(C.atls_verdict_ref(judged))
		for _, check := range err.verdict.Checks() {
			if check.Outcome == Fail {
				err.Check = check.Name
				break
			}
		}
	}
	return err
}

// contextError is the error of an operation that its context ended.
func contextError(ctx context.Context, what string) *Error {
	err := &Error{Status: Canceled, Phase: "call", TLSAlert: -1, causes: []error{ctx.Err()}}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		err.Status = TimedOut
	}
	cause := context.Cause(ctx)
	if cause != ctx.Err() {
		err.causes = append(err.causes, cause)
	}
	err.Message = fmt.Sprintf("%s: %v", what, cause)
	return err
}
