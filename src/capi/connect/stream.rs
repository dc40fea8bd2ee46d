//! `atls_stream`: an attested byte stream.

use std::sync::Arc;

use super::config::atls_config;
use crate::capi::attest::verdict::atls_verdict;
use crate::capi::base::arguments::{Counted, Out, Owned, bytes, c_bytes, require};
use crate::capi::base::bytes::atls_buf;
use crate::capi::base::error::atls_error;
use crate::capi::base::event::atls_sink;
use crate::capi::base::guard::{check_random, guard, guard_free, guard_value, watch_forks};
use crate::capi::base::handle::{Handle, add_ref, borrow, release, share, share_hub};
use crate::capi::base::limit;
use crate::capi::base::operation::Operation;
use crate::capi::base::runtime::{atls_runtime, prepare_thread};
use crate::capi::base::status::atls_status;
use crate::error::{Error, Result, Status};
use crate::io::CallerRuntime;
use crate::io::buffers;
use crate::io::turn::in_turn;
use crate::operation::Outlet;
use crate::stream::blocking::{BlockingStream, CALL_TIMEOUT};
use crate::stream::{StreamState, stream_task};
use crate::verdict::Verdict;

/// An attested byte stream, event-driven (atls_stream_connect_start) or blocking (atls_stream_connect). Its two directions are independent.
/// Reference-counted; safe to share between threads. Dropping the last reference cancels it.
pub struct atls_stream {
    mode: Mode,
    _runtime: Option<Arc<atls_runtime>>,
}

impl Handle for atls_stream {
    type Owner = Arc<atls_stream>;
}

enum Mode {
    Events(Arc<StreamState>),
    Blocking(Box<BlockingStream>),
}

impl Drop for atls_stream {
    fn drop(&mut self) {
        self.cancel();
    }
}

impl atls_stream {
    /// One that has its operation, and waits for its connection; `credit` is that of its host to begin with, and whether it is granted again. Errors: those of the sink.
    pub(in crate::capi) fn waiting(
        runtime: Arc<atls_runtime>,
        sink: Option<&atls_sink>,
        credit: (u64, bool),
        verdict: Option<Arc<Verdict>>,
    ) -> Result<(Arc<atls_stream>, Arc<StreamState>, Outlet)> {
        let operation = Operation::new(sink, &runtime.registry)?;
        let shared = Arc::new(StreamState::new(credit, verdict, operation.clone()));
        let made = Arc::new(atls_stream { mode: Mode::Events(shared.clone()), _runtime: Some(runtime) });
        let registration = operation.register(&made, &shared)?;
        Ok((made, shared, registration.begin()))
    }

    fn cancel(&self) {
        match &self.mode {
            Mode::Events(shared) => shared.cancel.cancel(),
            Mode::Blocking(blocking) => blocking.cancel(),
        }
    }

    fn events(&self) -> Result<&Arc<StreamState>> {
        match &self.mode {
            Mode::Events(shared) => Ok(shared),
            Mode::Blocking(_) => Err(Error::new(Status::InvalidState, "the stream is blocking")),
        }
    }

    fn blocking(&self) -> Result<&BlockingStream> {
        match &self.mode {
            Mode::Blocking(blocking) => Ok(blocking),
            Mode::Events(_) => Err(Error::new(Status::InvalidState, "the stream is event-driven")),
        }
    }
}

/// Connects and attests in the background, as the configuration says, which is copied. Events: CONNECTED; then DATA as credit allows, END when the
/// peer will send no more, WRITABLE after a write that answered AGAIN; CLOSED last. After OK, failures come with CLOSED. Statuses: NULL_ARGUMENT,
/// INVALID_ARGUMENT, INVALID_STATE (no policy; queue or runtime stopped), TRUST_ANCHOR.
#[unsafe(no_mangle)]
pub extern "C" fn atls_stream_connect_start(
    runtime: Counted<atls_runtime>,
    config: Option<&atls_config>,
    sink: Option<&atls_sink>,
    stream: Out<*mut atls_stream>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let stream = require(stream, "stream")?;
        let runtime = share_hub(runtime, "runtime")?;
        let config = borrow(config, "config")?;
        let target = config.config.target()?;
        let credit = (config.credit, config.automatic_credit);
        let (made, shared, outlet) = atls_stream::waiting(runtime.clone(), sink, credit, None)?;
        stream.give(made);
        runtime.handle().spawn(in_turn(stream_task(target, shared, outlet)));
        Ok(())
    })
}

