//! What has arrived of the response to a blocking exchange. No I/O of its own: what it waits for is driven by the caller's runtime.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::{Notify, oneshot};

use super::{Exchange, InterimEvent};
use crate::error::{Error, Result, Status};
use crate::io::pieces;
use crate::io::sync::lock;
use crate::message::ReceivedHead;
use crate::operation::SendQueue;

/// Informational heads that the host has not asked for yet. Those beyond the limit are dropped.
#[derive(Default)]
pub(super) struct InformationalHeads {
    pub(super) heads: Mutex<VecDeque<Arc<ReceivedHead>>>,
    pub(super) came: Notify,
}

const MOST_INFORMATIONAL: usize = 64;

impl InformationalHeads {
    pub(super) fn tell(&self, news: InterimEvent) -> BoxFuture<'static, ()> {
        if let InterimEvent::Informational(head) = news {
            let mut heads = lock(&self.heads);
            if heads.len() < MOST_INFORMATIONAL {
                heads.push_back(Arc::new(head));
            }
            drop(heads);
            self.came.notify_waiters();
        }
        std::future::ready(()).boxed()
    }
}

/// What has arrived of the response.
#[derive(Default)]
pub(super) struct BlockingResponse {
    /// Delivers the response, if the first call did not wait for it.
    pub(super) pending: Option<oneshot::Receiver<Result<Exchange>>>,
    pub(super) sending: Option<Arc<SendQueue>>,
    pub(super) answer: Option<Exchange>,
    pub(super) head: Option<Arc<ReceivedHead>>,
    unread: Bytes,
    /// What a call had gathered before its time was up.
    gathered: Vec<u8>,
    pub(super) done: bool,
}

impl BlockingResponse {
    pub(super) fn take_answer(&mut self, mut answer: Exchange) {
        self.head = Some(Arc::new(std::mem::take(&mut answer.head)));
        self.answer = Some(answer);
    }

    pub(super) async fn await_answer(&mut self) -> Result<()> {
        let Some(pending) = &mut self.pending else { return Ok(()) };
        let rewound = async {
            match &self.sending {
                Some(sending) => sending.unwound().await,
                None => std::future::pending().await,
            }
        };
        let answered = tokio::select! {
            biased;
            answered = pending => answered,
            rewind = rewound => return Err(rewind),
        };
        let answered = answered.unwrap_or_else(|_| Err(Error::new(Status::Canceled, "the exchange was given up")));
        self.pending = None;
        self.take_answer(answered?);
        Ok(())
    }

    /// Up to `cap` bytes of the body; empty at its end.
    pub(super) async fn next_piece(&mut self, cap: usize) -> Result<Bytes> {
        if !self.gathered.is_empty() && cap < usize::MAX {
            self.unread = [std::mem::take(&mut self.gathered), self.unread.to_vec()].concat().into();
        }
        if self.unread.is_empty() && !self.done {
            let answer = self.answer.as_mut().ok_or_else(|| Error::new(Status::Internal, "no response"))?;
            match answer.next().await? {
                Some(data) => self.unread = data,
                None => self.done = true,
            }
        }
        let count = self.unread.len().min(cap);
        Ok(self.unread.split_to(count))
    }

    /// All that is still to come.
    pub(super) async fn rest(&mut self, max: usize) -> Result<Vec<u8>> {
        loop {
            if self.gathered.len() > max {
                return Err(Error::new(Status::BodyTooLarge, format!("the response body is longer than {max} bytes")));
            }
            let piece = self.next_piece(usize::MAX).await?;
            if piece.is_empty() {
                return Ok(std::mem::take(&mut self.gathered));
            }
            pieces::append(&mut self.gathered, &piece);
        }
    }
}
