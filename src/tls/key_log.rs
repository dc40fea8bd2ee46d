//! The secrets of sessions, for decrypting recorded traffic, in the format of SSLKEYLOGFILE. Touches nothing but the function that gets the lines.

use std::fmt;
use std::sync::Arc;

use rustls::KeyLog;

/// Where the lines go.
#[derive(Clone)]
pub struct KeyLogSink(pub Arc<dyn Fn(&str) + Send + Sync>);

impl fmt::Debug for KeyLogSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyLogSink")
    }
}

impl KeyLog for KeyLogSink {
    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        (self.0)(&format!("{label} {} {}", hex(client_random), hex(secret)));
    }
}
