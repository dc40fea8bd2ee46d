//! The route to a collateral service: opens a byte stream to a host and a port. Dialling directly is implemented here; proxies and tunnels implement it
//! in their own rooms. May touch the network.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::error::Result;
use crate::io::dialling;
use crate::io::dialling::Dial;

/// A connected byte stream.
pub trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for S {}

/// A way out.
pub trait ServiceRoute: Send + Sync {
    /// Which way it is: what fails on one may work on another.
    fn name(&self) -> String;

    /// A connection to `host:port`, without TLS.
    fn open<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, Result<Box<dyn ByteStream>>>;
}

/// Without any intermediary.
impl ServiceRoute for Dial {
    fn name(&self) -> String {
        format!("{self:?}")
    }

    fn open<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, Result<Box<dyn ByteStream>>> {
        async move { dialling::dial(host, port, self).await.map(|socket| Box::new(socket) as Box<dyn ByteStream>) }
            .boxed()
    }
}
