//! The time of day. The machine's clock may be wrong, and then `httpdate` and `rustls` panic; so it is read here only, and checked. Touches the clock.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::time_provider::TimeProvider;
use rustls_pki_types::UnixTime;

use crate::error::{Error, Result};

/// The first second of the year 10000, which no date of HTTP or X.509 can express.
const END: u64 = 253_402_300_800;

/// Seconds since 1970. Errors: InvalidState with `Detail::Clock`, if the clock is before 1970 or after 9999.
pub fn now() -> Result<u64> {
    seconds(SystemTime::now())
}

/// As `now`, as a `SystemTime` that `httpdate` can format.
pub fn system_time() -> Result<SystemTime> {
    now().map(|seconds| UNIX_EPOCH + Duration::from_secs(seconds))
}

fn seconds(time: SystemTime) -> Result<u64> {
    let since = time.duration_since(UNIX_EPOCH).ok().map(|since| since.as_secs());
    let usable = since.filter(|seconds| *seconds < END);
    usable.ok_or_else(Error::of_clock)
}

/// The clock for TLS. Without a usable time a handshake fails, since certificates cannot be judged.
#[derive(Debug)]
pub struct TlsClock;

impl TimeProvider for TlsClock {
    fn current_time(&self) -> Option<UnixTime> {
        now().ok().map(|seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Detail, Status};

    #[test]
    fn a_clock_that_is_wrong_is_an_error() {
        let last = UNIX_EPOCH + Duration::from_secs(END - 1);
        assert_eq!((seconds(UNIX_EPOCH).unwrap(), seconds(last).unwrap()), (0, END - 1));
        assert_eq!(httpdate::fmt_http_date(last), "Fri, 31 Dec 9999 23:59:59 GMT");
        for bad in [UNIX_EPOCH - Duration::from_secs(1), last + Duration::from_secs(1)] {
            let error = seconds(bad).unwrap_err();
            assert_eq!((error.status, error.detail), (Status::InvalidState, Detail::Clock));
        }
    }
}
