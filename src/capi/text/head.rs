//! `atls_head`: received header fields, of a response or a request, or trailers.

use std::sync::Arc;

use crate::capi::base::arguments::{Counted, Owned, c_text, text};
use crate::capi::base::bytes::atls_str;
use crate::capi::base::guard::{guard_free, guard_value};
use crate::capi::base::handle::{Handle, add_ref, borrow, release};
use crate::capi::base::unknown;
use crate::error::Result;
use crate::message::ReceivedHead;
use crate::server::ServerRequest;
use crate::tls::HttpVersions;

/// A response head, a request's header fields, or trailers. Immutable, reference-counted, safe to
/// share between threads.
pub struct atls_head {
    place: HeadPlace,
}

/// Where the fields are.
enum HeadPlace {
    Own(ReceivedHead),
    Shared(Arc<ReceivedHead>),
    OfRequest(Arc<ServerRequest>),
}

impl Handle for atls_head {
    type Owner = Arc<atls_head>;
}

impl atls_head {
    pub(crate) fn new(head: ReceivedHead) -> atls_head {
        atls_head { place: HeadPlace::Own(head) }
    }

    pub(in crate::capi) fn of_request(request: Arc<ServerRequest>) -> atls_head {
        atls_head { place: HeadPlace::OfRequest(request) }
    }

    pub(in crate::capi) fn into_raw(head: Arc<ReceivedHead>) -> *mut atls_head {
        Arc::into_raw(Arc::new(atls_head { place: HeadPlace::Shared(head) })).cast_mut()
    }

    pub(in crate::capi) fn head(&self) -> &ReceivedHead {
        match &self.place {
            HeadPlace::Own(head) => head,
            HeadPlace::Shared(head) => head,
            HeadPlace::OfRequest(request) => &request.head,
        }
    }
}

/// Status code; 0 for a request or trailers.
#[unsafe(no_mangle)]
pub extern "C" fn atls_head_status(head: Option<&atls_head>) -> u32 {
    guard_value(0, || borrow(head, "head").map_or(0, |head| head.head().status.into()))
}

/// Reason phrase as it was sent. Valid as long as the head.
#[unsafe(no_mangle)]
pub extern "C" fn atls_head_reason(head: Option<&atls_head>) -> atls_str {
    guard_value(atls_str::empty(), || {
        borrow(head, "head").map_or(atls_str::empty(), |head| terminated(Some(head.head().reason())))
    })
}

/// Versions of HTTP. Each is a bit, so that several make a set.
pub type atls_http_version = u32;

/// HTTP/1.0: without chunked bodies, informational heads and trailers.
pub const ATLS_HTTP_VERSION_1_0: atls_http_version = 1;
/// HTTP/1.1.
pub const ATLS_HTTP_VERSION_1_1: atls_http_version = 2;
/// HTTP/2. Its heads have no reason phrase, and their field names are in lower case.
pub const ATLS_HTTP_VERSION_2: atls_http_version = 4;

/// The set that these bits are; for 0 the default.
pub(in crate::capi) fn http_versions(bits: u32) -> Result<HttpVersions> {
    let known = ATLS_HTTP_VERSION_1_1 | ATLS_HTTP_VERSION_2;
    let has = |version| bits & version != 0;
    match HttpVersions::new(has(ATLS_HTTP_VERSION_1_1), has(ATLS_HTTP_VERSION_2)) {
        _ if bits == 0 => Ok(HttpVersions::default()),
        Some(versions) if bits & !known == 0 => Ok(versions),
        _ => Err(unknown("set of HTTP versions", bits)),
    }
}

/// Minor version of HTTP/1.x: 0 or 1. It is 1 for HTTP/2 too, whose messages mean the same.
#[unsafe(no_mangle)]
pub extern "C" fn atls_head_minor_version(head: Option<&atls_head>) -> u32 {
    guard_value(1, || borrow(head, "head").map_or(1, |head| head.head().minor_version.into()))
}

/// Number of header fields.
#[unsafe(no_mangle)]
pub extern "C" fn atls_head_count(head: Option<&atls_head>) -> usize {
    guard_value(0, || borrow(head, "head").map_or(0, |head| head.head().count()))
}

/// Name of the header field at `index`, in the order and case in which it was sent; in trailers that
/// came on an `atls_http`, in lower case and beside those of the same name. "" past the end. Valid
/// as long as the head.
#[unsafe(no_mangle)]
pub extern "C" fn atls_head_name(head: Option<&atls_head>, index: usize) -> atls_str {
    part(head, |head| head.name(index))
}

/// Value of the header field at `index`, without the spaces and tabs around it; bytes, usually
/// ASCII. "" past the end. Valid as long as the head.
#[unsafe(no_mangle)]
pub extern "C" fn atls_head_value(head: Option<&atls_head>, index: usize) -> atls_str {
    part(head, |head| head.value(index))
}

/// Value of the first header field with this name, in any case. "" if there is none, or if its
/// value is empty; atls_head_find tells which. Valid as long as the head.
#[unsafe(no_mangle)]
pub extern "C" fn atls_head_get(head: Option<&atls_head>, name: c_text) -> atls_str {
    guard_value(atls_str::empty(), || {
        let (Ok(this), Ok(name)) = (borrow(head, "head"), text(name, "name")) else {
            return atls_str::empty();
        };
        terminated(this.head().position(name, 0).and_then(|line| this.head().value(line)))
    })
}

/// Index of the first header field with this name, in any case, at or after index `from`; SIZE_MAX
/// if there is none.
#[unsafe(no_mangle)]
pub extern "C" fn atls_head_find(head: Option<&atls_head>, name: c_text, from: usize) -> usize {
    guard_value(usize::MAX, || {
        let (Ok(this), Ok(name)) = (borrow(head, "head"), text(name, "name")) else {
            return usize::MAX;
        };
        this.head().position(name, from).unwrap_or(usize::MAX)
    })
}

/// Adds a reference; returns `head`.
#[unsafe(no_mangle)]
pub extern "C" fn atls_head_ref(head: Counted<atls_head>) -> *mut atls_head {
    add_ref(head)
}

/// Drops a reference.
#[unsafe(no_mangle)]
pub extern "C" fn atls_head_free(head: Owned<atls_head>) {
    guard_free(|| release(head));
}

fn part<'a>(head: Option<&'a atls_head>, part: impl Fn(&'a ReceivedHead) -> Option<&'a [u8]>) -> atls_str {
    guard_value(atls_str::empty(), || match borrow(head, "head") {
        Ok(head) => terminated(part(head.head())),
        Err(_) => atls_str::empty(),
    })
}

/// Text whose last byte is a NUL, without that NUL; "" for none.
pub(in crate::capi) fn terminated(part: Option<&[u8]>) -> atls_str {
    match part.and_then(|part| part.split_last()) {
        Some((0, bare)) => atls_str { ptr: bare.as_ptr().cast(), len: bare.len() },
        _ => atls_str::empty(),
    }
}
