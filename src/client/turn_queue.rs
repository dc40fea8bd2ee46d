//! Which request is next: a limited number is under way, in all and to each host; the others wait, first come, first served. No I/O.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use tokio::sync::oneshot;

use crate::error::{Error, Result, Status};
use crate::io::sync::lock;

/// Host and port.
pub type HostAndPort = (String, u16);

pub struct TurnQueue {
    most: usize,
    most_at_one_place: usize,
    state: Mutex<State>,
}

/// A host is in `places` while it has a request under way or waiting. It is in `next`, by the number of the first request that waits for it, while its own
/// limit lets that request go.
#[derive(Default)]
struct State {
    active: usize,
    came: u64,
    places: HashMap<HostAndPort, Queue>,
    next: BTreeMap<u64, HostAndPort>,
}

#[derive(Default)]
struct Queue {
    active: usize,
    waiting: VecDeque<(u64, oneshot::Sender<Turn>)>,
}

/// The right to have a request under way; given back when dropped.
pub struct Turn {
    /// `None` for a turn that was never taken, and is no longer counted.
    turns: Option<Arc<TurnQueue>>,
    place: HostAndPort,
}

/// A place in the queue, from the call of `queue` on.
pub struct QueuedTurn(oneshot::Receiver<Turn>);

impl QueuedTurn {
    pub async fn turn(self) -> Result<Turn> {
        self.0.await.map_err(|_| Error::new(Status::Closed, "the client is closed"))
    }
}

impl TurnQueue {
    pub fn new(most: usize, most_at_one_place: usize) -> TurnQueue {
        TurnQueue { most, most_at_one_place, state: Mutex::default() }
    }

    /// Takes a place in the queue. Later requests do not overtake it, unless it must wait for its host and they need not.
    pub fn queue(self: &Arc<Self>, place: HostAndPort) -> QueuedTurn {
        let (sender, receiver) = oneshot::channel();
        let mut state = lock(&self.state);
        state.came += 1;
        let number = state.came;
        state.places.entry(place.clone()).or_default().waiting.push_back((number, sender));
        self.list(&mut state, &place);
        self.admit(&mut state);
        QueuedTurn(receiver)
    }

    /// How many are under way, and how many wait.
    pub fn counts(&self) -> (usize, usize) {
        let state = lock(&self.state);
        let waiting = state.places.values().flat_map(|queue| &queue.waiting);
        (state.active, waiting.filter(|(_, sender)| !sender.is_closed()).count())
    }

    /// How many are under way to this host.
    pub fn active_at(&self, place: &HostAndPort) -> usize {
        lock(&self.state).places.get(place).map_or(0, |queue| queue.active)
    }

    /// Brings `next` up to date for one host.
    fn list(&self, state: &mut State, place: &HostAndPort) {
        let Some(queue) = state.places.get_mut(place) else { return };
        while queue.waiting.front().is_some_and(|(number, sender)| {
            let gone = sender.is_closed();
            if gone {
                state.next.remove(number);
            }
            gone
        }) {
            queue.waiting.pop_front();
        }
        match queue.waiting.front() {
            Some((number, _)) if queue.active < self.most_at_one_place => {
                state.next.insert(*number, place.clone());
            }
            Some((number, _)) => {
                state.next.remove(number);
            }
            None if queue.active == 0 => {
                state.places.remove(place);
            }
            None => {}
        }
    }

    /// Grants turns to all requests that may go. Those that were given up in the meantime are skipped in this loop, however many there are: dropping their
    /// turns instead would recurse, since each drop admits the next.
    fn admit(self: &Arc<Self>, state: &mut State) {
        while state.active < self.most
            && let Some((_, place)) = state.next.pop_first()
        {
            let Some(queue) = state.places.get_mut(&place) else { continue };
            if let Some((_, sender)) = queue.waiting.pop_front() {
                match sender.send(Turn { turns: Some(self.clone()), place: place.clone() }) {
                    Ok(()) => {
                        queue.active += 1;
                        state.active += 1;
                    }
                    Err(mut unwanted) => unwanted.turns = None,
                }
            }
            self.list(state, &place);
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let Some(turns) = &self.turns else { return };
        let mut state = lock(&turns.state);
        state.active -= 1;
        if let Some(queue) = state.places.get_mut(&self.place) {
            queue.active -= 1;
        }
        turns.list(&mut state, &self.place);
        turns.admit(&mut state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    fn place(name: &str) -> HostAndPort {
        (name.into(), 443)
    }

    fn granted(waiting: &mut QueuedTurn) -> Option<Turn> {
        (&mut waiting.0).now_or_never().and_then(|granted| granted.ok())
    }

    #[test]
    fn first_come_first_served() {
        let turns = Arc::new(TurnQueue::new(2, usize::MAX));
        let mut all: Vec<_> = (0..100).map(|n| turns.queue(place(["a", "b", "c"][n % 3]))).collect();
        assert_eq!(turns.counts(), (2, 98));
        let mut held = VecDeque::from([granted(&mut all[0]).unwrap(), granted(&mut all[1]).unwrap()]);
        for waiting in &mut all[2..] {
            assert!(granted(waiting).is_none());
            held.pop_front();
            held.push_back(granted(waiting).unwrap());
        }
        held.clear();
        assert_eq!(turns.counts(), (0, 0));
        assert!(lock(&turns.state).places.is_empty() && lock(&turns.state).next.is_empty());
    }

    #[test]
    fn one_place_does_not_keep_the_others_waiting() {
        let turns = Arc::new(TurnQueue::new(10, 1));
        let mut all: Vec<_> = ["a", "a", "b", "a", "b"].map(|name| turns.queue(place(name))).into();
        let (first, other) = (granted(&mut all[0]).unwrap(), granted(&mut all[2]).unwrap());
        assert!(granted(&mut all[1]).is_none() && granted(&mut all[3]).is_none() && granted(&mut all[4]).is_none());
        assert_eq!((turns.counts(), turns.active_at(&place("a"))), ((2, 3), 1));
        // A request that was given up is skipped.
        all.remove(1);
        drop(first);
        let third = granted(&mut all[2]).unwrap();
        drop(other);
        drop(granted(&mut all[3]).unwrap());
        drop(third);
        assert!(lock(&turns.state).places.is_empty() && lock(&turns.state).next.is_empty());
    }

    /// What a crawler leaves that gives up everything it has begun.
    #[test]
    fn any_number_that_have_gone_are_passed_over_on_a_small_stack() {
        let give_up = || {
            let turns = Arc::new(TurnQueue::new(1, usize::MAX));
            let first = turns.queue(place("a"));
            for number in 0..20_000 {
                drop(turns.queue(place(&format!("{number}"))));
            }
            let mut last = turns.queue(place("z"));
            drop(first);
            assert!(granted(&mut last).is_some());
            assert!(lock(&turns.state).places.is_empty() && lock(&turns.state).next.is_empty());
        };
        std::thread::Builder::new().stack_size(256 << 10).spawn(give_up).unwrap().join().unwrap();
    }

    #[test]
    fn a_turn_that_nobody_takes_goes_on() {
        let turns = Arc::new(TurnQueue::new(1, usize::MAX));
        let first = turns.queue(place("a"));
        let mut second = turns.queue(place("a"));
        // Granted, and dropped unseen.
        drop(first);
        assert!(granted(&mut second).is_some());
        assert_eq!(turns.counts(), (0, 0));
    }
}
