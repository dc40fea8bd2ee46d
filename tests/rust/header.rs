//! include/atls.h is what cbindgen makes of src/capi. `cargo xtask header` writes it; this test compares.

use std::path::Path;

/// The order of the header's chapters.
const SOURCES: [&str; 47] = [
    "base/status.rs",
    "base/bytes.rs",
    "base/error.rs",
    "base/version.rs",
    "base/log.rs",
    "attest/policy.rs",
    "attest/verdict.rs",
    "attest/verify.rs",
    "base/runtime.rs",
    "base/queue.rs",
    "text/head.rs",
    "base/event.rs",
    "attest/verifier.rs",
    "connect/config.rs",
    "connect/config_tls.rs",
    "connect/config_route.rs",
    "connect/resolver.rs",
    "connect/stream.rs",
    "client/http.rs",
    "client/request.rs",
    "client/request_body.rs",
    "client/request_options.rs",
    "client/exchange.rs",
    "client/exchange_body.rs",
    "client/exchange_route.rs",
    "client/client.rs",
    "text/headers.rs",
    "server/config.rs",
    "server/config_tls.rs",
    "attest/evidence.rs",
    "server/server.rs",
    "server/listen.rs",
    "server/request.rs",
    "server/file.rs",
    "server/upgrade.rs",
    "text/form.rs",
    "text/multipart.rs",
    "server/tunnel.rs",
    "text/text.rs",
    "h1/types.rs",
    "h1/conn.rs",
    "h1/send.rs",
    "h1/headers.rs",
    "h1/messages.rs",
    "h1/states.rs",
    "h1/driver_config.rs",
    "h1/driver.rs",
];

fn made() -> String {
    let capi = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/capi");
    let config = cbindgen::Config::from_file(capi.join("cbindgen.toml")).expect("cbindgen.toml");
    let mut builder = cbindgen::Builder::new().with_config(config);
    for source in SOURCES {
        builder = builder.with_src(capi.join(source));
    }
    let mut made = Vec::new();
    builder.generate().expect("cbindgen").write(&mut made);
    String::from_utf8(made).expect("UTF-8")
}

#[test]
fn header_is_current() {
    let made = made();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("include/atls.h");
    if std::env::var_os("ATLS_WRITE_HEADER").is_some() {
        std::fs::write(&path, &made).expect("write include/atls.h");
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == made, "include/atls.h is out of date: run `cargo xtask header`");
}

/// A constant of one family, given where another is meant, is refused: no two of them have the same number.
#[test]
fn limits_deadlines_and_counts_are_disjoint() {
    let header = made();
    let is_one = |name: &str| ["_LIMIT_", "_DEADLINE_", "_COUNT_"].iter().any(|kind| name.contains(kind));
    let constants = header.lines().filter_map(|line| line.strip_prefix("#define ")?.split_once(' '));
    let mut seen = std::collections::HashMap::new();
    for (name, number) in constants.filter(|(name, number)| is_one(name) && number.parse::<u32>().is_ok()) {
        if let Some(other) = seen.insert(number, name) {
            panic!("{name} and {other} are both {number}");
        }
    }
    assert!(seen.len() > 30, "{seen:?}");
}
