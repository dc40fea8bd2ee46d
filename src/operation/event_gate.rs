//! The one place that all events of an operation pass: it keeps them in order, and knows when the operation is over. Pure; the model test runs it
//! through every interleaving.

use std::collections::VecDeque;

use super::sync::{Mutex, lock};

/// Opened once, shut once.
pub struct EventGate<T> {
    state: Mutex<State<T>>,
}

/// Invariants, whenever the lock is free: once `phase` is `Over`, nothing is added to `waiting` or handed to a `put` any more, so what passed last is
/// the last; `waiting` is empty unless `delivering`.
struct State<T> {
    phase: GatePhase,
    waiting: VecDeque<T>,
    /// A thread is delivering: other threads, and callbacks that post, leave their items to it.
    delivering: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum GatePhase {
    /// The start can still fail, and then the host is told nothing.
    Starting,
    Open,
    Over,
}

impl<T> Default for EventGate<T> {
    fn default() -> Self {
        EventGate::new()
    }
}

impl<T> EventGate<T> {
    pub fn new() -> EventGate<T> {
        EventGate {
            state: Mutex::new(State { phase: GatePhase::Starting, waiting: VecDeque::new(), delivering: false }),
        }
    }

    /// The operation has started.
    pub fn open(&self) {
        let mut state = lock(&self.state);
        if state.phase == GatePhase::Starting {
            state.phase = GatePhase::Open;
        }
    }

    /// The operation has not started, and will not.
    pub fn shut(&self) {
        lock(&self.state).phase = GatePhase::Over;
    }

    /// Gives `item` to `put`, which must not block nor call the host: it runs under the lock, so that what passes at the same time stays behind `item`
    /// or before it. After the `last` nothing passes. What may not pass is given back.
    pub fn pass(&self, item: T, last: bool, put: impl FnOnce(T)) -> Option<T> {
        let mut state = lock(&self.state);
        if !state.admit(last) {
            return Some(item);
        }
        put(item);
        None
    }

    /// As `pass`, and `deliver` runs on this thread and without the lock, never on two at a time.
    pub fn deliver(&self, item: T, last: bool, mut deliver: impl FnMut(T)) -> Option<T> {
        let mut state = lock(&self.state);
        if !state.admit(last) {
            return Some(item);
        }
        if state.delivering {
            state.waiting.push_back(item);
            return None;
        }
        state.delivering = true;
        let mut next = Some(item);
        while let Some(item) = next {
            drop(state);
            deliver(item);
            state = lock(&self.state);
            next = state.waiting.pop_front();
        }
        state.delivering = false;
        None
    }
}

impl<T> State<T> {
    fn admit(&mut self, last: bool) -> bool {
        if self.phase != GatePhase::Open {
            return false;
        }
        if last {
            self.phase = GatePhase::Over;
        }
        true
    }
}
