//! The collateral service: finds the vendor's documents for a quote, keeps them for the connections that share it, and never
//! serves one past its own date. Transport is untrusted: every document is signed, which is checked before it is
//! kept, and by appraisal again on each use. May touch the network and the disk; the time comes from the caller.

mod bundle;
mod disk;
mod fetch;
mod object;
mod search;
mod service;
mod shelf;
mod way;

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use dcap_qvl::QuoteCollateralV3;
use rustls::ClientConfig;
use tokio::time::Instant;

use crate::attest::collateral::Document;
use crate::attest::tdx::{PlatformId, Vendor};
use crate::attest::{Collateral, Policy, TrustAnchors, tdx};
use crate::error::{Error, Phase, Result, Status};
use crate::io::offload::offload;
use crate::log;
use disk::Disk;
use object::{Key, Object, Signed, Source};
use search::Search;
use service::Service;
use shelf::Place;
pub use way::{WayOut, Wire};

/// How long a connection waits for the disk. A slow one is no reason to refuse a server: what is being written then goes on.
const DISK_WAIT: Duration = Duration::from_secs(1);
/// How many places there may be before those without a document are removed.
const SHELVES: usize = 1024;

/// Shared by the connections of one client: documents, trust anchors, and the roots of HTTPS collateral services.
pub struct Verifier {
    pub anchors: TrustAnchors,
    tls: Arc<ClientConfig>,
    /// The way to collateral services; that of the connection where there is none.
    way: Option<Arc<dyn WayOut>>,
    disk: Option<Arc<Disk>>,
    shelves: Mutex<HashMap<Key, Vec<Arc<Place>>>>,
    services: Mutex<HashMap<String, Arc<Service>>>,
}

impl Verifier {
    pub fn new(anchors: TrustAnchors, tls: Arc<ClientConfig>) -> Verifier {
        Verifier { anchors, tls, way: None, disk: None, shelves: Mutex::default(), services: Mutex::default() }
    }

    /// Asks services by this way, whatever that of a connection is.
    pub fn by_way(mut self, way: Arc<dyn WayOut>) -> Verifier {
        self.way = Some(way);
        self
    }

    /// Takes what `folder` holds, and keeps there what is fetched.
    pub fn with_disk(mut self, folder: &Path) -> Result<Verifier> {
        let disk = Disk::open(folder)?;
        for (key, object) in disk.load()? {
            // Even expired it still records what was seen.
            match key.authenticate(&object, &self.vendor(), object.window.issued) {
                Ok(()) => drop(self.place(&key, &object.source).keep(&Arc::new(object))),
                Err(why) => log::emit(log::WARNING, || format!("collateral: {}: skipped: {why}", key.name())),
            }
        }
        self.disk = Some(Arc::new(disk));
        Ok(self)
    }

    /// Everything that a quote of `platform` needs at `now`. `way` is the connection's; without one no service is asked. Errors:
    /// CollateralUnavailable, CollateralInvalid.
    pub async fn find(
        &self,
        platform: &PlatformId,
        policy: &Policy,
        way: Option<&dyn WayOut>,
        now: u64,
    ) -> Result<Collateral> {
        let set = &policy.evaluation_set;
        let tcb = Key::TcbInfo { fmspc: platform.fmspc.clone(), set: set.clone() };
        let (qe, pck) = (Key::QeIdentity { set: set.clone() }, Key::PckCrl { ca: platform.ca.into() });
        let search = Search { verifier: self, policy, way, now, begun: Instant::now() };
        // First who was revoked: what such a signer signed is no document, and another source may have a good one.
        let root_crl = search.object(&Key::RootCrl, None).await?;
        let (tcb_info, qe_identity, pck_crl) = tokio::try_join!(
            search.object(&tcb, Some(&root_crl)),
            search.object(&qe, Some(&root_crl)),
            search.object(&pck, Some(&root_crl)),
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
        Ok(collateral
            .from_source(Document::RootCrl, root_crl.source.shown())
            .from_source(Document::PckCrl, pck_crl.source.shown())
            .from_source(Document::TcbInfo, tcb_info.source.shown())
            .from_source(Document::QeIdentity, qe_identity.source.shown()))
    }

    fn vendor(&self) -> Vendor<'_> {
        Vendor { root: self.anchors.simulated.as_deref().unwrap_or(tdx::INTEL_ROOT_DER), root_crl: None }
    }

    fn places(&self, key: &Key) -> Vec<Arc<Place>> {
        lock(&self.shelves).get(key).cloned().unwrap_or_default()
    }

    fn place(&self, key: &Key, source: &Source) -> Arc<Place> {
        let mut shelves = lock(&self.shelves);
        if shelves.len() >= SHELVES {
            // Only genuine platforms are looked up, but sources may have nothing for some of them.
            shelves.retain(|_, places| places.iter().any(|place| Arc::strong_count(place) > 1 || !place.is_empty()));
        }
        let places = shelves.entry(key.clone()).or_default();
        if let Some(place) = places.iter().find(|place| place.source == *source) {
            return place.clone();
        }
        let place = Arc::new(Place::new(source.clone()));
        places.push(place.clone());
        place
    }

    fn service(&self, base: &str) -> Arc<Service> {
        lock(&self.services).entry(base.to_owned()).or_default().clone()
    }

    /// On a thread that may wait. Failing to is no reason to refuse a server: it is logged.
    async fn keep_on_disk(&self, key: &Key, place: &Arc<Place>, object: &Arc<Object>) {
        let Some(disk) = self.disk.clone() else { return };
        let (key, place, object) = (key.clone(), place.clone(), object.clone());
        let root = self.vendor().root.to_vec();
        let work = move || write(&disk, &root, &key, &place, &object);
        match tokio::time::timeout(DISK_WAIT, offload(work)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => log::emit(log::WARNING, || format!("collateral: not kept on disk: {error}")),
            Err(_) => log::emit(log::WARNING, || "collateral: the disk is slow, not waited for".into()),
        }
    }

    /// As `keep_on_disk`, on this thread.
    fn write_to_disk(&self, key: &Key, place: &Place, object: &Object) {
        if let Some(disk) = &self.disk {
            write(disk, self.vendor().root, key, place, object);
        }
    }
}

/// Writes a document, or takes the newer one that another process has left.
fn write(disk: &Disk, root: &[u8], key: &Key, place: &Place, object: &Object) {
    let vendor = Vendor { root, root_crl: None };
    match disk.keep(key, object, |there| key.authenticate(there, &vendor, there.window.issued).is_ok()) {
        Ok(None) => {}
        Ok(Some(newer)) => _ = place.keep(&Arc::new(newer)),
        Err(error) => {
            log::emit(log::WARNING, || format!("collateral: {}: not kept on disk: {error}", key.name()));
        }
    }
}

/// Host and port of a service, for log lines.
fn whom(url: &str) -> String {
    let uri: Option<http::Uri> = url.parse().ok();
    match uri.as_ref().and_then(fetch::place) {
        Some((host, port)) => log::place(host, port),
        None => "bundle".into(),
    }
}

fn step(url: &str, what: impl FnOnce() -> String) {
    log::emit(log::DEBUG, || format!("collateral: {}: {}", whom(url), what()));
}

fn unavailable(why: String) -> Error {
    Error::new(Status::CollateralUnavailable, why).phase(Phase::Collateral)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poison| poison.into_inner())
}
