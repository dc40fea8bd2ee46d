// A request under way: the program's side. To let go of it cancels it.
import CAtls

final class Exchange: Sendable {
    let receiver: Receiver
    private let handle: Handle
    private let upload: Task<Void, Never>?

    /// Starts a request; it is on its way when this returns.
    init(_ request: Request, client: Handle, queue: Handle) throws {
        let receiver = Receiver()
        let built = try request.build()
        var sink = receiver.sink(queue)
        do {
            handle = try make({ atls_exchange_free($0) }) {
                atls_client_start(client.pointer, built.pointer, &sink, $0, $1)
            }
        } catch {
            sink.drop?(sink.user_data) // the library does not, after a start that failed
            throw error
        }
        self.receiver = receiver
        upload =
            if case .stream(_, let pump) = request.body.kind {
                Task { [handle] in await Exchange.send(pump, receiver, handle) }
            } else {
                nil
            }
    }

    deinit {
        cancel() // the upload has a reference too
    }

    func cancel() {
        upload?.cancel()
        atls_exchange_cancel(handle.pointer, nil)
    }

    /// Waits for something, and cancels the exchange if the task is canceled meanwhile.
    private func wait<T: Sendable>(_ ready: @Sendable (inout Receiver.State) throws -> T?) async throws -> T {
        do {
            return try await receiver.wait(ready)
        } catch let error as CancellationError {
            cancel()
            throw error
        }
    }

    func head() async throws -> Head {
        try await wait { state in
            if let head = state.head { return head }
            try Exchange.rethrow(state)
            return nil
        }
    }

    /// The next piece of the body; nil at its end. Makes room for as much again.
    func next() async throws -> [UInt8]? {
        let pieces: [[UInt8]] = try await wait { state in
            if !state.pieces.isEmpty { return [state.pieces.removeFirst()] }
            try Exchange.rethrow(state)
            return state.end == nil ? nil : []
        }
        guard let piece = pieces.first else { return nil }
        atls_exchange_grant(handle.pointer, UInt64(piece.count), nil)
        return piece
    }

    /// After the body; nil if there were none.
    func trailers() async throws -> Head? {
        let all: [Head] = try await wait { state in
            try Exchange.rethrow(state)
            return state.end == nil ? nil : state.trailers.map { [$0] } ?? []
        }
        return all.first
    }

    var verdict: Verdict? { Verdict(atls_exchange_verdict(handle.pointer)) }
    var url: String { string(atls_exchange_url(handle.pointer)) }
    var isReused: Bool { atls_exchange_reused(handle.pointer) }
    var redirects: Int { Int(atls_exchange_redirects(handle.pointer)) }

    /// Why it ended, if that was no regular end. What made the upload cancel it counts more than that it was canceled.
    private static func rethrow(_ state: Receiver.State) throws {
        guard case .failure(let error) = state.end else { return }
        if let failure = state.failure, error.status == .canceled { throw failure }
        throw error
    }

    // MARK: the request's body

    /// Writes what the sequence yields, once the server is attested and as fast as it is taken.
    private static func send(
        _ pump: @Sendable (@Sendable ([UInt8]) async throws -> Void) async throws -> Void, _ receiver: Receiver,
        _ handle: Handle
    ) async {
        do {
            try await receiver.wait { $0.isConnected || $0.end != nil ? true : nil }
            try await pump { piece in
                for start in stride(from: 0, to: piece.count, by: 65536) {
                    try await write(Array(piece[start..<min(start + 65536, piece.count)]), receiver, handle)
                }
            }
            try attempt { atls_exchange_finish(handle.pointer, $0) }
        } catch let error as AtlsError where error.status == .closed {
            // The server has answered before it had the whole body: that is its answer.
        } catch {
            receiver.change { $0.failure = error }
            atls_exchange_cancel(handle.pointer, nil)
        }
    }

    private static func write(_ piece: [UInt8], _ receiver: Receiver, _ handle: Handle) async throws {
        while true {
            try Task.checkCancellation()
            receiver.change { $0.isWritable = false }
            var error: OpaquePointer?
            let status = piece.lend { atls_exchange_write(handle.pointer, $0, &error) }
            if status == .ATLS_OK { return }
            let failure = AtlsError(status, owned: error)
            guard status == .ATLS_AGAIN else { throw failure }
            try await receiver.wait { $0.isWritable || $0.end != nil ? true : nil }
        }
    }
}
