//! Heads of HTTP/2 (RFC 9113 section 8) as a client knows heads, and back. What is refused in HTTP/1.1 is refused here too. Pure.

use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Version};

use super::faults::{refused, too_large, unasked_upgrade, unexpected_body};
use super::head_judge::HeadJudge;
use crate::client::request_options::HeadLimits;
use crate::error::{Error, Result, Status};
use crate::h1::{facts_of, validate_trailers};
use crate::message::{ReceivedHead, RequestHead};

/// Fields that are about an HTTP/1.1 connection (RFC 9113 section 8.2.2).
const OF_THE_CONNECTION: [&str; 5] = ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"];
/// Never kept by compression, which could give their values away to whoever may add fields (RFC 7541 section 7.1).
const SECRET: [&str; 3] = ["authorization", "cookie", "proxy-authorization"];
/// What a field counts for beside its name and value (RFC 9113 section 6.5.2).
const FIELD: usize = 32;

/// The request, whose head was found to be one of HTTP/1.1, with a body of `length` bytes. Fields that are about a connection are not sent, and those that
/// Connection names. Errors: InvalidArgument, HttpHeaderInvalid.
pub fn request(head: &RequestHead, length: Option<u64>) -> Result<Request<()>> {
    let mut request = Request::new(());
    *request.method_mut() = Method::from_bytes(head.method.as_bytes()).map_err(|error| unsendable("method", error))?;
    let path = PathAndQuery::try_from(head.path.as_str()).map_err(|error| unsendable("path", error))?;
    if path.as_str() != head.path {
        return Err(unsendable("path", "it contains '#'"));
    }
    let authority = head.host_line.as_ref().unwrap_or(&head.host).as_str();
    let uri = http::Uri::builder().scheme("https").authority(authority).path_and_query(path).build();
    *request.uri_mut() = uri.map_err(|error| unsendable("host", error))?;
    *request.version_mut() = Version::HTTP_2;
    let named: Vec<&[u8]> = connection_options(head).collect();
    let fields = request.headers_mut();
    for (name, value) in &head.headers {
        let is_named = named.iter().any(|other| name.as_bytes().eq_ignore_ascii_case(other));
        let is_one_of = |names: &[&str]| names.iter().any(|other| name.eq_ignore_ascii_case(other));
        let value = value.trim_ascii();
        // TE may say that trailers are welcome, and nothing else.
        if is_named && !is_one_of(&["te"]) || is_one_of(&OF_THE_CONNECTION) {
            continue;
        }
        if is_one_of(&["te"]) && !value.eq_ignore_ascii_case(b"trailers") {
            continue;
        }
        let field = HeaderName::from_bytes(name.as_bytes()).map_err(|error| unsendable(name, error))?;
        let mut value = HeaderValue::from_bytes(value).map_err(|error| unsendable(name, error))?;
        value.set_sensitive(is_one_of(&SECRET));
        fields.try_append(field, value).map_err(|error| unsendable(name, error))?;
    }
    let has_no_body = length == Some(0) && !matches!(&*head.method, "POST" | "PUT" | "PATCH");
    if let Some(length) = length.filter(|_| !has_no_body && !head.has("content-length")) {
        fields.insert(http::header::CONTENT_LENGTH, length.into());
    }
    Ok(request)
}

fn connection_options(head: &RequestHead) -> impl Iterator<Item = &[u8]> {
    let fields = head.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("connection"));
    fields.flat_map(|(_, value)| value.split(|byte| *byte == b',')).map(<[u8]>::trim_ascii)
}

fn unsendable(what: &str, why: impl std::fmt::Display) -> Error {
    Error::new(Status::InvalidArgument, format!("{what}: HTTP/2 cannot carry it: {why}"))
}

/// The response head, and how many bytes it counts for. Errors: HttpProtocol.
pub fn response(status: u16, fields: &HeaderMap, limits: &HeadLimits) -> Result<(ReceivedHead, usize)> {
    if status == 101 {
        return Err(unasked_upgrade());
    }
    let bytes = check_size(fields, limits)?;
    let facts = facts_of(lines(fields), &HeadJudge::rules(limits)).map_err(|error| refused(&error))?;
    let announces = facts.chunked || facts.content_length().is_some_and(|length| length > 0);
    if matches!(status, 100..200 | 204) && announces {
        return Err(unexpected_body(status));
    }
    let mut head = ReceivedHead::new(status, 1, b"");
    lines(fields).for_each(|(name, value)| head.add(name, value));
    Ok((head, bytes))
}

/// Errors: HttpProtocol.
pub fn trailers(fields: &HeaderMap, limits: &HeadLimits) -> Result<Option<ReceivedHead>> {
    check_size(fields, limits)?;
    validate_trailers(lines(fields), &HeadJudge::rules(limits)).map_err(|error| refused(&error))?;
    Ok(ReceivedHead::trailers(lines(fields)))
}

