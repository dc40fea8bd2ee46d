//! Bytes that were received but not parsed yet. Consumed bytes stay in place until more are written, so events can be views of them. Pure.

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// The receive buffer. The live bytes follow those that were consumed, up to `end`.
#[derive(Default)]
pub struct Buffer {
    storage: BytesMut,
    start: usize,
    /// Bytes at the end of `storage` that are not received. They have a value, so that room that is reserved again need not be cleared again.
    spare: usize,
    /// How many of these were reserved last.
    reserved: usize,
    /// Somebody may hold a part of the memory, or have held it: what `storage` can see of it says nothing about its size.
    shared: bool,
    /// Bytes of the memory of which `storage` is a part.
    whole: usize,
    /// How far, from `start`, the search for line ends has got.
    searched: usize,
    /// Positions, from `start`, of the line feeds found so far. 32 bits are enough: blocks are limited to less.
    feeds: Vec<u32>,
}

/// Bytes that the buffer has at least, if it has any.
const LEAST: usize = 1 << 10;
/// Bytes of storage that an empty buffer may keep.
const KEEP: usize = 256 << 10;
/// Pieces of fewer bytes are copied out of the buffer: that costs less than new memory for the buffer.
pub const WORTH: usize = 4 << 10;

impl Buffer {
    fn end(&self) -> usize {
        self.storage.len() - self.spare
    }

    pub fn live(&self) -> &[u8] {
        &self.storage[self.start..self.end()]
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn len(&self) -> usize {
        self.end() - self.start
    }

    /// Bytes of the storage, by positions that [`Buffer::consume`] gave.
    pub fn bytes(&self, range: std::ops::Range<usize>) -> &[u8] {
        &self.storage[range]
    }

    pub fn bytes_mut(&mut self, range: std::ops::Range<usize>) -> &mut [u8] {
        &mut self.storage[range]
    }

    pub fn push(&mut self, bytes: &[u8]) {
        self.make_room(bytes.len());
        self.storage.extend_from_slice(bytes);
    }

    /// Room for at least `least` bytes: what is put there is received.
    pub fn room(&mut self, least: usize) -> &mut impl BufMut {
        self.make_room(least.max(1));
        &mut self.storage
    }

    /// `least` writable bytes, for [`Buffer::commit`].
    pub fn reserve(&mut self, least: usize) -> &mut [u8] {
        let least = least.max(1);
        if self.is_empty() {
            (self.start, self.spare) = (0, self.storage.len());
        }
        let is_large = self.is_empty() && self.storage.capacity() > KEEP && least <= KEEP;
        if is_large || self.storage.capacity() - self.end() < least {
            self.make_room(least);
        }
        let end = self.end();
        self.storage.resize(self.storage.len().max(end + least), 0);
        (self.spare, self.reserved) = (self.storage.len() - end, least);
        &mut self.storage[end..end + least]
    }

    /// The first `count` reserved bytes were filled. False if fewer were reserved.
    pub fn commit(&mut self, count: usize) -> bool {
        if count > self.reserved {
            return false;
        }
        (self.spare, self.reserved) = (self.spare - count, 0);
        true
    }

    /// Frees what is beyond `keep` and not in use. Live bytes are copied only if more than that was consumed before them.
    pub fn rest(&mut self, keep: usize) {
        let size = self.storage.capacity();
        if self.shared || (size > keep && size - self.len() > self.len()) {
            let storage = BytesMut::from(self.live());
            let (searched, feeds) = (self.searched, std::mem::take(&mut self.feeds));
            let whole = storage.capacity();
            *self = Buffer { storage, whole, searched, feeds, ..Buffer::default() };
        }
        if self.feeds.is_empty() && self.feeds.capacity() > keep {
            self.feeds = Vec::new();
        }
    }

    fn make_room(&mut self, count: usize) {
        self.storage.truncate(self.end());
        (self.spare, self.reserved) = (0, 0);
        if self.is_empty() {
            self.storage.clear();
            self.start = 0;
            if self.storage.capacity() > KEEP && count <= KEEP {
                self.storage = BytesMut::new();
            }
        }
        if self.storage.capacity() - self.storage.len() >= count {
            return;
        }
        // What was consumed is used again if at least as much was consumed as is left, which is then moved.
        self.storage.advance(self.start);
        self.start = 0;
        if !self.storage.try_reclaim(count) {
            let mut storage = BytesMut::with_capacity((self.len() + count).max(2 * self.len()).max(LEAST));
            storage.extend_from_slice(&self.storage);
            self.storage = storage;
            self.whole = self.storage.capacity();
        }
    }

    /// Takes out what was consumed last: a large piece without a copy, if it is at least a third of the memory that it would hold. The buffer then goes on in other
    /// memory, unless the piece is dropped before it needs more.
    pub fn take_out(&mut self, piece: std::ops::Range<usize>) -> Bytes {
        if piece.len() < WORTH || 3 * piece.len() < self.whole || piece.end != self.start {
            return Bytes::copy_from_slice(&self.storage[piece]);
        }
        self.storage.advance(piece.start);
        self.start = 0;
        self.shared = true;
        self.storage.split_to(piece.len()).freeze()
    }

    /// Takes `count` bytes off the front and says where they are.
    pub fn consume(&mut self, count: usize) -> std::ops::Range<usize> {
        let from = self.start;
        self.start += count;
        self.searched = 0;
        self.feeds.clear();
        from..self.start
    }

    /// The length of the first line including its LF, if it is complete. Looks at no byte twice, and at none beyond `most`.
    pub fn find_line(&mut self, most: usize) -> Option<usize> {
        let live = &self.storage[self.start..self.end().min(self.start.saturating_add(most))];
        let found = memchr::memchr(b'\n', &live[self.searched..]).map(|at| self.searched + at);
        self.searched = found.map_or(live.len(), |at| at + 1);
        found.map(|at| at + 1)
    }

    /// The length of the lines up to and including an empty one, if there is one. Looks at no byte twice, even if they come one at a time, and at
    /// none beyond `most`: what is longer is refused, and positions in it need not be kept.
    pub fn find_block(&mut self, most: usize) -> Option<usize> {
        let live = &self.storage[self.start..self.end().min(self.start.saturating_add(most))];
        let from = self.searched;
        for at in memchr::memchr_iter(b'\n', &live[from..]) {
            let at = from + at;
            let line = self.feeds.last().map_or(0, |last| *last as usize + 1);
            self.feeds.push(at as u32);
            if at == line || (at == line + 1 && live[line] == b'\r') {
                self.searched = at + 1;
                return Some(at + 1);
            }
        }
        self.searched = live.len();
        None
    }

    /// The line feeds of the block that was found; the last one ends the empty line. Call this before consuming the block.
    pub fn take_feeds(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.feeds)
    }

