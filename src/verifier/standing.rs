//! Trust in a connection that stays open (docs/policy.md, "Open connections"): the evidence is kept, and judged again once the documents that it was judged by have
//! changed or ended, and every few minutes. May touch the clock, and through `collateral` the network and the disk; never the connection itself.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::kept_evidence::{Answer, KeptEvidence};
use super::{Judgement, Moment, Verifier};
use crate::attest::{Binding, Policy};
use crate::collateral::{Basis, ServiceRoute};
use crate::error::{Error, Phase, Result, Status};
use crate::io::clock;
use crate::io::sync::lock;
use crate::log;
use crate::verdict::Verdict;

/// How long a stream relies on its timer, which may run by another clock than dates do.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// How long a judgement holds at most, in seconds: certificates inside the evidence end too.
const LONGEST_HOLD: u64 = 300;
/// In place of a count of changes: there is nothing to watch.
const NOTHING: u64 = u64::MAX;

/// A proof that was accepted.
pub struct Accepted<'a> {
    pub answer: Answer<'a>,
    pub binding: &'a Binding,
    pub verdict: Verdict,
    pub basis: Basis,
}

/// The trust in one connection's other side.
pub struct Standing {
    verifier: Arc<Verifier>,
    policy: Arc<Policy>,
    /// To collateral services.
    way: Arc<dyn ServiceRoute>,
    /// Who it is, for the log.
    place: String,
    /// Of the proof's basis, to be read without a lock before each request: the count of changes and the time. Written under the lock of `proof`.
    seen: AtomicU64,
    until: AtomicU64,
    /// A moment by the clock that only goes forward, and by the other one.
    began: (Instant, u64),
    proof: Mutex<Proof>,
    /// Held by whoever looks again: it is done once for all that wait.
    looking: tokio::sync::Mutex<()>,
}

struct Proof {
    /// `None` if it will not be judged again.
    evidence: Option<Arc<KeptEvidence>>,
    verdict: Arc<Verdict>,
    basis: Basis,
    /// When the evidence came, by the clock that only goes forward, and by the other one.
    since: (Instant, u64),
}

impl Standing {
    pub fn new(
        (verifier, policy): (Arc<Verifier>, Arc<Policy>),
        way: Arc<dyn ServiceRoute>,
        place: String,
        accepted: Accepted<'_>,
    ) -> Standing {
        let proof = Proof::new(&verifier, &policy, accepted);
        let (seen, until) = proof.watched();
        let (seen, until, began) = (seen.into(), until.into(), proof.since);
        let (proof, looking) = (Mutex::new(proof), Default::default());
        Standing { verifier, policy, way, place, seen, until, began, proof, looking }
    }

    /// Newer evidence was accepted.
    pub fn renew(&self, accepted: Accepted<'_>) {
        let proof = Proof::new(&self.verifier, &self.policy, accepted);
        let mut kept = lock(&self.proof);
        *kept = proof;
        self.publish(&kept);
    }

    /// The last one.
    pub fn verdict(&self) -> Arc<Verdict> {
        lock(&self.proof).verdict.clone()
    }

    pub fn policy(&self) -> &Arc<Policy> {
        &self.policy
    }

    fn publish(&self, proof: &Proof) {
        let (seen, until) = proof.watched();
        self.seen.store(seen, Ordering::Release);
        self.until.store(until, Ordering::Release);
    }

    /// Unix seconds by the later of two clocks: one of them stands still while the machine sleeps, and the other one can be set back.
    fn now(&self) -> Result<u64> {
        let (since, at) = self.began;
        Ok(clock::now()?.max(at.saturating_add(since.elapsed().as_secs())))
    }

    /// Whether the evidence is to be looked at again. Mostly two atomic reads, and the time.
    pub fn is_due(&self) -> bool {
        let (seen, until) = (self.seen.load(Ordering::Acquire), self.until.load(Ordering::Acquire));
        // Without a usable clock looking fails, and says so.
        let is_over = || self.now().map_or(true, |now| now >= until);
        seen != NOTHING && (seen != self.verifier.store.news().count() || is_over())
    }

    /// Judges the evidence again if its documents have changed or ended, or the last time was a while ago. An error is the end of the trust. Collateral services are asked only if what is kept
    /// does not hold any more, or is due to be refreshed.
    pub async fn check(&self) -> Result<()> {
        if !self.is_due() {
            return Ok(());
        }
        let _alone = self.looking.lock().await;
        if !self.is_due() {
            return Ok(());
        }
        // Boxed: a connection's memory should not have the shape of its rarest moment.
        Box::pin(self.look()).await.inspect_err(|error| {
            log::emit(log::WARNING, || format!("evidence: {}: judged again: {}", self.place, log::reason(error)));
        })
    }

