//! The outer shape of a quote (Intel TDX DCAP Quoting Library API, quote formats 4 and 5): every length inside must account for every byte.
//!
//! The verifying crate ignores bytes after a quote, and text between the certificates in it. Unsigned bytes must not pass unnoticed, so they are
//! refused here. One exception is made: guests hand out quotes in a buffer of fixed size, so zeros may follow, as many as evidence may have bytes.

use super::unverified::{Culprit, Unverified};

const HEADER: usize = 48;
const ECDSA_P256: u16 = 2;
const SGX: u32 = 0;
const TDX: u32 = 0x81;
const SIGNATURE_AND_KEY: usize = 128;
const QE_REPORT_AND_SIGNATURE: usize = 384 + 64;
const TD10_REPORT_DATA: usize = 520;
const TD10_ATTRIBUTES: usize = 120;

/// Checks version, TEE type and that the nested lengths add up exactly.
pub fn check(quote: &[u8]) -> Result<(), Unverified> {
    let body_end = body(quote)?.1;
    let auth_length = u32_at(quote, body_end).map_err(Unverified::quote)? as usize;
    certification_data(quote, body_end + 4, auth_length).map_err(Unverified::quote)
}

fn certification_data(quote: &[u8], start: usize, length: usize) -> Result<(), String> {
    let signed = quote.get(start..).and_then(|rest| rest.split_at_checked(length));
    let (auth, padding) = signed.ok_or_else(|| truncated(quote))?;
    if let Some(at) = padding.iter().position(|byte| *byte != 0) {
        let (byte, end) = (padding[at], start + length);
        return Err(format!("byte {byte:#04x} at {at} behind the quote's end at {end}: only zeros may follow"));
    }
    let kind = u16_at(auth, SIGNATURE_AND_KEY)?;
    if kind != 6 {
        return Err(format!("certification data of type {kind}, expected 6 (QE report)"));
    }
    let qe = nested(auth, SIGNATURE_AND_KEY + 2)?;
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
    &text[text.iter().take_while(|byte| what(**byte)).count()..]
}

/// What kind of evidence a quote is, where it is one that this version does not judge.
pub fn other_kind(quote: &[u8]) -> Option<String> {
    body(quote).err().filter(|fault| fault.culprit == Culprit::Kind).map(|fault| fault.why)
}

/// The 64 bytes that the guest put into its report; `None` if the quote is too short to have them.
pub fn report_data(quote: &[u8]) -> Option<[u8; 64]> {
    let (start, _) = body(quote).ok()?;
    quote.get(start + TD10_REPORT_DATA..)?.first_chunk::<64>().copied()
}

/// TDATTRIBUTES, and whether the report is one of TDX 1.0.
pub fn attributes(quote: &[u8]) -> Option<([u8; 8], bool)> {
    let (start, end) = body(quote).ok()?;
    Some((*quote.get(start + TD10_ATTRIBUTES..)?.first_chunk::<8>()?, end - start == 584))
}

/// Start and end of the report body.
fn body(quote: &[u8]) -> Result<(usize, usize), Unverified> {
    let header = || Ok::<_, String>((u16_at(quote, 0)?, u16_at(quote, 2)?, u32_at(quote, 4)?));
    let (version, key_type, tee_type) = header().map_err(Unverified::quote)?;
    if tee_type == SGX && (3..=5).contains(&version) {
        return Err(Unverified::new(Culprit::Kind, "the quote of an SGX enclave, which this version does not judge"));
    }
    td_body(quote, version, key_type, tee_type).map_err(Unverified::quote)
}

fn td_body(quote: &[u8], version: u16, key_type: u16, tee_type: u32) -> Result<(usize, usize), String> {
    if key_type != ECDSA_P256 {
        return Err(format!("attestation key of type {key_type}, expected {ECDSA_P256} (ECDSA P-256)"));
    }
    if tee_type != TDX {
        return Err(format!("TEE type {tee_type:#x}, expected {TDX:#x} (TDX)"));
    }
    let (start, length) = match version {
        4 => (HEADER, 584),
        5 => match (u16_at(quote, HEADER)?, u32_at(quote, HEADER + 2)?) {
            (2, 584) => (HEADER + 6, 584),
            (3, 648) => (HEADER + 6, 648),
            (4, 885) => (HEADER + 6, 885),
            (kind, size) => return Err(format!("body type {kind} of {size} bytes is not a TD report")),
        },
        other => return Err(format!("quote version {other}, expected 4 or 5")),
    };
    Ok((start, start + length))
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
