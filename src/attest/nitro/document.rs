//! The attestation document of a Nitro enclave, or of an instance with a NitroTPM, as it comes off the wire: a COSE_Sign1 message (RFC 9052, untagged, ES384) around a map in CBOR.
//! Pure.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::cbor::Reader;

/// Longest document.
pub const MAX_BYTES: usize = 16 << 10;
const MAX_CERTIFICATE: usize = 1024;
const MAX_CERTIFICATES: usize = 8;
const MAX_MODULE_ID: usize = 256;
const MAX_KEY: usize = 1024;
const MAX_DATA: usize = 512;
const MAX_MEMBERS: usize = 32;
/// Of registers that there may be.
const REGISTERS: u8 = 32;
pub const SIGNATURE: usize = 96;

/// `{1: -35}`: the algorithm is ECDSA with SHA-384, and there is nothing else.
const PROTECTED: &[u8] = b"\xa1\x01\x38\x22";

pub type Pcr = [u8; 48];

/// A document, decoded but not judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NitroDocument {
    /// What is signed, together with the header.
    payload: Vec<u8>,
    pub signature: [u8; SIGNATURE],
    /// The instance, and a number of the enclave's or the TPM's own.
    pub module_id: String,
    /// Milliseconds since 1970.
    pub timestamp: u64,
    /// Registers by number, ascending.
    pub pcrs: Vec<(u8, Pcr)>,
    /// DER, of the key that signed.
    pub certificate: Vec<u8>,
    /// DER, from a root to the issuer of `certificate`.
    pub cabundle: Vec<Vec<u8>>,
    /// The next three: what the machine asked for; empty if it did not.
    pub public_key: Vec<u8>,
    pub user_data: Vec<u8>,
    pub nonce: Vec<u8>,
}

impl NitroDocument {
    /// Reads `{"document":base64}`; other members are ignored. `registers` is the name of the document's member that has them.
    pub fn from_json(object: &Value, registers: &'static str) -> Result<NitroDocument, String> {
        let text = object.get("document").ok_or("document is missing")?;
        let text = text.as_str().ok_or("document is not a string")?;
        if text.len() > MAX_BYTES.div_ceil(3) * 4 {
            return Err(format!("document has more than {MAX_BYTES} bytes"));
        }
        let raw = STANDARD.decode(text).map_err(|error| format!("document is not base64: {error}"))?;
        NitroDocument::read(&raw, registers)
    }

    pub fn read(raw: &[u8], registers: &'static str) -> Result<NitroDocument, String> {
        if raw.len() > MAX_BYTES {
            return Err(format!("document has {} bytes, at most {MAX_BYTES}", raw.len()));
        }
        let (payload, signature) = envelope(raw).map_err(|why| format!("document: {why}"))?;
        let members = Members::read(payload, registers).map_err(|why| format!("document's payload: {why}"))?;
        members.complete(payload, signature, registers)
    }

    /// What the signature is over: the Sig_structure of RFC 9052, section 4.4.
    pub fn signed(&self) -> Vec<u8> {
        let length = (self.payload.len() as u64).to_be_bytes();
        let head: &[u8] = match self.payload.len() {
            0..24 => &[0x40 | length[7]],
            24..0x100 => &[0x58, length[7]],
            // It is at most MAX_BYTES.
            _ => &[0x59, length[6], length[7]],
        };
        [b"\x84\x6aSignature1\x44", PROTECTED, b"\x40", head, &self.payload].concat()
    }

    /// Those that lead to the root, which is not among them: DER.
    pub fn certificates(&self) -> impl Iterator<Item = &[u8]> {
        self.cabundle.iter().skip(1).chain([&self.certificate]).map(|der| &der[..])
    }

    pub fn pcr(&self, number: u8) -> Option<&Pcr> {
        self.pcrs.iter().find(|(known, _)| *known == number).map(|(_, value)| value)
    }

    /// Whether the host can read the enclave: such enclaves have no measurements.
    pub fn is_debug(&self) -> bool {
        (0..3).all(|number| self.pcr(number).is_none_or(|value| *value == [0; 48]))
    }

    /// What the machine says of the session: as the nonce, or as user data. `None` if it fills both, so that whoever chooses one of them
    /// cannot pass it for the other.
    pub fn report_data(&self) -> Option<[u8; 64]> {
        let filled = match (self.nonce.is_empty(), self.user_data.is_empty()) {
            (false, true) => &self.nonce,
            (true, false) => &self.user_data,
            _ => return None,
        };
        filled[..].try_into().ok()
    }
}

/// Payload and signature.
fn envelope(raw: &[u8]) -> Result<(&[u8], [u8; SIGNATURE]), String> {
    let mut reader = Reader::new(raw);
    reader.array_of(4)?;
    if reader.bytes(MAX_BYTES)? != PROTECTED {
        return Err("its protected header is not that of ES384 alone".into());
    }
    reader.empty_map().map_err(|why| format!("unprotected header: {why}"))?;
    let payload = reader.bytes(MAX_BYTES)?;
    let signature = reader.bytes(SIGNATURE)?;
    reader.end()?;
    let signature = signature.try_into().map_err(|_| format!("a signature of {} bytes", signature.len()))?;
    Ok((payload, signature))
}

