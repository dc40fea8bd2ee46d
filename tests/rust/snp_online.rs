//! SEV-SNP servers, asked by exporter-v1: true ones, ones that lie, and AMD's key service when it is asked, fails or lies.

#![allow(unsafe_code)] // It is a client of the C ABI.

mod support;

use std::ffi::CString;
use std::fs;
use std::path::{Path, PathBuf};
use std::ptr::null_mut;
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hostile::Session;
use serde_json::{Value, json};
use simtee::kds::Kds;
use simtee::snp::{Amd, Ca, Product, REPORT};
use support::abi::*;
use support::offline::now;
use support::server;
use support::snp_guest::floor;
use support::{Refusal, Stream, World, echo};

/// What a server says: the report before it is signed, and whether its certificate comes along.
type Lie = Arc<Mutex<dyn FnMut(&Session, &mut [u8; REPORT], &mut Value) + Send>>;

/// A server on a Genoa machine, and AMD's service.
struct Snp {
    world: World,
    amd: &'static Amd,
    kds: Kds,
    verifier: *mut atls_verifier,
    policy: Value,
}

impl Drop for Snp {
    fn drop(&mut self) {
        unsafe { atls_verifier_free(self.verifier) };
    }
}

const CRL: &str = "/vcek/v1/Genoa/crl";

fn leaf_path() -> String {
    format!("/vcek/v1/Genoa/{}{}?blSPL=4&teeSPL=2&snpSPL=24&ucodeSPL=219", "c1".repeat(8), "c2".repeat(56))
}

impl Snp {
    fn honest() -> Snp {
        Snp::lying(|_, _, _| ())
    }

    /// `change`: of the report before it is signed, and of the answer.
    fn lying(change: impl FnMut(&Session, &mut [u8; REPORT], &mut Value) + Send + 'static) -> Snp {
        let amd = Amd::of(Product::Genoa);
        let change: Lie = Arc::new(Mutex::new(change));
        let world = World::lying(move |session| {
            let mut report = amd.report(3, &session.binder().report_data_of([0, 2]));
            let leaf = STANDARD.encode(amd.leaf(&amd.vcek(&report)));
            let mut answer = json!({
                "protocol": "exporter-v1", "role": "S", "tee": "snp", "challenge": null, "evidence": {"leaf": leaf},
            });
            (change.lock().unwrap())(session, &mut report, &mut answer);
            amd.sign(&mut report);
            if answer["evidence"]["report"].is_null() {
                answer["evidence"]["report"] = STANDARD.encode(report).into();
            }
            answer.to_string().into_bytes()
        });
        let kds = world.runtime.block_on(Kds::start());
        kds.put(CRL, amd.list(&amd.clean(now())));
        let policy = json!({
            "type": "snp", "products": ["Genoa"], "measurement": ["5a".repeat(48)],
            "min_tcb": {"Genoa": floor(Product::Genoa)}, "allow_simulated": true,
            "collateral": {"amd_sources": [kds.url]},
        });
        Snp { world, amd, kds, verifier: verifier(amd), policy }
    }

    fn connect(&self) -> Result<Stream, Refusal> {
        self.connect_with(&self.policy)
    }

    fn connect_with(&self, policy: &Value) -> Result<Stream, Refusal> {
        support::open(self.world.server.port(), policy, self.verifier, |config| {
            support::add_root(config, &self.world.tee.web_ca_pem);
        })
    }

    #[track_caller]
    fn trusted(&self) {
        let stream = self.connect().unwrap_or_else(|refusal| panic!("{refusal:?}"));
        echo(&stream, b"to the guest");
    }

    #[track_caller]
    fn refused(&self, status: &str, check: &str) -> Refusal {
        let refusal = self.connect().err().expect("a refusal");
        assert_eq!((refusal.name.as_str(), refusal.check.as_str()), (status, check), "{refusal:?}");
        let sent = self.world.server.application_bytes.load(std::sync::atomic::Ordering::SeqCst);
        assert_eq!(sent, 0, "application data was sent");
        refusal
    }
}

fn verifier(amd: &Amd) -> *mut atls_verifier {
    let roots = amd.roots_pem();
    let roots = atls_bytes { ptr: roots.as_ptr(), len: roots.len() };
    unsafe {
        let (mut config, mut verifier) = (null_mut(), null_mut());
        assert_eq!(atls_verifier_config_new(&mut config, null_mut()), 0);
        assert_eq!(atls_verifier_config_add_simulated_root(config, c"amd".as_ptr(), roots, null_mut()), 0);
        assert_eq!(atls_verifier_new(config, &mut verifier, null_mut()), 0);
        atls_verifier_config_free(config);
        verifier
    }
}

