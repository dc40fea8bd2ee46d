//! `atls_resolver`: where the addresses of names come from, in place of the system.

use std::ffi::{CString, c_char, c_void};
use std::net::IpAddr;
use std::sync::Arc;

use super::config::atls_config;
use crate::capi::base::arguments::{Builder, Out, c_text, change, text};
use crate::capi::base::error::atls_error;
use crate::capi::base::guard::guard;
use crate::capi::base::handle::borrow_mut;
use crate::capi::base::status::atls_status;
use crate::error::{Error, Phase, Result, Status};
use crate::io::blocking::call_host;
use crate::io::dialling::{Resolve, Resolver};
use crate::io::turn;

/// The addresses of one name. Valid while `resolve` of an atls_resolver runs, on its thread.
pub struct atls_addresses {
    found: Vec<IpAddr>,
}

/// Resolves names instead of the system. Its functions run on helper threads of the library, several at a time.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct atls_resolver {
    /// Adds the addresses of `host` to `addresses` (atls_addresses_add), in the order in which to try them, and returns 0. Another number, or no
    /// address, ends the attempt with DNS. May wait; deadlines are kept meanwhile, and an answer that comes too late is discarded.
    pub resolve: Option<
        unsafe extern "C" fn(user_data: *mut c_void, host: *const c_char, addresses: *mut atls_addresses) -> i32,
    >,
    /// Optional. Runs once, when nothing uses the resolver any more.
    pub drop: Option<unsafe extern "C" fn(user_data: *mut c_void)>,
    /// The host's own: what its functions are given.
    pub user_data: *mut c_void,
}

struct HostResolver(atls_resolver);

// SAFETY: the header tells the host on which threads its functions run.
unsafe impl Send for HostResolver {}
// SAFETY: it says that they run several at a time.
unsafe impl Sync for HostResolver {}

impl Resolve for HostResolver {
    fn resolve(&self, host: &str) -> Result<Vec<IpAddr>> {
        let failed = |why: String| Error::new(Status::Dns, format!("resolve {host}: {why}")).phase(Phase::Dns);
        let name = CString::new(host).map_err(|_| failed("a NUL in the name".into()))?;
        let mut addresses = atls_addresses { found: Vec::new() };
        let done = self.0.resolve.map(|resolve| {
            // SAFETY: the host gave this function for this data; the name and the list live through the call.
            call_host(|| unsafe { resolve(self.0.user_data, name.as_ptr(), &mut addresses) })
        });
        match (done, addresses.found) {
            (Some(0), found) if !found.is_empty() => Ok(found),
            (Some(0), _) => Err(failed("the resolver added no address".into())),
            (code, _) => Err(failed(format!("the resolver returned {}", code.unwrap_or(-1)))),
        }
    }
}

impl Drop for HostResolver {
    fn drop(&mut self) {
        if let Some(drop) = self.0.drop {
            // SAFETY: as in `resolve`; nothing else holds the resolver any more.
            turn::outside(|| unsafe { drop(self.0.user_data) });
        }
    }
}

/// Adds an address in text form, such as "192.0.2.1" or "2001:db8::1"; it has no port. Statuses: NULL_ARGUMENT, INVALID_UTF8, INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn atls_addresses_add(
    addresses: Option<&mut atls_addresses>,
    address: c_text,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let addresses = borrow_mut(addresses, "addresses")?;
        let given = text(address, "address")?;
        let unusable = |_| Error::new(Status::InvalidArgument, format!("address \"{}\"", given.escape_debug()));
        let address = given.parse().map_err(unusable)?;
        addresses.found.push(address);
        Ok(())
    })
}

/// Sets what resolves the names of servers, proxies, tunnels and collateral services; addresses need no resolving. Requests with different resolvers
/// do not share connections. If the call fails, `drop` does not run.
/// `resolver`: copied. May be NULL, for the system.
/// Statuses: NULL_ARGUMENT (also of its `resolve`).
#[unsafe(no_mangle)]
pub extern "C" fn atls_config_set_resolver(
    config: Builder<atls_config>,
    resolver: Option<&atls_resolver>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        if resolver.is_some_and(|resolver| resolver.resolve.is_none()) {
            return Err(Error::new(Status::NullArgument, "resolver.resolve is NULL"));
        }
        let set = |config: &mut atls_config| {
            let new = resolver.map(|resolver| Resolver(Arc::new(HostResolver(*resolver))));
            std::mem::replace(&mut config.config.change().dial.resolver, new)
        };
        // What was set before is dropped here, with a call into the host.
        change(config, "config", set).map(drop)
    })
}
