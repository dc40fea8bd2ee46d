//! Policies, verdicts, verifiers, evidence.

pub mod evidence;
pub mod policy;
pub mod verdict;
pub mod verifier;
pub mod verify;