#[test]
fn a_guest_is_trusted_and_the_service_asked_once() {
    let snp = Snp::honest();
    snp.trusted();
    snp.trusted();
    assert_eq!((snp.kds.hits(CRL), snp.kds.hits("")), (1, 1));
    let challenge = snp.world.server.recorded.lock().unwrap()[0].clone();
    assert!(challenge.starts_with(b"POST /atls/exporter-v1 HTTP/1.1\r\n"));
}

#[test]
fn a_certificate_that_did_not_come_along() {
    let snp = Snp::lying(|_, _, answer| drop(answer["evidence"].as_object_mut().unwrap().remove("leaf")));
    for _ in 0..2 {
        snp.refused("COLLATERAL_UNAVAILABLE", "");
        assert_eq!(snp.kds.hits(&leaf_path()), 1, "what is not there is asked for once");
    }
    let mut report = snp.amd.report(3, &[0; 64]);
    let known = |report: &[u8; REPORT]| {
        let served = Snp::lying(|_, _, answer| drop(answer["evidence"].as_object_mut().unwrap().remove("leaf")));
        served.kds.put(&leaf_path(), served.amd.leaf(&served.amd.vcek(report)));
        served
    };
    let served = known(&report);
    served.trusted();
    served.trusted();
    assert_eq!((served.kds.hits(&leaf_path()), served.kds.hits(CRL)), (1, 1));
    // The service has that of another chip, or for another firmware.
    report[0x1a0] ^= 1;
    known(&report).refused("COLLATERAL_INVALID", "");
    report[0x1a0] ^= 1;
    report[0x187] ^= 1;
    known(&report).refused("COLLATERAL_INVALID", "");
}

#[test]
fn forged_evidence_leaves_no_certificate_behind() {
    let without_leaf = |answer: &mut Value| drop(answer["evidence"].as_object_mut().unwrap().remove("leaf"));
    let kept = |snp: &Snp| unsafe {
        let leaf = snp.amd.leaf(&snp.amd.vcek(&snp.amd.report(3, &[0; 64])));
        snp.kds.put(&leaf_path(), leaf);
        let outcome = snp.connect().err().map(|refusal| refusal.check);
        let mut bundle = null_mut();
        assert_eq!(atls_verifier_export(snp.verifier, &mut bundle, null_mut()), 0);
        let text = std::slice::from_raw_parts(atls_buf_data(bundle), atls_buf_len(bundle)).to_vec();
        atls_buf_free(bundle);
        (outcome, String::from_utf8(text).unwrap().matches("amd/leaf/").count())
    };
    // Nobody's signature, and a chip that the service knows.
    let forged = Snp::lying(move |_, report, answer| {
        without_leaf(answer);
        let mut unsigned = *report;
        unsigned[0x2a0] = 1;
        unsigned[0x2e8] = 1;
        answer["evidence"]["report"] = STANDARD.encode(unsigned).into();
    });
    assert_eq!(kept(&forged), (Some("signature".into()), 0));
    assert_eq!(forged.kds.hits(&leaf_path()), 1);
    assert_eq!(kept(&Snp::lying(move |_, _, answer| without_leaf(answer))), (None, 1));
}

#[test]
fn nobody_is_asked_for_evidence_of_another_session_or_kind() {
    for code in [[0, 1], [0, 3]] {
        let snp = Snp::lying(move |session, report, _| {
            report[0x50..0x90].copy_from_slice(&session.binder().report_data_of(code));
        });
        snp.refused("BINDING_MISMATCH", "report_data");
        assert_eq!(snp.kds.hits(""), 0);
    }
    let elsewhere = Snp::lying(|_, report, answer| {
        report[0x50..0x90].fill(7);
        answer["evidence"].as_object_mut().unwrap().remove("leaf");
    });
    elsewhere.refused("BINDING_MISMATCH", "report_data");
    assert_eq!(elsewhere.kds.hits(""), 0);
}

