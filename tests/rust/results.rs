//! Attestation results: signed by keys of the host's, verified by another program, and refused with clear statuses. What holds of the claims of each result is in
//! tests/rust/support/results.rs, which sees every verdict of all tests.

#![allow(unsafe_code)] // It is a client of the C ABI.

mod support;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::ptr::{null, null_mut};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use support::abi::*;
use support::results::{ISSUED, ear, take};
use support::text;

const PAGE: &str = include_str!("../../docs/verdict.md");

/// A verdict that refuses a quote which is none.
fn refusal() -> *mut atls_verdict {
    unsafe {
        let (mut question, mut policy, mut verdict) = (null_mut(), null_mut(), null_mut());
        assert_eq!(atls_verification_new(&mut question, null_mut()), 0);
        let json = br#"{"type":"dstack_tdx","disable_runtime_verification":true}"#;
        assert_eq!(atls_policy_new(raw(json), &mut policy, null_mut()), 0);
        assert_eq!(atls_verification_set_policy(question, policy, null_mut()), 0);
        assert_eq!(atls_verification_set_quote(question, raw(b"no quote"), raw(b""), null_mut()), 0);
        let none = br#"{"atls_collateral_bundle":1,"objects":[]}"#;
        assert_eq!(atls_verification_set_collateral_json(question, raw(none), null_mut()), 0);
        assert_eq!(atls_verification_set_time(question, ISSUED, null_mut()), 0);
        assert_eq!(atls_verification_skip_binding(question, null_mut()), 0);
        assert_eq!(atls_verify(question, &mut verdict, null_mut()), 0);
        atls_policy_free(policy);
        atls_verification_free(question);
        verdict
    }
}

fn raw(bytes: &[u8]) -> atls_bytes {
    atls_bytes { ptr: bytes.as_ptr(), len: bytes.len() }
}

/// A result about a refusal.
struct Ear(*mut atls_ear);

impl Ear {
    fn new() -> Ear {
        let verdict = refusal();
        let ear = ear(verdict);
        unsafe { atls_verdict_free(verdict) };
        Ear(ear)
    }

    /// What a call that makes a buffer gives, or its status and message.
    fn made(
        &self,
        call: impl Fn(*mut atls_ear, &mut *mut atls_buf, &mut *mut atls_error) -> i32,
    ) -> Result<String, (String, String)> {
        let (mut buf, mut error) = (null_mut(), null_mut());
        match call(self.0, &mut buf, &mut error) {
            0 => Ok(take(buf)),
            status => unsafe {
                let refused = (text(atls_status_name(status)), text(atls_error_message(error)));
                atls_error_free(error);
                Err(refused)
            },
        }
    }

    fn sign(&self, key: &[u8]) -> Result<String, (String, String)> {
        self.made(|ear, token, error| unsafe { atls_ear_sign(ear, raw(key), c"key 1".as_ptr(), token, error) })
    }

    #[track_caller]
    fn refused(&self, part: &str, call: impl Fn(*mut atls_ear, &mut *mut atls_error) -> i32) {
        let (status, message) = self.made(|ear, _, error| call(ear, error)).unwrap_err();
        assert_eq!(status, "INVALID_ARGUMENT");
        assert!(message.contains(part), "{message}");
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        unsafe { atls_ear_free(self.0) };
    }
}

/// Where openssl writes, freed at the end; `None` if there is no openssl.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Option<Folder> {
        if Command::new("openssl").arg("version").output().is_err() {
            assert!(std::env::var_os("CI").is_none(), "no openssl");
            println!("skipped: no openssl");
            return None;
        }
        let path = std::env::temp_dir().join(format!("atls-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Some(Folder(path))
    }

    fn run(&self, arguments: &[&str]) -> bool {
        Command::new("openssl").current_dir(&self.0).args(arguments).output().unwrap().status.success()
    }

    fn key(&self, curve: &str) -> Vec<u8> {
        let curve = format!("ec_paramgen_curve:{curve}");
        assert!(self.run(&["genpkey", "-algorithm", "EC", "-pkeyopt", &curve, "-out", "key.pem"]));
        assert!(self.run(&["pkey", "-in", "key.pem", "-pubout", "-out", "public.pem"]));
        self.read("key.pem")
    }

    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.0.join(name)).unwrap()
    }

    /// Whether openssl takes the signature of a token for that of the last key.
    fn verifies(&self, token: &str, digest: &str) -> bool {
        let (input, signature) = token.rsplit_once('.').unwrap();
        std::fs::write(self.0.join("input"), input).unwrap();
        std::fs::write(self.0.join("signature"), der(&URL_SAFE_NO_PAD.decode(signature).unwrap())).unwrap();
        self.run(&["dgst", digest, "-verify", "public.pem", "-signature", "signature", "input"])
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// An ECDSA signature as openssl has it.
fn der(signature: &[u8]) -> Vec<u8> {
    let (r, s) = signature.split_at(signature.len() / 2);
    let integer = |number: &[u8]| {
        let number = &number[number.iter().take_while(|byte| **byte == 0).count()..];
        let sign: &[u8] = if number.first().is_some_and(|byte| byte & 0x80 != 0) { &[0] } else { &[] };
        [&[2, (sign.len() + number.len()) as u8], sign, number].concat()
    };
    let both = [integer(r), integer(s)].concat();
    [&[0x30, both.len() as u8][..], &both].concat()
}

fn part(token: &str, index: usize) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').nth(index).unwrap()).unwrap()).unwrap()
}

