//! Where items wait to be taken, and what wakes the taker. Pure; the model test runs it through every interleaving.

use std::collections::VecDeque;
use std::time::Instant;

use super::sync::{Condvar, Mutex, lock};

/// Shows to the outside that items wait.
pub trait Bell {
    fn ring(&self);
    fn silence(&self);
}

/// Places for items that an empty mailbox keeps.
pub const KEPT: usize = 256;

pub struct Mailbox<T, B> {
    state: Mutex<State<T>>,
    filled: Condvar,
    bell: Option<B>,
}

/// Invariants, whenever the lock is free: the bell rings only if there are items; and if there are, then it rings, and of those who wait as many were woken as
/// there are items or the one that was woken wakes the next, or a thread has been told by `push` to call `announce`. The bell is rung and silenced under
/// the lock; otherwise a ring and a silence that overtake each other would leave it wrong for good.
struct State<T> {
    items: VecDeque<T>,
    /// Nobody takes items any more.
    abandoned: bool,
    rings: bool,
    /// Threads in `wait`: to wake nobody is a system call, too.
    waiting: usize,
}

impl<T, B: Bell> Mailbox<T, B> {
    pub fn new(bell: Option<B>) -> Mailbox<T, B> {
        let state = State { items: VecDeque::new(), abandoned: false, rings: false, waiting: 0 };
        Mailbox { state: Mutex::new(state), filled: Condvar::new(), bell }
    }

    pub fn bell(&self) -> Option<&B> {
        self.bell.as_ref()
    }

    /// Whoever takes items has this one from here on. If the answer is true, call `announce` soon, once for any number of items: some may not know of
    /// it. Gives `item` back if nobody will take it.
    pub fn push(&self, item: T) -> Result<bool, T> {
        let mut state = lock(&self.state);
        if state.abandoned {
            return Err(item);
        }
        state.items.push_back(item);
        Ok(state.waiting > 0 || (self.bell.is_some() && !state.rings))
    }

    /// Rings, and wakes one that waits: it wakes the next if it leaves something.
    pub fn announce(&self) {
        let mut state = lock(&self.state);
        if state.items.is_empty() {
            return;
        }
        self.ring(&mut state);
        let waiting = state.waiting;
        drop(state);
        if waiting > 0 {
            self.filled.notify_one();
        }
    }

    fn ring(&self, state: &mut State<T>) {
        if let (false, Some(bell)) = (state.rings, &self.bell) {
            state.rings = true;
            bell.ring();
        }
    }

    fn silence(&self, state: &mut State<T>) {
        if let (true, Some(bell)) = (state.rings, &self.bell) {
            state.rings = false;
            bell.silence();
        }
    }

    /// Hands up to `max` items to `each`, which runs under the lock; returns how many.
    pub fn take(&self, max: usize, mut each: impl FnMut(T)) -> usize {
        let mut state = lock(&self.state);
        let count = state.items.len().min(max);
        if count == 0 {
            return 0;
        }
        state.items.drain(..count).for_each(&mut each);
        if state.items.is_empty() {
            if state.items.capacity() > KEPT {
                state.items = VecDeque::new();
            }
            self.silence(&mut state);
            return count;
        }
        // What is left may not have been announced, and the one that was woken for all of it goes.
        self.ring(&mut state);
        let waiting = state.waiting;
        drop(state);
        if waiting > 0 {
            self.filled.notify_one();
        }
        count
    }

    /// Puts all items into `room`, which is empty.
    pub fn take_all(&self, room: &mut VecDeque<T>) {
        let mut state = lock(&self.state);
        std::mem::swap(&mut state.items, room);
        self.silence(&mut state);
    }

    /// Waits until there is an item, `enough` is true, or the deadline passes; whether there is an item. `enough` runs under the lock; call `nudge` after
    /// its answer has changed.
    pub fn wait(&self, deadline: Option<Instant>, enough: impl Fn() -> bool) -> bool {
        let mut state = lock(&self.state);
        state.waiting += 1;
        while state.items.is_empty() && !enough() {
            state = match deadline {
                None => self.filled.wait(state).unwrap_or_else(|poison| poison.into_inner()),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        break;
                    }
                    self.filled.wait_timeout(state, left).unwrap_or_else(|poison| poison.into_inner()).0
                }
            };
        }
        state.waiting -= 1;
        !state.items.is_empty()
    }

    /// Makes the waiters check `enough` again.
    pub fn nudge(&self) {
        let waiting = lock(&self.state).waiting;
        if waiting > 0 {
            self.filled.notify_all();
        }
    }

    /// From now on no items are accepted; those that wait are given back.
    pub fn abandon(&self) -> VecDeque<T> {
        let mut state = lock(&self.state);
        state.abandoned = true;
        let left = std::mem::take(&mut state.items);
        self.silence(&mut state);
        let waiting = state.waiting;
        drop(state);
        if waiting > 0 {
            self.filled.notify_all();
        }
        left
    }
}
