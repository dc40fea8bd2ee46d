//! An HTTP connection as a task of the runtime, seen through events.

use std::sync::{Arc, OnceLock};

use super::HttpConnection;
use crate::connect::Target;
use crate::error::Result;
use crate::operation::events::{Event, Outlet};
use crate::operation::{Cancel, canceled};

/// What the host and the driving task share.
#[derive(Default)]
pub struct Shared {
    pub connection: OnceLock<Arc<HttpConnection>>,
    pub cancel: Cancel,
}

/// Connects and drives until the connection ends. Posts exactly one `Closed`.
pub async fn drive(target: Target, shared: Arc<Shared>, outlet: Outlet) {
    let ended = shared.cancel.guard(Box::pin(run(&target, &shared, &outlet))).await.err();
    let connection = shared.connection.get();
    connection.inspect(|connection| connection.closing.cancel());
    let given_up = || connection.filter(|connection| connection.is_retired()).map(|_| canceled());
    outlet.close(ended.or_else(given_up));
}

async fn run(target: &Target, shared: &Shared, outlet: &Outlet) -> Result<()> {
    let (connection, driver) = HttpConnection::open(target).await?;
    let _ = shared.connection.set(connection);
    outlet.post(Event::Connected).await;
    match driver.await {
        None => Ok(()),
        Some(error) => Err(error),
    }
}
