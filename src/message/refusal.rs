//! With which status a server refuses a request that its host does not answer (RFC 9110 section 15.5). Pure.

use crate::error::{Error, Status};

/// The status for an error that ended a request; none if the client is gone, so that there is nobody to tell.
pub fn refusal_status(error: &Error) -> Option<u16> {
    match (error.http_status, error.status) {
        (0, Status::Io | Status::Truncated) => None,
        (0, Status::TimedOut) => Some(408),
        (0, Status::BodyTooLarge) => Some(413),
        (0, Status::HttpProtocol | Status::H1Remote) => Some(400),
        (0, _) => Some(500),
        (status, _) => Some(status),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_has_its_own_status_or_that_of_its_kind() {
        for (status, http_status, refusal) in [
            (Status::HttpProtocol, 0, Some(400)),
            (Status::HttpProtocol, 431, Some(431)),
            (Status::H1Remote, 0, Some(400)),
            (Status::H1Remote, 505, Some(505)),
            (Status::BodyTooLarge, 0, Some(413)),
            (Status::TimedOut, 0, Some(408)),
            (Status::Internal, 0, Some(500)),
            (Status::Io, 0, None),
            (Status::Truncated, 0, None),
            (Status::Truncated, 400, Some(400)),
        ] {
            assert_eq!(refusal_status(&Error::new(status, "why").http_status(http_status)), refusal, "{status:?}");
        }
    }
}
