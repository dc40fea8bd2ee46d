//! Trust in connections that stay open to servers of every kind: each proves itself anew on its connection once its evidence is too old, and is sent nothing more
//! if it is another machine by then, or if its certificate has ended. The tests move the clock of this process.

#![allow(unsafe_code)] // It is a client of the C ABI, and has a clock of its own.

#[path = "support/open.rs"]
mod open;
mod support;

use std::ptr::null_mut;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hostile::{Options, Reply, Session};
use open::{HOUR, WAYS, clock, connection, connections, pass, policy};
use serde_json::{Value, json};
use simtee::azure::Microsoft;
use simtee::kds::Kds;
use simtee::nitro::Aws;
use simtee::sgx;
use simtee::snp::{Amd, Ca, Leaf, List, Product};
use simtee::{Guest, hex};
use support::World;
use support::abi::*;
use support::azure_machine::{self, Hardware, Parts};
use support::offline::now;
use support::snp_guest::floor;

/// A kind of machine.
struct Kind {
    name: &'static str,
    code: [u8; 2],
    /// What the binder is proved by; of another machine, if it is to lie.
    evidence: fn(&Session, &[u8; 64], bool) -> Value,
    /// By the URL of Intel's documents.
    policy: fn(&str) -> Value,
    /// The check that notices the other machine.
    check: &'static str,
}

const KINDS: [Kind; 6] = [
    Kind { name: "snp", code: [0, 2], evidence: of_snp, policy: about_snp, check: "measurement" },
    Kind { name: "nitro", code: [0, 4], evidence: of_nitro, policy: about_nitro, check: "pcr:0" },
    Kind {
        name: "sgx",
        code: [0, 3],
        evidence: of_sgx,
        policy: |url| sgx::Enclave::new().policy(url),
        check: "mr_enclave",
    },
    Kind { name: "tdx", code: [0, 1], evidence: of_tdx, policy: about_tdx, check: "measurement" },
    Kind {
        name: "azure_tdx_vtpm",
        code: [0, 0x11],
        evidence: |session, binder, lies| of_azure(Hardware::Tdx, session, binder, lies),
        policy: |url| about_azure(Hardware::Tdx, url),
        check: "pcr:4",
    },
    Kind {
        name: "azure_snp_vtpm",
        code: [0, 0x12],
        evidence: |session, binder, lies| of_azure(Hardware::Snp, session, binder, lies),
        policy: |url| about_azure(Hardware::Snp, url),
        check: "pcr:4",
    },
];

fn of_snp(_: &Session, binder: &[u8; 64], lies: bool) -> Value {
    let amd = Amd::of(Product::Genoa);
    let mut report = amd.report(3, binder);
    report[0x90] ^= u8::from(lies);
    let leaf = amd.leaf(&Leaf { not_after: now() + HOUR as u64, ..amd.vcek(&report) });
    amd.sign(&mut report);
    json!({"report": STANDARD.encode(report), "leaf": STANDARD.encode(leaf)})
}

fn about_snp(_: &str) -> Value {
    json!({
        "type": "snp", "products": ["Genoa"], "measurement": ["5a".repeat(48)], "crl": "off",
        "min_tcb": {"Genoa": floor(Product::Genoa)}, "allow_simulated": true,
    })
}

fn of_nitro(_: &Session, binder: &[u8; 64], lies: bool) -> Value {
    let enclave = Aws::get().enclave(now() - 60, now() + HOUR as u64);
    let mut document = enclave.document(now(), binder);
    document.pcrs[0].1[0] ^= u8::from(lies);
    json!({"document": STANDARD.encode(enclave.sign(&document))})
}

fn about_nitro(_: &str) -> Value {
    json!({"type": "nitro", "pcrs": {"0": ["01".repeat(48)]}, "allow_simulated": true})
}

fn of_sgx(session: &Session, binder: &[u8; 64], lies: bool) -> Value {
    let mut enclave = sgx::Enclave::new();
    enclave.mr_enclave[0] ^= u8::from(lies);
    json!({"quote": hex(&enclave.quote(&session.tee, binder))})
}

