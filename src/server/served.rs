//! One request as the host has it: what it was asked, what it answers, piece by piece.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;

use super::Limits;
use super::message::Message;
use super::show::Client;
use crate::error::{Error, Result, Status};
use crate::events::{Observer, Outlet};
use crate::flow::{Cancel, Credit, Outgoing, lock};
use crate::http::Head;
use crate::stream::Handover;

/// Where a request came from.
pub struct Origin {
    /// The other end of the socket; none for a Unix one.
    pub peer: Option<SocketAddr>,
    /// Whether the connection is in TLS.
    pub secure: bool,
    /// Who asks, and in what scheme, as far as the server's settings let a proxy say.
    pub remote: Option<IpAddr>,
    pub https: bool,
    pub client: Client,
}

/// A request, and the way back for its answer. Shared by the host and the connection.
pub struct Served {
    pub method: String,
    pub target: Vec<u8>,
    /// Its status is 0.
    pub head: Head,
    pub origin: Origin,
    pub credit: Arc<Credit>,
    /// What a stream that comes of the request starts with, and whether it is granted again.
    pub switch_credit: (u64, bool),
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
    switch: Option<Switch>,
    /// The host's own limits for this request's body.
    body_limit: Option<u64>,
    body_deadline: Option<Option<Duration>>,
    started: bool,
    /// The host let go of the request, or its connection ended.
    over: bool,
}

/// What the host says next.
pub enum Answer {
    Head(Message),
    Piece(Bytes),
    End,
    Switch(Switch),
}

/// The connection leaves HTTP with this head, and becomes a stream of the host's.
pub struct Switch {
    pub message: Message,
    pub handover: Handover,
}

impl Served {
    pub fn new(method: String, target: Vec<u8>, head: Head, origin: Origin, credit: Credit) -> Served {
        Served {
            method,
            target,
            head,
            origin,
            switch_credit: (credit.available(), credit.automatic),
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

    /// Another limit for the body, and another time for all of it, than the server's. Errors: InvalidState (started already), Closed.
    pub fn set_body_limit(&self, bytes: u64) -> Result<()> {
        let mut said = lock(&self.said);
        said.check_startable()?;
        said.body_limit = Some(bytes);
        Ok(())
    }

    pub fn set_body_deadline(&self, deadline: Option<Duration>) -> Result<()> {
        let mut said = lock(&self.said);
        said.check_startable()?;
        said.body_deadline = Some(deadline);
        Ok(())
    }

    /// What holds for the body, `limits` being the server's.
    pub(super) fn body_limits(&self, limits: &Limits) -> (u64, Option<Duration>) {
        let said = lock(&self.said);
        (said.body_limit.unwrap_or(limits.body), said.body_deadline.unwrap_or(limits.receive_body))
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
        said.check_open()?;
        said.answered = message.status >= 200;
        said.heads.push_back(message);
        drop(said);
        self.spoke.notify_one();
        Ok(())
    }

    /// Head, body and end of an answer, which the connection sees at once. Errors: as `say`.
    pub fn respond(&self, message: Message, body: Bytes) -> Result<()> {
        let mut said = lock(&self.said);
        said.check_open()?;
        let outgoing =
            self.outgoing.get().ok_or_else(|| Error::new(Status::InvalidState, "the request was not started"))?;
        if !body.is_empty() {
            outgoing.write(body)?;
        }
        outgoing.finish()?;
        said.answered = true;
        said.heads.push_back(message);
        drop(said);
        self.spoke.notify_one();
        Ok(())
    }

    /// More of the answer's body. Errors: Again, InvalidState (no head yet; finished), Closed, or why the request ended.
    pub fn write(&self, data: Bytes) -> Result<()> {
        self.answering()?.write(data)
    }

    /// As `write`, waiting for room.
    pub(super) async fn write_all(&self, data: Bytes) -> Result<()> {
        self.answering()?.clone().write_all(data).await
    }

    /// The end of the answer. Errors: as `write`.
    pub fn finish(&self, trailers: Vec<(Vec<u8>, Vec<u8>)>) -> Result<()> {
        let outgoing = self.answering()?;
        lock(&self.said).trailers = trailers;
        outgoing.finish()
    }

    /// Whether the peer has asked to leave HTTP with this status. Errors: as `say`; InvalidState also where it has not.
    pub fn check_switch(&self, status: u16) -> Result<()> {
        let asked = if status == 101 { self.head.find("upgrade").is_some() } else { self.method == "CONNECT" };
        if !asked {
            return Err(Error::new(Status::InvalidState, "the peer has not asked for that"));
        }
        lock(&self.said).check_open()
    }

    /// Instead of an answer. Errors: as `check_switch`.
    pub fn switch(&self, switch: Switch) -> Result<()> {
        self.check_switch(switch.message.status)?;
        let mut said = lock(&self.said);
        said.check_open()?;
        said.answered = true;
        said.switch = Some(switch);
        drop(said);
        self.spoke.notify_one();
        Ok(())
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
            let (head, switch, answered) = {
                let mut said = lock(&self.said);
                let head = said.heads.pop_front();
                let switch = if head.is_none() { said.switch.take() } else { None };
                (head, switch, said.answered)
            };
            if let Some(head) = head {
                return Ok(Answer::Head(head));
            }
            if let Some(switch) = switch {
                return Ok(Answer::Switch(switch));
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
        let mut said = lock(&self.said);
        said.over = true;
        let unused = said.switch.take();
        drop(said);
        drop(unused);
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

    /// Whether the final head can still be said.
    fn check_open(&self) -> Result<()> {
        self.check()?;
        match self.answered {
            true => Err(Error::new(Status::InvalidState, "the response head was sent already")),
            false => Ok(()),
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
