//! Policies, verdicts, verifiers, evidence.

pub mod binder;
pub mod evidence;
pub mod host_evidence;
pub mod policy;
pub mod verdict;
pub mod verifier;
pub mod verify;
