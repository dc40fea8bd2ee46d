//! Where log lines go: to the host's callback, or nowhere. Process-wide, because a log is.

use std::sync::RwLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// Levels as in the C ABI: 0 off, 1 error, 2 warning, 3 info, 4 debug.
pub const WARNING: u32 = 2;
pub const DEBUG: u32 = 4;

type Sink = Box<dyn Fn(u32, &str) + Send + Sync>;

static LEVEL: AtomicU32 = AtomicU32::new(0);
static SINK: RwLock<Option<Sink>> = RwLock::new(None);

/// Replaces the sink. When this returns no call to the previous one is running, nor will one start.
pub fn set(level: u32, sink: Option<Sink>) {
    let mut place = SINK.write().unwrap_or_else(|poison| poison.into_inner());
    LEVEL.store(if sink.is_some() { level } else { 0 }, Ordering::Relaxed);
    *place = sink;
}

/// Formats and delivers a line only where somebody listens.
pub fn emit(level: u32, line: impl FnOnce() -> String) {
    if level > LEVEL.load(Ordering::Relaxed) {
        return;
    }
    let sink = SINK.read().unwrap_or_else(|poison| poison.into_inner());
    if let Some(sink) = &*sink {
        sink(level, &line());
    }
}