#[test]
fn openssl_verifies_what_a_key_of_the_hosts_signed() {
    let Some(folder) = Folder::new("ear") else { return };
    let ear = Ear::new();
    for (curve, algorithm, digest, length) in [("P-256", "ES256", "-sha256", 64), ("P-384", "ES384", "-sha384", 96)] {
        let pem = folder.key(curve);
        assert!(folder.run(&["pkcs8", "-topk8", "-nocrypt", "-in", "key.pem", "-outform", "DER", "-out", "key.der"]));
        for key in [pem, folder.read("key.der")] {
            let token = ear.sign(&key).unwrap();
            assert!(folder.verifies(&token, digest), "{token}");
            assert_eq!(part(&token, 0), json!({"alg": algorithm, "typ": "JWT", "kid": "key 1"}));
            let claims = ear.made(|ear, json, error| unsafe { atls_ear_claims(ear, json, error) }).unwrap();
            assert_eq!(part(&token, 1), serde_json::from_str::<Value>(&claims).unwrap());
            assert_eq!(URL_SAFE_NO_PAD.decode(token.split('.').nth(2).unwrap()).unwrap().len(), length);
            // Any other byte is not what was signed.
            let other = token.replacen('.', "Q.", 1);
            assert!(!folder.verifies(&other, digest));
        }
    }
}

#[test]
fn a_key_that_stays_where_it_is_signs_the_input() {
    let Some(folder) = Folder::new("ear-input") else { return };
    folder.key("P-256");
    let ear = Ear::new();
    let input =
        ear.made(|ear, input, error| unsafe { atls_ear_signing_input(ear, ATLS_EAR_ES256, null(), input, error) });
    let input = input.unwrap();
    std::fs::write(folder.0.join("input"), &input).unwrap();
    assert!(folder.run(&["dgst", "-sha256", "-sign", "key.pem", "-out", "signature", "input"]));
    let signature = fixed(&folder.read("signature"), 32);
    let with = |signature: &[u8]| {
        let call = |ear: *mut atls_ear, token: &mut _, error: &mut _| unsafe {
            atls_ear_sign_with(ear, ATLS_EAR_ES256, null(), raw(signature), token, error)
        };
        ear.made(call)
    };
    let token = with(&signature).unwrap();
    assert!(token.starts_with(&format!("{input}.")) && folder.verifies(&token, "-sha256"));
    assert!(with(&signature[1..]).unwrap_err().1.contains("a signature of 63 bytes, and one of ES256 has 64"));
    assert_eq!(part(&token, 0), json!({"alg": "ES256", "typ": "JWT"}));
}

/// From DER.
fn fixed(der: &[u8], length: usize) -> Vec<u8> {
    let (mut out, mut at) = (Vec::new(), 2);
    for _ in 0..2 {
        let number = &der[at + 2..][..der[at + 1].into()];
        let digits = &number[number.len().saturating_sub(length)..];
        out.extend(vec![0; length - digits.len()]);
        out.extend_from_slice(digits);
        at += 2 + usize::from(der[at + 1]);
    }
    out
}

#[test]
fn bad_keys_are_refused() {
    let ear = Ear::new();
    let bad = |key: &[u8], part: &str| {
        let (status, message) = ear.sign(key).unwrap_err();
        assert_eq!(status, "INVALID_ARGUMENT");
        assert!(message.starts_with("key: ") && message.contains(part), "{message}");
    };
    bad(b"", "no private key");
    bad(b"nothing", "no private key");
    bad(b"-----BEGIN PRIVATE KEY-----\n", "no private key in PEM");
    bad(b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "no private key of P-256 or P-384");
    let Some(folder) = Folder::new("ear-keys") else { return };
    bad(&folder.key("P-521"), "no private key of P-256 or P-384");
    bad(&folder.key("secp256k1"), "no private key of P-256 or P-384");
    let key = folder.key("P-256");
    bad(&folder.read("public.pem"), "no private key in PEM");
    bad(&key[..key.len() / 2], "no private key in PEM");
    assert!(folder.run(&["ec", "-in", "key.pem", "-out", "sec1.pem"]));
    bad(&folder.read("sec1.pem"), "not in PKCS#8");
    assert!(folder.run(&["pkcs8", "-topk8", "-in", "key.pem", "-passout", "pass:x", "-out", "locked.pem"]));
    bad(&folder.read("locked.pem"), "encrypted");
    assert!(folder.run(&["genpkey", "-algorithm", "ed25519", "-out", "ed.pem"]));
    bad(&folder.read("ed.pem"), "no private key of P-256 or P-384");
}

