//! File descriptors that the host hands over.

use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd};

use socket2::Socket;

use crate::error::{Error, Phase, Result, Status};

/// A second descriptor for the same socket, so that the caller's is unchanged if the call fails.
pub(in crate::capi) unsafe fn own_copy(fd: i32) -> Result<Socket> {
    let invalid = || Error::new(Status::InvalidArgument, format!("descriptor {fd} is not a socket"));
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
    // SAFETY: the host gave it to the library.
    drop(unsafe { OwnedFd::from_raw_fd(fd) });
}
