//! The collateral service: finds the vendor's documents for a quote, keeps them for the connections that share it, and never
//! serves one past its own date (attested-tls spec 0.5 and 12.6). Transport is untrusted: every document is signed, and appraisal
//! checks that on each use. May touch the network; the time comes from the caller.

mod bundle;
mod disk;
mod fetch;
mod judge;
mod object;

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use dcap_qvl::QuoteCollateralV3;
use rustls::ClientConfig;

use crate::attest::tdx::PlatformId;
use crate::attest::{Collateral, Policy, TrustAnchors};
use crate::error::{Error, Phase, Result, Status};
use crate::log;
use disk::Disk;
use object::{Key, Object, Signed, Window};

/// Refresh ahead of expiry by this much, or a fifth of the lifetime where that is less.
const REFRESH_AHEAD_S: u64 = 6 * 3600;
/// After a refresh ahead of time failed, use what is still valid for this long before trying again.
const REFRESH_BACKOFF_S: u64 = 60;
/// Documents that are kept before those are thrown out that no quote was ever verified with.
const SHELVES: usize = 1024;

/// Shared by the connections of one client: documents, trust anchors, and the roots of HTTPS collateral services.
pub struct Verifier {
    pub anchors: TrustAnchors,
    tls: Arc<ClientConfig>,
    disk: Option<Disk>,
    shelves: Mutex<HashMap<Key, Arc<Shelf>>>,
}

/// The place of one document. The async lock makes fetching it single-flight.
#[derive(Default)]
struct Shelf {
    fetching: tokio::sync::Mutex<()>,
    state: Mutex<ShelfState>,
}

#[derive(Default)]
struct ShelfState {
    object: Option<Object>,
    /// Whether `object` took part in a quote that verified.
    confirmed: bool,
    /// Newest issue that took part in a quote that verified: what is older is a roll-back.
    seen: Option<Window>,
    backoff_until: u64,
}

/// The documents of one appraisal, with where they came from.
pub struct Found {
    pub collateral: Collateral,
    used: Vec<(Key, Object)>,
}

impl Verifier {
    pub fn new(anchors: TrustAnchors, tls: Arc<ClientConfig>) -> Verifier {
        Verifier { anchors, tls, disk: None, shelves: Mutex::default() }
    }

    /// As `new`, with what `folder` holds, and keeping there what is fetched.
    pub fn with_disk(anchors: TrustAnchors, tls: Arc<ClientConfig>, folder: &Path) -> Result<Verifier> {
        let disk = Disk::open(folder)?;
        let mut verifier = Verifier::new(anchors, tls);
        verifier.load(&disk)?;
        verifier.disk = Some(disk);
        Ok(verifier)
    }

    /// Everything that a quote of `platform` needs at `now`. Errors: CollateralUnavailable, CollateralInvalid.
    pub async fn find(&self, platform: &PlatformId, policy: &Policy, now: u64) -> Result<Found> {
        let set = &policy.evaluation_set;
        let keys = [
            Key::TcbInfo { fmspc: platform.fmspc.clone(), set: set.clone() },
            Key::QeIdentity { set: set.clone() },
            Key::PckCrl { ca: platform.ca.into() },
            Key::RootCrl,
        ];
        let [tcb, qe, pck, root] = &keys;
        let (tcb_info, qe_identity, pck_crl, root_crl) = tokio::try_join!(
            self.object(tcb, policy, now),
            self.object(qe, policy, now),
            self.object(pck, policy, now),
            self.object(root, policy, now),
        )?;
        let invalid = |why: String| Error::new(Status::CollateralInvalid, why).phase(Phase::Collateral);
        let (tcb_text, tcb_signature) = Signed::tcb_info(&tcb_info.body).map_err(invalid)?;
        let (qe_text, qe_signature) = Signed::qe_identity(&qe_identity.body).map_err(invalid)?;
        let collateral = Collateral::new(QuoteCollateralV3 {
            pck_crl_issuer_chain: pck_crl.chain.clone(),
            root_ca_crl: root_crl.body.clone(),
            pck_crl: pck_crl.body.clone(),
            tcb_info_issuer_chain: tcb_info.chain.clone(),
            tcb_info: tcb_text,
            tcb_info_signature: tcb_signature,
            qe_identity_issuer_chain: qe_identity.chain.clone(),
            qe_identity: qe_text,
            qe_identity_signature: qe_signature,
            pck_certificate_chain: None,
        });
        let used = keys.into_iter().zip([tcb_info, qe_identity, pck_crl, root_crl]).collect();
        Ok(Found { collateral, used })
    }

    /// After an appraisal: where all signatures held the documents become the newest seen. Where the quote did not verify, whosever
    /// fault that was, documents that never were part of one that did are thrown out: a forged answer of an untrusted source must not
    /// stay until the date that its forger chose, and a bad quote must not flush good documents.
    pub fn settle(&self, found: &Found, signatures_hold: bool) {
        for (key, object) in &found.used {
            let shelf = self.shelf(key);
            let mut state = lock(&shelf.state);
            if signatures_hold {
                let seen = newest(state.seen, object.window);
                let news = state.seen != Some(seen);
                state.seen = Some(seen);
                state.confirmed |= state.object.as_ref().is_some_and(|kept| kept.body == object.body);
                if let (Some(disk), true) = (&self.disk, news) {
                    disk.keep(key, object, seen);
                }
            } else if !state.confirmed && state.object.as_ref().is_some_and(|kept| kept.body == object.body) {
                state.object = None;
            }
        }
    }

