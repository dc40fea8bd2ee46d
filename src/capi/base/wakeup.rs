//! The descriptor of a polled queue: an eventfd on Linux, a pipe elsewhere. Readable while it rings.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use crate::operation::mailbox::Bell;

pub struct Wakeup {
    read: OwnedFd,
    /// None for an eventfd, which is both ends.
    write: Option<OwnedFd>,
}

impl Wakeup {
    #[cfg(target_os = "linux")]
    pub fn new() -> io::Result<Wakeup> {
        // SAFETY: plain system call; the descriptor is owned from here on.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: it was just made, and is in no other hands.
        Ok(Wakeup { read: unsafe { OwnedFd::from_raw_fd(fd) }, write: None })
    }

    #[cfg(not(target_os = "linux"))]
    pub fn new() -> io::Result<Wakeup> {
        let mut fds = [0; 2];
        // SAFETY: `fds` has room for two.
        if unsafe { libc::pipe(fds.as_mut_ptr()) } != 0 {
            return Err(io::Error::last_os_error());
        }
        for fd in fds {
            // SAFETY: descriptors that were just made.
            unsafe {
                libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC);
                libc::fcntl(fd, libc::F_SETFL, libc::O_NONBLOCK);
            }
        }
        // SAFETY: as above.
        let (read, write) = unsafe { (OwnedFd::from_raw_fd(fds[0]), OwnedFd::from_raw_fd(fds[1])) };
        Ok(Wakeup { read, write: Some(write) })
    }

    pub fn fd(&self) -> i32 {
        self.read.as_raw_fd()
    }
}

impl Bell for Wakeup {
    fn ring(&self) {
        let one = 1u64.to_ne_bytes();
        let fd = self.write.as_ref().map_or(self.read.as_raw_fd(), AsRawFd::as_raw_fd);
        // SAFETY: eight bytes from a local array. It cannot fill up: it is rung only after it was silenced.
        let _ = unsafe { libc::write(fd, one.as_ptr().cast(), one.len()) };
    }

    fn silence(&self) {
        let mut buffer = [0u8; 8];
        // SAFETY: eight bytes into a local array.
        let _ = unsafe { libc::read(self.read.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len()) };
    }
}
