//! What makes evidence: one for each way to it. No I/O here.

use std::fmt;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::Value;
use tokio::sync::Mutex;

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

/// A provider. The locks are held while somebody waits for it, so that it is asked for one piece at a time, and beside that for one piece of fresh evidence
/// that takes seconds. Work on a thread, which cannot be called back, has a `Turn` of its provider's besides.
#[derive(Debug)]
pub struct Source {
    pub(super) provider: Arc<dyn Provider>,
    /// The certificate that its log named last.
    pub(super) turn: Mutex<Option<[u8; 32]>>,
    pub(super) slow_turn: Mutex<()>,
}

/// Providers, of which each makes another kind. Copies share them and their locks, so that it does not matter how often one is configured with.
#[derive(Clone, Debug, Default)]
pub struct Providers(Vec<Arc<Source>>);

impl Providers {
    /// In place of the one that made the same kind, which is returned: the caller must drop it last, because that may call the host.
    #[must_use]
    pub fn set(&mut self, provider: Arc<dyn Provider>) -> Option<Arc<Source>> {
        let tee = provider.tee();
        let source = Arc::new(Source { provider, turn: Mutex::new(None), slow_turn: Mutex::new(()) });
        match self.0.iter_mut().find(|known| known.provider.tee() == tee) {
            Some(known) => Some(std::mem::replace(known, source)),
            None => {
                self.0.push(source);
                None
            }
        }
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<Source>> {
        self.0.iter()
    }
}

impl FromIterator<Arc<dyn Provider>> for Providers {
    fn from_iter<I: IntoIterator<Item = Arc<dyn Provider>>>(all: I) -> Providers {
        let mut providers = Providers::default();
        for provider in all {
            let _ = providers.set(provider);
        }
        providers
    }
}
