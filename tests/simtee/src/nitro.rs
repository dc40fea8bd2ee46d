//! A simulated AWS, its Nitro enclaves and its instances with a NitroTPM: root, intermediates, certificates, and documents as the security module and the
//! TPM write them. All keys are
//! fresh per process.

use std::sync::OnceLock;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, SignatureAlgorithm};
use time::OffsetDateTime;

/// AWS: a root, and the intermediates of one instance.
pub struct Aws {
    pub root_der: Vec<u8>,
    pub root_pem: String,
    /// DER, from the root on.
    pub bundle: Vec<Vec<u8>>,
    issuer: Issuer<'static, KeyPair>,
}

impl Aws {
    /// The one that tests share.
    pub fn get() -> &'static Aws {
        static AWS: OnceLock<Aws> = OnceLock::new();
        AWS.get_or_init(|| Aws::new(3))
    }

    /// Another, with as many intermediates.
    pub fn new(intermediates: usize) -> Aws {
        Aws::with(&rcgen::PKCS_ECDSA_P384_SHA384, intermediates)
    }

    /// Whose last intermediate has a weaker key.
    pub fn weak() -> Aws {
        Aws::with(&rcgen::PKCS_ECDSA_P256_SHA256, 3)
    }

    fn with(last: &'static SignatureAlgorithm, intermediates: usize) -> Aws {
        let names = ["regional", "zonal", "instance", "further", "furthest"];
        let (params, key) = (ca("aws.nitro-enclaves (TEST ONLY)"), key(&rcgen::PKCS_ECDSA_P384_SHA384));
        let root = params.self_signed(&key).expect("root");
        let (root_der, root_pem) = (root.der().to_vec(), root.pem());
        let (mut issuer, mut bundle) = (Issuer::new(params, key), vec![root_der.clone()]);
        for (index, name) in names[..intermediates].iter().enumerate() {
            let algorithm = if index + 1 == intermediates { last } else { &rcgen::PKCS_ECDSA_P384_SHA384 };
            let (params, key) = (ca(&format!("{name}.aws.nitro-enclaves (TEST ONLY)")), self::key(algorithm));
            bundle.push(params.signed_by(&key, &issuer).expect("intermediate").der().to_vec());
            issuer = Issuer::new(params, key);
        }
        Aws { root_der, root_pem, bundle, issuer }
    }

    /// An enclave whose certificate holds from and to that Unix second.
    pub fn enclave(&self, from: u64, to: u64) -> Enclave {
        let key = key(&rcgen::PKCS_ECDSA_P384_SHA384);
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "i-0-enc0 (TEST ONLY)");
        (params.not_before, params.not_after) = (time(from), time(to));
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let certificate = params.signed_by(&key, &self.issuer).expect("enclave").der().to_vec();
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, &key.serialize_der()).expect("PKCS 8");
        Enclave { key, certificate, bundle: self.bundle.clone() }
    }
}

pub struct Enclave {
    key: EcdsaKeyPair,
    certificate: Vec<u8>,
    bundle: Vec<Vec<u8>>,
}

/// A document before it is signed. What is `None` is null.
#[derive(Clone, Debug)]
pub struct Document {
    pub module_id: String,
    pub digest: String,
    /// Milliseconds.
    pub timestamp: u64,
    /// Name of the member that has the registers.
    pub registers: &'static str,
    pub pcrs: Vec<(u64, Vec<u8>)>,
    pub certificate: Vec<u8>,
    pub cabundle: Vec<Vec<u8>>,
    pub public_key: Option<Vec<u8>>,
    pub user_data: Option<Vec<u8>>,
    pub nonce: Option<Vec<u8>>,
    /// Encoded members behind the others.
    pub more: Vec<u8>,
    /// Members that are left out.
    pub without: Vec<&'static str>,
    pub protected: Vec<u8>,
    /// Encoded.
    pub unprotected: Vec<u8>,
}

