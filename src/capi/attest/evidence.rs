//! Evidence of this side, for servers and for clients: where it comes from, what clients of a server must prove, and what a quote must hold for who
//! terminates TLS elsewhere.

use std::ffi::c_void;
use std::path::Path;
use std::sync::Arc;

use super::policy::atls_policy;
use super::verifier::atls_verifier;
use super::verify::fixed;
use crate::attest::{Exporter, ProvingSide, Tee, report_data};
use crate::attester::{Attester, GuestAgent, HostFunction, HostQuote, Provider, Tsm};
use crate::capi::base::arguments::{Builder, Out, Owned, bytes, c_bytes, c_text, change, optional_text, require, text};
use crate::capi::base::bytes::atls_buf;
use crate::capi::base::error::atls_error;
use crate::capi::base::guard::guard;
use crate::capi::base::handle::{borrow, borrow_mut, take};
use crate::capi::base::status::{ATLS_OK, atls_status};
use crate::capi::connect::config::atls_config;
use crate::capi::server::config::atls_server_config;
use crate::connect::check_anchors;
use crate::error::{Error, Phase, Result, Status};
use crate::server::ClientPolicy;

/// Gets a quote over `report_data` (64 bytes). If it returns OK, `*evidence` is the JSON text of a guest agent's answer,
/// `{"quote":"<hex>","event_log":"<JSON>"}`, without `event_log` if the machine is not a dstack guest; the library frees it. Any other status means
/// that there is no quote. Runs on a thread of the library, one call at a time for each configuration; may block.
pub type atls_quote_fn = Option<
    unsafe extern "C" fn(user_data: *mut c_void, report_data: *const u8, evidence: *mut *mut atls_buf) -> atls_status,
>;

/// The side that proves itself.
pub type atls_attester = u32;

/// The server proves itself.
pub const ATLS_ATTESTER_SERVER: atls_attester = 0;
/// The client proves itself.
pub const ATLS_ATTESTER_CLIENT: atls_attester = 1;

/// Proves the server to clients that ask: `POST /tdx_quote` (protocol atlas-v1) and `POST /atls/exporter-v1` are answered with evidence of the
/// machine that the server runs on, bound to the TLS session. This is what atls_http_connect_start and the like ask for; docs/protocol.md describes
/// both protocols. The host does not see these requests. The server needs a certificate; if the agent supports it, its fingerprint is added to the
/// guest's log. Quotes are made one at a time. If 64 requests are waiting, or more than ATLS_SERVER_LIMIT_EVIDENCE_PER_SECOND arrive, further ones
/// are answered with 503 and Retry-After; clients of this library then ask again, within their deadlines.
/// `path`: the Unix socket of the dstack guest agent. May be NULL, for its usual places.
/// Statuses: NULL_ARGUMENT, INVALID_UTF8, INVALID_ARGUMENT (no agent found).
#[unsafe(no_mangle)]
pub extern "C" fn atls_server_config_set_dstack_agent(
    config: Builder<atls_server_config>,
    path: c_text,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let source = agent(path)?;
        change(config, "config", |config| config.settings.source.replace(source)).map(|_| ())
    })
}

/// Like atls_server_config_set_dstack_agent, with TDX quotes or SEV-SNP reports from configfs-tsm of the Linux kernel, for machines that are not
/// dstack guests. The kernel is asked at once which of the two this is. Of a TDX guest there is no event log; so only a policy can be satisfied
/// that accepts exporter-v1 and is of type `tdx`, or names no application and has `"require_key_event": false`. Evidence of an SEV-SNP guest is given by exporter-v1 only,
/// with the certificate of the key that signed it if the guest's host hands that out.
/// `path`: the folder of configfs-tsm. May be NULL, for the usual one.
/// Statuses: NULL_ARGUMENT, INVALID_UTF8, INVALID_ARGUMENT (not found).
#[unsafe(no_mangle)]
pub extern "C" fn atls_server_config_set_tsm(
    config: Builder<atls_server_config>,
    path: c_text,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let source = kernel(path)?;
        change(config, "config", |config| config.settings.source.replace(source)).map(|_| ())
    })
}

/// Like atls_server_config_set_dstack_agent, with quotes that the host makes. The host is then also responsible for naming the certificate in the
/// guest's log.
/// `drop`: may be NULL. Runs once, after the last use of `user_data`, and also if this call fails.
/// Statuses: NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_server_config_set_quote_source(
    config: Builder<atls_server_config>,
    quote: atls_quote_fn,
    user_data: *mut c_void,
    drop: Option<unsafe extern "C" fn(user_data: *mut c_void)>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let source = host_source(quote, user_data, drop)?;
        change(config, "config", |config| config.settings.source.replace(source)).map(|_| ())
    })
}

