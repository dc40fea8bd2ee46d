//! `atls_h1_conn`: a connection, what it receives and in which state it is.

use std::ptr::NonNull;

use super::types::{ATLS_H1_ERROR, atls_h1_event, atls_h1_header, atls_h1_role, atls_h1_state, refused, role};
use crate::capi::base::arguments::{Out, Owned, bytes, c_bytes, require};
use crate::capi::base::bytes::atls_bytes;
use crate::capi::base::bytes::atls_str;
use crate::capi::base::error::atls_error;
use crate::capi::base::guard::{guard, guard_free, guard_value};
use crate::capi::base::handle::{Handle, borrow, borrow_mut, destroy};
use crate::capi::base::status::atls_status;
use crate::error::{Error, Result, Status};
use crate::h1::{Connection, Rules, State, flags};

/// A connection without I/O, in either role. Belongs to one thread at a time.
///
/// What it hands out is borrowed in two domains: what receiving calls gave is valid until the next receiving call (`receive*`, `recv_*`,
/// `next_event`), what sending calls gave until the next sending call (`send_*`); each also until `start_next_cycle` or `free`. A server may
/// thus answer while it holds the request's event.
pub struct atls_h1_conn {
    conn: Connection,
    /// In a place of its own, of which the host has the address: a borrow of the connection by a later call does not touch it.
    event: NonNull<atls_h1_event>,
    headers: Vec<atls_h1_header>,
    touched: bool,
    /// A call is inside, or did not come out of a panic.
    busy: bool,
}

impl Handle for atls_h1_conn {
    type Owner = Box<atls_h1_conn>;
}

impl Drop for atls_h1_conn {
    fn drop(&mut self) {
        // SAFETY: a box, made by `new`.
        drop(unsafe { Box::from_raw(self.event.as_ptr()) });
    }
}

impl atls_h1_conn {
    /// Runs `body` unless an earlier call left the connection half-changed.
    pub(in crate::capi) fn enter<T>(
        conn: Option<&mut atls_h1_conn>,
        body: impl FnOnce(&mut Connection) -> Result<T>,
    ) -> Result<T> {
        let this = borrow_mut(conn, "conn")?;
        this.claim()?;
        let done = body(&mut this.conn);
        this.busy = false;
        done
    }

    fn claim(&mut self) -> Result<()> {
        if std::mem::replace(&mut self.busy, true) {
            return Err(Error::new(Status::Panic, "an earlier call on this connection failed inside the library"));
        }
        self.touched = true;
        Ok(())
    }
}

/// Creates a connection, which you free.
/// `flags`: ATLS_H1_ALLOW_* and the like; 0 for none.
/// Statuses: NULL_ARGUMENT, INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn atls_h1_conn_new(
    role: atls_h1_role,
    flags: u32,
    conn: Out<*mut atls_h1_conn>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let conn = require(conn, "conn")?;
        let role = self::role(role)?;
        let rules = Rules { flags: known_flags(flags)?, ..Rules::default() };
        let made = atls_h1_conn {
            conn: Connection::new(role, rules),
            event: NonNull::from(Box::leak(Box::new(atls_h1_event::empty()))),
            headers: Vec::new(),
            touched: false,
            busy: false,
        };
        conn.give(Box::new(made));
        Ok(())
    })
}

pub(in crate::capi) fn known_flags(flags: u32) -> Result<u32> {
    match flags & !flags::ALL {
        0 => Ok(flags),
        unknown => Err(Error::new(Status::InvalidArgument, format!("unknown flags {unknown:#x}"))),
    }
}

/// Sets limits, before anything is received or sent. 0 is the default.
/// `max_incomplete`: bytes of a head, of trailers or of a chunk-size line; 16384 by default, at most 2^30. More is refused with 431.
/// `max_headers`: header fields of a head or of trailers; 256 by default.
/// Statuses: NULL_ARGUMENT, INVALID_ARGUMENT, INVALID_STATE (already in use).
#[unsafe(no_mangle)]
pub extern "C" fn atls_h1_conn_set_limits(
    conn: Option<&mut atls_h1_conn>,
    max_incomplete: u64,
    max_headers: u32,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let this = borrow_mut(conn, "conn")?;
        if this.touched {
            return Err(Error::new(Status::InvalidState, "the connection is in use already"));
        }
        let (most, fields) = (this.conn.rules_mut(), max_headers as usize);
        most.max_incomplete = match max_incomplete {
            0 => Rules::MAX_INCOMPLETE,
            1..=0x4000_0000 => max_incomplete as usize,
            _ => {
                return Err(Error::new(
                    Status::InvalidArgument,
                    format!("max_incomplete {max_incomplete} is over 2^30"),
                ));
            }
        };
        most.max_fields = if fields == 0 { Rules::MAX_FIELDS } else { fields };
        Ok(())
    })
}

