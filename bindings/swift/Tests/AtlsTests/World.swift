// The simulated world, found through ATLS_SIM; `cargo xtask swift` starts it.
import Foundation

@testable import Atls

enum World {
    static let folder = ProcessInfo.processInfo.environment["ATLS_SIM"]

    static func file(_ name: String) throws -> [UInt8] {
        let folder = try found(folder, "ATLS_SIM is not set: run `cargo xtask swift`")
        return try [UInt8](Data(contentsOf: URL(fileURLWithPath: folder + "/" + name)))
    }

    static func text(_ name: String) throws -> String {
        String(decoding: try file(name), as: UTF8.self)
    }

    static func url(_ path: String, server: String = "HTTP") throws -> String {
        let line = try text("ports").split(separator: "\n").first { $0.hasPrefix(server + "=") }
        return "https://localhost:\(try found(line, "no server \(server)").dropFirst(server.count + 1))\(path)"
    }

    static var roots: SimulatedRoots {
        get throws { SimulatedRoots(root: try file("root.der")) }
    }

    static func configuration(_ policy: String? = "policy.json") throws -> AttestedClient.Configuration {
        var configuration = AttestedClient.Configuration(policy: try policy.map { try Policy(json: file($0)) })
        configuration.rootsPEM = [try text("web-ca.pem")]
        configuration.verifier = try Verifier(simulated: roots)
        return configuration
    }

    static func client(_ policy: String? = "policy.json") throws -> AttestedClient {
        try AttestedClient(configuration(policy))
    }

    struct Missing: Error {
        let what: String
    }

    static func found<T>(_ value: T?, _ what: String) throws -> T {
        guard let value else { throw Missing(what: what) }
        return value
    }

    /// Bytes that no two offsets of a stream share soon.
    static func noise(_ count: Int, seed: UInt32) -> [UInt8] {
        var state = seed
        return (0..<count).map { _ in
            state = state &* 1_664_525 &+ 1_013_904_223
            return UInt8(state >> 24)
        }
    }
}
