//! Servers in Azure's virtual machines that get their evidence themselves: from a TPM that the simulator plays, its paravisor, and the metadata service.

#![allow(unsafe_code)] // It is a client of the C ABI.

mod support;

use std::ffi::CString;
use std::path::{Path, PathBuf};
use std::ptr::null_mut;
use std::time::Duration;

use atls::attest::hash::sha256;
use atls::attester::azure::commands;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use simtee::azure::{self, SNP, TDX};
use simtee::snp::{Amd, Product};
use simtee::vtpm::Machine;
use support::abi::*;
use support::server::{self, Served};
use support::snp_guest::floor;
use support::swtpm::Swtpm;
use support::{Refusal, Stream, World};

const QUOTE: u32 = 0x158;
const WRITE: u32 = 0x137;
const DEFINE: u32 = 0x12a;

struct Azure {
    world: World,
    machine: Machine,
    verifier: *mut atls_verifier,
    policy: Value,
    port: u16,
    served: Option<Served>,
}

// SAFETY: the handle is a thread-safe one.
unsafe impl Sync for Azure {}

impl Drop for Azure {
    fn drop(&mut self) {
        drop(self.served.take());
        unsafe { atls_verifier_free(self.verifier) };
    }
}

fn text(text: &str) -> CString {
    CString::new(text).unwrap()
}