/// Frees the connection and everything it handed out.
#[unsafe(no_mangle)]
pub extern "C" fn atls_h1_conn_free(conn: Owned<atls_h1_conn>) {
    guard_free(|| destroy(conn));
}

/// Copies bytes into the receive buffer and parses nothing. The buffer has no limit: stop reading from the network while the connection is PAUSED. No
/// bytes do nothing, and do not mean the end. Receiving domain. Statuses: NULL_ARGUMENT, INVALID_STATE (after the end).
#[unsafe(no_mangle)]
pub extern "C" fn atls_h1_conn_receive(
    conn: Option<&mut atls_h1_conn>,
    data: c_bytes,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let data = bytes(data, "data")?;
        atls_h1_conn::enter(conn, |conn| if conn.receive(data) { Ok(()) } else { Err(after_eof()) })
    })
}

fn after_eof() -> Error {
    Error::new(Status::InvalidState, "the peer's end was received already")
}

/// Records that the peer has closed its sending side. Repeating it changes nothing. Receiving domain. Statuses: NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn atls_h1_conn_receive_eof(
    conn: Option<&mut atls_h1_conn>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let done = |conn: &mut Connection| {
            conn.receive_eof();
            Ok(())
        };
        atls_h1_conn::enter(conn, done)
    })
}

/// Returns room for at least `least` bytes inside the receive buffer, for read(2) or SSL_read; then commit how many came. Receiving domain. Statuses:
/// NULL_ARGUMENT, INVALID_ARGUMENT (over 2^30 bytes), INVALID_STATE (after the end).
#[unsafe(no_mangle)]
pub extern "C" fn atls_h1_conn_receive_reserve(
    conn: Option<&mut atls_h1_conn>,
    least: usize,
    room: Out<*mut u8>,
    room_len: Out<usize>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let room = require(room, "room")?;
        let room_len = require(room_len, "room_len")?;
        if least > 1 << 30 {
            return Err(Error::new(Status::InvalidArgument, format!("least {least} is over 2^30")));
        }
        let (ptr, len) = atls_h1_conn::enter(conn, |conn| match conn.eof_received() {
            true => Err(after_eof()),
            false => Ok(conn.reserve(least)).map(|room| (room.as_mut_ptr(), room.len())),
        })?;
        room.write(ptr);
        room_len.write(len);
        Ok(())
    })
}

/// Records that the first `len` bytes of the room reserved last have been filled. Receiving domain. Statuses: NULL_ARGUMENT, INVALID_ARGUMENT (more
/// than was reserved), INVALID_STATE (after the end).
#[unsafe(no_mangle)]
pub extern "C" fn atls_h1_conn_receive_commit(
    conn: Option<&mut atls_h1_conn>,
    len: usize,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        atls_h1_conn::enter(conn, |conn| match (conn.eof_received(), conn.commit(len)) {
            (true, _) => Err(after_eof()),
            (_, true) => Ok(()),
            (_, false) => Err(Error::new(Status::InvalidArgument, format!("len {len} is more than was reserved"))),
        })
    })
}

/// Parses the next event; its kind is NEED_DATA if there is none. On H1_REMOTE the peer has violated the protocol: its side is in state ERROR for
/// good, and atls_error_http_status is what a server might answer. Sending still works, and asking again gives the same error. Receiving domain.
/// Statuses: NULL_ARGUMENT, H1_REMOTE.
#[unsafe(no_mangle)]
pub extern "C" fn atls_h1_conn_next_event(
    conn: Option<&mut atls_h1_conn>,
    event: Out<*const atls_h1_event>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let event = require(event, "event")?;
        let this = borrow_mut(conn, "conn")?;
        this.claim()?;
        // SAFETY: made by `new`, freed by `drop`; nobody else writes to it.
        let place = unsafe { this.event.as_mut() };
        let next = this.conn.next_event().map(|next| place.show(&next, &mut this.headers));
        this.busy = false;
        next.map_err(refused)?;
        event.write(this.event.as_ptr().cast_const());
        Ok(())
    })
}

/// Returns the bytes that were received but not parsed, and whether the end follows them: what another protocol continues with after a switch. May be
/// called at any time. Receiving domain, but what was handed out before stays valid. Statuses: NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn atls_h1_conn_trailing_data(
    conn: Option<&atls_h1_conn>,
    data: Out<atls_bytes>,
    eof: Out<bool>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let data = require(data, "data")?;
        let eof = require(eof, "eof")?;
        let (bytes, end) = borrow(conn, "conn")?.conn.trailing_data();
        data.write(atls_bytes::of(bytes));
        eof.write(end);
        Ok(())
    })
}

