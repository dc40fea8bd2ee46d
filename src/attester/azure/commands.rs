//! The few commands of TPM 2.0 that evidence takes (TPM 2.0 Library, part 3), and what is answered. Big-endian. Pure. An answer is read as strictly as it is
//! defined, and nothing is allocated from a length that was not compared with what is left.

/// Longest command and longest response of any TPM.
pub const MAX_BYTES: usize = 4096;
/// Bytes that are read from a TPM's memory at once.
pub const CHUNK: u16 = 1024;
/// tag, size, code.
pub const HEADER: usize = 10;

/// TPM_ST_NO_SESSIONS, TPM_ST_SESSIONS.
const PLAIN: u16 = 0x8001;
const AUTHORIZED: u16 = 0x8002;
/// TPM_RH_OWNER.
const OWNER: u32 = 0x4000_0001;
/// An empty password (TPM_RS_PW).
const AUTHORIZATION: [u8; 13] = [0, 0, 0, 9, 0x40, 0, 0, 9, 0, 0, 0, 0, 0];
/// TPM_ALG_SHA256, TPM_ALG_RSASSA, TPM_ALG_NULL.
const SHA256: u16 = 0x000b;
const RSASSA: u16 = 0x0014;
const NO_SCHEME: u16 = 0x0010;
/// All registers, and the bytes of a bitmap of them.
const BITMAP: u8 = 3;
pub const ALL: [u8; 3] = [0xff; 3];
/// TPM_GENERATED and so on are read by `attest::tpm`.
const SIGNATURE: usize = 256;

/// Where there is no such memory (TPM_RC_HANDLE for the first handle, and for the second), and where nothing was written to it.
pub const UNDEFINED: [u32; 2] = [0x18b, 0x28b];
pub const UNWRITTEN: u32 = 0x14a;
/// Where it is defined already.
pub const DEFINED: u32 = 0x14c;
/// TPM_RC_RETRY, TPM_RC_TESTING, TPM_RC_YIELDED: the same command will do later.
pub const LATER: [u32; 3] = [0x922, 0x90a, 0x908];

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The TPM's own code.
    Code(u32),
    /// Not an answer to that command.
    Unreadable(String),
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Refusal::Code(code) => write!(f, "it answers {code:03x}"),
            Refusal::Unreadable(why) => write!(f, "its answer: {why}"),
        }
    }
}

/// A command, and whether it is authorized.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    pub bytes: Vec<u8>,
    authorized: bool,
}

fn command(authorized: bool, code: u32, handles: &[u32], parameters: &[&[u8]]) -> Command {
    let tag = if authorized { AUTHORIZED } else { PLAIN };
    let authorization: &[u8] = if authorized { &AUTHORIZATION } else { &[] };
    let handles: Vec<u8> = handles.iter().flat_map(|handle| handle.to_be_bytes()).collect();
    let body = [&handles[..], authorization, &parameters.concat()].concat();
    let size = (HEADER + body.len()) as u32;
    let bytes = [&tag.to_be_bytes()[..], &size.to_be_bytes(), &code.to_be_bytes(), &body].concat();
    Command { bytes, authorized }
}

/// TPM2_NV_ReadPublic: how large the memory is.
pub fn memory_size(index: u32) -> Command {
    command(false, 0x169, &[index], &[])
}

/// TPM2_NV_Read, of at most `CHUNK` bytes.
pub fn read_memory(index: u32, size: u16, offset: u16) -> Command {
    command(true, 0x14e, &[OWNER, index], &[&size.to_be_bytes(), &offset.to_be_bytes()])
}

/// TPM2_NV_DefineSpace: 64 bytes that the owner reads and writes.
pub fn define_memory(index: u32) -> Command {
    let public = [&index.to_be_bytes()[..], &SHA256.to_be_bytes(), &[0, 2, 0, 2], &[0, 0], &[0, 64]].concat();
    command(true, 0x12a, &[OWNER], &[&[0, 0], &[0, public.len() as u8], &public])
}

/// TPM2_NV_Write, from the beginning.
pub fn write_memory(index: u32, data: &[u8; 64]) -> Command {
    command(true, 0x137, &[OWNER, index], &[&[0, 64], data, &[0, 0]])
}

/// TPM2_PCR_Read, of the registers in the bitmap.
pub fn read_registers(bitmap: [u8; 3]) -> Command {
    command(false, 0x17e, &[], &[&[0, 0, 0, 1], &SHA256.to_be_bytes(), &[BITMAP], &bitmap])
}

/// TPM2_Quote, of all registers, by the key's own scheme.
pub fn quote(key: u32, nonce: &[u8; 32]) -> Command {
    let scheme = NO_SCHEME.to_be_bytes();
    command(true, 0x158, &[key], &[&[0, 32], nonce, &scheme, &[0, 0, 0, 1], &SHA256.to_be_bytes(), &[BITMAP], &ALL])
}

