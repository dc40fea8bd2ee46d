//! `atls_server`: connections from Unix sockets, and from sockets that the host made.

use super::server::atls_server;
use crate::capi::base::arguments::{Counted, Out, c_text, text};
use crate::capi::base::descriptor::{close, own_copy};
use crate::capi::base::error::atls_error;
use crate::capi::base::guard::guard;
use crate::capi::base::handle::share;
use crate::capi::base::status::atls_status;
use crate::io;
use crate::io::turn::in_turn;
use crate::server::{Listener, accept_task, bind_unix, start_connection, take_over};

impl atls_server {
    pub(in crate::capi) fn start_accepting(&self, listener: Listener) {
        self.runtime.handle().spawn(in_turn(accept_task(self.server.clone(), listener)));
    }
}

/// Listens on a Unix socket.
/// `path`: must not exist yet; removing the file afterwards is up to the host. On Linux, a path
/// that begins with '@' is an abstract socket.
/// Statuses: NULL_ARGUMENT, INVALID_UTF8, INVALID_STATE (the server was stopped), IO.
#[unsafe(no_mangle)]
pub extern "C" fn atls_server_listen_unix(
    server: Counted<atls_server>,
    path: c_text,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let this = share(server, "server")?;
        let path = text(path, "path")?;
        this.server.check_running()?;
        this.start_accepting(bind_unix(path, this.server.settings.limits.backlog)?);
        Ok(())
    })
}

/// Accepts connections from a TCP or Unix socket that already listens, such as one from a service
/// manager, or one that worker processes share.
/// `fd`: belongs to the library after success, which closes it when the server stops; after a
/// failure it is still the caller's.
/// Statuses: NULL_ARGUMENT, INVALID_ARGUMENT (not a listening socket), INVALID_STATE (the server
/// was stopped), IO.
#[unsafe(no_mangle)]
pub extern "C" fn atls_server_adopt_listener(
    server: Counted<atls_server>,
    fd: i32,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let this = share(server, "server")?;
        this.server.check_running()?;
        // SAFETY: the header says that the descriptor is the caller's, and open.
        let listener = take_over(unsafe { own_copy(fd) }?)?;
        this.start_accepting(listener);
        // SAFETY: from here on the descriptor is the library's.
        unsafe { close(fd) };
        Ok(())
    })
}

/// Serves a connected TCP or Unix socket as if the server had accepted it.
/// `fd`: belongs to the library after success; after a failure it is still the caller's.
/// Statuses: NULL_ARGUMENT, INVALID_ARGUMENT (not a connected socket), INVALID_STATE (the server
/// was stopped), IO.
#[unsafe(no_mangle)]
pub extern "C" fn atls_server_adopt_connection(
    server: Counted<atls_server>,
    fd: i32,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let this = share(server, "server")?;
        this.server.check_running()?;
        // SAFETY: the header says that the descriptor is the caller's, and open.
        let socket = unsafe { own_copy(fd) }?;
        let _entered = this.runtime.handle().enter();
        let socket = io::Socket::take_over(socket)?;
        let peer = socket.peer();
        start_connection(&this.server, socket, peer);
        // SAFETY: from here on the descriptor is the library's.
        unsafe { close(fd) };
        Ok(())
    })
}
