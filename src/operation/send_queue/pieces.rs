//! The pieces that wait, in order. The first needs no memory of its own: a response is often one piece. No I/O.

use std::collections::VecDeque;

use bytes::Bytes;

/// Invariant: if there is no first piece, there are none.
#[derive(Default)]
pub(super) struct Pieces {
    first: Option<Bytes>,
    more: VecDeque<Bytes>,
}

impl Pieces {
    pub fn push_back(&mut self, piece: Bytes) {
        match self.first {
            None => self.first = Some(piece),
            Some(_) => self.more.push_back(piece),
        }
    }

    pub fn pop_front(&mut self) -> Option<Bytes> {
        let next = self.more.pop_front();
        std::mem::replace(&mut self.first, next)
    }

    pub fn is_empty(&self) -> bool {
        self.first.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_leave_in_the_order_in_which_they_came() {
        let (mut pieces, mut came, mut left) = (Pieces::default(), 0u8, 0);
        for (more, fewer) in [(1, 1), (2, 1), (3, 4), (5, 2), (0, 3)] {
            for _ in 0..more {
                pieces.push_back(Bytes::from(vec![came]));
                came += 1;
            }
            for _ in 0..fewer {
                assert_eq!(pieces.pop_front().unwrap()[0], left);
                left += 1;
            }
            assert_eq!(pieces.is_empty(), came == left);
        }
        assert_eq!((came, left), (11, 11));
        assert!(pieces.pop_front().is_none() && pieces.is_empty());
    }
}
