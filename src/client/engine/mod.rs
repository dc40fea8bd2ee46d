//! What stands around hyper: heads keep their spelling, `h1` judges the same bytes, and errors say what was wrong.

pub mod faults;
mod judge;
pub mod spelling;
pub mod tap;
