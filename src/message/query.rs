//! The query of a URL. Pure.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What stays as it is in a query: the unreserved characters of RFC 3986.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'_').remove(b'.').remove(b'-').remove(b'~');

/// `url` with `pairs` added to its query, which is encoded again; the rest stays as it is.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_appended_to_the_query_that_is_there() {
        let concat = |url, pairs: &[(&'static str, &'static str)]| url_concat(url, pairs.iter().copied());
        assert_eq!(concat("https://a/b", &[]), "https://a/b");
        assert_eq!(concat("https://a/b", &[("c", "d e&*~")]), "https://a/b?c=d+e%26%2A~");
        assert_eq!(concat("https://a/b?x=1&y#f?g", &[("z", "\u{fc}")]), "https://a/b?x=1&y=&z=%C3%BC#f?g");
        assert_eq!(concat("/?a=%2f+%20", &[("a", "")]), "/?a=%2F++&a=");
    }
}
