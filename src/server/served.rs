//! One request as the host has it: what it was asked, what it answers, piece by piece.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock};

use bytes::Bytes;
use tokio::sync::Notify;

use super::message::Message;
use super::show::Client;
use crate::error::{Error, Result, Status};
use crate::events::{Observer, Outlet};
use crate::flow::{Cancel, Credit, Outgoing, lock};
use crate::http::Head;

/// A request, and the way back for its answer. Shared by the host and the connection.
pub struct Served {
    pub method: String,
    pub target: Vec<u8>,
    /// Its status is 0.
    pub head: Head,
    pub peer: SocketAddr,
    pub secure: bool,
    pub client: Client,
    pub credit: Arc<Credit>,
    pub cancel: Cancel,
    /// Where its events go, once the host has said so.
    outlet: Mutex<Option<Outlet>>,
    started: Notify,
    said: Mutex<Said>,
    spoke: Notify,
    pub outgoing: OnceLock<Arc<Outgoing>>,
}

#[derive(Default)]
struct Said {
    heads: VecDeque<Message>,
    answered: bool,
    trailers: Vec<(Vec<u8>, Vec<u8>)>,
    started: bool,
    /// The host let go of the request, or its connection ended.
    over: bool,
}

/// What the host says next.
pub enum Answer {
    Head(Message),
    Piece(Bytes),
    End,
}

impl Served {
    pub fn new(
        method: String,
        target: Vec<u8>,
        head: Head,
        (peer, secure): (SocketAddr, bool),
        client: Client,
        credit: Credit,
    ) -> Served {
        Served {
            method,
            target,
            head,
            peer,
            secure,
            client,
            credit: Arc::new(credit),
            cancel: Cancel::default(),
            outlet: Mutex::default(),
            started: Notify::new(),
            said: Mutex::default(),
            spoke: Notify::new(),
            outgoing: OnceLock::new(),
        }
    }

    /// The host takes the request: events go to `observer`, the answer's body comes through `outgoing`. Errors: InvalidState, Closed.
    pub fn start(&self, observer: Arc<dyn Observer>, outgoing: Outgoing) -> Result<()> {
        let mut said = lock(&self.said);
        said.check_startable()?;
        said.started = true;
        outgoing.open();
        let _ = self.outgoing.set(Arc::new(outgoing));
        *lock(&self.outlet) = Some(Outlet::new(observer));
        drop(said);
        self.started.notify_one();
        Ok(())
    }

    /// As `start`, before anything is made for it.
    pub fn check_startable(&self) -> Result<()> {
        lock(&self.said).check_startable()
    }

    /// The host has no handle any more: what it has not finished it will not.
    pub fn give_up(&self) {
        self.let_go();
        if self.outgoing.get().is_some_and(|outgoing| !outgoing.is_finished()) {
            self.cancel.cancel();
        }
    }

    /// The host lets go of a request that it never took.
    pub fn let_go(&self) {
        let mut said = lock(&self.said);
        if !said.started {
            said.over = true;
            drop(said);
            self.started.notify_one();
        }
    }

    /// Waits until the host has taken the request; `None` where it let go of it.
    pub(super) async fn taken(&self) -> Option<Outlet> {
        loop {
            let notified = self.started.notified();
            if let Some(outlet) = lock(&self.outlet).take() {
                return Some(outlet);
            }
            if lock(&self.said).over {
                return None;
            }
            notified.await;
        }
    }

    /// An informational head, or the final one. Errors: InvalidState (a final one was there already), Closed.
    pub fn say(&self, message: Message) -> Result<()> {
        let mut said = lock(&self.said);
        said.check()?;
        if said.answered {
            return Err(Error::new(Status::InvalidState, "the response head was sent already"));
        }
        said.answered = message.status >= 200;
        said.heads.push_back(message);
        drop(said);
        self.spoke.notify_one();
        Ok(())
    }

    /// More of the answer's body. Errors: Again, InvalidState (no head yet; finished), Closed, or why the request ended.
    pub fn write(&self, data: Bytes) -> Result<()> {
        self.answering()?.write(data)
    }

    /// The end of the answer. Errors: as `write`.
    pub fn finish(&self, trailers: Vec<(Vec<u8>, Vec<u8>)>) -> Result<()> {
        let outgoing = self.answering()?;
        lock(&self.said).trailers = trailers;
        outgoing.finish()
    }

    fn answering(&self) -> Result<&Arc<Outgoing>> {
        let said = lock(&self.said);
        if !said.answered {
            said.check()?;
            return Err(Error::new(Status::InvalidState, "no response head was sent"));
        }
        self.outgoing.get().ok_or_else(|| Error::new(Status::InvalidState, "the request was not started"))
    }

    /// What the host says next; waits for it.
    pub(super) async fn answer(&self) -> Result<Answer> {
        loop {
            let spoke = self.spoke.notified();
            let (head, answered) = {
                let mut said = lock(&self.said);
                (said.heads.pop_front(), said.answered)
            };
            if let Some(head) = head {
                return Ok(Answer::Head(head));
            }
            let Some(outgoing) = self.outgoing.get().filter(|_| answered) else {
                spoke.await;
                continue;
            };
            return match outgoing.next().await {
                Some(piece) => Ok(Answer::Piece(piece)),
                None => outgoing.given_up().map_or(Ok(Answer::End), Err),
            };
        }
    }

    pub(super) fn trailers(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        std::mem::take(&mut lock(&self.said).trailers)
    }

    /// The connection is done with the request, well or not.
    pub(super) fn end(&self, error: Option<&Error>) {
        lock(&self.said).over = true;
        if let Some(outgoing) = self.outgoing.get() {
            match error {
                Some(error) => outgoing.end(error.clone()),
                None => outgoing.be_over(),
            }
        }
        // Started, and nobody was there any more to take it.
        if let Some(outlet) = lock(&self.outlet).take() {
            outlet.close(error.cloned());
        }
    }
}

impl Said {
    fn check_startable(&self) -> Result<()> {
        match (self.started, self.over) {
            (true, _) => Err(Error::new(Status::InvalidState, "the request was started already")),
            (_, true) => Err(Error::new(Status::Closed, "the request is over")),
            _ => Ok(()),
        }
    }

    fn check(&self) -> Result<()> {
        match (self.over, self.started) {
            (true, _) => Err(Error::new(Status::Closed, "the request is over")),
            (false, false) => Err(Error::new(Status::InvalidState, "the request was not started")),
            (false, true) => Ok(()),
        }
    }
}
