//! A simulated NVIDIA: a root for devices, GPUs with certificates of their own, and reports as the driver hands them out, each piece of which can be bent
//! before it is signed. All keys are fresh per process.

use std::sync::OnceLock;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    OtherNameValue, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, SanType, SignatureAlgorithm,
};
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::hex;

/// Of certificates: the firmware that holds the key, of Hopper and of Blackwell.
pub const FWID_HOPPER: &[u64] = &[2, 23, 133, 5, 4, 1];
pub const FWID_BLACKWELL: &[u64] = &[2, 23, 133, 5, 4, 1, 1];
const SERIAL: &[u64] = &[1, 3, 6, 1, 4, 1, 412, 274, 1];

/// NVIDIA: a root, and the two authorities between it and the GPUs of one chip.
pub struct Nvidia {
    pub root_der: Vec<u8>,
    pub root_pem: String,
    /// PEM, from the lower one up, without the root.
    authorities: Vec<String>,
    issuer: Issuer<'static, KeyPair>,
    fwid_oid: &'static [u64],
}

impl Nvidia {
    /// The one that tests share.
    pub fn get() -> &'static Nvidia {
        static NVIDIA: OnceLock<Nvidia> = OnceLock::new();
        NVIDIA.get_or_init(|| Nvidia::of("GH100", FWID_HOPPER))
    }

    /// Another, that makes GPUs with this chip.
    pub fn of(chip: &str, fwid_oid: &'static [u64]) -> Nvidia {
        Nvidia::with(chip, fwid_oid, &PKCS_ECDSA_P384_SHA384)
    }

    /// Whose last authority has a weaker key.
    pub fn weak() -> Nvidia {
        Nvidia::with("GH100", FWID_HOPPER, &PKCS_ECDSA_P256_SHA256)
    }

    fn with(chip: &str, fwid_oid: &'static [u64], last: &'static SignatureAlgorithm) -> Nvidia {
        let (params, key) = (ca("NVIDIA Device Identity CA (TEST ONLY)"), key());
        let root = params.self_signed(&key).expect("root");
        let (root_der, root_pem) = (root.der().to_vec(), root.pem());
        let (mut issuer, mut authorities) = (Issuer::new(params, key), Vec::new());
        for (name, algorithm) in [("Identity", &PKCS_ECDSA_P384_SHA384), ("Provisioner ICA 1", last)] {
            let (params, key) =
                (ca(&format!("NVIDIA {chip} {name} (TEST ONLY)")), KeyPair::generate_for(algorithm).expect("key"));
            authorities.insert(0, params.signed_by(&key, &issuer).expect("authority").pem());
            issuer = Issuer::new(params, key);
        }
        Nvidia { root_der, root_pem, authorities, issuer, fwid_oid }
    }

    /// A GPU of that serial number; a new key for each call, as for each version of its firmware.
    pub fn gpu(&self, serial: &str) -> Gpu {
        self.gpu_with(serial, |_| ())
    }

    /// With a certificate that `change` has bent before it is signed.
    pub fn gpu_with(&self, serial: &str, change: impl FnOnce(&mut Leaf)) -> Gpu {
        let (device, device_key) = (ca("GH100 A01 GSP BROM (TEST ONLY)"), key());
        let device_pem = device.signed_by(&device_key, &self.issuer).expect("device").pem();
        let issuer = Issuer::new(device, device_key);
        let key = key();
        let fwid = vec![0xf1; 48];
        let mut bent = Leaf { holds: None, names_device: true, fwids: vec![(self.fwid_oid, fwid.clone())] };
        change(&mut bent);
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "GH100 A01 GSP FMC LF (TEST ONLY)");
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        if let Some((from, to)) = bent.holds {
            (params.not_before, params.not_after) = (time(from), time(to));
        }
        let name = OtherNameValue::Utf8String(format!("NVIDIA:GH100:{serial}"));
        if bent.names_device {
            params.subject_alt_names = vec![SanType::OtherName((SERIAL.to_vec(), name))];
        }
        params.custom_extensions = bent.fwids.iter().map(|(oid, fwid)| fwid_extension(oid, fwid)).collect();
        let leaf = params.signed_by(&key, &issuer).expect("leaf").pem();
        let certificates = [leaf, device_pem].into_iter().chain(self.authorities.iter().cloned());
        let certificates = certificates.chain([self.root_pem.clone()]).collect();
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, &key.serialize_der()).expect("PKCS 8");
        Gpu { key, certificates, fwid }
    }
}

/// Names the firmware, at its end.
fn fwid_extension(oid: &[u64], fwid: &[u8]) -> CustomExtension {
    let value = yasna::construct_der(|writer| {
        writer.write_sequence(|writer| {
            writer.next().write_u8(1);
            writer.next().write_sequence(|writer| {
                writer
                    .next()
                    .write_oid(&yasna::models::ObjectIdentifier::from_slice(&[2, 16, 840, 1, 101, 3, 4, 2, 2]));
                writer.next().write_bytes(fwid);
            });
        });
    });
    CustomExtension::from_oid_content(oid, value)
}

