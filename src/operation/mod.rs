//! What a host's operation is made of: events and the gate that keeps them in order, credit for what comes, a bounded queue for what goes out, and
//! cancellation. No I/O.

mod cancel;
mod credit;
pub mod events;
pub mod gate;
pub mod mailbox;
mod outgoing;
mod sync;

pub use cancel::{Cancel, canceled};
pub use credit::Credit;
pub use outgoing::Outgoing;
