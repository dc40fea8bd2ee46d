//! `atls_server_config`: the certificates that a server presents, and those that it asks clients for.

use super::config::atls_server_config;
use crate::capi::base::arguments::{Out, c_text, text};
use crate::capi::base::c_bool::c_bool;
use crate::capi::base::error::atls_error;
use crate::capi::base::guard::guard;
use crate::capi::base::handle::borrow_mut;
use crate::capi::base::status::atls_status;
use crate::error::Result;
use crate::tls::{ClientCertificates, Identity};

/// Serves TLS 1.3, and nothing older, with this certificate.
/// `chain_pem`: the certificate chain, leaf first.
/// `key_pem`: the private key of the leaf.
/// Statuses: NULL_ARGUMENT, INVALID_UTF8, INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn atls_server_config_set_certificate(
    config: Option<&mut atls_server_config>,
    chain_pem: c_text,
    key_pem: c_text,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let identity = identity(chain_pem, key_pem)?;
        borrow_mut(config, "config")?.settings.set_identity(identity)
    })
}

/// Uses another certificate for sessions that ask for `name` (SNI). Call
/// atls_server_config_set_certificate first.
/// `chain_pem`: the certificate chain, leaf first.
/// `key_pem`: the private key of the leaf.
/// Statuses: NULL_ARGUMENT, INVALID_UTF8, INVALID_ARGUMENT, INVALID_STATE (no certificate was set).
#[unsafe(no_mangle)]
pub extern "C" fn atls_server_config_add_certificate(
    config: Option<&mut atls_server_config>,
    name: c_text,
    chain_pem: c_text,
    key_pem: c_text,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let name = text(name, "name")?;
        let identity = identity(chain_pem, key_pem)?;
        borrow_mut(config, "config")?.settings.add_identity(name, identity)
    })
}

/// Asks clients for a certificate; atls_server_request_certificate returns it. Call
/// atls_server_config_set_certificate first.
/// `roots_pem`: the roots, one of which must have issued the certificate's chain.
/// `required`: whether the handshake fails if the client has no certificate.
/// Statuses: NULL_ARGUMENT, INVALID_UTF8, INVALID_ARGUMENT, INVALID_STATE (no certificate was set).
#[unsafe(no_mangle)]
pub extern "C" fn atls_server_config_set_client_roots(
    config: Option<&mut atls_server_config>,
    roots_pem: c_text,
    required: c_bool,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let roots_pem = text(roots_pem, "roots_pem")?.to_owned();
        let clients = ClientCertificates { roots_pem, required: required.get() };
        borrow_mut(config, "config")?.settings.ask_clients(clients)
    })
}

pub(in crate::capi) fn identity(chain_pem: c_text, key_pem: c_text) -> Result<Identity> {
    let (chain, key) = (text(chain_pem, "chain_pem")?, text(key_pem, "key_pem")?);
    Ok(Identity { chain_pem: chain.to_owned(), key_pem: key.to_owned() })
}
