//! Where log lines go: to the host's callback, or nowhere. Process-wide, because a log is. Touches nothing else.
//!
//! What belongs on which level:
//! - `ERROR`: what the host must act on, because nothing will be served until it does: no file descriptors or no memory is left.
//! - `WARNING`: what was refused (a peer, its evidence, a request), and a source that failed while others still serve.
//! - `INFO`: one line for each connection attempt, with its outcome and how long each phase took.
//! - `DEBUG`: each step of `dns`, `proxy`, `tunnel`, `tls`, `evidence`, `collateral`, `pool` and `redirect`, and what a peer broke.
//!
//! How a line is written: `<step>: <whom it concerns>: <what happened>`, for example `tls: api.example:443: handshake done in 12 ms`. The step is one of the
//! words above, `connect`, `server` or `log`. Whom it concerns is host and port ([`place`]) or the address of a peer. Durations are in
//! milliseconds, pairs are `name=value`. An error is its status and its message ([`reason`]).
//!
//! What is never in a line: bodies, values of header fields, paths and queries of URLs, names of users, passwords, keys, tokens, nonces,
//! exporter values. Text of a peer may be in it: `emit` escapes control characters and cuts what is long, so that nobody can forge a line.
//!
//! Call `emit` without holding a lock that another thread of the host may need: the host's callback runs inside.

use std::borrow::Cow;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{OnceLock, RwLock};

use crate::error::Error;

/// Levels as in the C ABI: 0 is off.
pub const ERROR: u32 = 1;
pub const WARNING: u32 = 2;
pub const INFO: u32 = 3;
pub const DEBUG: u32 = 4;

/// Bytes of a line; what is beyond is cut.
const LONGEST: usize = 2048;

type Sink = Box<dyn Fn(u32, &str) + Send + Sync>;

static LEVEL: AtomicU32 = AtomicU32::new(0);
static SINK: RwLock<Option<Sink>> = RwLock::new(None);
static BEFORE: OnceLock<fn()> = OnceLock::new();

/// Replaces the sink. When this returns no call to the previous one is running, nor will one start.
pub fn set(level: u32, sink: Option<Sink>) {
    let mut place = SINK.write().unwrap_or_else(|poison| poison.into_inner());
    LEVEL.store(if sink.is_some() { level } else { 0 }, Ordering::Relaxed);
    *place = sink;
}

/// `call` runs before each line, on the thread that emits it, while nothing is locked. That thread may then wait for [`set`], which waits for calls of the
/// sink: what one of those may be waiting for must not be kept by the thread. The first `call` stays.
pub fn run_before(call: fn()) {
    let _ = BEFORE.set(call);
}

/// Whether that level is logged; check it before work that only a log line needs.
pub fn listens(level: u32) -> bool {
    level <= LEVEL.load(Ordering::Relaxed)
}

/// Formats and delivers a line, if its level is logged.
pub fn emit(level: u32, line: impl FnOnce() -> String) {
    if !listens(level) {
        return;
    }
    let line = line();
    if let Some(before) = BEFORE.get() {
        before();
    }
    let sink = SINK.read().unwrap_or_else(|poison| poison.into_inner());
    if let Some(sink) = &*sink {
        sink(level, &one_line(&line));
    }
}

/// Whether somebody waits in [`set`]: a line has to wait as well.
#[cfg(test)]
pub fn is_awaited() -> bool {
    SINK.try_read().is_err()
}

/// `host:port`, with brackets around an address of IPv6.
pub fn place(host: &str, port: u16) -> String {
    match host.contains(':') && !host.starts_with('[') {
        true => format!("[{host}]:{port}"),
        false => format!("{host}:{port}"),
    }
}

/// What an error says in a line: `TIMED_OUT connecting took longer than 100 ms`.
pub fn reason(error: &Error) -> String {
    format!("{} {}", error.status.name(), error.message)
}

/// Logs on `ERROR` that the process or the system has run out of something, if that is what `error` is about.
pub fn starved(step: &str, error: &Error) {
    let what = match error.os_errno {
        libc::EMFILE => "this process has no file descriptors left (RLIMIT_NOFILE)",
        libc::ENFILE => "the system has no file descriptors left",
        libc::ENOMEM | libc::ENOBUFS => "the system has no memory left",
        _ => return,
    };
    emit(ERROR, || format!("{step}: this machine: {what}: {}", reason(error)));
}

/// Without control characters or marks that turn the direction of writing, and not too long.
fn one_line(line: &str) -> Cow<'_, str> {
    let is_odd = |c: char| c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if line.len() <= LONGEST && !line.contains(is_odd) {
        return Cow::Borrowed(line);
    }
    let mut out = String::new();
    for c in line.chars() {
        if out.len() >= LONGEST {
            out.push_str("...");
            break;
        }
        match is_odd(c) {
            true => out.extend(c.escape_default()),
            false => out.push(c),
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Status;

    #[test]
    fn a_line_is_one_line_whatever_a_peer_says() {
        assert_eq!(one_line("tls: h\u{f6}st:1: ok"), "tls: h\u{f6}st:1: ok");
        assert_eq!(one_line("a\r\nconnect: b\u{1b}[2J\u{202e}c"), "a\\r\\nconnect: b\\u{1b}[2J\\u{202e}c");
        let long = one_line(&"x\u{f6}".repeat(LONGEST)).into_owned();
        assert!(long.len() < LONGEST + 8 && long.ends_with("..."), "{}", long.len());
    }

    #[test]
    fn whom_it_concerns_and_why() {
        assert_eq!(place("api.example", 443), "api.example:443");
        assert_eq!(place("::1", 1), "[::1]:1");
        assert_eq!(place("[::1]", 1), "[::1]:1");
        assert_eq!(reason(&Error::new(Status::TimedOut, "too late")), "TIMED_OUT too late");
    }
}
