//! All that touches the machine: sockets, timers, the clock, random numbers, helper threads, memory for what is sent. Knows neither TLS nor HTTP.

pub mod alarm;
pub mod blocking;
pub mod buffers;
mod caller_runtime;
pub mod clock;
pub mod deadline;
pub mod duplex;
pub mod net;
pub mod offload;
pub mod random;
mod socket;
pub mod sync;

pub use caller_runtime::CallerRuntime;
pub use socket::{Liveness, Socket, SocketWatch};
