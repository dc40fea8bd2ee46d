//! A simulated Microsoft, and Azure's virtual machines: certificates of TPMs' keys, paravisors' reports, and quotes of TPMs. All keys are fresh per process.

use std::sync::OnceLock;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::pki_types::PrivatePkcs8KeyDer;
use serde_json::{Map, Value, json};
use time::OffsetDateTime;

use crate::hex;

/// Of the paravisor's report: `report type` for SEV-SNP and for TDX.
pub const SNP: u32 = 2;
pub const TDX: u32 = 4;
/// tcg-kp-AIKCertificate.
const ATTESTATION_KEY: &[u64] = &[2, 23, 133, 8, 3];
const HASH: u16 = 0x000b;

/// Microsoft: a root, and two authorities below it.
pub struct Microsoft {
    pub root_pem: String,
    pub root_der: Vec<u8>,
    /// DER, the issuer of TPMs' certificates first.
    pub authorities: Vec<Vec<u8>>,
    root: Issuer<'static, KeyPair>,
    issuer: Issuer<'static, KeyPair>,
    /// Where certificates say that those of their issuers are.
    place: Option<String>,
}

/// What the certificate of a TPM's key says; `Vm::certificate` is the truth.
#[derive(Clone, Debug)]
pub struct Certificate {
    pub common_name: String,
    /// Numbers of the name of what the key is for.
    pub usage: Vec<u64>,
    /// Unix seconds.
    pub dates: (u64, u64),
    /// Issued by the root itself.
    pub by_root: bool,
}

impl Microsoft {
    /// The one that tests share.
    pub fn get() -> &'static Microsoft {
        static MICROSOFT: OnceLock<Microsoft> = OnceLock::new();
        MICROSOFT.get_or_init(|| Microsoft::new(None))
    }

    /// Somebody else who calls himself so.
    pub fn impostor() -> &'static Microsoft {
        static IMPOSTOR: OnceLock<Microsoft> = OnceLock::new();
        IMPOSTOR.get_or_init(|| Microsoft::new(None))
    }

    /// Whose certificates are at this URL: `/lower.crt`, `/upper.crt`, `/root.crt`.
    pub fn at(url: &str) -> Microsoft {
        Microsoft::new(Some(url.to_owned()))
    }

    fn new(place: Option<String>) -> Microsoft {
        let above = |mut params: CertificateParams, name: &str| {
            params.custom_extensions.extend(place.iter().map(|url| issuer_at(&format!("{url}/{name}.crt"))));
            params
        };
        let (params, key) = (ca("Azure Virtual TPM Root (TEST ONLY)"), rsa().1);
        let root = params.self_signed(&key).expect("root");
        let (root_der, root_pem) = (root.der().to_vec(), root.pem());
        let root = Issuer::new(params, key);
        let (params, key) = (above(ca("Azure Virtual TPM CA (TEST ONLY)"), "root"), rsa().1);
        let upper_der = params.signed_by(&key, &root).expect("CA").der().to_vec();
        let upper = Issuer::new(params, key);
        let (params, key) = (above(ca("Azure Cloud Virtual TPM CA - 1 (TEST ONLY)"), "upper"), rsa().1);
        let lower_der = params.signed_by(&key, &upper).expect("CA").der().to_vec();
        let issuer = Issuer::new(params, key);
        Microsoft { root_pem, root_der, authorities: vec![lower_der, upper_der], root, issuer, place }
    }

    /// DER, with those of the authorities behind it.
    pub fn certify(&self, vm: &Vm, certificate: &Certificate) -> Vec<Vec<u8>> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, &certificate.common_name);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        if !certificate.usage.is_empty() {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::Other(certificate.usage.clone())];
        }
        (params.not_before, params.not_after) = (time(certificate.dates.0), time(certificate.dates.1));
        params.custom_extensions.extend(self.place.iter().map(|url| issuer_at(&format!("{url}/lower.crt"))));
        let issuer = if certificate.by_root { &self.root } else { &self.issuer };
        let own = params.signed_by(&vm.certified, issuer).expect("certificate").der().to_vec();
        let authorities = if certificate.by_root { &[][..] } else { &self.authorities };
        std::iter::once(own).chain(authorities.iter().cloned()).collect()
    }
}

