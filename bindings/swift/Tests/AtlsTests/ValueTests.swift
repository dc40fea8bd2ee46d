// What needs no connection: policies, errors, durations, offline verification.
import Foundation
import Testing

@testable import Atls

@Suite struct ValueTests {
    @Test func aWrongPolicyNamesTheField() throws {
        let error = try require(AtlsError.self) { try Policy(json: "{}") }
        #expect(error.status == .policyInvalid && error.message.contains("policy.type") && error.verdict == nil)
        #expect(error.description.hasPrefix("POLICY_INVALID: ") && !error.status.isAttestation)
    }

    @Test func textWithANulIsRefused() throws {
        var request = Request("GET", "https://evil.example\0.llm.example/")
        let error = try require(AtlsError.self) { try request.build() }
        #expect(error.status == .invalidArgument && error.message == "url: has a NUL byte")
        request = Request("GET", "https://llm.example/", headers: [("X\0Y", "1")])
        #expect(throws: AtlsError.self) { try request.build() }
        #expect(throws: AtlsError.self) { try Verifier(rootsPEM: ["a\0b"]) }
    }

    @Test func durationsRoundUpAndNeverBecomeTheDefault() {
        #expect(Duration.zero.milliseconds == 1 && Duration.seconds(-5).milliseconds == 1)
        #expect(Duration.nanoseconds(1).milliseconds == 1 && Duration.microseconds(1500).milliseconds == 2)
        #expect(Duration.seconds(3).milliseconds == 3000 && Duration.seconds(Int64.max / 2).milliseconds == UInt32.max - 1)
    }

    @Test func statusesThatAreNotKnownAreNumbers() {
        #expect(Status(rawValue: 4999).description == "UNKNOWN" && Status(rawValue: 204) == .canceled)
        #expect(Status.measurementMismatch.isAttestation && "\(Status.timedOut)" == "TIMED_OUT")
    }

    @Test func aVerdictHasItsChecksAndADraft() throws {
        var question = Verification(
            evidence: .quote(try World.file("quote.bin"), eventLog: try World.file("log.json")),
            policy: try Policy(json: World.file("policy.json")), binding: .skipped,
            time: UInt64(Date().timeIntervalSince1970), collateral: try World.file("collateral.json"),
            simulated: try World.roots)
        let good = try question.verify()
        #expect(good.isTrusted && !good.isBoundToSession && good.trustAnchor == "simulated" && good.tcbStatus == "UpToDate")
        #expect(good.json.contains("\"version\"") && good.teeType == "tdx" && good.advisories.isEmpty)
        #expect(try good.draftPolicy().contains("\"type\""))
        question.policy = try Policy(json: World.file("wrong-policy.json"))
        let bad = try question.verify()
        // No response is handed out under any but a favourable one.
        try Response.admit(good)
        for verdict in [bad, nil] {
            #expect(try require(AtlsError.self) { try Response.admit(verdict) }.status == .internalError)
        }
        #expect(!bad.isTrusted && bad.status == .measurementMismatch)
        #expect(bad.checks.filter { $0.outcome == .fail }.map(\.name) == ["bootchain"])
        question.collateral = nil
        let error = try require(AtlsError.self) { try question.verify() }
        #expect(error.status == .invalidState)
    }
}

/// `#require(throws:)` of later versions of swift-testing: the error, for a closer look.
func require<E: Error, R>(_ type: E.Type, _ body: () throws -> R) throws -> E {
    do {
        _ = try body()
    } catch let error as E {
        return error
    }
    throw World.Missing(what: "no \(type) was thrown")
}

func require<E: Error, R>(_ type: E.Type, _ body: () async throws -> R) async throws -> E {
    do {
        _ = try await body()
    } catch let error as E {
        return error
    }
    throw World.Missing(what: "no \(type) was thrown")
}
