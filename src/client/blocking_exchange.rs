//! An exchange whose I/O runs on the threads that call. May touch the runtime of the blocking handle that it belongs to, and the clock.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::{Notify, oneshot};

use super::http_client::{HttpClient, ResponseRoute};
use super::pending_request::PendingBody;
use super::{ClientRequest, Exchange, HttpConnection, InterimEvent, start_exchange};
use crate::error::{Detail, Error, Result, Status};
use crate::io::CallerRuntime;
use crate::io::blocking::check_may_block;
use crate::io::deadline::{TotalDeadline, Wait, within};
use crate::io::sync::lock;
use crate::message::ReceivedHead;
use crate::operation::{Cancel, Outgoing};

/// Default deadline of a call that waits.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(60);

/// One request and its response, for callers that wait. Calls of several threads take turns.
pub struct BlockingExchange {
    driver: Arc<CallerRuntime>,
    /// The host's own connection; a client's goes with the response.
    connection: Option<Arc<HttpConnection>>,
    outgoing: Option<Arc<Outgoing>>,
    cancel: Arc<Cancel>,
    /// Held by the call that has its turn, also while a body source is asked: so nobody else may wait for it but under a deadline.
    state: tokio::sync::Mutex<State>,
    /// What ended the exchange; later calls say the same.
    failed: OnceLock<Error>,
    total: TotalDeadline,
    route: Arc<OnceLock<ResponseRoute>>,
    informational: Arc<InformationalHeads>,
}

/// Informational heads that the host has not asked for yet; beyond so many, those that come are forgotten.
#[derive(Default)]
struct InformationalHeads {
    heads: Mutex<VecDeque<Arc<ReceivedHead>>>,
    came: Notify,
}

const MOST_INFORMATIONAL: usize = 64;

impl InformationalHeads {
    fn tell(&self, news: InterimEvent) -> BoxFuture<'static, ()> {
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

/// The response as far as it has come.
#[derive(Default)]
struct State {
    /// Where the response will arrive, if it was not waited for.
    pending: Option<oneshot::Receiver<Result<Exchange>>>,
    sending: Option<Arc<Outgoing>>,
    answer: Option<Exchange>,
    head: Option<Arc<ReceivedHead>>,
    unread: Bytes,
    /// What a call that ran out of time had got.
    gathered: Vec<u8>,
    done: bool,
}

impl BlockingExchange {
    /// Starts an exchange on a connection of the host's own. With `waits`, and a body that is not streamed, it waits for the response head.
    pub fn on_connection(
        driver: &Arc<CallerRuntime>,
        connection: &Arc<HttpConnection>,
        request: &ClientRequest,
        waits: bool,
    ) -> Result<BlockingExchange> {
        check_may_block()?;
        let (complete, head) = request.complete()?;
        let reservation = connection.reserve()?;
        let body = request.begin_body(Box::new(|| ()));
        // Boxed: it is moved from hand to hand.
        let (sent, options, informational) =
            (body.begin(), request.options().clone(), Arc::<InformationalHeads>::default());
        let told = informational.clone();
        let work = Box::pin(async move {
            let told = |news| told.tell(news);
            let mut answer = start_exchange(reservation, &complete, head, sent, &options, &told).await?;
            answer.show(&options)?;
            Ok(answer)
        });
        let (connection, route) = (Some(connection.clone()), Arc::default());
        BlockingExchange::start(driver, connection, request, &body, waits, (route, informational), work)
    }

    /// As `on_connection`, through a client.
    pub fn through_client(
        driver: &Arc<CallerRuntime>,
        client: &Arc<HttpClient>,
        request: &ClientRequest,
        waits: bool,
    ) -> Result<BlockingExchange> {
        check_may_block()?;
        let body = request.begin_body(Box::new(|| ()));
        let call = request.call(body.clone())?;
        let route: Arc<OnceLock<ResponseRoute>> = Arc::default();
        let (client, found, turn) = (client.clone(), route.clone(), client.queue(&call));
        // Boxed: this is large, and moved about.
        let informational = Arc::<InformationalHeads>::default();
        let told = informational.clone();
        let work = Box::pin(async move {
            let told = |news| told.tell(news);
            let (answer, route) = client.fetch(call, turn, &told).await?;
            let _ = found.set(route);
            Ok(answer)
        });
        BlockingExchange::start(driver, None, request, &body, waits, (route, informational), work)
    }

