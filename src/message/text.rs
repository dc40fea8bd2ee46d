//! The small change of HTTP: dates, credentials, query strings, host and port. Pure functions of their arguments.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

pub use super::credentials::basic_credentials;
use crate::error::{Error, Result, Status};

/// What stays as it is in a query: the unreserved characters of RFC 3986.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'_').remove(b'.').remove(b'-').remove(b'~');

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

/// `url` with `pairs` at the end of its query, which is written anew; all else stays as it is.
pub fn url_concat<'a>(url: &str, pairs: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let (rest, fragment) = match url.split_once('#') {
        Some((rest, fragment)) => (rest, format!("#{fragment}")),
        None => (url, String::new()),
    };
    let (base, query) = rest.split_once('?').unwrap_or((rest, ""));
    let mut written = String::new();
    let mut write = |name: &str, value: &str| {
        if !written.is_empty() {
            written.push('&');
        }
        written.extend([&*encoded(name), "=", &encoded(value)]);
    };
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        write(&name, &value);
    }
    for (name, value) in pairs {
        write(name, value);
    }
    let mark = if written.is_empty() { "" } else { "?" };
    format!("{base}{mark}{written}{fragment}")
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, QUERY).to_string().replace("%20", "+")
}

/// Host and port of `host:port`; without digits after a last colon all of it is the host.
pub fn split_host_port(text: &str) -> (&str, Option<u16>) {
    let Some((host, port)) = text.rsplit_once(':') else { return (text, None) };
    let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    match port.parse() {
        Ok(port) if digits && !host.is_empty() => (host, Some(port)),
        _ => (text, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
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
        // Every day of 1,000 years, against the crate that knows those after 1970.
        for day in 0..365_250 {
            let text = http_date(day * 86400 + day % 86400).unwrap();
            assert_eq!(parse_http_date(&text), Some(day * 86400 + day % 86400), "{text}");
        }
        for text in ["Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"] {
            assert_eq!(parse_http_date(text), Some(784_111_777));
        }
        assert_eq!(parse_http_date("Sun, 31 Feb 1994 08:49:37 GMT"), None);
    }

    #[test]
    fn query_strings() {
        let concat = |url, pairs: &[(&'static str, &'static str)]| url_concat(url, pairs.iter().copied());
        assert_eq!(concat("https://a/b", &[]), "https://a/b");
        assert_eq!(concat("https://a/b", &[("c", "d e&*~")]), "https://a/b?c=d+e%26%2A~");
        assert_eq!(concat("https://a/b?x=1&y#f?g", &[("z", "\u{fc}")]), "https://a/b?x=1&y=&z=%C3%BC#f?g");
        assert_eq!(concat("/?a=%2f+%20", &[("a", "")]), "/?a=%2F++&a=");
    }

    #[test]
    fn credentials_and_ports() {
        assert_eq!(basic_credentials("Aladdin", "open sesame").unwrap(), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        assert_eq!(basic_credentials("u", "e\u{301}"), basic_credentials("u", "\u{e9}"));
        assert!(basic_credentials("a:b", "c").is_none() && basic_credentials("a", "b\n").is_none());
        for (text, host, port) in [
            ("a:80", "a", Some(80)),
            ("[::1]:80", "[::1]", Some(80)),
            ("a", "a", None),
            ("a:", "a:", None),
            (":80", ":80", None),
            ("a:+80", "a:+80", None),
            ("a:65536", "a:65536", None),
        ] {
            assert_eq!(split_host_port(text), (host, port));
        }
    }
}