impl Enclave {
    /// The truth: PCR n is full of the byte n + 1.
    pub fn document(&self, now: u64, nonce: &[u8]) -> Document {
        Document {
            module_id: "i-0-enc0".into(),
            digest: "SHA384".into(),
            timestamp: now * 1000,
            registers: "pcrs",
            pcrs: (0..16).map(|number| (number, vec![number as u8 + 1; 48])).collect(),
            certificate: self.certificate.clone(),
            cabundle: self.bundle.clone(),
            public_key: None,
            user_data: None,
            nonce: Some(nonce.to_vec()),
            more: Vec::new(),
            without: Vec::new(),
            protected: b"\xa1\x01\x38\x22".to_vec(),
            unprotected: b"\xa0".to_vec(),
        }
    }

    /// The same of an instance with a NitroTPM: nothing was measured into registers 12, 13 and 15 and from 16 on.
    pub fn tpm_document(&self, now: u64, nonce: &[u8]) -> Document {
        let measured = |number: u64| number < 12 || number == 14;
        let value = |number: u64| if measured(number) { number as u8 + 1 } else { 0 };
        Document {
            module_id: "i-0-tpm0".into(),
            registers: "nitrotpm_pcrs",
            pcrs: (0..24).map(|number| (number, vec![value(number); 48])).collect(),
            ..self.document(now, nonce)
        }
    }

    pub fn sign(&self, document: &Document) -> Vec<u8> {
        let (protected, payload) = (bytes(&document.protected), bytes(&document.payload()));
        let signed = [&head(4, 4)[..], &text("Signature1"), &protected, &bytes(b""), &payload].concat();
        let signature = self.key.sign(&SystemRandom::new(), &signed).expect("sign");
        [&head(4, 4)[..], &protected, &document.unprotected, &payload, &bytes(signature.as_ref())].concat()
    }
}

impl Document {
    /// A map of unknown length, as the security module writes it.
    fn payload(&self) -> Vec<u8> {
        let pcrs = self.pcrs.iter().flat_map(|(number, value)| [head(0, *number), bytes(value)].concat());
        let certificates = self.cabundle.iter().flat_map(|der| bytes(der));
        let members = [
            ("module_id", text(&self.module_id)),
            ("digest", text(&self.digest)),
            ("timestamp", head(0, self.timestamp)),
            (self.registers, head(5, self.pcrs.len() as u64).into_iter().chain(pcrs).collect()),
            ("certificate", bytes(&self.certificate)),
            ("cabundle", head(4, self.cabundle.len() as u64).into_iter().chain(certificates).collect()),
            ("public_key", optional(&self.public_key)),
            ("user_data", optional(&self.user_data)),
            ("nonce", optional(&self.nonce)),
        ];
        let kept = members.iter().filter(|(name, _)| !self.without.contains(name));
        let all = kept.flat_map(|(name, value)| [&text(name)[..], value].concat());
        [0xbf].into_iter().chain(all).chain(self.more.iter().copied()).chain([0xff]).collect()
    }
}

/// The beginning of a value in CBOR.
pub fn head(major: u8, argument: u64) -> Vec<u8> {
    let bytes = argument.to_be_bytes();
    let (short, from) = match argument {
        0..24 => return vec![major << 5 | bytes[7]],
        24..0x100 => (24, 7),
        0x100..0x1_0000 => (25, 6),
        0x1_0000..0x1_0000_0000 => (26, 4),
        _ => (27, 0),
    };
    [&[major << 5 | short], &bytes[from..]].concat()
}

pub fn bytes(data: &[u8]) -> Vec<u8> {
    [&head(2, data.len() as u64)[..], data].concat()
}

pub fn text(text: &str) -> Vec<u8> {
    [&head(3, text.len() as u64)[..], text.as_bytes()].concat()
}

fn optional(data: &Option<Vec<u8>>) -> Vec<u8> {
    data.as_ref().map_or(vec![0xf6], |data| bytes(data))
}

fn ca(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn key(algorithm: &'static SignatureAlgorithm) -> KeyPair {
    KeyPair::generate_for(algorithm).expect("key")
}

fn time(unix: u64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(unix as i64).expect("a time")
}