    fn shelf(&self, key: &Key) -> Arc<Shelf> {
        let mut shelves = lock(&self.shelves);
        if shelves.len() >= SHELVES {
            // Whoever shows a quote chooses what is looked up for it, before anything in it is known to be true.
            shelves.retain(|_, shelf| Arc::strong_count(shelf) > 1 || lock(&shelf.state).confirmed);
        }
        shelves.entry(key.clone()).or_default().clone()
    }

    async fn object(&self, key: &Key, policy: &Policy, now: u64) -> Result<Object> {
        let shelf = self.shelf(key);
        if !policy.cache_collateral && !policy.collateral_offline {
            return Box::pin(self.fetch(key, &shelf, policy, now)).await;
        }
        let fresh_enough = |object: &Object| {
            let age = now.saturating_sub(object.fetched);
            now < object.window.expires && policy.collateral_max_age_s.is_none_or(|limit| age <= limit)
        };
        let kept = || lock(&shelf.state).object.clone().filter(fresh_enough);
        let settled = |object: &Object| {
            policy.collateral_offline || now < refresh_at(&object.window) || now < lock(&shelf.state).backoff_until
        };
        if let Some(object) = kept().filter(settled) {
            return Ok(object);
        }
        if policy.collateral_offline {
            let message =
                format!("{}: not in the verifier's store (or past its date), and the policy says offline", key.name());
            return Err(Error::new(Status::CollateralUnavailable, message).phase(Phase::Collateral));
        }
        let _single_flight = shelf.fetching.lock().await;
        if let Some(object) = kept().filter(settled) {
            return Ok(object);
        }
        match Box::pin(self.fetch(key, &shelf, policy, now)).await {
            Ok(object) => {
                let mut state = lock(&shelf.state);
                state.confirmed &= state.object.as_ref().is_some_and(|kept| kept.body == object.body);
                state.object = Some(object.clone());
                Ok(object)
            }
            Err(error) => {
                let Some(object) = kept() else { return Err(error) };
                log::emit(log::WARNING, || format!("collateral {}: refresh failed, still valid: {error}", key.name()));
                lock(&shelf.state).backoff_until = now + REFRESH_BACKOFF_S;
                Ok(object)
            }
        }
    }

    /// Asks the sources in order until one gives a document that holds now.
    async fn fetch(&self, key: &Key, shelf: &Shelf, policy: &Policy, now: u64) -> Result<Object> {
        let mut failure: Option<Error> = None;
        for base in &policy.collateral_sources {
            let attempt = fetch::fetch(base, key, &self.tls, now).await;
            let checked = attempt.and_then(|object| {
                let seen = lock(&shelf.state).seen;
                usable(&object.window, seen, now)
                    .map_err(|why| Error::new(Status::CollateralInvalid, why).phase(Phase::Collateral).context(base))?;
                Ok(object)
            });
            match checked {
                Ok(object) => return Ok(object),
                Err(error) => {
                    log::emit(log::WARNING, || format!("collateral {}: {error}", key.name()));
                    failure = Some(match failure {
                        Some(first) => Error { message: format!("{}; {error}", first.message), ..first },
                        None => error,
                    });
                }
            }
        }
        let none = || Error::new(Status::CollateralUnavailable, "no source is configured").phase(Phase::Collateral);
        Err(failure.unwrap_or_else(none).context(format!("collateral {}", key.name())))
    }
}

fn usable(window: &Window, seen: Option<Window>, now: u64) -> std::result::Result<(), String> {
    if now < window.issued {
        return Err(format!("issued at {}, which is after now ({now})", window.issued));
    }
    if now >= window.expires {
        return Err(format!("expired at {}, now is {now}", window.expires));
    }
    match seen {
        Some(seen) if window.number < seen.number => {
            Err(format!("rolled back: number {} after {} was seen", window.number, seen.number))
        }
        Some(seen) if window.issued < seen.issued => {
            Err(format!("rolled back: issued at {} after one of {} was seen", window.issued, seen.issued))
        }
        _ => Ok(()),
    }
}

fn newest(seen: Option<Window>, window: Window) -> Window {
    match seen {
        Some(seen) => {
            Window { issued: seen.issued.max(window.issued), number: seen.number.max(window.number), ..window }
        }
        None => window,
    }
}

fn refresh_at(window: &Window) -> u64 {
    let lifetime = window.expires.saturating_sub(window.issued);
    window.expires - (lifetime / 5).min(REFRESH_AHEAD_S)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poison| poison.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_and_roll_back() {
        let window = |issued, number| Window { issued, expires: 1000, number };
        assert!(usable(&window(10, 5), None, 10).is_ok());
        assert!(usable(&window(10, 5), None, 9).unwrap_err().contains("after now"));
        assert!(usable(&window(10, 5), None, 1000).unwrap_err().contains("expired"));
        assert!(usable(&window(10, 4), Some(window(10, 5)), 20).unwrap_err().contains("number 4"));
        assert!(usable(&window(9, 5), Some(window(10, 5)), 20).unwrap_err().contains("issued at 9"));
        assert!(usable(&window(10, 5), Some(window(10, 5)), 20).is_ok());
        assert_eq!(refresh_at(&window(0, 0)), 800);
    }
}
