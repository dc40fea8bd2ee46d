//! The outlet through which an operation reports. `capi` puts a C queue behind it. No I/O.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{Cancel, OperationEvent, TransferEvent};
use crate::error::{Error, Status};

/// Where events go.
pub trait Observer<E = TransferEvent>: Send + Sync {
    /// The permit, if any, is dropped when the host is done with the event. Takes the reference that it is called with, which the event may keep.
    fn post(self: Arc<Self>, event: E, permit: Option<OwnedSemaphorePermit>);
}

/// Events that a host has not taken yet, for one operation. Beyond this the producer waits, so that an unread queue is
/// back-pressure and not memory.
const WAITING: usize = 4;

/// The outlet of one operation. Dropped without `close`, it still closes: a task that panics or is thrown away by a shutdown
/// must not leave its host waiting.
pub struct Outlet<E: OperationEvent = TransferEvent> {
    observer: Arc<dyn Observer<E>>,
    /// Made when it is first asked for: most requests have no body, and need none.
    room: OnceLock<Arc<Semaphore>>,
    closed: bool,
    owner: Option<Owner>,
}

/// Something that ends its operations by dropping them.
struct Owner {
    closing: Arc<Cancel>,
    peer: Option<SocketAddr>,
    why: fn() -> Error,
}

impl<E: OperationEvent> Outlet<E> {
    pub fn new(observer: Arc<dyn Observer<E>>) -> Outlet<E> {
        Outlet { observer, room: OnceLock::new(), closed: false, owner: None }
    }

    /// The operation is dropped with its owner, and after `closing` was thrown that is `why`; it is with `peer`.
    pub fn owned(mut self, closing: Arc<Cancel>, peer: Option<SocketAddr>, why: fn() -> Error) -> Outlet<E> {
        self.owner = Some(Owner { closing, peer, why });
        self
    }

    /// Posts once there is room.
    pub async fn post(&self, event: E) {
        let room = self.room().await;
        self.post_now(event, room);
    }

    /// Waits for room; what it gives goes to `post_now`.
    pub async fn room(&self) -> Option<OwnedSemaphorePermit> {
        self.all_room().clone().acquire_owned().await.ok()
    }

    /// Waits until the host is done with all that was posted.
    pub async fn quiet(&self) {
        drop(self.all_room().acquire_many(WAITING as u32).await);
    }

    fn all_room(&self) -> &Arc<Semaphore> {
        self.room.get_or_init(|| Arc::new(Semaphore::new(WAITING)))
    }

    /// Posts an event of which an operation has one at most, so that it needs no room. `quiet` does not wait for it.
    pub fn post_once(&self, event: E) {
        self.post_now(event, None);
    }

    pub fn post_now(&self, event: E, room: Option<OwnedSemaphorePermit>) {
        self.observer.clone().post(event, room);
    }

    /// Posts the last event.
    pub fn close(mut self, error: Option<Error>) {
        self.closed = true;
        self.observer.clone().post(E::closed(error), None);
    }
}

impl<E: OperationEvent> Drop for Outlet<E> {
    fn drop(&mut self) {
        if self.closed {
            return;
        }
        let error = if std::thread::panicking() {
            Error::new(Status::Panic, "internal error in the operation's task")
        } else if let Some(owner) = self.owner.take_if(|owner| owner.closing.is_canceled()) {
            (owner.why)().peer(owner.peer)
        } else {
            Error::new(Status::Canceled, "the runtime was shut down")
        };
        self.observer.clone().post(E::closed(Some(error)), None);
    }
}