/// A virtual machine with its TPM.
pub struct Vm {
    key: RsaKeyPair,
    /// The same, as certificates are made of it.
    certified: KeyPair,
    pub pcrs: [[u8; 32]; 24],
}

impl Vm {
    /// The one that tests share.
    pub fn get() -> &'static Vm {
        static VM: OnceLock<Vm> = OnceLock::new();
        VM.get_or_init(Vm::new)
    }

    pub fn other() -> &'static Vm {
        static OTHER: OnceLock<Vm> = OnceLock::new();
        OTHER.get_or_init(Vm::new)
    }

    fn new() -> Vm {
        let (key, certified) = rsa();
        let mut pcrs = [[0; 32]; 24];
        for (number, value) in pcrs.iter_mut().enumerate().take(8) {
            *value = [number as u8 + 1; 32];
        }
        for value in &mut pcrs[17..23] {
            *value = [0xff; 32];
        }
        Vm { key, certified, pcrs }
    }

    /// Of the key's modulus, as JSON Web Keys have it.
    fn modulus(&self) -> String {
        let spki = AsDer::<PublicKeyX509Der>::as_der(self.key.public_key()).expect("SPKI");
        let spki = spki.as_ref();
        // 2048 bits, then exponent 65537 in five bytes.
        base64url(&spki[spki.len() - 261..spki.len() - 5])
    }

    /// What the paravisor says, JSON.
    pub fn runtime(&self, user_data: &[u8; 64]) -> Value {
        json!({
            "keys": [
                {"kid": "HCLAkPub", "key_ops": ["sign"], "kty": "RSA", "e": "AQAB", "n": self.modulus()},
                {"kid": "HCLEkPub", "key_ops": ["encrypt"], "kty": "RSA", "e": "AQAB", "n": base64url(&[0x91; 256])},
            ],
            "vm-configuration": {
                "console-enabled": false, "secure-boot": true, "tpm-enabled": true, "vmUniqueId": "0-TEST-ONLY",
            },
            "user-data": hex(user_data).to_uppercase(),
        })
    }

    pub fn certificate(&self, dates: (u64, u64)) -> Certificate {
        let common_name = "0123456789ab.ConfidentialVM.Azure.windows.net".into();
        Certificate { common_name, usage: ATTESTATION_KEY.to_vec(), dates, by_root: false }
    }

    /// What the TPM says to whoever gives it these bytes.
    pub fn attest(&self, extra_data: &[u8]) -> Attest {
        let digest = digest(&SHA256, &self.pcrs.concat()).as_ref().to_vec();
        Attest {
            magic: 0xff54_4347,
            kind: 0x8018,
            extra_data: extra_data.to_vec(),
            banks: vec![(HASH, [0xff; 3])],
            digest,
        }
    }

    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        let mut signature = vec![0; self.key.public_modulus_len()];
        self.key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature).expect("signature");
        signature
    }

    /// By number, hex.
    pub fn pcrs_json(&self) -> Value {
        let members = self.pcrs.iter().enumerate().map(|(number, value)| (number.to_string(), hex(value).into()));
        Value::Object(members.collect::<Map<_, _>>())
    }
}

/// A quote before it is signed.
#[derive(Clone, Debug)]
pub struct Attest {
    pub magic: u32,
    pub kind: u16,
    pub extra_data: Vec<u8>,
    /// Hash algorithm and bitmap of registers.
    pub banks: Vec<(u16, [u8; 3])>,
    pub digest: Vec<u8>,
}

