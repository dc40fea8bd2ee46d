// Failures: what kind, in words, and the verdict if a server was refused.
import CAtls

/// What kind of failure; the numbers of atls.h. Later versions add some: go by the hundred of one that you do not know.
public struct Status: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
    public let rawValue: Int32

    public init(rawValue: Int32) {
        self.rawValue = rawValue
    }

    init(_ status: atls_status) {
        rawValue = status.rawValue
    }

    public var description: String {
        atls_status(rawValue: rawValue).map { string(atls_status_name($0)) } ?? "UNKNOWN"
    }

    /// 4xx: the server did not prove what the policy wants.
    public var isAttestation: Bool { rawValue / 100 == 4 }

    public static let invalidArgument = Status(.ATLS_INVALID_ARGUMENT)
    public static let invalidState = Status(.ATLS_INVALID_STATE)
    public static let closed = Status(.ATLS_CLOSED)
    public static let unsupported = Status(.ATLS_UNSUPPORTED)
    public static let policyInvalid = Status(.ATLS_POLICY_INVALID)
    public static let internalError = Status(.ATLS_INTERNAL)
    public static let io = Status(.ATLS_IO)
    public static let dns = Status(.ATLS_DNS)
    public static let timedOut = Status(.ATLS_TIMED_OUT)
    public static let canceled = Status(.ATLS_CANCELED)
    public static let truncated = Status(.ATLS_TRUNCATED)
    public static let tlsHandshake = Status(.ATLS_TLS_HANDSHAKE)
    public static let tlsCertificate = Status(.ATLS_TLS_CERTIFICATE)
    public static let noEvidence = Status(.ATLS_NO_EVIDENCE)
    public static let evidenceInvalid = Status(.ATLS_EVIDENCE_INVALID)
    public static let quoteInvalid = Status(.ATLS_QUOTE_INVALID)
    public static let tcbRejected = Status(.ATLS_TCB_REJECTED)
    public static let measurementMismatch = Status(.ATLS_MEASUREMENT_MISMATCH)
    public static let bindingMismatch = Status(.ATLS_BINDING_MISMATCH)
    public static let collateralUnavailable = Status(.ATLS_COLLATERAL_UNAVAILABLE)
    public static let trustAnchor = Status(.ATLS_TRUST_ANCHOR)
    public static let policyRequired = Status(.ATLS_POLICY_REQUIRED)
    public static let httpProtocol = Status(.ATLS_HTTP_PROTOCOL)
    public static let bodyTooLarge = Status(.ATLS_BODY_TOO_LARGE)
}

/// A failure of the library. That of a task which was canceled is a `CancellationError` instead.
public struct AtlsError: Error, Sendable, CustomStringConvertible {
    public let status: Status
    /// One sentence with all causes.
    public let message: String
    /// Where it failed: "dns", "connect", "tls", "evidence", "verify" and so on; "" if that is not known.
    public let phase: String
    /// The exact cause if one status covers several (ATLS_DETAIL_* of atls.h), else 0.
    public let detail: UInt32
    /// The verdict that refused the server; nil if none was reached.
    public let verdict: Verdict?
    /// Whether the same call may succeed later without a change.
    public let isRetryable: Bool
    public let httpStatus: Int

    /// Name of the first check that failed; nil without a verdict.
    public var check: String? { verdict?.checks.first { $0.outcome == .fail }?.name }

    public var description: String { "\(status): \(message)" }

    /// Takes over `owned`.
    init(_ status: atls_status, owned error: OpaquePointer?) {
        self.init(status, borrowed: error)
        atls_error_free(error)
    }

    init(_ status: atls_status, borrowed error: OpaquePointer?) {
        self.status = Status(status)
        let text = string(atls_error_message(error))
        message = text.isEmpty ? string(atls_status_name(status)) : text
        phase = string(atls_error_phase(error))
        detail = atls_error_detail(error).rawValue
        verdict = Verdict(atls_verdict_ref(atls_error_verdict(error)))
        isRetryable = atls_error_retryable(error)
        httpStatus = Int(atls_error_http_status(error))
    }

    init(_ status: Status, _ message: String) {
        self.status = status
        self.message = message
        phase = ""
        detail = 0
        verdict = nil
        isRetryable = false
        httpStatus = 0
    }
}
