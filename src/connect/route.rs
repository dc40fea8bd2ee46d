//! The route of a connection, for the collateral of its evidence, which takes the same route. Touches sockets.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use rustls::ClientConfig;

use super::{ConnectTarget, Proxy};
use crate::collateral::{ByteStream, ServiceRoute};
use crate::error::Result;
use crate::io::dialling;
use crate::io::dialling::Dial;
use crate::tunnel::TunnelUrl;

/// Tunnel or proxy, own address, address family, and mapped hosts.
#[derive(Clone)]
pub struct Route {
    pub tunnel: Option<TunnelUrl>,
    pub proxy: Option<Arc<Proxy>>,
    pub dial: Dial,
    /// For a forwarder that is reached by TLS.
    pub tls: Arc<ClientConfig>,
}

impl ConnectTarget {
    pub fn route(&self) -> Route {
        let (tunnel, proxy) = (self.tunnel.clone(), self.proxy.clone());
        Route { tunnel, proxy, dial: self.dial.clone(), tls: self.tls.clone() }
    }
}

impl ServiceRoute for Route {
    fn name(&self) -> String {
        // The proxy is named by its address in memory, so that its login is not.
        let tunnel = self.tunnel.as_ref().map(TunnelUrl::given);
        format!("{tunnel:?} {:?} {:?}", self.proxy.as_ref().map(Arc::as_ptr), self.dial)
    }

    fn open<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, Result<Box<dyn ByteStream>>> {
        async move {
            let wire: Box<dyn ByteStream> = match (&self.tunnel, &self.proxy) {
                (Some(tunnel), _) => Box::new(tunnel.to(host, port)?.open(&self.tls, &self.dial).await?),
                (None, Some(proxy)) => Box::new(proxy.open(host, port, &self.dial).await?),
                (None, None) => Box::new(dialling::dial(host, port, &self.dial).await?),
            };
            Ok(wire)
        }
        .boxed()
    }
}
