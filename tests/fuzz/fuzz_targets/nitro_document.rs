//! Documents of Nitro enclaves, judged in full against a simulated AWS: nothing that is made up is trusted.
#![no_main]

use std::sync::OnceLock;

use atls::attest::nitro::{Enclave, Nitro, NitroDocument, Registers, TpmInstance};
use atls::attest::{AppraisalRequest, Binding, Documents, Evidence, Policy, TrustAnchors, Vendor, appraise, needs};
use simtee::nitro::Aws;

const NOW: u64 = 1_790_000_000;

struct World {
    document: Vec<u8>,
    policy: Policy,
    anchors: TrustAnchors,
}

/// The input is XORed over what is genuine, so that mutations are near what is valid.
static WORLD: OnceLock<World> = OnceLock::new();

fn world() -> &'static World {
    WORLD.get_or_init(|| {
        let enclave = Aws::get().enclave(NOW - 60, NOW + 3600);
        let policy = format!(r#"{{"type":"nitro","pcrs":{{"0":["{}"]}},"allow_simulated":true}}"#, "01".repeat(48));
        World {
            document: enclave.sign(&enclave.document(NOW, &[7; 64])),
            policy: Policy::from_json(policy.as_bytes()).unwrap(),
            anchors: TrustAnchors::simulated(Vendor::Aws, Aws::get().root_der.clone()),
        }
    })
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    // Whatever it is.
    drop(NitroDocument::read(data, TpmInstance::MEMBER));
    let [low, high, edits @ ..] = data else { return };
    let World { document, policy, anchors } = world();
    let mut bent = document.clone();
    let at = usize::from(u16::from_le_bytes([*low, *high])) % bent.len();
    bent[at..].iter_mut().zip(edits).for_each(|(byte, edit)| *byte ^= edit);
    let Ok(read) = NitroDocument::read(&bent, Enclave::MEMBER) else { return };
    let (evidence, documents) = (Evidence::of::<Nitro>(read), Documents::none());
    let request =
        AppraisalRequest { evidence: &evidence, documents: &documents, policy, anchors, binding: &Binding::Skip, received: NOW, now: NOW };
    drop(needs(&request));
    let trusted = appraise(&request).is_ok_and(|verdict| verdict.trusted);
    assert!(trusted == (bent == *document));
});
