//! An exchange whose I/O runs on the threads that call.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::{Notify, oneshot};

use super::request::atls_request;
use crate::capi::text::head::atls_head;
use crate::client::call::CallBody;
use crate::client::client::{Client, Route};
use crate::client::{Exchange, HttpConnection, News, exchange};
use crate::error::{Detail, Error, Result, Status};
use crate::io::blocking::Driver;
use crate::io::deadline::{Wait, exceeded, within};
use crate::io::sync::lock;
use crate::message::Head;
use crate::operation::{Cancel, Outgoing};

/// Default deadline of a blocking read or write.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);

pub struct Blocking {
    pub driver: Arc<Driver>,
    /// The host's own connection; a client's goes with the response.
    connection: Option<Arc<HttpConnection>>,
    pub outgoing: Option<Arc<Outgoing>>,
    pub cancel: Arc<Cancel>,
    /// Held by the call that has its turn, also while a body source is asked: so nobody else may wait for it but under a deadline.
    state: tokio::sync::Mutex<State>,
    /// What ended the exchange; later calls say the same.
    failed: OnceLock<Error>,
    total: Total,
    pub route: Arc<OnceLock<Route>>,
    informed: Arc<Informed>,
}

/// Informational heads that the host has not asked for yet; beyond so many, those that come are forgotten.
#[derive(Default)]
struct Informed {
    heads: Mutex<VecDeque<Arc<atls_head>>>,
    came: Notify,
}

const INFORMED: usize = 64;

impl Informed {
    fn tell(&self, news: News) -> BoxFuture<'static, ()> {
        if let News::Informational(head) = news {
            let mut heads = lock(&self.heads);
            if heads.len() < INFORMED {
                heads.push_back(Arc::new(atls_head::new(head)));
            }
            drop(heads);
            self.came.notify_waiters();
        }
        std::future::ready(()).boxed()
    }
}

/// The response as far as it has come.
#[derive(Default)]
pub struct State {
    /// Where the response will arrive, if it was not waited for.
    pending: Option<oneshot::Receiver<Result<Exchange>>>,
    sending: Option<Arc<Outgoing>>,
    pub answer: Option<Exchange>,
    pub head: Option<Arc<atls_head>>,
    unread: Bytes,
    /// What a call that ran out of time had got.
    gathered: Vec<u8>,
    done: bool,
}

impl Blocking {
    /// Starts an exchange on a connection of the host's own.
    pub fn on_connection(
        driver: &Arc<Driver>,
        connection: &Arc<HttpConnection>,
        request: &atls_request,
        waits: bool,
    ) -> Result<Blocking> {
        crate::io::blocking::check_may_block()?;
        let (complete, head) = request.complete()?;
        let reservation = connection.reserve()?;
        let body = request.body.begin(Box::new(|| ()));
        // Boxed: it is moved from hand to hand.
        let (sent, options, informed) = (body.begin(), request.options.clone(), Arc::<Informed>::default());
        let told = informed.clone();
        let work = Box::pin(async move {
            let told = |news| told.tell(news);
            let mut answer = exchange(reservation, &complete, head, sent, &options, &told).await?;
            answer.show(&options)?;
            Ok(answer)
        });
        let (connection, route) = (Some(connection.clone()), Arc::default());
        Blocking::start(driver, connection, request, &body, waits, (route, informed), work)
    }

    /// Starts an exchange through a client.
    pub fn on_client(
        driver: &Arc<Driver>,
        client: &Arc<Client>,
        request: &atls_request,
        waits: bool,
    ) -> Result<Blocking> {
        crate::io::blocking::check_may_block()?;
        let body = request.body.begin(Box::new(|| ()));
        let call = request.call(body.clone())?;
        let route: Arc<OnceLock<Route>> = Arc::default();
        let (client, found, turn) = (client.clone(), route.clone(), client.queue(&call));
        // Boxed: this is large, and moved about.
        let informed = Arc::<Informed>::default();
        let told = informed.clone();
        let work = Box::pin(async move {
            let told = |news| told.tell(news);
            let (answer, route) = client.fetch(call, turn, &told).await?;
            let _ = found.set(route);
            Ok(answer)
        });
        Blocking::start(driver, None, request, &body, waits, (route, informed), work)
    }

