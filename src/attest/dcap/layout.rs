//! The outer shape of a quote (Intel SGX DCAP quote format 3; Intel TDX DCAP Quoting Library API, quote formats 4 and 5): every length inside must account
//! for every byte. Pure.
//!
//! The verifying crate ignores bytes after a quote, and text between the certificates in it. Unsigned bytes must not pass unnoticed, so they are
//! refused here. One exception is made: TDX guests hand out quotes in a buffer of fixed size, so zeros may follow, as many as evidence may have bytes.

use std::ops::Range;

const HEADER: usize = 48;
const ECDSA_P256: u16 = 2;
const SGX: u32 = 0;
const TDX: u32 = 0x81;
const QE_VENDOR: Range<usize> = 12..28;
/// Bytes of the attestation key.
const KEY: usize = 64;
const QE_REPORT_AND_SIGNATURE: usize = 384 + 64;
const TD10_ATTRIBUTES: usize = 120;

/// Whom a quote speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum QuoteKind {
    /// A trust domain of TDX.
    TrustDomain,
    /// An enclave of SGX.
    Enclave,
}

impl QuoteKind {
    pub const ALL: [QuoteKind; 2] = [QuoteKind::TrustDomain, QuoteKind::Enclave];

    /// As the quote's header has it, which is nothing but what it says of itself.
    pub fn said_by(quote: &[u8]) -> Option<QuoteKind> {
        match u32_at(quote, 4) {
            Ok(TDX) => Some(QuoteKind::TrustDomain),
            Ok(SGX) => Some(QuoteKind::Enclave),
            _ => None,
        }
    }

    /// `id` of TCB info.
    pub fn tcb_info_id(self) -> &'static str {
        match self {
            QuoteKind::TrustDomain => "TDX",
            QuoteKind::Enclave => "SGX",
        }
    }

    /// `id` of the QE identity.
    pub fn qe_identity_id(self) -> &'static str {
        match self {
            QuoteKind::TrustDomain => "TD_QE",
            QuoteKind::Enclave => "QE",
        }
    }

    /// Where the 64 bytes are in the report that whoever asked for it has chosen.
    fn report_data(self) -> usize {
        match self {
            QuoteKind::TrustDomain => 520,
            QuoteKind::Enclave => 320,
        }
    }
}

/// A quote in the parts of which it consists; together they are all of its bytes but for a length that follows from them, and zeros behind.
pub struct QuoteParts<'a> {
    pub header: &'a [u8],
    /// What the attestation key signs after the header: the report, in three, of which the second was chosen by whoever asked for it.
    pub report: [&'a [u8]; 3],
    /// Header and report as one.
    pub signed: &'a [u8],
    /// `r || s`.
    pub signature: &'a [u8; 64],
    /// The attestation key, and all that vouches for it.
    pub certification: &'a [u8],
}

impl<'a> QuoteParts<'a> {
    /// Checks version and TEE type, and that the outer lengths add up exactly.
    pub fn of(kind: QuoteKind, quote: &'a [u8]) -> Result<QuoteParts<'a>, String> {
        let body = body(kind, quote)?;
        let length = u32_at(quote, body.end)? as usize;
        let rest = quote.get(body.end + 4..).and_then(|rest| rest.split_at_checked(length));
        let (auth, behind) = rest.ok_or_else(|| truncated(quote))?;
        nothing_behind(kind, behind, body.end + 4 + length)?;
        let parts = || {
            let signed = quote.get(..body.end)?;
            let (header, report) = signed.split_at_checked(HEADER)?;
            let (before, report) = report.split_at_checked(body.start - HEADER + kind.report_data())?;
            let (chosen, after) = report.split_at_checked(64)?;
            let (signature, certification) = auth.split_first_chunk::<64>()?;
            Some(QuoteParts { header, report: [before, chosen, after], signed, signature, certification })
        };
        parts().ok_or_else(|| truncated(quote))
    }

    pub fn vendor(&self) -> &'a [u8] {
        self.header.get(QE_VENDOR).unwrap_or_default()
    }

