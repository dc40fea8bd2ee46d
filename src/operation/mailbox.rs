//! Where items wait to be taken, and what wakes the taker. Pure; the model test runs it through every interleaving.

use std::collections::VecDeque;
use std::time::Instant;

use super::sync::{Condvar, Mutex, lock};

/// Shows to the outside that items wait.
pub trait Bell {
    fn ring(&self);
    fn silence(&self);
}

pub struct Mailbox<T, B> {
    state: Mutex<State<T>>,
    filled: Condvar,
    bell: Option<B>,
}

/// Invariant, whenever the lock is free: the bell rings exactly if there are items. It is rung and silenced under the lock; otherwise a ring and a silence
/// that overtake each other would leave it wrong for good.
struct State<T> {
    items: VecDeque<T>,
    /// Nobody takes items any more.
    abandoned: bool,
}

impl<T, B: Bell> Mailbox<T, B> {
    pub fn new(bell: Option<B>) -> Mailbox<T, B> {
        Mailbox { state: Mutex::new(State { items: VecDeque::new(), abandoned: false }), filled: Condvar::new(), bell }
    }

    pub fn bell(&self) -> Option<&B> {
        self.bell.as_ref()
    }

    /// Gives `item` back if nobody will take it.
    pub fn push(&self, item: T) -> Option<T> {
        let mut state = lock(&self.state);
        if state.abandoned {
            return Some(item);
        }
        if let (true, Some(bell)) = (state.items.is_empty(), &self.bell) {
            bell.ring();
        }
        state.items.push_back(item);
        drop(state);
        self.filled.notify_one();
        None
    }

    /// Hands up to `max` items to `each`, which runs under the lock; returns how many.
    pub fn take(&self, max: usize, mut each: impl FnMut(T)) -> usize {
        let mut state = lock(&self.state);
        let count = state.items.len().min(max);
        if count == 0 {
            return 0;
        }
        state.items.drain(..count).for_each(&mut each);
        match (state.items.is_empty(), &self.bell) {
            (true, Some(bell)) => bell.silence(),
            // A waiter may have been woken for each item; one that took several leaves the rest to another.
            (true, None) => (),
            (false, _) => self.filled.notify_one(),
        }
        count
    }

    /// Waits until there is an item, `enough` is true, or the deadline passes; whether there is an item. `enough` runs under the lock; call `nudge` after
    /// its answer has changed.
    pub fn wait(&self, deadline: Option<Instant>, enough: impl Fn() -> bool) -> bool {
        let mut state = lock(&self.state);
        while state.items.is_empty() && !enough() {
            state = match deadline {
                None => self.filled.wait(state).unwrap_or_else(|poison| poison.into_inner()),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return false;
                    }
                    self.filled.wait_timeout(state, left).unwrap_or_else(|poison| poison.into_inner()).0
                }
            };
        }
        !state.items.is_empty()
    }

    /// Makes the waiters check `enough` again.
    pub fn nudge(&self) {
        drop(lock(&self.state));
        self.filled.notify_all();
    }

    /// From now on no items are accepted; those that wait are given back.
    pub fn abandon(&self) -> VecDeque<T> {
        let mut state = lock(&self.state);
        state.abandoned = true;
        let left = std::mem::take(&mut state.items);
        if let (false, Some(bell)) = (left.is_empty(), &self.bell) {
            bell.silence();
        }
        drop(state);
        self.filled.notify_all();
        left
    }
}
