//! Evidence of this side, for servers and for clients: where it comes from, and what clients of a server must prove.

use std::ffi::c_void;
use std::path::Path;
use std::sync::Arc;

use super::host_evidence::{self, HostData, atls_attached_fn, atls_evidence_fn, atls_quote_fn};
use super::nsm_device::NsmDevice;
use super::policy::atls_policy;
use super::verifier::atls_verifier;
use crate::attester::{AzureVtpm, DeviceSource, GuestAgent, Nsm, Provider, Tsm};
use crate::capi::base::arguments::{Builder, Out, c_text, change, given, optional_text, text};
use crate::capi::base::error::atls_error;
use crate::capi::base::guard::guard;
use crate::capi::base::handle::{borrow, borrow_mut};
use crate::capi::base::status::atls_status;
use crate::capi::connect::config::atls_config;
use crate::capi::server::config::atls_server_config;
use crate::error::{Error, Result, Status};

/// Proves the server to clients that ask: `POST /tdx_quote` (protocol atlas-v1) and `POST /atls/exporter-v1` are answered with evidence of the
/// machine that the server runs on, bound to the TLS session. This is what atls_http_connect_start and the like ask for; docs/protocol.md describes
/// both protocols. The host does not see these requests. The server needs a certificate; if the agent supports it, its fingerprint is added to the
/// guest's log. Quotes are made one at a time. If 64 requests are waiting, or more than ATLS_SERVER_LIMIT_EVIDENCE_PER_SECOND arrive, further ones
/// are answered with 503 and Retry-After, and so is one whose evidence is not made within 30 s; clients of this library then ask again, within their deadlines.
/// A server may have several sources, each of another kind of evidence: a source takes the place of one of the same kind. A client is given the first
/// kind of its challenge that the server has a source of; if there is none, the answer is 400.
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
        change(config, "config", |config| config.settings.sources.set(source)).map(|_| ())
    })
}

/// Like atls_server_config_set_dstack_agent, with TDX quotes or SEV-SNP reports from configfs-tsm of the Linux kernel, for machines that are not
/// dstack guests. The kernel is asked at once which of the two this is. The evidence of a TDX guest then has no event log, so it satisfies only
/// policies that accept exporter-v1 and either are of type `tdx`, or name no application and have `"require_key_event": false`. The firmware's boot log
/// goes with the quote if /sys/firmware/acpi/tables/data/CCEL can be read. Evidence of an SEV-SNP guest is given by exporter-v1 only, with the
/// certificate of the key that signed it if the guest's host provides that.
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
        change(config, "config", |config| config.settings.sources.set(source)).map(|_| ())
    })
}

/// Like atls_server_config_set_dstack_agent, with documents of the security module of an AWS Nitro enclave, which name the key of the session's
/// certificate. They are given by exporter-v1 only.
/// `path`: the device. May be NULL, for "/dev/nsm".
/// Statuses: NULL_ARGUMENT, INVALID_UTF8, INVALID_ARGUMENT (cannot be opened).
#[unsafe(no_mangle)]
pub extern "C" fn atls_server_config_set_nsm(
    config: Builder<atls_server_config>,
    path: c_text,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        given(&config, "config")?;
        let source = security_module(path)?;
        change(config, "config", |config| config.settings.sources.set(source)).map(|_| ())
    })
}

/// Like atls_server_config_set_dstack_agent, with evidence of an Azure confidential virtual machine: the report of its paravisor and a quote of its TPM. The
/// TPM is asked at once whether the machine is a TDX or an SEV-SNP guest. Evidence is given by exporter-v1 only. The metadata service is asked for
/// the hardware's quote or for the certificate of the chip's key, whenever the report is another; and the issuers of the certificate that the TPM has for its key are
/// fetched once, by http, from where that certificate says that they are, if that is on the public internet. Clients that want a fresh report get it once in five seconds, and wait some seconds.
/// `tpm`: the device, or a Unix socket of a TPM. May be NULL, for "/dev/tpmrm0".
/// `metadata_url`: "http://HOST" or "http://HOST:PORT". May be NULL, for "http://169.254.169.254".
/// Statuses: NULL_ARGUMENT, INVALID_UTF8, INVALID_ARGUMENT (no TPM, no such machine, not a URL).
#[unsafe(no_mangle)]
pub extern "C" fn atls_server_config_set_azure_vtpm(
    config: Builder<atls_server_config>,
    tpm: c_text,
    metadata_url: c_text,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        given(&config, "config")?;
        let source = virtual_tpm(tpm, metadata_url)?;
        change(config, "config", |config| config.settings.sources.set(source)).map(|_| ())
    })
}

