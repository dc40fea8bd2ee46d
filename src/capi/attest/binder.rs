//! What evidence must hold, for hosts that terminate TLS elsewhere.

use super::host_evidence::kind;
use super::verify::fixed;
use crate::attest::{Exporter, ProvingSide, Tee, report_data};
use crate::capi::base::arguments::{Out, bytes, c_bytes, c_text, filled, optional_text, require};
use crate::capi::base::error::atls_error;
use crate::capi::base::guard::guard;
use crate::capi::base::status::atls_status;
use crate::capi::base::unknown;
use crate::error::{Error, Result, Status};

/// The side that proves itself.
pub type atls_attester = u32;

/// The server proves itself.
pub const ATLS_ATTESTER_SERVER: atls_attester = 0;
/// The client proves itself.
pub const ATLS_ATTESTER_CLIENT: atls_attester = 1;

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

/// For hosts that terminate TLS themselves: computes the report data that a TDX quote must hold in protocol exporter-v1 (docs/protocol.md, "The binder"). For other kinds of
/// evidence: atls_compute_exporter_binder_for.
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
        let leaves = (filled(server_leaf, "server_leaf")?, bytes(client_leaf, "client_leaf")?);
        let name = optional_text(server_name, "server_name")?;
        let session = session(attester, (nonce, exporter), leaves, name)?;
        binder.write(bound(&session, Tee::Tdx)?);
        Ok(())
    })
}

/// Like atls_compute_exporter_binder, for evidence of any kind. docs/protocol.md says where evidence of each kind holds the binder.
/// `tee`: the kind, as docs/protocol.md names it: "tdx", "snp", "nitro" and so on.
/// `attester`: the side that proves itself.
/// `nonce`: 32 bytes, from the challenge.
/// `exporter`: 32 bytes, the TLS exporter value for the label "EXPERIMENTAL-atls-exporter-v1" with the SHA-384 of the challenge's bytes as context.
/// `server_leaf`: the server's certificate (DER).
/// `client_leaf`: the client's certificate (DER); empty if it has shown none.
/// `server_name`: the name in the handshake (SNI); may be NULL, for none.
/// `binder`: has room for 64 bytes.
/// Statuses: NULL_ARGUMENT, INVALID_ARGUMENT, INVALID_UTF8.
#[unsafe(no_mangle)]
pub extern "C" fn atls_compute_exporter_binder_for(
    tee: c_text,
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
        let leaves = (filled(server_leaf, "server_leaf")?, bytes(client_leaf, "client_leaf")?);
        let (tee, name) = (kind(tee)?, optional_text(server_name, "server_name")?);
        let session = session(attester, (nonce, exporter), leaves, name)?;
        binder.write(bound(&session, tee)?);
        Ok(())
    })
}

fn bound(session: &Exporter, tee: Tee) -> Result<[u8; 64]> {
    session.report_data(tee).map_err(|why| Error::new(Status::InvalidArgument, why))
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
        other => return Err(unknown("attester", other)),
    };
    let leaves = (server_leaf.to_vec(), Some(client_leaf.to_vec()).filter(|leaf| !leaf.is_empty()));
    Ok(Exporter::new(attester, values, leaves, server_name.unwrap_or_default().to_owned()))
}

pub(in crate::capi) fn of_32(data: c_bytes, what: &str) -> Result<[u8; 32]> {
    if data.is_null() {
        return Err(Error::new(Status::NullArgument, format!("{what} is NULL")));
    }
    fixed(bytes(data, what)?, what)
}