#[test]
fn nobody_is_asked_for_what_is_forged_or_not_wanted() {
    // The certificate of another chip, so that the signature does not fit.
    let forged = Snp::lying(|_, report, answer| {
        let twin = Amd::new(Product::Genoa);
        answer["evidence"]["leaf"] = STANDARD.encode(twin.leaf(&twin.vcek(report))).into();
    });
    forged.refused("QUOTE_INVALID", "chain");
    // Signed by the key of its certificate, which AMD knows nothing of.
    let stranger = Snp::lying(|_, report, answer| {
        let (twin, mut own) = (Amd::new(Product::Genoa), *report);
        twin.sign(&mut own);
        answer["evidence"]["leaf"] = STANDARD.encode(twin.leaf(&twin.vcek(&own))).into();
        answer["evidence"]["report"] = STANDARD.encode(own).into();
    });
    stranger.refused("QUOTE_INVALID", "chain");
    assert_eq!(stranger.kds.hits(""), 0);
    // AMD's certificate, and a report that its key has not signed.
    let unsigned = Snp::lying(|_, report, answer| answer["evidence"]["report"] = STANDARD.encode(*report).into());
    unsigned.refused("QUOTE_INVALID", "signature");
    assert_eq!(unsigned.kds.hits(""), 0);
    let mut other = Snp::honest();
    other.policy["products"] = json!(["Milan"]);
    other.policy["min_tcb"] = json!({"Milan": floor(Product::Milan)});
    other.refused("TCB_REJECTED", "products");
    assert_eq!((forged.kds.hits(""), other.kds.hits("")), (0, 0));
}

#[test]
fn evidence_under_the_name_of_another_kind() {
    for name in ["tdx", "sgx", "SNP", ""] {
        let snp = Snp::lying(move |_, _, answer| answer["tee"] = name.into());
        snp.refused("EVIDENCE_INVALID", "");
    }
    // A client that asks for TDX alone.
    let snp = Snp::honest();
    let policy = json!({
        "type": "dstack_tdx", "disable_runtime_verification": true, "binding": {"protocols": ["exporter-v1"]},
        "allow_simulated": true,
    });
    assert_eq!(snp.connect_with(&policy).err().unwrap().name, "EVIDENCE_INVALID");
}

#[test]
fn a_fleet_of_two_kinds() {
    let snp = Snp::honest();
    let mut member = snp.policy.clone();
    let collateral = member.as_object_mut().unwrap().remove("collateral");
    member.as_object_mut().unwrap().remove("allow_simulated");
    let tdx = json!({"type": "dstack_tdx", "disable_runtime_verification": true});
    let policy = json!({"any_of": [tdx, member], "allow_simulated": true, "collateral": collateral});
    let stream = snp.connect_with(&policy).unwrap_or_else(|refusal| panic!("{refusal:?}"));
    echo(&stream, b"to either");
    // The member that fits fails; the other says nothing about this machine.
    let mut strict = policy.clone();
    strict["any_of"][1]["min_tcb"]["Genoa"]["snp"] = 25.into();
    let refusal = snp.connect_with(&strict).err().unwrap();
    assert_eq!((refusal.name.as_str(), refusal.check.as_str()), ("TCB_REJECTED", "any_of[1].tcb_minimum"));
}

#[test]
fn revocation_lists_that_do_not_come_or_lie() {
    let with = |list: Vec<u8>| {
        let snp = Snp::honest();
        snp.kds.put(CRL, list);
        snp
    };
    let amd = Amd::of(Product::Genoa);
    let mut revoked = amd.clean(now());
    revoked.revoked = vec![Ca::Ask];
    with(amd.list(&revoked)).refused("QUOTE_INVALID", "crl");
    let twin = Amd::new(Product::Genoa);
    with(twin.list(&twin.clean(now()))).refused("COLLATERAL_INVALID", "");
    let mut expired = amd.clean(now());
    expired.expires = now() - 1;
    with(amd.list(&expired)).refused("COLLATERAL_INVALID", "");
    with(b"no list".to_vec()).refused("COLLATERAL_INVALID", "");
    let failing = Snp::honest();
    *failing.kds.fail.lock().unwrap() = Some(500);
    let refusal = failing.refused("COLLATERAL_UNAVAILABLE", "");
    assert!(refusal.message.contains("127.0.0.1") && refusal.message.contains("500"), "{refusal:?}");
}

#[test]
fn a_revocation_list_if_there_is_one() {
    let mut snp = Snp::honest();
    snp.policy["crl"] = "if_available".into();
    snp.trusted();
    assert_eq!(snp.kds.hits(""), 0, "nobody is asked for it");
    // Once it is kept it counts.
    let mut revoked = snp.amd.clean(now());
    revoked.revoked = vec![Ca::Ask];
    snp.kds.put(CRL, snp.amd.list(&revoked));
    let mut strict = snp.policy.clone();
    strict["crl"] = "require".into();
    assert_eq!(snp.connect_with(&strict).err().unwrap().check, "crl");
    let refusal = snp.connect().err().expect("a refusal");
    assert_eq!((refusal.name.as_str(), refusal.check.as_str()), ("QUOTE_INVALID", "crl"));
}