/// Like atls_server_config_set_dstack_agent, with TDX quotes that the host makes. The host is then also responsible for naming the certificate
/// in the guest's log.
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
        let source = host_evidence::quotes(quote, HostData { user_data, drop })?;
        change(config, "config", |config| config.settings.sources.set(source)).map(|_| ())
    })
}

/// Like atls_server_config_set_dstack_agent, with evidence of any kind that the host makes. Such evidence is given by exporter-v1, and "tdx" by atlas-v1 too,
/// which needs a log that names the certificate.
/// `tee`: the kind, as docs/protocol.md names it: "tdx", "snp", "nitro" and so on.
/// `drop`: may be NULL. Runs once, after the last use of `user_data`, and also if this call fails.
/// Statuses: NULL_ARGUMENT, INVALID_UTF8, INVALID_ARGUMENT (no such kind).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_server_config_set_evidence_source(
    config: Builder<atls_server_config>,
    tee: c_text,
    evidence: atls_evidence_fn,
    user_data: *mut c_void,
    drop: Option<unsafe extern "C" fn(user_data: *mut c_void)>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let kept = HostData { user_data, drop };
        given(&config, "config")?;
        let source = host_evidence::evidence(tee, evidence, kept)?;
        change(config, "config", |config| config.settings.sources.set(source)).map(|_| ())
    })
}

/// Adds a source of evidence of devices beside the machine. It is attached to the evidence of the server itself if a client wishes for such evidence, that is, if
/// its policy has a `gpu` block. The library opens no library of a device's maker: the host calls that, or a tool, in `evidence`. Nothing in such evidence
/// says in which machine a device is. The guest has to check its own devices before it uses them, and what a client learns of them is worth as much as what
/// its policy pins of the guest. There may be eight sources, several of a kind too; if one fails, the server gives no evidence. A server that has no
/// source of its own evidence does not start with one of devices.
/// `tee`: the kind, "nvidia".
/// `drop`: may be NULL. Runs once, after the last use of `user_data`, and also if this call fails.
/// Statuses: NULL_ARGUMENT, INVALID_UTF8, INVALID_ARGUMENT (a kind that does not attach; a ninth source).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_server_config_add_attached_source(
    config: Builder<atls_server_config>,
    tee: c_text,
    evidence: atls_attached_fn,
    user_data: *mut c_void,
    drop: Option<unsafe extern "C" fn(user_data: *mut c_void)>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let kept = HostData { user_data, drop };
        given(&config, "config")?;
        let (tee, ask) = host_evidence::devices(tee, evidence, kept)?;
        let source = Arc::new(DeviceSource::new(tee, ask));
        has_room(change(config, "config", |config| config.settings.devices.add(source))?)
    })
}

/// Proves the client to servers that ask, by protocol exporter-v1. If the configuration has a policy, it must accept exporter-v1, and the server's
/// evidence is judged first. Without a policy, a server that does not support exporter-v1 is shown nothing and is used as it is. If the server
/// refuses the evidence, connecting ends with EVIDENCE_REFUSED; if it wants a kind of evidence that there is no source of, with NO_EVIDENCE. There may be
/// several sources, each of another kind of evidence: a source takes the place of one of the same kind.
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
        change(config, "config", |config| config.config.set_source(source)).map(|_| ())
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
        change(config, "config", |config| config.config.set_source(source)).map(|_| ())
    })
}

/// Like atls_config_set_dstack_agent, with documents of the security module of an AWS Nitro enclave, as described for atls_server_config_set_nsm.
/// `path`: the device. May be NULL, for "/dev/nsm".
/// Statuses: NULL_ARGUMENT, INVALID_UTF8, INVALID_ARGUMENT (cannot be opened).
#[unsafe(no_mangle)]
pub extern "C" fn atls_config_set_nsm(
    config: Builder<atls_config>,
    path: c_text,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        given(&config, "config")?;
        let source = security_module(path)?;
        change(config, "config", |config| config.config.set_source(source)).map(|_| ())
    })
}

/// Like atls_config_set_dstack_agent, with evidence of an Azure confidential virtual machine, as described for atls_server_config_set_azure_vtpm.
/// `tpm`: the device, or a Unix socket of a TPM. May be NULL, for "/dev/tpmrm0".
/// `metadata_url`: "http://HOST" or "http://HOST:PORT". May be NULL, for "http://169.254.169.254".
/// Statuses: NULL_ARGUMENT, INVALID_UTF8, INVALID_ARGUMENT (no TPM, no such machine, not a URL).
#[unsafe(no_mangle)]
pub extern "C" fn atls_config_set_azure_vtpm(
    config: Builder<atls_config>,
    tpm: c_text,
    metadata_url: c_text,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        given(&config, "config")?;
        let source = virtual_tpm(tpm, metadata_url)?;
        change(config, "config", |config| config.config.set_source(source)).map(|_| ())
    })
}

