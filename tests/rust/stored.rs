//! What was stored by an earlier build: evidence with the verdict on it, word for word, a bundle of collateral, and a folder of it. The files in
//! `stored` are never written again: programs keep such files, and compare such texts. Since they were stored, a verdict has one member more, its `version`.

#![allow(unsafe_code)] // It is a client of the C ABI.

mod support;

use std::ffi::CString;
use std::path::{Path, PathBuf};
use std::ptr::null_mut;
use support::abi::*;

use atls::attest::hash::unhex;
use atls::attest::tdx::TdxEvidence;
use atls::attest::{
    AppraisalRequest, Binding, Documents, Policy, TrustAnchors, Vendor, appraise, is_bound, needs, refuse_unbound,
};
use serde_json::Value;
use support::offline::{EXPORTER, NONCE, Question, Session};

fn stored() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rust/stored")
}

fn read(name: &str) -> Value {
    let path = stored().join(name);
    serde_json::from_slice(&std::fs::read(&path).expect("stored file")).expect("JSON")
}

fn bytes(value: &Value) -> Vec<u8> {
    unhex(value.as_str().expect("text")).expect("hex")
}

fn question(document: &Value, case: &Value) -> Question {
    let session = match &case["session"] {
        Value::Null => Session::None,
        session if session["leaf"].is_string() => Session::Atlas { leaf: bytes(&session["leaf"]) },
        session => {
            Session::Client { server_leaf: bytes(&session["server_leaf"]), client_leaf: bytes(&session["client_leaf"]) }
        }
    };
    Question {
        quote: bytes(&case["quote"]),
        log: case["log"].as_str().map(str::to_owned),
        stored: None,
        collateral: case["collateral"].as_str().or(document["collateral"].as_str()).expect("collateral").to_owned(),
        policy: case["policy"].clone(),
        root: Some(bytes(&document["root"])),
        session,
        now: case["now"].as_u64().expect("time"),
    }
}

#[test]
fn verdicts_are_the_same_word_for_word() {
    let document = read("verdicts.json");
    let cases = document["cases"].as_array().unwrap();
    assert!(cases.len() >= 20);
    for case in cases.iter().filter(|case| case["before_collateral"].is_null()) {
        let found = question(&document, case).ask();
        let text = if found.verdict.is_null() { found.message } else { without_version(found.verdict) };
        assert_eq!((found.status.as_str(), text.as_str()), (status(case), verdict(case)), "{}", case["name"]);
    }
}

#[test]
fn verdicts_before_any_collateral_are_the_same_too() {
    let document = read("verdicts.json");
    let cases = document["cases"].as_array().unwrap().iter().filter(|case| case["before_collateral"] == true);
    assert_eq!(cases.clone().count(), 2);
    for case in cases {
        let question = question(&document, case);
        let Session::Atlas { leaf } = question.session else { panic!("{case}") };
        let exporter = bytes(&case["exporter"]).try_into().unwrap();
        let request = AppraisalRequest {
            evidence: &TdxEvidence { quote: question.quote, event_log: question.log, ccel: None }.into(),
            documents: &Documents::none(),
            policy: &Policy::from_json(question.policy.to_string().as_bytes()).unwrap(),
            anchors: &TrustAnchors::simulated(Vendor::Intel, question.root.unwrap()),
            binding: &Binding::Session { nonce: NONCE, exporter, leaf_certificate: leaf },
            received: question.now,
            now: question.now,
        };
        let found = match needs(&request).unwrap() {
            None => appraise(&request).unwrap(),
            Some(needs) => {
                assert_eq!((needs.len(), is_bound(&request), exporter == EXPORTER), (4, false, false));
                refuse_unbound(&request).unwrap()
            }
        };
        let of = found.error().unwrap().status.name();
        let text = without_version(serde_json::from_str(&found.to_json()).unwrap());
        assert_eq!((of.as_str(), text.as_str()), (status(case), verdict(case)), "{}", case["name"]);
    }
}

