//! What a host's operation is made of: the events that it reports and the outlet that they pass, the gate that keeps them in order, the inbox in which
//! they wait, the registry of operations that run, credit for what comes, a bounded queue for what goes out, and cancellation. No I/O; of `io` it
//! uses buffers and locks.

mod cancel;
mod credit;
mod event;
pub mod gate;
mod inbox;
pub mod mailbox;
mod outgoing;
mod outlet;
mod registry;
mod sync;

pub use cancel::{Cancel, canceled, thrown_or_never};
pub use credit::Credit;
pub use event::{OperationEvent, TransferEvent};
pub use inbox::{Delivery, Inbox, QueueKind};
pub use outgoing::Outgoing;
pub use outlet::{Observer, Outlet};
pub use registry::{Registry, Running, new_id};
