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

/// `role`: ATLS_H1_CLIENT or ATLS_H1_SERVER. `flags`: ATLS_H1_ALLOW_* and its like, 0 for none. *conn is the caller's to free.
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

/// Limits, 0 for the default. `max_incomplete`: bytes of a head, of trailers or of a chunk-size line, default 16384, at most 2^30;
/// more than that is refused with 431. `max_headers`: fields of a head or of trailers, default 256. To be set before anything is
/// received or sent. Statuses: NULL_ARGUMENT, INVALID_ARGUMENT, INVALID_STATE.
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

/// Frees the connection and all that it handed out.
#[unsafe(no_mangle)]
pub extern "C" fn atls_h1_conn_free(conn: Owned<atls_h1_conn>) {
    guard_free(|| destroy(conn));
}

/// Copies bytes into the receive buffer and parses nothing. Without a limit: stop reading from the network while the connection is
/// PAUSED. Length 0 does nothing, and is not the end. Receiving domain. Statuses: NULL_ARGUMENT, INVALID_STATE after the end.
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

/// The peer closed its sending side. Doing it again changes nothing. Receiving domain. Statuses: NULL_ARGUMENT.
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

/// Room for at least `least` bytes inside the receive buffer, to read(2) or SSL_read into; then commit how many came. Receiving domain.
/// Statuses: NULL_ARGUMENT, INVALID_ARGUMENT over 2^30 bytes, INVALID_STATE after the end.
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

/// The first `len` bytes of the room that was reserved last have come. Receiving domain. Statuses: NULL_ARGUMENT, INVALID_ARGUMENT for
/// more than was reserved, INVALID_STATE after the end.
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

/// The next event; of kind NEED_DATA if there is none. Receiving domain. Statuses: NULL_ARGUMENT, H1_REMOTE: the peer broke the protocol, its side is
/// in state ERROR for good, and atls_error_http_status is what a server might answer; sending still works. Asking again gives the same error.
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

/// Bytes that were received and not parsed, and whether the end follows them. Any time; what a switch of protocol goes on with.
/// Receiving domain, except that it ends nothing that was given before. Statuses: NULL_ARGUMENT.
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

/// Frees memory that is not in use now, except about `keep` bytes in each of the connection's buffers: for use after a large message, or before a
/// long wait. Bytes that were not parsed stay. Ends what was handed out in both domains. Statuses: NULL_ARGUMENT.
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

/// Both sides are DONE: back to IDLE, with what was received beyond the message. Statuses: NULL_ARGUMENT, H1_LOCAL in any other state, and
/// for a client that has received more than its answer; then nothing changes.
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

/// ATLS_H1_CLIENT or ATLS_H1_SERVER.
#[unsafe(no_mangle)]
pub extern "C" fn atls_h1_conn_our_role(conn: Option<&atls_h1_conn>) -> atls_h1_role {
    query(conn, 0, |conn| conn.role() as u32)
}

/// Our side's state; ATLS_H1_ERROR for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn atls_h1_conn_our_state(conn: Option<&atls_h1_conn>) -> atls_h1_state {
    query(conn, ATLS_H1_ERROR, |conn| conn.our_state() as u32)
}

/// The peer's state; ATLS_H1_ERROR for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn atls_h1_conn_their_state(conn: Option<&atls_h1_conn>) -> atls_h1_state {
    query(conn, ATLS_H1_ERROR, |conn| conn.their_state() as u32)
}

/// Major << 8 | minor of the peer's last head; 0 before the first.
#[unsafe(no_mangle)]
pub extern "C" fn atls_h1_conn_their_http_version(conn: Option<&atls_h1_conn>) -> u32 {
    query(conn, 0, |conn| conn.their_http_version().into())
}

/// Whether the client's request asked for 100-continue and neither an answer nor body came since (RFC 9110 section 10.1.1).
#[unsafe(no_mangle)]
pub extern "C" fn atls_h1_conn_client_is_waiting_for_100_continue(conn: Option<&atls_h1_conn>) -> bool {
    query(conn, false, Connection::client_is_waiting_for_100_continue)
}

/// The same, on the server's side only: whether we should send a 100 before we wait for the body.
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
