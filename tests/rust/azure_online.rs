//! Servers in Azure's virtual machines, asked by exporter-v1: true ones, and ones that lie.

#![allow(unsafe_code)] // It is a client of the C ABI.

mod support;

use std::ptr::null_mut;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use hostile::Session;
use serde_json::{Value, json};
use simtee::azure::{Microsoft, nonce};
use simtee::snp::{Amd, Product};
use support::abi::*;
use support::azure_machine::{BOTH, Hardware, Parts, measurement, policy};
use support::{Refusal, World, echo};

/// What a server says: what its evidence is made of, and the answer around it.
type Lie = Arc<Mutex<dyn FnMut(&Session, &mut Parts, &mut Value) + Send>>;

/// A server in a virtual machine.
struct Azure {
    world: World,
    verifier: *mut atls_verifier,
    policy: Value,
}

impl Drop for Azure {
    fn drop(&mut self) {
        unsafe { atls_verifier_free(self.verifier) };
    }
}

impl Azure {
    fn lying(hardware: Hardware, change: impl FnMut(&Session, &mut Parts, &mut Value) + Send + 'static) -> Azure {
        let change: Lie = Arc::new(Mutex::new(change));
        let world = World::lying(move |session| {
            let mut parts = Parts::new(&session.binder().report_data_of(hardware.code()));
            let mut answer = json!({"protocol": "exporter-v1", "role": "S", "tee": hardware.name(), "challenge": null});
            (change.lock().unwrap())(session, &mut parts, &mut answer);
            answer["evidence"] = parts.make(hardware, &session.tee).object();
            answer.to_string().into_bytes()
        });
        let mut policy = policy(hardware);
        match hardware {
            Hardware::Tdx => policy["pccs_url"] = world.pccs.url.clone().into(),
            Hardware::Snp => policy["snp"]["crl"] = "off".into(),
        }
        let verifier = verifier(&world.tee.root_pem);
        Azure { world, verifier, policy }
    }

    fn connect(&self) -> Result<support::Stream, Refusal> {
        support::open(self.world.server.port(), &self.policy, self.verifier, |config| {
            support::add_root(config, &self.world.tee.web_ca_pem);
        })
    }

    #[track_caller]
    fn trusted(&self) {
        echo(&self.connect().unwrap_or_else(|refusal| panic!("{refusal:?}")), b"to the machine");
        self.world.server.application_bytes.store(0, Ordering::SeqCst);
    }

    #[track_caller]
    fn refused(&self, status: &str, check: &str) {
        let refusal = self.connect().err().expect("a refusal");
        assert_eq!((refusal.name.as_str(), refusal.check.as_str()), (status, check), "{refusal:?}");
        assert_eq!(self.world.server.application_bytes.load(Ordering::SeqCst), 0, "application data was sent");
    }
}

fn verifier(intel: &str) -> *mut atls_verifier {
    let (microsoft, amd) = (&Microsoft::get().root_pem, Amd::of(Product::Genoa).roots_pem());
    unsafe {
        let (mut config, mut verifier) = (null_mut(), null_mut());
        assert_eq!(atls_verifier_config_new(&mut config, null_mut()), 0);
        for (vendor, pem) in [(c"microsoft", &**microsoft), (c"intel", intel), (c"amd", &amd)] {
            let root = atls_bytes { ptr: pem.as_ptr(), len: pem.len() };
            assert_eq!(atls_verifier_config_add_simulated_root(config, vendor.as_ptr(), root, null_mut()), 0);
        }
        assert_eq!(atls_verifier_new(config, &mut verifier, null_mut()), 0);
        atls_verifier_config_free(config);
        verifier
    }
}

#[test]
fn a_machine_is_trusted() {
    for hardware in BOTH {
        Azure::lying(hardware, |_, _, _| ()).trusted();
    }
}

#[test]
fn one_policy_about_both_kinds() {
    for hardware in BOTH {
        let mut azure = Azure::lying(hardware, |_, _, _| ());
        let mut members = BOTH.map(policy);
        for member in &mut members {
            member.as_object_mut().unwrap().remove("allow_simulated");
        }
        members[0]["pccs_url"] = azure.world.pccs.url.clone().into();
        members[1]["snp"]["crl"] = "off".into();
        azure.policy = json!({"any_of": members, "allow_simulated": true});
        azure.trusted();
    }
}

