//! A simulated SGX enclave that proves itself as the client in a session of exporter-v1, with every field of its report free to be bent before it is signed.

use simtee::SimTee;
use simtee::collateral::Issue;
use simtee::sgx::Enclave;

use super::offline::{Question, Session, now};
use super::snp_guest::{binder_of, server};

/// What the binder has of the kind.
pub const CODE: [u8; 2] = [0, 3];

/// The truth about an enclave that `change` has bent; the policy is about the one that it was before.
pub fn question(tee: &SimTee, change: impl FnOnce(&mut Enclave)) -> Question {
    let mut enclave = Enclave::new();
    let policy = enclave.policy("");
    change(&mut enclave);
    Question {
        quote: enclave.quote(tee, &binder_of(CODE)),
        log: None,
        stored: None,
        collateral: tee.sgx_collateral_json(&Issue::default()),
        policy,
        root: Some(tee.root_der.clone()),
        session: Session::Client { server_leaf: server().to_vec(), client_leaf: Vec::new() },
        now: now(),
    }
}
