// A response: its head is there, its body comes as it is read.

/// To let go of a response, and of what was made of it, cancels the rest of it.
public struct Response: Sendable {
    let exchange: Exchange
    public let status: Int
    /// In the order and spelling in which they were sent.
    public let headers: [(name: String, value: String)]

    init(_ exchange: Exchange) async throws {
        let head = try await exchange.head()
        self.exchange = exchange
        status = head.status
        headers = head.fields
    }

    /// The verdict on the server that responded, which held when the request was sent.
    public var verdict: Verdict? { exchange.verdict }
    /// After redirects.
    public var url: String { exchange.url }
    public var redirects: Int { exchange.redirects }
    /// Whether the connection had carried an earlier request.
    public var isReused: Bool { exchange.isReused }

    /// The value of the first header field with this name, in any case.
    public func header(_ name: String) -> String? {
        headers.first { $0.name.lowercased() == name.lowercased() }?.value
    }

    /// The body in pieces, as they arrive. It is there once: whatever reads it takes it.
    public var pieces: Pieces { Pieces(exchange: exchange) }
    /// The body byte by byte.
    public var bytes: Bytes { Bytes(exchange: exchange) }
    /// The body line by line, without line ends (LF or CRLF); bytes that are not UTF-8 are replaced.
    public var lines: Lines { Lines(exchange: exchange) }
    /// The body as server-sent events.
    public var events: ServerSentEvents { ServerSentEvents(lines: lines) }

    /// The rest of the body; more than `limit` bytes are BODY_TOO_LARGE.
    public func body(upTo limit: Int) async throws -> [UInt8] {
        var all: [UInt8] = []
        for try await piece in pieces {
            guard all.count + piece.count <= limit else {
                exchange.cancel()
                throw AtlsError(.bodyTooLarge, "the body is longer than \(limit) bytes")
            }
            all += piece
        }
        return all
    }

    public func text(upTo limit: Int) async throws -> String {
        String(decoding: try await body(upTo: limit), as: UTF8.self)
    }

    /// After the body; empty if there were none.
    public func trailers() async throws -> [(name: String, value: String)] {
        try await exchange.trailers()?.fields ?? []
    }

    /// Ends it at once, from any task. What reads the body then throws CANCELED.
    public func cancel() {
        exchange.cancel()
    }
}

public struct Pieces: AsyncSequence, Sendable {
    let exchange: Exchange

    public struct AsyncIterator: AsyncIteratorProtocol {
        let exchange: Exchange

        public mutating func next() async throws -> [UInt8]? {
            try await exchange.next()
        }
    }

    public func makeAsyncIterator() -> AsyncIterator {
        AsyncIterator(exchange: exchange)
    }
}

public struct Bytes: AsyncSequence, Sendable {
    let exchange: Exchange

    public struct AsyncIterator: AsyncIteratorProtocol {
        let exchange: Exchange
        var piece: [UInt8] = []
        var at = 0

        public mutating func next() async throws -> UInt8? {
            while at == piece.count {
                guard let next = try await exchange.next() else { return nil }
                (piece, at) = (next, 0)
            }
            at += 1
            return piece[at - 1]
        }
    }

    public func makeAsyncIterator() -> AsyncIterator {
        AsyncIterator(exchange: exchange)
    }
}

public struct Lines: AsyncSequence, Sendable {
    let exchange: Exchange
    /// A longer line is BODY_TOO_LARGE.
    static let limit = 1 << 20

    public struct AsyncIterator: AsyncIteratorProtocol {
        var bytes: Bytes.AsyncIterator

        public mutating func next() async throws -> String? {
            var line: [UInt8] = []
            while let byte = try await bytes.next() {
                if byte == UInt8(ascii: "\n") {
                    if line.last == UInt8(ascii: "\r") { line.removeLast() }
                    return String(decoding: line, as: UTF8.self)
                }
                line.append(byte)
                if line.count > Lines.limit {
                    bytes.exchange.cancel()
                    throw AtlsError(.bodyTooLarge, "a line is longer than \(Lines.limit) bytes")
                }
            }
            return line.isEmpty ? nil : String(decoding: line, as: UTF8.self)
        }
    }

    public func makeAsyncIterator() -> AsyncIterator {
        AsyncIterator(bytes: Bytes(exchange: exchange).makeAsyncIterator())
    }
}

/// One event of a stream of type text/event-stream (WHATWG HTML, "Server-sent events").
public struct ServerSentEvent: Sendable, Hashable {
    public var event = "message"
    public var data = ""
    public var id: String?
}

public struct ServerSentEvents: AsyncSequence, Sendable {
    let lines: Lines

    public struct AsyncIterator: AsyncIteratorProtocol {
        var lines: Lines.AsyncIterator
        var id: String?

        /// Comments, fields of other names and events without data are passed over, and so is one that the end cuts off.
        public mutating func next() async throws -> ServerSentEvent? {
            var event = ServerSentEvent()
            var data: [Substring] = []
            while let line = try await lines.next() {
                if line.isEmpty {
                    if data.isEmpty {
                        event.event = "message"
                        continue
                    }
                    event.data = data.joined(separator: "\n")
                    event.id = id
                    return event
                }
                let parts = line.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
                var value = parts.count > 1 ? parts[1] : ""
                if value.first == " " { value.removeFirst() }
                switch parts[0] {
                case "data": data.append(value)
                case "event": event.event = value.isEmpty ? "message" : String(value)
                case "id": id = value.contains("\0") ? id : String(value)
                default: break
                }
            }
            return nil
        }
    }

    public func makeAsyncIterator() -> AsyncIterator {
        AsyncIterator(lines: lines.makeAsyncIterator())
    }
}
