//! What drives a connection behind `exchange`: an engine sends a request and reads its response. There are two for HTTP/1.1, and each is the other's oracle.
//! One is the library's own machine (`h1_engine`, `h1_wire`, `request_writer`). The other one is hyper (`hyper_engine`): `h1` reads every byte that it is
//! given (`response_reader`), and its verdicts are the client's; from it come the heads as they are spelled; `tap` sits between hyper and the connection,
//! `wire_state` is what it shares with the exchange. For both, `head_judge` says which heads there may be, and `faults` what errors mean. HTTP/2
//! has one engine (`http2_engine`, `http2_stream`, `http2_head`), whose connections many exchanges share. Touches nothing but the connection that it is given.

pub mod faults;
mod h1_engine;
mod h1_wire;
mod head_judge;
mod http2_engine;
mod http2_head;
mod http2_stream;
mod hyper_engine;
mod request_writer;
mod response_reader;
mod tap;
mod wire_state;

use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::exchange::Interim;
use super::request_body::RequestBody;
use super::request_options::HeadLimits;
use crate::connect::HttpSession;
use crate::error::{Error, Result};
use crate::io::SocketWatch;
use crate::message::{ReceivedHead, RequestHead};
use crate::tls::HttpVersion;
use h1_engine::{H1Engine, H1Exchange};
use http2_engine::Http2Engine;
use http2_stream::{Http2Begun, Http2Body};
use hyper_engine::{HyperBegun, HyperBody, HyperEngine, Sent};

/// A request that is about to be sent.
pub struct Outgoing<'a> {
    pub request: &'a RequestHead,
    /// The head as it is sent.
    pub head: Vec<u8>,
    pub body: RequestBody,
    /// Of the heads of the response.
    pub limits: HeadLimits,
}

/// What comes before the body of a response.
pub enum Came {
    Informational(ReceivedHead),
    /// 101 too: after it the connection is no longer HTTP.
    Final(ReceivedHead),
}

/// A piece of a response after its head.
pub enum Piece {
    Data(Bytes),
    Trailers(ReceivedHead),
    End,
}

/// Which engine drives a connection of HTTP/1.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EngineKind {
    Hyper,
    /// The library's own machine.
    H1,
}

/// What drives one connection.
pub enum Engine {
    H1(H1Engine),
    Hyper(HyperEngine),
    Http2(Http2Engine),
}

/// A request that has been handed over; its response head has not been read.
pub enum Begun<S> {
    H1(H1Exchange),
    Hyper(HyperBegun<S>),
    Http2(Http2Begun),
}

/// What comes of a response after its head. Dropped before its end, it closes the connection; over HTTP/2 it resets its stream.
pub enum ResponseBody {
    H1(H1Exchange),
    Hyper(HyperBody),
    Http2(Http2Body),
}

impl Engine {
    /// The future must be run for anything to happen; it ends with the connection.
    pub async fn start(
        session: HttpSession,
        watch: Arc<SocketWatch>,
        kind: EngineKind,
    ) -> Result<(Engine, BoxFuture<'static, Result<()>>)> {
        Ok(match (session, kind) {
            (HttpSession::Http1(stream), EngineKind::H1) => {
                let (engine, driver) = H1Engine::start(stream, watch);
                (Engine::H1(engine), driver.boxed())
            }
            (HttpSession::Http1(stream), EngineKind::Hyper) => {
                let (engine, driver) = HyperEngine::start(stream, watch).await?;
                (Engine::Hyper(engine), driver)
            }
            (HttpSession::Http2(session), _) => {
                let (engine, driver) = Http2Engine::start(*session);
                (Engine::Http2(engine), driver.boxed())
            }
        })
    }

    pub fn version(&self) -> HttpVersion {
        match self {
            Engine::H1(_) | Engine::Hyper(_) => HttpVersion::Http1,
            Engine::Http2(_) => HttpVersion::Http2,
        }
    }

    /// How many exchanges may be under way at a time: more than one, if they share the connection.
    pub fn places(&self) -> usize {
        match self {
            Engine::H1(_) | Engine::Hyper(_) => 1,
            Engine::Http2(engine) => engine.places(),
        }
    }

