//! The simulated vendor: root, platform CA, one platform's PCK, and the signer of TCB documents. All keys are fresh per process.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CustomExtension, DnType, IsCa, Issuer,
    KeyIdMethod, KeyPair, KeyUsagePurpose, PublicKeyData, RevokedCertParams, SerialNumber,
};
use time::{Duration, OffsetDateTime};
use yasna::models::ObjectIdentifier;

use crate::collateral::Issue;

pub const FMSPC: [u8; 6] = [0x51, 0x4d, 0x54, 0x45, 0x45, 0x00];
pub const CPU_SVN: [u8; 16] = [2; 16];
pub const PCE_SVN: u16 = 13;
pub const PPID: [u8; 16] = [0xaa; 16];

pub struct SimTee {
    root: Issuer<'static, KeyPair>,
    pck_ca: Issuer<'static, KeyPair>,
    pub root_der: Vec<u8>,
    pub root_pem: String,
    pub pck_ca_pem: String,
    pub pck_pem: String,
    pub tcb_pem: String,
    pub pck_key: EcdsaKeyPair,
    pub tcb_key: EcdsaKeyPair,
    pub attestation_key: EcdsaKeyPair,
    pub pce_id: [u8; 2],
    /// A CA for the servers' TLS certificates, as a public one would be.
    web_ca: Issuer<'static, KeyPair>,
    pub web_ca_pem: String,
    pck_serial: SerialNumber,
    pck_ca_serial: SerialNumber,
    tcb_serial: SerialNumber,
}

impl Default for SimTee {
    fn default() -> Self {
        SimTee::new()
    }
}

impl SimTee {
    pub fn new() -> SimTee {
        SimTee::with_pce_id([0, 0])
    }

    pub fn with_pce_id(pce_id: [u8; 2]) -> SimTee {
        let root_key = key();
        let root_params = ca("TEST ONLY SGX Root CA");
        let root_cert = root_params.self_signed(&root_key).expect("root");
        let (root_der, root_pem) = (root_cert.der().to_vec(), root_cert.pem());
        let root = Issuer::new(root_params, root_key);
        let pck_ca_key = key();
        let pck_ca_serial = SerialNumber::from(vec![0x51, 8]);
        let mut pck_ca_params = ca("Intel SGX PCK Platform CA (TEST ONLY)");
        pck_ca_params.serial_number = Some(pck_ca_serial.clone());
        let pck_ca_pem = pck_ca_params.signed_by(&pck_ca_key, &root).expect("PCK CA").pem();
        let pck_ca = Issuer::new(pck_ca_params, pck_ca_key);
        let pck_serial = SerialNumber::from(vec![0x51, 7]);
        let pck_key = key();
        let mut pck = leaf("TEST ONLY PCK", vec![]);
        pck.serial_number = Some(pck_serial.clone());
        pck.custom_extensions
            .push(CustomExtension::from_oid_content(&[1, 2, 840, 113741, 1, 13, 1], pck_extension(FMSPC, pce_id)));
        let pck_pem = pck.signed_by(&pck_key, &pck_ca).expect("PCK").pem();
        let tcb_key = key();
        let tcb_serial = SerialNumber::from(vec![0x51, 9]);
        let mut tcb = leaf("TEST ONLY TCB Signing", vec![]);
        tcb.serial_number = Some(tcb_serial.clone());
        let tcb_pem = tcb.signed_by(&tcb_key, &root).expect("TCB signer").pem();
        let web_key = key();
        let web_params = ca("TEST ONLY Web CA");
        let web_ca_pem = web_params.self_signed(&web_key).expect("web CA").pem();
        SimTee {
            root,
            pck_ca,
            root_der,
            root_pem,
            pck_ca_pem,
            pck_pem,
            tcb_pem,
            pck_key: signer(&pck_key),
            tcb_key: signer(&tcb_key),
            attestation_key: signer(&key()),
            pce_id,
            web_ca: Issuer::new(web_params, web_key),
            web_ca_pem,
            pck_serial,
            pck_ca_serial,
            tcb_serial,
        }
    }

    /// A second machine of the same vendor and the same FMSPC: other PCK, other attestation key.
    pub fn sibling(&self) -> (String, EcdsaKeyPair, EcdsaKeyPair) {
        self.machine(FMSPC)
    }

    /// A machine of the kind `fmspc`: its PCK certificate and key, and an attestation key.
    pub fn machine(&self, fmspc: [u8; 6]) -> (String, EcdsaKeyPair, EcdsaKeyPair) {
        let pck_key = key();
        let mut pck = leaf("TEST ONLY PCK", vec![]);
        let extension = pck_extension(fmspc, self.pce_id);
        pck.custom_extensions.push(CustomExtension::from_oid_content(&[1, 2, 840, 113741, 1, 13, 1], extension));
        let pem = pck.signed_by(&pck_key, &self.pck_ca).expect("PCK").pem();
        (pem, signer(&pck_key), signer(&key()))
    }

    /// A TLS certificate for `names`, DER with its PKCS 8 key, valid from `from` to `to` days from now.
    pub fn web_certificate(&self, names: &[&str], from: i64, to: i64) -> (Vec<u8>, Vec<u8>) {
        let tls_key = key();
        let mut params = leaf("server", names.iter().map(|name| name.to_string()).collect());
        params.not_before = OffsetDateTime::now_utc() + Duration::days(from);
        params.not_after = OffsetDateTime::now_utc() + Duration::days(to);
        let cert = params.signed_by(&tls_key, &self.web_ca).expect("web certificate");
        (cert.der().to_vec(), tls_key.serialize_der())
    }