    pub fn attestation_key(&self) -> &'a [u8] {
        self.certification.get(..KEY).unwrap_or_default()
    }

    /// Checks that the lengths inside what vouches for the attestation key add up exactly, and what stands there.
    pub fn check(&self, kind: QuoteKind) -> Result<(), String> {
        match kind {
            QuoteKind::TrustDomain => {
                let kind = u16_at(self.certification, KEY)?;
                if kind != 6 {
                    return Err(format!("certification data of type {kind}, expected 6 (QE report)"));
                }
                certification_data(nested(self.certification, KEY + 2)?)
            }
            QuoteKind::Enclave => {
                let rest = self.certification.get(KEY..);
                certification_data(rest.ok_or_else(|| truncated(self.certification))?)
            }
        }
    }
}

fn nothing_behind(kind: QuoteKind, behind: &[u8], end: usize) -> Result<(), String> {
    let stray = match kind {
        QuoteKind::TrustDomain => behind.iter().position(|byte| *byte != 0),
        QuoteKind::Enclave => (!behind.is_empty()).then_some(0),
    };
    let Some(at) = stray else { return Ok(()) };
    let may = if kind == QuoteKind::TrustDomain { "only zeros" } else { "nothing" };
    Err(format!("byte {:#04x} at {at} behind the quote's end at {end}: {may} may follow", behind[at]))
}

/// The quoting enclave's report and what vouches for it.
fn certification_data(qe: &[u8]) -> Result<(), String> {
    let qe_auth = u16_at(qe, QE_REPORT_AND_SIGNATURE)? as usize;
    let inner = QE_REPORT_AND_SIGNATURE + 2 + qe_auth;
    let kind = u16_at(qe, inner)?;
    if kind != 5 {
        return Err(format!("PCK certification data of type {kind}, only an inline chain (5) is supported"));
    }
    only_certificates(nested(qe, inner + 2)?)
}

/// Certificates in PEM with line ends between them, line ends after the last one, then zeros (the end of a C string), and nothing else.
fn only_certificates(chain: &[u8]) -> Result<(), String> {
    const BEGIN: &[u8] = b"-----BEGIN CERTIFICATE-----";
    const END: &[u8] = b"-----END CERTIFICATE-----";
    let mut rest = chain;
    let mut found = false;
    let stray = |rest: &[u8]| {
        let at = chain.len() - rest.len();
        format!("byte {:#04x} at {at} of the PCK chain is part of no certificate", rest[0])
    };
    loop {
        rest = skip(rest, |byte| matches!(byte, b'\r' | b'\n'));
        let Some(inside) = rest.strip_prefix(BEGIN) else { break };
        let behind = skip(inside, |byte| byte.is_ascii_alphanumeric() || b"+/=\r\n".contains(&byte));
        rest = behind.strip_prefix(END).ok_or("a certificate of the PCK chain is not PEM, or does not end")?;
        found = true;
    }
    let rest = if found { skip(rest, |byte| byte == 0) } else { rest };
    match rest {
        [] if found => Ok(()),
        [] => Err("PCK chain holds no PEM certificate".into()),
        rest => Err(stray(rest)),
    }
}

fn skip(text: &[u8], what: impl Fn(u8) -> bool) -> &[u8] {
    let end = text.iter().position(|byte| !what(*byte));
    &text[end.unwrap_or(text.len())..]
}

/// The 64 bytes that the attester put into its report; `None` if the quote is too short to have them, or of another kind.
pub fn report_data(kind: QuoteKind, quote: &[u8]) -> Option<[u8; 64]> {
    report(kind, quote)?.get(kind.report_data()..)?.first_chunk::<64>().copied()
}

/// TDATTRIBUTES, and whether the report is one of TDX 1.0.
pub fn td_attributes(quote: &[u8]) -> Option<([u8; 8], bool)> {
    let report = report(QuoteKind::TrustDomain, quote)?;
    Some((*report.get(TD10_ATTRIBUTES..)?.first_chunk::<8>()?, report.len() == 584))
}

/// The report body.
pub fn report(kind: QuoteKind, quote: &[u8]) -> Option<&[u8]> {
    quote.get(body(kind, quote).ok()?)
}

