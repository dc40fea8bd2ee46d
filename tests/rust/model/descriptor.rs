//! What stands for a descriptor.

use loom::sync::atomic::{AtomicU32, Ordering};

use crate::mailbox::Bell;

/// A descriptor: whether it is readable, with a moment before and after each system call.
#[derive(Default)]
pub struct Descriptor(AtomicU32);

impl Bell for Descriptor {
    fn ring(&self) {
        assert_eq!(self.0.swap(1, Ordering::SeqCst), 0, "rung while it rings");
    }

    fn silence(&self) {
        assert_eq!(self.0.swap(0, Ordering::SeqCst), 1, "silenced while it is silent");
    }
}

impl Descriptor {
    pub fn readable(&self) -> bool {
        self.0.load(Ordering::SeqCst) == 1
    }
}
