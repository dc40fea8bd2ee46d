// Verifiers, which keep the vendors' documents, and verification without a network.
import CAtls

/// Roots that replace a vendor's: for tests against a simulator, and only under a policy that allows it.
public struct SimulatedRoots: Sendable {
    /// Of Intel's place, DER.
    public var root: [UInt8]?
    /// By vendor ("amd", "aws", ..), PEM.
    public var vendors: [String: [UInt8]] = [:]

    public init(root: [UInt8]? = nil, vendors: [String: [UInt8]] = [:]) {
        self.root = root
        self.vendors = vendors
    }
}

/// Caches the vendors' documents for the clients that share it.
public struct Verifier: Sendable {
    let handle: Handle

    /// `diskCache` is a folder for other processes and later runs; `rootsPEM` are also trusted for the services' HTTPS.
    public init(rootsPEM: [String] = [], diskCache: String? = nil, simulated: SimulatedRoots? = nil) throws(AtlsError) {
        let config = try make({ atls_verifier_config_free($0) }) { atls_verifier_config_new($0, $1) }
        for pem in rootsPEM {
            let pem = try whole("rootsPEM", pem)
            try attempt { atls_verifier_config_add_root_pem(config.pointer, pem, $0) }
        }
        if let diskCache {
            let folder = try whole("diskCache", diskCache)
            try attempt { atls_verifier_config_set_disk_cache(config.pointer, folder, $0) }
        }
        if let root = simulated?.root {
            try attempt { error in root.lend { atls_verifier_config_set_simulated_root(config.pointer, $0, error) } }
        }
        for (vendor, pem) in simulated?.vendors ?? [:] {
            let vendor = try whole("vendor", vendor)
            try attempt { error in
                pem.lend { atls_verifier_config_add_simulated_root(config.pointer, vendor, $0, error) }
            }
        }
        handle = try make({ atls_verifier_free($0) }) { atls_verifier_new(config.pointer, $0, $1) }
    }

    /// All documents as one JSON object, for a machine that cannot reach the vendors.
    public func exportBundle() throws(AtlsError) -> [UInt8] {
        try makeBytes { atls_verifier_export(handle.pointer, $0, $1) }
    }

    /// Returns how many documents were taken.
    @discardableResult public func importBundle(_ bundle: [UInt8]) throws(AtlsError) -> Int {
        var taken = 0
        try attempt { error in bundle.lend { atls_verifier_import(handle.pointer, $0, &taken, error) } }
        return taken
    }
}

/// The input of an offline verification. Pure: no network, no clock.
public struct Verification: Sendable {
    public enum Evidence: Sendable {
        /// As atls_verification_set_evidence_json() takes it.
        case json([UInt8])
        /// A document of another stack, by its format: atls_verification_set_evidence_document().
        case document(format: String, [UInt8])
        /// A binary quote, and the JSON of its event log if there is one.
        case quote([UInt8], eventLog: [UInt8] = [])
    }

    /// The session that the evidence must belong to.
    public enum Binding: Sendable {
        /// Of protocol atlas-v1.
        case session(nonce: [UInt8], exporter: [UInt8], leaf: [UInt8])
        /// None: anybody can replay evidence, so never decide by this whether to talk to a server.
        case skipped
    }

    public var evidence: Evidence
    public var policy: Policy
    public var binding: Binding
    /// The time to judge at, in seconds since 1970.
    public var time: UInt64
    public var collateral: [UInt8]?
    public var simulated: SimulatedRoots?

    public init(
        evidence: Evidence, policy: Policy, binding: Binding, time: UInt64, collateral: [UInt8]? = nil,
        simulated: SimulatedRoots? = nil
    ) {
        self.evidence = evidence
        self.policy = policy
        self.binding = binding
        self.time = time
        self.collateral = collateral
        self.simulated = simulated
    }

    /// A verdict that was reached is returned, favourable or not: ask `isTrusted`.
    public func verify() throws(AtlsError) -> Verdict {
        let question = try make({ atls_verification_free($0) }) { atls_verification_new($0, $1) }
        try set(evidence, on: question)
        try set(binding, on: question)
        try attempt { atls_verification_set_policy(question.pointer, policy.handle.pointer, $0) }
        try attempt { atls_verification_set_time(question.pointer, time, $0) }
        if let collateral {
            try attempt { error in
                collateral.lend { atls_verification_set_collateral_json(question.pointer, $0, error) }
            }
        }
        if let root = simulated?.root {
            try attempt { error in root.lend { atls_verification_set_simulated_root(question.pointer, $0, error) } }
        }
        for (vendor, pem) in simulated?.vendors ?? [:] {
            let vendor = try whole("vendor", vendor)
            try attempt { error in
                pem.lend { atls_verification_add_simulated_root(question.pointer, vendor, $0, error) }
            }
        }
        return Verdict(try make({ atls_verdict_free($0) }) { atls_verify(question.pointer, $0, $1) })
    }

    private func set(_ evidence: Evidence, on question: Handle) throws(AtlsError) {
        switch evidence {
        case .json(let json):
            try attempt { error in json.lend { atls_verification_set_evidence_json(question.pointer, $0, error) } }
        case .document(let format, let document):
            let format = try whole("format", format)
            try attempt { error in
                document.lend { atls_verification_set_evidence_document(question.pointer, format, $0, error) }
            }
        case .quote(let quote, let log):
            try attempt { error in
                quote.lend { quote in log.lend { atls_verification_set_quote(question.pointer, quote, $0, error) } }
            }
        }
    }

    private func set(_ binding: Binding, on question: Handle) throws(AtlsError) {
        switch binding {
        case .skipped:
            try attempt { atls_verification_skip_binding(question.pointer, $0) }
        case .session(let nonce, let exporter, let leaf):
            try attempt { error in
                nonce.lend { nonce in
                    exporter.lend { exporter in
                        leaf.lend { atls_verification_set_session(question.pointer, nonce, exporter, $0, error) }
                    }
                }
            }
        }
    }
}
