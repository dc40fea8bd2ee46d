//! Where one document from one source is kept, and what is known of that source's answers. No I/O.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;

use super::kept_document::{DocumentSource, KeptDocument};
use super::news::News;
use crate::error::{Error, Result};
use crate::io::sync::lock;

/// How long a bad answer is remembered: asking for what a service does not have then reaches it once, not each time.
const BAD_ANSWER: Duration = Duration::from_secs(30);
/// The same for an answer that asking again soon would not change: the service does not have it.
const NOT_THERE: Duration = Duration::from_secs(60);

/// The place of one document of one source.
#[derive(Debug)]
pub struct DocumentSlot {
    pub source: DocumentSource,
    /// Of the store.
    news: Arc<News>,
    /// Held by whoever asks the source: it is asked once for all that wait.
    pub fetching: tokio::sync::Mutex<()>,
    state: Mutex<State>,
}

/// Invariant: `newest` is authentic, and never replaced by an older one. So it is the memory of what was seen as well, past its date too.
#[derive(Debug, Default)]
struct State {
    newest: Option<Arc<KeptDocument>>,
    /// SHA-256 of the root's revocation list that `newest` was last held against.
    held_against: Option<[u8; 32]>,
    last: Option<Last>,
    bad_answer: Option<(Instant, Error)>,
    backoff_until: Option<Instant>,
}

/// What the last question led to, and when.
#[derive(Debug)]
struct Last {
    at: Instant,
    done: Result<Arc<KeptDocument>>,
    /// The way on which there was no answer at all.
    lost_on: Option<String>,
}

impl DocumentSlot {
    pub fn new(source: DocumentSource, news: Arc<News>) -> DocumentSlot {
        DocumentSlot { source, news, fetching: tokio::sync::Mutex::default(), state: Mutex::default() }
    }

    pub fn newest(&self) -> Option<Arc<KeptDocument>> {
        lock(&self.state).newest.clone()
    }

    pub fn is_empty(&self) -> bool {
        lock(&self.state).newest.is_none()
    }

    /// Keeps an authentic document unless a newer one is kept already; says whether it was taken.
    pub fn keep(&self, object: &Arc<KeptDocument>) -> bool {
        let mut state = lock(&self.state);
        let goes_back = state.newest.as_ref().is_some_and(|kept| object.window.is_older_than(&kept.window));
        if goes_back {
            return false;
        }
        let is_news = state.newest.as_ref().is_none_or(|kept| kept.body != object.body || kept.chain != object.chain);
        state.newest = Some(object.clone());
        state.held_against = None;
        drop(state);
        if is_news {
            self.news.tell();
        }
        true
    }

    /// Empties the place; bad answers are remembered.
    pub fn forget(&self) {
        let mut state = lock(&self.state);
        (state.newest, state.held_against, state.last) = (None, None, None);
    }

    /// Whether this document was held against this list.
    pub fn was_held_against(&self, object: &KeptDocument, list: &[u8; 32]) -> bool {
        let state = lock(&self.state);
        state.is_newest(object) && state.held_against.as_ref() == Some(list)
    }

    /// Does nothing if a newer document has been kept meanwhile, because that one was not checked.
    pub fn mark_held_against(&self, object: &KeptDocument, list: [u8; 32]) {
        let mut state = lock(&self.state);
        if state.is_newest(object) {
            state.held_against = Some(list);
        }
    }

    /// The result of a request that ended after `arrived`: a caller that waited for it need not ask again, unless it failed on another route than the
    /// caller's. Otherwise a recent bad answer, if there is one.
    pub fn answer_since(&self, arrived: Instant, way: &str) -> Option<Result<Arc<KeptDocument>>> {
        let state = lock(&self.state);
        let says = |last: &&Last| last.at >= arrived && last.lost_on.as_deref().is_none_or(|lost| lost == way);
        if let Some(last) = state.last.as_ref().filter(says) {
            return Some(last.done.clone());
        }
        let (at, error) = state.bad_answer.as_ref().filter(|(at, error)| at.elapsed() < memory(error))?;
        let ago = at.elapsed().as_secs();
        Some(Err(Error { message: format!("{} ({ago} s ago)", error.message), ..error.clone() }))
    }

