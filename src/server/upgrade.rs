//! Connections that leave HTTP, for a stream of the host or to a forwarder's target. May touch the network and the clock.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use tokio::io::AsyncWriteExt;

use super::ServerRequest;
use super::connection_task::{ServerConnection, host};
use super::response_head::ResponseHead;
use super::transport::ServerTransport;
use crate::error::{Error, Phase, Result, Status};
use crate::io::Socket;
use crate::io::deadline::{Wait, within};
use crate::io::duplex::Prefixed;
use crate::tunnel::relay;
use crate::tunnel::{ForwarderRules, TunnelRefusal, accept_key};

/// Answered with 200, so that a monitor can check the forwarder.
const HEALTH: &[u8] = b"/healthz";

impl<S: ServerTransport> ServerConnection<'_, S> {
    /// Serves one request as a forwarder. Its connection serves no other.
    pub(super) async fn forward(mut self, request: &ServerRequest, rules: &ForwarderRules) -> Result<()> {
        let target = request.line.target();
        let (path, query) = match target.iter().position(|byte| *byte == b'?') {
            Some(at) => (&target[..at], &target[at + 1..]),
            None => (target, &b""[..]),
        };
        let is_upgrade = request.head.find("upgrade").is_some();
        if path == HEALTH && !is_upgrade {
            return self.answer_and_close(request, 200, b"ok\n").await;
        }
        let query = String::from_utf8_lossy(query);
        match self.open(request, &query, rules).await {
            Ok((target, accept)) => {
                self.switch(&accept).await?;
                let server = self.server;
                server.counts.tunnels.fetch_add(1, Ordering::Relaxed);
                relay(self.into_upgraded(), target, rules, &server.counts.flow).await;
                Ok(())
            }
            Err(refusal) => {
                let error = Error::new(Status::TunnelRefused, refusal.reason.escape_debug().to_string());
                self.report(&error.phase(Phase::Tunnel).http_status(refusal.status)).await;
                self.answer_and_close(request, refusal.status, format!("{}\n", refusal.reason).as_bytes()).await
            }
        }
    }

    /// Connects to the target before the client is answered.
    async fn open(
        &self,
        request: &ServerRequest,
        query: &str,
        rules: &ForwarderRules,
    ) -> std::result::Result<(Socket, String), TunnelRefusal> {
        let minor_version = (self.conn.their_http_version() & 1) as u8;
        let accept = accept_key(request.line.method(), &request.head, minor_version)?;
        let target = rules.check(&request.head, query)?;
        Ok((rules.reach(&target).await?, accept))
    }

    /// Puts the head that ends HTTP into the outbox.
    pub(super) fn put_switch(&mut self, message: &ResponseHead) -> Result<()> {
        let head = self.conn.send_response(message.status, &message.reason, message.lines()).map_err(host)?;
        self.outbox.extend_from_slice(head);
        Ok(())
    }

    async fn switch(&mut self, accept: &str) -> Result<()> {
        let mut message = ResponseHead::switching(101, None)?;
        message.add("Upgrade", "websocket");
        message.add("Sec-WebSocket-Accept", accept);
        self.put_switch(&message)?;
        let sending = async {
            let io = |error| Error::from_io(error, Phase::Transfer);
            self.wire.write_all_buf(&mut self.outbox).await.map_err(io)?;
            self.wire.flush().await.map_err(io)
        };
        within(self.server.settings.limits.send, Wait::Call("the upgrade"), sending).await
    }

    /// The connection after the switch, with what was received beyond the request.
    pub(super) fn into_upgraded(self) -> Prefixed<S> {
        let (unread, _) = self.conn.trailing_data();
        Prefixed { unread: Bytes::copy_from_slice(unread), wire: self.wire }
    }

    async fn answer_and_close(mut self, request: &ServerRequest, status: u16, body: &[u8]) -> Result<()> {
        let mut message = ResponseHead::new(status, None, None, Some(body.len() as u64))?;
        let lines = [("Content-Type", "text/plain"), ("Connection", "close")].into_iter();
        let wants = match status {
            // RFC 9110 section 15.5.22: what to upgrade to.
            426 => &[("Sec-WebSocket-Version", "13"), ("Upgrade", "websocket"), ("Connection", "Upgrade")][..],
            401 => &[("WWW-Authenticate", "Bearer")],
            _ => &[],
        };
        for (name, value) in lines.chain(wants.iter().copied()) {
            message.add(name, value);
        }
        self.put_head(&message)?;
        // The response to HEAD has the length, but not the body.
        if request.line.method() != b"HEAD" {
            let _ = self.conn.send_data(body.len() as u64).map_err(host)?;
            self.outbox.extend_from_slice(body);
        }
        self.close().await
    }
}
