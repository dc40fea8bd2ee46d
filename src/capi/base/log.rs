//! The log callback.

use std::ffi::c_void;

use super::bytes::{atls_str, c_string};
use super::guard::guard_value;
use crate::io::turn;

/// How much is logged; each level includes those before it.
pub type atls_log_level = u32;

/// Nothing.
pub const ATLS_LOG_OFF: atls_log_level = 0;
/// Problems that the host must act on: no file descriptors or no memory is left.
pub const ATLS_LOG_ERROR: atls_log_level = 1;
/// Also each peer whose evidence or request was refused, and each source of collateral that failed while others still work.
pub const ATLS_LOG_WARNING: atls_log_level = 2;
/// Also one line for each connection attempt: its outcome, and the time that each phase took.
pub const ATLS_LOG_INFO: atls_log_level = 3;
/// Also each step of a connection: dns, proxy, tunnel, tls, evidence, collateral, pool, redirect.
pub const ATLS_LOG_DEBUG: atls_log_level = 4;

/// Receives one line, `<step>: <whom it concerns>: <what happened>`, without control characters. `message` is valid only during the call. Runs on any
/// thread, on several at once; must not call `atls_*`.
pub type atls_log_fn = Option<unsafe extern "C" fn(user_data: *mut c_void, level: atls_log_level, message: atls_str)>;

/// Sends the library's log lines up to `level` to `callback`, for the whole process. `callback` may be NULL: then nothing is logged, and when the
/// call returns no callback is running any more. The library never writes to stdout or stderr. Lines hold host names, ports and addresses, but no
/// payload and no secrets: no bodies, values of header fields, paths or queries of URLs, user names, passwords or keys.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_log_set(level: atls_log_level, callback: atls_log_fn, user_data: *mut c_void) {
    guard_value((), || {
        let Some(callback) = callback else { return crate::log::set(0, None) };
        let host = Host { user_data };
        crate::log::set(
            level,
            Some(Box::new(move |level, line| {
                let host = &host;
                let line = c_string(line);
                // SAFETY: the contract of `atls_log_fn`.
                turn::outside(|| unsafe { callback(host.user_data, level, atls_str::from_cstring(&line)) })
            })),
        );
    });
}

struct Host {
    user_data: *mut c_void,
}

// SAFETY: the callback is documented to run on any thread.
unsafe impl Send for Host {}
// SAFETY: and on several at once.
unsafe impl Sync for Host {}
