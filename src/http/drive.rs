//! An exchange as a task of the runtime, seen through events.

use std::sync::Arc;
use std::time::Duration;

use super::connection::{Exchange, Reservation, exchange};
use super::{HttpConnection, Request, RequestBody};
use crate::connect::within;
use crate::error::{Error, Phase, Result, Status};
use crate::events::{Event, Observer, Outlet};
use crate::flow::{Cancel, Credit, Outgoing};

/// What the host and the driving task share.
pub struct Shared {
    pub credit: Arc<Credit>,
    /// The host's end of a streamed request body.
    pub outgoing: Option<Arc<Outgoing>>,
    pub cancel: Cancel,
    pub connection: Arc<HttpConnection>,
    /// Until the response head is there.
    pub timeout: Option<Duration>,
}

/// Runs the exchange to its end; `request` comes with its head as spelled. Posts exactly one `Closed`.
pub async fn drive(
    reservation: Reservation,
    request: (Request, Vec<u8>),
    body: RequestBody,
    shared: Arc<Shared>,
    observer: Arc<dyn Observer>,
    outlet: Outlet,
) {
    let ended = {
        let work = Box::pin(run(reservation, request, body, &shared, observer, &outlet));
        shared.cancel.guard(work).await.err()
    };
    if let Some(outgoing) = &shared.outgoing {
        outgoing.end(ended.clone().unwrap_or_else(|| Error::new(Status::Closed, "the exchange is over")));
    }
    if ended.is_some() {
        // In the middle of a message the connection has no further use.
        shared.connection.closing.cancel();
    }
    outlet.close(ended);
}

async fn run(
    reservation: Reservation,
    (request, head): (Request, Vec<u8>),
    body: RequestBody,
    shared: &Shared,
    observer: Arc<dyn Observer>,
    outlet: &Outlet,
) -> Result<()> {
    if let Some(outgoing) = &shared.outgoing {
        outgoing.open();
        outgoing.announce_open();
    }
    let informational = move |head| observer.post(Event::Informational(head), None);
    let answered = exchange(reservation, &request, head, body, informational);
    let mut answer = within(shared.timeout, Phase::Transfer, "waiting for the response head", answered).await?;
    outlet.post(Event::Head(std::mem::take(&mut answer.head))).await;
    receive(&mut answer, &shared.credit, outlet).await?;
    if let Some(trailers) = answer.trailers.take() {
        outlet.post(Event::Trailers(trailers)).await;
    }
    outlet.post(Event::End).await;
    Ok(())
}

async fn receive(answer: &mut Exchange, credit: &Arc<Credit>, outlet: &Outlet) -> Result<()> {
    loop {
        // One piece is taken ahead of the credit, so that the end shows without any; then nothing is read until it has gone, which is
        // TCP's back-pressure.
        let Some(mut data) = answer.next().await? else { return Ok(()) };
        while !data.is_empty() {
            let allowed = usize::try_from(credit.wait().await).unwrap_or(usize::MAX);
            let piece = data.split_to(data.len().min(allowed));
            credit.take(piece.len() as u64);
            outlet.post(Event::Data(piece, credit.clone())).await;
        }
    }
}
