//! A TPM, by a device or a Unix socket of its own: one command at a time, and what evidence takes of it. Blocks. Touches a device or a socket.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::time::{Duration, Instant};

use super::commands::{self, CHUNK, Command, DEFINED, HEADER, LATER, MAX_BYTES, Refusal, UNDEFINED, UNWRITTEN};
use crate::attest::azure::HclReport;
use crate::attest::hash::sha256;
use crate::attest::tpm::TpmAttest;
use crate::error::{Error, Phase, Result, Status};
use crate::io::BlockingSocket;

/// Memory of the TPM where the paravisor keeps its report, where it is told what to put into the next one, and where the platform keeps the certificate
/// of the attestation key.
const REPORT: u32 = 0x0140_0001;
const USER_DATA: u32 = 0x0140_0002;
const CERTIFICATE: u32 = 0x01c1_01d0;
/// The attestation key.
const KEY: u32 = 0x8100_0003;
/// Larger than any of the three.
const MAX_MEMORY: u16 = 8192;
/// A socket that says nothing for so long is dead; a device's driver has deadlines of its own.
const SILENCE: Duration = Duration::from_secs(20);
/// How often a quote is made whose registers change before they are read, and a report is read that changes meanwhile.
const TRIES: usize = 3;
/// How often a command is tried that the TPM puts off, as it does while it is busy with itself.
const LATER_TRIES: usize = 10;
const LATER_PAUSE: Duration = Duration::from_millis(20);
/// How long the paravisor may take for a new report, how often it is looked for, and how often another program may interfere.
const REISSUE: Duration = Duration::from_secs(6);
const REISSUE_PAUSE: Duration = Duration::from_millis(200);
const REISSUES: usize = 5;

/// A quote with the registers that it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quoted {
    pub message: Vec<u8>,
    pub signature: Vec<u8>,
    pub registers: Vec<(u8, [u8; 32])>,
}

enum Link {
    Device(File),
    Socket(BlockingSocket),
}

pub struct Tpm(Link);

impl Tpm {
    pub fn open(path: &Path) -> io::Result<Tpm> {
        if path.metadata()?.file_type().is_socket() {
            return BlockingSocket::connect(path, SILENCE).map(|socket| Tpm(Link::Socket(socket)));
        }
        OpenOptions::new().read(true).write(true).open(path).map(|device| Tpm(Link::Device(device)))
    }

    fn transmit(&mut self, command: &[u8]) -> io::Result<Vec<u8>> {
        match &mut self.0 {
            // One write is one command, and one read its answer.
            Link::Device(device) => {
                device.write_all(command)?;
                let mut answer = vec![0; MAX_BYTES];
                let length = device.read(&mut answer)?;
                answer.truncate(length);
                Ok(answer)
            }
            Link::Socket(socket) => {
                socket.write_all(command)?;
                let mut header = [0; HEADER];
                socket.read_exact(&mut header)?;
                let size = commands::size(&header).map_err(|refusal| io::Error::other(refusal.to_string()))?;
                let mut answer = vec![0; size];
                answer[..HEADER].copy_from_slice(&header);
                socket.read_exact(&mut answer[HEADER..])?;
                Ok(answer)
            }
        }
    }

    /// The parameters of the answer; the TPM's code if it refuses.
    fn try_call(&mut self, command: &Command) -> Result<std::result::Result<Vec<u8>, u32>> {
        for left in (0..LATER_TRIES).rev() {
            let answer = self.transmit(&command.bytes).map_err(|error| none(error.to_string()))?;
            match commands::parameters(command, &answer) {
                Ok(parameters) => return Ok(Ok(parameters.to_vec())),
                Err(Refusal::Code(code)) if LATER.contains(&code) && left > 0 => std::thread::sleep(LATER_PAUSE),
                Err(Refusal::Code(code)) => return Ok(Err(code)),
                Err(refusal) => return Err(none(refusal.to_string())),
            }
        }
        Err(none("it is busy".into()))
    }

    fn call(&mut self, what: &str, command: &Command) -> Result<Vec<u8>> {
        let refused = |code| none(format!("{what}: {}", Refusal::Code(code)));
        self.try_call(command)?.map_err(refused)
    }

    /// What is in that memory; `None` if there is none, or nothing in it.
    fn memory(&mut self, index: u32) -> Result<Option<Vec<u8>>> {
        let absent = |code: &u32| UNDEFINED.contains(code) || *code == UNWRITTEN;
        let size = match self.try_call(&commands::memory_size(index))? {
            Err(code) if absent(&code) => return Ok(None),
            Err(code) => return Err(none(format!("memory {index:x}: {}", Refusal::Code(code)))),
            Ok(parameters) => commands::told_size(&parameters).map_err(|why| none(why.to_string()))?,
        };
        if size > MAX_MEMORY {
            return Err(none(format!("memory {index:x} has {size} bytes")));
        }
        let mut read = Vec::with_capacity(size.into());
        while read.len() < usize::from(size) {
            let (count, offset) = ((usize::from(size) - read.len()).min(CHUNK.into()), read.len());
            let parameters = match self.try_call(&commands::read_memory(index, count as u16, offset as u16))? {
                Err(code) if absent(&code) => return Ok(None),
                Err(code) => return Err(none(format!("memory {index:x}: {}", Refusal::Code(code)))),
                Ok(parameters) => parameters,
            };
            let part = commands::told_data(&parameters).map_err(|why| none(why.to_string()))?;
            if part.len() != count {
                return Err(none(format!("{} bytes of memory {index:x}, and {count} were asked for", part.len())));
            }
            read.extend_from_slice(part);
        }
        Ok(Some(read))
    }

