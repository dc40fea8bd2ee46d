//! Buffers for what hosts send. An upload copies each piece once; without re-use the general allocator returns the memory to the system
//! and fetches it again for every piece, which costs more than the copy (speed spec 4).

use std::sync::Mutex;

use bytes::Bytes;

use crate::flow::lock;

const SIZE: usize = 64 << 10;
/// Below this the allocator is as good.
const LEAST: usize = 4 << 10;
/// Buffers kept when idle: one MiB.
const KEPT: usize = 16;

static IDLE: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

/// A copy of `data` that gives its memory back for the next one.
pub fn copy(data: &[u8]) -> Bytes {
    if data.len() < LEAST || data.len() > SIZE {
        return Bytes::copy_from_slice(data);
    }
    let mut buffer = lock(&IDLE).pop().unwrap_or_else(|| Vec::with_capacity(SIZE));
    buffer.extend_from_slice(data);
    Bytes::from_owner(Lent(buffer))
}

struct Lent(Vec<u8>);

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let mut buffer = std::mem::take(&mut self.0);
        buffer.clear();
        let mut idle = lock(&IDLE);
        if idle.len() < KEPT {
            idle.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_comes_back_and_is_bounded() {
        let held: Vec<Bytes> = (0..3 * KEPT).map(|n| copy(&vec![n as u8; SIZE])).collect();
        assert!(held.iter().enumerate().all(|(n, bytes)| bytes.len() == SIZE && bytes[0] == n as u8));
        drop(held);
        assert!(lock(&IDLE).len() <= KEPT);
        assert_eq!(&copy(b"small")[..], b"small");
        assert_eq!(copy(&[7; LEAST]), vec![7; LEAST]);
    }
}
