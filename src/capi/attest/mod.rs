//! Policies, verdicts, verifiers, evidence.

pub mod binder;
pub mod ear;
pub mod evidence;
pub mod host_evidence;
mod nsm_device;
pub mod policy;
pub mod verdict;
pub mod verifier;
pub mod verify;
