// A response: its head is there, its body comes as it is read.

/// To let go of a response, and of what was made of it, cancels the rest of it.
public struct Response: Sendable {
    let exchange: Exchange
    public let status: Int
    /// In the order and spelling in which they were sent.
    public let headers: [(name: String, value: String)]

    init(_ exchange: Exchange) async throws {
        let head = try await exchange.head()
        do {
            try Response.admit(exchange.verdict)
        } catch {
            exchange.cancel()
            throw error
        }
        self.exchange = exchange
        status = head.status
        headers = head.fields
    }

    /// The library has seen to it that nothing is sent without a favourable verdict; this is a second look.
    static func admit(_ verdict: Verdict?) throws(AtlsError) {
        guard let verdict, verdict.isTrusted else {
            throw AtlsError(.internalError, "a response without a favourable verdict")
        }
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
    public var events: ServerSentEvents { ServerSentEvents(exchange: exchange) }

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
    let exchange: Exchange

    public struct AsyncIterator: AsyncIteratorProtocol {
        var lines: EventLines
        var id: String?

        /// Comments, fields of other names and events without data are passed over, and so is one that the end cuts off.
        public mutating func next() async throws -> ServerSentEvent? {
            var event = ServerSentEvent()
            var data: [ArraySlice<UInt8>] = []
            while let line = try await lines.next() {
                if line.isEmpty {
                    if data.isEmpty {
                        event.event = "message"
                        continue
                    }
                    event.data = String(decoding: Array(data.joined(separator: [UInt8(ascii: "\n")])), as: UTF8.self)
                    event.id = id
                    return event
                }
                // By bytes: a character may begin with what ends a name.
                let colon = line.firstIndex(of: UInt8(ascii: ":")) ?? line.endIndex
                var value = line.suffix(from: Swift.min(colon + 1, line.endIndex))
                if value.first == UInt8(ascii: " ") { value.removeFirst() }
                switch String(decoding: line.prefix(upTo: colon), as: UTF8.self) {
                case "data": data.append(value)
                case "event": event.event = value.isEmpty ? "message" : String(decoding: value, as: UTF8.self)
                case "id": id = value.contains(0) ? id : String(decoding: value, as: UTF8.self)
                default: break
                }
            }
            return nil
        }
    }

    public func makeAsyncIterator() -> AsyncIterator {
        AsyncIterator(lines: EventLines(bytes: Bytes(exchange: exchange).makeAsyncIterator()))
    }
}

/// Lines of an event stream: they end with CR, LF or CRLF, the first may begin with a byte order mark, and the last has its end.
struct EventLines {
    var bytes: Bytes.AsyncIterator
    private var isFirst = true
    private var isAfterCR = false

    init(bytes: Bytes.AsyncIterator) {
        self.bytes = bytes
    }

    mutating func next() async throws -> [UInt8]? {
        var line: [UInt8] = []
        while let byte = try await bytes.next() {
            let isSecond = isAfterCR && byte == UInt8(ascii: "\n")
            isAfterCR = byte == UInt8(ascii: "\r")
            if isSecond { continue }
            if isAfterCR || byte == UInt8(ascii: "\n") {
                let hasMark = isFirst && line.starts(with: [0xEF, 0xBB, 0xBF])
                isFirst = false
                return hasMark ? Array(line.dropFirst(3)) : line
            }
            line.append(byte)
            if line.count > Lines.limit {
                bytes.exchange.cancel()
                throw AtlsError(.bodyTooLarge, "a line is longer than \(Lines.limit) bytes")
            }
        }
        return nil
    }
}