    /// `lost_on`: the route, if it was the route that failed and not the source.
    pub fn answered(&self, done: &Result<Arc<KeptDocument>>, lost_on: Option<String>) {
        let mut state = lock(&self.state);
        let at = Instant::now();
        state.bad_answer = done.as_ref().err().filter(|_| lost_on.is_none()).map(|error| (at, error.clone()));
        state.last = Some(Last { at, done: done.clone(), lost_on });
    }

    /// Use `newest` for `time` before asking again.
    pub fn back_off(&self, time: Duration) {
        lock(&self.state).backoff_until = Some(Instant::now() + time);
    }

    pub fn is_backing_off(&self) -> bool {
        lock(&self.state).backoff_until.is_some_and(|until| Instant::now() < until)
    }
}

fn memory(error: &Error) -> Duration {
    if (400..500).contains(&error.http_status) { NOT_THERE } else { BAD_ANSWER }
}

impl State {
    fn is_newest(&self, object: &KeptDocument) -> bool {
        self.newest.as_deref().is_some_and(|newest| std::ptr::eq(newest, object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collateral::kept_document::Window;
    use crate::collateral::unavailable;

    fn object(number: u64) -> Arc<KeptDocument> {
        let window = Window { issued: 1, expires: 2, number };
        Arc::new(KeptDocument {
            body: Vec::new(),
            chain: String::new(),
            window,
            fetched: 1,
            source: DocumentSource::Bundle,
            derived: Default::default(),
        })
    }

    #[tokio::test(start_paused = true)]
    async fn a_way_that_failed_is_no_answer_to_who_has_another() {
        let place = DocumentSlot::new(DocumentSource::Bundle, Arc::default());
        let begun = Instant::now();
        place.answered(&Err(unavailable("refused".into())), Some("one".into()));
        assert!(place.answer_since(begun, "one").is_some_and(|done| done.is_err()));
        assert!(place.answer_since(begun, "other").is_none());
        for good in [true, false] {
            place.answered(&if good { Ok(object(1)) } else { Err(unavailable("status 404".into())) }, None);
            for way in ["one", "other"] {
                assert_eq!(place.answer_since(begun, way).unwrap().is_ok(), good);
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_there_is_remembered_longer_than_another_bad_answer() {
        for (code, seconds) in [(0, 30), (500, 30), (400, 60), (404, 60)] {
            let place = DocumentSlot::new(DocumentSource::Bundle, Arc::default());
            place.answered(&Err(unavailable("no".into()).http_status(code)), None);
            tokio::time::advance(Duration::from_secs(seconds - 1)).await;
            let known = place.answer_since(Instant::now(), "other").unwrap().unwrap_err();
            assert!(known.message.ends_with(&format!("({} s ago)", seconds - 1)), "{code}: {known:?}");
            tokio::time::advance(Duration::from_secs(1)).await;
            assert!(place.answer_since(Instant::now(), "other").is_none(), "{code}");
        }
    }

    #[test]
    fn only_another_document_is_news() {
        let news = Arc::<News>::default();
        let place = DocumentSlot::new(DocumentSource::Bundle, news.clone());
        let changed = |number: u64, body: &[u8]| {
            let before = news.count();
            place.keep(&Arc::new(KeptDocument { body: body.into(), ..KeptDocument::clone(&object(number)) }));
            news.count() != before
        };
        assert!(changed(2, b"a"));
        assert!(!changed(2, b"a"));
        assert!(!changed(1, b"older"));
        assert!(changed(2, b"signed again"));
        assert!(changed(3, b"newer"));
    }

    #[test]
    fn a_document_that_came_meanwhile_was_not_held_against_the_list() {
        let (place, old, new) = (DocumentSlot::new(DocumentSource::Bundle, Arc::default()), object(1), object(2));
        assert!(place.keep(&old));
        place.mark_held_against(&old, [7; 32]);
        assert!(place.was_held_against(&old, &[7; 32]) && !place.was_held_against(&old, &[8; 32]));
        assert!(place.keep(&new));
        assert!(!place.was_held_against(&new, &[7; 32]));
        place.mark_held_against(&old, [7; 32]);
        assert!(!place.was_held_against(&new, &[7; 32]) && !place.was_held_against(&old, &[7; 32]));
    }
}
