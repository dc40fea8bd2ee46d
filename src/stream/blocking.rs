//! An attested byte stream whose I/O runs on the calling threads. Touches the runtime of the blocking handle that it belongs to.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf, ReadHalf, WriteHalf};

use crate::connect;
use crate::connect::{ConnectTarget, ConnectedStream, TrustedStream};
use crate::error::{Error, Phase, Result};
use crate::io::CallerRuntime;
use crate::io::blocking::check_may_block;
use crate::io::deadline::Wait;
use crate::operation::Cancel;
use crate::verdict::Verdict;
use crate::verifier::Standing;

/// Default deadline of a call that waits.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(60);
/// How long an orderly close may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Both directions are independent; calls of several threads in one direction take turns.
pub struct BlockingStream {
    driver: CallerRuntime,
    /// Each is held by the call that has its turn; other calls wait for it under their own deadlines.
    reader: tokio::sync::Mutex<ReadHalf<TrustedStream<ConnectedStream>>>,
    writer: tokio::sync::Mutex<WriteHalf<TrustedStream<ConnectedStream>>>,
    cancel: Cancel,
    trust: Option<Arc<Standing>>,
}

impl BlockingStream {
    /// Connects and attests on the calling thread.
    pub fn open(driver: CallerRuntime, target: &ConnectTarget) -> Result<BlockingStream> {
        let connected = driver.run(None, Wait::Connecting, connect::connect(target))?;
        let trust = connected.trust.map(|trust| trust.standing().clone());
        let trusted = TrustedStream::new(connected.stream, trust.clone());
        let (reader, writer) = tokio::io::split(trusted);
        Ok(BlockingStream { driver, reader: reader.into(), writer: writer.into(), cancel: Cancel::default(), trust })
    }

    /// On the server: the last one.
    pub fn verdict(&self) -> Option<Arc<Verdict>> {
        self.trust.as_ref().map(|trust| trust.verdict())
    }

    /// Ends the stream at once; calls of other threads return Canceled.
    pub fn cancel(&self) {
        self.cancel.cancel();
    }

    /// Waits for bytes and puts them into `room`, which must have room; none at the end of the stream. If the time is up, nothing is lost.
    pub fn read(&self, room: &mut ReadBuf<'_>, limit: Option<Duration>) -> Result<()> {
        check_may_block()?;
        let work = async {
            let mut reader = self.reader.lock().await;
            poll_fn(|cx| Pin::new(&mut *reader).poll_read(cx, room))
                .await
                .map_err(|error| Error::from_io(error, Phase::Transfer).context("receiving"))
        };
        self.driver.run(limit, Wait::Call("receiving"), self.cancel.guard(work))
    }

    /// Sends all of the bytes, after those of earlier calls. If it fails once it has begun, how much was sent is unknown, and the stream is canceled.
    pub fn write_all(&self, data: &[u8], limit: Option<Duration>) -> Result<()> {
        check_may_block()?;
        let mut begun = false;
        let work = async {
            let mut writer = self.writer.lock().await;
            begun = true;
            let sent = async {
                writer.write_all(data).await?;
                writer.flush().await
            };
            sent.await.map_err(|error| Error::from_io(error, Phase::Transfer).context("sending"))
        };
        let done = self.driver.run(limit, Wait::Call("sending"), self.cancel.guard(work));
        if done.is_err() && begun {
            self.cancel.cancel();
        }
        done
    }

    /// Nothing more will be written. Waits for the writes before it.
    pub fn close_write(&self) -> Result<()> {
        let work = async { shut_down(&mut *self.writer.lock().await).await };
        self.driver.run(Some(CALL_TIMEOUT), Wait::Call("closing"), self.cancel.guard(work))
    }

    /// Closes in an orderly way, unless a write is still under way, and cancels the rest.
    pub fn close(&self) {
        if let Ok(mut writer) = self.writer.try_lock() {
            let work = self.cancel.guard(shut_down(&mut writer));
            let _ = self.driver.run(Some(CLOSE_TIMEOUT), Wait::Call("closing"), work);
        }
        self.cancel.cancel();
    }
}

async fn shut_down(writer: &mut WriteHalf<TrustedStream<ConnectedStream>>) -> Result<()> {
    writer.shutdown().await.map_err(|error| Error::from_io(error, Phase::Transfer))
}
