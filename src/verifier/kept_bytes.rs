//! Byte strings of which many are alike, kept in pieces that they share: evidence of one machine differs from connection to connection in a few hundred
//! bytes of tens of thousands. No I/O.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use crate::io::sync::lock;

/// Bytes of a piece: what differs costs one or two of them, and each costs the two words that refer to it.
const PIECE: usize = 512;
/// How many pieces there are at least before those that nobody has are looked for.
const FEW: usize = 64;

/// All pieces that somebody has.
#[derive(Default)]
pub struct SharedPieces(Mutex<State>);

#[derive(Default)]
struct State {
    known: HashSet<Arc<[u8]>>,
    /// When to look next for pieces that nobody has any more: once there are twice as many as were left the last time.
    sweep_at: usize,
}

/// A byte string in pieces.
#[derive(Clone, Debug)]
pub struct KeptBytes(Box<[Arc<[u8]>]>);

impl SharedPieces {
    pub fn keep(&self, bytes: &[u8]) -> KeptBytes {
        let mut state = lock(&self.0);
        let pieces = bytes.chunks(PIECE).map(|piece| state.shared(piece)).collect();
        if state.known.len() >= state.sweep_at.max(FEW) {
            state.known.retain(|piece| Arc::strong_count(piece) > 1);
            state.sweep_at = 2 * state.known.len();
        }
        KeptBytes(pieces)
    }
}

impl State {
    fn shared(&mut self, piece: &[u8]) -> Arc<[u8]> {
        if let Some(known) = self.known.get(piece) {
            return known.clone();
        }
        let new: Arc<[u8]> = piece.into();
        self.known.insert(new.clone());
        new
    }
}

impl KeptBytes {
    pub fn get(&self) -> Vec<u8> {
        self.0.concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_alike_is_kept_once_and_only_as_long_as_somebody_has_it() {
        let pieces = SharedPieces::default();
        let whole: Vec<u8> = (0..20_000_u32).flat_map(|number| number.to_be_bytes()).collect();
        let mut all = Vec::new();
        for number in 0..100_u8 {
            let mut one = whole.clone();
            one[1000..1064].fill(number);
            all.push((pieces.keep(&one), one));
        }
        assert!(all.iter().all(|(kept, given)| kept.get() == *given));
        let shared = whole.len() / PIECE;
        assert!(lock(&pieces.0).known.len() <= shared + 1 + 2 * all.len(), "{}", lock(&pieces.0).known.len());
        all.clear();
        for number in 0..100_000_u32 {
            pieces.keep(&number.to_be_bytes());
        }
        assert!(lock(&pieces.0).known.len() <= 2 * FEW, "{}", lock(&pieces.0).known.len());
        assert_eq!(pieces.keep(b"").get(), b"");
    }
}
