// The client: requests by URL to servers that have proved themselves, and to no others.
import CAtls

/// Attests every server under a policy before anything of a request is sent; a host without a policy is not contacted. Waits
/// neither block a thread nor hold one. Safe to share between tasks. Requests under way continue when the client is let go of.
public final class AttestedClient: Sendable {
    public struct Configuration: Sendable {
        /// For hosts that `policies` does not name; nil refuses them.
        public var policy: Policy?
        /// By host, or `*.` followed by a name.
        public var policies: [String: Policy] = [:]
        /// Shared by clients, so that each document of a vendor is fetched once.
        public var verifier: Verifier?
        /// Trusted for TLS besides the built-in ones.
        public var rootsPEM: [String] = []
        /// `http://`, `socks5://` or `socks5h://`.
        public var proxy: String?
        /// The WebSocket forwarder to connect through, `ws://` or `wss://`.
        public var tunnel: String?
        /// For a connection as a whole; the library's default is 90 seconds.
        public var connectionDeadline: Duration?
        /// Requests under way at a time; further ones wait. The library's default is 10.
        public var maxRequests: UInt32?
        /// Bytes of each response that are held for a reader that is slower than the server; not 0.
        public var receiveWindow: UInt64 = 256 << 10

        public init(policy: Policy? = nil) {
            self.policy = policy
        }
    }

    private let runtime: Handle
    private let queue: Handle
    private let client: Handle

    public init(_ configuration: Configuration) throws(AtlsError) {
        let config = try AttestedClient.build(configuration)
        let limits = try make({ atls_client_limits_free($0) }) { atls_client_limits_new($0, $1) }
        if let max = configuration.maxRequests {
            try attempt { atls_client_limits_set_requests(limits.pointer, max, $0) }
        }
        let runtime = try make({ atls_runtime_free($0) }) { atls_runtime_new(0, $0, $1) }
        self.runtime = runtime
        queue = try make({ atls_queue_free($0) }) { atls_queue_new_dispatching($0, $1) }
        let client = try make({ atls_client_free($0) }) {
            atls_client_new(runtime.pointer, config.pointer, limits.pointer, $0, $1)
        }
        self.client = client
        for (pattern, policy) in configuration.policies {
            let pattern = try whole("policies", pattern)
            try attempt { atls_client_set_policy(client.pointer, pattern, policy.handle.pointer, $0) }
        }
    }

    public convenience init(policy: Policy) throws(AtlsError) {
        try self.init(Configuration(policy: policy))
    }

    /// Sends a request and waits for the response head. If the task is canceled, in whatever phase, the request is, and this
    /// throws `CancellationError`. Otherwise a failure is an `AtlsError`, which has the verdict if the server was refused.
    public func send(_ request: Request) async throws -> Response {
        try Task.checkCancellation()
        return try await Response(Exchange(request, client: client, queue: queue))
    }

    public func get(_ url: String) async throws -> Response {
        try await send(Request("GET", url))
    }

    /// Requests under way.
    public var activeRequests: Int { atls_client_active_requests(client.pointer) }

    private static func build(_ configuration: Configuration) throws(AtlsError) -> Handle {
        let config = try make({ atls_config_free($0) }) { atls_config_new(nil, 0, $0, $1) }
        if let policy = configuration.policy {
            try attempt { atls_config_set_policy(config.pointer, policy.handle.pointer, $0) }
        }
        if let verifier = configuration.verifier {
            try attempt { atls_config_set_verifier(config.pointer, verifier.handle.pointer, $0) }
        }
        for pem in configuration.rootsPEM {
            let pem = try whole("rootsPEM", pem)
            try attempt { atls_config_add_root_pem(config.pointer, pem, $0) }
        }
        if let proxy = configuration.proxy {
            let proxy = try whole("proxy", proxy)
            try attempt { atls_config_set_proxy(config.pointer, proxy, nil, nil, .ATLS_AUTH_BASIC, $0) }
        }
        if let tunnel = configuration.tunnel {
            let tunnel = try whole("tunnel", tunnel)
            try attempt { atls_config_set_tunnel(config.pointer, tunnel, $0) }
        }
        if let deadline = configuration.connectionDeadline {
            try attempt { atls_config_set_deadline(config.pointer, deadline.milliseconds, $0) }
        }
        guard configuration.receiveWindow > 0 else {
            throw AtlsError(.invalidArgument, "receiveWindow: with 0 bytes no response could be received")
        }
        // Not automatic: the reader makes room, so that nothing piles up here.
        try attempt { atls_config_set_credit(config.pointer, configuration.receiveWindow, false, $0) }
        return config
    }
}