    /// The certificate of the attestation key, DER; the memory is longer.
    pub fn certificate(&mut self) -> Result<Option<Vec<u8>>> {
        Ok(self.memory(CERTIFICATE)?.as_deref().and_then(one_element).map(<[u8]>::to_vec))
    }

    /// The paravisor's report as it is. Errors: NoEvidence (not a machine of Azure's).
    pub fn report(&mut self) -> Result<Vec<u8>> {
        self.memory(REPORT)?.ok_or_else(|| none(format!("no report of a paravisor (memory {REPORT:x})")))
    }

    /// The same, read again if it is not whole because the paravisor made a new one meanwhile.
    pub fn whole_report(&mut self, is_whole: impl Fn(&[u8]) -> bool) -> Result<Vec<u8>> {
        for _ in 0..TRIES {
            let report = self.report()?;
            if is_whole(&report) {
                return Ok(report);
            }
        }
        Err(none(format!("the report of the paravisor is not whole, after {TRIES} tries")))
    }

    /// A report that was made for `binder`. Takes seconds.
    pub fn fresh_report(&mut self, binder: &[u8; 64], read: impl Fn(&[u8]) -> Option<HclReport>) -> Result<Vec<u8>> {
        if self.memory(USER_DATA)?.is_none() {
            match self.try_call(&commands::define_memory(USER_DATA))? {
                Ok(_) | Err(DEFINED) => {}
                Err(code) => return Err(none(format!("memory {USER_DATA:x}: {}", Refusal::Code(code)))),
            }
        }
        for _ in 0..REISSUES {
            self.call("user data", &commands::write_memory(USER_DATA, binder))?;
            let begun = Instant::now();
            loop {
                let report = self.report()?;
                if read(&report).is_some_and(|report| report.runtime.user_data == Some(*binder)) {
                    return Ok(report);
                }
                if self.memory(USER_DATA)?.as_deref() != Some(&binder[..]) {
                    // Another program wants one too, and was later: its turn may have ended when ours comes again.
                    std::thread::sleep(REISSUE_PAUSE);
                    break;
                }
                if begun.elapsed() > REISSUE {
                    return Err(none(format!("no new report of the paravisor within {} s", REISSUE.as_secs())));
                }
                std::thread::sleep(REISSUE_PAUSE);
            }
        }
        Err(none(format!("other programs have overwritten memory {USER_DATA:x} {REISSUES} times")))
    }

    /// A quote of all registers, and their values: read once more if one has changed in between.
    pub fn quote(&mut self, nonce: &[u8; 32]) -> Result<Quoted> {
        for _ in 0..TRIES {
            let parameters = self.call("quote", &commands::quote(KEY, nonce))?;
            let (message, signature) = commands::told_quote(&parameters).map_err(|why| none(why.to_string()))?;
            let attest = TpmAttest::read(message).map_err(|why| none(format!("quote: {why}")))?;
            let registers = self.registers(&attest.selected)?;
            let values: Vec<u8> = registers.iter().flat_map(|(_, value)| *value).collect();
            if sha256(&values) == attest.digest {
                return Ok(Quoted { message: message.to_vec(), signature: signature.to_vec(), registers });
            }
        }
        Err(none(format!("registers have changed {TRIES} times while they were read")))
    }

    /// Eight at a time, as TPMs give them.
    fn registers(&mut self, numbers: &[u8]) -> Result<Vec<(u8, [u8; 32])>> {
        let mut read: Vec<(u8, [u8; 32])> = Vec::new();
        loop {
            let missing: Vec<u8> =
                numbers.iter().copied().filter(|number| read.iter().all(|(known, _)| known != number)).collect();
            if missing.is_empty() {
                read.sort_unstable();
                return Ok(read);
            }
            let mut bitmap = [0; 3];
            for number in &missing {
                bitmap[usize::from(number / 8)] |= 1 << (number % 8);
            }
            let parameters = self.call("registers", &commands::read_registers(bitmap))?;
            let more = commands::told_registers(&parameters).map_err(|why| none(why.to_string()))?;
            if more.is_empty() || more.iter().any(|(number, _)| !missing.contains(number)) {
                return Err(none("registers that were not asked for, or none".into()));
            }
            read.extend(more);
        }
    }
}

/// The DER element at the beginning; what is behind it pads the memory.
fn one_element(memory: &[u8]) -> Option<&[u8]> {
    let length = match memory {
        [0x30, 0x82, high, low, ..] => 4 + (usize::from(*high) << 8 | usize::from(*low)),
        [0x30, 0x81, low, ..] => 3 + usize::from(*low),
        _ => return None,
    };
    memory.get(..length)
}

fn none(why: String) -> Error {
    Error::new(Status::NoEvidence, format!("TPM: {why}")).phase(Phase::Evidence)
}
