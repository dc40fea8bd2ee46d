//! `atls_config`, TLS: whom to trust, and who we are.

use std::ffi::c_char;

use super::config::atls_config;
use super::error::atls_error;
use super::guard::guard;
use super::handle::{borrow_mut, optional_text, text};
use super::status::atls_status;
use crate::error::{Error, Status};
use crate::tls::Identity;

/// The name to check the certificate against and to send as SNI, where it differs from the host; NULL for the host. Statuses:
/// NULL_ARGUMENT, INVALID_UTF8.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_config_set_server_name(
    config: *mut atls_config,
    server_name: *const c_char,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        let name = unsafe { optional_text(server_name, "server_name") }?.map(str::to_owned);
        unsafe { borrow_mut(config, "config") }?.change().server_name = name;
        Ok(())
    })
}

/// Also trusts these root certificates (PEM, one or more) for the server's chain. Statuses: NULL_ARGUMENT, INVALID_UTF8.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_config_add_root_pem(
    config: *mut atls_config,
    pem: *const c_char,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        let pem = unsafe { text(pem, "pem") }?.to_owned();
        unsafe { borrow_mut(config, "config") }?.change().trust.roots.extra_pem.push(pem);
        Ok(())
    })
}

/// Which sets of roots to trust besides added ones: `webpki` is the built-in Mozilla set (on by default), `platform` the operating
/// system's store (off by default). Statuses: NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_config_set_roots(
    config: *mut atls_config,
    webpki: bool,
    platform: bool,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        let roots = &mut unsafe { borrow_mut(config, "config") }?.change().trust.roots;
        roots.webpki = Some(webpki);
        roots.platform = platform;
        Ok(())
    })
}

/// Shows a client certificate to servers that ask for one: the chain (leaf first) and its key as PEM. NULL for both takes it away. What they
/// hold is checked when the configuration is used. Statuses: NULL_ARGUMENT (one of them), INVALID_UTF8.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_config_set_client_certificate(
    config: *mut atls_config,
    chain_pem: *const c_char,
    key_pem: *const c_char,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        let identity = match (chain_pem.is_null(), key_pem.is_null()) {
            (true, true) => None,
            _ => {
                let (chain, key) = unsafe { (text(chain_pem, "chain_pem")?, text(key_pem, "key_pem")?) };
                Some(Identity { chain_pem: chain.to_owned(), key_pem: key.to_owned() })
            }
        };
        unsafe { borrow_mut(config, "config") }?.change().trust.identity = identity;
        Ok(())
    })
}

/// With false, any certificate and name will do: such a connection may end anywhere. For unattested connections only; beside a policy
/// connecting answers INVALID_STATE. Statuses: NULL_ARGUMENT, INVALID_STATE (a policy is set).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_config_set_certificate_check(
    config: *mut atls_config,
    check: bool,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        let config = unsafe { borrow_mut(config, "config") }?;
        if !check && config.settings().policy.is_some() {
            return Err(Error::new(Status::InvalidState, "a policy needs the certificate check"));
        }
        config.change().trust.unchecked = !check;
        Ok(())
    })
}
