//! A simulated AMD and its machines with SEV-SNP: roots, chips' and providers' certificates, revocation lists and reports. All keys are fresh per process.

use std::sync::OnceLock;

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RSA_PSS_SHA384, RsaKeyPair};
use yasna::models::{ObjectIdentifier, UTCTime};
use yasna::{DERWriter, Tag};

pub const REPORT: usize = 1184;

/// RSA-PSS with SHA-384, as AMD writes it: with a field that DER leaves out, and without.
const WITH_TRAILER: &[u8] = b"\x30\x46\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a\x30\x39\xa0\x0f\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x02\x05\x00\
\xa1\x1c\x30\x1a\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x08\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x02\x05\x00\
\xa2\x03\x02\x01\x30\xa3\x03\x02\x01\x01";
const SHORT: &[u8] = b"\x30\x41\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a\x30\x34\xa0\x0f\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x02\x05\x00\
\xa1\x1c\x30\x1a\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x08\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x02\x05\x00\
\xa2\x03\x02\x01\x30";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Product {
    Milan,
    Genoa,
    Turin,
}

impl Product {
    pub fn name(self) -> &'static str {
        match self {
            Product::Milan => "Milan",
            Product::Genoa => "Genoa",
            Product::Turin => "Turin",
        }
    }
}

/// Which of AMD's certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ca {
    Ark,
    Ask,
    Asvk,
}

/// AMD, for one product, and one of its chips.
pub struct Amd {
    pub product: Product,
    keys: [RsaKeyPair; 3],
    /// DER, in the order of `Ca`.
    pub certificates: [Vec<u8>; 3],
    vcek: EcdsaKeyPair,
    vlek: EcdsaKeyPair,
}

/// What a leaf says; `Leaf::vcek` and `Leaf::vlek` are the truth.
#[derive(Clone, Debug)]
pub struct Leaf {
    pub by: Ca,
    pub of_provider_key: bool,
    pub product: String,
    pub tcb: [u8; 8],
    pub hardware_id: Option<Vec<u8>>,
    pub csp_id: Option<String>,
    pub not_before: u64,
    pub not_after: u64,
    /// More extensions of AMD's arc: the last numbers of the name, whether critical, and the value.
    pub more: Vec<(Vec<u64>, bool, Vec<u8>)>,
    pub with_trailer: bool,
}

/// What a revocation list says.
#[derive(Clone, Debug)]
pub struct List {
    pub by: Ca,
    pub number: u8,
    pub issued: u64,
    pub expires: u64,
    pub revoked: Vec<Ca>,
    /// Whose it says that it is, if not of the one that signs.
    pub named: Option<Ca>,
    /// More extensions: name, whether critical, and the value.
    pub more: Vec<(Vec<u64>, bool, Vec<u8>)>,
    pub with_trailer: bool,
}

