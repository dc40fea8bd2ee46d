//! Heads of HTTP/2 (RFC 9113 section 8) as the host knows heads, and back. What is refused in HTTP/1.1 is refused here too. Pure.

use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};

use super::DateText;
use super::request_line::RequestLine;
use super::response_head::ResponseHead;
use crate::error::{Error, Phase, Result, Status};
use crate::h1::syntax::is_raw_target;
use crate::h1::{ProtocolError, Rules, facts_of, validate_trailers};
use crate::message::ReceivedHead;

/// A request without its body.
pub(super) struct ReceivedRequest {
    pub line: RequestLine,
    pub head: ReceivedHead,
    /// The length of its body, if it is announced.
    pub length: Option<u64>,
    pub expects_continue: bool,
}

/// The request that has this head. Its authority is shown as a Host field, unless there is one (RFC 9113 section 8.3.1). Errors: HttpProtocol, with the status of
/// the answer.
pub(super) fn received_request(parts: &Parts, rules: &Rules) -> Result<ReceivedRequest> {
    let method = parts.method.as_str();
    if method == "CONNECT" {
        return Err(refused(501, "CONNECT over HTTP/2"));
    }
    let target = parts.uri.path_and_query().map_or("", |target| target.as_str());
    let is_path = target.starts_with('/') || (target == "*" && method == "OPTIONS");
    if !is_path || !is_raw_target(target.as_bytes()) {
        return Err(refused(400, "illegal request target"));
    }
    let authority = parts.uri.authority().map(|authority| authority.as_str().as_bytes());
    let cookies = joined_cookies(&parts.headers);
    let own_host = parts.headers.get("host").map(HeaderValue::as_bytes);
    if let (Some(authority), Some(host)) = (authority, own_host)
        && !authority.eq_ignore_ascii_case(host)
    {
        return Err(refused(400, "Host differs from :authority"));
    }
    let mut lines: Vec<(&[u8], &[u8])> = Vec::with_capacity(parts.headers.len() + 1);
    lines.extend(authority.filter(|_| own_host.is_none()).map(|authority| (&b"host"[..], authority)));
    for (name, value) in &parts.headers {
        match name.as_str() {
            "cookie" if lines.iter().any(|(name, _)| *name == b"cookie") => {}
            "cookie" => lines.push((b"cookie", &cookies)),
            name => lines.push((name.as_bytes(), value.as_bytes())),
        }
    }
    check_lines(&lines, rules)?;
    let facts = facts_of(lines.iter().copied(), rules).map_err(|error| illegal(&error))?;
    match (facts.hosts, facts.chunked) {
        (0, _) => return Err(refused(400, "no Host")),
        (2.., _) => return Err(refused(400, "more than one Host")),
        (_, true) => return Err(refused(400, "Transfer-Encoding in HTTP/2")),
        _ => {}
    }
    let mut head = ReceivedHead::new(0, 1, b"");
    lines.iter().for_each(|(name, value)| head.add(name, value));
    let line = RequestLine::new(method.as_bytes(), target.as_bytes(), head.find("host"));
    Ok(ReceivedRequest { line, head, length: facts.content_length(), expects_continue: facts.expects_continue })
}

/// The trailers of a request. Errors: HttpProtocol.
pub(super) fn received_trailers(trailers: &HeaderMap, rules: &Rules) -> Result<Option<ReceivedHead>> {
    let lines: Vec<_> = trailers.iter().map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes())).collect();
    check_lines(&lines, rules)?;
    validate_trailers(lines.iter().copied(), rules).map_err(|error| illegal(&error))?;
    Ok(ReceivedHead::trailers(lines.into_iter()))
}

/// Several cookie fields are one list (RFC 9113 section 8.2.3).
fn joined_cookies(fields: &HeaderMap) -> Vec<u8> {
    let crumbs: Vec<_> = fields.get_all("cookie").iter().map(HeaderValue::as_bytes).collect();
    crumbs.join(&b"; "[..])
}

