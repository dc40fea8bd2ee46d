//! Quotes of enclaves, judged in full against collateral of the simulated platform: nothing that is made up is trusted.
#![no_main]

use std::sync::OnceLock;

use atls::attest::sgx::{EnclaveReport, Sgx, SgxEvidence};
use atls::attest::{
    AppraisalRequest, Binding, Documents, Evidence, Policy, TrustAnchors, Vendor, appraise, dcap, needs,
};
use simtee::SimTee;
use simtee::collateral::Issue;
use simtee::sgx::Enclave;

struct World {
    quote: Vec<u8>,
    documents: Documents,
    policy: Policy,
    anchors: TrustAnchors,
}

/// The input is XORed over a genuine quote, so that mutations are near what is valid.
static WORLD: OnceLock<World> = OnceLock::new();

fn world() -> &'static World {
    WORLD.get_or_init(|| {
        let (tee, enclave) = (SimTee::new(), Enclave::new());
        World {
            quote: enclave.quote(&tee, &[0; 64]),
            documents: dcap::documents::from_json(tee.sgx_collateral_json(&Issue::default()).as_bytes()).unwrap(),
            policy: Policy::from_json(enclave.policy("https://pccs.example").to_string().as_bytes()).unwrap(),
            anchors: TrustAnchors::simulated(Vendor::Intel, tee.root_der.clone()),
        }
    })
}

/// Up to where the platform's certificates begin: header, report, keys and signatures.
const SIGNED: usize = 436 + 128 + 384 + 64 + 34;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    drop(EnclaveReport::read(data));
    let [low, high, edits @ ..] = data else { return };
    let World { quote, documents, policy, anchors } = world();
    let mut bent = quote.clone();
    let at = usize::from(u16::from_le_bytes([*low, *high])) % bent.len();
    bent[at..].iter_mut().zip(edits).for_each(|(byte, edit)| *byte ^= edit);
    let is_bent = bent[..SIGNED] != quote[..SIGNED];
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let evidence = Evidence::of::<Sgx>(SgxEvidence { quote: bent });
    let request = AppraisalRequest { evidence: &evidence, documents, policy, anchors, binding: &Binding::Skip, received: now, now };
    assert!(!is_bent || !matches!(needs(&request), Ok(Some(_))));
    let trusted = appraise(&request).is_ok_and(|verdict| verdict.trusted);
    assert!(!is_bent || !trusted);
});