#[derive(Default)]
struct Members<'a> {
    module_id: Option<&'a str>,
    digest: Option<&'a str>,
    timestamp: Option<u64>,
    pcrs: Option<Vec<(u8, Pcr)>>,
    certificate: Option<&'a [u8]>,
    cabundle: Option<Vec<Vec<u8>>>,
    public_key: Option<&'a [u8]>,
    user_data: Option<&'a [u8]>,
    nonce: Option<&'a [u8]>,
}

impl<'a> Members<'a> {
    fn read(payload: &'a [u8], registers: &'static str) -> Result<Members<'a>, String> {
        let mut reader = Reader::new(payload);
        let (mut items, mut names, mut members) = (reader.map()?, Vec::new(), Members::default());
        while reader.another(&mut items)? {
            let name = reader.text(MAX_MODULE_ID).map_err(|why| format!("a member's name: {why}"))?;
            if names.contains(&name) {
                return Err(format!("{name:?} is duplicated"));
            }
            if names.len() == MAX_MEMBERS {
                return Err(format!("more than {MAX_MEMBERS} members"));
            }
            names.push(name);
            let read = match name == registers {
                true => read_pcrs(&mut reader).map(|pcrs| members.pcrs = Some(pcrs)),
                false => members.member(name, &mut reader),
            };
            read.map_err(|why| format!("{name}: {why}"))?;
        }
        reader.end()?;
        Ok(members)
    }

    fn member(&mut self, name: &str, reader: &mut Reader<'a>) -> Result<(), String> {
        match name {
            "module_id" => self.module_id = Some(reader.text(MAX_MODULE_ID)?),
            "digest" => self.digest = Some(reader.text(MAX_MODULE_ID)?),
            "timestamp" => self.timestamp = Some(reader.unsigned()?),
            "certificate" => self.certificate = Some(reader.bytes(MAX_CERTIFICATE)?),
            "cabundle" => self.cabundle = Some(read_certificates(reader)?),
            "public_key" => self.public_key = reader.optional_bytes(MAX_KEY)?,
            "user_data" => self.user_data = reader.optional_bytes(MAX_DATA)?,
            "nonce" => self.nonce = reader.optional_bytes(MAX_DATA)?,
            // The payload is the first container.
            _ => reader.skip(1)?,
        }
        Ok(())
    }

    fn complete(
        self,
        payload: &[u8],
        signature: [u8; SIGNATURE],
        registers: &'static str,
    ) -> Result<NitroDocument, String> {
        let missing = |name: &str| format!("document's payload: {name} is missing or empty");
        match self.digest {
            Some("SHA384") => {}
            other => return Err(format!("document's payload: digest is {other:?}, not \"SHA384\"")),
        }
        let owned = |data: Option<&[u8]>| data.unwrap_or_default().to_vec();
        Ok(NitroDocument {
            payload: payload.to_vec(),
            signature,
            module_id: self.module_id.filter(|id| !id.is_empty()).ok_or_else(|| missing("module_id"))?.to_owned(),
            timestamp: self.timestamp.ok_or_else(|| missing("timestamp"))?,
            pcrs: self.pcrs.filter(|pcrs| !pcrs.is_empty()).ok_or_else(|| missing(registers))?,
            certificate: self.certificate.filter(|der| !der.is_empty()).ok_or_else(|| missing("certificate"))?.to_vec(),
            cabundle: self.cabundle.filter(|all| !all.is_empty()).ok_or_else(|| missing("cabundle"))?,
            public_key: owned(self.public_key),
            user_data: owned(self.user_data),
            nonce: owned(self.nonce),
        })
    }
}

fn read_pcrs(reader: &mut Reader<'_>) -> Result<Vec<(u8, Pcr)>, String> {
    let (mut items, mut pcrs) = (reader.map()?, Vec::<(u8, Pcr)>::new());
    while reader.another(&mut items)? {
        let number = reader.unsigned()?;
        let known = u8::try_from(number).ok().filter(|number| *number < REGISTERS);
        let number = known.ok_or_else(|| format!("there is no register {number}"))?;
        if pcrs.iter().any(|(known, _)| *known == number) {
            return Err(format!("register {number} is duplicated"));
        }
        let value = reader.bytes(48)?;
        let value = value.try_into().map_err(|_| format!("register {number} has {} bytes, not 48", value.len()))?;
        pcrs.push((number, value));
    }
    pcrs.sort_unstable();
    Ok(pcrs)
}

fn read_certificates(reader: &mut Reader<'_>) -> Result<Vec<Vec<u8>>, String> {
    let (mut items, mut all) = (reader.array()?, Vec::new());
    while reader.another(&mut items)? {
        if all.len() == MAX_CERTIFICATES {
            return Err(format!("more than {MAX_CERTIFICATES} certificates"));
        }
        match reader.bytes(MAX_CERTIFICATE)? {
            [] => return Err("an empty certificate".into()),
            der => all.push(der.to_vec()),
        }
    }
    Ok(all)
}
