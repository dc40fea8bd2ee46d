//! An exchange whose I/O runs on the calling threads. Touches the runtime of the blocking handle that it belongs to, and the clock.

use std::future::Future;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::blocking_response::{BlockingResponse, InformationalHeads};
use super::http_client::{HttpClient, ResponseRoute};
use super::pending_request::PendingBody;
use super::{ClientRequest, Exchange, HttpConnection, start_exchange};
use crate::error::{Detail, Error, Result, Status};
use crate::io::CallerRuntime;
use crate::io::blocking::check_may_block;
use crate::io::deadline::{TotalDeadline, Wait, within};
use crate::io::sync::lock;
use crate::message::ReceivedHead;
use crate::operation::{Cancel, SendQueue};

/// Default deadline of a call that waits.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(60);

/// One request and its response, for callers that wait. Calls of several threads take turns.
pub struct BlockingExchange {
    driver: Arc<CallerRuntime>,
    /// The connection, if the host owns it. With a client the response has it.
    connection: Option<Arc<HttpConnection>>,
    outgoing: Option<Arc<SendQueue>>,
    cancel: Arc<Cancel>,
    /// Held by the call whose turn it is, also while it calls a body source: so every other call waits for it under a deadline.
    response: tokio::sync::Mutex<BlockingResponse>,
    /// Why the exchange ended; later calls return the same error.
    failed: OnceLock<Error>,
    total: TotalDeadline,
    route: Arc<OnceLock<ResponseRoute>>,
    informational: Arc<InformationalHeads>,
}

