//! A seeded generator: a failure repeats.
#![allow(dead_code)]

pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % below.max(1) as u64) as usize
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.next(from.len())]
    }

    /// One of the first `usual`, and once in `rare` times one of all.
    pub fn mostly<T: Copy>(&mut self, from: &[T], usual: usize, rare: usize) -> T {
        let count = if self.once_in(rare) { from.len() } else { usual };
        from[self.next(count)]
    }

    /// True once in `n` times.
    pub fn once_in(&mut self, n: usize) -> bool {
        self.next(n) == 0
    }
}
