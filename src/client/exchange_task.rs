//! An exchange as a task of the runtime, which reports to its host by events. May connect; touches the clock.

use std::sync::{Arc, OnceLock};

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;

use super::connection::Reservation;
use super::exchange::{Exchange, InterimEvent, start_exchange};
use super::http_client::{HttpClient, ResponseRoute};
use super::pending_request::{PendingBody, PendingRequest};
use super::request_options::RequestOptions;
use super::turn_queue::QueuedTurn;
use super::{ClientRequest, HttpConnection, RequestBody};
use crate::error::Result;
use crate::io::deadline::{Wait, within};
use crate::message::RequestHead;
use crate::operation::{Cancel, Credit, Observer, Outlet, Running, SendQueue, TransferEvent};

/// What the host and the driving task share.
pub struct SharedExchange {
    pub credit: Arc<Credit>,
    /// The host's end of a streamed request body.
    pub outgoing: Option<Arc<SendQueue>>,
    pub cancel: Cancel,
    /// The connection, if the host owns it. With a client the pool has it.
    pub connection: Option<Arc<HttpConnection>>,
    pub options: Arc<RequestOptions>,
    /// How a client's response came about, before its head is shown.
    pub route: OnceLock<ResponseRoute>,
}

/// A request that is ready to run: what carries it, and what its host and its task share.
pub struct Prepared {
    carrier: Carrier,
    pub shared: Arc<SharedExchange>,
}

impl Prepared {
    /// On a connection that the host owns, which is reserved for it. Errors: those of the request; Busy, Closed.
    pub fn on_connection(
        connection: &Arc<HttpConnection>,
        request: &ClientRequest,
        credit: Credit,
        writer: Arc<dyn Observer>,
    ) -> Result<Prepared> {
        let (complete, head) = request.complete()?;
        let reservation = connection.reserve()?;
        let body = request.begin_body(Some(writer));
        let shared = SharedExchange::new(credit, &body, request, Some(connection.clone()));
        let carrier = Carrier::Connection { reservation, request: complete, head, body: body.begin() };
        Ok(Prepared { carrier, shared })
    }

    /// Through a client; takes a place in its queue. Errors: those of the request.
    pub fn through_client(
        client: &Arc<HttpClient>,
        request: &ClientRequest,
        credit: Credit,
        writer: Arc<dyn Observer>,
    ) -> Result<Prepared> {
        request.complete()?;
        let body = request.begin_body(Some(writer));
        let shared = SharedExchange::new(credit, &body, request, None);
        let call = Box::new(request.call(body)?);
        let turn = client.queue(&call);
        Ok(Prepared { carrier: Carrier::Client { client: client.clone(), call, turn }, shared })
    }
}

impl Running for SharedExchange {
    fn cancel(&self) {
        self.cancel.cancel();
    }
}

impl SharedExchange {
    fn new(
        credit: Credit,
        body: &PendingBody,
        request: &ClientRequest,
        connection: Option<Arc<HttpConnection>>,
    ) -> Arc<SharedExchange> {
        Arc::new(SharedExchange {
            credit: Arc::new(credit),
            outgoing: body.outgoing(),
            cancel: Cancel::default(),
            connection,
            options: request.options().clone(),
            route: OnceLock::new(),
        })
    }
}

/// What carries the request.
enum Carrier {
    /// One connection. `head` is the head as it is sent.
    Connection {
        reservation: Reservation,
        request: Arc<RequestHead>,
        head: Vec<u8>,
        body: RequestBody,
    },
    Client {
        client: Arc<HttpClient>,
        call: Box<PendingRequest>,
        turn: QueuedTurn,
    },
}

/// Runs the exchange to its end. Posts exactly one `Closed`.
pub async fn run_exchange(prepared: Prepared, outlet: Outlet) {
    let Prepared { carrier, shared } = prepared;
    let ended = {
        let work = Box::pin(run(carrier, &shared, &outlet));
        let work = within(shared.options.deadlines.total, Wait::Exchange, work);
        shared.cancel.guard(work).await.err()
    };
    if let Some(outgoing) = &shared.outgoing {
        match &ended {
            Some(error) => outgoing.end(error.clone()),
            None => outgoing.be_over(),
        }
    }
    if let (Some(_), Some(connection)) = (&ended, &shared.connection) {
        // A connection cannot be used again in the middle of a message.
        connection.closing.cancel();
    }
    outlet.close(ended);
}