#[test]
fn a_chips_certificate_does_not_age() {
    let snp = Snp::lying(|_, _, answer| drop(answer["evidence"].as_object_mut().unwrap().remove("leaf")));
    snp.kds.put(&leaf_path(), snp.amd.leaf(&snp.amd.vcek(&snp.amd.report(3, &[0; 64]))));
    snp.trusted();
    let mut policy = snp.policy.clone();
    policy["collateral"]["max_age_s"] = 0.into();
    std::thread::sleep(std::time::Duration::from_millis(1100));
    assert!(snp.connect_with(&policy).is_ok());
    assert_eq!((snp.kds.hits(&leaf_path()), snp.kds.hits(CRL)), (1, 2));
}

#[test]
fn a_revocation_list_is_not_taken_back() {
    let snp = Snp::honest();
    snp.trusted();
    let mut older = snp.amd.clean(now());
    (older.number, older.issued) = (4, older.issued - 3600);
    snp.kds.put(CRL, snp.amd.list(&older));
    let mut policy = snp.policy.clone();
    // What is kept is too old for this policy, so the service is asked.
    policy["collateral"]["max_age_s"] = 0.into();
    std::thread::sleep(std::time::Duration::from_millis(1100));
    let refusal = snp.connect_with(&policy).err().expect("a refusal");
    assert_eq!(refusal.name, "COLLATERAL_INVALID", "{refusal:?}");
    assert!(refusal.message.contains("rolled back"), "{refusal:?}");
    assert_eq!(snp.kds.hits(CRL), 2);
}

/// The kernel of an SEV-SNP guest, by its configfs: one report after another, until the folder is gone.
fn kernel(folder: &Path, amd: &'static Amd) {
    let folder = folder.to_owned();
    std::thread::spawn(move || {
        let mut known: Vec<PathBuf> = Vec::new();
        while let Ok(found) = fs::read_dir(&folder) {
            for report in found.filter_map(|entry| entry.ok().map(|entry| entry.path())) {
                if !known.contains(&report) {
                    known.push(report.clone());
                    std::thread::spawn(move || play(&report, amd));
                }
            }
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    });
}

fn play(report: &Path, amd: &Amd) {
    for (name, text) in
        [("privlevel_floor", "0"), ("privlevel", ""), ("generation", "1"), ("inblob", ""), ("provider", "sev_guest\n")]
    {
        let _ = fs::write(report.join(name), text);
    }
    let asked: [u8; 64] = loop {
        match fs::read(report.join("inblob")) {
            Ok(asked) if asked.len() == 64 => break asked.try_into().unwrap(),
            Ok(_) => std::thread::sleep(std::time::Duration::from_millis(1)),
            Err(_) => return,
        }
    };
    let mut raw = amd.report(3, &asked);
    amd.sign(&mut raw);
    let _ = fs::write(report.join("outblob.new"), raw);
    let _ = fs::rename(report.join("outblob.new"), report.join("outblob"));
}

#[test]
fn a_server_that_asks_its_kernel() {
    let snp = Snp::honest();
    let report = snp.amd.report(3, &[0; 64]);
    snp.kds.put(&leaf_path(), snp.amd.leaf(&snp.amd.vcek(&report)));
    let folder = std::env::temp_dir().join(format!("atls-snp-kernel-{}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir(&folder).unwrap();
    kernel(&folder, snp.amd);
    let path = CString::new(folder.to_str().unwrap()).unwrap();
    let (served, port) = server::with(&snp.world.tee, |config| {
        assert_eq!(unsafe { atls_server_config_set_tsm(config, path.as_ptr(), null_mut()) }, 0);
    });
    let connect = |policy: &Value| {
        support::open(port, policy, snp.verifier, |config| support::add_root(config, &snp.world.tee.web_ca_pem))
    };
    drop(connect(&snp.policy).unwrap_or_else(|refusal| panic!("{refusal:?}")));
    // It has nothing for a client that asks for TDX alone, by either protocol.
    for protocol in ["exporter-v1", "atlas-v1"] {
        let policy = json!({
            "type": "dstack_tdx", "disable_runtime_verification": true, "binding": {"protocols": [protocol]},
            "allow_simulated": true,
        });
        assert_eq!(connect(&policy).err().expect("a refusal").name, "NO_EVIDENCE", "{protocol}");
    }
    drop(served);
    let _ = fs::remove_dir_all(&folder);
}
