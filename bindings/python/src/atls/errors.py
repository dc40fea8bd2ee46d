"""Exceptions: one class for each status of the library, under one for each hundred."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._native import ffi, lib, own, text

if TYPE_CHECKING:
    from .verdict import Verdict


class Error(Exception):
    """A failure. Its text is one sentence with all causes."""

    status: int = 0

    def __init__(self, message: str, *, status: int | None = None, phase: str = "", detail: int = 0) -> None:
        super().__init__(message)
        if status is not None:
            self.status = status
        #: Where it failed: "call", "queue", "dns", "connect", "tunnel", "tls", "evidence", "collateral", "verify" or "transfer".
        self.phase = phase
        #: The exact cause if one status covers several (ATLS_DETAIL_*), else 0.
        self.detail = detail
        #: The verdict that refused the peer; None if none was reached.
        self.verdict: Verdict | None = None
        self._check: str | None = None
        #: Whether the same call may succeed later without any change by the caller.
        self.retryable = False
        #: `errno` of the system call that failed, else 0.
        self.os_errno = 0
        #: The HTTP status that caused the error, else 0.
        self.http_status = 0
        #: The TLS alert, -1 if there was none.
        self.tls_alert = -1

    @property
    def status_name(self) -> str:
        """For example "BINDING_MISMATCH"."""
        return text(lib.atls_status_name(self.status))

    @property
    def check(self) -> str | None:
        """The name of the first check that failed, for example "report_data"; None if no verdict was reached."""
        failed = self.verdict.failed if self.verdict is not None else None
        return failed.name if failed is not None else self._check

    def __reduce__(self) -> Any:
        # A verdict is a handle of this process; another one gets the name of the check.
        return type(self), self.args, {**self.__dict__, "verdict": None, "_check": self.check}


class UsageError(Error):
    """1xx: the call was wrong."""


class TransportError(Error):
    """2xx: the system, the network or time."""


class TLSError(Error):
    """3xx: TLS."""


class AttestationError(Error):
    """4xx: the server did not prove what the policy requires. Nothing of the request was sent to it."""

    def __str__(self) -> str:
        message = super().__str__()
        return message if self.check is None or self.check in message else f"{message} (check {self.check})"


class HTTPError(Error):
    """5xx: HTTP, a proxy or a tunnel."""


class InternalError(Error):
    """9xx: a defect of the library."""


class InvalidArgument(UsageError):
    """An argument has an impossible value."""

    status = 102


class InvalidState(UsageError):
    """Not possible in the current state."""

    status = 104


class Closed(UsageError):
    """The client or the response is closed."""

    status = 106


class Forked(UsageError):
    """The process forked after the library was started, and the child cannot use it."""

    status = 107


class Unsupported(UsageError):
    """Known, but not part of this version."""

    status = 109


class PolicyInvalid(UsageError):
    """The policy document is invalid; the text has the path of the field."""

    status = 111


class NetworkError(TransportError):
    """A system call on a socket failed."""

    status = 201


class DNSError(TransportError):
    """The host name could not be resolved."""

    status = 202


class TimedOut(TransportError):
    """A deadline passed."""

    status = 203


class Canceled(TransportError):
    """Canceled by the program."""

    status = 204


class Truncated(TransportError):
    """The connection ended in the middle of a message."""

    status = 205


class NoResources(TransportError):
    """The system had no thread or random numbers to give."""

    status = 206


class TLSHandshakeError(TLSError):
    status = 301


class TLSCertificateError(TLSError):
    """The certificate is not acceptable: chain, dates or name."""

    status = 302


class TLSVersionError(TLSError):
    """The server does not support TLS 1.3."""

    status = 303


class NoEvidence(AttestationError):
    """The server gave no evidence."""

    status = 401


class EvidenceInvalid(AttestationError):
    """The evidence cannot be parsed."""

    status = 402


class QuoteInvalid(AttestationError):
    """The quote's signatures do not lead to the trust anchor."""

    status = 403


class TCBRejected(AttestationError):
    """The platform is revoked, or its TCB is not one that the policy accepts."""

    status = 404


class MeasurementMismatch(AttestationError):
    """What runs there is not what the policy names."""

    status = 405


class BindingMismatch(AttestationError):
    """The evidence does not belong to this session."""

    status = 406


class EventLogInvalid(AttestationError):
    """The event log contradicts itself or the quote."""

    status = 407


class CollateralUnavailable(AttestationError):
    """No collateral source answered."""

    status = 408


class CollateralInvalid(AttestationError):
    """A document of the vendor is expired, rolled back or not signed by the vendor."""

    status = 409


class TrustAnchorError(AttestationError):
    """A simulated root without both opt-ins."""

    status = 410


class PolicyRequired(AttestationError):
    """No policy covers the host."""

    status = 411


class EvidenceRefused(AttestationError):
    """The server refused this side's evidence."""

    status = 412


class EvidenceBusy(AttestationError):
    """The server can give evidence, but was too busy for it."""

    status = 413


class OnlyMeasured(AttestationError):
    """The policy only measures, and so accepts nothing; the verdict says what was seen."""

    status = 414


class HTTPProtocolError(HTTPError):
    """The server's HTTP/1.1 is malformed."""

    status = 501


class HTTPHeaderInvalid(HTTPError):
    """A header field of the request is not allowed."""

    status = 502


class RedirectRefused(HTTPError):
    """A redirect would leave an attested origin."""

    status = 503


class ContentCodingError(HTTPError):
    """A content coding that was not asked for, or that cannot be decoded."""

    status = 504


class BodyTooLarge(HTTPError):
    status = 505


class TunnelRefused(HTTPError):
    """The tunnel or proxy refused the target."""

    status = 510


class WebSocketError(HTTPError):
    """The WebSocket under a tunnel broke its protocol."""

    status = 511


_BY_STATUS: dict[int, type[Error]] = {
    kind.status: kind for parent in (UsageError, TransportError, TLSError, AttestationError, HTTPError) for kind in parent.__subclasses__()
}
_BY_HUNDRED: dict[int, type[Error]] = {
    1: UsageError,
    2: TransportError,
    3: TLSError,
    4: AttestationError,
    5: HTTPError,
    9: InternalError,
}


def class_of(status: int) -> type[Error]:
    """The class for a status; for one that is not known, that of its hundred."""
    return _BY_STATUS.get(status) or _BY_HUNDRED.get(status // 100, Error)


def from_native(status: int, error: Any) -> Error:
    """The exception for a status and its atls_error, which may be None."""
    kind = class_of(status)
    if error is None:
        return kind(text(lib.atls_status_name(status)), status=status)
    made = kind(
        text(lib.atls_error_message(error)),
        status=status,
        phase=text(lib.atls_error_phase(error)),
        detail=lib.atls_error_detail(error),
    )
    made.retryable = bool(lib.atls_error_retryable(error))
    made.os_errno = lib.atls_error_os_errno(error)
    made.http_status = lib.atls_error_http_status(error)
    made.tls_alert = lib.atls_error_tls_alert(error)
    verdict = lib.atls_error_verdict(error)
    if verdict != ffi.NULL:
        from .verdict import Verdict

        made.verdict = Verdict._adopt(own(lib.atls_verdict_ref(verdict), lib.atls_verdict_free))
    return made
