//! Evidence of Azure's virtual machines that is bent at random, under a policy with pins that nobody has: never trusted, and never a panic.

#![allow(unsafe_code)] // It is a client of the C ABI.

#[path = "support/random.rs"]
mod random;
mod support;

use random::Random;
use serde_json::{Value, json};
use support::azure_machine::{BOTH, honest};

fn rounds() -> u64 {
    std::env::var("ATLS_ROBUST_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(150)
}

fn scramble(random: &mut Random, bytes: &mut Vec<u8>) {
    for _ in 0..random.next(4) {
        match (random.next(5), bytes.len()) {
            (_, 0) => bytes.push(random.next(256) as u8),
            (0, length) => bytes.truncate(random.next(length)),
            (1, length) => bytes.insert(random.next(length), random.next(256) as u8),
            (_, length) => bytes[random.next(length)] ^= 1 << random.next(8),
        }
    }
}

#[test]
fn nothing_made_up_is_trusted() {
    let mut random = Random(0x5eed_a2e5);
    let seeds = BOTH.map(honest);
    for round in 0..rounds() {
        let mut bent = random.pick(&[&seeds[0], &seeds[1]]).clone();
        scramble(&mut random, &mut bent.hcl);
        scramble(&mut random, &mut bent.message);
        scramble(&mut random, &mut bent.signature);
        for part in [&mut bent.quote, &mut bent.leaf].into_iter().flatten() {
            scramble(&mut random, part);
        }
        bent.ak.iter_mut().for_each(|certificate| scramble(&mut random, certificate));
        if random.once_in(3) {
            bent.pcrs[random.next(26).to_string()] = format!("{:064x}", random.next(usize::MAX)).into();
        }
        let pin: String = (0..64).map(|_| char::from_digit(random.next(15) as u32 + 1, 16).unwrap()).collect();
        bent.policy["pcrs"] = json!({"4": [pin], (5 + random.next(11)).to_string(): [pin]});
        let found = bent.ask();
        let said = &found.verdict["trusted"];
        assert!(found.status != "OK" && (said == false || *said == Value::Null), "{round}: {found:?}");
    }
}
