//! All that touches the machine: sockets, timers, the clock, random numbers, helper threads, memory for what is sent. Knows neither TLS nor HTTP.

pub mod alarm;
pub mod blocking;
pub mod buffers;
pub mod clock;
pub mod deadline;
pub mod duplex;
pub mod net;
pub mod offload;
pub mod random;
mod socket;
pub mod sync;

pub use socket::{Living, Socket, Watch};