fn check_lines(lines: &[(&[u8], &[u8])], rules: &Rules) -> Result<()> {
    if lines.len() > rules.max_fields {
        return Err(refused(431, &format!("more than {} fields", rules.max_fields)));
    }
    let padded =
        |value: &[u8]| matches!((value.first(), value.last()), (Some(b' ' | b'\t'), _) | (_, Some(b' ' | b'\t')));
    match lines.iter().find(|(_, value)| padded(value)) {
        Some((name, _)) => Err(refused(400, &format!("a space around the value of {}", name.escape_ascii()))),
        None => Ok(()),
    }
}

fn refused(status: u16, why: &str) -> Error {
    Error::new(Status::HttpProtocol, why).phase(Phase::Transfer).http_status(status)
}

fn illegal(error: &ProtocolError) -> Error {
    let status = if error.hint == 0 { 400 } else { error.hint };
    refused(status, &error.message).detail(error.detail)
}

/// Fields that are about an HTTP/1.1 connection (RFC 9113 section 8.2.2).
const OF_THE_CONNECTION: [&str; 5] = ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"];

/// A response, without the fields that are about a connection and those that Connection names; `date` is the value of Date, which is added if there is none.
/// Errors: InvalidState.
pub(super) fn response(message: &ResponseHead, date: Option<&DateText>) -> Result<Response<()>> {
    let named: Vec<&[u8]> = connection_options(message).collect();
    let is_kept = |name: &[u8]| {
        let is = |other: &[u8]| name.eq_ignore_ascii_case(other);
        !OF_THE_CONNECTION.iter().any(|other| is(other.as_bytes())) && !named.iter().any(|other| is(other))
    };
    let status = StatusCode::from_u16(message.status).map_err(unsendable)?;
    let mut response = Response::new(());
    *response.status_mut() = status;
    let fields = response.headers_mut();
    let date = date.map(|date| (&b"date"[..], &date[..]));
    let has_date = message.lines().any(|(name, _)| name.eq_ignore_ascii_case(b"date"));
    for (name, value) in date.filter(|_| !has_date).into_iter().chain(message.lines().filter(|(name, _)| is_kept(name)))
    {
        if name.eq_ignore_ascii_case(b"te") && value != b"trailers" {
            return Err(unsendable("a TE field other than \"trailers\""));
        }
        let name = HeaderName::from_bytes(name).map_err(unsendable)?;
        fields.append(name, HeaderValue::from_bytes(value).map_err(unsendable)?);
    }
    Ok(response)
}

/// Errors: InvalidState.
pub(super) fn response_trailers(trailers: &[(Vec<u8>, Vec<u8>)]) -> Result<HeaderMap> {
    let mut fields = HeaderMap::new();
    for (name, value) in trailers {
        let name = HeaderName::from_bytes(name).map_err(unsendable)?;
        fields.append(name, HeaderValue::from_bytes(value).map_err(unsendable)?);
    }
    Ok(fields)
}

/// Whether the host has asked for the end of the connection.
pub(super) fn closes(message: &ResponseHead) -> bool {
    connection_options(message).any(|option| option.eq_ignore_ascii_case(b"close"))
}

fn connection_options(message: &ResponseHead) -> impl Iterator<Item = &[u8]> {
    let fields = message.lines().filter(|(name, _)| name.eq_ignore_ascii_case(b"connection"));
    fields.flat_map(|(_, value)| value.split(|byte| *byte == b',')).map(<[u8]>::trim_ascii)
}

