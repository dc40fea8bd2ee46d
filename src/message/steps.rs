//! How often names are compared: what grows with the square is found by counting, and not by a clock. Counts in unit tests only.

use std::hash::{Hash, Hasher};

#[cfg(test)]
thread_local! {
    static TAKEN: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// One comparison.
pub fn step() {
    #[cfg(test)]
    TAKEN.set(TAKEN.get() + 1);
}

/// How many `work` takes, on this thread.
#[cfg(test)]
pub fn taken(work: impl FnOnce()) -> u64 {
    let before = TAKEN.get();
    work();
    TAKEN.get() - before
}

/// A key of a map, whose comparisons are counted.
#[derive(Clone, Debug, Eq)]
pub struct Key<T>(pub T);

impl<T: PartialEq> PartialEq for Key<T> {
    fn eq(&self, other: &Key<T>) -> bool {
        step();
        self.0 == other.0
    }
}

impl<T: Hash> Hash for Key<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}
