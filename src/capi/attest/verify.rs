//! Offline verification: evidence, collateral, policy and time in, verdict out. No network, no clock.

use std::sync::Arc;

use super::binder;
use super::binder::atls_attester;
use super::policy::atls_policy;
use super::verdict::atls_verdict;
use crate::attest::dcap::QuoteKind;
use crate::attest::sgx::{Sgx, SgxEvidence};
use crate::attest::tdx::TdxEvidence;
use crate::attest::{Binding, Evidence, OfflineRequest, RaTlsCertificate, RaTlsFormat, Vendor, convert};
use crate::capi::base::arguments::{Out, Owned, bytes, c_bytes, c_text, filled, optional_text, require, text};
use crate::capi::base::error::atls_error;
use crate::capi::base::guard::{guard, guard_free};
use crate::capi::base::handle::{Handle, borrow, borrow_mut, destroy};
use crate::capi::base::status::atls_status;
use crate::collateral::documents_from_json;
use crate::error::{Error, Phase, Result, Status};

/// The input of an offline verification, set piece by piece. A builder: one thread at a time.
#[derive(Default)]
pub struct atls_verification {
    request: OfflineRequest,
}

impl Handle for atls_verification {
    type Owner = Box<atls_verification>;
}

/// Creates an empty one. Statuses: NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn atls_verification_new(
    verification: Out<*mut atls_verification>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let verification = require(verification, "verification")?;
        verification.give(Box::default());
        Ok(())
    })
}

/// Frees the builder.
#[unsafe(no_mangle)]
pub extern "C" fn atls_verification_free(verification: Owned<atls_verification>) {
    guard_free(|| destroy(verification));
}

/// Sets the evidence, as JSON: `{"tee":"snp","evidence":{..}}` with the evidence object of protocol exporter-v1, and `"attached":[..]` as in its answers if there
/// are devices beside the machine; or, of a TDX guest, the answer to
/// `POST /tdx_quote`, or a guest agent's object with `quote` (hex) and `event_log`. Copied. Statuses: NULL_ARGUMENT, EVIDENCE_INVALID.
#[unsafe(no_mangle)]
pub extern "C" fn atls_verification_set_evidence_json(
    verification: Option<&mut atls_verification>,
    json: c_bytes,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let target = &mut borrow_mut(verification, "verification")?.request;
        let evidence = Evidence::from_json(bytes(json, "json")?);
        target.evidence = Some(evidence.map_err(|why| invalid(Status::EvidenceInvalid, "evidence", why))?);
        Ok(())
    })
}

/// Sets the evidence, as a document of another stack, converted; what it says beside the evidence is not judged. Copied. Nothing is guessed: `format` says
/// what it is.
/// "dstack-attestation": of a dstack machine, version 0 (SCALE) or 1 (MessagePack), or the JSON with one of them in hex, as its agent answers.
/// "coco-az", "coco-tdx": JSON of Confidential Containers' attestation agent, on Azure or in a TDX guest.
/// "tdx-quote", "snp-report": what the hardware signed, and zeros behind it. "nitro-document", "nitro-tpm-document": what AWS signed.
/// `format`: one of these names.
/// `document`: its bytes, at most 4 MiB.
/// Statuses: NULL_ARGUMENT, INVALID_UTF8, UNSUPPORTED (another format), EVIDENCE_INVALID (not of this format, or of a machine whose evidence is not judged
/// by this version).
#[unsafe(no_mangle)]
pub extern "C" fn atls_verification_set_evidence_document(
    verification: Option<&mut atls_verification>,
    format: c_text,
    document: c_bytes,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let target = &mut borrow_mut(verification, "verification")?.request;
        let (format, document) = (text(format, "format")?, bytes(document, "document")?);
        let unknown = || {
            let message = format!("format {format:?} is not known; known are {}", convert::known_formats());
            Error::new(Status::Unsupported, message)
        };
        let evidence = convert::evidence(format, document).ok_or_else(unknown)?;
        target.evidence = Some(evidence.map_err(|why| invalid(Status::EvidenceInvalid, format, why))?);
        Ok(())
    })
}

