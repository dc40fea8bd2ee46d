// A request as a value; it is turned into the library's when it is sent.
import CAtls

public struct Request: Sendable {
    /// The body of a request.
    public struct Body: Sendable {
        enum Kind: Sendable {
            case none
            case bytes([UInt8])
            case stream(length: UInt64?, pump: @Sendable (@Sendable ([UInt8]) async throws -> Void) async throws -> Void)
        }

        let kind: Kind

        public static var none: Body { Body(kind: .none) }
        public static func bytes(_ bytes: [UInt8]) -> Body { Body(kind: .bytes(bytes)) }
        public static func text(_ text: String) -> Body { Body(kind: .bytes([UInt8](text.utf8))) }

        /// The body is what the sequence yields, as fast as the server takes it. It is sent once: a redirect that would need it
        /// again is given to the program. What the sequence throws cancels the request and is thrown by what waits for it.
        public static func stream<S: AsyncSequence & Sendable>(_ pieces: S, length: UInt64? = nil) -> Body
        where S.Element == [UInt8] {
            Body(
                kind: .stream(length: length) { write in
                    for try await piece in pieces { try await write(piece) }
                })
        }
    }

    public var method: String
    public var url: String
    /// In this order and spelling.
    public var headers: [(name: String, value: String)]
    public var body: Body
    /// From the call to the response head; the library's default is 60 seconds.
    public var headTimeout: Duration?
    /// Between pieces of the response body; none by default.
    public var idleTimeout: Duration?
    /// From the call to the end of the response; none by default.
    public var totalTimeout: Duration?
    /// A longer response body is BODY_TOO_LARGE.
    public var maxResponseBody: UInt64?
    /// Whether gzip, deflate, br and zstd are asked for, and decoded.
    public var decodes = false
    public var maxRedirects: UInt32?

    public init(
        _ method: String = "GET", _ url: String, headers: [(name: String, value: String)] = [], body: Body = .none,
        headTimeout: Duration? = nil
    ) {
        self.method = method
        self.url = url
        self.headers = headers
        self.body = body
        self.headTimeout = headTimeout
    }

    func build() throws(AtlsError) -> Handle {
        let (method, url) = (try whole("method", method), try whole("url", url))
        let request = try make({ atls_request_free($0) }) { atls_request_new_url(method, url, $0, $1) }
        for (name, value) in headers {
            let name = try whole("header", name)
            let value = [UInt8](value.utf8)
            try attempt { error in value.lend { atls_request_add_header(request.pointer, name, $0, error) } }
        }
        switch body.kind {
        case .none: break
        case .bytes(let bytes):
            try attempt { error in bytes.lend { atls_request_set_body(request.pointer, $0, error) } }
        case .stream(let length, _):
            try attempt { atls_request_set_body_stream(request.pointer, length ?? UInt64.max, $0) }
        }
        let deadlines: [(atls_request_deadline, Duration?)] = [
            (.ATLS_REQUEST_DEADLINE_HEAD, headTimeout), (.ATLS_REQUEST_DEADLINE_IDLE, idleTimeout),
            (.ATLS_REQUEST_DEADLINE_TOTAL, totalTimeout),
        ]
        for case (let which, let limit?) in deadlines {
            try attempt { atls_request_set_deadline(request.pointer, which, limit.milliseconds, $0) }
        }
        if let maxResponseBody {
            try attempt { atls_request_set_max_response_body(request.pointer, maxResponseBody, $0) }
        }
        if let maxRedirects { try attempt { atls_request_set_redirects(request.pointer, maxRedirects, 0, $0) } }
        if decodes { try attempt { atls_request_set_decode(request.pointer, true, $0) } }
        return request
    }
}