fn of_tdx(session: &Session, binder: &[u8; 64], lies: bool) -> Value {
    let mut guest = Guest::booted(1);
    guest.mrtd[0] ^= u8::from(lies);
    json!({"quote": hex(&guest.quote(&session.tee, binder))})
}

fn about_tdx(url: &str) -> Value {
    let sets = json!([{"mrtd": "11".repeat(48)}]);
    json!({"type": "tdx", "firmware_only": true, "measurements": sets, "pccs_url": url, "allow_simulated": true})
}

fn of_azure(hardware: Hardware, session: &Session, binder: &[u8; 64], lies: bool) -> Value {
    let mut parts = Parts::new(binder);
    if lies {
        let mut pcrs = parts.vm.pcrs;
        pcrs[4] = [0x77; 32];
        parts.pcrs["4"] = hex(&pcrs[4]).into();
        parts.attest.digest = simtee::azure::report_data(&pcrs.concat())[..32].to_vec();
    }
    parts.make(hardware, &session.tee).object()
}

fn about_azure(hardware: Hardware, url: &str) -> Value {
    let mut policy = azure_machine::policy(hardware);
    match hardware {
        Hardware::Tdx => policy["pccs_url"] = url.into(),
        Hardware::Snp => policy["snp"]["crl"] = "off".into(),
    }
    policy
}

/// A world whose server is such a machine, and what makes it another one.
fn serving(kind: &'static Kind) -> (World, Arc<AtomicBool>) {
    let lies = Arc::new(AtomicBool::new(false));
    let asked = lies.clone();
    let reply = move |session: &Session| {
        let binder = session.binder().report_data_of(kind.code);
        let evidence = (kind.evidence)(session, &binder, asked.load(Ordering::SeqCst));
        let answer = json!({
            "protocol": "exporter-v1", "role": "S", "tee": kind.name, "challenge": null, "evidence": evidence,
        });
        Reply::json(answer.to_string().as_bytes())
    };
    let mut world = World::new(Options { behaviour: Arc::new(reply), ..Options::default() });
    world.policy = (kind.policy)(&world.pccs.url);
    unsafe { atls_verifier_free(world.verifier) };
    world.verifier = verifier(&world.tee.root_pem);
    (world, lies)
}

fn verifier(intel: &str) -> *mut atls_verifier {
    let amd = Amd::of(Product::Genoa).roots_pem();
    let (aws, microsoft) = (&Aws::get().root_pem, &Microsoft::get().root_pem);
    unsafe {
        let (mut config, mut verifier) = (null_mut(), null_mut());
        assert_eq!(atls_verifier_config_new(&mut config, null_mut()), 0);
        for (vendor, pem) in [(c"intel", intel), (c"amd", &*amd), (c"aws", aws), (c"microsoft", microsoft)] {
            let root = atls_bytes { ptr: pem.as_ptr(), len: pem.len() };
            assert_eq!(atls_verifier_config_add_simulated_root(config, vendor.as_ptr(), root, null_mut()), 0);
        }
        assert_eq!(atls_verifier_new(config, &mut verifier, null_mut()), 0);
        atls_verifier_config_free(config);
        verifier
    }
}

/// How often the server was asked for evidence.
fn asked(world: &World) -> usize {
    let recorded = world.server.recorded.lock().unwrap();
    recorded.iter().filter(|head| head.starts_with(b"POST /atls/exporter-v1 ")).count()
}

fn hourly(world: &World) -> Value {
    policy(world, json!({"binding": {"protocols": ["exporter-v1"]}, "reattest": {"interval_s": 3600}}))
}

