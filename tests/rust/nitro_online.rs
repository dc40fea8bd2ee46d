//! Servers in Nitro enclaves, and on instances with a NitroTPM, asked by exporter-v1: true ones, and ones that lie.

#![allow(unsafe_code)] // It is a client of the C ABI.

mod support;

use std::ptr::null_mut;
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hostile::Session;
use serde_json::{Value, json};
use simtee::nitro::{Aws, Document};
use support::abi::*;
use support::offline::now;
use support::{Refusal, World, echo};

/// What a server says: the document before it is signed, and the answer around it.
type Lie = Arc<Mutex<dyn FnMut(&Session, &mut Document, &mut Value) + Send>>;

/// A server in an enclave.
struct Nitro {
    world: World,
    verifier: *mut atls_verifier,
    policy: Value,
}

impl Drop for Nitro {
    fn drop(&mut self) {
        unsafe { atls_verifier_free(self.verifier) };
    }
}

impl Nitro {
    fn lying(change: impl FnMut(&Session, &mut Document, &mut Value) + Send + 'static) -> Nitro {
        let change: Lie = Arc::new(Mutex::new(change));
        let enclave = Aws::get().enclave(now() - 60, now() + 3600);
        let world = World::lying(move |session| {
            let mut document = enclave.document(now(), &session.binder().report_data_of([0, 4]));
            let mut answer = json!({"protocol": "exporter-v1", "role": "S", "tee": "nitro", "challenge": null});
            (change.lock().unwrap())(session, &mut document, &mut answer);
            answer["evidence"] = json!({"document": STANDARD.encode(enclave.sign(&document))});
            answer.to_string().into_bytes()
        });
        let policy = json!({"type": "nitro", "pcrs": {"0": ["01".repeat(48)]}, "allow_simulated": true});
        Nitro { world, verifier: verifier(), policy }
    }

    fn connect(&self, policy: &Value) -> Result<support::Stream, Refusal> {
        support::open(self.world.server.port(), policy, self.verifier, |config| {
            support::add_root(config, &self.world.tee.web_ca_pem);
        })
    }

    #[track_caller]
    fn refused(&self, status: &str, check: &str) {
        let refusal = self.connect(&self.policy).err().expect("a refusal");
        assert_eq!((refusal.name.as_str(), refusal.check.as_str()), (status, check), "{refusal:?}");
        let sent = self.world.server.application_bytes.load(std::sync::atomic::Ordering::SeqCst);
        assert_eq!(sent, 0, "application data was sent");
    }
}

fn verifier() -> *mut atls_verifier {
    let root = &Aws::get().root_pem;
    let root = atls_bytes { ptr: root.as_ptr(), len: root.len() };
    unsafe {
        let (mut config, mut verifier) = (null_mut(), null_mut());
        assert_eq!(atls_verifier_config_new(&mut config, null_mut()), 0);
        assert_eq!(atls_verifier_config_add_simulated_root(config, c"aws".as_ptr(), root, null_mut()), 0);
        assert_eq!(atls_verifier_new(config, &mut verifier, null_mut()), 0);
        atls_verifier_config_free(config);
        verifier
    }
}

#[test]
fn an_enclave_is_trusted_and_nobody_else_asked() {
    let nitro = Nitro::lying(|_, _, _| ());
    let stream = nitro.connect(&nitro.policy).unwrap_or_else(|refusal| panic!("{refusal:?}"));
    echo(&stream, b"to the enclave");
    // One of several kinds that would do; the verifier names them in its order of preference.
    let tdx = json!({"type": "dstack_tdx", "disable_runtime_verification": true});
    let nitro_member = json!({"type": "nitro", "pcrs": {"0": ["01".repeat(48)]}});
    let both = json!({"any_of": [tdx, nitro_member], "allow_simulated": true});
    let stream = nitro.connect(&both).unwrap_or_else(|refusal| panic!("{refusal:?}"));
    echo(&stream, b"to the enclave");
}

#[test]
fn a_document_of_another_session() {
    let first = Arc::new(Mutex::new(None::<Vec<u8>>));
    let nitro = Nitro::lying(move |_, document, _| {
        let mut first = first.lock().unwrap();
        match &*first {
            Some(nonce) => document.nonce = Some(nonce.clone()),
            None => *first = document.nonce.clone(),
        }
    });
    drop(nitro.connect(&nitro.policy).unwrap_or_else(|refusal| panic!("{refusal:?}")));
    nitro.world.server.application_bytes.store(0, std::sync::atomic::Ordering::SeqCst);
    nitro.refused("BINDING_MISMATCH", "report_data");
}

#[test]
fn lies_are_noticed_before_data_is_sent() {
    let of_tdx = |session: &Session, document: &mut Document, _: &mut Value| {
        document.nonce = Some(session.binder().report_data_of([0, 1]).to_vec());
    };
    Nitro::lying(of_tdx).refused("BINDING_MISMATCH", "report_data");
    Nitro::lying(|_, document, _| document.user_data = Some(vec![1])).refused("BINDING_MISMATCH", "report_data");
    Nitro::lying(|_, document, _| document.public_key = Some(vec![1])).refused("BINDING_MISMATCH", "public_key");
    Nitro::lying(|_, document, _| document.timestamp -= 400_000).refused("BINDING_MISMATCH", "timestamp");
    Nitro::lying(|_, document, _| document.pcrs[0].1[0] ^= 1).refused("MEASUREMENT_MISMATCH", "pcr:0");
    Nitro::lying(|_, document, _| document.cabundle.swap(1, 2)).refused("QUOTE_INVALID", "chain");
    // Under another kind's name, and a kind that was not asked for.
    Nitro::lying(|_, _, answer| answer["tee"] = "snp".into()).refused("EVIDENCE_INVALID", "");
    Nitro::lying(|_, _, answer| answer["tee"] = "tdx".into()).refused("EVIDENCE_INVALID", "");
}

#[test]
fn an_instance_with_a_nitro_tpm() {
    let instance = |code: [u8; 2]| {
        let enclave = Aws::get().enclave(now() - 60, now() + 3600);
        let world = World::lying(move |session| {
            let document = enclave.tpm_document(now(), &session.binder().report_data_of(code));
            let evidence = json!({"document": STANDARD.encode(enclave.sign(&document))});
            let answer = json!({"protocol": "exporter-v1", "role": "S", "tee": "nitro_tpm", "evidence": evidence});
            answer.to_string().into_bytes()
        });
        let pcrs = json!({"4": ["05".repeat(48)], "7": ["08".repeat(48)], "12": ["00".repeat(48)]});
        Nitro {
            world,
            verifier: verifier(),
            policy: json!({"type": "nitro_tpm", "pcrs": pcrs, "allow_simulated": true}),
        }
    };
    let honest = instance([0, 5]);
    let stream = honest.connect(&honest.policy).unwrap_or_else(|refusal| panic!("{refusal:?}"));
    echo(&stream, b"to the instance");
    instance([0, 4]).refused("BINDING_MISMATCH", "report_data");
}