#[test]
fn what_a_result_is_not_told_it_does_not_say() {
    let ear = Ear::new();
    let claims = |ear: &Ear| -> Value {
        let claims = ear.made(|ear, json, error| unsafe { atls_ear_claims(ear, json, error) }).unwrap();
        serde_json::from_str(&claims).unwrap()
    };
    let bare = claims(&ear);
    assert_eq!((&bare["iat"], &bare["exp"], &bare["eat_nonce"]), (&json!(ISSUED), &Value::Null, &Value::Null));
    assert_eq!(bare["ear_verifier_id"]["developer"], "libatls");
    assert_eq!(bare["eat_profile"], "tag:ietf.org,2026:rats/ear#04");
    unsafe {
        assert_eq!(atls_ear_set_expiry(ear.0, ISSUED + 60, null_mut()), 0);
        assert_eq!(atls_ear_set_nonce(ear.0, raw(&[0xfb; 9]), null_mut()), 0);
        assert_eq!(atls_ear_set_verifier(ear.0, c"https://v.example".as_ptr(), c"v 1".as_ptr(), null_mut()), 0);
        assert_eq!(atls_ear_add_policy_id(ear.0, c"urn:a".as_ptr(), null_mut()), 0);
        assert_eq!(atls_ear_add_policy_id(ear.0, c"urn:b".as_ptr(), null_mut()), 0);
    }
    let told = claims(&ear);
    assert_eq!((&told["exp"], &told["eat_nonce"]), (&json!(ISSUED + 60), &json!("-_v7-_v7-_v7")));
    assert_eq!(told["ear_verifier_id"], json!({"developer": "https://v.example", "build": "v 1"}));
    assert_eq!(told["submods"]["tdx"]["ear_appraisal_policy_ids"], json!(["urn:a", "urn:b"]));
}

#[test]
fn values_that_make_no_sense_are_refused() {
    let ear = Ear::new();
    for length in [0, 7, 65] {
        let nonce = vec![1; length];
        ear.refused("within 8..64", |ear, error| unsafe { atls_ear_set_nonce(ear, raw(&nonce), error) });
    }
    for time in [0, ISSUED] {
        ear.refused("is not after", |ear, error| unsafe { atls_ear_set_expiry(ear, time, error) });
    }
    ear.refused("build is empty", |ear, error| unsafe {
        atls_ear_set_verifier(ear, c"x".as_ptr(), c"".as_ptr(), error)
    });
    ear.refused("id is empty", |ear, error| unsafe { atls_ear_add_policy_id(ear, c"".as_ptr(), error) });
    ear.refused("algorithm 2", |ear, error| unsafe { atls_ear_signing_input(ear, 2, null(), &mut null_mut(), error) });
    let verdict = refusal();
    ear.refused("issued_at is 0", |_, error| unsafe { atls_ear_new(verdict, 0, &mut null_mut(), error) });
    unsafe { atls_verdict_free(verdict) };
}

/// Names of all checks in the sources.
fn rules() -> BTreeSet<String> {
    fn walk(folder: &Path, found: &mut BTreeSet<String>) {
        for entry in folder.read_dir().unwrap().flatten().map(|entry| entry.path()) {
            if entry.is_dir() && !entry.ends_with("toy") {
                walk(&entry, found);
            } else if entry.extension().is_some_and(|extension| extension == "rs") && !entry.ends_with("tests.rs") {
                let text = std::fs::read_to_string(&entry).unwrap();
                for call in ["CheckId::new(\"", "CheckId::about(\""] {
                    found.extend(text.split(call).skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()));
                }
            }
        }
    }
    let mut found = BTreeSet::from(["event".to_owned()]);
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/attest"), &mut found);
    assert!(found.len() > 50, "{found:?}");
    found
}

#[test]
fn each_check_has_its_place_in_the_vector_and_on_the_page() {
    use atls::attest::ear::{Aspect, aspect};
    let rows = PAGE.lines().filter_map(|line| line.strip_prefix("| **")?.split_once("** | "));
    let rows: Vec<(&str, &str)> = rows.collect();
    let mut wrong = Vec::new();
    for rule in rules() {
        let name = match aspect(&rule) {
            Some(Aspect::Instance) => "instance-identity",
            Some(Aspect::Configuration) => "configuration",
            Some(Aspect::Executables) => "executables",
            Some(Aspect::Consistency) => "consistency",
            Some(Aspect::Hardware) => "hardware",
            Some(Aspect::Runtime) => "runtime-opaque",
            None => {
                wrong.push(format!("{rule}: src/attest/ear/aspects.rs does not have it"));
                continue;
            }
        };
        let is_there = rows.iter().any(|(row, text)| *row == name && text.contains(&format!("`{rule}`")));
        wrong.extend((!is_there).then(|| format!("{rule}: docs/verdict.md does not have it in row {name}")));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