    /// With a streamed body, or where the caller does not wait, the exchange runs alongside; else the response head is waited for.
    fn start(
        driver: &Arc<Driver>,
        connection: Option<Arc<HttpConnection>>,
        request: &atls_request,
        body: &CallBody,
        waits: bool,
        (route, informed): (Arc<OnceLock<Route>>, Arc<Informed>),
        work: impl Future<Output = Result<Exchange>> + Send + 'static,
    ) -> Result<Blocking> {
        let (mut state, cancel) = (State::default(), Arc::new(Cancel::default()));
        let total = Total::new(request.options.deadlines.total);
        let (outgoing, limit, wait) = (body.outgoing(), total.shorten(request.options.deadlines.head), Wait::Head);
        if outgoing.is_none() && waits {
            let answered = total.judge(driver.run(limit, wait, work));
            let close = |_: &Error| connection.iter().for_each(|connection| connection.closing.cancel());
            state.take_answer(answered.inspect_err(close)?);
        } else {
            let (sender, receiver) = oneshot::channel();
            let (sending, cancel) = (outgoing.clone(), cancel.clone());
            sending.iter().for_each(|sending| sending.open());
            driver.spawn(async move {
                let answered = total.judge(cancel.guard(within(limit, wait, Box::pin(work))).await);
                match (sending, &answered) {
                    (Some(sending), Ok(_)) => sending.answered(),
                    (Some(sending), Err(error)) => sending.end(error.clone()),
                    (None, _) => {}
                }
                let _ = sender.send(answered);
            });
            state.pending = Some(receiver);
            state.sending = outgoing.clone();
        }
        Ok(Blocking {
            driver: driver.clone(),
            connection,
            outgoing,
            cancel,
            state: state.into(),
            failed: OnceLock::new(),
            total,
            route,
            informed,
        })
    }

    /// The next informational head; `None` once the final one has come and all before it were asked for.
    pub fn next_informational(&self, timeout_ms: u32) -> Result<Option<Arc<atls_head>>> {
        self.run(timeout_ms, "waiting for an informational response", async |state| {
            loop {
                let came = self.informed.came.notified();
                let next = lock(&self.informed.heads).pop_front();
                if next.is_some() || state.pending.is_none() {
                    return Ok(next);
                }
                tokio::select! {
                    answered = await_answer(state) => answered?,
                    () = came => {}
                }
            }
        })
    }

    /// The host frees the exchange: if it is not over, its connection ends too.
    pub fn give_up(&self) {
        if !self.state.try_lock().is_ok_and(|state| state.done) {
            self.cancel.cancel();
            self.close();
        }
    }

    fn close(&self) {
        if let Some(connection) = &self.connection {
            connection.closing.cancel();
        }
    }

    /// What is at hand without waiting: the network was driven by the call before, and small bodies have come with their head.
    pub fn at_hand(&self, cap: usize) -> Option<Bytes> {
        let mut state = self.state.try_lock().ok()?;
        if self.failed.get().is_some() || state.pending.is_some() || self.cancel.is_canceled() {
            return None;
        }
        let mut cx = Context::from_waker(Waker::noop());
        let polled = pin!(next_piece(&mut state, cap)).poll(&mut cx);
        match polled {
            Poll::Ready(Ok(piece)) => Some(piece),
            Poll::Ready(Err(error)) => {
                self.fail(error);
                None
            }
            Poll::Pending => None,
        }
    }

    /// The trailers, once the body was read to its end. Errors: InvalidState.
    pub fn trailers(&self) -> Result<Option<Head>> {
        // Not waited for: this is also called while a body source is asked, by the call that has the turn.
        let under_way = |_| Error::new(Status::InvalidState, "another call on this exchange is under way");
        let state = self.state.try_lock().map_err(under_way)?;
        if !state.done {
            return Err(Error::new(Status::InvalidState, "the body was not read to its end"));
        }
        Ok(state.answer.as_ref().and_then(|answer| answer.trailers.clone()))
    }

    fn fail(&self, error: Error) {
        let _ = self.failed.set(error);
        self.close();
    }

