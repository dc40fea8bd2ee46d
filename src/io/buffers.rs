//! Buffers for what hosts send, and for connections at work, used again. An upload copies each piece once; the general allocator would return the memory to
//! the system and fetch it again for every piece, which costs more than the copy. Touches memory only.

use std::ops::{Deref, DerefMut};
use std::sync::Mutex;

use bytes::Bytes;

use super::sync::lock;

/// Above this, and below `LEAST`, the general allocator is as fast.
const SIZE: usize = 64 << 10;
const LEAST: usize = 4 << 10;
/// Buffers come in powers of two, so that none is more than twice what it holds: 4, 8, 16, 32 and 64 KiB.
const KINDS: usize = (SIZE / LEAST).ilog2() as usize + 1;
/// Bytes of idle buffers that are kept.
const KEPT: usize = 1 << 20;

static IDLE: Mutex<Idle> = Mutex::new(Idle { buffers: [const { Vec::new() }; KINDS], bytes: 0 });

struct Idle {
    buffers: [Vec<Vec<u8>>; KINDS],
    bytes: usize,
}

/// A copy of `data`, whose memory is used again for the next one.
pub fn copy(data: &[u8]) -> Bytes {
    if !is_pooled(data.len()) {
        return Bytes::copy_from_slice(data);
    }
    let mut buffer = lend(held(data.len()));
    buffer.extend_from_slice(data);
    Bytes::from_owner(buffer)
}

/// An empty buffer for `size` bytes, one of the sizes in which they come.
pub fn lend(size: usize) -> LentBuffer {
    let buffer = lock(&IDLE).take(size).unwrap_or_else(|| Vec::with_capacity(size));
    LentBuffer { buffer, size }
}

/// Bytes of memory that a copy of so many bytes occupies.
pub fn held(length: usize) -> usize {
    if is_pooled(length) { length.next_power_of_two() } else { length }
}

fn is_pooled(length: usize) -> bool {
    (LEAST..=SIZE).contains(&length)
}

fn kind(size: usize) -> usize {
    (size / LEAST).ilog2() as usize
}

impl Idle {
    fn take(&mut self, size: usize) -> Option<Vec<u8>> {
        let buffer = self.buffers[kind(size)].pop()?;
        self.bytes -= size;
        Some(buffer)
    }

    fn keep(&mut self, size: usize, buffer: Vec<u8>) {
        if self.bytes + size <= KEPT {
            self.bytes += size;
            self.buffers[kind(size)].push(buffer);
        }
    }
}

/// Goes back when it is dropped.
pub struct LentBuffer {
    buffer: Vec<u8>,
    /// As which it is kept; what the allocator gave may be more.
    size: usize,
}

impl Deref for LentBuffer {
    type Target = Vec<u8>;

    fn deref(&self) -> &Vec<u8> {
        &self.buffer
    }
}

impl DerefMut for LentBuffer {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }
}

impl AsRef<[u8]> for LentBuffer {
    fn as_ref(&self) -> &[u8] {
        &self.buffer
    }
}

impl Drop for LentBuffer {
    fn drop(&mut self) {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        // One that its user has made longer would be kept as less than it is.
        if buffer.capacity() < 2 * self.size {
            lock(&IDLE).keep(self.size, buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_comes_back_and_is_bounded() {
        let held: Vec<Bytes> = (0..48).map(|n| copy(&vec![n as u8; SIZE])).collect();
        assert!(held.iter().enumerate().all(|(n, bytes)| bytes.len() == SIZE && bytes[0] == n as u8));
        drop(held);
        assert!(lock(&IDLE).bytes <= KEPT);
        assert_eq!(&copy(b"small")[..], b"small");
        assert_eq!(copy(&[7; LEAST]), vec![7; LEAST]);
    }

    #[test]
    fn a_buffer_that_has_grown_is_not_kept() {
        let mut buffer = lend(LEAST);
        buffer.resize(2 * LEAST, 7);
        let grown = buffer.as_ptr();
        drop(buffer);
        let again = lend(LEAST);
        assert!(again.is_empty() && again.capacity() < 2 * LEAST, "{grown:?}");
    }

    #[test]
    fn no_buffer_is_more_than_twice_what_it_holds() {
        for length in [1, LEAST - 1, LEAST, LEAST + 1, 5000, 16 << 10, (16 << 10) + 1, SIZE, SIZE + 1] {
            assert_eq!(copy(&vec![1; length]).len(), length);
            assert!((length..=2 * length).contains(&held(length)), "{length}");
        }
        assert_eq!((kind(held(LEAST)), kind(held(SIZE))), (0, KINDS - 1));
    }
}
