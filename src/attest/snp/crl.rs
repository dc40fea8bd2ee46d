//! AMD's revocation lists: of each product one, signed by its root, about the intermediates. Pure.

use x509_cert::Certificate;
use x509_cert::crl::CertificateList;
use x509_cert::der::asn1::{BitStringRef, UintRef};
use x509_cert::der::oid::ObjectIdentifier;
use x509_cert::der::{AnyRef, Decode, Encode, Reader, SliceReader};

use super::pss;
use crate::attest::documents::Document;
use crate::attest::remembering::{Memory, fingerprint};

const CRL_NUMBER: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.20");
const AUTHORITY_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.35");
const DELTA: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.27");
const DISTRIBUTION_POINT: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.28");

/// A revocation list that the root has signed. When it holds is for the caller to judge.
#[derive(Clone, Debug)]
pub struct Crl {
    list: CertificateList,
    pub dates: CrlDates,
}

/// What a list says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CrlDates {
    /// Unix seconds.
    pub issued: u64,
    pub expires: u64,
    /// 0 if it has none.
    pub number: u64,
}

impl CrlDates {
    /// Not authenticated.
    pub fn read(der: &[u8]) -> Result<CrlDates, String> {
        CrlDates::of(&parse(der)?)
    }

    fn of(list: &CertificateList) -> Result<CrlDates, String> {
        let own = &list.tbs_cert_list;
        let expires = own.next_update.ok_or("it has no date of the next one")?;
        let number = own.crl_extensions.iter().flatten().find(|extension| extension.extn_id == CRL_NUMBER);
        let number = match number {
            None => 0,
            Some(extension) => {
                let number = UintRef::from_der(extension.extn_value.as_bytes());
                let number = number.map_err(|error| format!("its number: {error}"))?;
                number.as_bytes().iter().fold(0u64, |sum, byte| sum.saturating_mul(256).saturating_add((*byte).into()))
            }
        };
        Ok(CrlDates {
            issued: own.this_update.to_unix_duration().as_secs(),
            expires: expires.to_unix_duration().as_secs(),
            number,
        })
    }

    /// Whether a list of these dates holds at `now`.
    pub fn check(&self, now: u64) -> Result<(), String> {
        let CrlDates { issued, expires, .. } = *self;
        match () {
            _ if now < issued => Err(format!("issued at {issued}, which is after now ({now})")),
            _ if now >= expires => Err(format!("expired at {expires}, now is {now}")),
            _ => Ok(()),
        }
    }
}

/// Most lists, each with a certificate that is not on it, that are remembered.
const LISTS: usize = 64;

impl Crl {
    /// Whether `certificate` is on the list, and the list's dates, if it is one of `ark` (both DER) that holds at `now`. That a certificate is not on a list
    /// that the root has signed is remembered, by every byte of all three; the dates are looked at each time.
    pub fn judge(document: &Document, ark: &[u8], certificate: &[u8], now: u64) -> Result<(bool, CrlDates), String> {
        static CLEAN: Memory<CrlDates, LISTS> = Memory::new();
        let key = fingerprint(&[document.fingerprint(), ark, certificate]);
        if let Some(dates) = CLEAN.get(&key) {
            return dates.check(now).map(|()| (false, dates));
        }
        let list = Crl::read(document.body(), ark)?;
        list.dates.check(now)?;
        let is_revoked = list.revokes(certificate)?;
        if !is_revoked {
            CLEAN.remember(key, list.dates);
        }
        Ok((is_revoked, list.dates))
    }

    /// Reads a list that `ark` (DER) must have signed.
    pub fn read(der: &[u8], ark: &[u8]) -> Result<Crl, String> {
        let list = parse(der)?;
        let ark = Certificate::from_der(ark).map_err(|error| format!("root: {error}"))?;
        let (issuer, root) = (list.tbs_cert_list.issuer.to_der(), ark.tbs_certificate().subject().to_der());
        if !matches!((issuer, root), (Ok(issuer), Ok(root)) if issuer == root) {
            return Err(format!("a list of {:?}, which is not the root", list.tbs_cert_list.issuer.to_string()));
        }
        whole(&list)?;
        signed(der, &ark)?;
        Ok(Crl { dates: CrlDates::of(&list)?, list })
    }

    /// Whether the certificate (DER) is on it.
    pub fn revokes(&self, certificate: &[u8]) -> Result<bool, String> {
        let certificate = Certificate::from_der(certificate).map_err(|error| format!("intermediate: {error}"))?;
        let serial = certificate.tbs_certificate().serial_number();
        let mut revoked = self.list.tbs_cert_list.revoked_certificates.iter().flatten();
        Ok(revoked.any(|revoked| revoked.serial_number == *serial))
    }
}

fn parse(der: &[u8]) -> Result<CertificateList, String> {
    CertificateList::from_der(der).map_err(|error| error.to_string())
}

/// A list of all that the root has revoked: neither the part of one, nor the difference to one, nor anything that we do not know to read.
fn whole(list: &CertificateList) -> Result<(), String> {
    if list.tbs_cert_list.signature != list.signature_algorithm {
        return Err("it names two signature algorithms".into());
    }
    for extension in list.tbs_cert_list.crl_extensions.iter().flatten() {
        match extension.extn_id {
            DELTA => return Err("it has only what changed".into()),
            DISTRIBUTION_POINT => return Err("it is of one distribution point".into()),
            CRL_NUMBER | AUTHORITY_KEY => {}
            other if extension.critical => return Err(format!("critical extension {other}")),
            _ => {}
        }
    }
    let entries = list.tbs_cert_list.revoked_certificates.iter().flatten();
    let mut extensions = entries.flat_map(|entry| entry.crl_entry_extensions.iter().flatten());
    match extensions.find(|extension| extension.critical) {
        Some(extension) => Err(format!("critical extension {} of an entry", extension.extn_id)),
        None => Ok(()),
    }
}

fn signed(der: &[u8], by: &Certificate) -> Result<(), String> {
    let parts = |reader: &mut SliceReader<'_>| {
        reader.sequence(|inner| {
            let content = inner.tlv_bytes()?.to_vec();
            let algorithm = AnyRef::decode(inner)?.value().to_vec();
            let signature = BitStringRef::decode(inner)?.as_bytes().unwrap_or_default().to_vec();
            Ok((content, algorithm, signature))
        })
    };
    let read: Result<_, x509_cert::der::Error> = SliceReader::new(der).and_then(|mut reader| parts(&mut reader));
    let (content, algorithm, signature) = read.map_err(|error| error.to_string())?;
    let key = by.tbs_certificate().subject_public_key_info().subject_public_key.raw_bytes();
    pss::verify(&algorithm, key, &content, &signature).map_err(|why| format!("not signed by the root: {why}"))
}
