//! What must hold before a connection takes a request: the server is still trusted (docs/policy.md, "Open connections"). New evidence is exchanged here, between
//! requests. Touches the connection, and through the verifier the clock and the network.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use http::{HeaderMap, HeaderName, HeaderValue, Version};

use super::connection::Reservation;
use super::exchange::start_exchange;
use super::request_body::BodyTrust;
use super::request_options::{Deadlines, HeadLimits, RequestOptions};
use super::{HttpConnection, InterimEvent, RequestBody};
use crate::connect::{
    EvidenceAnswer, EvidenceChannel, EvidenceQuery, ServerTrust, SessionExporter, bytes_after, query_head, too_long,
};
use crate::error::{Detail, Error, Phase, Result, Status};
use crate::io::deadline::{Wait, within};
use crate::message::{ReceivedHead, RequestHead};

/// The right to use the connection for one exchange, with a server that is trusted at this moment. Only these can begin one.
pub struct TrustedReservation {
    pub(super) reservation: Reservation,
    /// Looked at while the body of the request is sent.
    pub(super) trust: Option<BodyTrust>,
}

impl TrustedReservation {
    fn new(reservation: Reservation) -> TrustedReservation {
        let connection = &reservation.connection;
        let trust = connection.trust.as_ref().map(|trust| {
            let (standing, connection) = (trust.standing().clone(), Arc::downgrade(connection));
            BodyTrust { standing, connection }
        });
        TrustedReservation { reservation, trust }
    }
}

impl Reservation {
    /// Judges the server again if there is reason to, and lets it prove itself anew if that is due. Nothing of a request has been sent before that. An error
    /// closes the connection, and so does dropping the future. `limit` is the caller's.
    pub async fn trusted(self, limit: Option<Duration>) -> Result<TrustedReservation> {
        let trust = self.connection.trust.clone().filter(|trust| trust.is_due());
        let Some(trust) = trust else { return Ok(TrustedReservation::new(self)) };
        if self.connection.engine.is_shared() {
            // The caller's limit, and its patience, decide about its own request alone.
            let waiting = within(limit, Wait::Connecting, Box::pin(settle_for_all(self, &trust)));
            return waiting.await;
        }
        let mut undecided = Undecided(Some(self.connection.clone()));
        // Boxed: a connection's memory should not have the shape of its rarest moment.
        let done = Box::pin(settle(self, &trust, limit)).await;
        let connection = undecided.0.take();
        done.inspect_err(|error| connection.iter().for_each(|connection| connection.distrust(error.clone())))
    }
}

async fn settle(reservation: Reservation, trust: &ServerTrust, limit: Option<Duration>) -> Result<TrustedReservation> {
    let Some(session) = trust.wants_new_evidence() else {
        trust.check().await?;
        return Ok(TrustedReservation::new(reservation));
    };
    let mut channel = UsedSession { reservation: Some(reservation), session };
    trust.renew(&mut channel, limit).await?;
    channel.reservation.take().map(TrustedReservation::new).ok_or_else(ended)
}

/// As `settle`, on a connection that carries other requests meanwhile. New evidence is asked for once, for all that wait. An error closes the connection; but
/// a server that has not looked at the question has refused nothing: then the connection takes no more requests, and those under way end as they would have.
async fn settle_for_all(reservation: Reservation, trust: &ServerTrust) -> Result<TrustedReservation> {
    let connection = reservation.connection.clone();
    // Held until the outcome is known to the connection: whoever comes next finds it retired, and a refusal is never taken for a question that was not looked at.
    let _alone = connection.renewing.lock().await;
    if connection.is_retired() {
        return Err(ended());
    }
    settle(reservation, trust, None).await.inspect_err(|error| match error.detail {
        Detail::NotProcessed => _ = connection.retire(),
        _ => connection.distrust(error.clone()),
    })
}

/// Closes the connection if nobody waits for the decision any more: half of an exchange may be under way.
struct Undecided(Option<Arc<HttpConnection>>);

impl Drop for Undecided {
    fn drop(&mut self) {
        self.0.iter().for_each(|connection| connection.closing.cancel());
    }
}

/// The session of a connection that has carried requests. The reservation is absent while an exchange has it, and after one that the connection has not
/// survived.
struct UsedSession {
    reservation: Option<Reservation>,
    session: SessionExporter,
}

impl EvidenceChannel for UsedSession {
    fn export(&self, label: &[u8], context: Option<&[u8]>) -> Result<[u8; 32]> {
        self.session.export(label, context)
    }

    async fn post(&mut self, query: EvidenceQuery<'_>) -> Result<EvidenceAnswer> {
        let EvidenceQuery { host, path, body, max_bytes, otherwise } = query;
        let reservation = self.reservation.take().ok_or_else(ended)?;
        let connection = reservation.connection.clone();
        let headers = vec![("Content-Type".to_owned(), b"application/json".to_vec())];
        let (method, host_line) = ("POST".into(), None);
        let request = RequestHead { method, path: path.into(), host: host.into(), host_line, absolute: false, headers };
        let head = query_head(host, path, body.len());
        let nobody = |_: InterimEvent| async {}.boxed();
        let body = RequestBody::full(Bytes::from(body));
        // What sends the evidence is the server that is asked for it: it is trusted with the question only.
        let reservation = TrustedReservation { reservation, trust: None };
        let asked = start_exchange(reservation, &request, head, body, &options(), &nobody);
        let exchange = asked.await.map_err(in_evidence)?;
        let (version, headers) = framing(&exchange.head);
        let mut answer = EvidenceAnswer::of_head(exchange.head.status, version, &headers);
        let read = exchange.finish(max_bytes).await.map_err(in_evidence)?;
        let (body, reservation) = read.ok_or_else(|| too_long(max_bytes))?;
        answer.body = body.into();
        answer.check(path, otherwise)?;
        match connection.engine.unasked() {
            0 => {}
            count => return Err(bytes_after(count)),
        }
        self.reservation = reservation;
        Ok(answer)
    }
}

fn options() -> Arc<RequestOptions> {
    let deadlines = Deadlines { head: None, ..Deadlines::default() };
    Arc::new(RequestOptions { deadlines, head: HeadLimits::default(), ..RequestOptions::default() })
}

/// The header fields that say where the answer ends, and whether to ask again.
fn framing(head: &ReceivedHead) -> (Version, HeaderMap) {
    let version = if head.minor_version == 0 { Version::HTTP_10 } else { Version::HTTP_11 };
    let field = |(name, value)| Some((HeaderName::from_bytes(name).ok()?, HeaderValue::from_bytes(value).ok()?));
    let mut fields = HeaderMap::new();
    for (name, value) in head.lines().filter_map(field) {
        fields.append(name, value);
    }
    (version, fields)
}

fn in_evidence(error: Error) -> Error {
    error.phase(Phase::Evidence).context("evidence exchange")
}

fn ended() -> Error {
    Error::new(Status::Closed, "the server ended the connection after its evidence").phase(Phase::Evidence)
}
