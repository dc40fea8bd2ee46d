//! Evidence of one GPU as it comes off the wire: an element of the list that the vendor's tools write. Pure.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde_json::Value;

use super::report::{MAX_BYTES, NONCE, Report};
use crate::attest::hash::unhex_array;

const MAX_CHAIN: usize = 16 << 10;
/// The key that signs, three issuers, and the root.
pub const CERTIFICATES: usize = 5;

/// A generation of GPUs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arch {
    Hopper,
    Blackwell,
}

impl Arch {
    pub const ALL: [Arch; 2] = [Arch::Hopper, Arch::Blackwell];

    pub fn name(self) -> &'static str {
        match self {
            Arch::Hopper => "HOPPER",
            Arch::Blackwell => "BLACKWELL",
        }
    }

    pub fn from_name(name: &str) -> Option<Arch> {
        Arch::ALL.into_iter().find(|arch| arch.name() == name)
    }

    /// How the names of its chips begin; digits follow.
    pub fn chip(self) -> &'static str {
        match self {
            Arch::Hopper => "GH",
            Arch::Blackwell => "GB",
        }
    }
}

/// Evidence, decoded but not judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GpuEvidence {
    /// The three that follow: what whoever made the list says of it.
    pub arch: Arch,
    pub nonce: [u8; NONCE],
    /// DER, from the key that signs to the root.
    pub certificates: Vec<Vec<u8>>,
    pub report: Report,
}

impl GpuEvidence {
    /// Reads `{"arch":"HOPPER","nonce":hex,"evidence":base64,"certificate":base64 of PEM}`; other members are ignored.
    pub fn from_json(object: &Value) -> Result<GpuEvidence, String> {
        let arch = text(object, "arch")?;
        let arch = Arch::from_name(arch).ok_or_else(|| format!("arch {arch:?} is not known"))?;
        let nonce = unhex_array(text(object, "nonce")?).ok_or("nonce is not 64 hexadecimal digits")?;
        let report = decoded(object, "evidence", MAX_BYTES)?;
        let report = Report::read(&report).map_err(|why| format!("evidence: {why}"))?;
        let certificates = read_chain(&decoded(object, "certificate", MAX_CHAIN)?);
        let certificates = certificates.map_err(|why| format!("certificate: {why}"))?;
        Ok(GpuEvidence { arch, nonce, certificates, report })
    }
}

fn read_chain(pem: &[u8]) -> Result<Vec<Vec<u8>>, String> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let read = read.map_err(|error| error.to_string())?;
    match read.len() {
        CERTIFICATES => Ok(read.into_iter().map(|der| der.to_vec()).collect()),
        other => Err(format!("{other} certificates, not {CERTIFICATES}")),
    }
}

fn text<'a>(object: &'a Value, member: &str) -> Result<&'a str, String> {
    object
        .get(member)
        .ok_or_else(|| format!("{member} is missing"))?
        .as_str()
        .ok_or_else(|| format!("{member} is not a string"))
}

/// Canonical base64, so that one evidence has one text.
fn decoded(object: &Value, member: &str, max: usize) -> Result<Vec<u8>, String> {
    let text = text(object, member)?;
    if text.len() > max.div_ceil(3) * 4 {
        return Err(format!("{member} has more than {max} bytes"));
    }
    STANDARD.decode(text).map_err(|error| format!("{member} is not base64: {error}"))
}