async fn run(carrier: Carrier, shared: &SharedExchange, outlet: &Outlet) -> Result<()> {
    let tell = |news| async move { tell(news, shared, outlet).await }.boxed();
    let mut answer = match carrier {
        Carrier::Connection { reservation, request, head, body } => {
            let answered = async {
                let reservation = reservation.trusted(None).await?;
                open(shared);
                start_exchange(reservation, &request, head, body, &shared.options, &tell).await
            };
            let mut answer = within(shared.options.deadlines.head, Wait::Head, answered).await?;
            answer.show(&shared.options)?;
            answer
        }
        Carrier::Client { client, call, turn } => {
            // Boxed: a request on one connection should not be as large as one through a client.
            let answered = Box::pin(client.fetch(*call, turn, &tell));
            let (answer, route) = within(shared.options.deadlines.head, Wait::Head, answered).await?;
            let _ = shared.route.set(route);
            answer
        }
    };
    if let Some(outgoing) = &shared.outgoing {
        outgoing.answered();
    }
    outlet.post(TransferEvent::Head(std::mem::take(&mut answer.head))).await;
    match shared.options.buffered {
        true => collect(&mut answer, shared, outlet).await?,
        false => receive(&mut answer, shared, outlet).await?,
    }
    if let Some(trailers) = answer.trailers.take() {
        outlet.post(TransferEvent::Trailers(trailers)).await;
    }
    outlet.post(TransferEvent::End).await;
    Ok(())
}

fn open(shared: &SharedExchange) {
    if let Some(outgoing) = &shared.outgoing {
        outgoing.open();
        outgoing.announce_open();
    }
}

async fn tell(news: InterimEvent, shared: &SharedExchange, outlet: &Outlet) {
    match news {
        InterimEvent::Connected => {
            let Some(outgoing) = shared.outgoing.as_ref().filter(|outgoing| !outgoing.is_open()) else { return };
            outgoing.open();
            outlet.post(TransferEvent::Connected).await;
            outgoing.announce_open();
        }
        InterimEvent::Informational(head) => outlet.post(TransferEvent::Informational(head)).await,
        InterimEvent::Rewind => outlet.post(TransferEvent::Rewind).await,
    }
}

async fn receive(answer: &mut Exchange, shared: &SharedExchange, outlet: &Outlet) -> Result<()> {
    let credit = &shared.credit;
    loop {
        // One piece is read without credit, so that the end is seen without any; then nothing is read until that piece is delivered: so TCP slows the
        // server down.
        let Some(data) = next(answer, shared).await? else { return Ok(()) };
        let (mut data, end) = join(data, answer).await;
        while !data.is_empty() {
            let allowed = usize::try_from(credit.wait().await).unwrap_or(usize::MAX);
            let piece = data.split_to(data.len().min(allowed));
            credit.take(piece.len() as u64);
            outlet.post(TransferEvent::Data(piece, credit.clone())).await;
        }
        if let Some(end) = end {
            return end;
        }
    }
}

/// Pieces shorter than this are joined with others that have arrived, up to `JOINED` bytes: an event costs more than copying a short piece.
const SHORT: usize = 1 << 10;
const JOINED: usize = 16 << 10;

/// `data` joined with what arrived with it; and how the body ended, if it did.
async fn join(data: Bytes, answer: &mut Exchange) -> (Bytes, Option<Result<()>>) {
    let (mut data, mut joined) = (data, BytesMut::new());
    loop {
        let long = data.len() >= SHORT || joined.len() + data.len() >= JOINED;
        if long && joined.is_empty() {
            return (data, None);
        }
        joined.extend_from_slice(&data);
        if long {
            return (joined.freeze(), None);
        }
        // The connection's own task delivers one piece at a time.
        let more = tokio::select! {
            biased;
            more = answer.next() => Some(more),
            () = tokio::task::yield_now() => None,
        };
        data = match more {
            Some(Ok(Some(more))) => more,
            Some(Ok(None)) => return (joined.freeze(), Some(Ok(()))),
            Some(Err(error)) => return (joined.freeze(), Some(Err(error))),
            None => return (joined.freeze(), None),
        };
    }
}

/// The whole body as one piece. It takes no credit: the request's limit bounds it.
async fn collect(answer: &mut Exchange, shared: &SharedExchange, outlet: &Outlet) -> Result<()> {
    let mut whole = BytesMut::new();
    while let Some(data) = next(answer, shared).await? {
        whole.extend_from_slice(&data);
    }
    let uncounted = Arc::new(Credit::new(0, false));
    outlet.post(TransferEvent::Data(whole.freeze(), uncounted)).await;
    Ok(())
}

async fn next(answer: &mut Exchange, shared: &SharedExchange) -> Result<Option<Bytes>> {
    within(shared.options.deadlines.idle, Wait::MoreBody, answer.next()).await
}
