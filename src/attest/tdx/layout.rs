//! The outer shape of a quote (attested-tls spec 11.2): every length inside must account for every byte.
//!
//! The verifying crate ignores what follows a quote. Bytes nobody signed must not ride along, so they are refused here. One
//! exception is made: guests hand out quotes in a buffer of fixed size, so a short run of zeros may follow.

const HEADER: usize = 48;
const ECDSA_P256: u16 = 2;
const TDX: u32 = 0x81;
const SIGNATURE_AND_KEY: usize = 128;
/// Real version 4 quotes come with 70 zeros.
const MAX_PADDING: usize = 1024;
const QE_REPORT_AND_SIGNATURE: usize = 384 + 64;
const TD10_REPORT_DATA: usize = 520;

/// Checks version, TEE type and that the nested lengths add up exactly.
pub fn check(quote: &[u8]) -> Result<(), String> {
    let body_end = body(quote)?.1;
    let auth_length = u32_at(quote, body_end)? as usize;
    let auth = quote.get(body_end + 4..).unwrap_or_default();
    let Some((auth, padding)) = auth.split_at_checked(auth_length) else {
        return Err(truncated(quote));
    };
    if padding.len() > MAX_PADDING || padding.iter().any(|byte| *byte != 0) {
        return Err(format!("{} bytes after the quote's end that are not padding", padding.len()));
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
    let pem = nested(qe, inner + 2)?;
    const END: &[u8] = b"-----END CERTIFICATE-----";
    let last = pem.windows(END.len()).rposition(|window| window == END).ok_or("PCK chain holds no PEM certificate")?;
    if pem[last + END.len()..].iter().any(|byte| !matches!(byte, b'\n' | b'\r' | 0)) {
        return Err("bytes after the PCK chain".into());
    }
    Ok(())
}

/// The 64 bytes that the guest put into its report; `None` if the quote is too short to have them.
pub fn report_data(quote: &[u8]) -> Option<[u8; 64]> {
    let (start, _) = body(quote).ok()?;
    quote.get(start + TD10_REPORT_DATA..)?.first_chunk::<64>().copied()
}

/// Start and end of the report body.
fn body(quote: &[u8]) -> Result<(usize, usize), String> {
    let version = u16_at(quote, 0)?;
    let key_type = u16_at(quote, 2)?;
    let tee_type = u32_at(quote, 4)?;
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
    let rest = data.get(at + 4..).unwrap_or_default();
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
