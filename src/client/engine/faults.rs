//! What is wrong with a response: the framing that hyper forgives and we do not, and what hyper's errors mean.

use crate::client::options::HeadLimits;
use crate::error::{Detail, Error, Phase, Result, Status, chain};
use crate::h1::ProtocolError;
use crate::message::Head;

/// Framing that two readers could read in two ways (RFC 9112 section 6).
pub fn check_framing(head: &Head) -> Result<()> {
    let fault = |detail, why: &str| Err(protocol(format!("response {}: {why}", head.status)).detail(detail));
    let (mut length, mut coded) = (None::<&[u8]>, false);
    for (name, value) in head.lines() {
        if name.eq_ignore_ascii_case(b"content-length") {
            for value in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
                let number = std::str::from_utf8(value).ok().filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
                if number.and_then(|text| text.parse::<i64>().ok()).is_none() {
                    return fault(Detail::BadContentLength, &format!("Content-Length \"{}\"", value.escape_ascii()));
                }
                if length.replace(value).is_some_and(|before| before != value) {
                    return fault(Detail::UnequalContentLength, "Content-Length twice, and different");
                }
            }
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            if coded || !value.eq_ignore_ascii_case(b"chunked") || head.minor_version == 0 {
                let why = format!("Transfer-Encoding \"{}\"", value.escape_ascii());
                return fault(Detail::BadTransferEncoding, &why);
            }
            coded = true;
        }
    }
    if coded && length.is_some() {
        return fault(Detail::BothLengths, "Transfer-Encoding and Content-Length");
    }
    match head.status {
        100..200 | 204 if coded || length.is_some_and(|length| length.iter().any(|digit| *digit != b'0')) => {
            fault(Detail::UnexpectedBody, "a body where there can be none")
        }
        _ => Ok(()),
    }
}

/// Sorts a hyper failure, and finds the I/O or TLS error inside. `received`: what has come of a head that hyper did not show.
pub fn http_error(error: hyper::Error, received: impl FnOnce() -> Vec<u8>) -> Error {
    let mut cause = std::error::Error::source(&error);
    while let Some(inner) = cause {
        if let Some(ours) = inner.downcast_ref::<Error>() {
            return ours.clone();
        }
        if let Some(io) = inner.downcast_ref::<std::io::Error>() {
            return io_error(io);
        }
        cause = inner.source();
    }
    if error.is_parse() {
        return protocol(chain(&error)).detail(detail_of(&received()));
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

fn io_error(io: &std::io::Error) -> Error {
    use std::io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
    if let Some(tls) = io.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        return Error::from_rustls(tls, Phase::Transfer);
    }
    // hyper's own reader of chunks says so of them.
    if matches!(io.kind(), InvalidInput | InvalidData) && io.raw_os_error().is_none() {
        return protocol(chain(io)).detail(Detail::BadChunk);
    }
    let copy = match io.raw_os_error() {
        Some(code) => std::io::Error::from_raw_os_error(code),
        None => std::io::Error::new(io.kind(), chain(io)),
    };
    let error = Error::from_io(copy, Phase::Transfer);
    match io.kind() == UnexpectedEof && error.message.contains("close_notify") {
        true => error.detail(Detail::NoCloseNotify),
        false => error,
    }
}

/// What the judge refuses. `received` is the head that it was in, if it was in one.
pub fn judged(error: &ProtocolError, in_body: bool, received: &[u8]) -> Error {
    let detail = match error.detail {
        Detail::None if in_body => Detail::BadChunk,
        Detail::None => detail_of(received),
        known => known,
    };
    protocol(format!("response: {}", error.message)).detail(detail)
}

/// How heads are read: lines that are continued may come in responses (RFC 9112 section 5.2).
pub fn parser() -> httparse::ParserConfig {
    let mut config = httparse::ParserConfig::default();
    config.allow_obsolete_multiline_headers_in_responses(true);
    config
}

/// What in a head offends, as far as it has come.
fn detail_of(received: &[u8]) -> Detail {
    let mut lines = vec![httparse::EMPTY_HEADER; crate::client::connection::MAX_HEADERS];
    let mut response = httparse::Response::new(&mut lines);
    match parser().parse_response(&mut response, received) {
        Err(httparse::Error::Version | httparse::Error::Status | httparse::Error::Token) => Detail::BadStartLine,
        // One that is not whole offends by its length alone.
        Err(httparse::Error::TooManyHeaders) | Ok(httparse::Status::Partial) => Detail::HeadTooLarge,
        Err(_) => Detail::BadHeader,
        Ok(httparse::Status::Complete(_)) => {
            let mut head = Head::new(response.code.unwrap_or(0), 1, b"");
            response.headers.iter().for_each(|line| head.add(line.name.as_bytes(), line.value));
            check_framing(&head).err().map_or(Detail::BadHeader, |error| error.detail)
        }
    }
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

/// A switch of protocols that nobody asked for.
pub fn unasked_upgrade() -> Error {
    protocol("response 101: no upgrade was asked for".into()).http_status(101).detail(Detail::UnaskedUpgrade)
}

fn protocol(message: String) -> Error {
    Error::new(Status::HttpProtocol, message).phase(Phase::Transfer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn framing() {
        let check = |status, lines: &[(&str, &str)]| {
            let mut head = Head::new(status, 1, b"");
            lines.iter().for_each(|(name, value)| head.add(name.as_bytes(), value.as_bytes()));
            check_framing(&head).err().map(|error| error.detail)
        };
        let (length, coding) = ("Content-LENGTH", "transfer-encoding");
        for good in [
            &[][..],
            &[(length, "5")],
            &[(length, "5, 5"), (length, "5")],
            &[(coding, "Chunked")],
            &[("content-lengths", "x"), ("te", "gzip")],
        ] {
            assert_eq!(check(200, good), None, "{good:?}");
        }
        for (bad, detail) in [
            (&[(length, "+5")][..], Detail::BadContentLength),
            (&[(length, "")], Detail::BadContentLength),
            (&[(length, "99999999999999999999999")], Detail::BadContentLength),
            (&[(length, "5"), (length, "6")], Detail::UnequalContentLength),
            (&[(coding, "gzip, chunked")], Detail::BadTransferEncoding),
            (&[(coding, "chunked"), (coding, "chunked")], Detail::BadTransferEncoding),
            (&[(coding, "chunked"), (length, "5")], Detail::BothLengths),
        ] {
            assert_eq!(check(200, bad), Some(detail), "{bad:?}");
        }
        for status in [100, 103, 204] {
            assert_eq!(check(status, &[(length, "0")]), None);
            assert_eq!(check(status, &[(length, "1")]), Some(Detail::UnexpectedBody));
            assert_eq!(check(status, &[(coding, "chunked")]), Some(Detail::UnexpectedBody));
        }
        assert_eq!(check(304, &[(length, "1")]), None);
    }
}