/// Connects and attests on the calling thread, and waits. Use the stream with atls_stream_read and atls_stream_write_all: its I/O runs on the thread
/// that calls them, and no other thread is involved. Statuses: as atls_stream_connect_start, WOULD_DEADLOCK, every way in which connecting and
/// attesting fail (2xx to 5xx).
#[unsafe(no_mangle)]
pub extern "C" fn atls_stream_connect(
    config: Option<&atls_config>,
    stream: Out<*mut atls_stream>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let stream = require(stream, "stream")?;
        let target = borrow(config, "config")?.config.target()?;
        check_random()?;
        watch_forks();
        let blocking = BlockingStream::open(CallerRuntime::new(prepare_thread)?, &target)?;
        let made = atls_stream { mode: Mode::Blocking(Box::new(blocking)), _runtime: None };
        stream.give(Arc::new(made));
        Ok(())
    })
}

/// Returns the verdict on the server as a new reference, which you free; NULL before CONNECTED and for an unattested stream. It is the newest one: the server is
/// judged again while the stream is open, and if it is refused then, the stream ends with that error (docs/policy.md, "Open connections").
#[unsafe(no_mangle)]
pub extern "C" fn atls_stream_verdict(stream: Option<&atls_stream>) -> *mut atls_verdict {
    guard_value(std::ptr::null_mut(), || {
        let verdict = match borrow(stream, "stream").map(|stream| &stream.mode) {
            Ok(Mode::Events(shared)) => shared.verdict(),
            Ok(Mode::Blocking(blocking)) => blocking.verdict(),
            Err(_) => None,
        };
        verdict.map_or(std::ptr::null_mut(), atls_verdict::into_raw)
    })
}

/// Event-driven: allows `bytes` more to be received. Grants add up, and saturate. Statuses: NULL_ARGUMENT, INVALID_STATE (blocking stream).
#[unsafe(no_mangle)]
pub extern "C" fn atls_stream_grant(
    stream: Counted<atls_stream>,
    bytes: u64,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        share(stream, "stream")?.events()?.credit.grant(bytes);
        Ok(())
    })
}

/// Event-driven: copies all of the bytes for sending, or takes none and answers AGAIN. One WRITABLE event follows each AGAIN; if the write came
/// before CONNECTED, it follows that. Nothing is sent before the server is attested. At most 256 KiB are queued, counted as by
/// atls_server_request_write. Statuses: NULL_ARGUMENT, AGAIN, INVALID_STATE (blocking stream; after atls_stream_finish), or why the stream is closed.
#[unsafe(no_mangle)]
pub extern "C" fn atls_stream_write(
    stream: Counted<atls_stream>,
    data: c_bytes,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let data = bytes(data, "data")?;
        share(stream, "stream")?.events()?.outgoing.write(buffers::copy(data))
    })
}

/// Like atls_stream_write, without a copy: the stream takes a reference to the buffer and drops it once the bytes are sent. Statuses: as
/// atls_stream_write.
#[unsafe(no_mangle)]
pub extern "C" fn atls_stream_write_buf(
    stream: Counted<atls_stream>,
    buf: Option<&atls_buf>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let data = borrow(buf, "buf")?.bytes.clone();
        share(stream, "stream")?.events()?.outgoing.write(data)
    })
}

/// Ends this direction: what was written is sent, then close_notify; the event SENT follows. Receiving continues. On a blocking stream the call
/// waits, up to 60 seconds. Statuses: NULL_ARGUMENT, INVALID_STATE (already closed), IO, TIMED_OUT, or why the stream is closed.
#[unsafe(no_mangle)]
pub extern "C" fn atls_stream_finish(stream: Counted<atls_stream>, error: Out<*mut atls_error>) -> atls_status {
    guard(error, || match &share(stream, "stream")?.mode {
        Mode::Events(shared) => shared.outgoing.finish(),
        Mode::Blocking(blocking) => blocking.close_write(),
    })
}

