//! HTTP dates (RFC 9110 section 5.6.7). Pure.

use std::time::Duration;

use crate::error::{Error, Result, Status};

/// IMF-fixdate (RFC 9110 section 5.6.7) of a time in seconds since 1970. Our own, because httpdate panics before 1970. Errors: InvalidArgument (outside
/// the years 1 to 9999).
pub fn http_date(seconds: i64) -> Result<String> {
    let (days, time) = (seconds.div_euclid(86400), seconds.rem_euclid(86400));
    let outside = || Error::new(Status::InvalidArgument, format!("time {seconds} is not in the years 1 to 9999"));
    let (year, month, day) = civil(days).ok_or_else(outside)?;
    let weekday = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"][days.rem_euclid(7) as usize];
    let month = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"][month];
    let (hour, minute, second) = (time / 3600, time / 60 % 60, time % 60);
    Ok(format!("{weekday}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT"))
}

/// How long a Retry-After field asks to wait (RFC 9110 section 10.2.3), with the time now in seconds since 1970: zero for a date that has passed.
pub fn retry_after(text: &str, now: u64) -> Option<Duration> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match is_number {
        true => Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX))),
        false => {
            let until = u64::try_from(parse_http_date(text)?).ok()?;
            Some(Duration::from_secs(until.saturating_sub(now)))
        }
    }
}

/// Year, month from 0, and day of the Gregorian calendar, counted from 1 March of the year 0 in cycles of 400 years.
fn civil(days_since_1970: i64) -> Option<(i64, usize, i64)> {
    let days = days_since_1970.checked_add(719_468)?;
    let (cycle, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let month = (from_march + 2) % 12;
    let year = year + cycle.checked_mul(400)? + i64::from(month < 2);
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    (1..=9999).contains(&year).then_some((year, month as usize, day))
}

/// Seconds since 1970 of a date in any of the three forms of RFC 9110 section 5.6.7.
pub fn parse_http_date(text: &str) -> Option<i64> {
    let time = httpdate::parse_http_date(text).ok()?;
    let since = time.duration_since(std::time::UNIX_EPOCH).ok()?;
    i64::try_from(since.as_secs()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_a_number_of_seconds_or_a_date() {
        let wait = |text: &str, now: u64| retry_after(text, now).map(|wait| wait.as_secs());
        assert_eq!((wait("7", 0), wait("0", 9), wait("99999999999999999999", 0)), (Some(7), Some(0), Some(u64::MAX)));
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        assert_eq!((wait(date, 784_111_700), wait(date, 784_111_778)), (Some(77), Some(0)));
        for text in ["", "+7", "7.5", "-1", "soon"] {
            assert_eq!(wait(text, 0), None, "{text}");
        }
    }

    #[test]
    fn dates_are_written_in_one_form_and_read_in_three() {
        for (seconds, text) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (-1, "Wed, 31 Dec 1969 23:59:59 GMT"),
            (-2_208_988_800, "Mon, 01 Jan 1900 00:00:00 GMT"),
            (253_402_300_799, "Fri, 31 Dec 9999 23:59:59 GMT"),
            (-62_135_596_800, "Mon, 01 Jan 0001 00:00:00 GMT"),
        ] {
            assert_eq!(http_date(seconds).unwrap(), text);
        }
        for seconds in [253_402_300_800, -62_135_596_801, i64::MAX, i64::MIN] {
            assert!(http_date(seconds).is_err());
        }
        // Every day of 1,000 years, compared with the crate, which knows the years from 1970 on.
        for day in 0..365_250 {
            let text = http_date(day * 86400 + day % 86400).unwrap();
            assert_eq!(parse_http_date(&text), Some(day * 86400 + day % 86400), "{text}");
        }
        for text in ["Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"] {
            assert_eq!(parse_http_date(text), Some(784_111_777));
        }
        assert_eq!(parse_http_date("Sun, 31 Feb 1994 08:49:37 GMT"), None);
    }
}