/// Sets the evidence, as a binary quote of a TDX guest and the JSON text of its event log, or as the quote of an SGX enclave, which has none. Copied.
/// `event_log`: its pointer may be NULL, with a length of 0, for a quote that has no log. Such a quote of a dstack guest is judged only without session
/// binding and under a policy that names no application.
/// Statuses: NULL_ARGUMENT, INVALID_UTF8.
#[unsafe(no_mangle)]
pub extern "C" fn atls_verification_set_quote(
    verification: Option<&mut atls_verification>,
    quote: c_bytes,
    event_log: c_bytes,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let target = &mut borrow_mut(verification, "verification")?.request;
        let logged = !event_log.is_null();
        let log = bytes(event_log, "event_log")?;
        let log = std::str::from_utf8(log).map_err(|e| Error::new(Status::InvalidUtf8, format!("event_log: {e}")))?;
        let quote = bytes(quote, "quote")?.to_vec();
        target.evidence = Some(match QuoteKind::said_by(&quote) {
            Some(QuoteKind::Enclave) if !logged => Evidence::of::<Sgx>(SgxEvidence { quote }),
            _ => TdxEvidence { quote, event_log: logged.then(|| log.to_owned()), ccel: None }.into(),
        });
        Ok(())
    })
}

/// Sets the vendor's collateral, as JSON: a bundle (atls_verifier_export) or, of one TDX or SGX platform, one set in the form of dcap-qvl. Copied. A PCK chain
/// in it is ignored; the one in the quote counts. Statuses: NULL_ARGUMENT, COLLATERAL_INVALID.
#[unsafe(no_mangle)]
pub extern "C" fn atls_verification_set_collateral_json(
    verification: Option<&mut atls_verification>,
    json: c_bytes,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let target = &mut borrow_mut(verification, "verification")?.request;
        let documents = documents_from_json(bytes(json, "json")?);
        target.documents = Some(documents.map_err(|why| invalid(Status::CollateralInvalid, "collateral", why))?);
        Ok(())
    })
}

/// Sets the policy to judge by. Statuses: NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn atls_verification_set_policy(
    verification: Option<&mut atls_verification>,
    policy: Option<&atls_policy>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let policy = borrow(policy, "policy")?.policy.clone();
        borrow_mut(verification, "verification")?.request.policy = Some(policy);
        Ok(())
    })
}

/// Sets the time to judge at, in seconds since 1970-01-01 UTC: certificates, CRLs and TCB documents must be valid then. Statuses: NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn atls_verification_set_time(
    verification: Option<&mut atls_verification>,
    unix_seconds: u64,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        borrow_mut(verification, "verification")?.request.time = Some(unix_seconds);
        Ok(())
    })
}

/// Sets the TLS session that the evidence must be bound to.
/// `nonce`: the verifier's, 32 bytes.
/// `exporter`: 32 bytes, the TLS exporter value for the label "EXPORTER-Channel-Binding" without context.
/// `leaf_der`: the server's leaf certificate.
/// Statuses: NULL_ARGUMENT, INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn atls_verification_set_session(
    verification: Option<&mut atls_verification>,
    nonce: c_bytes,
    exporter: c_bytes,
    leaf_der: c_bytes,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let target = &mut borrow_mut(verification, "verification")?.request;
        let leaf = filled(leaf_der, "leaf_der")?;
        target.binding = Some(Binding::Session {
            nonce: fixed(bytes(nonce, "nonce")?, "nonce")?,
            exporter: fixed(bytes(exporter, "exporter")?, "exporter")?,
            leaf_certificate: leaf.to_vec(),
        });
        Ok(())
    })
}

/// Like atls_verification_set_session, for protocol exporter-v1. The arguments are those of atls_compute_exporter_binder; `server_name` may be NULL.
/// Statuses: NULL_ARGUMENT, INVALID_ARGUMENT, INVALID_UTF8.
#[unsafe(no_mangle)]
pub extern "C" fn atls_verification_set_exporter_session(
    verification: Option<&mut atls_verification>,
    attester: atls_attester,
    nonce: c_bytes,
    exporter: c_bytes,
    server_leaf: c_bytes,
    client_leaf: c_bytes,
    server_name: c_text,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let target = &mut borrow_mut(verification, "verification")?.request;
        let values = (binder::of_32(nonce, "nonce")?, binder::of_32(exporter, "exporter")?);
        let leaves = (filled(server_leaf, "server_leaf")?, bytes(client_leaf, "client_leaf")?);
        let name = optional_text(server_name, "server_name")?;
        target.binding = Some(Binding::Exporter(binder::session(attester, values, leaves, name)?));
        Ok(())
    })
}