/// What HTTP/1.1 could say and HTTP/2 cannot.
fn unsendable(error: impl std::fmt::Display) -> Error {
    Error::new(Status::InvalidState, format!("HTTP/2: {error}")).phase(Phase::Transfer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(method: &str, uri: &str, lines: &[(&str, &[u8])]) -> Result<ReceivedRequest> {
        let mut request = http::Request::builder().method(method).uri(uri);
        for (name, value) in lines {
            request = request.header(*name, HeaderValue::from_bytes(value).expect("a value"));
        }
        let rules = Rules { max_fields: 4, ..Rules::default() };
        received_request(&request.body(()).expect("a request").into_parts().0, &rules)
    }

    #[test]
    fn the_authority_is_shown_as_host_and_cookies_as_one_field() {
        let lines: [(&str, &[u8]); 4] = [("cookie", b"a=1"), ("x", b"1"), ("cookie", b"b=2"), ("x", b"2")];
        let request = received("GET", "https://a.test:1/p?q", &lines).unwrap();
        let shown: Vec<_> = request.head.lines().map(|(name, value)| [name, b": ", value].concat()).collect();
        assert_eq!(shown, [&b"host: a.test:1"[..], b"cookie: a=1; b=2", b"x: 1", b"x: 2"]);
        assert_eq!((request.line.target(), request.head.minor_version), (&b"/p?q"[..], 1));
        assert_eq!(request.line.authority_terminated(), b"a.test:1\0");
        assert_eq!(received("POST", "https://a.test/", &[("content-length", b"7")]).unwrap().length, Some(7));
    }

    #[test]
    fn what_http_1_1_refuses_is_refused() {
        let of = |method: &str, uri: &str, lines: &[(&str, &[u8])]| {
            received(method, uri, lines).err().map(|error| (error.status, error.http_status))
        };
        let uri = "https://a.test/";
        assert_eq!(of("OPTIONS", uri, &[("host", b"A.test")]), None);
        for (status, method, uri, lines) in [
            (501, "CONNECT", "a.test:443", &[][..]),
            (400, "GET", "/", &[]),
            (400, "GET", "*", &[("host", &b"a.test"[..])]),
            (400, "GET", "https://me@a.test/", &[]),
            (400, "GET", uri, &[("host", b"b.test")]),
            (400, "GET", "/", &[("host", b"a.test"), ("host", b"a.test")]),
            (400, "GET", "/", &[("host", b"a/b")]),
            (400, "POST", uri, &[("content-length", b"1"), ("content-length", b"2")]),
            (400, "POST", uri, &[("content-length", b"+1")]),
            (400, "GET", uri, &[("x", b" 1")]),
            (400, "GET", uri, &[("x", b"1\t")]),
            (431, "GET", uri, &[("x", b""), ("x", b""), ("x", b""), ("x", b"")]),
        ] {
            assert_eq!(of(method, uri, lines), Some((Status::HttpProtocol, status)), "{method} {uri} {lines:?}");
        }
        let mut trailers = HeaderMap::new();
        trailers.insert("content-length", HeaderValue::from_static("1"));
        assert!(received_trailers(&trailers, &Rules::default()).is_err());
        assert!(received_trailers(&HeaderMap::new(), &Rules::default()).unwrap().is_none());
    }

    #[test]
    fn what_is_about_a_connection_is_not_sent() {
        let mut message = ResponseHead::new(200, None, None, Some(3)).unwrap();
        for (name, value) in
            [("Connection", "X-Hop, close"), ("X-Hop", "1"), ("Keep-Alive", "1"), ("Upgrade", "a"), ("X-Y", "2")]
        {
            message.add(name, value);
        }
        let shown = response(&message, Some(&[b'n'; 29])).unwrap();
        let mut names: Vec<_> = shown.headers().keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["content-length", "date", "x-y"]);
        assert!(closes(&message) && !closes(&ResponseHead::new(200, None, None, None).unwrap()));
        message.add("Date", "then");
        assert_eq!(response(&message, Some(&[b'n'; 29])).unwrap().headers()["date"], "then");
        message.add("TE", "gzip");
        assert_eq!(response(&message, None).unwrap_err().status, Status::InvalidState);
    }
}
