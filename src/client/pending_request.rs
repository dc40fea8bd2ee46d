//! A client's request on its way: its URL, its body, and the request that follows from its response. No I/O.

use std::sync::Arc;

use bytes::Bytes;

use super::location::Location;
use super::request_body::{BodyProgress, BodySource};
use super::request_options::RequestOptions;
use super::{InterimEvent, OnInterim, RequestBody};
use crate::message::RequestHead;
use crate::operation::SendQueue;

/// A request on its way through redirects.
#[derive(Clone)]
pub struct PendingRequest {
    pub request: Arc<RequestHead>,
    pub location: Location,
    pub body: PendingBody,
    pub options: Arc<RequestOptions>,
    /// The answers to the server's and the proxy's challenge.
    pub authorization: Option<String>,
    pub proxy_authorization: Option<String>,
    /// A challenge was answered a second time, because only the nonce of the first answer was stale.
    pub answered_anew: bool,
}

/// The request that follows from a response.
pub struct FollowUp {
    pub call: PendingRequest,
    /// Its body is that of the request before, and must be sent again.
    pub again: bool,
    pub followed: bool,
}

#[derive(Clone)]
pub enum PendingBody {
    Full(Bytes),
    /// Cannot be sent twice.
    Stream(Arc<SendQueue>, Option<u64>),
    Source(Arc<dyn BodySource>, Option<u64>),
}

impl PendingRequest {
    pub fn new(
        request: Arc<RequestHead>,
        location: Location,
        body: PendingBody,
        options: Arc<RequestOptions>,
    ) -> PendingRequest {
        PendingRequest {
            request,
            location,
            body,
            options,
            authorization: None,
            proxy_authorization: None,
            answered_anew: false,
        }
    }

    /// Whether sending it twice does no harm (RFC 9110 section 9.2.2).
    pub fn is_idempotent(&self) -> bool {
        matches!(&*self.request.method, "GET" | "HEAD" | "OPTIONS" | "TRACE" | "PUT" | "DELETE")
    }
}

impl PendingBody {
    /// Where the host writes to.
    pub fn outgoing(&self) -> Option<Arc<SendQueue>> {
        match self {
            PendingBody::Full(_) | PendingBody::Source(..) => None,
            PendingBody::Stream(pieces, _) => Some(pieces.clone()),
        }
    }

    pub fn length(&self) -> Option<u64> {
        match self {
            PendingBody::Full(data) => Some(data.len() as u64),
            PendingBody::Stream(_, length) | PendingBody::Source(_, length) => *length,
        }
    }

    pub fn begin(&self) -> RequestBody {
        match self {
            PendingBody::Full(data) => RequestBody::full(data.clone()),
            PendingBody::Stream(pieces, length) => RequestBody::stream(pieces.clone(), *length),
            PendingBody::Source(source, length) => RequestBody::source(source.clone(), *length),
        }
    }

    /// As `rewind`; if the host writes the body, it is asked to start again. `before` is the progress of the body in the request before, which may not be over:
    /// from now on that request takes no more of the body.
    pub async fn begins_anew(&self, before: &BodyProgress, tell: &OnInterim<'_>) -> bool {
        match self {
            PendingBody::Stream(pieces, _) if pieces.unwind() => {
                tell(InterimEvent::Rewind).await;
                pieces.rewound().await;
                true
            }
            PendingBody::Source(source, _) => {
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

    /// Makes the body ready to be sent again; false if that is impossible, or not possible at once.
    pub fn rewind(&self) -> bool {
        match self {
            PendingBody::Full(_) => true,
            PendingBody::Stream(..) => false,
            PendingBody::Source(source, _) => source.rewind(),
        }
    }
}