/// Frees unused memory, except about `keep` bytes in each of the connection's buffers: after a large message, or before a long wait. Bytes that were
/// not parsed are kept. What was handed out in both domains is no longer valid. Statuses: NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn atls_h1_conn_shrink(
    conn: Option<&mut atls_h1_conn>,
    keep: usize,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let this = borrow_mut(conn, "conn")?;
        this.claim()?;
        this.conn.rest(keep);
        // SAFETY: as in `next_event`.
        unsafe { *this.event.as_ptr() = atls_h1_event::empty() };
        this.headers = Vec::new();
        this.busy = false;
        Ok(())
    })
}

/// Goes back to IDLE when both sides are DONE, and keeps what was received beyond the message. If it fails, nothing changes. Statuses: NULL_ARGUMENT,
/// H1_LOCAL (any other state; a client that has received more than its response).
#[unsafe(no_mangle)]
pub extern "C" fn atls_h1_conn_start_next_cycle(
    conn: Option<&mut atls_h1_conn>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || atls_h1_conn::enter(conn, |conn| conn.start_next_cycle().map_err(refused)))
}

/// The states of both sides: ATLS_H1_IDLE and so on. Statuses: NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn atls_h1_conn_states(
    conn: Option<&atls_h1_conn>,
    client: Out<atls_h1_state>,
    server: Out<atls_h1_state>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let client = require(client, "client")?;
        let server = require(server, "server")?;
        let states = borrow(conn, "conn")?.conn.states();
        client.write(states.client as u32);
        server.write(states.server as u32);
        Ok(())
    })
}

/// Returns the role of this side.
#[unsafe(no_mangle)]
pub extern "C" fn atls_h1_conn_our_role(conn: Option<&atls_h1_conn>) -> atls_h1_role {
    query(conn, 0, |conn| conn.role() as u32)
}

/// Returns the state of this side; ERROR for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn atls_h1_conn_our_state(conn: Option<&atls_h1_conn>) -> atls_h1_state {
    query(conn, ATLS_H1_ERROR, |conn| conn.our_state() as u32)
}

/// Returns the state of the peer; ERROR for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn atls_h1_conn_their_state(conn: Option<&atls_h1_conn>) -> atls_h1_state {
    query(conn, ATLS_H1_ERROR, |conn| conn.their_state() as u32)
}

/// Returns major << 8 | minor of the peer's last head; 0 before the first.
#[unsafe(no_mangle)]
pub extern "C" fn atls_h1_conn_their_http_version(conn: Option<&atls_h1_conn>) -> u32 {
    query(conn, 0, |conn| conn.their_http_version().into())
}

/// Returns whether the client's request has `Expect: 100-continue`, and neither a response nor any body has come since (RFC 9110 section 10.1.1).
#[unsafe(no_mangle)]
pub extern "C" fn atls_h1_conn_client_is_waiting_for_100_continue(conn: Option<&atls_h1_conn>) -> bool {
    query(conn, false, Connection::client_is_waiting_for_100_continue)
}

/// The same, on the server's side only: whether to send a 100 before waiting for the body.
#[unsafe(no_mangle)]
pub extern "C" fn atls_h1_conn_they_are_waiting_for_100_continue(conn: Option<&atls_h1_conn>) -> bool {
    query(conn, false, Connection::they_are_waiting_for_100_continue)
}

/// The name of a state, such as "SEND_BODY"; "" for any other number. Static.
#[unsafe(no_mangle)]
pub extern "C" fn atls_h1_state_name(state: atls_h1_state) -> atls_str {
    const NAMES: [&std::ffi::CStr; 9] = [
        c"IDLE",
        c"SEND_RESPONSE",
        c"SEND_BODY",
        c"DONE",
        c"MUST_CLOSE",
        c"CLOSED",
        c"MIGHT_SWITCH_PROTOCOL",
        c"SWITCHED_PROTOCOL",
        c"ERROR",
    ];
    const { assert!(NAMES.len() == State::ALL.len()) };
    NAMES.get(state as usize).map_or(atls_str::empty(), |name| atls_str::from_static(name))
}

fn query<T>(conn: Option<&atls_h1_conn>, none: T, body: impl FnOnce(&Connection) -> T) -> T
where
    T: Copy,
{
    guard_value(none, || borrow(conn, "conn").map_or(none, |this| body(&this.conn)))
}
