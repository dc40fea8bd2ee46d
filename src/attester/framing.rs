//! How an answer that holds evidence must be framed. Pure.

use http::HeaderMap;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};

use crate::error::{Detail, Error, Phase, Result, Status};

/// In one way, so that no two readers on the way could have read two answers (RFC 9112 section 6.3). Errors: EvidenceInvalid.
pub fn check_framing(headers: &HeaderMap) -> Result<()> {
    let lines = |name| headers.get_all(name).iter().map(|value| value.as_bytes());
    let (lengths, codings) = (lines(CONTENT_LENGTH).count(), lines(TRANSFER_ENCODING).count());
    let detail = match (lengths, codings) {
        // Ended by the end of the connection, which TLS tells from a cut: nothing can follow it.
        (0, 0) => return Ok(()),
        // Not a list of lengths that are the same.
        (1, 0) if lines(CONTENT_LENGTH).all(|value| value.iter().all(u8::is_ascii_digit)) => return Ok(()),
        (0, 1) if lines(TRANSFER_ENCODING).all(|value| value.eq_ignore_ascii_case(b"chunked")) => return Ok(()),
        (0, _) => Detail::BadTransferEncoding,
        (_, 0) => Detail::UnequalContentLength,
        _ => Detail::BothLengths,
    };
    let message =
        format!("the answer has {lengths} Content-Length and {codings} Transfer-Encoding, and may have one of them");
    Err(Error::new(Status::EvidenceInvalid, message).phase(Phase::Evidence).detail(detail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_has_one_length_or_is_refused() {
        let check = |lines: &[(&'static str, &str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in lines {
                headers.append(*name, value.parse().unwrap());
            }
            check_framing(&headers).err().map_or(Detail::None, |error| error.detail)
        };
        let (length, coding) = (("content-length", "5"), ("transfer-encoding", "chunked"));
        for good in [&[][..], &[length], &[coding], &[("transfer-encoding", "Chunked")]] {
            assert_eq!(check(good), Detail::None, "{good:?}");
        }
        assert_eq!(check(&[length, coding]), Detail::BothLengths);
        assert_eq!(check(&[length, length]), Detail::UnequalContentLength);
        assert_eq!(check(&[("content-length", "5, 5")]), Detail::UnequalContentLength);
        assert_eq!(check(&[coding, coding]), Detail::BadTransferEncoding);
        assert_eq!(check(&[("transfer-encoding", "gzip, chunked")]), Detail::BadTransferEncoding);
    }
}
