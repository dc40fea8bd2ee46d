//! Who made a report: the certificates up to NVIDIA's root for devices, and what they say of the GPU. Pure.

use std::time::Duration;

use rustls_pki_types::{CertificateDer, UnixTime};
use webpki::aws_lc_rs::ECDSA_P384_SHA384;
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};
use x509_cert::Certificate;
use x509_cert::der::Decode;
use x509_cert::der::asn1::{ObjectIdentifier, PrintableStringRef, Utf8StringRef};

use super::evidence::{Arch, CERTIFICATES, GpuEvidence};
use super::report::{DIGEST, Report};
use crate::attest::chains::Chains;
use crate::attest::remembering::{Remembering, is_signed_by_p384};

/// The root of device identities. A test holds the fingerprint.
pub const NVIDIA_ROOT_DER: &[u8] = include_bytes!("nvidia_device_root.der");

/// Where the certificate names the firmware that holds the key: of Hopper, and of Blackwell. Its last member is an octet string with the digest.
const FWID: [ObjectIdentifier; 2] =
    [ObjectIdentifier::new_unwrap("2.23.133.5.4.1"), ObjectIdentifier::new_unwrap("2.23.133.5.4.1.1")];
const OCTETS: [u8; 2] = [0x04, DIGEST as u8];
/// subjectAltName: maker, product and serial number of the device (DMTF DSP0274, section 10.7).
const ALTERNATIVE_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.17");
const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");

/// What is known of the GPU that signed, once its certificates lead to the root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// SubjectPublicKeyInfo, DER.
    pub key: Vec<u8>,
    /// The extension with maker, product and serial number.
    pub serial: Option<Vec<u8>>,
    /// By the name of the authority right below the root; `None` for devices of another sort.
    pub arch: Option<Arch>,
    pub fwid: Option<[u8; DIGEST]>,
}

impl Device {
    /// The first certificate leads by the next three, in that order, to `root`, which is the last.
    pub fn of(evidence: &GpuEvidence, root: &[u8], now: u64) -> Result<Device, String> {
        static CHAINS: Chains<Device> = Chains::new();
        let certificates: Vec<_> = evidence.certificates.iter().map(|der| &der[..]).chain([root]).collect();
        CHAINS.find(&certificates, [], now, || Device::walk(evidence, root, now))
    }

    fn walk(evidence: &GpuEvidence, root: &[u8], now: u64) -> Result<Device, String> {
        static P384: Remembering = Remembering::new(ECDSA_P384_SHA384);
        let [own, one, two, family, last] = &evidence.certificates[..] else {
            return Err(format!("{} certificates, not {CERTIFICATES}", evidence.certificates.len()));
        };
        if last != root {
            return Err("its root is another".into());
        }
        let (root, own) = (CertificateDer::from(root), CertificateDer::from(&own[..]));
        let anchors = [anchor_from_trusted_cert(&root).map_err(|error| format!("root: {error}"))?];
        let issuers = [one, two, family].map(|der| CertificateDer::from(&der[..]));
        let leaf = EndEntityCert::try_from(&own).map_err(|error| error.to_string())?;
        let (time, usage) = (UnixTime::since_unix_epoch(Duration::from_secs(now)), KeyUsage::client_auth());
        let path = leaf.verify_for_usage(&[&P384], &anchors, &issuers, time, usage, None, None);
        let path = path.map_err(|error| error.to_string())?;
        if !path.intermediate_certificates().map(|issuer| issuer.der()).eq(issuers.iter().cloned()) {
            return Err("its certificates are not the chain, in order".into());
        }
        let certificate = Certificate::from_der(&own).map_err(|error| format!("certificate: {error}"))?;
        let extensions = certificate.tbs_certificate().extensions().map_or(&[][..], |list| list);
        let values = |wanted: &[ObjectIdentifier]| {
            let found = extensions.iter().filter(|extension| wanted.contains(&extension.extn_id));
            found.map(|extension| extension.extn_value.as_bytes()).collect::<Vec<_>>()
        };
        Ok(Device {
            key: leaf.subject_public_key_info().to_vec(),
            serial: values(&[ALTERNATIVE_NAME]).first().map(|value| value.to_vec()),
            arch: arch_of(family)?,
            fwid: match values(&FWID)[..] {
                [only] => fwid(only),
                _ => None,
            },
        })
    }

    pub fn has_signed(&self, report: &Report) -> bool {
        is_signed_by_p384(&self.key, &report.signed, &report.signature)
    }

    /// Whether both are one.
    pub fn is(&self, other: &Device) -> bool {
        self.key == other.key || (self.serial.is_some() && self.serial == other.serial)
    }
}

fn fwid(extension: &[u8]) -> Option<[u8; DIGEST]> {
    let (rest, digest) = extension.split_last_chunk()?;
    rest.ends_with(&OCTETS).then_some(*digest)
}

/// By a word of the authority's name such as `GH100`.
fn arch_of(authority: &[u8]) -> Result<Option<Arch>, String> {
    let certificate = Certificate::from_der(authority).map_err(|error| format!("certificate: {error}"))?;
    let names = certificate.tbs_certificate().subject().iter().filter(|name| name.oid == COMMON_NAME);
    let text = |value: &x509_cert::der::Any| {
        let utf8 = value.decode_as::<Utf8StringRef<'_>>().map(|text| text.as_str().to_owned());
        utf8.or_else(|_| value.decode_as::<PrintableStringRef<'_>>().map(|text| text.as_str().to_owned())).ok()
    };
    let names: Vec<String> = names.filter_map(|name| text(&name.value)).collect();
    let is_chip = |arch: &Arch| {
        let mut words = names.iter().flat_map(|name| name.split(' '));
        let is_number = |rest: &str| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit());
        words.any(|word| word.strip_prefix(arch.chip()).is_some_and(is_number))
    };
    Ok(Arch::ALL.into_iter().find(is_chip))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attest::hash::{hex, sha256};

    #[test]
    fn the_built_in_root_is_nvidias() {
        let fingerprint = "102bf659d5419614c9d8e6aecebc80454eb26b1df6a769ac720b9a690b167b48";
        assert_eq!(hex(&sha256(NVIDIA_ROOT_DER)), fingerprint);
    }
}