fn without_version(mut verdict: Value) -> String {
    assert_eq!(verdict.as_object_mut().unwrap().shift_remove("version"), Some(1.into()));
    verdict.to_string()
}

fn status(case: &Value) -> &str {
    case["status"].as_str().unwrap()
}

fn verdict(case: &Value) -> &str {
    case["verdict"].as_str().unwrap()
}

/// A verifier for the stored documents, which keeps them in `folder`, if there is one.
fn verifier(folder: Option<&Path>) -> *mut atls_verifier {
    let root = bytes(&read("verdicts.json")["root"]);
    unsafe {
        let mut config = null_mut();
        assert_eq!(atls_verifier_config_new(&mut config, null_mut()), 0);
        assert_eq!(
            atls_verifier_config_set_simulated_root(
                config,
                atls_bytes { ptr: root.as_ptr(), len: root.len() },
                null_mut()
            ),
            0
        );
        if let Some(folder) = folder {
            let path = CString::new(folder.to_str().unwrap()).unwrap();
            assert_eq!(atls_verifier_config_set_disk_cache(config, path.as_ptr(), null_mut()), 0);
        }
        let mut verifier = null_mut();
        assert_eq!(atls_verifier_new(config, &mut verifier, null_mut()), 0);
        atls_verifier_config_free(config);
        verifier
    }
}

/// What a verifier holds, which is freed.
fn export(verifier: *mut atls_verifier) -> String {
    unsafe {
        let mut bundle = null_mut();
        assert_eq!(atls_verifier_export(verifier, &mut bundle, null_mut()), 0);
        let text = std::slice::from_raw_parts(atls_buf_data(bundle), atls_buf_len(bundle)).to_vec();
        atls_buf_free(bundle);
        atls_verifier_free(verifier);
        String::from_utf8(text).unwrap()
    }
}

#[test]
fn a_stored_bundle_is_taken_whole_and_written_the_same() {
    let bundle = std::fs::read_to_string(stored().join("bundle.json")).unwrap();
    let (verifier, mut taken) = (verifier(None), 0);
    let status = unsafe {
        atls_verifier_import(verifier, atls_bytes { ptr: bundle.as_ptr(), len: bundle.len() }, &mut taken, null_mut())
    };
    assert_eq!((status, taken), (0, 4));
    assert_eq!(export(verifier), bundle);
}

#[test]
fn a_stored_folder_is_loaded_whole_and_written_the_same() {
    let folder = std::env::temp_dir().join(format!("atls-stored-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir(&folder).unwrap();
    let files: Vec<PathBuf> =
        std::fs::read_dir(stored().join("cache")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 4);
    for file in &files {
        std::fs::copy(file, folder.join(file.file_name().unwrap())).unwrap();
    }
    let bundle = std::fs::read_to_string(stored().join("bundle.json")).unwrap();
    assert_eq!(export(verifier(Some(&folder))), bundle, "what was fetched into the folder was exported to the bundle");
    // A bundle's documents have files of their own, of the same form.
    let fresh = folder.join("fresh");
    let verifier = verifier(Some(&fresh));
    let status = unsafe {
        atls_verifier_import(verifier, atls_bytes { ptr: bundle.as_ptr(), len: bundle.len() }, null_mut(), null_mut())
    };
    unsafe { atls_verifier_free(verifier) };
    assert_eq!(status, 0);
    for file in &files {
        let stem = file.file_name().unwrap().to_str().unwrap().split('.').next().unwrap().to_owned();
        let written = std::fs::read_dir(&fresh).unwrap().map(|entry| entry.unwrap().path());
        let mut written =
            written.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with(&format!("{stem}.")));
        let written: Value = serde_json::from_slice(&std::fs::read(written.next().expect(&stem)).unwrap()).unwrap();
        let old: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        let members = |document: &Value| document.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(members(&written), members(&old), "{stem}");
        for member in ["name", "body", "chain", "fetched"] {
            assert_eq!(written[member], old[member], "{stem}: {member}");
        }
    }
    std::fs::remove_dir_all(&folder).unwrap();
}
