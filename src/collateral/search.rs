//! The search for one document: what is kept first, and then the policy's sources in turn, until one has a document that is authentic and holds.
//! Touches the network and the clock.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::kept_document::{DocumentSource, KeptDocument};
use super::service_route::ServiceRoute;
use super::slot::DocumentSlot;
use super::store::Store;
use super::vendor::{Authority, module};
use super::{fetch, invalid, step, unavailable, whom};
use crate::attest::{DocumentId, Policy};
use crate::error::{Error, Result, Status};
use crate::log;

/// Refresh ahead of expiry by this much, or a fifth of the lifetime where that is less.
const REFRESH_AHEAD_S: u64 = 6 * 3600;
/// After a refresh ahead of time failed, use what is still valid for this long before trying again.
const REFRESH_BACKOFF: Duration = Duration::from_secs(60);

/// One appraisal's search.
pub struct Search<'a> {
    pub store: &'a Store,
    pub policy: &'a Policy,
    /// Without one nobody is asked, as if the policy said offline.
    pub way: Option<&'a dyn ServiceRoute>,
    /// Unix seconds.
    pub now: u64,
    /// What was answered since counts as an answer to this one.
    pub begun: Instant,
}

impl Search<'_> {
    /// The document, with its name. `lists` is what was found of revocation lists, for all others.
    pub async fn with_id(
        &self,
        id: &DocumentId,
        lists: Option<&Vec<(DocumentId, Arc<KeptDocument>)>>,
    ) -> Result<(DocumentId, Arc<KeptDocument>)> {
        let by = module(id.vendor).revoked_by(id);
        let known = by.as_ref().and_then(|by| lists?.iter().find(|(known, _)| known == by));
        let list = match (by, known) {
            (_, Some((_, list))) => Some(list.clone()),
            (Some(by), None) => Some(self.object(&by, None).await?),
            (None, None) => None,
        };
        Ok((id.clone(), self.object(id, list.as_deref()).await?))
    }

    /// `root_crl` is what was found for that list, for all others.
    async fn object(&self, id: &DocumentId, root_crl: Option<&KeptDocument>) -> Result<Arc<KeptDocument>> {
        let policy = self.policy;
        let way = self.way.filter(|_| !policy.collateral_offline);
        if self.is_cached(id) || way.is_none() {
            let settled = |(_, object): &(Arc<DocumentSlot>, Arc<KeptDocument>)| {
                way.is_none() || self.now < refresh_at(id, object) || self.is_backing_off(id)
            };
            if let Some((place, object)) = self.kept(id, root_crl).filter(settled) {
                step(place.source.name(), || format!("{}: kept, issued at {}", id, object.window.issued));
                return Ok(object);
            }
        }
        let Some(way) = way else {
            let why = "not in the verifier's store (or past its date, or of another policy's source), and the policy says offline";
            return Err(unavailable(format!("{}: {why}", id)));
        };
        let mut failures = Vec::new();
        for base in policy.sources(id.vendor) {
            // Boxed: a connection's memory should not have the shape of its rarest moment.
            let asked = Box::pin(self.ask(id, base, way, root_crl)).await;
            match asked.and_then(|object| self.or_newer(id, object, root_crl)) {
                Ok(object) => {
                    if self.now >= refresh_at(id, &object) {
                        // The source has nothing newer yet.
                        self.store.place(id, &object.source).back_off(REFRESH_BACKOFF);
                    }
                    return Ok(object);
                }
                Err(error) => {
                    log::emit(log::WARNING, || format!("collateral: {}: {}: {}", whom(base), id, log::reason(&error)));
                    failures.push((base, error));
                }
            }
        }
        self.fall_back(id, root_crl, failures)
    }

    /// When a judgement by this document must be looked at again: once it is due to be refreshed, and from then on now and then until it ends, as it does
    /// by its own date or the policy's.
    pub fn look_again(&self, id: &DocumentId, object: &KeptDocument) -> u64 {
        let aged = self.policy.collateral_max_age_s.filter(|_| !module(id.vendor).is_immutable(id));
        let aged = aged.map_or(u64::MAX, |limit| object.fetched.saturating_add(limit).saturating_add(1));
        let end = object.window.expires.min(aged);
        let refresh = refresh_at(id, object).min(end);
        if self.now < refresh { refresh } else { end.min(self.now + REFRESH_BACKOFF.as_secs()) }
    }

    /// Whether what is kept is used instead of asking each time.
    fn is_cached(&self, id: &DocumentId) -> bool {
        self.policy.cache_collateral || module(id.vendor).is_cached()
    }

    /// No source had anything.
    fn fall_back(
        &self,
        id: &DocumentId,
        root_crl: Option<&KeptDocument>,
        failures: Vec<(&String, Error)>,
    ) -> Result<Arc<KeptDocument>> {
        let kept = self.kept(id, root_crl).filter(|_| self.is_cached(id));
        let Some((place, object)) = kept else { return Err(all_failed(id, failures)) };
        log::emit(log::WARNING, || format!("collateral: {}: no source refreshed it, what is kept still holds", id));
        place.back_off(REFRESH_BACKOFF);
        Ok(object)
    }

    /// The newest document at hand, if it may be used now.
    fn kept(&self, id: &DocumentId, root_crl: Option<&KeptDocument>) -> Option<(Arc<DocumentSlot>, Arc<KeptDocument>)> {
        let seen = self.seen(id);
        let is_newest =
            |object: &KeptDocument| !seen.iter().any(|(_, other)| object.window.is_older_than(&other.window));
        let is_usable = |(place, object): &&(Arc<DocumentSlot>, Arc<KeptDocument>)| {
            is_newest(object) && self.may_be_used(id, place, object, root_crl)
        };
        seen.iter().find(is_usable).cloned()
    }

    /// The newest of each source that counts, past its date or not.
    fn seen(&self, id: &DocumentId) -> Vec<(Arc<DocumentSlot>, Arc<KeptDocument>)> {
        let places = self.store.places(id).into_iter().filter(|place| self.counts(id, &place.source));
        places.filter_map(|place| place.newest().map(|object| (place, object))).collect()
    }

    fn is_backing_off(&self, id: &DocumentId) -> bool {
        self.store.places(id).iter().any(|place| self.counts(id, &place.source) && place.is_backing_off())
    }

    fn may_be_used(
        &self,
        id: &DocumentId,
        place: &DocumentSlot,
        object: &KeptDocument,
        root_crl: Option<&KeptDocument>,
    ) -> bool {
        // Only a wrong clock, or a wrong file, has it fetched in the future.
        let is_young = |limit: u64| self.now.checked_sub(object.fetched).is_some_and(|age| age <= limit);
        let is_fresh = module(id.vendor).is_immutable(id) || self.policy.collateral_max_age_s.is_none_or(is_young);
        if object.window.check(self.now).is_err() || !is_fresh {
            return false;
        }
        let Some(list) = root_crl.map(|list| list.digests()[0]) else { return true };
        if place.was_held_against(object, &list) {
            return true;
        }
        match module(id.vendor).authenticate(id, object, self.authority(id, root_crl), self.now) {
            Ok(()) => place.mark_held_against(object, list),
            Err(why) => {
                step(place.source.name(), || format!("{} that is kept: {why}", id));
                return false;
            }
        }
        true
    }

    /// Whether what a source said counts under this policy.
    fn counts(&self, id: &DocumentId, source: &DocumentSource) -> bool {
        match source {
            DocumentSource::Bundle => true,
            DocumentSource::Service(base) => {
                !self.policy.names_sources(id.vendor) || self.policy.sources(id.vendor).contains(base)
            }
        }
    }

    /// Never a document older than one that was seen: the newer one is used instead, if it is still valid. An honest mirror may lag behind another.
    fn or_newer(
        &self,
        id: &DocumentId,
        object: Arc<KeptDocument>,
        root_crl: Option<&KeptDocument>,
    ) -> Result<Arc<KeptDocument>> {
        let seen = self.seen(id);
        let Some((_, seen)) = seen.iter().find(|(_, seen)| object.window.is_older_than(&seen.window)) else {
            return Ok(object);
        };
        if let Some((_, kept)) = self.kept(id, root_crl) {
            step(object.source.name(), || format!("{}: older than what is kept, which is used", id));
            return Ok(kept);
        }
        let (old, new) = (object.window, seen.window);
        Err(invalid(format!(
            "rolled back, or behind: number {} issued at {}, after number {} issued at {} was seen",
            old.number, old.issued, new.number, new.issued
        )))
    }

    /// One source's document: authentic, and it holds now.
    async fn ask(
        &self,
        id: &DocumentId,
        base: &str,
        way: &dyn ServiceRoute,
        root_crl: Option<&KeptDocument>,
    ) -> Result<Arc<KeptDocument>> {
        let store = self.store;
        let place = store.place(id, &DocumentSource::Service(base.to_owned()));
        let way = store.way.as_deref().unwrap_or(way);
        let one_at_a_time = place.fetching.lock().await;
        if let Some(done) = place.answer_since(self.begun, &way.name()) {
            step(base, || format!("{}: asked already", id));
            return done;
        }
        let service = store.service(base);
        let is_chosen = module(id.vendor).is_chosen_by_evidence(id);
        let _alone = match is_chosen {
            true => Some(service.turn_alone().await?),
            false => service.turn().await.map(|()| None)?,
        };
        step(base, || format!("asking for {}", id));
        let (done, is_answer) = match fetch::fetch(base, id, (way, &store.tls), self.now).await {
            Ok(object) => (self.check(id, object, root_crl), true),
            Err(failure) => {
                failure.rest.into_iter().for_each(|time| service.rest(time));
                (Err(failure.error), failure.is_answer && failure.rest.is_none())
            }
        };
        let taken = done.as_ref().is_ok_and(|object| place.keep(object));
        place.answered(&done, (!is_answer).then(|| way.name()));
        // Nobody else waits for the disk.
        drop(one_at_a_time);
        if let (Ok(object), true) = (&done, taken) {
            step(base, || format!("{}: taken, {} bytes", id, object.body.len()));
        }
        if let (Ok(object), true) = (&done, taken && !is_chosen) {
            store.keep_on_disk(id, &place, object).await;
        }
        done
    }

    fn check(
        &self,
        id: &DocumentId,
        object: KeptDocument,
        root_crl: Option<&KeptDocument>,
    ) -> Result<Arc<KeptDocument>> {
        let holds = object.window.check(self.now);
        holds
            .and_then(|()| module(id.vendor).authenticate(id, &object, self.authority(id, root_crl), self.now))
            .map_err(invalid)?;
        Ok(Arc::new(object))
    }

    fn authority<'a>(&'a self, id: &DocumentId, root_crl: Option<&'a KeptDocument>) -> Authority<'a> {
        Authority { revoked: root_crl.map(|list| &list.body[..]), ..self.store.authority(id.vendor) }
    }
}

