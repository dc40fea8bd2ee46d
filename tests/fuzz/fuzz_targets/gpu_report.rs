//! Reports of GPUs beside an enclave, judged in full against a simulated NVIDIA: nothing that is made up is trusted.
#![no_main]

use std::sync::OnceLock;

use atls::attest::nvidia::{GpuEvidence, Report};
use atls::attest::{AppraisalRequest, Binding, Documents, Evidence, Policy, TrustAnchors, Vendor, appraise};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use simtee::nitro::Aws;
use simtee::nvidia::{Gpu, Nvidia};

const NOW: u64 = 1_790_000_000;
const NONCE: [u8; 32] = [9; 32];

struct World {
    gpu: Gpu,
    report: Vec<u8>,
    main: Value,
    policy: Policy,
    anchors: TrustAnchors,
}

/// The input is XORed over what is genuine, so that mutations are near what is valid.
static WORLD: OnceLock<World> = OnceLock::new();

fn world() -> &'static World {
    WORLD.get_or_init(|| {
        let (enclave, gpu) = (Aws::get().enclave(NOW - 60, NOW + 3600), Nvidia::get().gpu("1"));
        let policy = json!({
            "type": "nitro", "pcrs": {"0": ["01".repeat(48)]}, "allow_simulated": true,
            "gpu": {"required": 1, "measurements": [{"values": {"1": "01".repeat(48)}}]},
        });
        let mut anchors = TrustAnchors::simulated(Vendor::Aws, Aws::get().root_der.clone());
        anchors.add_simulated(Vendor::Nvidia, Nvidia::get().root_der.clone());
        World {
            report: gpu.sign(&gpu.report(&NONCE)),
            gpu,
            main: json!({"document": STANDARD.encode(enclave.sign(&enclave.document(NOW, &[7; 64])))}),
            policy: Policy::from_json(policy.to_string().as_bytes()).unwrap(),
            anchors,
        }
    })
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    // Whatever it is.
    drop(Report::read(data));
    if let Ok(object) = serde_json::from_slice(data) {
        drop(GpuEvidence::from_json(&object));
    }
    let [low, high, edits @ ..] = data else { return };
    let World { gpu, report, main, policy, anchors } = world();
    let mut bent = report.clone();
    let at = usize::from(u16::from_le_bytes([*low, *high])) % bent.len();
    bent[at..].iter_mut().zip(edits).for_each(|(byte, edit)| *byte ^= edit);
    let attached = json!([{"tee": "nvidia", "evidence": [gpu.entry(&bent, &NONCE)]}]);
    let stored = json!({"tee": "nitro", "evidence": main, "attached": attached});
    let Ok(evidence) = Evidence::from_json(stored.to_string().as_bytes()) else { return };
    let (documents, binding) = (Documents::none(), Binding::Skip);
    let request =
        AppraisalRequest { evidence: &evidence, documents: &documents, policy, anchors, binding: &binding, received: NOW, now: NOW };
    let trusted = appraise(&request).is_ok_and(|verdict| verdict.trusted);
    // What stands behind the signature is not signed, and is nothing but zeros.
    assert!(trusted == (bent == *report));
});
