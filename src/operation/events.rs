//! What an operation reports, and the outlet it reports through. `capi` puts a C queue behind the outlet.

use std::any::Any;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{Cancel, Credit};
use crate::error::{Detail, Error, Status};
use crate::message::Head;

/// Something that happened. One operation's events are in order; `Closed` is the last.
pub enum Event {
    Connected,
    Informational(Head),
    Head(Head),
    /// Bytes, taken from the credit; with automatic credit they are granted again when the host is done with the event.
    Data(Bytes, Arc<Credit>),
    Trailers(Head),
    /// The peer will send no more; our direction may still be open.
    End,
    Writable,
    /// A streamed body is to be written once more.
    Rewind,
    /// Everything written has been sent, and so has the end of our direction.
    Sent,
    /// A server was asked; what it is, `capi` knows.
    Request(Arc<dyn Any + Send + Sync>),
    /// A server refuses somebody; once the host is done with the event, the peer is told.
    Refused(Error),
    Closed(Option<Error>),
}

/// Where events go.
pub trait Observer: Send + Sync {
    /// The permit, if any, is dropped when the host is done with the event.
    fn post(&self, event: Event, permit: Option<OwnedSemaphorePermit>);
}

/// Events that a host has not taken yet, for one operation. Beyond this the producer waits, so that an unread queue is
/// back-pressure and not memory.
const WAITING: usize = 4;

/// The outlet of one operation. Dropped without `close`, it still closes: a task that panics or is thrown away by a shutdown
/// must not leave its host waiting.
pub struct Outlet {
    observer: Arc<dyn Observer>,
    room: Arc<Semaphore>,
    closed: bool,
    server: Option<(Arc<Cancel>, Option<SocketAddr>)>,
}

impl Outlet {
    pub fn new(observer: Arc<dyn Observer>) -> Outlet {
        Outlet { observer, room: Arc::new(Semaphore::new(WAITING)), closed: false, server: None }
    }

    /// The operation is one of a server's, for this peer, and ends with the server once that throws `closing`: what is dropped then says why.
    pub fn of_server(mut self, closing: Arc<Cancel>, peer: Option<SocketAddr>) -> Outlet {
        self.server = Some((closing, peer));
        self
    }

    /// Posts once there is room.
    pub async fn post(&self, event: Event) {
        let room = self.room().await;
        self.post_now(event, room);
    }

    /// Waits for room; what it gives goes to `post_now`.
    pub async fn room(&self) -> Option<OwnedSemaphorePermit> {
        self.room.clone().acquire_owned().await.ok()
    }

    /// Waits until the host is done with all that was posted.
    pub async fn quiet(&self) {
        drop(self.room.acquire_many(WAITING as u32).await);
    }

    pub fn post_now(&self, event: Event, room: Option<OwnedSemaphorePermit>) {
        self.observer.post(event, room);
    }

    /// Posts the last event.
    pub fn close(mut self, error: Option<Error>) {
        self.closed = true;
        self.observer.post(Event::Closed(error), None);
    }
}

impl Drop for Outlet {
    fn drop(&mut self) {
        if self.closed {
            return;
        }
        let error = if std::thread::panicking() {
            Error::new(Status::Panic, "internal error in the operation's task")
        } else if let Some((_, peer)) = self.server.take_if(|(closing, _)| closing.is_canceled()) {
            Error::new(Status::Canceled, "the server was closed").detail(Detail::ServerClosed).peer(peer)
        } else {
            Error::new(Status::Canceled, "the runtime was shut down")
        };
        self.observer.post(Event::Closed(Some(error)), None);
    }
}