/// Like atls_config_set_dstack_agent, with TDX quotes that the host makes.
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
        let source = host_evidence::quotes(quote, HostData { user_data, drop })?;
        change(config, "config", |config| config.config.set_source(source)).map(|_| ())
    })
}

/// Like atls_config_set_dstack_agent, with evidence of any kind that the host makes.
/// `tee`: the kind, as docs/protocol.md names it: "tdx", "snp", "nitro" and so on.
/// `drop`: may be NULL. Runs once, after the last use of `user_data`, and also if this call fails.
/// Statuses: NULL_ARGUMENT, INVALID_UTF8, INVALID_ARGUMENT (no such kind).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_config_set_evidence_source(
    config: Builder<atls_config>,
    tee: c_text,
    evidence: atls_evidence_fn,
    user_data: *mut c_void,
    drop: Option<unsafe extern "C" fn(user_data: *mut c_void)>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let kept = HostData { user_data, drop };
        given(&config, "config")?;
        let source = host_evidence::evidence(tee, evidence, kept)?;
        change(config, "config", |config| config.config.set_source(source)).map(|_| ())
    })
}

/// Like atls_server_config_add_attached_source, for servers that ask the client for evidence and wish for that of devices too. A configuration that has no
/// source of the client's own evidence cannot be used with one of devices.
/// `tee`: the kind, "nvidia".
/// `drop`: may be NULL. Runs once, after the last use of `user_data`, and also if this call fails.
/// Statuses: NULL_ARGUMENT, INVALID_UTF8, INVALID_ARGUMENT (a kind that does not attach; a ninth source).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_config_add_attached_source(
    config: Builder<atls_config>,
    tee: c_text,
    evidence: atls_attached_fn,
    user_data: *mut c_void,
    drop: Option<unsafe extern "C" fn(user_data: *mut c_void)>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let kept = HostData { user_data, drop };
        given(&config, "config")?;
        let (tee, ask) = host_evidence::devices(tee, evidence, kept)?;
        let source = Arc::new(DeviceSource::own(tee, ask));
        has_room(change(config, "config", |config| config.config.change().devices.add(source))?)
    })
}

/// Serves only clients that prove themselves by exporter-v1. Their evidence must satisfy `policy`, with the collateral and trust anchors of
/// `verifier`. Any other request before that is answered with 403, which ends the connection. Refused evidence is answered with 403 too; the client
/// learns only the name of the check that failed. The reason and the verdict (atls_error_verdict) are in the host's REFUSED event. A client has one
/// attempt for each challenge and eight for a connection, which then ends. The proof holds as long as the connection, unless the
/// policy ends it earlier (docs/policy.md, "Open connections"): then the next request is refused in the same way. A later proof that is refused ends it
/// too, and the connection. Its verdict: atls_server_request_verdict.
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
        borrow_mut(config, "config")?.settings.set_client_policy(policy, verifier)
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

fn agent(path: c_text) -> Result<Arc<dyn Provider>> {
    let path = optional_text(path, "path")?;
    Ok(Arc::new(GuestAgent::at(path.map(Path::new))?))
}

fn kernel(path: c_text) -> Result<Arc<dyn Provider>> {
    let path = optional_text(path, "path")?;
    Ok(Arc::new(Tsm::at(path.map(Path::new))?))
}

fn security_module(path: c_text) -> Result<Arc<dyn Provider>> {
    let path = optional_text(path, "path")?;
    Ok(Arc::new(Nsm::new(Arc::new(NsmDevice::open(path.map(Path::new))?))))
}

/// `left`: a source for which there was no room.
fn has_room(left: Option<Arc<DeviceSource>>) -> Result<()> {
    match left {
        None => Ok(()),
        Some(_) => Err(Error::new(Status::InvalidArgument, "there are eight sources of attached evidence already")),
    }
}

fn virtual_tpm(tpm: c_text, metadata_url: c_text) -> Result<Arc<dyn Provider>> {
    let (tpm, metadata) = (optional_text(tpm, "tpm")?, optional_text(metadata_url, "metadata_url")?);
    Ok(Arc::new(AzureVtpm::at(tpm.map(Path::new), metadata)?))
}