/// A folder of the test's own.
fn folder() -> PathBuf {
    let name = format!("atls-azure-{}-{:?}", std::process::id(), std::thread::current().id());
    let folder = std::env::temp_dir().join(name);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

fn serve(world: &World, tpm: &Path, metadata: &str) -> (Served, u16) {
    let (tpm, metadata) = (text(tpm.to_str().unwrap()), text(metadata));
    server::with(&world.tee, |config| {
        let set = unsafe { atls_server_config_set_azure_vtpm(config, tpm.as_ptr(), metadata.as_ptr(), null_mut()) };
        assert_eq!(set, 0);
    })
}

impl Azure {
    fn new(kind: u32) -> Azure {
        let world = World::honest();
        let machine = world.runtime.block_on(Machine::start(&folder(), kind, world.tee.clone()));
        let (served, port) = serve(&world, &machine.tpm, &machine.metadata);
        let pcrs = json!({"4": ["05".repeat(32)], "7": ["08".repeat(32)]});
        let mut policy = json!({"pcrs": pcrs, "allow_simulated": true});
        if kind == TDX {
            policy["type"] = "azure_tdx_vtpm".into();
            policy["pccs_url"] = world.pccs.url.clone().into();
        } else {
            policy["type"] = "azure_snp_vtpm".into();
            policy["snp"] = json!({"products": ["Genoa"], "min_tcb": {"Genoa": floor(Product::Genoa)}, "crl": "off"});
        }
        let verifier = verifier(&world, &machine);
        Azure { world, machine, verifier, policy, port, served: Some(served) }
    }

    fn fresh(kind: u32) -> Azure {
        let mut azure = Azure::new(kind);
        azure.policy["fresh_report"] = true.into();
        azure.policy["paravisor"] = json!([if kind == TDX { "11" } else { "5a" }.repeat(48)]);
        azure
    }

    fn connect(&self, policy: &Value) -> Result<Stream, Refusal> {
        support::open(self.port, policy, self.verifier, |config| {
            support::add_root(config, &self.world.tee.web_ca_pem);
        })
    }

    #[track_caller]
    fn trusted(&self) {
        drop(self.connect(&self.policy).unwrap_or_else(|refusal| panic!("{refusal:?}")));
    }

    #[track_caller]
    fn refused(&self, status: &str, check: &str) {
        let refusal = self.connect(&self.policy).err().expect("a refusal");
        assert_eq!((refusal.name.as_str(), refusal.check.as_str()), (status, check), "{refusal:?}");
    }
}

fn verifier(world: &World, machine: &Machine) -> *mut atls_verifier {
    let (microsoft, amd) = (&machine.microsoft.root_pem, Amd::of(Product::Genoa).roots_pem());
    unsafe {
        let (mut config, mut verifier) = (null_mut(), null_mut());
        assert_eq!(atls_verifier_config_new(&mut config, null_mut()), 0);
        for (vendor, pem) in [(c"microsoft", &**microsoft), (c"intel", &world.tee.root_pem), (c"amd", &amd)] {
            let root = atls_bytes { ptr: pem.as_ptr(), len: pem.len() };
            assert_eq!(atls_verifier_config_add_simulated_root(config, vendor.as_ptr(), root, null_mut()), 0);
        }
        assert_eq!(atls_verifier_new(config, &mut verifier, null_mut()), 0);
        atls_verifier_config_free(config);
        verifier
    }
}

#[test]
fn a_machine_proves_itself_and_asks_for_the_rest_once() {
    for (kind, path) in [(TDX, "/acc/tdquote"), (SNP, "/THIM/amd/certification")] {
        let azure = Azure::new(kind);
        for _ in 0..3 {
            azure.trusted();
        }
        let hits = [path, "/lower.crt", "/upper.crt", "/root.crt"].map(|path| azure.machine.hits(path));
        assert_eq!((hits, azure.machine.hits("")), ([1; 4], 4));
        assert_eq!((azure.machine.commands(QUOTE), azure.machine.commands(WRITE)), (3, 0));
    }
}

#[test]
fn registers_that_move_and_a_tpm_that_is_busy() {
    let azure = Azure::new(SNP);
    azure.machine.turn(|knobs| (knobs.moving, knobs.busy) = (2, 9));
    azure.trusted();
    assert_eq!(azure.machine.commands(QUOTE), 3);
    azure.machine.turn(|knobs| knobs.moving = 3);
    azure.refused("NO_EVIDENCE", "");
    azure.machine.turn(|knobs| (knobs.moving, knobs.busy) = (0, 10));
    azure.refused("NO_EVIDENCE", "");
    azure.trusted();
}

#[test]
fn a_fresh_report_is_waited_for() {
    for kind in [TDX, SNP] {
        let azure = Azure::fresh(kind);
        azure.machine.turn(|knobs| knobs.reissue = Some(Duration::from_millis(500)));
        azure.trusted();
        assert_eq!((azure.machine.commands(DEFINE), azure.machine.commands(WRITE)), (1, 1));
    }
}

#[test]
fn another_program_that_wants_a_report_too() {
    let azure = Azure::fresh(SNP);
    azure.machine.turn(|knobs| knobs.intruders = 2);
    azure.trusted();
    assert_eq!(azure.machine.commands(WRITE), 3);
    // Whatever it does, it cannot make the evidence of this session another's.
    let azure = Azure::fresh(SNP);
    azure.machine.turn(|knobs| knobs.intruders = 5);
    azure.refused("NO_EVIDENCE", "");
    assert_eq!(azure.machine.commands(WRITE), 5);
}

#[test]
fn a_paravisor_that_makes_no_new_report() {
    let azure = Azure::fresh(SNP);
    azure.machine.turn(|knobs| knobs.reissue = None);
    // Others are served meanwhile, and a second wish for a fresh report is not: it has to wait for its turn.
    let mut plain = azure.policy.clone();
    plain["fresh_report"] = false.into();
    std::thread::scope(|scope| {
        let stuck = scope.spawn(|| azure.connect(&azure.policy).err().expect("a refusal").name);
        while azure.machine.commands(WRITE) == 0 {
            std::thread::sleep(Duration::from_millis(5));
        }
        drop(azure.connect(&plain).unwrap_or_else(|refusal| panic!("{refusal:?}")));
        assert!(!stuck.is_finished());
        let mut hurried = azure.policy.clone();
        hurried["binding"] = json!({"timeout_ms": 1000});
        assert_eq!(azure.connect(&hurried).err().expect("a refusal").name, "EVIDENCE_BUSY");
        assert_eq!(stuck.join().unwrap(), "NO_EVIDENCE");
    });
    assert_eq!(azure.machine.commands(WRITE), 1);
}

#[test]
fn a_report_that_changes_while_it_is_read() {
    let azure = Azure::new(SNP);
    azure.machine.turn(|knobs| knobs.torn = 2);
    azure.trusted();
    azure.machine.turn(|knobs| knobs.torn = 3);
    azure.refused("NO_EVIDENCE", "");
    azure.trusted();
}

#[test]
fn a_new_report_has_a_new_quote_and_the_certificate_of_the_old() {
    for (kind, path, fetched) in [(TDX, "/acc/tdquote", 2), (SNP, "/THIM/amd/certification", 1)] {
        let mut azure = Azure::new(kind);
        azure.trusted();
        azure.policy["paravisor"] = json!([if kind == TDX { "11" } else { "5a" }.repeat(48)]);
        azure.policy["fresh_report"] = true.into();
        azure.trusted();
        azure.policy["fresh_report"] = false.into();
        azure.trusted();
        assert_eq!(azure.machine.hits(path), fetched);
    }
}

#[test]
fn a_certificate_that_did_not_issue_the_key_s_is_not_followed() {
    let azure = Azure::new(SNP);
    azure.machine.turn(|knobs| knobs.wrong_issuer = true);
    azure.refused("QUOTE_INVALID", "ak_certificate");
    let hits = ["/lower.crt", "/upper.crt", "/root.crt"].map(|path| azure.machine.hits(path));
    assert_eq!(hits, [1, 0, 0]);
    // The guest is what it says, and a policy may do without the certificate.
    let mut other = azure.policy.clone();
    other["ak_certificate"] = "off".into();
    other["paravisor"] = json!(["5a".repeat(48)]);
    drop(azure.connect(&other).unwrap_or_else(|refusal| panic!("{refusal:?}")));
}

#[test]
fn a_metadata_service_that_fails_and_recovers() {
    for kind in [TDX, SNP] {
        let azure = Azure::new(kind);
        azure.machine.turn(|knobs| knobs.fail = Some(429));
        azure.refused("NO_EVIDENCE", "");
        azure.machine.turn(|knobs| knobs.fail = None);
        azure.trusted();
    }
}

#[test]
fn answers_of_a_tpm_that_are_cut() {
    let azure = Azure::new(SNP);
    for cut in [0, 9, 10, 20] {
        azure.machine.turn(|knobs| knobs.cut = Some(cut));
        azure.refused("NO_EVIDENCE", "");
    }
    azure.machine.turn(|knobs| knobs.cut = None);
    azure.trusted();
}

/// The paravisor's report around one of the chip's, for a TPM with that key.
fn report(modulus: &[u8]) -> Vec<u8> {
    let key = json!({"kid": "HCLAkPub", "kty": "RSA", "e": "AQAB", "n": URL_SAFE_NO_PAD.encode(modulus)});
    let runtime = json!({"keys": [key], "vm-configuration": {"secure-boot": true}}).to_string().into_bytes();
    let amd = Amd::of(Product::Genoa);
    let mut hardware = amd.report(3, &azure::report_data(&runtime));
    amd.sign(&mut hardware);
    let mut whole = azure::hcl(SNP, &hardware, &runtime);
    whole.truncate(1236 + runtime.len() + 10);
    whole
}

#[test]
fn a_tpm_of_another_make() {
    let Some(swtpm) = Swtpm::start(&folder()) else {
        eprintln!("skipped: swtpm is not installed");
        return;
    };
    swtpm.store(0x0140_0001, &report(&swtpm.modulus));
    swtpm.extend(4, &[7; 32]);
    let measured = simtee::hex(&sha256(&[[0; 32], [7; 32]].concat()));
    let mut azure = Azure::new(SNP);
    let (served, port) = serve(&azure.world, &swtpm.socket, &azure.machine.metadata);
    (azure.served, azure.port) = (Some(served), port);
    // It has no certificate for its key, and no simulated guest.
    azure.refused("EVIDENCE_INVALID", "ak_certificate");
    azure.policy["ak_certificate"] = "off".into();
    azure.policy["paravisor"] = json!(["5a".repeat(48)]);
    azure.policy["pcrs"] = json!({"4": [measured], "17": ["ff".repeat(32)]});
    azure.trusted();
    azure.policy["pcrs"]["4"] = json!(["07".repeat(32)]);
    azure.refused("MEASUREMENT_MISMATCH", "pcr:4");
}

#[test]
fn each_command_is_one_that_tpms_of_another_make_know() {
    let Some(swtpm) = Swtpm::start(&folder()) else {
        eprintln!("skipped: swtpm is not installed");
        return;
    };
    let user_data = 0x0140_0002;
    let call = |command: &commands::Command| loop {
        match commands::parameters(command, &swtpm.transmit(&command.bytes)) {
            Err(commands::Refusal::Code(later)) if commands::LATER.contains(&later) => {}
            done => return done.map(<[u8]>::to_vec),
        }
    };
    let code = |command: &commands::Command| match call(command) {
        Err(commands::Refusal::Code(code)) => code,
        other => panic!("{other:?}"),
    };
    let (size, read) = (commands::memory_size(user_data), commands::read_memory(user_data, 64, 0));
    assert_eq!([code(&size), code(&read)], commands::UNDEFINED);
    assert_eq!(call(&commands::define_memory(user_data)), Ok(Vec::new()));
    assert_eq!(code(&commands::define_memory(user_data)), commands::DEFINED);
    assert_eq!(code(&read), commands::UNWRITTEN);
    let data = std::array::from_fn(|index| index as u8);
    assert_eq!(call(&commands::write_memory(user_data, &data)), Ok(Vec::new()));
    assert_eq!(commands::told_size(&call(&size).unwrap()), Ok(64));
    assert_eq!(commands::told_data(&call(&read).unwrap()), Ok(&data[..]));
    let registers = commands::told_registers(&call(&commands::read_registers(commands::ALL)).unwrap()).unwrap();
    assert_eq!(registers, (0..8).map(|number| (number, [0; 32])).collect::<Vec<_>>());
    let quoted = call(&commands::quote(0x8100_0003, &[7; 32])).unwrap();
    let (message, signature) = commands::told_quote(&quoted).unwrap();
    let attest = atls::attest::tpm::TpmAttest::read(message).unwrap();
    assert_eq!((&attest.extra_data[..], attest.selected.len()), (&[7; 32][..], 24));
    assert!(atls::attest::tpm::has_signed(swtpm.modulus[..].try_into().unwrap(), message, signature));
}
