//! The store: what is known of each document from each source, and the search for those that a judgement needs. May touch the disk, and the network by
//! the way that it is given.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::try_join_all;
use rustls::ClientConfig;
use tokio::time::Instant;

use super::basis::Basis;
use super::disk::Disk;
use super::invalid;
use super::kept_document::{DocumentSource, KeptDocument};
use super::news::News;
use super::search::Search;
use super::service::Service;
use super::service_route::ServiceRoute;
use super::slot::DocumentSlot;
use super::vendor::{Authority, module};
use crate::attest::{DocumentId, Documents, Need, Policy, TrustAnchors, Vendor};
use crate::error::Result;
use crate::io::offload::offload;
use crate::io::sync::lock;
use crate::log;

/// How long a connection waits for the disk. A slow one is no reason to refuse a server: what is being written then goes on.
const DISK_WAIT: Duration = Duration::from_secs(1);
/// How many documents there may be places for before those of which nothing is kept are removed.
const PLACES: usize = 1024;
/// The same for documents that unauthenticated evidence chooses, so that strangers do not fill the memory with what there is not.
const CHOSEN_PLACES: usize = 256;

/// The vendors' documents that are at hand, shared by the connections of one client, and the way to more of them.
pub struct Store {
    /// What documents must be signed by.
    anchors: TrustAnchors,
    /// With the roots of HTTPS services.
    pub(super) tls: Arc<ClientConfig>,
    /// The way to collateral services; that of the connection where there is none.
    pub(super) way: Option<Arc<dyn ServiceRoute>>,
    disk: Option<Arc<Disk>>,
    places: Mutex<HashMap<DocumentId, Vec<Arc<DocumentSlot>>>>,
    services: Mutex<HashMap<String, Arc<Service>>>,
    news: Arc<News>,
}

impl Store {
    pub fn new(anchors: TrustAnchors, tls: Arc<ClientConfig>) -> Store {
        let (places, services, news) = (Mutex::default(), Mutex::default(), Arc::default());
        Store { anchors, tls, way: None, disk: None, places, services, news }
    }

    /// Asks services by this way, whatever that of a connection is.
    pub fn by_way(mut self, way: Arc<dyn ServiceRoute>) -> Store {
        self.way = Some(way);
        self
    }

    /// Takes what `folder` holds, and keeps there what is fetched.
    pub fn with_disk(mut self, folder: &Path) -> Result<Store> {
        let disk = Disk::open(folder)?;
        for (id, object) in disk.load()? {
            // Even expired it still records what was seen.
            let by = self.authority(id.vendor);
            match module(id.vendor).authenticate(&id, &object, by, object.window.issued) {
                Ok(()) => drop(self.place(&id, &object.source).keep(&Arc::new(object))),
                Err(why) => log::emit(log::WARNING, || format!("collateral: {id}: skipped: {why}")),
            }
        }
        self.disk = Some(Arc::new(disk));
        Ok(self)
    }

    /// The documents that are needed, as they hold at `now`, and what to watch of them. `way` is the connection's; without one no service is asked.
    /// Errors: CollateralUnavailable, CollateralInvalid.
    pub async fn find(
        &self,
        needs: &[Need],
        policy: &Policy,
        way: Option<&dyn ServiceRoute>,
        now: u64,
    ) -> Result<(Documents, Basis)> {
        let seen = self.news.count();
        let search = Search { store: self, policy, way, now, begun: Instant::now() };
        let ids = needs.iter().filter(|need| need.required).map(|need| &need.document);
        let (lists, others): (Vec<_>, Vec<_>) = ids.partition(|id| module(id.vendor).revoked_by(id).is_none());
        // First who was revoked: what such a signer signed is no document, and another source may have a good one.
        let mut found = try_join_all(lists.into_iter().map(|id| search.with_id(id, None))).await?;
        let of_others = try_join_all(others.into_iter().map(|id| search.with_id(id, Some(&found)))).await?;
        found.extend(of_others);
        let kept = Search { way: None, ..search };
        for need in needs.iter().filter(|need| !need.required) {
            found.extend(kept.with_id(&need.document, None).await.ok());
        }
        let basis = Basis::of(seen, &found, |id, object| kept.look_again(id, object));
        let mut documents = Documents::none();
        for (id, object) in found {
            let document = object.document(|| module(id.vendor).document(&id, &object)).map_err(invalid)?;
            documents.add(id, document);
        }
        Ok((documents, basis))
    }

    /// Counts changes of what is kept.
    pub fn news(&self) -> &News {
        &self.news
    }

