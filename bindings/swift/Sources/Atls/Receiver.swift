// The library's side of an exchange: what its events have brought, and who waits for more.
import CAtls
import Synchronization

/// A response head or trailers.
struct Head: Sendable {
    let status: Int
    let fields: [(name: String, value: String)]

    init(_ head: OpaquePointer) {
        status = Int(atls_head_status(head))
        fields = (0..<atls_head_count(head)).map { (string(atls_head_name(head, $0)), string(atls_head_value(head, $0))) }
    }
}

/// Kept alive by the operation until its last event, whether or not the program still wants it. It never refers to the handle,
/// so to let go of that cancels.
final class Receiver: Sendable {
    struct State {
        var isConnected = false
        var head: Head?
        var trailers: Head?
        var pieces: [[UInt8]] = []
        var isWritable = false
        /// Set by the last event.
        var end: Result<Void, AtlsError>?
        /// What the sequence of the request's body threw.
        var failure: (any Error)?
        fileprivate var waiters: [UInt64: CheckedContinuation<Void, any Error>] = [:]
        fileprivate var nextWaiter: UInt64 = 0
        fileprivate var changes: UInt64 = 0
    }

    // Holds: a waiter is in `waiters` only while what it waits for is not there; whoever changes the state takes all of them
    // out under the lock and resumes them after it.
    private let state = Mutex(State())

    /// Where the events of an operation go: `user_data` of the sink is a retained receiver.
    func sink(_ queue: Handle) -> atls_sink {
        atls_sink(
            queue: queue.pointer, token: 0,
            call: { user, event in
                Unmanaged<Receiver>.fromOpaque(user!).takeUnretainedValue().receive(event.pointee)
            },
            user_data: Unmanaged.passRetained(self).toOpaque(),
            drop: { Unmanaged<Receiver>.fromOpaque($0!).release() })
    }

    /// On a thread of the library. Copies what it needs; the wait is elsewhere.
    private func receive(_ event: atls_event) {
        switch event.kind {
        case .ATLS_EVENT_CONNECTED: change { $0.isConnected = true }
        case .ATLS_EVENT_WRITABLE: change { $0.isWritable = true }
        case .ATLS_EVENT_HEAD:
            let head = event.head.map { Head($0) }
            change { $0.head = head }
        case .ATLS_EVENT_TRAILERS:
            let head = event.head.map { Head($0) }
            change { $0.trailers = head }
        case .ATLS_EVENT_DATA:
            let piece = event.buf.map { bytes(of: $0) } ?? []
            if !piece.isEmpty { change { $0.pieces.append(piece) } }
        case .ATLS_EVENT_CLOSED:
            let end: Result<Void, AtlsError> =
                event.status == .ATLS_OK ? .success(()) : .failure(AtlsError(event.status, borrowed: event.error))
            change { $0.end = end }
        default: break // of a later version, or of no interest
        }
    }

    func change<R: Sendable>(_ body: @Sendable (inout State) -> R) -> R {
        let (result, waiters) = state.withLock { state in
            let result = body(&state)
            state.changes += 1
            let waiters = Array(state.waiters.values)
            state.waiters.removeAll()
            return (result, waiters)
        }
        for waiter in waiters { waiter.resume() }
        return result
    }

    /// Waits until `ready` finds what it wants. The task that waits may be canceled at any time: then this throws at once.
    @discardableResult func wait<T: Sendable>(_ ready: @Sendable (inout State) throws -> T?) async throws -> T {
        while true {
            let (found, id, seen) = try state.withLock { state in
                state.nextWaiter += 1
                return (try ready(&state), state.nextWaiter, state.changes)
            }
            if let found { return found }
            try await withTaskCancellationHandler {
                try await withCheckedThrowingContinuation { continuation in
                    let outcome: Result<Void, any Error>? = state.withLock { state in
                        // A cancellation before this line is seen here, one after it finds the waiter.
                        if Task.isCancelled { return .failure(CancellationError()) }
                        // What came since `ready` looked: look again.
                        if state.changes != seen { return .success(()) }
                        state.waiters[id] = continuation
                        return nil
                    }
                    if let outcome { continuation.resume(with: outcome) }
                }
            } onCancel: {
                let waiter = state.withLock { $0.waiters.removeValue(forKey: id) }
                waiter?.resume(throwing: CancellationError())
            }
        }
    }
}
