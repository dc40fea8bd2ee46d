//! Judging evidence: the pure heart of the library.
//!
//! [`appraise`] turns (evidence, collateral, policy, expected binding, time) into a [`Verdict`] with one line per check. In this
//! folder there is no I/O, no clock and no thread; the one piece of shared memory is `tdx::crypto`'s bounded set of signatures
//! known to be good, which can change how long an answer takes but never what it is.
//! Terms follow RFC 9334: evidence, endorsements (here: collateral), reference values (the policy), appraisal.

mod appraise;
mod binding;
pub mod challenge;
pub mod collateral;
pub mod dstack;
mod evidence;
mod fault;
pub mod hash;
mod json;
pub mod policy;
pub mod tdx;

pub use appraise::{Request, TrustAnchors, appraise, refuse, refuse_unbound};
pub use binding::{Binding, EXPORTER_LABEL, EXPORTER_LENGTH, EXPORTER_V1_LABEL, Exporter, Protocol, Role, report_data};
pub use challenge::Challenge;
pub use collateral::Collateral;
pub use evidence::Evidence;
pub use fault::{Fault, Result};
pub use policy::Policy;
