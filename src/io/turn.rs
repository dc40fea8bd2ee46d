//! What a worker puts off until it rests. To wake somebody is a system call, so that what happens in one turn of a worker is announced by one. Touches this
//! thread's storage and the clock.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use pin_project_lite::pin_project;

use crate::log;

/// Something of which somebody else is to be told.
pub trait Announce: Send + Sync {
    /// Tells of all that is new. Must not block, nor call the host.
    fn announce(&self);
}

/// Most that is put off, and for how long, to which the task that runs then is added.
const MOST: usize = 64;
const LONGEST: Duration = Duration::from_micros(500);

thread_local! {
    static TURN: Turn = const { Turn { worker: Cell::new(false), in_task: Cell::new(false), put_off: RefCell::new(PutOff::NOTHING) } };
}

/// Invariant: something is put off only if the thread calls `rest` before it rests, and by a task that looks at the clock when it was polled. So nothing
/// is left behind, whatever the worker does next.
struct Turn {
    /// The thread calls `rest`.
    worker: Cell<bool>,
    /// It polls an `InTurn`.
    in_task: Cell<bool>,
    put_off: RefCell<PutOff>,
}

struct PutOff {
    announcements: Vec<Arc<dyn Announce>>,
    count: usize,
    since: Option<Instant>,
}

impl PutOff {
    const NOTHING: PutOff = PutOff { announcements: Vec::new(), count: 0, since: None };
}

/// The current thread is a worker from here on, and calls `rest` whenever it has nothing to do.
pub fn begin() {
    log::run_before(rest);
    let _ = TURN.try_with(|turn| turn.worker.set(true));
}

/// The current thread is no worker any more.
pub fn end() {
    let _ = TURN.try_with(|turn| turn.worker.set(false));
    rest();
}

/// Announces what was put off. For a worker that has nothing to do, and before anything that may take long: a function of the host, a verification.
pub fn rest() {
    let taken = TURN.try_with(|turn| {
        let mut put_off = turn.put_off.borrow_mut();
        (put_off.count > 0).then(|| std::mem::replace(&mut *put_off, PutOff::NOTHING))
    });
    let Ok(Some(mut taken)) = taken else { return };
    taken.announcements.iter().for_each(|each| each.announce());
    taken.announcements.clear();
    // Its memory is used again, unless dropping the last of something has put off more.
    let _ = TURN.try_with(|turn| {
        let mut put_off = turn.put_off.borrow_mut();
        if put_off.count == 0 {
            put_off.announcements = taken.announcements;
        }
    });
}

/// Calls what is not ours, which may take long, or wait for what this thread has put off: that is announced before, and what arises meanwhile at once.
pub fn outside<T>(call: impl FnOnce() -> T) -> T {
    rest();
    let _outside = Polling::none();
    call()
}

/// Announces `what` at once, or later and together with the rest of this turn.
pub fn announce_in_turn<T: Announce + 'static>(what: &Arc<T>) {
    let full = TURN.try_with(|turn| {
        if !turn.worker.get() || !turn.in_task.get() {
            return None;
        }
        let put_off = &mut *turn.put_off.borrow_mut();
        if !put_off.announcements.iter().any(|one| std::ptr::addr_eq(Arc::as_ptr(one), Arc::as_ptr(what))) {
            put_off.announcements.push(what.clone());
        }
        put_off.count += 1;
        put_off.since.get_or_insert_with(Instant::now);
        Some(put_off.count >= MOST)
    });
    match full {
        Ok(Some(true)) => rest(),
        Ok(Some(false)) => (),
        Ok(None) | Err(_) => what.announce(),
    }
}

/// A task of a worker. Every task that a runtime of ours gets is one: a worker that is never without work must still announce in time.
pub fn in_turn<F: Future>(work: F) -> InTurn<F> {
    InTurn { work }
}

pin_project! {
    /// See `in_turn`.
    pub struct InTurn<F> {
        #[pin]
        work: F,
    }
}

impl<F: Future> Future for InTurn<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let _polling = Polling::new();
        self.project().work.poll(cx)
    }
}

/// Also if the task panics.
struct Polling {
    before: bool,
}

impl Polling {
    fn new() -> Polling {
        Polling { before: TURN.try_with(|turn| turn.in_task.replace(true)).unwrap_or(false) }
    }

    /// For a call out of the task.
    fn none() -> Polling {
        Polling { before: TURN.try_with(|turn| turn.in_task.replace(false)).unwrap_or(false) }
    }
}

