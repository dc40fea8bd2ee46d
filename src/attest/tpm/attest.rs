//! TPMS_ATTEST of a quote, as it is signed. Big-endian, and each byte has a meaning: whatever else there is, is refused. Pure.

/// Longer than any quote.
const MAX_BYTES: usize = 1024;
/// TPM_GENERATED_VALUE: what a TPM signs of its own accord never begins otherwise, and what others let it sign never begins so.
const GENERATED: u32 = 0xff54_4347;
/// TPM_ST_ATTEST_QUOTE.
const QUOTE: u16 = 0x8018;
/// TPM_ALG_SHA256.
const SHA256: u16 = 0x000b;
/// Bytes of the bitmap of registers.
const BITMAP: u8 = 3;

/// A quote, read but not judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TpmAttest {
    /// What whoever asked for the quote gave along.
    pub extra_data: Vec<u8>,
    pub clock: Clock,
    /// Of the TPM's own firmware, in its maker's form.
    pub firmware: u64,
    /// Numbers of the registers of SHA-256 that it is about, ascending.
    pub selected: Vec<u8>,
    /// SHA-256 of their values, one after another.
    pub digest: [u8; 32],
}

/// TPMS_CLOCK_INFO.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// Milliseconds that the TPM was on.
    pub milliseconds: u64,
    pub resets: u32,
    pub restarts: u32,
    /// Whether the clock has not been set back.
    pub is_safe: bool,
}

impl TpmAttest {
    pub fn read(message: &[u8]) -> Result<TpmAttest, String> {
        if message.len() > MAX_BYTES {
            return Err(format!("{} bytes, at most {MAX_BYTES}", message.len()));
        }
        let mut rest = Rest(message);
        let (magic, kind) = (rest.u32()?, rest.u16()?);
        if magic != GENERATED {
            return Err(format!("begins with {magic:08x}: not made by a TPM"));
        }
        if kind != QUOTE {
            return Err(format!("attestation of type {kind:04x}, a quote is {QUOTE:04x}"));
        }
        rest.sized()?; // The signing key's name, whose key is known otherwise.
        let extra_data = rest.sized()?.to_vec();
        let (milliseconds, resets, restarts) = (rest.u64()?, rest.u32()?, rest.u32()?);
        let is_safe = match rest.u8()? {
            0 => false,
            1 => true,
            other => return Err(format!("{other} is neither yes nor no")),
        };
        let clock = Clock { milliseconds, resets, restarts, is_safe };
        let firmware = rest.u64()?;
        let selected = selection(&mut rest)?;
        let digest = rest.sized()?;
        let digest = digest.try_into().map_err(|_| format!("a digest of {} bytes", digest.len()))?;
        match rest.0.len() {
            0 => Ok(TpmAttest { extra_data, clock, firmware, selected, digest }),
            surplus => Err(format!("{surplus} bytes after its end")),
        }
    }
}

/// TPML_PCR_SELECTION of one bank.
fn selection(rest: &mut Rest<'_>) -> Result<Vec<u8>, String> {
    let count = rest.u32()?;
    if count != 1 {
        return Err(format!("registers of {count} banks, not of one"));
    }
    let (hash, size) = (rest.u16()?, rest.u8()?);
    if hash != SHA256 || size != BITMAP {
        return Err(format!("registers of hash {hash:04x} in {size} bytes, not of SHA-256 in {BITMAP}"));
    }
    let bitmap = rest.take(BITMAP.into())?;
    let is_set = |number: &u8| bitmap[usize::from(number / 8)] & 1 << (number % 8) != 0;
    Ok((0..BITMAP * 8).filter(is_set).collect())
}

/// What is not read yet.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], String> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or("it is cut short")?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let (taken, rest) = self.0.split_first_chunk().ok_or("it is cut short")?;
        self.0 = rest;
        Ok(*taken)
    }

    /// TPM2B.
    fn sized(&mut self) -> Result<&'a [u8], String> {
        let length = self.u16()?;
        self.take(length.into())
    }

    fn u8(&mut self) -> Result<u8, String> {
        self.array().map(|[byte]| byte)
    }

    fn u16(&mut self) -> Result<u16, String> {
        self.array().map(u16::from_be_bytes)
    }

    fn u32(&mut self) -> Result<u32, String> {
        self.array().map(u32::from_be_bytes)
    }

    fn u64(&mut self) -> Result<u64, String> {
        self.array().map(u64::from_be_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Registers 0, 7 and 23.
    pub fn plain() -> Vec<u8> {
        let mut message = vec![0xff, 0x54, 0x43, 0x47, 0x80, 0x18, 0, 2, 9, 9, 0, 3, 1, 2, 3];
        message.extend([0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 2, 0, 0, 0, 3, 1, 0, 0, 0, 0, 0, 0, 0, 4]);
        message.extend([0, 0, 0, 1, 0, 0x0b, 3, 0x81, 0, 0x80, 0, 32]);
        message.extend([7; 32]);
        message
    }

    #[test]
    fn fields_are_where_they_are() {
        let read = TpmAttest::read(&plain()).unwrap();
        let clock = Clock { milliseconds: 256, resets: 2, restarts: 3, is_safe: true };
        let expected =
            TpmAttest { extra_data: vec![1, 2, 3], clock, firmware: 4, selected: vec![0, 7, 23], digest: [7; 32] };
        assert_eq!(read, expected);
    }

    #[test]
    fn nothing_of_it_may_be_missing_and_nothing_follow() {
        for length in 0..plain().len() {
            assert!(TpmAttest::read(&plain()[..length]).unwrap_err().contains("cut short"), "{length}");
        }
        let longer = [&plain()[..], &[0]].concat();
        assert!(TpmAttest::read(&longer).unwrap_err().contains("1 bytes after its end"));
        assert!(TpmAttest::read(&[0; MAX_BYTES + 1]).unwrap_err().contains("at most"));
    }

    #[test]
    fn what_is_no_quote_of_one_bank_of_sha256() {
        for (at, value, why) in [
            (0, 0xfe, "not made by a TPM"),
            (5, 0x17, "type 8017"),
            (31, 2, "neither yes nor no"),
            (43, 0, "0 banks"),
            (43, 2, "2 banks"),
            (45, 0x0c, "hash 000c"),
            (46, 4, "in 4 bytes"),
            (51, 31, "a digest of 31 bytes"),
        ] {
            let mut message = plain();
            message[at] = value;
            assert!(TpmAttest::read(&message).unwrap_err().contains(why), "{at}: {:?}", TpmAttest::read(&message));
        }
    }
}
