//! A client's request on its way: where to, with which body, and what it leads to.

use std::sync::Arc;

use bytes::Bytes;

use super::location::Location;
use super::options::Options;
use super::request_body::{Progress, Source};
use super::{News, RequestBody, Tell};
use crate::message::Request;
use crate::operation::Outgoing;

/// A request on its way through redirects.
#[derive(Clone)]
pub struct Call {
    pub request: Arc<Request>,
    pub location: Location,
    pub body: CallBody,
    pub options: Arc<Options>,
    /// The answers to the server's and the proxy's challenge.
    pub authorization: Option<String>,
    pub proxy_authorization: Option<String>,
    /// A challenge was answered again, because only the nonce of the previous answer was stale.
    pub answered_anew: bool,
}

/// A call that another one leads to.
pub struct Next {
    pub call: Call,
    /// Its body is that of the call before, and must be sent once more.
    pub again: bool,
    pub followed: bool,
}

#[derive(Clone)]
pub enum CallBody {
    Full(Bytes),
    /// Cannot be sent twice.
    Stream(Arc<Outgoing>, Option<u64>),
    Source(Arc<dyn Source>, Option<u64>),
}

impl Call {
    pub fn new(request: Arc<Request>, location: Location, body: CallBody, options: Arc<Options>) -> Call {
        Call { request, location, body, options, authorization: None, proxy_authorization: None, answered_anew: false }
    }

    /// RFC 9110 section 9.2.2.
    pub fn is_idempotent(&self) -> bool {
        matches!(&*self.request.method, "GET" | "HEAD" | "OPTIONS" | "TRACE" | "PUT" | "DELETE")
    }
}

impl CallBody {
    /// Where the host writes to.
    pub fn outgoing(&self) -> Option<Arc<Outgoing>> {
        match self {
            CallBody::Full(_) | CallBody::Source(..) => None,
            CallBody::Stream(pieces, _) => Some(pieces.clone()),
        }
    }

    pub fn length(&self) -> Option<u64> {
        match self {
            CallBody::Full(data) => Some(data.len() as u64),
            CallBody::Stream(_, length) | CallBody::Source(_, length) => *length,
        }
    }

    pub fn begin(&self) -> RequestBody {
        match self {
            CallBody::Full(data) => RequestBody::full(data.clone()),
            CallBody::Stream(pieces, length) => RequestBody::stream(pieces.clone(), *length),
            CallBody::Source(source, length) => RequestBody::source(source.clone(), *length),
        }
    }

    /// As `rewind`; the host is asked where it writes the body. `before` is how far it has come, in a request that may not be over: from now on that one takes
    /// nothing more of it.
    pub async fn begins_anew(&self, before: &Progress, tell: &Tell<'_>) -> bool {
        match self {
            CallBody::Stream(pieces, _) if pieces.unwind() => {
                tell(News::Rewind).await;
                pieces.rewound().await;
                true
            }
            CallBody::Source(source, _) => {
                let went_on = before.pause().await;
                let again = source.rewind();
                if !again && went_on {
                    before.resume();
                }
                again
            }
            _ => self.rewind(),
        }
    }

    /// Makes it ready to be sent once more; false where that cannot be, or not at once.
    pub fn rewind(&self) -> bool {
        match self {
            CallBody::Full(_) => true,
            CallBody::Stream(..) => false,
            CallBody::Source(source, _) => source.rewind(),
        }
    }
}
