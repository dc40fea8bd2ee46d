//! An HTTP connection as a task of the runtime, which reports to its host by events. Touches nothing but that connection and the clock.

use std::sync::{Arc, OnceLock};

use super::HttpConnection;
use super::engine::EngineKind;
use crate::connect::ConnectTarget;
use crate::error::{Error, Result, Status};
use crate::operation::{Cancel, Outlet, Running, TransferEvent, canceled};

/// What the host and the driving task share.
#[derive(Default)]
pub struct SharedConnection {
    connection: OnceLock<Arc<HttpConnection>>,
    pub cancel: Cancel,
}

impl Running for SharedConnection {
    fn cancel(&self) {
        self.cancel.cancel();
    }
}

impl SharedConnection {
    /// Errors: InvalidState (not connected yet).
    pub fn connection(&self) -> Result<&Arc<HttpConnection>> {
        let missing = || Error::new(Status::InvalidState, "not connected (wait for CONNECTED)");
        self.connection.get().ok_or_else(missing)
    }

    /// The host will make no more requests: gives up a connection that is still being made, and closes another one once its exchange is over.
    pub fn retire(&self) {
        if self.connection.get().is_none_or(|connection| connection.retire()) {
            self.cancel.cancel();
        }
    }
}

/// Connects and drives until the connection ends. Posts exactly one `Closed`.
pub async fn run_connection(target: ConnectTarget, shared: Arc<SharedConnection>, outlet: Outlet) {
    let ended = shared.cancel.guard(Box::pin(run(&target, &shared, &outlet))).await.err();
    let connection = shared.connection.get();
    connection.inspect(|connection| connection.closing.cancel());
    let given_up = || connection.filter(|connection| connection.is_retired()).map(|_| canceled());
    outlet.close(ended.or_else(given_up));
}

async fn run(target: &ConnectTarget, shared: &SharedConnection, outlet: &Outlet) -> Result<()> {
    let (connection, driver) = HttpConnection::open(target, EngineKind::Hyper).await?;
    let _ = shared.connection.set(connection);
    outlet.post(TransferEvent::Connected).await;
    match driver.await {
        None => Ok(()),
        Some(error) => Err(error),
    }
}
