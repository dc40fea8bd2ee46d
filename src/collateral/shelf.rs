//! Where one document from one source is kept, and what is known of that source's answers. No I/O.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;

use super::lock;
use super::object::{Object, Source};
use crate::error::{Error, Result};

/// How long a bad answer is remembered: who makes us ask for what a service does not have makes us ask once.
pub const BAD_ANSWER: Duration = Duration::from_secs(30);

/// The place of one document of one source.
#[derive(Debug)]
pub struct Place {
    pub source: Source,
    /// Held by whoever asks the source: it is asked once for all that wait.
    pub fetching: tokio::sync::Mutex<()>,
    state: Mutex<State>,
}

/// Invariant: `newest` is authentic, and never replaced by an older one. So it is the memory of what was seen as well, past its date too.
#[derive(Debug, Default)]
struct State {
    newest: Option<Arc<Object>>,
    /// SHA-256 of the root's revocation list that `newest` was last held against.
    held_against: Option<[u8; 32]>,
    /// What the last question led to, and when.
    last: Option<(Instant, Result<Arc<Object>>)>,
    bad_answer: Option<(Instant, Error)>,
    backoff_until: Option<Instant>,
}

impl Place {
    pub fn new(source: Source) -> Place {
        Place { source, fetching: tokio::sync::Mutex::default(), state: Mutex::default() }
    }

    pub fn newest(&self) -> Option<Arc<Object>> {
        lock(&self.state).newest.clone()
    }

    pub fn is_empty(&self) -> bool {
        lock(&self.state).newest.is_none()
    }

    /// Keeps an authentic document unless a newer one is kept already; says whether it was taken.
    pub fn keep(&self, object: &Arc<Object>) -> bool {
        let mut state = lock(&self.state);
        let goes_back = state.newest.as_ref().is_some_and(|kept| object.window.is_older_than(&kept.window));
        if !goes_back {
            state.newest = Some(object.clone());
            state.held_against = None;
        }
        !goes_back
    }

    /// Whether `newest` was held against this list.
    pub fn was_held_against(&self, list: &[u8; 32]) -> bool {
        lock(&self.state).held_against.as_ref() == Some(list)
    }

    pub fn mark_held_against(&self, list: [u8; 32]) {
        lock(&self.state).held_against = Some(list);
    }

    /// What a question led to that was answered after `arrived`: who waited for it need not ask again. Else a bad answer of late.
    pub fn answer_since(&self, arrived: Instant) -> Option<Result<Arc<Object>>> {
        let state = lock(&self.state);
        match (&state.last, &state.bad_answer) {
            (Some((at, done)), _) if *at >= arrived => Some(done.clone()),
            (_, Some((at, error))) if at.elapsed() < BAD_ANSWER => {
                let ago = at.elapsed().as_secs();
                Some(Err(Error { message: format!("{} ({ago} s ago)", error.message), ..error.clone() }))
            }
            _ => None,
        }
    }

    /// `is_answer`: the source itself said so, not the way there.
    pub fn answered(&self, done: &Result<Arc<Object>>, is_answer: bool) {
        let mut state = lock(&self.state);
        let now = Instant::now();
        state.bad_answer = done.as_ref().err().filter(|_| is_answer).map(|error| (now, error.clone()));
        state.last = Some((now, done.clone()));
    }

    /// Use `newest` for so long before asking again.
    pub fn back_off(&self, time: Duration) {
        lock(&self.state).backoff_until = Some(Instant::now() + time);
    }

    pub fn is_backing_off(&self) -> bool {
        lock(&self.state).backoff_until.is_some_and(|until| Instant::now() < until)
    }
}