/// Proves the client to servers that ask, by protocol exporter-v1. If the configuration has a policy, it must accept exporter-v1, and the server's
/// evidence is judged first. Without a policy, a server that does not support exporter-v1 is shown nothing and is used as it is. If the server
/// refuses the evidence, connecting ends with EVIDENCE_REFUSED.
/// `path`: the Unix socket of the dstack guest agent. May be NULL, for its usual places.
/// Statuses: NULL_ARGUMENT, INVALID_UTF8, INVALID_ARGUMENT (no agent found).
#[unsafe(no_mangle)]
pub extern "C" fn atls_config_set_dstack_agent(
    config: Builder<atls_config>,
    path: c_text,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let source = agent(path)?;
        let attester = Arc::new(Attester::own(source));
        change(config, "config", |config| config.config.set_attester(attester)).map(|_| ())
    })
}

/// Like atls_config_set_dstack_agent, with evidence from configfs-tsm of the Linux kernel, as described for atls_server_config_set_tsm.
/// `path`: the folder of configfs-tsm. May be NULL, for the usual one.
/// Statuses: NULL_ARGUMENT, INVALID_UTF8, INVALID_ARGUMENT (not found).
#[unsafe(no_mangle)]
pub extern "C" fn atls_config_set_tsm(
    config: Builder<atls_config>,
    path: c_text,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let source = kernel(path)?;
        let attester = Arc::new(Attester::own(source));
        change(config, "config", |config| config.config.set_attester(attester)).map(|_| ())
    })
}

/// Like atls_config_set_dstack_agent, with quotes that the host makes.
/// `drop`: may be NULL. Runs once, after the last use of `user_data`, and also if this call fails.
/// Statuses: NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_config_set_quote_source(
    config: Builder<atls_config>,
    quote: atls_quote_fn,
    user_data: *mut c_void,
    drop: Option<unsafe extern "C" fn(user_data: *mut c_void)>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let source = host_source(quote, user_data, drop)?;
        let attester = Arc::new(Attester::own(source));
        change(config, "config", |config| config.config.set_attester(attester)).map(|_| ())
    })
}

/// Serves only clients that prove themselves by exporter-v1. Their evidence must satisfy `policy`, with the collateral and trust anchors of
/// `verifier`. Any other request before that is answered with 403, which ends the connection. Refused evidence is answered with 403 too; the client
/// learns only the name of the check that failed. The reason and the verdict (atls_error_verdict) are in the host's REFUSED event. A client has one
/// attempt for each challenge and eight for a connection, which then ends. The proof holds as long as the connection (atls_server_request_verdict).
/// The server needs a certificate. Statuses: NULL_ARGUMENT, TRUST_ANCHOR.
#[unsafe(no_mangle)]
pub extern "C" fn atls_server_config_set_client_policy(
    config: Option<&mut atls_server_config>,
    policy: Option<&atls_policy>,
    verifier: Option<&atls_verifier>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let policy = Arc::new(borrow(policy, "policy")?.policy.clone());
        let verifier = borrow(verifier, "verifier")?.verifier.clone();
        check_anchors(&policy, &verifier)?;
        borrow_mut(config, "config")?.settings.client_policy = Some(ClientPolicy { policy, verifier });
        Ok(())
    })
}

/// Adds a name of this server. If there are any, the server does not prove itself by exporter-v1 in a session that was opened for another name (SNI).
/// So a client that was redirected to a sibling whose certificate covers both names will notice. Statuses: NULL_ARGUMENT, INVALID_UTF8.
#[unsafe(no_mangle)]
pub extern "C" fn atls_server_config_add_name(
    config: Option<&mut atls_server_config>,
    name: c_text,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let name = text(name, "name")?.to_owned();
        borrow_mut(config, "config")?.settings.names.push(name);
        Ok(())
    })
}

/// For hosts that terminate TLS themselves: computes the report data that a quote must hold in protocol atlas-v1, the SHA-512 of `nonce` and
/// `exporter`.
/// `nonce`: 32 bytes, from the request.
/// `exporter`: 32 bytes, the TLS exporter value for the label "EXPORTER-Channel-Binding" without context.
/// `binder`: has room for 64 bytes.
/// Statuses: NULL_ARGUMENT, INVALID_ARGUMENT (not 32 bytes).
#[unsafe(no_mangle)]
pub extern "C" fn atls_compute_binder(
    nonce: c_bytes,
    exporter: c_bytes,
    binder: Out<[u8; 64]>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let binder = require(binder, "binder")?;
        let (nonce, exporter) = (of_32(nonce, "nonce")?, of_32(exporter, "exporter")?);
        binder.write(report_data(&nonce, &exporter));
        Ok(())
    })
}

