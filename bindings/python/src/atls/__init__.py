"""Attested TLS: prove that a server runs inside a trusted execution environment, then talk to it.

    with atls.Client(policy=pathlib.Path("policy.json")) as client:
        with client.get("https://llm.example/") as response:
            print(response.verdict, response.text())

Nothing of a request is sent before the server has satisfied the policy, and there is no way to send one without a policy.
`atls.httpx` and `atls.httpx2` have transports for those libraries.
"""

from ._native import lib as _lib
from ._native import text as _text
from ._request import AsyncContent, Content, HeaderSource
from ._settings import Proxy, Settings, Timeout, TimeoutSource
from .aio import AsyncClient, AsyncResponse
from .client import CancelToken, Client, Response
from .errors import (
    AttestationError,
    BindingMismatch,
    BodyTooLarge,
    Canceled,
    Closed,
    CollateralInvalid,
    CollateralUnavailable,
    ContentCodingError,
    DNSError,
    Error,
    EventLogInvalid,
    EvidenceBusy,
    EvidenceInvalid,
    EvidenceRefused,
    Forked,
    HTTPError,
    HTTPHeaderInvalid,
    HTTPProtocolError,
    InternalError,
    InvalidArgument,
    InvalidState,
    MeasurementMismatch,
    NetworkError,
    NoEvidence,
    NoResources,
    PolicyInvalid,
    PolicyRequired,
    QuoteInvalid,
    RedirectRefused,
    TCBRejected,
    TimedOut,
    TLSCertificateError,
    TLSError,
    TLSHandshakeError,
    TLSVersionError,
    TransportError,
    Truncated,
    TrustAnchorError,
    TunnelRefused,
    Unsupported,
    UsageError,
    WebSocketError,
)
from .headers import Headers
from .verdict import Check, Policy, PolicySource, Verdict
from .verification import Document, ExporterSession, Roots, Session, Verifier, verify

__version__ = _text(_lib.atls_version())

__all__ = [
    "AsyncClient",
    "AsyncContent",
    "AsyncResponse",
    "AttestationError",
    "BindingMismatch",
    "BodyTooLarge",
    "CancelToken",
    "Canceled",
    "Check",
    "Client",
    "Closed",
    "CollateralInvalid",
    "CollateralUnavailable",
    "Content",
    "ContentCodingError",
    "DNSError",
    "Document",
    "Error",
    "EventLogInvalid",
    "EvidenceBusy",
    "EvidenceInvalid",
    "EvidenceRefused",
    "ExporterSession",
    "Forked",
    "HTTPError",
    "HTTPHeaderInvalid",
    "HTTPProtocolError",
    "HeaderSource",
    "Headers",
    "InternalError",
    "InvalidArgument",
    "InvalidState",
    "MeasurementMismatch",
    "NetworkError",
    "NoEvidence",
    "NoResources",
    "Policy",
    "PolicyInvalid",
    "PolicyRequired",
    "PolicySource",
    "Proxy",
    "QuoteInvalid",
    "RedirectRefused",
    "Response",
    "Roots",
    "Session",
    "Settings",
    "TCBRejected",
    "TLSCertificateError",
    "TLSError",
    "TLSHandshakeError",
    "TLSVersionError",
    "TimedOut",
    "Timeout",
    "TimeoutSource",
    "TransportError",
    "Truncated",
    "TrustAnchorError",
    "TunnelRefused",
    "Unsupported",
    "UsageError",
    "Verdict",
    "Verifier",
    "WebSocketError",
    "verify",
]