    /// Runs `work` on the state when its turn has come; a failure other than running out of time sticks. The limit covers the wait for calls of other
    /// threads.
    pub fn run<T>(
        &self,
        timeout_ms: u32,
        what: &'static str,
        work: impl AsyncFnOnce(&mut State) -> Result<T>,
    ) -> Result<T> {
        crate::io::blocking::check_may_block()?;
        let limit = self.total.shorten(crate::capi::base::limit(timeout_ms, DEFAULT_TIMEOUT));
        let in_turn = async {
            let mut state = self.state.lock().await;
            if let Some(error) = self.failed.get() {
                return Err(error.clone());
            }
            // Before the turn passes on: the next call must not work on a broken exchange.
            work(&mut state).await.inspect_err(|error| {
                if error.detail != Detail::Rewind {
                    self.fail(error.clone());
                }
            })
        };
        let work = async {
            let done = self.cancel.guard(in_turn).await;
            if self.cancel.is_canceled() {
                // A task that runs alongside releases its connection and its turn, for which it needs this thread.
                if let Some(pending) = self.state.lock().await.pending.take() {
                    let _ = pending.await;
                }
            }
            done
        };
        let done = self.total.judge(self.driver.run(limit, Wait::Call(what), work));
        if let Err(error) = &done
            && !matches!(error.detail, Detail::CallTimeout | Detail::Rewind)
        {
            self.fail(error.clone());
        }
        done
    }
}

/// The deadline of the exchange as a whole: how long, and so until when.
#[derive(Clone, Copy)]
struct Total(Option<(Duration, Instant)>);

impl Total {
    fn new(limit: Option<Duration>) -> Total {
        Total(limit.and_then(|limit| Some((limit, Instant::now().checked_add(limit)?))))
    }

    fn shorten(self, limit: Option<Duration>) -> Option<Duration> {
        let left = self.0.map(|(_, until)| until.saturating_duration_since(Instant::now()));
        limit.into_iter().chain(left).min()
    }

    fn is_over(self) -> bool {
        self.0.is_some_and(|(_, until)| until <= Instant::now())
    }

    /// Says so where it was this deadline that passed.
    fn judge<T>(self, done: Result<T>) -> Result<T> {
        match (done, self.0) {
            (Err(error), Some((limit, _))) if error.status == Status::TimedOut && self.is_over() => {
                Err(exceeded(limit, Wait::Exchange))
            }
            (done, _) => done,
        }
    }
}

pub async fn await_answer(state: &mut State) -> Result<()> {
    let Some(pending) = &mut state.pending else { return Ok(()) };
    let asked = async {
        match &state.sending {
            Some(sending) => sending.unwound().await,
            None => std::future::pending().await,
        }
    };
    let answered = tokio::select! {
        biased;
        answered = pending => answered,
        rewind = asked => return Err(rewind),
    };
    let answered = answered.unwrap_or_else(|_| Err(Error::new(Status::Canceled, "the exchange was given up")));
    state.pending = None;
    state.take_answer(answered?);
    Ok(())
}

/// Up to `cap` bytes of the body; empty at its end.
pub async fn next_piece(state: &mut State, cap: usize) -> Result<Bytes> {
    if !state.gathered.is_empty() && cap < usize::MAX {
        state.unread = [std::mem::take(&mut state.gathered), state.unread.to_vec()].concat().into();
    }
    if state.unread.is_empty() && !state.done {
        let answer = state.answer.as_mut().ok_or_else(|| Error::new(Status::Internal, "no response"))?;
        match answer.next().await? {
            Some(data) => state.unread = data,
            None => state.done = true,
        }
    }
    let count = state.unread.len().min(cap);
    Ok(state.unread.split_to(count))
}

/// All that is still to come, followed by a NUL.
pub async fn rest(state: &mut State, max: usize) -> Result<Bytes> {
    loop {
        if state.gathered.len() > max {
            return Err(Error::new(Status::BodyTooLarge, format!("the response body is longer than {max} bytes")));
        }
        let piece = next_piece(state, usize::MAX).await?;
        if piece.is_empty() {
            let mut whole = std::mem::take(&mut state.gathered);
            whole.push(0);
            return Ok(whole.into());
        }
        state.gathered.extend_from_slice(&piece);
    }
}

impl State {
    fn take_answer(&mut self, mut answer: Exchange) {
        self.head = Some(Arc::new(atls_head::new(std::mem::take(&mut answer.head))));
        self.answer = Some(answer);
    }
}