#[test]
fn each_kind_proves_itself_anew_on_its_connection() {
    let _clock = clock();
    for (kind, way) in KINDS.iter().flat_map(|kind| WAYS.map(|way| (kind, way))) {
        let (world, lies) = serving(kind);
        let requests = way(&world, &hourly(&world));
        let first = requests.is_ok().verdict;
        assert_eq!((&first["tee_type"], &first["bound_to_session"]), (&json!(kind.name), &json!(true)));
        pass(HOUR - 10);
        requests.is_ok();
        assert_eq!(asked(&world), 1, "{}", kind.name);
        pass(10);
        let renewed = requests.is_ok().verdict;
        assert_eq!((asked(&world), connections(&world)), (2, 1), "{}", kind.name);
        assert!(renewed["time"].as_u64() > first["time"].as_u64(), "{}", kind.name);
        // Another machine answers from now on.
        lies.store(true, Ordering::SeqCst);
        requests.is_ok();
        pass(HOUR);
        let refusal = requests.is_refused(&world, "MEASUREMENT_MISMATCH");
        assert_eq!((refusal.check.as_str(), asked(&world), connections(&world)), (kind.check, 3, 1), "{}", kind.name);
        requests.get("/small").expect_err("answered after a refusal");
    }
}

#[test]
fn evidence_whose_certificate_has_ended_is_noticed_without_asking_anybody() {
    let _clock = clock();
    for (kind, way) in KINDS.iter().flat_map(|kind| WAYS.map(|way| (kind, way))) {
        // A certificate in the evidence holds for an hour.
        let check = match kind.name {
            "snp" | "nitro" => "chain",
            "azure_tdx_vtpm" | "azure_snp_vtpm" => "ak_certificate",
            _ => continue,
        };
        let (world, _) = serving(kind);
        let requests = way(&world, &world.policy);
        let first = requests.is_ok().verdict;
        let hits = world.pccs.hits("");
        pass(HOUR - 150);
        let second = requests.is_ok().verdict;
        assert!(second["time"].as_u64() > first["time"].as_u64(), "{}: judged again some minutes later", kind.name);
        // Less than five minutes later.
        pass(151);
        let refusal = requests.is_refused(&world, "QUOTE_INVALID");
        assert_eq!((refusal.check.as_str(), refusal.phase.as_str()), (check, "verify"), "{}", kind.name);
        assert!(refusal.message.contains("judged again"), "{}", refusal.message);
        assert_eq!((asked(&world), world.pccs.hits("")), (1, hits), "{}: nobody was asked", kind.name);
        assert_eq!(connections(&world), 1, "{}", kind.name);
    }
}

#[test]
fn a_policy_may_be_content_with_the_first_judgement_of_evidence_without_documents() {
    let _clock = clock();
    let kind = KINDS.iter().find(|kind| kind.name == "nitro").unwrap();
    let (world, _) = serving(kind);
    let requests = connection(&world, &policy(&world, json!({"reattest": {"on_collateral_change": false}})));
    let first = requests.is_ok().verdict;
    pass(2 * HOUR);
    assert_eq!(requests.is_ok().verdict["time"], first["time"]);
}

#[test]
fn a_list_of_revocations_that_becomes_known_ends_the_connection() {
    let _clock = clock();
    let kind = KINDS.iter().find(|kind| kind.name == "snp").unwrap();
    for way in WAYS {
        let (world, _) = serving(kind);
        let with = |rule: &str, more: Value| {
            let mut more = more;
            more["crl"] = rule.into();
            policy(&world, more)
        };
        let requests = way(&world, &with("if_available", json!({})));
        requests.is_ok();
        let amd = Amd::of(Product::Genoa);
        let kds = world.runtime.block_on(Kds::start());
        kds.put("/vcek/v1/Genoa/crl", amd.list(&List { revoked: vec![Ca::Ask], ..amd.clean(now()) }));
        // Another connection, by which the verifier learns of it.
        let strict = with("require", json!({"collateral": {"amd_sources": [kds.url]}}));
        assert_eq!(world.connect_with(&strict, |_| ()).err().unwrap().check, "crl");
        let refusal = requests.is_refused(&world, "QUOTE_INVALID");
        assert_eq!((refusal.check.as_str(), refusal.phase.as_str()), ("crl", "verify"));
    }
}
