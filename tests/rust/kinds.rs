//! Evidence of one kind proves nothing as another's, whichever of the three is swapped: the object, the kind in its binder, the name on the wire. Of all
//! kinds that the simulator makes, under a policy that would take each of them.

#![allow(unsafe_code)] // It is a client of the C ABI.

mod support;

use std::ptr::null_mut;
use std::sync::{Arc, Mutex};

use atls::attest::Tee;
use hostile::Session;
use serde_json::{Value, json};
use simtee::azure::{self, Microsoft};
use simtee::kds::Kds;
use simtee::nitro::Aws;
use simtee::sgx::Enclave;
use simtee::snp::{Amd, Product};
use simtee::{machines, vtpm};
use support::abi::*;
use support::{Refusal, World, echo};

/// Name, and code in the binder (docs/protocol.md).
const KINDS: &[(&str, [u8; 2])] = &[
    ("tdx", [0, 1]),
    ("snp", [0, 2]),
    ("sgx", [0, 3]),
    ("nitro", [0, 4]),
    ("nitro_tpm", [0, 5]),
    ("azure_tdx_vtpm", [0, 0x11]),
    ("azure_snp_vtpm", [0, 0x12]),
];

/// Numbers in `KINDS`: of what the object is, what its binder says, and what the answer says.
type Answer = (usize, usize, usize);

fn answer(session: &Session, (object, bound, named): Answer) -> Value {
    let binder = session.binder().report_data_of(KINDS[bound].1);
    let evidence = match KINDS[object].0 {
        "tdx" => {
            let mut guest = session.guest.clone();
            guest.emit_certificate(&session.leaf);
            let quote = guest.quote(&session.tee, &binder);
            json!({"quote": simtee::hex(&quote), "event_log": guest.log().to_string()})
        }
        "sgx" => json!({"quote": simtee::hex(&Enclave::new().quote(&session.tee, &binder))}),
        "azure_tdx_vtpm" => vtpm::evidence(azure::TDX, &session.tee, &binder),
        "azure_snp_vtpm" => vtpm::evidence(azure::SNP, &session.tee, &binder),
        other => machines::evidence(other, &binder).expect(other),
    };
    json!({"protocol": "exporter-v1", "role": "S", "tee": KINDS[named].0, "evidence": evidence, "challenge": null})
}

fn verifier(world: &World) -> *mut atls_verifier {
    let (amd, aws) = (Amd::of(Product::Genoa).roots_pem(), &Aws::get().root_pem);
    let microsoft = &Microsoft::get().root_pem;
    let bytes = |data: &[u8]| atls_bytes { ptr: data.as_ptr(), len: data.len() };
    unsafe {
        let (mut config, mut verifier) = (null_mut(), null_mut());
        assert_eq!(atls_verifier_config_new(&mut config, null_mut()), 0);
        let root = bytes(&world.tee.root_der);
        assert_eq!(atls_verifier_config_set_simulated_root(config, root, null_mut()), 0);
        for (vendor, pem) in [(c"amd", amd.as_bytes()), (c"aws", aws.as_bytes()), (c"microsoft", microsoft.as_bytes())]
        {
            assert_eq!(atls_verifier_config_add_simulated_root(config, vendor.as_ptr(), bytes(pem), null_mut()), 0);
        }
        assert_eq!(atls_verifier_new(config, &mut verifier, null_mut()), 0);
        atls_verifier_config_free(config);
        verifier
    }
}

fn policy(world: &World, kds: &Kds) -> Value {
    let enclave = simtee::hex(&Enclave::new().mr_enclave);
    let mut members = vec![world.policy.clone(), machines::snp_policy(kds)];
    members.push(json!({"type": "sgx", "mr_enclave": [enclave], "pccs_url": world.pccs.url}));
    members.push(machines::nitro_policy());
    members.push(machines::nitro_tpm_policy());
    let pcrs = json!({"4": ["05".repeat(32)], "7": ["08".repeat(32)]});
    members.push(json!({"type": "azure_tdx_vtpm", "pcrs": pcrs, "pccs_url": world.pccs.url}));
    let chip = json!({"products": ["Genoa"], "min_tcb": members[1]["min_tcb"], "crl": "off"});
    members.push(json!({"type": "azure_snp_vtpm", "pcrs": pcrs, "snp": chip}));
    for member in &mut members {
        member.as_object_mut().unwrap().retain(|name, _| !["collateral", "allow_simulated"].contains(&name.as_str()));
    }
    json!({"any_of": members, "collateral": {"amd_sources": [kds.url]}, "allow_simulated": true})
}

#[test]
fn evidence_of_each_kind_is_of_no_use_as_another() {
    let now: Arc<Mutex<Answer>> = Arc::default();
    let told = now.clone();
    let world = World::lying(move |session| answer(session, *told.lock().unwrap()).to_string().into_bytes());
    let kds = world.runtime.block_on(Kds::start());
    let (policy, verifier) = (policy(&world, &kds), verifier(&world));
    let connect = |said: Answer| -> Result<_, Refusal> {
        *now.lock().unwrap() = said;
        support::open(world.server.port(), &policy, verifier, |config| {
            support::add_root(config, &world.tee.web_ca_pem);
        })
    };
    let numbers = 0..KINDS.len();
    for kind in numbers.clone() {
        let stream = connect((kind, kind, kind)).unwrap_or_else(|refusal| panic!("{}: {refusal:?}", KINDS[kind].0));
        echo(&stream, b"data");
    }
    world.server.application_bytes.store(0, std::sync::atomic::Ordering::SeqCst);
    for object in numbers.clone() {
        for bound in numbers.clone() {
            for named in numbers.clone().filter(|named| (object, bound) != (*named, *named)) {
                let what = format!("{} bound as {} named {}", KINDS[object].0, KINDS[bound].0, KINDS[named].0);
                let refusal = connect((object, bound, named)).err().unwrap_or_else(|| panic!("{what}: accepted"));
                let known = ["EVIDENCE_INVALID", "BINDING_MISMATCH", "QUOTE_INVALID"].contains(&refusal.name.as_str());
                assert!(known, "{what}: {refusal:?}");
                if object == named {
                    // Genuine, and of this session, but for the kind in the binder: that alone is refused.
                    assert_eq!(refusal.name, "BINDING_MISMATCH", "{what}");
                    let check = if KINDS[named].0.starts_with("azure") { "tpm_nonce" } else { "report_data" };
                    assert_eq!(refusal.check, format!("any_of[{named}].{check}"), "{what}");
                }
            }
        }
    }
    let sent = world.server.application_bytes.load(std::sync::atomic::Ordering::SeqCst);
    assert_eq!(sent, 0, "application data was sent");
    unsafe { atls_verifier_free(verifier) };
}

#[test]
fn every_kind_that_is_judged_takes_part() {
    let known = Tee::ALL.iter().filter(|kind| !kind.attaches());
    let known: Vec<_> = known.map(|kind| (kind.name(), kind.code())).collect();
    assert_eq!(known, KINDS);
}
