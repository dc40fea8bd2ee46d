//! All that touches the machine. Knows neither TLS nor HTTP.
//!
//! - `socket`: connected sockets, TCP and Unix: the only place that sends. `dialling`: from a name to a socket.
//! - `private_address`: which addresses are not of the public internet. Pure.
//! - `duplex`: reading and writing at once, on what it is given. `held`: a stream on which the end of a handshake waits for the first request.
//! - `alarm`, `deadline`: timers. `clock`: the time of day. `random`: random numbers.
//! - `workers`: the threads of a runtime. `offload`: helper threads for work that must wait. `blocking`: which threads may block.
//! - `turn`: what a worker puts off until it rests.
//! - `caller_runtime`: the runtime of blocking calls, on the caller's own thread.
//! - `buffers`: memory for what is sent. `pieces`: copies of what streams carry. `sync`: locks. These three touch nothing else.

pub mod alarm;
pub mod blocking;
pub mod buffers;
mod caller_runtime;
pub mod clock;
pub mod deadline;
pub mod dialling;
pub mod duplex;
pub mod held;
pub mod offload;
pub mod pieces;
mod private_address;
pub mod random;
mod socket;
pub mod sync;
pub mod turn;
pub mod workers;

pub use caller_runtime::CallerRuntime;
pub use private_address::is_private;
pub use socket::{BlockingSocket, Liveness, Socket, SocketWatch};