    /// As `check`, of a connection on which no new evidence can come: it ends once that would be due.
    pub async fn check_without_exchange(&self) -> Result<()> {
        if self.is_too_old() { Err(self.too_old()) } else { self.check().await }
    }

    async fn look(&self) -> Result<()> {
        let (evidence, before, received) = {
            let proof = lock(&self.proof);
            (proof.evidence.clone(), proof.basis.clone(), proof.since.1)
        };
        let Some(evidence) = evidence else { return Ok(()) };
        let (evidence, binding) = evidence.read(&self.policy.asks_for())?;
        let now = self.now()?;
        let asks_first = now >= before.until;
        // What the time has changed the documents do not show.
        let before = Some(&before).filter(|_| now < self.until.load(Ordering::Acquire));
        let look = async |asks: bool| {
            let way = asks.then_some(&*self.way);
            self.verifier.look(&evidence, (&self.policy, &binding), way, Moment { before, received, now }).await
        };
        let judged = match look(asks_first).await {
            // What is kept may still hold; or it does not, and somebody has what does.
            Err(error) if error.phase == Phase::Collateral => match (look(!asks_first).await, asks_first) {
                (Err(_), true) => Err(error),
                (other, _) => other,
            },
            judged => judged,
        };
        match judged? {
            Judgement::Same(basis) => self.settle(None, basis),
            Judgement::Other(verdict, basis) => {
                log::emit(log::DEBUG, || {
                    format!("evidence: {}: judged again, trusted={}", self.place, verdict.trusted)
                });
                match verdict.error() {
                    Some(refusal) => return Err(refusal.context("the evidence of an open connection, judged again")),
                    None => self.settle(Some(Arc::new(*verdict)), basis),
                }
            }
        }
        Ok(())
    }

    fn settle(&self, verdict: Option<Arc<Verdict>>, basis: Basis) {
        let mut proof = lock(&self.proof);
        proof.basis = basis;
        if let Some(verdict) = verdict {
            proof.verdict = verdict;
        }
        self.publish(&proof);
    }

    /// How long new evidence is not needed yet; `None` if the policy never asks for any.
    pub fn time_left(&self) -> Option<Duration> {
        let interval = self.policy.reattest.interval?;
        let (since, at) = lock(&self.proof).since;
        // Either clock counts: one of them stands still while the machine sleeps, and the other one can be set.
        let by_date = clock::now().map_or(u64::MAX, |now| now.saturating_sub(at));
        Some(interval.saturating_sub(since.elapsed().max(Duration::from_secs(by_date))))
    }

    /// Whether new evidence is due.
    pub fn is_too_old(&self) -> bool {
        self.time_left().is_some_and(|left| left.is_zero())
    }

    /// Waits until `check_without_exchange` may have something to do.
    pub async fn pause(&self) {
        let (seen, until) = (self.seen.load(Ordering::Acquire), self.until.load(Ordering::Acquire));
        if seen == NOTHING && self.policy.reattest.interval.is_none() {
            return std::future::pending().await;
        }
        let by_date = self.now().map_or(Duration::ZERO, |now| Duration::from_secs(until.saturating_sub(now)));
        let pause = self.time_left().unwrap_or(LONGEST_PAUSE).min(by_date).min(LONGEST_PAUSE);
        let changed = async {
            match seen {
                NOTHING => std::future::pending().await,
                seen => self.verifier.store.news().after(seen).await,
            }
        };
        let _ = tokio::time::timeout(pause, changed).await;
    }

    /// The error for a connection that ends because no new evidence can come on it.
    pub fn too_old(&self) -> Error {
        let most = self.policy.reattest.interval.unwrap_or_default().as_secs();
        let message = format!("the evidence of an open connection is older than policy.reattest.interval_s ({most} s)");
        Error::new(Status::TimedOut, message).phase(Phase::Evidence)
    }
}

impl Proof {
    fn new(verifier: &Verifier, policy: &Policy, accepted: Accepted<'_>) -> Proof {
        let Accepted { answer, binding, verdict, basis } = accepted;
        let watches = policy.reattest.on_collateral_change;
        let evidence = if watches { KeptEvidence::new(&verifier.pieces, answer, binding) } else { None };
        let since = (Instant::now(), verdict.time);
        Proof { evidence: evidence.map(Arc::new), verdict: Arc::new(verdict), basis, since }
    }

    /// The count of changes up to which it was judged, and until when that holds.
    fn watched(&self) -> (u64, u64) {
        match &self.evidence {
            Some(_) => {
                let at_most = self.verdict.time.saturating_add(LONGEST_HOLD);
                let by_policy = self.verdict.holds_until.map_or(u64::MAX, |last| last.saturating_add(1));
                (self.basis.seen, self.basis.until.min(at_most).min(by_policy))
            }
            None => (NOTHING, u64::MAX),
        }
    }
}
