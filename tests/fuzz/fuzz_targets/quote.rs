//! Quotes, judged in full against collateral of the simulated platform: nothing that is made up is trusted.
#![no_main]

use std::sync::OnceLock;

use atls::attest::tdx::TdxEvidence;
use atls::attest::{AppraisalRequest, Binding, Documents, Policy, TrustAnchors, Vendor, appraise, dcap, tdx};
use simtee::collateral::Issue;
use simtee::{Guest, SimTee};

struct World {
    quote: Vec<u8>,
    log: String,
    documents: Documents,
    policy: Policy,
    bare: Policy,
    anchors: TrustAnchors,
}

/// The input is XORed over a genuine quote, so that mutations are near what is valid.
static WORLD: OnceLock<World> = OnceLock::new();

fn world() -> &'static World {
    WORLD.get_or_init(|| {
        let (tee, guest) = (SimTee::new(), Guest::booted(2));
        World {
            quote: guest.quote(&tee, &[0; 64]),
            log: guest.log().to_string(),
            documents: dcap::documents::from_json(tee.collateral_json(&Issue::default()).as_bytes()).unwrap(),
            policy: Policy::from_json(guest.policy("https://pccs.example").to_string().as_bytes()).unwrap(),
            bare: bare(&guest),
            anchors: TrustAnchors::simulated(Vendor::Intel, tee.root_der.clone()),
        }
    })
}

/// The same guest without its log, by its registers.
fn bare(guest: &Guest) -> Policy {
    let chain = guest.policy("")["expected_bootchain"].to_string();
    let document = format!(r#"{{"type":"tdx","measurements":[{chain}],"allow_simulated":true}}"#);
    Policy::from_json(document.as_bytes()).unwrap()
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let [low, high, edits @ ..] = data else { return };
    let world = world();
    let mut quote = world.quote.clone();
    let at = usize::from(u16::from_le_bytes([*low, *high])) % quote.len();
    quote[at..].iter_mut().zip(edits).for_each(|(byte, edit)| *byte ^= edit);
    let signed = quote[..1258] != world.quote[..1258];
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let made = tdx::genuine(&quote, world.anchors.of(Vendor::Intel), now);
    assert!(!(signed && made.is_ok()));
    let evidence = TdxEvidence { quote, event_log: Some(world.log.clone()), ccel: None }.into();
    let (documents, anchors) = (&world.documents, &world.anchors);
    for policy in [&world.policy, &world.bare] {
        let request = AppraisalRequest { evidence: &evidence, documents, policy, anchors, binding: &Binding::Skip, received: now, now };
        // A quote of another kind has no verdict.
        let trusted = appraise(&request).is_ok_and(|verdict| verdict.trusted);
        assert!(!(signed && trusted));
    }
});