/// A GPU's certificate, as far as it can be bent.
pub struct Leaf {
    /// Unix seconds: the first and the last that it holds at, where they are not those of all others.
    pub holds: Option<(u64, u64)>,
    /// Whether it has the serial number of the device.
    pub names_device: bool,
    /// The firmware that it names, by extension.
    pub fwids: Vec<(&'static [u64], Vec<u8>)>,
}

pub struct Gpu {
    key: EcdsaKeyPair,
    /// PEM, from the one of the key that signs to the root.
    pub certificates: Vec<String>,
    fwid: Vec<u8>,
}

/// A report before it is signed.
#[derive(Clone, Debug)]
pub struct Report {
    /// Request, up to the nonce.
    pub request: Vec<u8>,
    pub nonce: Vec<u8>,
    /// Response, up to the number of measurements.
    pub response: Vec<u8>,
    /// By index.
    pub measurements: Vec<(u8, Vec<u8>)>,
    /// Of measurements, where it is not their number.
    pub count: Option<u8>,
    pub specification: u8,
    /// The vendor's fields, by type.
    pub fields: Vec<(u16, Vec<u8>)>,
    /// Behind the fields, and counted with them.
    pub more: Vec<u8>,
    /// Behind the signature.
    pub padding: Vec<u8>,
}

impl Report {
    pub fn field(&mut self, kind: u16) -> &mut Vec<u8> {
        &mut self.fields.iter_mut().find(|(known, _)| *known == kind).expect("a field of that type").1
    }
}

impl Gpu {
    /// The truth: measurement n is full of the byte n, but 10 and 20, which are zero; the video decoder is off.
    pub fn report(&self, nonce: &[u8; 32]) -> Report {
        let value = |index: u8| vec![if index.is_multiple_of(10) && index <= 20 { 0 } else { index }; 48];
        Report {
            request: vec![0x11, 0xe0, 1, 0xff],
            nonce: nonce.to_vec(),
            response: vec![0x11, 0x60, 0, 0],
            measurements: (1..=64).map(|index| (index, value(index))).collect(),
            count: None,
            specification: 1,
            fields: vec![
                (6, vec![0, 0x9f, 0, 0x96, 1, 0, 0, 0]),
                (14, vec![1, 2, 3, 4]),
                (15, b"882\0\0\0\0\0\0".to_vec()),
                (17, b"1010\0".to_vec()),
                (18, b"0200\0".to_vec()),
                (3, b"550.90.07\0".to_vec()),
                (11, vec![0x55]),
                (20, self.fwid.clone()),
                (21, vec![0x55]),
            ],
            more: Vec::new(),
            padding: vec![0],
        }
    }

    pub fn sign(&self, report: &Report) -> Vec<u8> {
        let block = |(index, value): &(u8, Vec<u8>)| {
            let (size, length) = (le16(value.len() + 3), le16(value.len()));
            [&[*index, report.specification][..], &size, &[1], &length, value].concat()
        };
        let record: Vec<u8> = report.measurements.iter().flat_map(block).collect();
        let field = |(kind, value): &(u16, Vec<u8>)| [&kind.to_le_bytes()[..], &le16(value.len()), value].concat();
        let opaque: Vec<u8> = report.fields.iter().flat_map(field).chain(report.more.iter().copied()).collect();
        let count = report.count.unwrap_or(report.measurements.len() as u8);
        let length = &(record.len() as u32).to_le_bytes()[..3];
        let mut all = [&report.request[..], &report.nonce, &[0], &report.response, &[count], length, &record].concat();
        all.extend_from_slice(&[&[9; 32][..], &le16(opaque.len()), &opaque].concat());
        let signature = self.key.sign(&SystemRandom::new(), &all).expect("sign");
        [&all[..], signature.as_ref(), &report.padding].concat()
    }

    /// An element of the list that the vendor's tools write.
    pub fn entry(&self, report: &[u8], nonce: &[u8]) -> Value {
        json!({
            "arch": "HOPPER", "nonce": hex(nonce), "evidence": STANDARD.encode(report),
            "certificate": STANDARD.encode(self.certificates.concat()),
        })
    }

    /// The truth, as it goes into the list.
    pub fn honest(&self, nonce: &[u8; 32]) -> Value {
        self.entry(&self.sign(&self.report(nonce)), nonce)
    }
}

/// What a GPU's report must hold, for the binder of the evidence that it stands beside.
pub fn nonce(binder: &[u8; 64]) -> [u8; 32] {
    digest(&SHA256, &[&binder[..], b"gpu"].concat()).as_ref().try_into().expect("32 bytes")
}

fn le16(number: usize) -> [u8; 2] {
    (number as u16).to_le_bytes()
}

fn ca(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params
}

fn key() -> KeyPair {
    KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).expect("key")
}

fn time(unix: u64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(unix as i64).expect("a time")
}