fn check_size(fields: &HeaderMap, limits: &HeadLimits) -> Result<usize> {
    let bytes = lines(fields).map(|(name, value)| name.len() + value.len() + FIELD).sum();
    match fields.len() > limits.lines || bytes > limits.bytes {
        true => Err(too_large(limits)),
        false => Ok(bytes),
    }
}

fn lines(fields: &HeaderMap) -> impl Iterator<Item = (&[u8], &[u8])> {
    fields.iter().map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Detail, Status};

    fn head(method: &str, path: &str, lines: &[(&str, &str)]) -> RequestHead {
        RequestHead {
            method: method.into(),
            path: path.into(),
            host: "a.test:1".into(),
            host_line: None,
            absolute: false,
            headers: lines.iter().map(|(name, value)| (name.to_string(), value.as_bytes().to_vec())).collect(),
        }
    }

    fn shown(request: &Request<()>) -> Vec<(String, String, bool)> {
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        request.headers().iter().map(|(name, value)| (name.to_string(), text(value), value.is_sensitive())).collect()
    }

    #[test]
    fn what_is_about_a_connection_is_not_sent_and_secrets_are_not_kept() {
        let lines = [
            ("Connection", "X-Hop, te"),
            ("X-Hop", "1"),
            ("Keep-Alive", "1"),
            ("Proxy-Connection", "1"),
            ("TE", "trailers"),
            ("Cookie", "a=1"),
            ("X", " 2\t"),
        ];
        let made = request(&head("POST", "/p?q", &lines), Some(0)).unwrap();
        let line = |name: &str, value: &str, secret| (name.to_owned(), value.to_owned(), secret);
        let wanted = [
            line("te", "trailers", false),
            line("cookie", "a=1", true),
            line("x", "2", false),
            line("content-length", "0", false),
        ];
        assert_eq!((shown(&made), made.uri().to_string()), (wanted.to_vec(), "https://a.test:1/p?q".to_owned()));
        let made = request(&head("GET", "/", &[("TE", "gzip")]), Some(0)).unwrap();
        assert!(shown(&made).is_empty());
        assert!(shown(&request(&head("PUT", "/", &[]), None).unwrap()).is_empty());
        let named = RequestHead { host_line: Some("b.test".into()), ..head("OPTIONS", "*", &[]) };
        let made = request(&named, Some(0)).unwrap();
        assert_eq!((made.uri().authority().unwrap().as_str(), made.uri().path()), ("b.test", "*"));
    }

    #[test]
    fn what_cannot_be_sent_is_refused_by_name() {
        for (method, path, what) in [("GET", "/a#b", "path"), ("GET", "/a\\b", "path"), ("G T", "/", "method")] {
            if let Err(error) = request(&head(method, path, &[]), Some(0)) {
                assert!(
                    error.status == Status::InvalidArgument && error.message.starts_with(what),
                    "{}",
                    error.message
                );
            }
        }
        assert!(request(&head("GET", "/a#b", &[]), Some(0)).is_err());
    }

    #[test]
    fn heads_are_judged_as_over_http_1_1() {
        let fields = |lines: &[(&'static str, &'static str)]| {
            let mut fields = HeaderMap::new();
            lines.iter().for_each(|(name, value)| _ = fields.append(*name, HeaderValue::from_static(value)));
            fields
        };
        let limits = HeadLimits { bytes: 100, lines: 2, informational: 1 };
        let of = |status, lines: &[(&'static str, &'static str)]| {
            response(status, &fields(lines), &limits).map(|_| ()).map_err(|error| error.detail)
        };
        assert_eq!(of(200, &[("content-length", "2"), ("x", "y")]), Ok(()));
        assert_eq!(of(204, &[("content-length", "0")]), Ok(()));
        assert_eq!(of(101, &[]), Err(Detail::UnaskedUpgrade));
        assert_eq!(of(204, &[("content-length", "2")]), Err(Detail::UnexpectedBody));
        assert_eq!(of(200, &[("x", "1"), ("x", "2"), ("x", "3")]), Err(Detail::HeadTooLarge));
        assert_eq!(
            of(200, &[("x", "1234567890123456789012345678901234567890123456789012345678901234567890")]),
            Err(Detail::HeadTooLarge)
        );
        assert!(of(200, &[("content-length", "1"), ("content-length", "2")]).is_err());
        assert!(of(200, &[("content-length", "+1")]).is_err());
        assert!(trailers(&fields(&[("content-length", "1")]), &limits).is_err());
        assert!(trailers(&fields(&[]), &limits).unwrap().is_none());
    }
}
