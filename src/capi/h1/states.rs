//! `atls_h1_states`: the two state machines alone, for proxies and test tools that parse by other means.

use super::types::{atls_h1_event_kind, atls_h1_role, role};
use crate::capi::base::arguments::{Out, require};
use crate::capi::base::error::atls_error;
use crate::capi::base::guard::guard;
use crate::capi::base::handle::borrow_mut;
use crate::capi::base::status::atls_status;
use crate::error::{Error, Result, Status};
use crate::h1::{EventKind, State, States, switch};

/// A switch of protocol that was proposed or is accepted.
pub type atls_h1_switch = u32;

/// None.
pub const ATLS_H1_SWITCH_NONE: atls_h1_switch = 0;
/// By the method CONNECT.
pub const ATLS_H1_SWITCH_CONNECT: atls_h1_switch = 1;
/// By `Upgrade`.
pub const ATLS_H1_SWITCH_UPGRADE: atls_h1_switch = 2;

/// Both state machines of a connection; a plain value that may be copied.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct atls_h1_states {
    /// State of the client: an atls_h1_state.
    pub client: u8,
    /// State of the server: an atls_h1_state.
    pub server: u8,
    /// 1 until the connection is known to end.
    pub keep_alive: u8,
    /// Bits of atls_h1_switch.
    pub proposals: u8,
}

/// Sets *states to the beginning of a connection. Statuses: NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn atls_h1_states_init(states: Out<atls_h1_states>, error: Out<*mut atls_error>) -> atls_status {
    guard(error, || {
        let states = require(states, "states")?;
        states.write(from(&States::default()));
        Ok(())
    })
}

/// Applies an event that `role` sends. On H1_LOCAL `*states` is unchanged.
/// `accepted`: the proposal that a server's event accepts; usually ATLS_H1_SWITCH_NONE.
/// Statuses: NULL_ARGUMENT, INVALID_ARGUMENT, H1_LOCAL (the event is impossible).
#[unsafe(no_mangle)]
pub extern "C" fn atls_h1_states_event(
    states: Option<&mut atls_h1_states>,
    role: atls_h1_role,
    kind: atls_h1_event_kind,
    accepted: atls_h1_switch,
    error: Out<*mut atls_error>,
) -> atls_status {
    let kind = match kind {
        1 => Ok(EventKind::Request),
        2 => Ok(EventKind::InformationalResponse),
        3 => Ok(EventKind::Response),
        4 => Ok(EventKind::Data),
        5 => Ok(EventKind::EndOfMessage),
        6 => Ok(EventKind::ConnectionClosed),
        other => Err(invalid(format!("kind {other} is not an event of the protocol"))),
    };
    let accepted = match accepted {
        0..=2 => Ok(accepted as u8),
        other => Err(invalid(format!("accepted {other} is not a switch"))),
    };
    change(states, error, |states| {
        states.event(self::role(role)?, kind?, accepted?).map_err(|why| Error::new(Status::H1Local, why))
    })
}

/// Records that the client proposes a switch of protocol. Call it before the event of the request. Statuses: NULL_ARGUMENT, INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn atls_h1_states_propose_switch(
    states: Option<&mut atls_h1_states>,
    proposal: atls_h1_switch,
    error: Out<*mut atls_error>,
) -> atls_status {
    change(states, error, |states| match proposal {
        0..=3 => {
            states.propose(proposal as u8);
            Ok(())
        }
        other => Err(invalid(format!("proposal {other} is not a switch"))),
    })
}

/// Records that the connection ends with this cycle. Statuses: NULL_ARGUMENT, INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn atls_h1_states_disable_keep_alive(
    states: Option<&mut atls_h1_states>,
    error: Out<*mut atls_error>,
) -> atls_status {
    change(states, error, |states| {
        states.disable_keep_alive();
        Ok(())
    })
}

/// Puts `role` in state ERROR for good. Statuses: NULL_ARGUMENT, INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn atls_h1_states_error(
    states: Option<&mut atls_h1_states>,
    role: atls_h1_role,
    error: Out<*mut atls_error>,
) -> atls_status {
    change(states, error, |states| {
        states.fail(self::role(role)?);
        Ok(())
    })
}

/// Returns both sides from DONE to IDLE. On H1_LOCAL `*states` is unchanged. Statuses: NULL_ARGUMENT, INVALID_ARGUMENT, H1_LOCAL (any other state).
#[unsafe(no_mangle)]
pub extern "C" fn atls_h1_states_start_next_cycle(
    states: Option<&mut atls_h1_states>,
    error: Out<*mut atls_error>,
) -> atls_status {
    change(states, error, |states| states.start_next_cycle().map_err(|why| Error::new(Status::H1Local, why)))
}

fn invalid(message: String) -> Error {
    Error::new(Status::InvalidArgument, message)
}

fn change(
    place: Option<&mut atls_h1_states>,
    error: Out<*mut atls_error>,
    body: impl FnOnce(&mut States) -> Result<()>,
) -> atls_status {
    guard(error, || {
        let place = borrow_mut(place, "states")?;
        let state = |number: u8| {
            State::ALL.get(usize::from(number)).copied().ok_or_else(|| invalid(format!("{number} is not a state")))
        };
        if place.proposals > (switch::CONNECT | switch::UPGRADE) {
            return Err(invalid(format!("proposals {} has unknown bits", place.proposals)));
        }
        let mut states = States {
            client: state(place.client)?,
            server: state(place.server)?,
            keep_alive: place.keep_alive != 0,
            proposals: place.proposals,
        };
        body(&mut states)?;
        *place = from(&states);
        Ok(())
    })
}

fn from(states: &States) -> atls_h1_states {
    atls_h1_states {
        client: states.client as u8,
        server: states.server as u8,
        keep_alive: states.keep_alive.into(),
        proposals: states.proposals,
    }
}
