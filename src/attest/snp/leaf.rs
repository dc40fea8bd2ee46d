//! The certificate of the key that signs reports: a chip's (VCEK) or a cloud provider's (VLEK). What it says of its holder is in extensions under
//! 1.3.6.1.4.1.3704.1 (AMD, "Versioned Chip Endorsement Key certificate and KDS interface specification"). Pure.

use std::time::Duration;

use rustls_pki_types::{CertificateDer, UnixTime};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};
use x509_cert::Certificate;
use x509_cert::der::asn1::{Ia5StringRef, UintRef};
use x509_cert::der::oid::ObjectIdentifier;
use x509_cert::der::{Decode, Encode};

use super::layout::Report;
use super::product::{Product, SigningKey};
use super::pss::PSS;
use super::roots::{Roots, common_name};
use super::tcb::Tcb;
use crate::attest::chains::Chains;
use crate::attest::remembering::is_signed_by_p384;

/// No certificate of AMD's is larger.
const MAX_BYTES: usize = 8 << 10;

const ARC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1");
const PRODUCT_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1.2");
const BOOTLOADER: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1.3.1");
const TEE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1.3.2");
const SNP: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1.3.3");
const MICROCODE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1.3.8");
const FMC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1.3.9");
const HARDWARE_ID: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1.4");
const PROVIDER_ID: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1.5");

/// A certificate, read but not judged: nothing in it is true before it leads to AMD's root.
#[derive(Clone, Debug)]
pub struct Leaf {
    der: Vec<u8>,
    /// SubjectPublicKeyInfo, DER.
    key: Vec<u8>,
    /// By its issuer's name.
    pub issuer: Option<(Product, SigningKey)>,
    /// What its extensions say, or what is wrong with them.
    pub facts: Result<LeafFacts, String>,
    /// Unix seconds: the first and the last that it holds at.
    pub not_before: u64,
    pub not_after: u64,
}

/// What a certificate says of the holder of the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeafFacts {
    pub product: String,
    /// The version that the key was derived for.
    pub tcb: Tcb,
    pub holder: Holder,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holder {
    /// 64 bytes, or the first 8 of them, which are all that Turin uses.
    Chip(Vec<u8>),
    /// By the name that AMD gave it.
    Provider(String),
}

impl Leaf {
    pub fn read(der: &[u8]) -> Result<Leaf, String> {
        if der.len() > MAX_BYTES {
            return Err(format!("{} bytes, a certificate has at most {MAX_BYTES}", der.len()));
        }
        let certificate = Certificate::from_der(der).map_err(|error| error.to_string())?;
        let own = certificate.tbs_certificate();
        let key = own.subject_public_key_info().to_der().map_err(|error| error.to_string())?;
        let validity = own.validity();
        Ok(Leaf {
            der: der.to_vec(),
            key,
            issuer: common_name(own.issuer()).ok().and_then(|name| issuer(&name)),
            facts: LeafFacts::read(&certificate),
            not_before: validity.not_before.to_unix_duration().as_secs(),
            not_after: validity.not_after.to_unix_duration().as_secs(),
        })
    }

    /// Whether AMD vouches for a key of that kind: by one intermediate, which is built in, to one root.
    pub fn leads_to(&self, roots: &Roots<'_>, key: SigningKey, now: u64) -> Result<(), String> {
        static CHAINS: Chains<()> = Chains::new();
        let certificates = [&self.der[..], roots.issuer_of(key), roots.ark];
        CHAINS.find(&certificates, [], now, || self.walk(roots, key, now))
    }

    fn walk(&self, roots: &Roots<'_>, key: SigningKey, now: u64) -> Result<(), String> {
        let (root, issuers) = (CertificateDer::from(roots.ark), [CertificateDer::from(roots.issuer_of(key))]);
        let anchors = [anchor_from_trusted_cert(&root).map_err(|error| format!("root: {error}"))?];
        let own = CertificateDer::from(&self.der[..]);
        let leaf = EndEntityCert::try_from(&own).map_err(|error| error.to_string())?;
        let (time, usage) = (UnixTime::since_unix_epoch(Duration::from_secs(now)), KeyUsage::client_auth());
        let path = leaf.verify_for_usage(&PSS, &anchors, &issuers, time, usage, None, None);
        let path = path.map_err(|error| error.to_string())?;
        match path.intermediate_certificates().count() {
            1 => Ok(()),
            other => Err(format!("{other} intermediates, there is one")),
        }
    }