    /// If the body is streamed, or the caller does not wait, the exchange runs alongside; else the response head is waited for.
    fn start(
        driver: &Arc<CallerRuntime>,
        connection: Option<Arc<HttpConnection>>,
        request: &ClientRequest,
        body: &PendingBody,
        waits: bool,
        (route, informational): (Arc<OnceLock<ResponseRoute>>, Arc<InformationalHeads>),
        work: impl Future<Output = Result<Exchange>> + Send + 'static,
    ) -> Result<BlockingExchange> {
        let (mut state, cancel, deadlines) =
            (State::default(), Arc::new(Cancel::default()), request.options().deadlines);
        let total = TotalDeadline::new(deadlines.total);
        let (outgoing, limit, wait) = (body.outgoing(), total.shorten(deadlines.head), Wait::Head);
        if outgoing.is_none() && waits {
            let answered = total.judge(Wait::Exchange, driver.run(limit, wait, work));
            let close = |_: &Error| connection.iter().for_each(|connection| connection.closing.cancel());
            state.take_answer(answered.inspect_err(close)?);
        } else {
            let (sender, receiver) = oneshot::channel();
            let (sending, cancel) = (outgoing.clone(), cancel.clone());
            sending.iter().for_each(|sending| sending.open());
            driver.spawn(async move {
                let answered = total.judge(Wait::Exchange, cancel.guard(within(limit, wait, Box::pin(work))).await);
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
        Ok(BlockingExchange {
            driver: driver.clone(),
            connection,
            outgoing,
            cancel,
            state: state.into(),
            failed: OnceLock::new(),
            total,
            route,
            informational,
        })
    }

    /// Where the host writes a streamed body to.
    pub fn outgoing(&self) -> Option<&Arc<Outgoing>> {
        self.outgoing.as_ref()
    }

    /// How a client's response came about, once its head is there.
    pub fn route(&self) -> Option<&ResponseRoute> {
        self.route.get()
    }

    /// Calls of other threads return Canceled.
    pub fn cancel(&self) {
        self.cancel.cancel();
    }

    /// Waits for the response head.
    pub fn head(&self, limit: Option<Duration>) -> Result<Arc<ReceivedHead>> {
        self.run(limit, "waiting for the response head", async |state| {
            state.await_answer().await?;
            state.head.clone().ok_or_else(|| Error::new(Status::Internal, "no response head"))
        })
    }

    /// The next informational head; `None` once the final one has come and all before it were asked for.
    pub fn next_informational(&self, limit: Option<Duration>) -> Result<Option<Arc<ReceivedHead>>> {
        self.run(limit, "waiting for an informational response", async |state| {
            loop {
                let came = self.informational.came.notified();
                let next = lock(&self.informational.heads).pop_front();
                if next.is_some() || state.pending.is_none() {
                    return Ok(next);
                }
                tokio::select! {
                    answered = state.await_answer() => answered?,
                    () = came => {}
                }
            }
        })
    }

    /// Waits for bytes of the body, and returns at least one and at most `cap`; none at its end.
    pub fn read(&self, cap: usize, limit: Option<Duration>) -> Result<Bytes> {
        check_may_block()?;
        match self.at_hand(cap) {
            Some(piece) => Ok(piece),
            None => self.run(limit, "receiving", async |state| {
                state.await_answer().await?;
                state.next_piece(cap).await
            }),
        }
    }

    /// Waits for all of the body that is still to come. If the time is up before, what came is there for the next call. Errors also: BodyTooLarge
    /// (more than `max` bytes).
    pub fn read_all(&self, max: usize, limit: Option<Duration>) -> Result<Vec<u8>> {
        self.run(limit, "receiving", async |state| {
            state.await_answer().await?;
            state.rest(max).await
        })
    }

    /// Waits until a piece of a streamed body was taken. Errors: InvalidState (the body is not a stream); or why it is not taken.
    pub fn write_all(&self, data: Bytes, limit: Option<Duration>) -> Result<()> {
        let none = || Error::new(Status::InvalidState, "the request's body is not a stream");
        let work = self.outgoing().ok_or_else(none)?.write_all(data);
        self.driver.run(limit, Wait::Call("sending"), self.cancel.guard(work))
    }

    /// The trailers, once the body was read to its end. Errors: InvalidState.
    pub fn trailers(&self) -> Result<Option<ReceivedHead>> {
        // Not waited for: this is also called while a body source is asked, by the call that has the turn.
        let under_way = |_| Error::new(Status::InvalidState, "another call on this exchange is under way");
        let state = self.state.try_lock().map_err(under_way)?;
        if !state.done {
            return Err(Error::new(Status::InvalidState, "the body was not read to its end"));
        }
        Ok(state.answer.as_ref().and_then(|answer| answer.trailers.clone()))
    }

    fn close(&self) {
        if let Some(connection) = &self.connection {
            connection.closing.cancel();
        }
    }

    fn fail(&self, error: Error) {
        let _ = self.failed.set(error);
        self.close();
    }

    /// What is at hand without waiting: the network was driven by the call before, and small bodies have come with their head.
    fn at_hand(&self, cap: usize) -> Option<Bytes> {
        let mut state = self.state.try_lock().ok()?;
        if self.failed.get().is_some() || state.pending.is_some() || self.cancel.is_canceled() {
            return None;
        }
        let mut cx = Context::from_waker(Waker::noop());
        let polled = pin!(state.next_piece(cap)).poll(&mut cx);
        match polled {
            Poll::Ready(Ok(piece)) => Some(piece),
            Poll::Ready(Err(error)) => {
                self.fail(error);
                None
            }
            Poll::Pending => None,
        }
    }

    /// Runs `work` on the state when its turn has come; a failure other than running out of time sticks. The limit covers the wait for calls of other
    /// threads.
    fn run<T>(
        &self,
        limit: Option<Duration>,
        what: &'static str,
        work: impl AsyncFnOnce(&mut State) -> Result<T>,
    ) -> Result<T> {
        check_may_block()?;
        let limit = self.total.shorten(limit);
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
        let done = self.total.judge(Wait::Exchange, self.driver.run(limit, Wait::Call(what), work));
        if let Err(error) = &done
            && !matches!(error.detail, Detail::CallTimeout | Detail::Rewind)
        {
            self.fail(error.clone());
        }
        done
    }
}

impl Drop for BlockingExchange {
    /// If the exchange is not over, its connection ends too.
    fn drop(&mut self) {
        if !self.state.get_mut().done {
            self.cancel.cancel();
            self.close();
        }
    }
}

impl State {
    fn take_answer(&mut self, mut answer: Exchange) {
        self.head = Some(Arc::new(std::mem::take(&mut answer.head)));
        self.answer = Some(answer);
    }

    async fn await_answer(&mut self) -> Result<()> {
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
    async fn next_piece(&mut self, cap: usize) -> Result<Bytes> {
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
    async fn rest(&mut self, max: usize) -> Result<Vec<u8>> {
        loop {
            if self.gathered.len() > max {
                return Err(Error::new(Status::BodyTooLarge, format!("the response body is longer than {max} bytes")));
            }
            let piece = self.next_piece(usize::MAX).await?;
            if piece.is_empty() {
                return Ok(std::mem::take(&mut self.gathered));
            }
            self.gathered.extend_from_slice(&piece);
        }
    }
}
