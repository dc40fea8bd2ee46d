//! The secrets of sessions, for decrypting recorded traffic: lines as browsers and curl write them into the file that SSLKEYLOGFILE names.

use std::fmt;
use std::sync::Arc;

use rustls::KeyLog;

use crate::attest::hash::hex;

/// Where the lines go.
#[derive(Clone)]
pub struct KeyLines(pub Arc<dyn Fn(&str) + Send + Sync>);

impl fmt::Debug for KeyLines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyLines")
    }
}

impl KeyLog for KeyLines {
    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        (self.0)(&format!("{label} {} {}", hex(client_random), hex(secret)));
    }
}