/// Sets the evidence that a certificate carries (RA-TLS), and that it must be bound to the key of that certificate. Copied. The verdict says that it is
/// bound to no session, and is favourable only under a policy that names protocol ra-tls. Who issued the certificate is not checked.
/// `certificate`: DER, or PEM, of which the first certificate counts.
/// Statuses: NULL_ARGUMENT, INVALID_ARGUMENT (not a certificate), NO_EVIDENCE (none in it), EVIDENCE_INVALID.
#[unsafe(no_mangle)]
pub extern "C" fn atls_verification_set_ra_tls_certificate(
    verification: Option<&mut atls_verification>,
    certificate: c_bytes,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let target = &mut borrow_mut(verification, "verification")?.request;
        let der = RaTlsCertificate::der(bytes(certificate, "certificate")?);
        let der = der.map_err(|why| Error::new(Status::InvalidArgument, format!("certificate: {why}")))?;
        let read = RaTlsCertificate::read(&der, &RaTlsFormat::ALL);
        let read = read.map_err(|why| invalid(Status::EvidenceInvalid, "certificate", why))?;
        let none = || Error::new(Status::NoEvidence, "there is no evidence in the certificate").phase(Phase::Verify);
        let (certificate, evidence) = read.ok_or_else(none)?;
        (target.evidence, target.binding) = (Some(evidence), Some(Binding::Certificate(certificate)));
        Ok(())
    })
}

/// Judges the evidence by itself, whatever session it came from. Never use this to decide whether to talk to a server: anybody can replay evidence.
/// The verdict says that the evidence is not bound to a session. Statuses: NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn atls_verification_skip_binding(
    verification: Option<&mut atls_verification>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        borrow_mut(verification, "verification")?.request.binding = Some(Binding::Skip);
        Ok(())
    })
}

/// For tests: quotes must lead to this simulator's root (DER) instead of Intel's. The policy must consent with `"allow_simulated": true`, else
/// atls_verify answers TRUST_ANCHOR. Statuses: NULL_ARGUMENT, INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn atls_verification_set_simulated_root(
    verification: Option<&mut atls_verification>,
    root_der: c_bytes,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let target = &mut borrow_mut(verification, "verification")?.request;
        let root = filled(root_der, "root_der")?;
        target.anchors.add_simulated(Vendor::Intel, root.to_vec());
        Ok(())
    })
}

/// For tests, as atls_verification_set_simulated_root for any vendor: "intel", "amd", "aws", "microsoft" or "nvidia".
/// `pem`: the root certificate; for Microsoft one or several; for AMD the ARK, the ASK and the ASVK of a product, in this order, and likewise for further
/// products. The common name of an ARK ends in `ARK-` and the product's name.
/// Statuses: NULL_ARGUMENT, INVALID_UTF8, INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn atls_verification_add_simulated_root(
    verification: Option<&mut atls_verification>,
    vendor: c_text,
    pem: c_bytes,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let target = &mut borrow_mut(verification, "verification")?.request;
        Ok(target.anchors.read_simulated(text(vendor, "vendor")?, bytes(pem, "pem")?)?)
    })
}

/// Judges the evidence. Pure: the same input gives the same verdict at any time on any machine. Takes about a millisecond of CPU time. OK means that
/// a verdict was reached, not that it is favourable: ask atls_verdict_trusted. Statuses: NULL_ARGUMENT, INVALID_STATE (evidence, policy, time, a
/// session or the request to skip it, or collateral unless the evidence is AWS's or has an SEV-SNP report, is missing), TRUST_ANCHOR.
#[unsafe(no_mangle)]
pub extern "C" fn atls_verify(
    verification: Option<&atls_verification>,
    verdict: Out<*mut atls_verdict>,
    error: Out<*mut atls_error>,
) -> atls_status {
    guard(error, || {
        let verdict = require(verdict, "verdict")?;
        let reached = borrow(verification, "verification")?.request.judge()?;
        verdict.write(atls_verdict::into_raw(Arc::new(reached)));
        Ok(())
    })
}

pub(in crate::capi) fn fixed<const N: usize>(value: &[u8], what: &str) -> Result<[u8; N]> {
    value
        .try_into()
        .map_err(|_| Error::new(Status::InvalidArgument, format!("{what} has {} bytes, not {N}", value.len())))
}

fn invalid(status: Status, what: &str, why: String) -> Error {
    Error::new(status, format!("{what}: {why}")).phase(Phase::Verify)
}
