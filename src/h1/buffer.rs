//! Bytes that were received but not parsed yet. Consumed bytes stay in place until more are written, so events can be views of them. Pure.

/// The receive buffer. All of `storage` is initialised; the live bytes are `start..end`.
#[derive(Default)]
pub struct Buffer {
    storage: Vec<u8>,
    start: usize,
    end: usize,
    /// How far, from `start`, the search for line ends has got.
    searched: usize,
    /// Positions, from `start`, of the line feeds found so far. 32 bits are enough: blocks are limited to less.
    feeds: Vec<u32>,
    /// Bytes that were reserved for writing.
    reserved: usize,
}

/// Bytes of storage that an empty buffer may keep.
const KEEP: usize = 256 << 10;

impl Buffer {
    pub fn live(&self) -> &[u8] {
        &self.storage[self.start..self.end]
    }

    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    pub fn len(&self) -> usize {
        self.end - self.start
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
        self.storage[self.end..self.end + bytes.len()].copy_from_slice(bytes);
        self.end += bytes.len();
        self.reserved = 0;
    }

    /// At least `least` writable bytes, for [`Buffer::commit`].
    pub fn reserve(&mut self, least: usize) -> &mut [u8] {
        self.make_room(least.max(1));
        self.reserved = self.storage.len() - self.end;
        &mut self.storage[self.end..]
    }

    /// The first `count` reserved bytes were filled. False if fewer were reserved.
    pub fn commit(&mut self, count: usize) -> bool {
        if count > self.reserved {
            return false;
        }
        self.end += count;
        self.reserved = 0;
        true
    }

    /// Frees what is beyond `keep` and not in use. Live bytes are copied only if more than that was consumed before them.
    pub fn rest(&mut self, keep: usize) {
        if self.storage.len() > keep && self.storage.len() - self.len() > self.len() {
            let storage = self.live().to_vec();
            let (end, searched, feeds) = (storage.len(), self.searched, std::mem::take(&mut self.feeds));
            *self = Buffer { storage, end, searched, feeds, ..Buffer::default() };
        }
        if self.feeds.is_empty() && self.feeds.capacity() > keep {
            self.feeds = Vec::new();
        }
    }

    fn make_room(&mut self, count: usize) {
        if self.is_empty() {
            (self.start, self.end) = (0, 0);
            if self.storage.len() > KEEP && count <= KEEP {
                self.storage.truncate(KEEP);
                self.storage.shrink_to_fit();
            }
        }
        if self.storage.len() - self.end >= count {
            return;
        }
        // Moving pays for itself only if at least as much was consumed as is moved.
        if self.start >= self.len() {
            self.storage.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        let needed = self.end.saturating_add(count);
        if needed > self.storage.len() {
            self.storage.resize(needed.max(self.storage.len() * 2).max(1024), 0);
        }
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
        let live = &self.storage[self.start..self.end.min(self.start.saturating_add(most))];
        let found = memchr::memchr(b'\n', &live[self.searched..]).map(|at| self.searched + at);
        self.searched = found.map_or(live.len(), |at| at + 1);
        found.map(|at| at + 1)
    }

    /// The length of the lines up to and including an empty one, if there is one. Looks at no byte twice, even if they come one at a time, and at
    /// none beyond `most`: what is longer is refused, and positions in it need not be kept.
    pub fn find_block(&mut self, most: usize) -> Option<usize> {
        let live = &self.storage[self.start..self.end.min(self.start.saturating_add(most))];
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
        assert!(buffer.storage.len() <= 4096);
        buffer.push(&vec![7; 1 << 20]);
        buffer.consume(1 << 20);
        buffer.push(b"x");
        assert_eq!((buffer.live(), buffer.storage.capacity()), (&b"x"[..], KEEP));
        assert!(!buffer.commit(1), "nothing was reserved");
        let room = buffer.reserve(10).len();
        assert!(room >= 10 && !buffer.commit(room + 1) && buffer.commit(room) && !buffer.commit(1));
    }
}
