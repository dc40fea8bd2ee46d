//! The library's own machine (`h1`) as the engine of an HTTP/1.1 connection. Whoever runs an exchange drives the wire. A driver stands beside it: it sends the rest
//! of a request that is not sent at once, and looks after the wire between exchanges. Touches the connection that it is given.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, ready};

use super::h1_wire::H1Wire;
use super::{Outgoing, Piece};
use crate::client::exchange::Interim;
use crate::connect::ConnectedStream;
use crate::error::Result;
use crate::io::SocketWatch;
use crate::io::sync::lock;
use crate::message::ReceivedHead;

#[derive(Clone)]
pub struct H1Engine(Arc<Shared>);

struct Shared {
    wire: Mutex<H1Wire>,
    /// Whether a request may begin, and whether the connection is open: what the wire said when it was last let go. So the pool need not wait for whoever has it.
    rests: AtomicBool,
    open: AtomicBool,
}

/// The wire, locked.
struct Held<'a> {
    wire: MutexGuard<'a, H1Wire>,
    shared: &'a Shared,
}

impl Shared {
    fn hold(&self) -> Held<'_> {
        Held { wire: lock(&self.wire), shared: self }
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.shared.rests.store(self.wire.resting, Ordering::Release);
        self.shared.open.store(self.wire.is_open(), Ordering::Release);
    }
}

/// Runs as long as the connection, and closes it when dropped.
struct H1Driver(H1Engine);

impl Future for H1Driver {
    type Output = Result<()>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.0.0.hold().wire.poll_drive(cx).map(Ok)
    }
}

impl Drop for H1Driver {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl H1Engine {
    /// The future must be run for as long as the connection is used; it ends with the connection.
    pub fn start(
        stream: ConnectedStream,
        watch: Arc<SocketWatch>,
    ) -> (H1Engine, impl Future<Output = Result<()>> + Send + 'static) {
        let wire = Mutex::new(H1Wire::new(stream, watch));
        let shared = Shared { wire, rests: AtomicBool::new(true), open: AtomicBool::new(true) };
        let engine = H1Engine(Arc::new(shared));
        (engine.clone(), H1Driver(engine))
    }

    pub fn is_closed(&self) -> bool {
        !self.0.open.load(Ordering::Acquire)
    }

    /// Whether no exchange is under way, on a connection that is open.
    pub fn rests(&self) -> bool {
        self.0.rests.load(Ordering::Acquire) && !self.is_closed()
    }

    pub fn unasked(&self) -> usize {
        self.0.hold().wire.unasked
    }

    pub fn end(&self) {
        self.0.hold().wire.abandon();
    }

    pub fn begin(&self, outgoing: Outgoing<'_>) -> Result<H1Exchange> {
        self.0.hold().wire.begin(outgoing)?;
        Ok(H1Exchange { engine: self.clone(), ended: false })
    }
}

/// A request that has begun, or what is left of its response. Dropped before its end, it closes the connection.
pub struct H1Exchange {
    engine: H1Engine,
    ended: bool,
}

impl H1Exchange {
    pub(in crate::client) async fn answered(self, interim: Interim<'_, '_>) -> Result<(ReceivedHead, H1Exchange)> {
        let progress = interim.progress;
        let head = interim.wait(|cx| self.engine.0.hold().wire.poll_head(cx)).await;
        if self.engine.0.hold().wire.heard {
            progress.note_answer();
        }
        Ok((head?, self))
    }

    pub fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Piece>> {
        if self.ended {
            return Poll::Ready(Ok(Piece::End));
        }
        let piece = ready!(self.engine.0.hold().wire.poll_piece(cx));
        self.ended = matches!(piece, Ok(Piece::End | Piece::Trailers(_)));
        Poll::Ready(piece)
    }

    pub fn announced(&self) -> Option<u64> {
        if self.ended { Some(0) } else { self.engine.0.hold().wire.announced() }
    }

    pub fn is_over(&self) -> bool {
        self.announced() == Some(0)
    }
}

impl Drop for H1Exchange {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let mut held = self.engine.0.hold();
        // A response without a body is at its end even if it was never read.
        if held.wire.announced() == Some(0) {
            let _ = held.wire.poll_piece(&mut cx);
        }
        if !held.wire.resting {
            held.wire.abandon();
        }
    }
}
