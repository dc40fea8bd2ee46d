//! Judging evidence of every kind: whole appraisals, of machines met for the first time and of known ones, beside one P-384 verification,
//! which is the least that a new report or document of SEV-SNP or Nitro takes.
//!
//! families N: prints one JSON line per case, CPU per verification in microseconds.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P384_SHA384_FIXED, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair, UnparsedPublicKey,
};
use bench::Meter;
use bench::families::{Question, cases};

fn measure(kind: &str, name: &str, questions: &[Question]) {
    print!("{kind}-{name} ");
    let meter = Meter::start();
    questions.iter().for_each(Question::judge);
    meter.finish(questions.len() as u64, 0);
}

fn main() {
    let count: usize = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(300);
    let pair = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap();
    let signature = pair.sign(&SystemRandom::new(), &[7; 672]).unwrap();
    let key = UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, pair.public_key().as_ref());
    print!("P-384 ");
    let meter = Meter::start();
    (0..count).for_each(|_| key.verify(&[7; 672], signature.as_ref()).unwrap());
    meter.finish(count as u64, 0);
    for case in cases(count) {
        measure(case.name, "cold", &case.strangers);
        case.known[0].judge();
        measure(case.name, "known", &case.known[1..]);
    }
}
