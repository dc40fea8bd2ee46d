//! A body that is written again from its beginning: what was queued is dropped, and nothing is taken until the host starts again. No I/O.

use super::{SendQueue, lock};
use crate::error::{Detail, Error, Result, Status};

impl SendQueue {
    /// The host can write all of the body again.
    pub fn allow_rewind(&self) {
        lock(&self.state).may_rewind = true;
    }

    /// Whether what is written is still for this request.
    pub fn reads(&self, reader: u32) -> bool {
        lock(&self.state).reading == reader
    }

    /// Asks the host to start the body again: until it does, writes take nothing. False if it cannot.
    pub fn unwind(&self) -> bool {
        let mut state = lock(&self.state);
        if !state.may_rewind {
            return false;
        }
        (state.rewinding, state.finished) = (true, false);
        state.begun += 1;
        state.reading += 1;
        let gone = state.forget();
        drop(state);
        drop(gone);
        self.room.notify_waiters();
        self.unwound.notify_waiters();
        true
    }

    /// Waits until the host is asked to start again; returns the error that asks it.
    pub async fn unwound(&self) -> Error {
        loop {
            let asked = self.unwound.notified();
            if lock(&self.state).rewinding {
                return wants_rewind();
            }
            asked.await;
        }
    }

    /// The host starts again; what it writes next is the beginning. Errors: InvalidState if it was not asked to.
    pub fn rewind(&self) -> Result<()> {
        let mut state = lock(&self.state);
        if let Some(error) = state.why_ended() {
            return Err(error);
        }
        if !std::mem::take(&mut state.rewinding) {
            return Err(Error::new(Status::InvalidState, "the body need not be written again"));
        }
        drop(state);
        self.rewound.notify_one();
        Ok(())
    }

    pub async fn rewound(&self) {
        while lock(&self.state).rewinding {
            self.rewound.notified().await;
        }
    }
}

pub(super) fn wants_rewind() -> Error {
    Error::new(Status::Again, "the body must be written again from its beginning").detail(Detail::Rewind)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operation::send_queue::HIGH;
    use bytes::Bytes;

    #[tokio::test]
    async fn nothing_of_before_goes_into_a_body_that_begins_anew() {
        let out = SendQueue::new(None);
        let piece = |byte| Bytes::from(vec![byte; HIGH]);
        out.open();
        assert!(!out.unwind(), "only where the host allows it");
        assert_eq!(out.rewind().unwrap_err().status, Status::InvalidState);
        out.allow_rewind();
        out.write(piece(1)).unwrap();
        let (waited, ()) = tokio::join!(out.write_all(piece(2)), async {
            assert!(out.unwind());
            out.rewind().unwrap();
        });
        // The write waited since before the rewind, so its bytes belong to the old body.
        assert_eq!(waited.unwrap_err().detail, Detail::Rewind);
        assert!(out.unwind());
        for refused in [out.write(piece(3)), out.finish(), out.write_all(piece(3)).await] {
            assert_eq!(refused.unwrap_err().detail, Detail::Rewind);
        }
        let ((), done) = tokio::join!(out.rewound(), async { out.rewind() });
        done.unwrap();
        out.write(piece(4)).unwrap();
        out.finish().unwrap();
        assert_eq!(out.next().await.unwrap(), piece(4));
        assert!(out.next().await.is_none());
    }
}