fn body(kind: QuoteKind, quote: &[u8]) -> Result<Range<usize>, String> {
    let (version, key_type, tee_type) = (u16_at(quote, 0)?, u16_at(quote, 2)?, u32_at(quote, 4)?);
    if key_type != ECDSA_P256 {
        return Err(format!("attestation key of type {key_type}, expected {ECDSA_P256} (ECDSA P-256)"));
    }
    let (wanted, name) = match kind {
        QuoteKind::TrustDomain => (TDX, "TDX"),
        QuoteKind::Enclave => (SGX, "SGX"),
    };
    if tee_type != wanted {
        return Err(format!("TEE type {tee_type:#x}, expected {wanted:#x} ({name})"));
    }
    let (start, length) = match (kind, version) {
        (QuoteKind::Enclave, 3) => (HEADER, 384),
        (QuoteKind::Enclave, other) => return Err(format!("quote version {other}, expected 3")),
        (QuoteKind::TrustDomain, 4) => (HEADER, 584),
        (QuoteKind::TrustDomain, 5) => match (u16_at(quote, HEADER)?, u32_at(quote, HEADER + 2)?) {
            (2, 584) => (HEADER + 6, 584),
            (3, 648) => (HEADER + 6, 648),
            (4, 885) => (HEADER + 6, 885),
            (kind, size) => return Err(format!("body type {kind} of {size} bytes is not a TD report")),
        },
        (QuoteKind::TrustDomain, other) => return Err(format!("quote version {other}, expected 4 or 5")),
    };
    Ok(start..start + length)
}

fn nested(data: &[u8], at: usize) -> Result<&[u8], String> {
    let length = u32_at(data, at)? as usize;
    let rest = data.get(at + 4..).ok_or_else(|| truncated(data))?;
    if rest.len() != length {
        return Err(format!("{} bytes of certification data, its length field says {length}", rest.len()));
    }
    Ok(rest)
}

fn u16_at(data: &[u8], at: usize) -> Result<u16, String> {
    let bytes = data.get(at..).and_then(|rest| rest.first_chunk::<2>());
    Ok(u16::from_le_bytes(*bytes.ok_or_else(|| truncated(data))?))
}

fn u32_at(data: &[u8], at: usize) -> Result<u32, String> {
    let bytes = data.get(at..).and_then(|rest| rest.first_chunk::<4>());
    Ok(u32::from_le_bytes(*bytes.ok_or_else(|| truncated(data))?))
}

fn truncated(data: &[u8]) -> String {
    format!("quote is cut short ({} bytes)", data.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beside_certificates_there_are_line_ends_and_then_zeros() {
        const ONE: &str = "-----BEGIN CERTIFICATE-----\nAb+/\r\n09==\n-----END CERTIFICATE-----";
        let check = |text: &str| only_certificates(text.as_bytes());
        for good in [ONE, &format!("\r\n{ONE}\n{ONE}\r\n\n"), &format!("{ONE}{ONE}\n\0"), &format!("{ONE}\0\0\0")] {
            assert_eq!(check(good), Ok(()), "{good:?}");
        }
        for (bad, why) in [
            (String::new(), "no PEM"),
            ("\n\n".into(), "no PEM"),
            ("\0".into(), "0x00 at 0"),
            (format!("#{ONE}"), "0x23 at 0"),
            (format!("{ONE} "), "0x20 at"),
            (format!("{ONE}\nnote\n{ONE}"), "0x6e at"),
            (format!("{ONE}\n\0\n"), "0x0a at"),
            (format!("{ONE}\n\0rider"), "0x72 at"),
            (format!("{ONE}\n\0{ONE}"), "0x2d at"),
            (ONE.replace("Ab", "A b"), "not PEM"),
            (ONE.replace("Ab", "X-Note: b\n\nAb"), "not PEM"),
            (ONE.replace("END", "FIN"), "not PEM"),
        ] {
            let error = check(&bad).expect_err(&bad);
            assert!(error.contains(why), "{bad:?}: {error}");
        }
    }
}