    /// Whether exchanges share the connection: then the end of one, however it comes, leaves the others alone.
    pub fn is_shared(&self) -> bool {
        matches!(self, Engine::Http2(_))
    }

    /// Whether the driver reads whatever comes between exchanges, and ends the connection.
    pub fn is_watched(&self) -> bool {
        matches!(self, Engine::H1(_))
    }

    pub fn is_closed(&self) -> bool {
        match self {
            Engine::H1(engine) => engine.is_closed(),
            Engine::Hyper(engine) => engine.is_closed(),
            Engine::Http2(engine) => engine.is_closed(),
        }
    }

    /// Whether a request may begin, as far as the exchanges before are concerned.
    pub fn takes_a_request(&self) -> bool {
        match self {
            Engine::H1(engine) => engine.rests(),
            Engine::Hyper(engine) => engine.takes_a_request(),
            Engine::Http2(engine) => !engine.is_closed(),
        }
    }

    /// Errors: Closed, and those of a request that cannot be sent.
    pub fn begin(&self, outgoing: Outgoing<'_>) -> Result<Begun<impl Future<Output = Sent> + Send + use<>>> {
        match self {
            Engine::H1(engine) => engine.begin(outgoing).map(Begun::H1),
            Engine::Hyper(engine) => engine.begin(outgoing).map(Begun::Hyper),
            Engine::Http2(engine) => engine.begin(outgoing).map(Begun::Http2),
        }
    }

    /// Once the response was read to its end: whether another request can follow. It cannot if the response came before all of the request had been
    /// sent: a server that answers early may never read the rest of it, nor what follows.
    pub fn poll_free(&self, cx: &mut Context<'_>) -> Poll<bool> {
        match self {
            Engine::H1(engine) => Poll::Ready(engine.rests()),
            Engine::Hyper(engine) => engine.poll_free(cx),
            Engine::Http2(_) => Poll::Ready(true),
        }
    }

    /// Bytes that came after the last response.
    pub fn unasked(&self) -> usize {
        match self {
            Engine::H1(engine) => engine.unasked(),
            Engine::Hyper(engine) => engine.unasked(),
            Engine::Http2(_) => 0,
        }
    }

    /// What the server did wrong in the exchange under way.
    pub fn fault(&self) -> Option<Error> {
        match self {
            Engine::H1(_) | Engine::Http2(_) => None,
            Engine::Hyper(engine) => engine.fault(),
        }
    }

    /// The driver has ended, and with it the connection.
    pub fn end(&self) {
        match self {
            Engine::H1(engine) => engine.end(),
            Engine::Hyper(engine) => engine.end(),
            Engine::Http2(engine) => engine.end(),
        }
    }
}

impl<S: Future<Output = Sent>> Begun<S> {
    /// The final head of the response, and what comes after it.
    pub(super) async fn answered(self, interim: Interim<'_, '_>) -> Result<(ReceivedHead, ResponseBody)> {
        match self {
            Begun::H1(begun) => {
                let (head, body) = begun.answered(interim).await?;
                Ok((head, ResponseBody::H1(body)))
            }
            Begun::Hyper(begun) => {
                let (head, body) = begun.answered(interim).await?;
                Ok((head, ResponseBody::Hyper(body)))
            }
            Begun::Http2(begun) => {
                let (head, body) = begun.answered(interim).await?;
                Ok((head, ResponseBody::Http2(body)))
            }
        }
    }
}

impl ResponseBody {
    pub fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Piece>> {
        match self {
            ResponseBody::H1(body) => body.poll_piece(cx),
            ResponseBody::Hyper(body) => body.poll_piece(cx),
            ResponseBody::Http2(body) => body.poll_piece(cx),
        }
    }

    /// The length that the head announces for a body that is still to come; `None` if it announces none.
    pub fn announced(&self) -> Option<u64> {
        match self {
            ResponseBody::H1(body) => body.announced(),
            ResponseBody::Hyper(body) => body.announced(),
            ResponseBody::Http2(body) => body.announced(),
        }
    }

    /// Whether nothing of it is left, as far as is known without reading.
    pub fn is_over(&self) -> bool {
        match self {
            ResponseBody::H1(body) => body.is_over(),
            ResponseBody::Hyper(body) => body.is_over(),
            ResponseBody::Http2(body) => body.is_over(),
        }
    }
}
