//! What a host's operation is made of. No I/O; of `io` it uses buffers, locks and turns.
//!
//! - `event`: what can happen. `event_outlet`: where a task posts it. `event_gate`: keeps the events of one operation in order.
//! - `event_queue`: where events wait for the host, in a `mailbox`. `registry`: the operations that run.
//! - `receive_credit`: how much may come in. `send_queue`: what waits to go out. `cancel`: cancellation.

mod cancel;
mod event;
pub mod event_gate;
mod event_outlet;
mod event_queue;
pub mod mailbox;
mod receive_credit;
mod registry;
mod send_queue;
mod sync;

pub use cancel::{Cancel, canceled, thrown_or_never};
pub use event::{OperationEvent, TransferEvent};
pub use event_outlet::{Observer, Outlet};
pub use event_queue::{Delivery, EventQueue, QueueKind};
pub use receive_credit::{Credit, Credited};
pub use registry::{Registry, Running, new_id};
pub use send_queue::SendQueue;