    /// Whether its key signed the report.
    pub fn has_signed(&self, report: &Report) -> bool {
        is_signed_by_p384(&self.key, report.signed(), &report.signature())
    }
}

/// By the common name of an intermediate: `SEV-Milan` for chip keys, `SEV-VLEK-Milan` for providers'.
fn issuer(name: &str) -> Option<(Product, SigningKey)> {
    let rest = name.split_once("SEV-")?.1;
    match rest.strip_prefix("VLEK-") {
        Some(product) => Some((Product::from_name(product)?, SigningKey::Vlek)),
        None => Some((Product::from_name(rest)?, SigningKey::Vcek)),
    }
}

impl LeafFacts {
    fn read(certificate: &Certificate) -> Result<LeafFacts, String> {
        let extensions = Extensions::of(certificate)?;
        let holder = match (extensions.get(HARDWARE_ID), extensions.get(PROVIDER_ID)) {
            (Some(value), None) => Holder::Chip(hardware_id(value)?),
            (None, Some(value)) => Holder::Provider(text(value)?),
            (Some(_), Some(_)) => return Err("both a chip's and a provider's".into()),
            (None, None) => return Err("neither a chip's nor a provider's".into()),
        };
        let number = |oid| extensions.get(oid).ok_or_else(|| format!("extension {oid} is missing")).and_then(number);
        Ok(LeafFacts {
            product: text(extensions.get(PRODUCT_NAME).ok_or("no product name")?)?,
            tcb: Tcb {
                bootloader: number(BOOTLOADER)?,
                tee: number(TEE)?,
                snp: number(SNP)?,
                microcode: number(MICROCODE)?,
                fmc: extensions.get(FMC).map(self::number).transpose()?,
            },
            holder,
        })
    }

    /// Whether it names that product, with or without a stepping: `Milan-B0`.
    pub fn is_of(&self, product: Product) -> bool {
        self.product.split('-').next() == Some(product.name())
    }

    /// Whether it is the certificate of that chip.
    pub fn is_of_chip(&self, chip_id: &[u8; 64], product: Product) -> bool {
        match &self.holder {
            Holder::Chip(id) if id.len() == 64 => id[..] == chip_id[..],
            Holder::Chip(id) if product == Product::Turin && id.len() == 8 => {
                chip_id[..8] == id[..] && chip_id[8..].iter().all(|byte| *byte == 0)
            }
            Holder::Chip(_) | Holder::Provider(_) => false,
        }
    }
}

/// Those of AMD's arc: name and value.
struct Extensions<'a>(Vec<(ObjectIdentifier, &'a [u8])>);

impl<'a> Extensions<'a> {
    fn of(certificate: &'a Certificate) -> Result<Extensions<'a>, String> {
        let mut known: Vec<(ObjectIdentifier, &[u8])> = Vec::new();
        for extension in certificate.tbs_certificate().extensions().into_iter().flatten() {
            let oid = extension.extn_id;
            if !oid.as_bytes().starts_with(ARC.as_bytes()) {
                continue;
            }
            if extension.critical {
                return Err(format!("extension {oid} is critical"));
            }
            if known.iter().any(|(other, _)| *other == oid) {
                return Err(format!("extension {oid} is duplicated"));
            }
            known.push((oid, extension.extn_value.as_bytes()));
        }
        Ok(Extensions(known))
    }

    fn get(&self, oid: ObjectIdentifier) -> Option<&'a [u8]> {
        self.0.iter().find(|(known, _)| *known == oid).map(|(_, value)| *value)
    }
}

fn number(value: &[u8]) -> Result<u8, String> {
    let number = UintRef::from_der(value).map_err(|error| format!("a version: {error}"))?;
    match number.as_bytes() {
        [one] => Ok(*one),
        more => Err(format!("a version of {} bytes", more.len())),
    }
}

fn text(value: &[u8]) -> Result<String, String> {
    let text = Ia5StringRef::from_der(value).map_err(|error| format!("a text: {error}"))?;
    Ok(text.as_str().to_owned())
}

/// The bytes themselves, or an OCTET STRING of them.
fn hardware_id(value: &[u8]) -> Result<Vec<u8>, String> {
    match value {
        [4, 64, id @ ..] if id.len() == 64 => Ok(id.to_vec()),
        [4, 8, id @ ..] if id.len() == 8 => Ok(id.to_vec()),
        id if matches!(id.len(), 8 | 64) => Ok(id.to_vec()),
        other => Err(format!("a chip's identity of {} bytes", other.len())),
    }
}
