//! What the members of a policy find out alike about one piece of evidence, found out once in an appraisal: a policy of a hundred members checks one
//! signature, not a hundred. Pure.

use std::any::{Any, TypeId};
use std::cell::RefCell;
use std::rc::Rc;

/// The findings of one appraisal, about one piece of evidence. They are gone with it.
#[derive(Default)]
pub struct Findings(RefCell<Vec<Finding>>);

struct Finding {
    of: TypeId,
    leniency: String,
    found: Rc<dyn Any>,
}

impl Findings {
    /// What `find` finds, or has found before for a member of the same `leniency`. `T` is a type of this question alone, and `leniency` says everything of the
    /// member that the answer depends on; all else is the same for all members.
    pub fn once<T: 'static>(&self, leniency: &str, find: impl FnOnce() -> T) -> Rc<T> {
        let of = TypeId::of::<T>();
        let is_same = |known: &&Finding| known.of == of && known.leniency == leniency;
        let known = self.0.borrow().iter().find(is_same).map(|known| known.found.clone());
        if let Some(known) = known.and_then(|found| found.downcast::<T>().ok()) {
            return known;
        }
        let found = Rc::new(find());
        self.0.borrow_mut().push(Finding { of, leniency: leniency.to_owned(), found: found.clone() });
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_leniency_and_each_question_is_asked_once() {
        #[derive(Debug, PartialEq)]
        struct Other(u32);
        let (findings, asked) = (Findings::default(), RefCell::new(0));
        let ask = |leniency: &str| {
            *findings.once(leniency, || {
                *asked.borrow_mut() += 1;
                *asked.borrow()
            })
        };
        assert_eq!([ask("a"), ask("b"), ask("a"), ask("b"), ask("")], [1, 2, 1, 2, 3]);
        assert_eq!(*findings.once("a", || Other(7)), Other(7));
        assert_eq!((ask("a"), *findings.once("a", || 9_u64)), (1, 9));
    }
}