impl Amd {
    pub fn new(product: Product) -> Amd {
        let rng = SystemRandom::new();
        let rsa = || RsaKeyPair::generate(KeySize::Rsa2048).expect("RSA key");
        let keys = [rsa(), rsa(), rsa()];
        let ec = || {
            let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, &rng).expect("key");
            EcdsaKeyPair::from_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, document.as_ref()).expect("key")
        };
        let mut amd = Amd { product, keys, certificates: Default::default(), vcek: ec(), vlek: ec() };
        amd.certificates = [Ca::Ark, Ca::Ask, Ca::Asvk].map(|ca| amd.ca(ca));
        amd
    }

    /// One of each product, for the whole process.
    pub fn of(product: Product) -> &'static Amd {
        static ALL: [OnceLock<Amd>; 3] = [const { OnceLock::new() }; 3];
        ALL[product as usize].get_or_init(|| Amd::new(product))
    }

    /// ARK, ASK and ASVK.
    pub fn roots_pem(&self) -> String {
        self.certificates.iter().map(|der| pem::encode(&pem::Pem::new("CERTIFICATE", der.clone()))).collect()
    }

    fn common_name(&self, ca: Ca) -> String {
        match ca {
            Ca::Ark => format!("TEST ONLY ARK-{}", self.product.name()),
            Ca::Ask => format!("TEST ONLY SEV-{}", self.product.name()),
            Ca::Asvk => format!("TEST ONLY SEV-VLEK-{}", self.product.name()),
        }
    }

    fn ca(&self, ca: Ca) -> Vec<u8> {
        let key = AsDer::<PublicKeyX509Der>::as_der(self.keys[ca as usize].public_key()).expect("SPKI");
        let extensions = [
            (vec![2, 5, 29, 19], true, yasna::construct_der(|w| w.write_sequence(|w| w.next().write_bool(true)))),
            (vec![2, 5, 29, 15], true, vec![3, 2, 1, 6]),
        ];
        let content = certificate_content(&Content {
            serial: &[1, ca as u8],
            issuer: &self.common_name(Ca::Ark),
            subject: &self.common_name(ca),
            dates: (1_500_000_000, 2_500_000_000),
            key: key.as_ref(),
            extensions: &extensions,
            algorithm: WITH_TRAILER,
        });
        self.signed(content, Ca::Ark, WITH_TRAILER)
    }

    fn signed(&self, content: Vec<u8>, by: Ca, algorithm: &[u8]) -> Vec<u8> {
        let key = &self.keys[by as usize];
        let mut signature = vec![0; key.public_modulus_len()];
        key.sign(&RSA_PSS_SHA384, &SystemRandom::new(), &content, &mut signature).expect("signature");
        yasna::construct_der(|w| {
            w.write_sequence(|w| {
                w.next().write_der(&content);
                w.next().write_der(algorithm);
                w.next().write_bitvec_bytes(&signature, signature.len() * 8);
            });
        })
    }

    pub fn leaf(&self, leaf: &Leaf) -> Vec<u8> {
        let key = if leaf.of_provider_key { &self.vlek } else { &self.vcek };
        let key = AsDer::<PublicKeyX509Der>::as_der(key.public_key()).expect("SPKI");
        let amd = |rest: &[u64]| [&[1, 3, 6, 1, 4, 1, 3704, 1], rest].concat();
        let number = |value: u8| yasna::construct_der(|w| w.write_u8(value));
        let text = |value: &str| yasna::construct_der(|w| w.write_ia5_string(value));
        let mut extensions = vec![(amd(&[1]), false, number(0)), (amd(&[2]), false, text(&leaf.product))];
        let at = match self.product {
            Product::Turin => vec![(9, 0), (1, 1), (2, 2), (3, 3), (8, 7)],
            _ => vec![(1, 0), (2, 1), (3, 6), (8, 7)],
        };
        extensions.extend(at.into_iter().map(|(name, index)| (amd(&[3, name]), false, number(leaf.tcb[index]))));
        extensions.extend(leaf.hardware_id.clone().map(|id| (amd(&[4]), false, id)));
        extensions.extend(leaf.csp_id.as_ref().map(|id| (amd(&[5]), false, text(id))));
        extensions.extend(leaf.more.iter().map(|(rest, critical, value)| (amd(rest), *critical, value.clone())));
        let algorithm = if leaf.with_trailer { WITH_TRAILER } else { SHORT };
        let content = certificate_content(&Content {
            serial: &[0],
            issuer: &self.common_name(leaf.by),
            subject: if leaf.of_provider_key { "TEST ONLY SEV-VLEK" } else { "TEST ONLY SEV-VCEK" },
            dates: (leaf.not_before, leaf.not_after),
            key: key.as_ref(),
            extensions: &extensions,
            algorithm,
        });
        self.signed(content, leaf.by, algorithm)
    }

    pub fn list(&self, list: &List) -> Vec<u8> {
        let algorithm = if list.with_trailer { WITH_TRAILER } else { SHORT };
        let mut extensions = vec![(vec![2, 5, 29, 20], false, yasna::construct_der(|w| w.write_u8(list.number)))];
        extensions.extend(list.more.iter().cloned());
        let content = yasna::construct_der(|w| {
            w.write_sequence(|w| {
                w.next().write_u8(1);
                w.next().write_der(algorithm);
                name(w.next(), &self.common_name(list.named.unwrap_or(list.by)));
                time(w.next(), list.issued);
                time(w.next(), list.expires);
                if !list.revoked.is_empty() {
                    w.next().write_sequence(|w| {
                        for ca in &list.revoked {
                            w.next().write_sequence(|w| {
                                w.next().write_bigint_bytes(&[1, *ca as u8], true);
                                time(w.next(), list.issued);
                            });
                        }
                    });
                }
                w.next().write_tagged(Tag::context(0), |w| write_extensions(w, &extensions));
            });
        });
        self.signed(content, list.by, algorithm)
    }

    /// A list that revokes nothing.
    pub fn clean(&self, now: u64) -> List {
        let (issued, expires) = (now - 86_400, now + 30 * 86_400);
        List { by: Ca::Ark, number: 5, issued, expires, revoked: vec![], named: None, more: vec![], with_trailer: true }
    }

    /// The certificate that fits a report of this chip.
    pub fn vcek(&self, report: &[u8; REPORT]) -> Leaf {
        let chip = &report[0x1a0..0x1e0];
        Leaf {
            by: Ca::Ask,
            of_provider_key: false,
            product: self.product.name().into(),
            tcb: report[0x180..0x188].try_into().expect("8 bytes"),
            hardware_id: Some(if self.product == Product::Turin { chip[..8].to_vec() } else { chip.to_vec() }),
            csp_id: None,
            not_before: 1_700_000_000,
            not_after: 2_400_000_000,
            more: vec![],
            with_trailer: false,
        }
    }

    /// The same of a provider.
    pub fn vlek(&self, report: &[u8; REPORT], provider: &str) -> Leaf {
        Leaf {
            by: Ca::Asvk,
            of_provider_key: true,
            hardware_id: None,
            csp_id: Some(provider.into()),
            ..self.vcek(report)
        }
    }

    /// What the firmware says of an ordinary guest, not signed yet.
    pub fn report(&self, version: u8, report_data: &[u8; 64]) -> [u8; REPORT] {
        let mut raw = [0; REPORT];
        raw[0] = version;
        raw[0x004] = 2;
        raw[0x008..0x00b].copy_from_slice(&[0x1f, 0, 3]);
        raw[0x034] = 1;
        raw[0x040] = 0x25;
        raw[0x050..0x090].copy_from_slice(report_data);
        raw[0x090..0x0c0].fill(0x5a);
        raw[0x0c0..0x0e0].fill(0x0d);
        raw[0x0e0..0x110].fill(0x1d);
        raw[0x140..0x160].fill(0x77);
        raw[0x160..0x180].fill(0xff);
        let tcb = match self.product {
            Product::Turin => [1, 3, 2, 4, 0, 0, 0, 81],
            _ => [4, 2, 0, 0, 0, 0, 24, 219],
        };
        for at in [0x038, 0x180, 0x1e0, 0x1f0] {
            raw[at..at + 8].copy_from_slice(&tcb);
        }
        if version > 2 {
            raw[0x188..0x18b].copy_from_slice(match self.product {
                Product::Milan => &[0x19, 1, 1],
                Product::Genoa => &[0x19, 0x11, 1],
                Product::Turin => &[0x1a, 2, 1],
            });
        }
        raw[0x1a0..0x1a8].fill(0xc1);
        if self.product != Product::Turin {
            raw[0x1a8..0x1e0].fill(0xc2);
        }
        raw[0x1e8..0x1eb].copy_from_slice(&[40, 55, 1]);
        raw[0x1ec..0x1ef].copy_from_slice(&[40, 55, 1]);
        raw
    }

    /// Signs it by the key that it names.
    pub fn sign(&self, raw: &mut [u8; REPORT]) {
        let key = if raw[0x48] >> 2 & 7 == 1 { &self.vlek } else { &self.vcek };
        let signature = key.sign(&SystemRandom::new(), &raw[..0x2a0]).expect("signature");
        for (index, at) in [0x2a0, 0x2e8].into_iter().enumerate() {
            let mut number: Vec<u8> = signature.as_ref()[index * 48..][..48].to_vec();
            number.reverse();
            raw[at..at + 48].copy_from_slice(&number);
        }
    }
}

