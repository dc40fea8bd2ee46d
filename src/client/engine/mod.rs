//! What surrounds hyper. `h1` is the reader of responses: it reads every byte that hyper is given (`response_reader`), and its verdicts are the client's; from
//! it come the heads as they are spelled. `tap` sits between hyper and the connection, `wire_state` is what it shares with the exchange, `faults` says what
//! errors mean. No I/O of its own.

pub mod faults;
mod response_reader;
pub mod tap;
pub mod wire_state;
