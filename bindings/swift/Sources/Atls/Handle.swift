// Ownership and calls: one object, one reference. The only place that vouches for what the compiler cannot see.
import CAtls

/// Owns one reference to a handle that the library lets any thread use. `free` never blocks.
final class Handle: @unchecked Sendable {
    let pointer: OpaquePointer
    private let free: @Sendable (OpaquePointer?) -> Void

    init(_ owned: OpaquePointer, _ free: @escaping @Sendable (OpaquePointer?) -> Void) {
        pointer = owned
        self.free = free
    }

    deinit {
        free(pointer)
    }
}

/// Calls the library, and throws its error.
func attempt(_ call: (UnsafeMutablePointer<OpaquePointer?>) -> atls_status) throws(AtlsError) {
    var error: OpaquePointer?
    let status = call(&error)
    guard status == .ATLS_OK else { throw AtlsError(status, owned: error) }
}

/// A call that makes a handle.
func make(
    _ free: @escaping @Sendable (OpaquePointer?) -> Void,
    _ call: (UnsafeMutablePointer<OpaquePointer?>, UnsafeMutablePointer<OpaquePointer?>) -> atls_status
) throws(AtlsError) -> Handle {
    var made: OpaquePointer?
    var error: OpaquePointer?
    let status = call(&made, &error)
    guard status == .ATLS_OK, let made else { throw AtlsError(status, owned: error) }
    return Handle(made, free)
}

/// A call that makes text or bytes.
func makeBytes(
    _ call: (UnsafeMutablePointer<OpaquePointer?>, UnsafeMutablePointer<OpaquePointer?>) -> atls_status
) throws(AtlsError) -> [UInt8] {
    let buffer = try make({ atls_buf_free($0) }, call)
    return bytes(of: buffer.pointer)
}

func bytes(of buffer: OpaquePointer) -> [UInt8] {
    [UInt8](UnsafeBufferPointer(start: atls_buf_data(buffer), count: atls_buf_len(buffer)))
}

func string(_ text: atls_str) -> String {
    String(decoding: UnsafeRawBufferPointer(start: text.ptr, count: text.len), as: UTF8.self)
}

/// The library reads text up to its first NUL: what has one is refused, not cut.
func whole(_ name: String, _ text: String) throws(AtlsError) -> String {
    guard !text.utf8.contains(0) else { throw AtlsError(.invalidArgument, "\(name): has a NUL byte") }
    return text
}

extension [UInt8] {
    /// For the time of a call.
    func lend<R>(_ body: (atls_bytes) -> R) -> R {
        withUnsafeBytes { body(atls_bytes_of($0.baseAddress, $0.count)) }
    }
}

extension Duration {
    /// As the library has it: rounded up, and what is over already is a millisecond, not the default (0).
    var milliseconds: UInt32 {
        let (seconds, attoseconds) = components
        let rest = attoseconds / 1_000_000_000_000_000 + (attoseconds % 1_000_000_000_000_000 > 0 ? 1 : 0)
        let (product, overflow) = seconds.multipliedReportingOverflow(by: 1000)
        if overflow { return seconds < 0 ? 1 : UInt32.max - 1 }
        return UInt32(Swift.min(Swift.max(product + rest, 1), Int64(UInt32.max - 1)))
    }
}
