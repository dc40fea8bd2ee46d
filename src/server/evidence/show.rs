//! A request for evidence on a connection: read, answered, and the host hears nothing of it.

use std::sync::atomic::Ordering;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::deadline::{Wait, within};
use crate::error::{Error, Phase, Result};
use crate::h1::{EventKind, State};
use crate::server::Served;
use crate::server::connection::{READ, Serving, host, protocol, too_large};
use crate::server::message::Message;

/// Bytes of a request for evidence.
const SMALL: usize = 4096;

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Serving<'_, S> {
    pub(in crate::server) fn wants_evidence(&self, served: &Served) -> bool {
        let serves_it = self.server.attester.is_some() && self.session.is_some();
        serves_it && served.method == "POST" && served.target.split(|byte| *byte == b'?').next() == Some(b"/tdx_quote")
    }

    /// Answers a request for evidence; the host hears nothing of it. Whether the connection may serve another request.
    pub(in crate::server) async fn show_evidence(&mut self) -> Result<bool> {
        let limit = self.server.settings.limits.receive_head;
        let received = within(limit, Wait::Evidence, self.small_body()).await;
        let body = match received {
            Ok(body) => body,
            Err(error) => return self.refuse(&error).await.map(|()| false),
        };
        self.server.counts.quotes.fetch_add(1, Ordering::Relaxed);
        let (Some(attester), Some(session)) = (&self.server.attester, &self.session) else { return Ok(false) };
        let is_current = self.server.tls().is_some_and(|shown| *shown.leaf == *session.leaf);
        let (status, answer) = attester.answer(&body, session, is_current).await;
        let mut message = Message::new(status, None, None, Some(answer.len() as u64))?;
        message.headers.push((b"Content-Type".to_vec(), b"application/json".to_vec()));
        self.put_head(&message)?;
        let _ = self.conn.send_data(answer.len() as u64).map_err(host)?;
        self.outbox.extend_from_slice(answer.as_bytes());
        let _ = self.conn.send_end_of_message(std::iter::empty()).map_err(host)?;
        let sending = async {
            let io = |error| Error::from_io(error, Phase::Transfer);
            self.writer.write_all_buf(&mut self.outbox).await.map_err(io)?;
            self.writer.flush().await.map_err(io)
        };
        within(self.server.settings.limits.send, Wait::Evidence, sending).await?;
        Ok(self.conn.our_state() == State::Done && self.conn.their_state() == State::Done)
    }

    /// All of a body that has no business to be long.
    async fn small_body(&mut self) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let event = self.conn.next_event().map_err(protocol)?;
            match event.kind {
                EventKind::Data if body.len() + event.data.len() <= SMALL => body.extend_from_slice(event.data),
                EventKind::Data => return Err(too_large(SMALL as u64)),
                EventKind::NeedData => {
                    let read = self.reader.read(self.conn.reserve(READ)).await;
                    self.received(read.map_err(|error| Error::from_io(error, Phase::Transfer))?);
                }
                _ => return Ok(body),
            }
        }
    }
}