/// What is left of an answer.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Refusal> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or_else(|| unreadable("it is cut short"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn number(&mut self, bytes: usize) -> Result<u32, Refusal> {
        Ok(self.take(bytes)?.iter().fold(0, |sum, byte| sum << 8 | u32::from(*byte)))
    }

    /// A TPM2B.
    fn sized(&mut self) -> Result<&'a [u8], Refusal> {
        let length = self.number(2)? as usize;
        self.take(length)
    }

    fn must_be(&mut self, bytes: usize, wanted: u32, what: &str) -> Result<(), Refusal> {
        match self.number(bytes)? {
            found if found == wanted => Ok(()),
            found => Err(unreadable(&format!("{what} is {found:x}, not {wanted:x}"))),
        }
    }

    fn end(&self) -> Result<(), Refusal> {
        if self.0.is_empty() { Ok(()) } else { Err(unreadable("bytes after its end")) }
    }
}

fn unreadable(why: &str) -> Refusal {
    Refusal::Unreadable(why.to_owned())
}

/// The size that the header of an answer tells. Errors: no answer has that size.
pub fn size(header: &[u8; HEADER]) -> Result<usize, Refusal> {
    let mut rest = Rest(&header[2..]);
    let size = rest.number(4)? as usize;
    if (HEADER..=MAX_BYTES).contains(&size) { Ok(size) } else { Err(unreadable(&format!("a size of {size}"))) }
}

/// The parameters of the answer to `command`.
pub fn parameters<'a>(command: &Command, answer: &'a [u8]) -> Result<&'a [u8], Refusal> {
    let mut rest = Rest(answer);
    let tag = rest.number(2)?;
    let told = rest.number(4)? as usize;
    if told != answer.len() {
        return Err(unreadable(&format!("{} bytes, and its size says {told}", answer.len())));
    }
    let code = rest.number(4)?;
    if code != 0 {
        return Err(Refusal::Code(code));
    }
    let wanted = if command.authorized { AUTHORIZED } else { PLAIN };
    if tag != u32::from(wanted) {
        return Err(unreadable(&format!("its tag is {tag:x}, not {wanted:x}")));
    }
    if !command.authorized {
        return Ok(rest.0);
    }
    let length = rest.number(4)? as usize;
    let parameters = rest.take(length)?;
    // Of the password: a nonce, attributes and an acknowledgement.
    rest.sized()?;
    rest.take(1)?;
    rest.sized()?;
    rest.end()?;
    Ok(parameters)
}

/// Of `memory_size`.
pub fn told_size(parameters: &[u8]) -> Result<u16, Refusal> {
    let mut rest = Rest(parameters);
    let mut public = Rest(rest.sized()?);
    rest.sized()?;
    rest.end()?;
    // Index, algorithm of its name, attributes, policy.
    public.take(4 + 2 + 4)?;
    public.sized()?;
    let size = public.number(2)?;
    public.end()?;
    Ok(size as u16)
}

/// Of `read_memory`.
pub fn told_data(parameters: &[u8]) -> Result<&[u8], Refusal> {
    let mut rest = Rest(parameters);
    let data = rest.sized()?;
    rest.end()?;
    Ok(data)
}

/// Of `read_registers`: as many as the TPM gives at once, by number.
pub fn told_registers(parameters: &[u8]) -> Result<Vec<(u8, [u8; 32])>, Refusal> {
    let mut rest = Rest(parameters);
    rest.take(4)?; // How often registers have changed.
    rest.must_be(4, 1, "the count of banks")?;
    rest.must_be(2, SHA256.into(), "the bank")?;
    rest.must_be(1, BITMAP.into(), "the size of its bitmap")?;
    let bitmap = rest.take(3)?;
    let numbers: Vec<u8> =
        (0..24u8).filter(|number| bitmap[usize::from(number / 8)] >> (number % 8) & 1 == 1).collect();
    rest.must_be(4, numbers.len() as u32, "the count of values")?;
    let mut read = Vec::new();
    for number in numbers {
        let value = rest.sized()?.try_into().map_err(|_| unreadable("a value that is not of SHA-256"))?;
        read.push((number, value));
    }
    rest.end()?;
    Ok(read)
}