struct Content<'a> {
    serial: &'a [u8],
    issuer: &'a str,
    subject: &'a str,
    dates: (u64, u64),
    key: &'a [u8],
    extensions: &'a [(Vec<u64>, bool, Vec<u8>)],
    algorithm: &'a [u8],
}

fn certificate_content(content: &Content<'_>) -> Vec<u8> {
    yasna::construct_der(|w| {
        w.write_sequence(|w| {
            w.next().write_tagged(Tag::context(0), |w| w.write_u8(2));
            w.next().write_bigint_bytes(content.serial, true);
            w.next().write_der(content.algorithm);
            name(w.next(), content.issuer);
            w.next().write_sequence(|w| {
                time(w.next(), content.dates.0);
                time(w.next(), content.dates.1);
            });
            name(w.next(), content.subject);
            w.next().write_der(content.key);
            w.next().write_tagged(Tag::context(3), |w| write_extensions(w, content.extensions));
        });
    })
}

fn write_extensions(w: DERWriter<'_>, extensions: &[(Vec<u64>, bool, Vec<u8>)]) {
    w.write_sequence(|w| {
        for (oid, critical, value) in extensions {
            w.next().write_sequence(|w| {
                w.next().write_oid(&ObjectIdentifier::from_slice(oid));
                if *critical {
                    w.next().write_bool(true);
                }
                w.next().write_bytes(value);
            });
        }
    });
}

fn name(w: DERWriter<'_>, common_name: &str) {
    w.write_sequence(|w| {
        w.next().write_set(|w| {
            w.next().write_sequence(|w| {
                w.next().write_oid(&ObjectIdentifier::from_slice(&[2, 5, 4, 3]));
                w.next().write_utf8_string(common_name);
            });
        });
    });
}

fn time(w: DERWriter<'_>, unix: u64) {
    let time = time::OffsetDateTime::from_unix_timestamp(unix as i64).expect("time");
    if time.year() < 2050 {
        w.write_utctime(&UTCTime::from_datetime(time));
    } else {
        w.write_generalized_time(&yasna::models::GeneralizedTime::from_datetime(time));
    }
}
