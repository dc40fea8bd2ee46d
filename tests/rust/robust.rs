//! Parsers under mutation: whatever bytes come, the answer is a value or an error, never a panic, and never trust.
//!
//! The generator is seeded, so a failure repeats; ATLS_ROBUST_ROUNDS makes it longer.

use atls::attest::dstack::event_log::EventLog;
use atls::attest::tdx::TdxEvidence;
use atls::attest::{AppraisalRequest, Binding, Policy, TrustAnchors, Vendor, appraise, dcap, tdx};
use simtee::collateral::Issue;
use simtee::guest::answer;
use simtee::{Guest, SimTee};

struct Random(u64);

impl Random {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % below.max(1) as u64) as usize
    }

    /// One to four edits: flip, overwrite, cut, repeat.
    fn mutate(&mut self, data: &[u8]) -> Vec<u8> {
        let mut out = data.to_vec();
        for _ in 0..=self.next(3) {
            let at = self.next(out.len());
            match self.next(6) {
                0 if !out.is_empty() => out[at] ^= 1 << self.next(8),
                1 if !out.is_empty() => out[at] = b"\"{}[],:0\\\x00\xff"[self.next(11)],
                2 => out.truncate(at),
                3 => drop(out.drain(at..(at + self.next(40)).min(out.len()))),
                4 => {
                    let piece: Vec<u8> = out[at..(at + self.next(60)).min(out.len())].to_vec();
                    let to = self.next(out.len());
                    out.splice(to..to, piece);
                }
                _ if !out.is_empty() => out[at] = self.next(256) as u8,
                _ => {}
            }
        }
        out
    }
}

fn rounds(default: usize) -> usize {
    std::env::var("ATLS_ROBUST_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[test]
fn bent_documents_are_read_or_refused() {
    let tee = SimTee::new();
    let guest = Guest::booted(2);
    let policy = guest.policy("https://pccs.example").to_string();
    let evidence = answer(&guest.quote(&tee, &[0; 64]), &guest.log()).to_string();
    let log = guest.log().to_string();
    let collateral = tee.collateral_json(&Issue::default());
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for _ in 0..rounds(3000) {
        let _ = Policy::from_json(&random.mutate(policy.as_bytes()));
        let _ = TdxEvidence::from_json(&random.mutate(evidence.as_bytes()));
        let _ = EventLog::parse(&String::from_utf8_lossy(&random.mutate(log.as_bytes())));
        let _ = dcap::documents::from_json(&random.mutate(collateral.as_bytes()));
    }
}

#[test]
fn no_mutated_quote_or_log_is_trusted_for_what_it_is_not() {
    let tee = SimTee::new();
    let guest = Guest::booted(1);
    let collateral = dcap::documents::from_json(tee.collateral_json(&Issue::default()).as_bytes()).unwrap();
    let policy = Policy::from_json(guest.policy("https://pccs.example").to_string().as_bytes()).unwrap();
    let anchors = TrustAnchors::simulated(Vendor::Intel, tee.root_der.clone());
    let quote = guest.quote(&tee, &[0; 64]);
    let log = guest.log().to_string();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let judge = |quote: Vec<u8>, log: String| {
        let evidence = TdxEvidence { quote, event_log: Some(log), ccel: None }.into();
        let request = AppraisalRequest {
            evidence: &evidence,
            documents: &collateral,
            policy: &policy,
            anchors: &anchors,
            binding: &Binding::Skip,
            received: now,
            now,
        };
        appraise(&request).unwrap()
    };
    assert!(judge(quote.clone(), log.clone()).trusted);
    let mut random = Random(42);
    for _ in 0..rounds(2000) {
        let bent = random.mutate(&quote);
        let _ = tdx::genuine(&bent, &tee.root_der, now);
        // The signed part and the signatures: 1258 bytes of a version 4 quote. Behind them are certificates in text form, where
        // a change may leave the meaning as it was.
        if bent.len() >= 1258 && bent[..1258] != quote[..1258] {
            assert!(!judge(bent, log.clone()).trusted);
        }
        let bent = String::from_utf8_lossy(&random.mutate(log.as_bytes())).into_owned();
        let verdict = judge(quote.clone(), bent.clone());
        if verdict.trusted {
            // Then it says the same as before: only what nobody reads has changed.
            let runtime = |text: &str| EventLog::parse(text).unwrap().runtime;
            assert_eq!(runtime(&bent), runtime(&log), "{bent}");
        }
    }
}