/// Of `quote`: what was signed, and the signature.
pub fn told_quote(parameters: &[u8]) -> Result<(&[u8], &[u8]), Refusal> {
    let mut rest = Rest(parameters);
    let message = rest.sized()?;
    rest.must_be(2, RSASSA.into(), "the scheme")?;
    rest.must_be(2, SHA256.into(), "the hash")?;
    let signature = rest.sized()?;
    if signature.len() != SIGNATURE {
        return Err(unreadable(&format!("a signature of {} bytes", signature.len())));
    }
    rest.end()?;
    Ok((message, signature))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attest::hash::{hex, unhex};

    #[test]
    fn commands_byte_by_byte() {
        let (mut data, nonce) = ([0; 64], [0x11; 32]);
        data[0] = 0xaa;
        for (made, bytes) in [
            (memory_size(0x0140_0001), "80010000000e0000016901400001".to_owned()),
            (
                define_memory(0x0140_0002),
                "80020000002d0000012a40000001000000094000000900000000000000000e01400002000b0002000200000040".to_owned(),
            ),
            (
                write_memory(0x0140_0002, &data),
                format!("80020000006300000137400000010140000200000009400000090000000000{:04x}{}0000", 64, hex(&data)),
            ),
            (
                read_memory(0x01c1_01d0, 1024, 512),
                "8002000000230000014e4000000101c101d00000000940000009000000000004000200".to_owned(),
            ),
            (read_registers([0, 1, 0x80]), "8001000000140000017e00000001000b03000180".to_owned()),
            (
                quote(0x8100_0003, &nonce),
                format!(
                    "80020000004900000158810000030000000940000009000000000000 20{} 001000000001000b03ffffff",
                    hex(&nonce)
                )
                .replace(' ', ""),
            ),
        ] {
            assert_eq!(hex(&made.bytes), bytes);
            assert_eq!(u32::from_be_bytes(made.bytes[2..6].try_into().unwrap()) as usize, made.bytes.len());
        }
    }

    fn of(command: &Command, answer: &str) -> Result<Vec<u8>, Refusal> {
        parameters(command, &unhex(&answer.replace(' ', "")).unwrap()).map(<[u8]>::to_vec)
    }

    #[test]
    fn answers_have_the_size_and_tag_that_belong_to_the_command() {
        let (plain, authorized) = (read_registers(ALL), read_memory(1, 2, 0));
        assert_eq!(of(&plain, "8001 0000000c 00000000 abcd"), Ok(vec![0xab, 0xcd]));
        assert_eq!(of(&authorized, "8002 00000015 00000000 00000002 abcd 0000 01 0000"), Ok(vec![0xab, 0xcd]));
        assert_eq!(of(&authorized, "8001 0000000a 0000018b"), Err(Refusal::Code(0x18b)));
        for (command, bad) in [
            (&plain, "8001 0000000d 00000000 abcd"),
            (&plain, "8002 0000000c 00000000 abcd"),
            (&authorized, "8001 00000015 00000000 00000002 abcd 0000 01 0000"),
            (&authorized, "8002 00000015 00000000 00000003 abcd 0000 01 0000"),
            (&authorized, "8002 00000016 00000000 00000002 abcd 0000 01 0000 00"),
            (&authorized, "8002 0000000e 00000000 ffffffff"),
            (&plain, "8001 0000"),
            (&plain, ""),
        ] {
            assert!(matches!(of(command, bad), Err(Refusal::Unreadable(_))), "{bad}");
        }
        let header = |size: u32| {
            size.to_be_bytes().into_iter().fold(vec![0x80, 1], |mut all, byte| {
                all.push(byte);
                all
            })
        };
        let told = |bytes: u32| size(&[&header(bytes)[..], &[0; 4]].concat().try_into().unwrap());
        assert_eq!((told(10), told(4096)), (Ok(10), Ok(4096)));
        assert!(told(9).is_err() && told(4097).is_err() && told(u32::MAX).is_err());
    }

    #[test]
    fn what_answers_tell() {
        let bytes = |text: &str| unhex(&text.replace(' ', "")).unwrap();
        let public = bytes("000e 01400001 000b 62040002 0000 0a28 0002 000b");
        assert_eq!(told_size(&public), Ok(2600));
        assert_eq!(told_data(&bytes("0003 010203")), Ok(&[1, 2, 3][..]));
        let values = format!("0020{}0020{}", "aa".repeat(32), "bb".repeat(32));
        let registers = bytes(&format!("00000007 00000001 000b 03 010080 00000002 {values}"));
        assert_eq!(told_registers(&registers), Ok(vec![(0, [0xaa; 32]), (23, [0xbb; 32])]));
        let quoted = bytes(&format!("0002 abcd 0014 000b 0100 {}", "5a".repeat(256)));
        assert_eq!(told_quote(&quoted), Ok((&[0xab, 0xcd][..], &[0x5a; 256][..])));
        for cut in 0..quoted.len() {
            assert!(
                told_quote(&quoted[..cut]).is_err()
                    && told_registers(&registers[..cut.min(registers.len() - 1)]).is_err()
            );
            assert!(cut >= public.len() || told_size(&public[..cut]).is_err());
        }
        for bad in [
            "00000007 00000002 000b 03 010080 00000000",
            "00000007 00000001 000c 03 010080 00000000",
            "00000007 00000001 000b 03 010000 00000002",
            "00000007 00000001 000b 03 010000 00000001 001f 00",
        ] {
            assert!(told_registers(&bytes(bad)).is_err(), "{bad}");
        }
        let other = bytes(&format!("0002 abcd 0018 000b 0100 {}", "5a".repeat(256)));
        assert!(told_quote(&other).is_err());
    }
}