#[test]
fn whoever_wants_a_fresh_report_says_so() {
    for hardware in BOTH {
        let mut azure = Azure::lying(hardware, |session, parts, _| {
            // As a machine does that makes one only if it is asked to.
            let challenge: Value = serde_json::from_slice(&session.body).unwrap();
            if challenge["fresh"] != true {
                parts.runtime["user-data"] = "00".repeat(64).into();
            }
        });
        azure.trusted();
        azure.policy["paravisor"] = json!([measurement(hardware)]);
        azure.policy["fresh_report"] = true.into();
        azure.trusted();
        let mut stale = Azure::lying(hardware, |_, parts, _| parts.runtime["user-data"] = "00".repeat(64).into());
        stale.policy["paravisor"] = json!([measurement(hardware)]);
        stale.policy["fresh_report"] = true.into();
        stale.refused("BINDING_MISMATCH", "user_data");
    }
}

#[test]
fn a_quote_of_another_session() {
    for hardware in BOTH {
        let first = Arc::new(Mutex::new(None::<Vec<u8>>));
        let azure = Azure::lying(hardware, move |_, parts, _| {
            let mut first = first.lock().unwrap();
            match &*first {
                Some(earlier) => parts.attest.extra_data = earlier.clone(),
                None => *first = Some(parts.attest.extra_data.clone()),
            }
        });
        azure.trusted();
        azure.refused("BINDING_MISMATCH", "tpm_nonce");
    }
}

#[test]
fn lies_are_noticed_before_data_is_sent() {
    for hardware in BOTH {
        let of_tdx = |session: &Session, parts: &mut Parts, _: &mut Value| {
            parts.attest.extra_data = nonce(&session.binder().report_data_of([0, 1]));
        };
        Azure::lying(hardware, of_tdx).refused("BINDING_MISMATCH", "tpm_nonce");
        Azure::lying(hardware, |_, parts, _| parts.report_data = Some([1; 64]))
            .refused("QUOTE_INVALID", "runtime_data");
        Azure::lying(hardware, |_, parts, _| parts.certificate.common_name.clear())
            .refused("QUOTE_INVALID", "ak_certificate");
        Azure::lying(hardware, |_, parts, _| parts.attest.digest[0] ^= 1).refused("QUOTE_INVALID", "pcr_digest");
        // Under another kind's name, and a kind that was not asked for.
        Azure::lying(hardware, |_, _, answer| answer["tee"] = "tdx".into()).refused("EVIDENCE_INVALID", "");
        let other = if hardware == Hardware::Tdx { Hardware::Snp } else { Hardware::Tdx };
        Azure::lying(hardware, move |_, _, answer| answer["tee"] = other.name().into()).refused("EVIDENCE_INVALID", "");
    }
}

/// Documents are asked for only if everything beside the quote belongs to it, and to the session.
#[test]
fn a_stranger_chooses_no_documents() {
    let asked = |azure: &Azure| azure.world.pccs.hits("");
    let lies: [fn(&Session, &mut Parts, &mut Value); 3] = [
        |_, parts, _| parts.report_data = Some([1; 64]),
        |_, parts, _| parts.certificate.usage.clear(),
        |_, parts, _| parts.attest.extra_data = vec![1],
    ];
    for lie in lies {
        let azure = Azure::lying(Hardware::Tdx, lie);
        assert!(azure.connect().is_err());
        assert_eq!(asked(&azure), 0);
    }
    let azure = Azure::lying(Hardware::Tdx, |_, _, _| ());
    azure.trusted();
    assert!(asked(&azure) > 0);
}

/// A member that cannot accept the machine, whatever the documents say, keeps them from no other member.
#[test]
fn documents_are_asked_for_if_one_member_may_accept() {
    for hardware in BOTH {
        let mut azure = Azure::lying(hardware, |_, parts, _| parts.certificate.usage.clear());
        let mut strict = azure.policy.clone();
        strict.as_object_mut().unwrap().remove("allow_simulated");
        let mut loose = strict.clone();
        (loose["ak_certificate"], loose["paravisor"]) = ("off".into(), json!([measurement(hardware)]));
        for members in [[&strict, &loose], [&loose, &strict]] {
            azure.policy = json!({"any_of": members, "allow_simulated": true});
            azure.trusted();
        }
        let mut azure = Azure::lying(hardware, |_, parts, _| parts.certificate.usage.clear());
        let pccs = azure.policy.get("pccs_url").cloned();
        pccs.into_iter().for_each(|url| strict["pccs_url"] = url);
        azure.policy = json!({"any_of": [strict, strict], "allow_simulated": true});
        azure.refused("QUOTE_INVALID", "any_of[0].ak_certificate");
        assert_eq!(azure.world.pccs.hits(""), 0);
    }
}
