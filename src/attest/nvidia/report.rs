//! The report of a GPU: the request and the response of SPDM 1.1's GET_MEASUREMENTS (DMTF DSP0274, section 10.11), one behind the other, as the driver hands
//! them out. The vendor's own fields are type, length and value in what SPDM calls opaque data. Pure.

/// Longest report.
pub const MAX_BYTES: usize = 64 << 10;
/// GET_MEASUREMENTS of all, signed; then the nonce and the number of the certificate's slot.
const REQUEST: [u8; 4] = [0x11, 0xe0, 0x01, 0xff];
/// MEASUREMENTS.
const RESPONSE: [u8; 4] = [0x11, 0x60, 0, 0];
pub const NONCE: usize = 32;
/// A measurement in DMTF's form: its type, its size, and a digest.
const DMTF: u8 = 1;
pub const DIGEST: usize = 48;
const SIGNATURE: usize = 96;
/// Zeros that some tools leave behind the signature.
const MAX_PADDING: usize = 16;
/// The vendor's, which are compared with each other. Real reports have about twenty.
const MAX_FIELDS: usize = 256;
/// What NVDEC0 says of itself if it is off.
const OFF: [u8; 1] = [0x55];

/// A report, decoded but not judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// All that the signature covers: the request too.
    pub signed: Vec<u8>,
    pub signature: [u8; SIGNATURE],
    /// Of the request.
    pub nonce: [u8; NONCE],
    /// By index, ascending.
    pub measurements: Vec<(u8, [u8; DIGEST])>,
    pub firmware: Firmware,
}

/// The vendor's fields, as far as they are used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Firmware {
    pub driver_version: Option<String>,
    pub vbios_version: Option<String>,
    /// Of the firmware that holds the key which signs.
    pub fwid: Option<[u8; DIGEST]>,
    /// The video decoder is off, and not measured.
    pub is_nvdec0_off: bool,
    pub chip_sku: Option<String>,
    pub project: Option<String>,
    pub project_sku: Option<String>,
}

impl Report {
    pub fn read(raw: &[u8]) -> Result<Report, String> {
        if raw.len() > MAX_BYTES {
            return Err(format!("more than {MAX_BYTES} bytes"));
        }
        let mut rest = Bytes(raw);
        rest.constant(&REQUEST, "no request for all measurements")?;
        let nonce = rest.array()?;
        let _slot = rest.take(1)?;
        rest.constant(&RESPONSE, "no response with measurements")?;
        let [count] = rest.array()?;
        let [low, middle, high] = rest.array()?;
        let record = rest.take(usize::from(low) | usize::from(middle) << 8 | usize::from(high) << 16)?;
        let measurements = read_record(record, count)?;
        let _own_nonce: [u8; NONCE] = rest.array()?;
        let length = rest.u16()?;
        let firmware = read_opaque(rest.take(length)?)?;
        let signed = raw[..raw.len() - rest.0.len()].to_vec();
        let signature = rest.array()?;
        if rest.0.len() > MAX_PADDING || rest.0.iter().any(|byte| *byte != 0) {
            return Err(format!("{} bytes behind the signature", rest.0.len()));
        }
        Ok(Report { signed, signature, nonce, measurements, firmware })
    }

    pub fn measurement(&self, index: u8) -> Option<&[u8; DIGEST]> {
        self.measurements.iter().find(|(known, _)| *known == index).map(|(_, value)| value)
    }
}

fn read_record(record: &[u8], count: u8) -> Result<Vec<(u8, [u8; DIGEST])>, String> {
    let (mut rest, mut found) = (Bytes(record), Vec::<(u8, [u8; DIGEST])>::new());
    while !rest.0.is_empty() {
        let [index, specification] = rest.array()?;
        let size = rest.u16()?;
        let mut block = Bytes(rest.take(size)?);
        let _type = block.take(1)?;
        let is_whole = block.u16()? == block.0.len() && block.0.len() == DIGEST;
        if specification != DMTF || !is_whole {
            return Err(format!("measurement {index} is not a digest of {DIGEST} bytes"));
        }
        if found.last().is_some_and(|(last, _)| *last >= index) {
            return Err(format!("measurement {index} is duplicated or out of order"));
        }
        found.push((index, block.array()?));
    }
    match found.len() == usize::from(count) {
        true => Ok(found),
        false => Err(format!("{} measurements, where {count} are announced", found.len())),
    }
}

fn read_opaque(data: &[u8]) -> Result<Firmware, String> {
    let (mut rest, mut seen, mut firmware) = (Bytes(data), Vec::new(), Firmware::default());
    while !rest.0.is_empty() {
        let kind = rest.u16()?;
        let length = rest.u16()?;
        let value = rest.take(length)?;
        if seen.contains(&kind) {
            return Err(format!("field {kind} is duplicated"));
        }
        if seen.len() == MAX_FIELDS {
            return Err(format!("more than {MAX_FIELDS} fields"));
        }
        seen.push(kind);
        match kind {
            3 => firmware.driver_version = Some(text(value)?),
            6 => firmware.vbios_version = Some(vbios(value)?),
            11 => firmware.is_nvdec0_off = value == OFF,
            15 => firmware.chip_sku = Some(text(value)?),
            17 => firmware.project = Some(text(value)?),
            18 => firmware.project_sku = Some(text(value)?),
            20 => {
                let digest = value.try_into().map_err(|_| format!("a FWID of {} bytes", value.len()))?;
                firmware.fwid = Some(digest);
            }
            _ => {}
        }
    }
    Ok(firmware)
}

/// Text up to the first NUL, behind which there is nothing else.
fn text(value: &[u8]) -> Result<String, String> {
    let end = value.iter().position(|byte| *byte == 0).unwrap_or(value.len());
    let (text, rest) = value.split_at(end);
    let is_plain = text.iter().all(u8::is_ascii_graphic) && rest.iter().all(|byte| *byte == 0);
    let text = std::str::from_utf8(text).ok().filter(|_| is_plain);
    text.map(str::to_owned).ok_or_else(|| "a field of text has other bytes".into())
}

/// Two numbers in little-endian: `96.00.9f.00.01` is 0x96009f00 and 1.
fn vbios(value: &[u8]) -> Result<String, String> {
    match value {
        [d, c, b, a, e, _, _, _] => Ok(format!("{a:02x}.{b:02x}.{c:02x}.{d:02x}.{e:02x}")),
        _ => Err(format!("a VBIOS version of {} bytes", value.len())),
    }
}

/// What is left to read. No length is believed that goes beyond it.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], String> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or("it ends too early")?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let (taken, rest) = self.0.split_first_chunk().ok_or("it ends too early")?;
        self.0 = rest;
        Ok(*taken)
    }

    fn u16(&mut self) -> Result<usize, String> {
        self.array().map(|bytes| usize::from(u16::from_le_bytes(bytes)))
    }

    fn constant(&mut self, expected: &[u8; 4], otherwise: &str) -> Result<(), String> {
        match self.array::<4>()? == *expected {
            true => Ok(()),
            false => Err(otherwise.into()),
        }
    }
}