/// One error for all sources, each with what was wrong with it. As long as one could not be asked, asking again may help.
fn all_failed(id: &DocumentId, failures: Vec<(&String, Error)>) -> Error {
    let text =
        |(base, error): &(&String, Error)| format!("{}: {error}", DocumentSource::Service((*base).clone()).shown());
    let texts: Vec<_> = failures.iter().map(text).collect();
    let unreachable = failures.iter().find(|(_, error)| error.status == Status::CollateralUnavailable);
    let Some((_, worst)) = unreachable.or(failures.first()) else {
        return unavailable("no source is configured".into());
    };
    Error { message: format!("collateral {}: {}", id, texts.join("; ")), ..worst.clone() }
}

/// When to look for a newer one: of a document that never changes there is none.
fn refresh_at(id: &DocumentId, object: &KeptDocument) -> u64 {
    let window = &object.window;
    if module(id.vendor).is_immutable(id) {
        return window.expires;
    }
    let lifetime = window.expires.saturating_sub(window.issued);
    window.expires - (lifetime / 5).min(REFRESH_AHEAD_S)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attest::dcap::DocumentKind;

    #[test]
    fn an_error_names_sources_without_the_keys_in_their_paths() {
        let (one, other) = ("https://p.example/key-1".to_owned(), "http://q.example:8081/key-2".to_owned());
        let failures = vec![(&one, invalid("bad".into())), (&other, unavailable("status 500".into()))];
        let error = all_failed(&DocumentKind::RootCrl.id(""), failures);
        let message = "collateral root_crl: https://p.example: bad; http://q.example:8081: status 500";
        assert_eq!((error.message.as_str(), error.status), (message, Status::CollateralUnavailable));
    }
}
