//! What a server reports. Pure.

use std::sync::Arc;

use super::ServerRequest;
use crate::error::{Detail, Error, Status};
use crate::operation::OperationEvent;

pub enum ServerEvent {
    /// A request has come.
    Request(Arc<ServerRequest>),
    /// A peer is refused; it is answered once the host is done with the event.
    Refused(Error),
    /// The server has stopped, and its last connection has ended.
    Closed(Option<Error>),
}

/// Why a request or stream ended that was dropped by `Server::close`.
pub fn server_closed() -> Error {
    Error::new(Status::Canceled, "the server was closed").detail(Detail::ServerClosed)
}

impl OperationEvent for ServerEvent {
    fn closed(error: Option<Error>) -> ServerEvent {
        ServerEvent::Closed(error)
    }

    fn is_closed(&self) -> bool {
        matches!(self, ServerEvent::Closed(_))
    }
}