    /// As `web_certificate`, with what `extensions` makes of the key (SubjectPublicKeyInfo): OIDs, and the whole values. Valid for so many seconds from then.
    pub fn certificate_with(
        &self,
        (from, seconds): (u64, u64),
        extensions: impl FnOnce(&[u8]) -> Vec<(Vec<u64>, Vec<u8>)>,
    ) -> (Vec<u8>, Vec<u8>) {
        let tls_key = key();
        let mut params = leaf("server", vec!["localhost".into()]);
        let time = |seconds: u64| OffsetDateTime::from_unix_timestamp(seconds as i64).expect("a time");
        (params.not_before, params.not_after) = (time(from), time(from + seconds));
        for (oid, value) in extensions(&tls_key.subject_public_key_info()) {
            params.custom_extensions.push(CustomExtension::from_oid_content(&oid, value));
        }
        let cert = params.signed_by(&tls_key, &self.web_ca).expect("web certificate");
        (cert.der().to_vec(), tls_key.serialize_der())
    }

    /// As `web_certificate`, both as PEM.
    pub fn web_pem(&self, names: &[&str]) -> (String, String) {
        let key = key();
        let params = leaf("TEST ONLY peer", names.iter().map(|name| (*name).to_owned()).collect());
        (params.signed_by(&key, &self.web_ca).expect("web certificate").pem(), key.serialize_pem())
    }

    pub fn root_crl(&self, issue: &Issue) -> Vec<u8> {
        let serials = [(issue.revoke_pck_ca, &self.pck_ca_serial), (issue.revoke_tcb_signer, &self.tcb_serial)];
        crl(&self.root, issue, &serials)
    }

    pub fn pck_crl(&self, issue: &Issue) -> Vec<u8> {
        crl(&self.pck_ca, issue, &[(issue.revoke_platform, &self.pck_serial)])
    }
}

/// `r || s` over `message`.
pub fn sign(key: &EcdsaKeyPair, message: &[u8]) -> [u8; 64] {
    let signature = key.sign(&SystemRandom::new(), message).expect("sign");
    signature.as_ref().try_into().expect("64 bytes")
}

fn key() -> KeyPair {
    KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).expect("key")
}

fn signer(key: &KeyPair) -> EcdsaKeyPair {
    EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &key.serialize_der()).expect("PKCS 8")
}

fn ca(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(vec![]).expect("params");
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn leaf(name: &str, names: Vec<String>) -> CertificateParams {
    let mut params = CertificateParams::new(names).expect("names");
    params.distinguished_name.push(DnType::CommonName, name);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params
}

fn crl(issuer: &Issuer<'static, KeyPair>, issue: &Issue, serials: &[(bool, &SerialNumber)]) -> Vec<u8> {
    let revoked = |serial: &SerialNumber| RevokedCertParams {
        serial_number: serial.clone(),
        revocation_time: OffsetDateTime::now_utc() - Duration::days(1),
        reason_code: None,
        invalidity_date: None,
    };
    let params = CertificateRevocationListParams {
        this_update: OffsetDateTime::now_utc() + Duration::days(issue.crl_issued),
        next_update: OffsetDateTime::now_utc() + Duration::days(issue.crl_expires),
        crl_number: SerialNumber::from(issue.crl_number),
        issuing_distribution_point: None,
        revoked_certs: serials.iter().filter(|(is_on, _)| *is_on).map(|(_, serial)| revoked(serial)).collect(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    params.signed_by(issuer).expect("CRL").der().to_vec()
}

/// Intel's PCK extension (OID 1.2.840.113741.1.13.1), platform CA form.
fn pck_extension(fmspc: [u8; 6], pce_id: [u8; 2]) -> Vec<u8> {
    let oid = |tail: &[u64]| ObjectIdentifier::from_slice(&[&[1, 2, 840, 113741, 1, 13, 1], tail].concat());
    yasna::construct_der(|writer| {
        writer.write_sequence(|seq| {
            let mut pair = |tail: &[u64], value: &dyn Fn(yasna::DERWriter)| {
                seq.next().write_sequence(|pair| {
                    pair.next().write_oid(&oid(tail));
                    value(pair.next());
                });
            };
            pair(&[1], &|w| w.write_bytes(&PPID));
            pair(&[2], &|w| {
                w.write_sequence(|tcb| {
                    for (index, svn) in CPU_SVN.iter().enumerate() {
                        tcb.next().write_sequence(|pair| {
                            pair.next().write_oid(&oid(&[2, index as u64 + 1]));
                            pair.next().write_u8(*svn);
                        });
                    }
                    tcb.next().write_sequence(|pair| {
                        pair.next().write_oid(&oid(&[2, 17]));
                        pair.next().write_u16(PCE_SVN);
                    });
                    tcb.next().write_sequence(|pair| {
                        pair.next().write_oid(&oid(&[2, 18]));
                        pair.next().write_bytes(&CPU_SVN);
                    });
                });
            });
            pair(&[3], &|w| w.write_bytes(&pce_id));
            pair(&[4], &|w| w.write_bytes(&fmspc));
            pair(&[5], &|w| w.write_enum(1));
            pair(&[6], &|w| w.write_bytes(&[0xbb; 16]));
            pair(&[7], &|w| {
                w.write_sequence(|configuration| {
                    for index in 1..=3 {
                        configuration.next().write_sequence(|pair| {
                            pair.next().write_oid(&oid(&[7, index]));
                            pair.next().write_bool(true);
                        });
                    }
                });
            });
        });
    })
}