impl Attest {
    pub fn message(&self) -> Vec<u8> {
        let mut out = self.magic.to_be_bytes().to_vec();
        out.extend(self.kind.to_be_bytes());
        sized(&mut out, &[&HASH.to_be_bytes()[..], &[0x5a; 32]].concat());
        sized(&mut out, &self.extra_data);
        out.extend(1_234_567u64.to_be_bytes());
        out.extend(2u32.to_be_bytes());
        out.extend(0u32.to_be_bytes());
        out.push(1);
        out.extend(0x2020_0312_0012_0003u64.to_be_bytes());
        out.extend((self.banks.len() as u32).to_be_bytes());
        for (hash, bitmap) in &self.banks {
            out.extend(hash.to_be_bytes());
            out.push(3);
            out.extend(bitmap);
        }
        sized(&mut out, &self.digest);
        out
    }
}

fn sized(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend((bytes.len() as u16).to_be_bytes());
    out.extend(bytes);
}

/// What a quote holds of a session.
pub fn nonce(binder: &[u8; 64]) -> Vec<u8> {
    digest(&SHA256, &[&binder[..], b"tpm"].concat()).as_ref().to_vec()
}

/// What the hardware's report holds of the runtime data.
pub fn report_data(runtime: &[u8]) -> [u8; 64] {
    let mut out = [0; 64];
    out[..32].copy_from_slice(digest(&SHA256, runtime).as_ref());
    out
}

/// The paravisor's report around the hardware's, as it is in the TPM's memory.
pub fn hcl(kind: u32, hardware: &[u8], runtime: &[u8]) -> Vec<u8> {
    let mut out = vec![0; 1236];
    out[..4].copy_from_slice(b"HCLA");
    let length = runtime.len() as u32;
    for (at, value) in
        [(4, 2), (8, 1236 + length), (12, 2), (1216, 20 + length), (1220, 1), (1224, kind), (1228, 1), (1232, length)]
    {
        out[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }
    out[32..32 + hardware.len()].copy_from_slice(hardware);
    out.extend(runtime);
    out.resize(out.len().max(2600), 0);
    out
}

/// The TDREPORT that a quote of version 4 was made of.
pub fn td_report(quote: &[u8]) -> Vec<u8> {
    let body = &quote[48..48 + 584];
    let mut out = vec![0; 1024];
    out[0] = 0x81;
    out[16..32].fill(0x0c);
    out[128..192].copy_from_slice(&body[520..584]);
    out[224..256].fill(0x3a);
    out[256..264].copy_from_slice(&[0xff, 1, 6, 0, 0, 0, 0, 0]);
    out[264..264 + 120].copy_from_slice(&body[..120]);
    out[512..512 + 400].copy_from_slice(&body[120..520]);
    out
}

/// Authority information access (RFC 5280 section 4.2.2.1): the issuer's certificate is at this URL, which is short.
fn issuer_at(url: &str) -> CustomExtension {
    let tagged = |tag: u8, content: &[u8]| [&[tag, content.len() as u8][..], content].concat();
    let place = [&b"\x06\x08\x2b\x06\x01\x05\x05\x07\x30\x02"[..], &tagged(0x86, url.as_bytes())].concat();
    CustomExtension::from_oid_content(&[1, 3, 6, 1, 5, 5, 7, 1, 1], tagged(0x30, &tagged(0x30, &place)))
}

fn ca(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

/// A key of 2048 bits, in the forms of the two crates.
fn rsa() -> (RsaKeyPair, KeyPair) {
    let key = RsaKeyPair::generate(KeySize::Rsa2048).expect("RSA key");
    let document = AsDer::<Pkcs8V1Der>::as_der(&key).expect("PKCS 8");
    let document = PrivatePkcs8KeyDer::from(document.as_ref().to_vec());
    let same = KeyPair::from_pkcs8_der_and_sign_algo(&document, &rcgen::PKCS_RSA_SHA384).expect("RSA key");
    (key, same)
}

/// Without padding.
fn base64url(data: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in data.chunks(3) {
        let word =
            chunk.iter().enumerate().fold(0u32, |word, (index, byte)| word | u32::from(*byte) << (16 - 8 * index));
        for digit in 0..=chunk.len() {
            text.push(DIGITS[(word >> (18 - 6 * digit) & 63) as usize] as char);
        }
    }
    text
}

fn time(unix: u64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(unix as i64).expect("a time")
}
