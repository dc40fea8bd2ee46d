//! `atls_config`, TLS: whom to trust, and who we are.

use std::ffi::c_void;
use std::sync::Arc;

use super::config::atls_config;
use crate::capi::attest::host_evidence::HostData;
use crate::capi::base::arguments::{Builder, Out, c_text, change, optional_text, text};
use crate::capi::base::bytes::{atls_str, c_string};
use crate::capi::base::c_bool::c_bool;
use crate::capi::base::error::atls_error;
use crate::capi::base::guard::guard;
use crate::capi::base::handle::borrow_mut;
use crate::capi::base::status::atls_status;
use crate::connect::ConnectBuilder;
use crate::io::turn;
use crate::tls::{Identity, KeyLogSink};

/// Sets the name to check the certificate against and to send as SNI, if it is not the host.
/// `server_name`: may be NULL, for the host.
/// Statuses: NULL_ARGUMENT, INVALID_UTF8.
#[unsafe(no_mangle)]
pub extern "C" fn atls_config_set_server_name(
    config: Option<&mut atls_config>,
    server_name: c_text,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let name = optional_text(server_name, "server_name")?.map(str::to_owned);
        borrow_mut(config, "config")?.config.change().server_name = name;
        Ok(())
    })
}

/// Also trusts these root certificates (PEM, one or more) for the server's chain. Statuses: NULL_ARGUMENT, INVALID_UTF8.
#[unsafe(no_mangle)]
pub extern "C" fn atls_config_add_root_pem(
    config: Option<&mut atls_config>,
    pem: c_text,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let pem = text(pem, "pem")?.to_owned();
        borrow_mut(config, "config")?.config.change().trust.roots.extra_pem.push(pem);
        Ok(())
    })
}

/// Sets which root certificates are trusted besides added ones.
/// `webpki`: the built-in Mozilla set, on by default.
/// `platform`: the store of the operating system, off by default.
/// Statuses: NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn atls_config_set_roots(
    config: Option<&mut atls_config>,
    webpki: c_bool,
    platform: c_bool,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let roots = &mut borrow_mut(config, "config")?.config.change().trust.roots;
        roots.webpki = Some(webpki.get());
        roots.platform = platform.get();
        Ok(())
    })
}

/// Presents a client certificate to servers that ask for one. The PEM is parsed when the configuration is used.
/// `chain_pem`, `key_pem`: the chain, leaf first, and its key. Both may be NULL, to remove the certificate.
/// Statuses: NULL_ARGUMENT (only one of them is), INVALID_UTF8.
#[unsafe(no_mangle)]
pub extern "C" fn atls_config_set_client_certificate(
    config: Option<&mut atls_config>,
    chain_pem: c_text,
    key_pem: c_text,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let identity = match (chain_pem.is_null(), key_pem.is_null()) {
            (true, true) => None,
            _ => {
                let (chain, key) = (text(chain_pem, "chain_pem")?, text(key_pem, "key_pem")?);
                Some(Identity { chain_pem: chain.to_owned(), key_pem: key.to_owned() })
            }
        };
        borrow_mut(config, "config")?.config.change().trust.identity = identity;
        Ok(())
    })
}

/// With false, any certificate and name are accepted, so the connection may end anywhere. For unattested connections only: with a policy, connecting
/// answers INVALID_STATE. Statuses: NULL_ARGUMENT, INVALID_STATE (a policy is set).
#[unsafe(no_mangle)]
pub extern "C" fn atls_config_set_certificate_check(
    config: Option<&mut atls_config>,
    check: c_bool,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || borrow_mut(config, "config")?.config.set_certificate_check(check.get()))
}

/// Receives one line in the format of SSLKEYLOGFILE, without its line break: a label, the client random and a secret of the session, both in
/// hexadecimal. `line` is valid only during the call. Runs on any thread, on several at once; must not call `atls_*`.
pub type atls_key_log_fn = Option<unsafe extern "C" fn(user_data: *mut c_void, line: atls_str)>;

/// Passes the secrets of each TLS session to `callback`, for analysing protocols. Anyone who has them and the recorded traffic can read all of it.
/// With a policy, connecting answers INVALID_STATE unless `words` is "secrets may leave".
/// `callback`: may be NULL, the default: nothing is passed on.
/// `drop`: may be NULL. Runs once, after the last use of `user_data`, and also if this call fails.
/// `words`: may be NULL, or else must be "secrets may leave".
/// Statuses: NULL_ARGUMENT, INVALID_UTF8, INVALID_ARGUMENT (other words).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_config_set_key_log(
    config: Builder<atls_config>,
    callback: atls_key_log_fn,
    user_data: *mut c_void,
    drop: Option<unsafe extern "C" fn(user_data: *mut c_void)>,
    words: c_text,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let kept = HostData { user_data, drop };
        let consent = ConnectBuilder::consent(optional_text(words, "words")?)?;
        let lines = match callback {
            Some(callback) => Ok(KeyLogSink(Arc::new(move |line| tell(callback, &kept, line)))),
            None => Err(kept),
        };
        let (new, unused) = lines.map_or_else(|kept| (None, Some(kept)), |lines| (Some(lines), None));
        let before = change(config, "config", |config| config.config.set_key_log(new, consent))?;
        // Whatever is not in use any more goes here, with a call into the host.
        std::mem::drop((before, unused));
        Ok(())
    })
}

fn tell(callback: unsafe extern "C" fn(*mut c_void, atls_str), kept: &HostData, line: &str) {
    let line = c_string(line);
    // SAFETY: the contract of `atls_key_log_fn`.
    turn::outside(|| unsafe { callback(kept.user_data, atls_str::from_cstring(&line)) })
}
