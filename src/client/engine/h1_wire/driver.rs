//! What the driver of a connection does on its wire: sends the rest of a request, and looks after the wire between exchanges. Touches the connection.

use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, ReadBuf};

use super::H1Wire;
use crate::error::Result;

impl H1Wire {
    /// Looks after a wire that rests: whatever comes, bytes that nobody asked for or the end, closes it.
    pub(super) fn poll_rest(&mut self, cx: &mut Context<'_>) {
        let (Some(stream), mut byte) = (&mut self.stream, [0]) else { return };
        let mut room = ReadBuf::new(&mut byte);
        if Pin::new(stream).poll_read(cx, &mut room).is_ready() {
            self.unasked += room.filled().len();
            self.close();
        }
    }

    /// What the driver does when it is woken; ready once the connection has ended.
    pub fn poll_drive(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.stream.is_none() {
            return Poll::Ready(());
        }
        if self.driver.as_ref().is_none_or(|driver| !driver.will_wake(cx.waker())) {
            self.driver = Some(cx.waker().clone());
        }
        if self.resting {
            self.poll_rest(cx);
        } else if self.driven && self.fault.is_none() {
            self.fault = self.poll_send(cx).err();
            match self.reader {
                _ if self.fault.is_some() || !self.must_read => {}
                // Woken once the runtime has looked at the network, and with it the exchange.
                Some(_) => _ = pin!(tokio::task::yield_now()).poll(cx),
                None => self.fault = self.read_ahead(cx).err(),
            }
            if self.fault.is_some() || self.broken.is_some() {
                self.reader.take().into_iter().for_each(Waker::wake);
            }
        }
        if self.stream.is_none() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Reads what holds up sending while the exchange is busy with a head before: its host may take no events for a while. Once the final head has begun,
    /// sending goes on, and it is the exchange who reads. Errors: as `poll_head`.
    fn read_ahead(&mut self, cx: &mut Context<'_>) -> Result<()> {
        while self.early.is_none() {
            match self.next_came()? {
                Some(came) => self.ahead.push_back(came),
                None if !self.must_read => return Ok(()),
                None => match self.poll_more(cx) {
                    Poll::Ready(read) => read?,
                    Poll::Pending => return Ok(()),
                },
            }
        }
        Ok(())
    }

    pub(super) fn wake_driver(&self) {
        self.driver.iter().for_each(Waker::wake_by_ref);
    }
}
