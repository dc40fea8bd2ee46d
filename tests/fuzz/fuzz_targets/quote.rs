//! Quotes, judged in full against collateral of the simulated platform: nothing that is made up is trusted.
#![no_main]

use std::sync::OnceLock;

use atls::attest::{Binding, Collateral, Evidence, Policy, Request, TrustAnchors, appraise, tdx};
use simtee::collateral::Issue;
use simtee::{Guest, SimTee};

struct World {
    quote: Vec<u8>,
    log: String,
    collateral: Collateral,
    policy: Policy,
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
            collateral: Collateral::from_json(tee.collateral_json(&Issue::default()).as_bytes()).unwrap(),
            policy: Policy::from_json(guest.policy("https://pccs.example").to_string().as_bytes()).unwrap(),
            anchors: TrustAnchors { simulated: Some(tee.root_der.clone()) },
        }
    })
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let [low, high, edits @ ..] = data else { return };
    let world = world();
    let mut quote = world.quote.clone();
    let at = usize::from(u16::from_le_bytes([*low, *high])) % quote.len();
    quote[at..].iter_mut().zip(edits).for_each(|(byte, edit)| *byte ^= edit);
    let signed = quote[..1258] != world.quote[..1258];
    let evidence = Evidence { quote, event_log: Some(world.log.clone()) };
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let made = tdx::genuine(&evidence.quote, world.anchors.simulated.as_deref().unwrap(), now);
    assert!(!(signed && made.is_ok()));
    let (collateral, policy, anchors) = (&world.collateral, &world.policy, &world.anchors);
    let request = Request { evidence: &evidence, collateral, policy, anchors, binding: &Binding::Skip, now };
    // A quote of another kind has no verdict.
    let trusted = appraise(&request).is_ok_and(|verdict| verdict.trusted);
    assert!(!(signed && trusted));
});