impl BlockingExchange {
    /// Starts an exchange on a connection that the host owns. If `waits` and the body is not streamed, waits for the response head.
    pub fn on_connection(
        driver: &Arc<CallerRuntime>,
        connection: &Arc<HttpConnection>,
        request: &ClientRequest,
        waits: bool,
    ) -> Result<BlockingExchange> {
        check_may_block()?;
        let (complete, head) = request.complete()?;
        let reservation = connection.reserve()?;
        let body = request.begin_body(None);
        // Boxed: it is moved several times.
        let (sent, options, informational) =
            (body.begin(), request.options().clone(), Arc::<InformationalHeads>::default());
        let told = informational.clone();
        let work = Box::pin(async move {
            let told = |news| told.tell(news);
            let reservation = reservation.trusted(None).await?;
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
        let body = request.begin_body(None);
        let call = request.call(body.clone())?;
        let route: Arc<OnceLock<ResponseRoute>> = Arc::default();
        let (client, found, turn) = (client.clone(), route.clone(), client.queue(&call));
        // Boxed: it is large, and moved several times.
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

    /// If the body is streamed or the caller does not wait, the exchange runs as a task; otherwise this waits for the response head.
    fn start(
        driver: &Arc<CallerRuntime>,
        connection: Option<Arc<HttpConnection>>,
        request: &ClientRequest,
        body: &PendingBody,
        waits: bool,
        (route, informational): (Arc<OnceLock<ResponseRoute>>, Arc<InformationalHeads>),
        work: impl Future<Output = Result<Exchange>> + Send + 'static,
    ) -> Result<BlockingExchange> {
        let (mut response, cancel, deadlines) =
            (BlockingResponse::default(), Arc::new(Cancel::default()), request.options().deadlines);
        let total = TotalDeadline::new(deadlines.total);
        let (outgoing, limit, wait) = (body.outgoing(), total.shorten(deadlines.head), Wait::Head);
        if outgoing.is_none() && waits {
            let answered = total.judge(Wait::Exchange, driver.run(limit, wait, work));
            let close = |_: &Error| connection.iter().for_each(|connection| connection.closing.cancel());
            response.take_answer(answered.inspect_err(close)?);
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
            response.pending = Some(receiver);
            response.sending = outgoing.clone();
        }
        Ok(BlockingExchange {
            driver: driver.clone(),
            connection,
            outgoing,
            cancel,
            response: response.into(),
            failed: OnceLock::new(),
            total,
            route,
            informational,
        })
    }

    /// Where the host writes a streamed body to.
    pub fn outgoing(&self) -> Option<&Arc<SendQueue>> {
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
        self.run(limit, "waiting for the response head", async |response| {
            response.await_answer().await?;
            response.head.clone().ok_or_else(|| Error::new(Status::Internal, "no response head"))
        })
    }

    /// The next informational head; `None` once the final head has arrived and no informational one is left.
    pub fn next_informational(&self, limit: Option<Duration>) -> Result<Option<Arc<ReceivedHead>>> {
        self.run(limit, "waiting for an informational response", async |response| {
            loop {
                let came = self.informational.came.notified();
                let next = lock(&self.informational.heads).pop_front();
                if next.is_some() || response.pending.is_none() {
                    return Ok(next);
                }
                tokio::select! {
                    answered = response.await_answer() => answered?,
                    () = came => {}
                }
            }
        })
    }

    /// Waits for bytes of the body and returns at least one and at most `cap`; none at the end of the body.
    pub fn read(&self, cap: usize, limit: Option<Duration>) -> Result<Bytes> {
        check_may_block()?;
        match self.at_hand(cap) {
            Some(piece) => Ok(piece),
            None => self.run(limit, "receiving", async |response| {
                response.await_answer().await?;
                response.next_piece(cap).await
            }),
        }
    }

    /// Waits for the rest of the body. If the time is up first, what has arrived is kept for the next call. Errors also: BodyTooLarge
    /// (more than `max` bytes).
    pub fn read_all(&self, max: usize, limit: Option<Duration>) -> Result<Vec<u8>> {
        self.run(limit, "receiving", async |response| {
            response.await_answer().await?;
            response.rest(max).await
        })
    }

    /// Waits until a piece of a streamed body has been taken. Errors: InvalidState (the body is not a stream), or why it was not taken.
    pub fn write_all(&self, data: Bytes, limit: Option<Duration>) -> Result<()> {
        let none = || Error::new(Status::InvalidState, "the request's body is not a stream");
        let work = self.outgoing().ok_or_else(none)?.write_all(data);
        self.driver.run(limit, Wait::Call("sending"), self.cancel.guard(work))
    }

    /// The trailers, once the body was read to its end. Errors: InvalidState.
    pub fn trailers(&self) -> Result<Option<ReceivedHead>> {
        // Does not wait: the call whose turn it is may call a body source, which may call this.
        let under_way = |_| Error::new(Status::InvalidState, "another call on this exchange is under way");
        let response = self.response.try_lock().map_err(under_way)?;
        if !response.done {
            return Err(Error::new(Status::InvalidState, "the body was not read to its end"));
        }
        Ok(response.answer.as_ref().and_then(|answer| answer.trailers.clone()))
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

    /// What can be had without waiting: the previous call drove the network, and a small body arrives with its head.
    fn at_hand(&self, cap: usize) -> Option<Bytes> {
        let mut response = self.response.try_lock().ok()?;
        if self.failed.get().is_some() || response.pending.is_some() || self.cancel.is_canceled() {
            return None;
        }
        self.driver.at_hand(response.next_piece(cap))?.map_err(|error| self.fail(error)).ok()
    }

    /// Runs `work` on the response when its turn comes. A failure other than a timeout of the call is final. The limit includes the wait for calls of other
    /// threads.
    fn run<T>(
        &self,
        limit: Option<Duration>,
        what: &'static str,
        work: impl AsyncFnOnce(&mut BlockingResponse) -> Result<T>,
    ) -> Result<T> {
        check_may_block()?;
        let limit = self.total.shorten(limit);
        let in_turn = async {
            let mut response = self.response.lock().await;
            if let Some(error) = self.failed.get() {
                return Err(error.clone());
            }
            // Before the next call gets its turn: it must not use a broken exchange.
            work(&mut response).await.inspect_err(|error| {
                if error.detail != Detail::Rewind {
                    self.fail(error.clone());
                }
            })
        };
        let work = async {
            let done = self.cancel.guard(in_turn).await;
            if self.cancel.is_canceled() {
                // The exchange's task releases its connection and its turn; it needs this thread for that.
                if let Some(pending) = self.response.lock().await.pending.take() {
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
    /// Ends the connection too, unless the exchange is over.
    fn drop(&mut self) {
        if !self.response.get_mut().done {
            self.cancel.cancel();
            self.close();
        }
    }
}
