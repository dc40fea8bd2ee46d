// What a server must prove, and what it has shown.
import CAtls

/// What a server must prove (docs/policy.md). Immutable.
public struct Policy: Sendable {
    let handle: Handle

    /// Throws POLICY_INVALID with the path of the field that is wrong.
    public init(json: [UInt8]) throws(AtlsError) {
        handle = try make({ atls_policy_free($0) }) { out, error in json.lend { atls_policy_new($0, out, error) } }
    }

    public init(json: String) throws(AtlsError) {
        try self.init(json: [UInt8](json.utf8))
    }
}

/// One line of a verdict.
public struct Check: Sendable, Hashable {
    public enum Outcome: Sendable, Hashable {
        case pass
        case fail
        /// Not judged: the policy does not require it, or nothing was left to judge.
        case skipped
    }

    public let name: String
    public let expected: String
    public let actual: String
    public let outcome: Outcome
}

/// The result of judging evidence. Immutable.
public struct Verdict: Sendable {
    let handle: Handle

    init?(_ owned: OpaquePointer?) {
        guard let owned else { return nil }
        handle = Handle(owned) { atls_verdict_free($0) }
    }

    init(_ handle: Handle) {
        self.handle = handle
    }

    /// Whether all mandatory checks ran and every check that ran passed.
    public var isTrusted: Bool { atls_verdict_trusted(handle.pointer) }
    public var status: Status { Status(atls_verdict_status(handle.pointer)) }
    public var teeType: String { string(atls_verdict_tee_type(handle.pointer)) }
    public var tcbStatus: String { string(atls_verdict_tcb_status(handle.pointer)) }
    public var trustAnchor: String { string(atls_verdict_trust_anchor(handle.pointer)) }
    public var isBoundToSession: Bool { atls_verdict_bound_to_session(handle.pointer) }
    /// As docs/verdict.md describes it.
    public var json: String { string(atls_verdict_json(handle.pointer)) }

    public var advisories: [String] {
        (0..<atls_verdict_advisory_count(handle.pointer)).map { string(atls_verdict_advisory(handle.pointer, $0)) }
    }

    public var checks: [Check] {
        (0..<atls_verdict_check_count(handle.pointer)).map { index in
            let outcome: Check.Outcome =
                switch atls_verdict_check_outcome(handle.pointer, index) {
                case .ATLS_CHECK_PASS: .pass
                case .ATLS_CHECK_SKIPPED: .skipped
                default: .fail // also one of a later version: never better than it is
                }
            return Check(
                name: string(atls_verdict_check_name(handle.pointer, index)),
                expected: string(atls_verdict_check_expected(handle.pointer, index)),
                actual: string(atls_verdict_check_actual(handle.pointer, index)),
                outcome: outcome)
        }
    }

    /// A draft that pins what was seen, as JSON. What was seen is not what ought to run: read atls_verdict_draft_policy().
    public func draftPolicy() throws(AtlsError) -> String {
        let json = try makeBytes { atls_verdict_draft_policy(handle.pointer, $0, $1) }
        return String(decoding: json, as: UTF8.self)
    }
}
