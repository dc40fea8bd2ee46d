// Against the simulator: answers, refusals, bodies both ways.
import Foundation
import Testing

@testable import Atls

@Suite(.timeLimit(.minutes(2))) struct ClientTests {
    @Test func anAttestedAnswerComesWhole() async throws {
        let client = try World.client()
        let response = try await client.get(World.url("/early"))
        let verdict = try #require(response.verdict)
        #expect(verdict.isTrusted && verdict.isBoundToSession && response.status == 200 && !response.isReused)
        #expect(response.header("x-CASE") == "Kept" && response.headers.first?.name == "X-Case")
        #expect(try await response.text(upTo: 100) == "body")
        #expect(try await response.trailers().map(\.value) == ["end"])
        let url = try World.url("/early")
        #expect(response.url == url)
        let second = try await client.get(World.url("/small"))
        #expect(try await second.body(upTo: 100).count == 100 && second.isReused)
    }

    @Test func aRefusedServerIsThrownWithItsChecks() async throws {
        let error = try await require(AtlsError.self) { try await World.client("wrong-policy.json").get(World.url("/small")) }
        #expect(error.status == .measurementMismatch && error.status.isAttestation && error.check == "bootchain")
        #expect(error.verdict?.isTrusted == false && error.phase == "verify")
        let evil = try await require(AtlsError.self) { try await World.client().get(World.url("/small", server: "EVIL")) }
        #expect(evil.check == "report_data")
    }

    @Test func withoutAPolicyNothingIsSent() async throws {
        let error = try await require(AtlsError.self) { try await World.client(nil).get(World.url("/small")) }
        #expect(error.status == .policyRequired)
        let plain = try World.url("/small").replacingOccurrences(of: "https:", with: "http:")
        for policy in [nil, "policy.json"] {
            let error = try await require(AtlsError.self) { try await World.client(policy).get(plain) }
            #expect(error.status == .policyRequired, "\(error)")
        }
        var configuration = try World.configuration(nil)
        configuration.policies = ["localhost": try Policy(json: World.file("policy.json"))]
        let response = try await AttestedClient(configuration).get(World.url("/small"))
        #expect(response.verdict?.isTrusted == true)
    }

    @Test func bodiesStreamBothWaysUnchanged() async throws {
        let pieces = (0..<20).map { World.noise(1000 + $0 * 1777, seed: UInt32($0)) } + [World.noise(300_000, seed: 99)]
        let stream = AsyncStream<[UInt8]> { continuation in
            for piece in pieces { continuation.yield(piece) }
            continuation.finish()
        }
        let response = try await World.client().send(Request("POST", World.url("/echo"), body: .stream(stream)))
        #expect(try await response.body(upTo: 10_000_000) == Array(pieces.joined()))
        let known = Request("POST", try World.url("/sink"), body: .bytes(World.noise(300_000, seed: 1)))
        #expect(try await World.client().send(known).text(upTo: 10) == "300000")
    }

    struct Broken: Error {}

    @Test func whatABodyThrowsIsThrownByTheRequest() async throws {
        let stream = AsyncThrowingStream<[UInt8], any Error> { continuation in
            continuation.yield([1, 2, 3])
            continuation.finish(throwing: Broken())
        }
        let client = try World.client()
        _ = try await require(Broken.self) {
            try await client.send(Request("POST", World.url("/sink"), body: .stream(stream)))
        }
        // One that is shorter than it was said to be is not sent as if it were whole, and one that is longer neither.
        for length: UInt64 in [10, 2] {
            let body = AsyncStream<[UInt8]> { continuation in
                continuation.yield([1, 2, 3])
                continuation.finish()
            }
            let error = try await require(AtlsError.self) {
                try await client.send(Request("POST", World.url("/sink"), body: .stream(body, length: length), headTimeout: .seconds(20)))
            }
            #expect(error.status == .invalidState, "\(error)")
        }
    }

    @Test func bytesLinesAndEventsAreReadAsTheyAre() async throws {
        let client = try World.client()
        var number = 0
        for try await line in try await client.get(World.url("/numbers")).lines {
            #expect(Int(line) == number)
            number += 1
        }
        #expect(number == 20_000)
        let response = try await client.send(Request("POST", World.url("/echo"), body: .text("a\r\n\nb\rc\n\r\nlast")))
        var lines: [String] = []
        for try await line in response.lines { lines.append(line) }
        #expect(lines == ["a", "", "b\rc", "", "last"])
        var sum = 0
        for try await byte in try await client.get(World.url("/bytes/5000")).bytes { sum += Int(byte) }
        #expect(sum == 5000 * 0x5a)
        let text = ": hi\nevent: x\ndata: 1\ndata:2\nid: 7\n\ndata\n\n\nretry: 3\n\ndata: cut off"
        var events: [ServerSentEvent] = []
        for try await event in try await client.send(Request("POST", World.url("/echo"), body: .text(text))).events {
            events.append(event)
        }
        #expect(
            events == [ServerSentEvent(event: "x", data: "1\n2", id: "7"), ServerSentEvent(event: "message", data: "", id: "7")])
    }

    /// As bytes, whatever characters they are part of.
    @Test(arguments: ["\n", "\r", "\r\n"]) func eventsAreParsedByBytes(_ end: String) async throws {
        let text = ["\u{FEFF}data:\u{301}x", "data: \u{200D}y", "event:\u{301}", "id:\u{FE0F}", "", "data:  two", "data\u{301}:no", "", ""]
        let body = Request.Body.text(text.joined(separator: end))
        var events: [ServerSentEvent] = []
        for try await event in try await World.client().send(Request("POST", World.url("/echo"), body: body)).events {
            events.append(event)
        }
        #expect(events.map { [UInt8]($0.data.utf8) } == ["\u{301}x\n\u{200D}y", " two"].map { [UInt8]($0.utf8) })
        #expect(events.map(\.event) == ["\u{301}", "message"] && events.map(\.id) == ["\u{FE0F}", "\u{FE0F}"])
    }

    @Test func aWindowThatReceivesNothingIsRefused() async throws {
        var configuration = try World.configuration()
        configuration.receiveWindow = 0
        let error = try require(AtlsError.self) { try AttestedClient(configuration) }
        #expect(error.status == .invalidArgument && error.message.contains("receiveWindow"))
        configuration.receiveWindow = 1
        #expect(try await AttestedClient(configuration).get(World.url("/small")).body(upTo: 100).count == 100)
    }

    @Test func timeRunsOut() async throws {
        var request = Request("GET", try World.url("/hang"), headTimeout: .milliseconds(300))
        let client = try World.client()
        #expect(try await require(AtlsError.self) { try await client.send(request) }.status == .timedOut)
        request.url = try World.url("/bytes/1000")
        request.headTimeout = nil
        let response = try await client.send(request)
        #expect(try await require(AtlsError.self) { try await response.body(upTo: 999) }.status == .bodyTooLarge)
        request.maxResponseBody = 500
        let error = try await require(AtlsError.self) { try await client.send(request).body(upTo: 10_000) }
        #expect(error.status == .bodyTooLarge)
    }

    @Test func aBodyThatIsCutShortIsAnError() async throws {
        let response = try await World.client().get(World.url("/cut"))
        let error = try await require(AtlsError.self) { try await response.body(upTo: 10_000) }
        #expect(error.status == .truncated || error.status == .httpProtocol)
    }

    @Test func aSlowReaderHoldsTheServerBack() async throws {
        let response = try await World.client().get(World.url("/bytes/300000000"))
        let before = try residentPages()
        for try await _ in response.pieces {
            try await Task.sleep(for: .milliseconds(700))
            break
        }
        let grown = (try residentPages() - before) * 4096
        #expect(grown < 40_000_000, "\(grown) bytes")
        var count = 0
        for try await piece in response.pieces {
            count += piece.count
            if count > 5_000_000 { break }
        }
        #expect(count > 5_000_000)
    }

    private func residentPages() throws -> Int {
        let text = try String(contentsOfFile: "/proc/self/statm", encoding: .utf8)
        return try World.found(Int(text.split(separator: " ")[1]), "statm")
    }
}
