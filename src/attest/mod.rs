//! Judging evidence: the pure heart of the library. Pure.
//!
//! [`appraise`] turns (evidence, documents, policy, expected binding, time) into a verdict with one line per check. What each kind of TEE brings to that
//! is a [`Family`], in a folder of its own; the rest is the same for all. In this room there is no I/O, no clock and no thread; the one piece of shared
//! memory is `remembering`'s bounded sets of what is known to be good, which can change how long an answer takes but never what it is. Terms follow
//! RFC 9334: evidence, endorsements (here: documents, or collateral), reference values (the policy), appraisal.

mod anchors;
mod appraise;
mod attached;
pub mod azure;
mod bare_tdx;
mod binding;
pub mod ccel;
mod chains;
pub mod challenge;
pub mod convert;
pub mod dcap;
mod documents;
mod draft;
pub mod dstack;
pub mod ear;
mod evidence;
mod family;
mod fault;
mod findings;
pub mod hash;
mod json;
mod lines;
mod measure;
pub mod nitro;
pub mod nvidia;
mod offline;
pub mod policy;
mod ra_tls;
pub(crate) mod remembering;
pub mod sgx;
pub mod snp;
pub mod tdx;
mod tee;
#[cfg(test)]
mod toy;
pub mod tpm;

pub use anchors::{TrustAnchors, Vendor};
pub use appraise::{AppraisalRequest, appraise, is_bound, needs, refuse_unbound};
pub use binding::{
    Binding, EXPORTER_LABEL, EXPORTER_LENGTH, EXPORTER_V1_LABEL, Exporter, Protocol, ProvingSide, public_key,
    report_data,
};
pub use challenge::Challenge;
pub use documents::{Document, DocumentId, Documents};
pub use draft::draft;
pub use evidence::{Evidence, MAX_ATTACHED, MAX_DEVICES, Part};
pub use family::{Family, Need, Question};
pub use fault::{Fault, Result};
pub use measure::policy as measuring_policy;
pub use offline::OfflineRequest;
pub use policy::{Policy, Reattest};
pub use ra_tls::{RaTlsCertificate, RaTlsFormat, RaTlsRules};
pub use tee::Tee;