impl Drop for Polling {
    fn drop(&mut self) {
        let late = TURN.try_with(|turn| {
            turn.in_task.set(self.before);
            turn.put_off.borrow().since.is_some_and(|since| since.elapsed() >= LONGEST)
        });
        if late.unwrap_or(false) {
            rest();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[derive(Default)]
    struct Counted(AtomicUsize);

    impl Announce for Counted {
        fn announce(&self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    impl Counted {
        fn count(&self) -> usize {
            self.0.load(Ordering::SeqCst)
        }
    }

    fn run(work: impl Future<Output = ()>) {
        let mut cx = Context::from_waker(std::task::Waker::noop());
        assert!(std::pin::pin!(in_turn(work)).poll(&mut cx).is_ready());
    }

    #[test]
    fn only_a_task_of_a_worker_puts_off() {
        let counted = Arc::<Counted>::default();
        run(async { announce_in_turn(&counted) });
        assert_eq!(counted.count(), 1, "no worker");
        begin();
        announce_in_turn(&counted);
        assert_eq!(counted.count(), 2, "no task");
        run(async { announce_in_turn(&counted) });
        end();
        assert_eq!(counted.count(), 3);
        run(async { announce_in_turn(&counted) });
        assert_eq!(counted.count(), 4, "the thread ends");
    }

    #[test]
    fn what_is_put_off_is_announced_once() {
        let (one, other) = (Arc::<Counted>::default(), Arc::<Counted>::default());
        begin();
        run(async {
            (0..5).for_each(|_| announce_in_turn(&one));
            announce_in_turn(&other);
            assert_eq!((one.count(), other.count()), (0, 0));
            rest();
            assert_eq!((one.count(), other.count()), (1, 1));
            rest();
            assert_eq!((one.count(), other.count()), (1, 1));
            (0..MOST).for_each(|_| announce_in_turn(&one));
            assert_eq!(one.count(), 2, "as many as there may be");
        });
        end();
        assert_eq!((one.count(), other.count()), (2, 1));
    }

    #[test]
    fn what_arises_in_a_call_of_the_host_is_announced_at_once() {
        let counted = Arc::<Counted>::default();
        begin();
        run(async {
            announce_in_turn(&counted);
            outside(|| {
                assert_eq!(counted.count(), 1);
                announce_in_turn(&counted);
                assert_eq!(counted.count(), 2);
            });
            announce_in_turn(&counted);
            assert_eq!(counted.count(), 2, "the task goes on");
        });
        end();
        assert_eq!(counted.count(), 3);
    }

    #[test]
    fn a_task_that_takes_long_announces_when_it_was_polled() {
        let counted = Arc::<Counted>::default();
        begin();
        run(async {
            announce_in_turn(&counted);
            std::thread::sleep(LONGEST);
        });
        assert_eq!(counted.count(), 1);
        let panicking = async {
            announce_in_turn(&counted);
            std::thread::sleep(LONGEST);
            std::panic::resume_unwind(Box::new("on purpose"));
        };
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(panicking))).is_err());
        assert_eq!(counted.count(), 2);
        end();
    }

    /// A worker has put something off and logs a line; a call of the sink waits for that something; and the sink is being replaced, so that the
    /// worker's line has to wait for that call.
    #[test]
    fn a_line_that_has_to_wait_keeps_nothing_back() {
        let counted = Arc::<Counted>::default();
        let (inside, entered) = std::sync::mpsc::channel();
        let awaited = counted.clone();
        let wait_for = |what: &dyn Fn() -> bool| {
            let begun = Instant::now();
            while !what() && begun.elapsed() < Duration::from_secs(20) {
                std::thread::sleep(Duration::from_millis(1));
            }
            what()
        };
        let sink = move |_, line: &str| {
            if line == "turn: test: first" {
                inside.send(()).expect("somebody listens");
                assert!(wait_for(&|| awaited.count() == 1), "kept back");
            }
        };
        log::set(log::ERROR, Some(Box::new(sink)));
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| log::emit(log::ERROR, || "turn: test: first".into()));
            entered.recv().expect("it is called");
            scope.spawn(|| log::set(0, None));
            begin();
            run(async {
                announce_in_turn(&counted);
                assert_eq!(counted.count(), 0);
                assert!(wait_for(&log::is_awaited), "nobody replaces the sink");
                log::emit(log::ERROR, || "turn: test: second".into());
            });
            end();
            waits.join().expect("not kept back");
        });
    }
}