/// Blocking: waits for bytes and copies up to `cap` of them. If it times out, nothing is lost.
/// `n`: how many; 0 only at the end of the stream.
/// `timeout_ms`: 60 seconds by default.
/// Statuses: NULL_ARGUMENT, INVALID_ARGUMENT (`cap` is 0), INVALID_STATE (event-driven stream), WOULD_DEADLOCK, TIMED_OUT, CANCELED, IO, TRUNCATED
/// (ended without close_notify), TLS_HANDSHAKE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_stream_read(
    stream: Counted<atls_stream>,
    buf: *mut u8,
    cap: usize,
    timeout_ms: u32,
    n: Out<usize>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let n = require(n, "n")?;
        if buf.is_null() {
            return Err(Error::new(Status::NullArgument, "buf is NULL"));
        }
        let stream = share(stream, "stream")?;
        let blocking = stream.blocking()?;
        if cap == 0 {
            return Err(Error::new(Status::InvalidArgument, "cap is 0"));
        }
        if cap > isize::MAX as usize {
            return Err(Error::new(Status::InvalidArgument, format!("cap {cap} is impossible")));
        }
        // SAFETY: the host says that `buf` has room for `cap` bytes; they are written before they are read.
        let place = unsafe { std::slice::from_raw_parts_mut(buf.cast::<std::mem::MaybeUninit<u8>>(), cap) };
        let mut view = tokio::io::ReadBuf::uninit(place);
        blocking.read(&mut view, limit(timeout_ms, CALL_TIMEOUT))?;
        n.write(view.filled().len());
        Ok(())
    })
}

/// Blocking: sends all of the bytes, after those of earlier calls on other threads. If it fails, it is not known how much was sent, and the stream is
/// canceled. But if the time is up before its turn comes, nothing was sent and the stream continues.
/// `timeout_ms`: 60 seconds by default.
/// Statuses: NULL_ARGUMENT, INVALID_STATE (event-driven stream), WOULD_DEADLOCK, TIMED_OUT, CANCELED, IO.
#[unsafe(no_mangle)]
pub extern "C" fn atls_stream_write_all(
    stream: Counted<atls_stream>,
    data: c_bytes,
    timeout_ms: u32,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let data = bytes(data, "data")?;
        share(stream, "stream")?.blocking()?.write_all(data, limit(timeout_ms, CALL_TIMEOUT))
    })
}

/// Closes in an orderly way: what was written is sent, then close_notify, and the socket is closed; what was not received is discarded. Event-driven:
/// CLOSED follows, with OK. Blocking: waits, at most a second. Statuses: NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn atls_stream_close(stream: Counted<atls_stream>, error: Out<*mut atls_error>) -> atls_status {
    guard(error, || {
        match &share(stream, "stream")?.mode {
            Mode::Events(shared) => shared.close(),
            Mode::Blocking(blocking) => blocking.close(),
        }
        Ok(())
    })
}

/// Ends the stream at once, whatever it is doing. Event-driven: CLOSED follows, with CANCELED; DATA may still come before it. Blocking: calls of
/// other threads on this stream return CANCELED. Statuses: NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn atls_stream_cancel(stream: Counted<atls_stream>, error: Out<*mut atls_error>) -> atls_status {
    guard(error, || {
        share(stream, "stream")?.cancel();
        Ok(())
    })
}

/// Adds a reference and returns `stream`; NULL for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn atls_stream_ref(stream: Counted<atls_stream>) -> *mut atls_stream {
    add_ref(stream)
}

/// Drops a reference. The last one cancels the stream; CLOSED still comes.
#[unsafe(no_mangle)]
pub extern "C" fn atls_stream_free(stream: Owned<atls_stream>) {
    guard_free(|| release(stream));
}