    /// What a search for these needs may take on the word of evidence that is not authenticated yet. Dropped unsettled, that is forgotten.
    pub fn on_trial(&self, needs: &[Need]) -> OnTrial<'_> {
        let ids = needs.iter().map(|need| &need.document);
        let is_chosen = |id: &&DocumentId| module(id.vendor).is_chosen_by_evidence(id);
        let is_kept = |id: &DocumentId| self.places(id).iter().any(|place| !place.is_empty());
        OnTrial { store: self, ids: ids.filter(is_chosen).filter(|id| !is_kept(id)).cloned().collect() }
    }

    pub(super) fn authority(&self, vendor: Vendor) -> Authority<'_> {
        Authority { root: self.anchors.of(vendor), revoked: None }
    }

    /// What is kept, by name.
    pub(super) fn ids(&self) -> Vec<DocumentId> {
        lock(&self.places).keys().cloned().collect()
    }

    pub(super) fn places(&self, id: &DocumentId) -> Vec<Arc<DocumentSlot>> {
        lock(&self.places).get(id).cloned().unwrap_or_default()
    }

    pub(super) fn place(&self, id: &DocumentId, source: &DocumentSource) -> Arc<DocumentSlot> {
        let mut all = lock(&self.places);
        if !all.contains_key(id) {
            make_room(&mut all, id);
        }
        let places = all.entry(id.clone()).or_default();
        if let Some(place) = places.iter().find(|place| place.source == *source) {
            return place.clone();
        }
        let place = Arc::new(DocumentSlot::new(source.clone(), self.news.clone()));
        places.push(place.clone());
        place
    }

    pub(super) fn service(&self, base: &str) -> Arc<Service> {
        lock(&self.services).entry(base.to_owned()).or_default().clone()
    }

    /// On a thread that may wait. Failing to is no reason to refuse a server: it is logged.
    pub(super) async fn keep_on_disk(&self, id: &DocumentId, place: &Arc<DocumentSlot>, object: &Arc<KeptDocument>) {
        let Some(disk) = self.disk.clone() else { return };
        let (id, place, object) = (id.clone(), place.clone(), object.clone());
        let root = self.authority(id.vendor).root.to_vec();
        let work = move || write(&disk, &root, &id, &place, &object);
        match tokio::time::timeout(DISK_WAIT, offload(work)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => log::emit(log::WARNING, || format!("collateral: not kept on disk: {error}")),
            Err(_) => log::emit(log::WARNING, || "collateral: the disk is slow; not waiting for it".into()),
        }
    }

    /// As `keep_on_disk`, on this thread.
    pub(super) fn write_to_disk(&self, id: &DocumentId, place: &DocumentSlot, object: &KeptDocument) {
        if let Some(disk) = &self.disk {
            write(disk, self.authority(id.vendor).root, id, place, object);
        }
    }
}

/// Documents stay only of genuine platforms, but sources may have nothing for some of them.
fn make_room(all: &mut HashMap<DocumentId, Vec<Arc<DocumentSlot>>>, id: &DocumentId) {
    let is_chosen = |id: &DocumentId| module(id.vendor).is_chosen_by_evidence(id);
    let is_of_use =
        |places: &[Arc<DocumentSlot>]| places.iter().any(|place| Arc::strong_count(place) > 1 || !place.is_empty());
    if all.len() >= PLACES {
        all.retain(|_, places| is_of_use(places));
    }
    let is_empty = |(id, places): &(&DocumentId, &Vec<_>)| is_chosen(id) && !is_of_use(places);
    if is_chosen(id) && all.iter().filter(is_empty).count() >= CHOSEN_PLACES {
        all.retain(|id, places| !is_chosen(id) || is_of_use(places));
    }
}

/// Documents that unauthenticated evidence has chosen.
pub struct OnTrial<'a> {
    store: &'a Store,
    ids: Vec<DocumentId>,
}

impl OnTrial<'_> {
    /// The evidence was authentic: they stay.
    pub async fn settle(mut self) {
        for id in std::mem::take(&mut self.ids) {
            for place in self.store.places(&id) {
                if let Some(object) = place.newest() {
                    self.store.keep_on_disk(&id, &place, &object).await;
                }
            }
        }
    }
}

impl Drop for OnTrial<'_> {
    fn drop(&mut self) {
        self.ids.iter().flat_map(|id| self.store.places(id)).for_each(|place| place.forget());
    }
}

/// Writes a document, or takes the newer one that another process has left.
fn write(disk: &Disk, root: &[u8], id: &DocumentId, place: &DocumentSlot, object: &KeptDocument) {
    let by = Authority { root, revoked: None };
    let is_authentic =
        |there: &KeptDocument| module(id.vendor).authenticate(id, there, by, there.window.issued).is_ok();
    match disk.keep(id, object, is_authentic) {
        Ok(None) => {}
        Ok(Some(newer)) => _ = place.keep(&Arc::new(newer)),
        Err(error) => {
            log::emit(log::WARNING, || format!("collateral: {id}: not kept on disk: {error}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::{Trust, client_config};

    #[test]
    fn strangers_do_not_fill_the_memory_with_chips() {
        let store = Store::new(TrustAnchors::default(), client_config(&Trust::default()).unwrap());
        let source = DocumentSource::Service("https://kds.example".into());
        let place = |name: &str| store.place(&crate::collateral::vendor::from_name(name).unwrap(), &source);
        let chip = |number: u64| format!("amd/leaf/Milan/{number:0128x}/0000000000000000");
        drop(place("root_crl"));
        let in_use = place(&chip(0));
        for number in 1..3 * CHOSEN_PLACES as u64 {
            drop(place(&chip(number)));
            assert!(store.ids().len() <= CHOSEN_PLACES + 2);
        }
        assert!(Arc::ptr_eq(&in_use, &place(&chip(0))), "whoever waits for an answer still shares it");
        assert!(store.ids().iter().any(|id| id.kind == "root_crl"), "other documents are not those of strangers");
    }
}
