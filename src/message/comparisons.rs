//! Counts comparisons of names, so that tests find quadratic growth without a clock. Counts in unit tests only. Pure.

use std::hash::{Hash, Hasher};

#[cfg(test)]
thread_local! {
    static TAKEN: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// Counts one comparison.
pub fn count_one() {
    #[cfg(test)]
    TAKEN.set(TAKEN.get() + 1);
}

/// How many comparisons `work` makes, on this thread.
#[cfg(test)]
pub fn count_of(work: impl FnOnce()) -> u64 {
    let before = TAKEN.get();
    work();
    TAKEN.get() - before
}

/// A key of a map; its comparisons are counted.
#[derive(Clone, Debug, Eq)]
pub struct CountedKey<T>(pub T);

impl<T: PartialEq> PartialEq for CountedKey<T> {
    fn eq(&self, other: &CountedKey<T>) -> bool {
        count_one();
        self.0 == other.0
    }
}

impl<T: Hash> Hash for CountedKey<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}
