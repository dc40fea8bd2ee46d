//! The security module of a Nitro enclave as Linux has it: a device that takes requests by ioctl.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;

use libc::{c_void, iovec};

use crate::attester::nsm::{MAX_RESPONSE, SecurityModule};
use crate::error::{Error, Result, Status};

/// Where the driver has it.
const USUAL: &str = "/dev/nsm";
/// `_IOWR(0x0A, 0, struct nsm_raw)` of the driver (linux/nsm.h): both directions, how many bytes, whose, which.
const ASK: u32 = 3 << 30 | (size_of::<Exchange>() as u32) << 16 | 0x0a << 8;

/// What the driver reads and writes.
#[repr(C)]
struct Exchange {
    request: iovec,
    response: iovec,
}

#[derive(Debug)]
pub struct NsmDevice(File);

impl NsmDevice {
    /// At `path`, or where the driver has it. Errors: InvalidArgument (cannot be opened).
    pub fn open(path: Option<&Path>) -> Result<NsmDevice> {
        let path = path.unwrap_or(Path::new(USUAL));
        let opened = OpenOptions::new().read(true).write(true).open(path);
        let broken = |error| Error::new(Status::InvalidArgument, format!("{}: {error}", path.display()));
        opened.map(NsmDevice).map_err(broken)
    }
}

impl SecurityModule for NsmDevice {
    fn ask(&self, request: &[u8], response: &mut [u8; MAX_RESPONSE]) -> io::Result<usize> {
        let mut exchange = Exchange {
            request: iovec { iov_base: request.as_ptr().cast_mut().cast::<c_void>(), iov_len: request.len() },
            response: iovec { iov_base: response.as_mut_ptr().cast::<c_void>(), iov_len: response.len() },
        };
        // SAFETY: the driver reads `exchange` and the request, and writes no further than the length of the response, which it then sets; both outlive
        // the call. Any other file refuses the number, or reads and writes no more of `exchange` than the number tells, which is its size.
        let status = unsafe { libc::ioctl(self.0.as_raw_fd(), ASK as _, &raw mut exchange) };
        match status {
            0.. => Ok(exchange.response.iov_len),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_tells_the_size_of_what_is_exchanged() {
        assert_eq!((ASK >> 16 & 0x3fff) as usize, size_of::<Exchange>());
        assert_eq!(ASK, if cfg!(target_pointer_width = "64") { 0xc020_0a00 } else { 0xc010_0a00 });
    }
}
