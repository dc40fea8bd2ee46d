//! The dates in the vendor's documents. Pure.

use x509_cert::crl::CertificateList;
use x509_cert::der::Decode;

use super::rfc3339;

/// Whether a document that says `issueDate` and `nextUpdate` holds at `now`.
pub fn check((issued, expires): (&str, &str), now: u64) -> Result<(), String> {
    let time = |text: &str| rfc3339::parse(text).ok_or_else(|| format!("date {text:?} is not YYYY-MM-DDThh:mm:ssZ"));
    within(time(issued)?, Some(time(expires)?), now)
}

/// As `check`, for a revocation list in DER.
pub fn of_crl(der: &[u8], now: u64) -> Result<(), String> {
    let list: CertificateList = CertificateList::from_der(der).map_err(|error| format!("CRL: {error}"))?;
    let list = list.tbs_cert_list;
    let next = list.next_update.map(|time| time.to_unix_duration().as_secs());
    // The second itself is past the list's time already, to those who check signatures; it is the list that is to blame then.
    if let Some(next) = next.filter(|next| *next == now) {
        return Err(format!("expired at {next}, which is now"));
    }
    within(list.this_update.to_unix_duration().as_secs(), next, now)
}

fn within(issued: u64, expires: Option<u64>, now: u64) -> Result<(), String> {
    match expires {
        _ if now < issued => Err(format!("issued at {issued}, which is after now ({now})")),
        None => Err("has no expiry date".into()),
        Some(expires) if now > expires => Err(format!("expired at {expires}, now is {now}")),
        Some(_) => Ok(()),
    }
}