    /// Returns the list, so that its memory is reused.
    pub fn return_feeds(&mut self, mut feeds: Vec<u32>) {
        feeds.clear();
        self.feeds = feeds;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A head that comes byte by byte costs linear time, because the search continues where it stopped.
    #[test]
    fn no_byte_is_searched_twice() {
        let mut buffer = Buffer::default();
        for (index, byte) in b"GET / HTTP/1.1\r\nA: b\r\n\r\n".iter().enumerate() {
            assert_eq!(buffer.searched, index);
            buffer.push(std::slice::from_ref(byte));
            assert_eq!(buffer.find_block(100).is_some(), index == 23);
        }
        let feeds = buffer.take_feeds();
        assert_eq!(feeds, [15, 21, 23]);
        buffer.consume(24);
        buffer.push(&b"a\n".repeat(1000));
        assert_eq!((buffer.find_block(10), buffer.feeds.len()), (None, 5));
    }

    /// Live bytes are moved to the front only if at least as many were consumed.
    #[test]
    fn room_is_reused_and_given_back() {
        let mut buffer = Buffer::default();
        for _ in 0..1000 {
            buffer.push(&[7; 1000]);
            buffer.consume(1000);
        }
        assert!(buffer.storage.capacity() <= 4096);
        buffer.push(&vec![7; 1 << 20]);
        buffer.consume(1 << 20);
        buffer.push(b"x");
        assert_eq!(buffer.live(), b"x");
        assert!(buffer.storage.capacity() <= KEEP);
        assert!(!buffer.commit(1), "nothing was reserved");
        let room = buffer.reserve(10).len();
        assert!(room >= 10 && !buffer.commit(room + 1) && buffer.commit(room) && !buffer.commit(1));
        assert_eq!(buffer.len(), 1 + room);
        buffer.reserve(10);
        buffer.room(3).put_slice(b"abc");
        assert!(buffer.live().ends_with(b"\0abc") && buffer.len() == 4 + room, "what was reserved before is no room");
    }

    /// A large piece is the buffer's own memory; it does not change when the buffer goes on, and `rest` does not hold on to it.
    #[test]
    fn large_pieces_are_not_copied_and_stay_as_they_are() {
        for (size, same) in [(WORTH - 1, false), (WORTH, true), (3 * WORTH, true)] {
            let mut buffer = Buffer::default();
            buffer.push(b"head");
            buffer.push(&vec![b'x'; size]);
            buffer.push(b"next");
            buffer.consume(4);
            let place = buffer.live().as_ptr();
            let range = buffer.consume(size);
            let piece = buffer.take_out(range);
            assert_eq!(piece.as_ptr() == place, same, "{size}");
            assert_eq!(buffer.live(), b"next");
            buffer.push(&vec![b'y'; 5 * WORTH]);
            buffer.consume(4);
            buffer.room(WORTH).put_slice(b"z");
            assert!(piece.iter().all(|byte| *byte == b'x') && piece.len() == size);
            assert!(buffer.live().iter().rev().skip(1).all(|byte| *byte == b'y') && buffer.live().ends_with(b"yz"));
            let all = buffer.consume(5 * WORTH + 1);
            drop(buffer.take_out(all));
            buffer.rest(100);
            assert_eq!((buffer.storage.capacity(), buffer.len()), (0, 0));
        }
    }

    /// However its memory came about, a piece of which little is left does not hold all of it.
    #[test]
    fn a_piece_holds_at_most_three_times_its_size() {
        let (mut buffer, mut pieces) = (Buffer::default(), Vec::new());
        for turn in 0..200 {
            let count = WORTH / 2 + turn * 977 % (8 * WORTH);
            buffer.reserve(16 * WORTH);
            assert!(buffer.commit(count));
            if turn % 3 == 0 {
                buffer.push(&[7; WORTH]);
            }
            let rest = (turn % 5) * 100;
            while buffer.len() > rest {
                let range = buffer.consume((WORTH + turn * 331 % (2 * WORTH)).min(buffer.len() - rest));
                let (length, whole) = (range.len(), range.end == buffer.start);
                pieces.push((length, buffer.take_out(range)));
                assert!(whole);
            }
        }
        drop(buffer);
        for (length, piece) in pieces {
            // The last that holds the memory can tell how large it is.
            if let Ok(piece) = piece.try_into_mut() {
                assert!(piece.capacity() <= 3 * length, "{length}: {}", piece.capacity());
            }
        }
    }

    #[test]
    fn room_that_is_reserved_again_is_not_cleared_again() {
        let mut buffer = Buffer::default();
        buffer.reserve(WORTH).fill(7);
        assert!(buffer.commit(10));
        buffer.consume(10);
        assert!(buffer.reserve(WORTH).iter().all(|byte| *byte == 7), "all was consumed");
        assert!(buffer.commit(1));
        let place = buffer.live().as_ptr();
        assert!(buffer.reserve(100).iter().all(|byte| *byte == 7), "what is left beyond what came");
        assert_eq!((buffer.live(), buffer.live().as_ptr()), (&[7][..], place));
        buffer.push(b"abc");
        assert!(!buffer.commit(1), "pushing ends a reservation");
        assert_eq!(buffer.live(), b"\x07abc");
        assert_eq!(buffer.reserve(2 * WORTH).len(), 2 * WORTH);
        assert!(buffer.live() == b"\x07abc" && buffer.commit(0) && buffer.len() == 4);
        buffer.rest(0);
        assert_eq!((buffer.live(), buffer.storage.len()), (&b"\x07abc"[..], 4));
    }
}
