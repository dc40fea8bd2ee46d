//! `atls_server`, where connections come from: Unix sockets, and sockets of the host's own making.

use std::ffi::c_char;
use std::os::fd::{BorrowedFd, FromRawFd};

use socket2::Socket;

use super::server::atls_server;
use crate::capi::base::error::atls_error;
use crate::capi::base::guard::guard;
use crate::capi::base::handle::{share, text};
use crate::capi::base::status::atls_status;
use crate::error::{Error, Phase, Result, Status};
use crate::io;
use crate::server::{Listener, accept_task, bind_unix, start_connection, take_over};

impl atls_server {
    pub(in crate::capi) fn start_accepting(&self, listener: Listener) {
        self.runtime.handle().spawn(accept_task(self.server.clone(), listener));
    }

    pub(in crate::capi) fn check_running(&self) -> Result<()> {
        match self.server.stopping.is_canceled() {
            true => Err(Error::new(Status::InvalidState, "the server was stopped")),
            false => Ok(()),
        }
    }
}

/// Listens on a Unix socket at `path`; on Linux one that begins with '@' is an abstract one. The file must not be there before, and is the
/// host's to remove. Statuses: NULL_ARGUMENT, INVALID_UTF8, INVALID_STATE (stopped), IO.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_server_listen_unix(
    server: *const atls_server,
    path: *const c_char,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        let this = unsafe { share(server, "server") }?;
        let path = unsafe { text(path, "path") }?;
        this.check_running()?;
        this.start_accepting(bind_unix(path, this.server.settings.limits.backlog)?);
        Ok(())
    })
}

/// Accepts connections of a socket, TCP or Unix, that listens already: one from a service manager, or one that worker processes share. After OK the
/// descriptor is the library's, which closes it when the server stops; else it stays the caller's. Statuses: NULL_ARGUMENT, INVALID_ARGUMENT
/// (no such socket), INVALID_STATE (stopped), IO.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_server_adopt_listener(
    server: *const atls_server,
    fd: i32,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        let this = unsafe { share(server, "server") }?;
        this.check_running()?;
        let listener = take_over(unsafe { own_copy(fd) }?)?;
        this.start_accepting(listener);
        unsafe { close(fd) };
        Ok(())
    })
}

/// Serves a connected socket, TCP or Unix, as if it had been accepted. After OK the descriptor is the library's; else it stays the caller's. Statuses:
/// NULL_ARGUMENT, INVALID_ARGUMENT (no such socket), INVALID_STATE (stopped), IO.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_server_adopt_connection(
    server: *const atls_server,
    fd: i32,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        let this = unsafe { share(server, "server") }?;
        this.check_running()?;
        let socket = unsafe { own_copy(fd) }?;
        let _entered = this.runtime.handle().enter();
        let socket = io::Socket::take_over(socket)?;
        let peer = socket.peer();
        start_connection(&this.server, socket, peer);
        unsafe { close(fd) };
        Ok(())
    })
}

/// A descriptor of our own for the same socket, so that on failure the caller's is as it was.
pub(in crate::capi) unsafe fn own_copy(fd: i32) -> Result<Socket> {
    let invalid = || Error::new(Status::InvalidArgument, format!("descriptor {fd} is no socket"));
    if fd < 0 {
        return Err(invalid());
    }
    // SAFETY: the host says that the descriptor is open.
    let copy = unsafe { BorrowedFd::borrow_raw(fd) }.try_clone_to_owned();
    let socket = Socket::from(copy.map_err(|error| Error::from_io(error, Phase::Call))?);
    socket.r#type().map_err(|_| invalid())?;
    Ok(socket)
}

pub(in crate::capi) unsafe fn close(fd: i32) {
    // SAFETY: the host gave it to us.
    drop(unsafe { std::os::fd::OwnedFd::from_raw_fd(fd) });
}
