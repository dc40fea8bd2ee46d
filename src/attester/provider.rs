//! What makes evidence: one for each way to it. No I/O here.

use std::fmt;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::Value;

use crate::attest::Tee;
use crate::error::Result;

/// What evidence is to be made for.
#[derive(Clone, Copy, Debug)]
pub struct EvidenceInput<'a> {
    /// What it must be bound to.
    pub binder: &'a [u8; 64],
    /// The certificate of this side in the session, DER, if it has shown one.
    pub leaf: Option<&'a [u8]>,
    /// Whether new sessions are shown that certificate as well. An older one must not be named in a log again.
    pub leaf_is_current: bool,
    /// All of it must be made now, even if that is slow. Without this, what a vendor signed earlier may be part of it.
    pub fresh: bool,
}

/// A way to evidence of the machine that the program runs on. It is asked for one piece at a time, and knows neither TLS nor HTTP servers.
pub trait Provider: fmt::Debug + Send + Sync {
    /// The kind that it makes.
    fn tee(&self) -> Tee;

    /// The evidence object of that kind, unjudged. Takes as long as the hardware does, and holds no thread of the runtime meanwhile.
    fn evidence<'a>(&'a self, input: EvidenceInput<'a>) -> BoxFuture<'a, Result<Value>>;

    /// Whether fresh evidence takes seconds. Then it is asked for more seldom, and while it is made, other evidence may be asked for.
    fn is_slow_when_fresh(&self) -> bool {
        false
    }

    /// Whether its evidence comes with a log that this side can write to.
    fn has_log(&self) -> bool {
        false
    }

    /// Records an event in that log. False if it is not known how to.
    fn record<'a>(&'a self, _name: &'a str, _payload: &'a [u8]) -> BoxFuture<'a, Result<bool>> {
        async { Ok(false) }.boxed()
    }
}

/// Providers, of which each makes another kind.
#[derive(Clone, Debug, Default)]
pub struct Providers(Vec<Arc<dyn Provider>>);

impl Providers {
    /// In place of the one that made the same kind, which is returned: the caller must drop it last, because that may call the host.
    #[must_use]
    pub fn set(&mut self, provider: Arc<dyn Provider>) -> Option<Arc<dyn Provider>> {
        match self.0.iter_mut().find(|known| known.tee() == provider.tee()) {
            Some(known) => Some(std::mem::replace(known, provider)),
            None => {
                self.0.push(provider);
                None
            }
        }
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl IntoIterator for Providers {
    type Item = Arc<dyn Provider>;
    type IntoIter = std::vec::IntoIter<Arc<dyn Provider>>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl FromIterator<Arc<dyn Provider>> for Providers {
    fn from_iter<I: IntoIterator<Item = Arc<dyn Provider>>>(providers: I) -> Providers {
        Providers(providers.into_iter().collect())
    }
}