/// For hosts that terminate TLS themselves: computes the report data that a quote must hold in protocol exporter-v1 (docs/protocol.md, "The binder").
/// `attester`: the side that proves itself.
/// `nonce`: 32 bytes, from the challenge.
/// `exporter`: 32 bytes, the TLS exporter value for the label "EXPERIMENTAL-atls-exporter-v1" with the SHA-384 of the challenge's bytes as context.
/// `server_leaf`: the server's certificate (DER).
/// `client_leaf`: the client's certificate (DER); empty if it has shown none.
/// `server_name`: the name in the handshake (SNI); may be NULL, for none.
/// `binder`: has room for 64 bytes.
/// Statuses: NULL_ARGUMENT, INVALID_ARGUMENT, INVALID_UTF8.
#[unsafe(no_mangle)]
pub extern "C" fn atls_compute_exporter_binder(
    attester: atls_attester,
    nonce: c_bytes,
    exporter: c_bytes,
    server_leaf: c_bytes,
    client_leaf: c_bytes,
    server_name: c_text,
    binder: Out<[u8; 64]>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let binder = require(binder, "binder")?;
        let (nonce, exporter) = (of_32(nonce, "nonce")?, of_32(exporter, "exporter")?);
        let leaves = (bytes(server_leaf, "server_leaf")?, bytes(client_leaf, "client_leaf")?);
        let name = optional_text(server_name, "server_name")?;
        let session = session(attester, (nonce, exporter), leaves, name)?;
        let made = session.report_data(Tee::Tdx).map_err(|why| Error::new(Status::InvalidArgument, why))?;
        binder.write(made);
        Ok(())
    })
}

/// The session of an exporter-v1 exchange, as C has it; `values` are nonce and exporter value.
pub(in crate::capi) fn session(
    attester: u32,
    values: ([u8; 32], [u8; 32]),
    (server_leaf, client_leaf): (&[u8], &[u8]),
    server_name: Option<&str>,
) -> Result<Exporter> {
    let attester = match attester {
        ATLS_ATTESTER_SERVER => ProvingSide::Server,
        ATLS_ATTESTER_CLIENT => ProvingSide::Client,
        other => {
            return Err(Error::new(Status::InvalidArgument, format!("attester {other} is none of ATLS_ATTESTER_*")));
        }
    };
    if server_leaf.is_empty() {
        return Err(Error::new(Status::InvalidArgument, "server_leaf is empty"));
    }
    let leaves = (server_leaf.to_vec(), Some(client_leaf.to_vec()).filter(|leaf| !leaf.is_empty()));
    Ok(Exporter::new(attester, values, leaves, server_name.unwrap_or_default().to_owned()))
}

fn agent(path: c_text) -> Result<Arc<dyn Provider>> {
    let path = optional_text(path, "path")?;
    Ok(Arc::new(GuestAgent::at(path.map(Path::new))?))
}

fn kernel(path: c_text) -> Result<Arc<dyn Provider>> {
    let path = optional_text(path, "path")?;
    Ok(Arc::new(Tsm::at(path.map(Path::new))?))
}

pub(in crate::capi) fn of_32(data: c_bytes, what: &str) -> Result<[u8; 32]> {
    if data.is_null() {
        return Err(Error::new(Status::NullArgument, format!("{what} is NULL")));
    }
    fixed(bytes(data, what)?, what)
}

/// The host's function with what it wants back.
struct Callback {
    quote: unsafe extern "C" fn(*mut c_void, *const u8, *mut *mut atls_buf) -> atls_status,
    kept: Kept,
}

pub(in crate::capi) struct Kept {
    pub(in crate::capi) user_data: *mut c_void,
    pub(in crate::capi) drop: Option<unsafe extern "C" fn(*mut c_void)>,
}

// SAFETY: `user_data` is only handed back to the host's own functions, and the header tells on which threads they run.
unsafe impl Send for Kept {}
// SAFETY: as above.
unsafe impl Sync for Kept {}

impl Drop for Kept {
    fn drop(&mut self) {
        if let Some(drop) = self.drop {
            // SAFETY: called once, after the last use.
            unsafe { drop(self.user_data) };
        }
    }
}

fn host_source(
    quote: atls_quote_fn,
    user_data: *mut c_void,
    drop: Option<unsafe extern "C" fn(*mut c_void)>,
) -> Result<Arc<dyn Provider>> {
    let kept = Kept { user_data, drop };
    let quote = quote.ok_or_else(|| Error::new(Status::NullArgument, "quote is NULL"))?;
    let callback = Callback { quote, kept };
    let ask: HostQuote = Arc::new(move |report_data| callback.ask(report_data));
    Ok(Arc::new(HostFunction(ask)))
}

impl Callback {
    fn ask(&self, report_data: &[u8; 64]) -> Result<Vec<u8>> {
        let none = |why: String| Error::new(Status::NoEvidence, why).phase(Phase::Evidence);
        let mut evidence = std::ptr::null_mut();
        // SAFETY: the contract of `atls_quote_fn`.
        let (status, evidence) = unsafe {
            let status = (self.quote)(self.kept.user_data, report_data.as_ptr(), &mut evidence);
            (status, Owned::from_raw(evidence))
        };
        let text = take(evidence).map(|buf| buf.bytes.to_vec());
        match (status, text) {
            (ATLS_OK, Some(text)) => Ok(text),
            (ATLS_OK, None) => Err(none("the host's source of quotes gave nothing".into())),
            (other, _) => Err(none(format!("the host's source of quotes answers {other}"))),
        }
    }
}
