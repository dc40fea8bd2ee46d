//! What can be wrong with a response: what `h1` refuses, limits that are exceeded, and what hyper's errors mean. No I/O.

use crate::client::request_options::HeadLimits;
use crate::error::{Detail, Error, Phase, Status, chain};
use crate::h1::ProtocolError;

/// Maps an error of hyper, and finds the I/O or TLS error inside it. `head_is_due`: the response head is not complete.
pub fn http_error(error: hyper::Error, head_is_due: bool) -> Error {
    let mut cause = std::error::Error::source(&error);
    while let Some(inner) = cause {
        if let Some(ours) = inner.downcast_ref::<Error>() {
            return ours.clone();
        }
        if let Some(io) = inner.downcast_ref::<std::io::Error>() {
            return match is_of_chunks(io) {
                true => protocol(chain(io)).detail(Detail::BadChunk),
                false => io_error(io),
            };
        }
        cause = inner.source();
    }
    if error.is_parse() {
        // `h1` has accepted everything so far, so hyper is stricter; an incomplete head it can refuse only for its length.
        let detail = if head_is_due { Detail::HeadTooLarge } else { Detail::BadHeader };
        return protocol(chain(&error)).detail(detail);
    }
    let status = if error.is_incomplete_message() || error.is_body_write_aborted() {
        Status::Truncated
    } else if error.is_canceled() || error.is_closed() {
        Status::Closed
    } else {
        Status::HttpProtocol
    };
    Error::new(status, chain(&error)).phase(Phase::Transfer)
}

/// This is how hyper's reader of chunks reports what is wrong with them.
fn is_of_chunks(io: &std::io::Error) -> bool {
    use std::io::ErrorKind::{InvalidData, InvalidInput};
    let is_tls = io.get_ref().is_some_and(|inner| inner.is::<rustls::Error>());
    matches!(io.kind(), InvalidInput | InvalidData) && io.raw_os_error().is_none() && !is_tls
}

/// What the connection itself reports.
pub fn io_error(io: &std::io::Error) -> Error {
    if let Some(ours) = io.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        return ours.clone();
    }
    if let Some(tls) = io.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        return Error::from_rustls(tls, Phase::Transfer);
    }
    let copy = match io.raw_os_error() {
        Some(code) => std::io::Error::from_raw_os_error(code),
        None => std::io::Error::new(io.kind(), chain(io)),
    };
    let error = Error::from_io(copy, Phase::Transfer);
    match io.kind() == std::io::ErrorKind::UnexpectedEof && error.message.contains("close_notify") {
        true => error.detail(Detail::NoCloseNotify),
        false => error,
    }
}

/// What `h1` refuses.
pub fn refused(error: &ProtocolError) -> Error {
    protocol(format!("response: {}", error.message)).detail(error.detail)
}

/// What came is not HTTP/1.
pub fn no_response() -> Error {
    protocol("response: it does not begin with \"HTTP/1.\"".into()).detail(Detail::BadStartLine)
}

/// The connection has ended within a message.
pub fn cut(message: &str) -> Error {
    Error::new(Status::Truncated, message).phase(Phase::Transfer)
}

/// A head that announces a body that it cannot have.
pub fn unexpected_body(status: u16) -> Error {
    protocol(format!("response {status}: it announces a body that it cannot have")).detail(Detail::UnexpectedBody)
}

pub fn too_large(limits: &HeadLimits) -> Error {
    let message = format!("a response head of more than {} bytes or {} lines", limits.bytes, limits.lines);
    protocol(message).detail(Detail::HeadTooLarge)
}

pub fn too_many(limits: &HeadLimits) -> Error {
    let (most, bytes) = (limits.informational, limits.bytes);
    let message = format!("more than {most} informational responses to one request, or {bytes} bytes of them");
    protocol(message).detail(Detail::TooManyInformational)
}

/// A switch of protocols that was not asked for.
pub fn unasked_upgrade() -> Error {
    protocol("response 101: no upgrade was asked for".into()).http_status(101).detail(Detail::UnaskedUpgrade)
}

fn protocol(message: String) -> Error {
    Error::new(Status::HttpProtocol, message).phase(Phase::Transfer)
}
