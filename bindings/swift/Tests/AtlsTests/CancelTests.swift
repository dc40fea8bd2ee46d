// Cancellation by task in every phase, and that nothing is held that nobody waits for.
import Foundation
import Testing

@testable import Atls

@Suite(.timeLimit(.minutes(2)), .serialized) struct CancelTests {
    /// The exchanges of a client are over when it has none under way.
    private func settles(_ client: AttestedClient) async throws {
        for _ in 0..<1000 where client.activeRequests > 0 { try await Task.sleep(for: .milliseconds(10)) }
        #expect(client.activeRequests == 0)
    }

    /// In DNS, TCP, TLS, evidence, collateral, the wait for an answer: a moment later in each round, a new connection each time.
    @Test func aTaskCancelsInEveryPhase() async throws {
        let url = try World.url("/hang")
        for round in 0..<40 {
            let client = try World.client()
            let task = Task { try await client.get(url) }
            try await Task.sleep(for: .microseconds(round * 700))
            let begun = ContinuousClock.now
            task.cancel()
            _ = try await require(CancellationError.self) { try await task.value }
            #expect(ContinuousClock.now - begun < .seconds(5))
            try await settles(client)
        }
    }

    @Test func aTaskThatIsCanceledSendsNothing() async throws {
        let (client, url) = (try World.client(), try World.url("/small"))
        let task = Task {
            withUnsafeCurrentTask { $0?.cancel() }
            return try await client.get(url)
        }
        _ = try await require(CancellationError.self) { try await task.value }
        #expect(client.activeRequests == 0)
    }

    @Test func aTaskCancelsInTheBody() async throws {
        let client = try World.client()
        let response = try await client.send(
            Request(
                "POST", World.url("/v1/chat/completions?pause=200"), body: .text(#"{"messages":[{"content":"one two three"}]}"#)))
        let task = Task {
            var count = 0
            for try await event in response.events where event.data.contains("content") {
                count += 1
                if count == 2 { withUnsafeCurrentTask { $0?.cancel() } }
            }
            return count
        }
        _ = try await require(CancellationError.self) { try await task.value }
        try await settles(client)
    }

    @Test func aTaskCancelsAnUploadThatWaits() async throws {
        let (client, url) = (try World.client(), try World.url("/hang"))
        // Never ends: what the server does not take is not asked for.
        let endless = AsyncStream<[UInt8]> { [UInt8](repeating: 1, count: 60_000) }
        let task = Task { try await client.send(Request("POST", url, body: .stream(endless))) }
        try await Task.sleep(for: .milliseconds(400))
        task.cancel()
        _ = try await require(CancellationError.self) { try await task.value }
        try await settles(client)
    }

    @Test func anotherTaskCancels() async throws {
        let response = try await World.client().get(World.url("/bytes/300000000"))
        let task = Task { try await response.body(upTo: Int.max) }
        try await Task.sleep(for: .milliseconds(30))
        response.cancel()
        #expect(try await require(AtlsError.self) { try await task.value }.status == .canceled)
    }

    @Test func toLetGoOfAResponseCancelsIt() async throws {
        let client = try World.client()
        for try await _ in try await client.get(World.url("/bytes/300000000")).pieces { break }
        try await settles(client)
    }

    /// What the library was given to hold comes back, once each: after an end, a cancellation, a refusal, a start that failed.
    @Test func nothingIsLeftBehind() async throws {
        weak var receiver: Receiver?
        func receive(_ client: AttestedClient, _ path: String, all: Bool) async throws {
            let response = try await client.get(World.url(path))
            receiver = response.exchange.receiver
            if all { _ = try await response.body(upTo: 1_000_000) }
        }
        for all in [true, false] {
            try await receive(World.client(), all ? "/bytes/100000" : "/bytes/300000000", all: all)
            for _ in 0..<1000 where receiver != nil { try await Task.sleep(for: .milliseconds(10)) }
            #expect(receiver == nil)
        }
        let client = try World.client()
        let bad = Request("GET", try World.url("/"), headers: [("Transfer-Encoding", "chunked")])
        #expect(try await require(AtlsError.self) { try await client.send(bad) }.status.rawValue == 502)
    }

    @Test func aRequestOutlivesItsClient() async throws {
        let response = try await World.client().get(World.url("/bytes/3000000"))
        #expect(try await response.body(upTo: 3_000_000).count == 3_000_000)
    }

    /// Many more waits than the pool has threads: another request is answered all the same.
    @Test func waitingHoldsNoThread() async throws {
        var configuration = try World.configuration()
        configuration.maxRequests = 60
        let client = try AttestedClient(configuration)
        let (hang, small) = (try World.url("/hang"), try World.url("/small"))
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<40 {
                group.addTask { _ = try await require(CancellationError.self) { try await client.get(hang) } }
            }
            while client.activeRequests < 40 { try await Task.sleep(for: .milliseconds(10)) }
            #expect(try await client.get(small).body(upTo: 100).count == 100)
            group.cancelAll()
            try await group.waitForAll()
        }
        try await settles(client)
    }

    @Test func manyTasksShareAClient() async throws {
        let (client, url) = (try World.client(), try World.url("/bytes/200000"))
        let sizes = try await withThrowingTaskGroup(of: Int.self) { group in
            for _ in 0..<64 { group.addTask { try await client.get(url).body(upTo: 200_000).count } }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(sizes == Array(repeating: 200_000, count: 64))
    }
}
