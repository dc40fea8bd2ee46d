//! A virtual machine of Azure's as a program in it finds it: a TPM behind a Unix socket, which takes the commands of TPM 2.0, a paravisor that makes a new
//! report when it is asked to, and the cloud's metadata service with the certificates of the TPM's authorities.

mod metadata;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UnixListener};

use crate::azure::{self, Microsoft, Vm};
use crate::machines::now;
use crate::snp::{Amd, Product};
use crate::{Guest, SimTee};

const REPORT: u32 = 0x0140_0001;
const USER_DATA: u32 = 0x0140_0002;
const CERTIFICATE: u32 = 0x01c1_01d0;
/// An empty password, as commands carry it.
const AUTHORIZATION: &[u8] = b"\0\0\0\x09\x40\0\0\x09\0\0\0\0\0";

/// How the machine behaves; the default is as it should be, and at once.
#[derive(Clone, Debug, Default)]
pub struct Knobs {
    /// How long a new report takes. `None`: there is never one.
    pub reissue: Option<Duration>,
    /// So many times another program writes over what was asked for.
    pub intruders: u32,
    /// So many commands are answered "later".
    pub busy: u32,
    /// So many quotes are followed by a change of a register.
    pub moving: u32,
    /// Every answer is cut to so many bytes, its size field is left as it is.
    pub cut: Option<usize>,
    /// So many times a new report takes the place of one that is being read.
    pub torn: u8,
    /// What the metadata service answers everything with.
    pub fail: Option<u16>,
    /// Where the issuer's certificate should be there is another one, of an authority too.
    pub wrong_issuer: bool,
}

pub struct Machine {
    /// The TPM's socket.
    pub tpm: PathBuf,
    /// Base URL of the metadata service.
    pub metadata: String,
    pub knobs: Arc<Mutex<Knobs>>,
    /// Paths that were asked for there.
    pub hits: Arc<Mutex<Vec<String>>>,
    /// Commands by their code.
    pub commands: Arc<Mutex<HashMap<u32, u32>>>,
    /// Whose root its TPM's certificate leads to.
    pub microsoft: Arc<Microsoft>,
}

/// What makes and signs the hardware's reports.
#[derive(Clone)]
struct Hardware {
    kind: u32,
    tee: Arc<SimTee>,
    td: Guest,
}

impl Hardware {
    fn new(kind: u32, tee: Arc<SimTee>) -> Hardware {
        let mut td = Guest::booted(1);
        td.events.clear();
        Hardware { kind, tee, td }
    }

    /// The paravisor's report, padded as the TPM's memory has it.
    fn report(&self, user_data: &[u8; 64]) -> Vec<u8> {
        let runtime = Vm::get().runtime(user_data).to_string().into_bytes();
        let data = azure::report_data(&runtime);
        if self.kind == azure::TDX {
            return azure::hcl(self.kind, &azure::td_report(&self.td.quote(&self.tee, &data)), &runtime);
        }
        let amd = Amd::of(Product::Genoa);
        let mut report = amd.report(3, &data);
        amd.sign(&mut report);
        azure::hcl(self.kind, &report, &runtime)
    }
}

struct Tpm {
    hardware: Hardware,
    memory: HashMap<u32, Vec<u8>>,
    /// A report that is on its way.
    coming: Option<(Instant, Vec<u8>)>,
    pcrs: [[u8; 32]; 24],
    knobs: Arc<Mutex<Knobs>>,
    commands: Arc<Mutex<HashMap<u32, u32>>>,
}

impl Machine {
    /// `kind`: `azure::SNP` or `azure::TDX`. Serves until the runtime ends.
    pub async fn start(folder: &Path, kind: u32, tee: Arc<SimTee>) -> Machine {
        let hardware = Hardware::new(kind, tee);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let metadata = format!("http://{}", listener.local_addr().expect("address"));
        let microsoft = Arc::new(Microsoft::at(&metadata));
        let knobs = Arc::new(Mutex::new(Knobs { reissue: Some(Duration::ZERO), ..Knobs::default() }));
        let tpm = folder.join(format!("tpm-{kind}.sock"));
        let machine = Machine {
            tpm: tpm.clone(),
            metadata,
            knobs: knobs.clone(),
            hits: Arc::default(),
            commands: Arc::default(),
            microsoft: microsoft.clone(),
        };
        let dates = (now() - 3600, now() + 3600);
        let mut certificate = microsoft.certify(Vm::get(), &Vm::get().certificate(dates)).remove(0);
        certificate.resize(certificate.len() + 700, 0xff);
        let memory = HashMap::from([(REPORT, hardware.report(&[0; 64])), (CERTIFICATE, certificate)]);
        let (pcrs, commands) = (Vm::get().pcrs, machine.commands.clone());
        let state = Tpm { hardware: hardware.clone(), memory, coming: None, pcrs, knobs: knobs.clone(), commands };
        serve_tpm(&tpm, state);
        metadata::serve(listener, (hardware, microsoft, knobs, machine.hits.clone()));
        machine
    }

    pub fn turn(&self, change: impl FnOnce(&mut Knobs)) {
        change(&mut self.knobs.lock().expect("knobs"));
    }

    /// How often a path with `part` in it was asked for.
    pub fn hits(&self, part: &str) -> usize {
        self.hits.lock().expect("hits").iter().filter(|path| path.contains(part)).count()
    }

    pub fn commands(&self, code: u32) -> u32 {
        self.commands.lock().expect("commands").get(&code).copied().unwrap_or(0)
    }
}

/// The evidence object of such a machine, with a fresh report.
pub fn evidence(kind: u32, tee: &Arc<SimTee>, binder: &[u8; 64]) -> Value {
    let hardware = Hardware::new(kind, tee.clone());
    let report = hardware.report(binder);
    let message = Vm::get().attest(&azure::nonce(binder)).message();
    let chain = Microsoft::get().certify(Vm::get(), &Vm::get().certificate((now() - 3600, now() + 3600)));
    let mut made = json!({
        "hcl_report": STANDARD.encode(&report),
        "tpm_quote": {
            "message": STANDARD.encode(&message), "signature": STANDARD.encode(Vm::get().sign(&message)),
            "pcrs": Vm::get().pcrs_json(),
        },
        "ak_certificates": chain.iter().map(|der| STANDARD.encode(der)).collect::<Vec<_>>(),
    });
    if kind == azure::TDX {
        let data = report[32 + 128..32 + 192].try_into().expect("report data");
        made["td_quote"] = STANDARD.encode(hardware.td.quote(tee, &data)).into();
    } else {
        made["leaf"] = STANDARD.encode(chip_leaf()).into();
    }
    made
}

/// The certificate of the chip's key, DER.
fn chip_leaf() -> Vec<u8> {
    let amd = Amd::of(Product::Genoa);
    amd.leaf(&amd.vcek(&amd.report(3, &[0; 64])))
}

fn serve_tpm(path: &Path, tpm: Tpm) {
    let _ = std::fs::remove_file(path);
    let listener = UnixListener::bind(path).expect("bind");
    let tpm = Arc::new(Mutex::new(tpm));
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let tpm = tpm.clone();
            tokio::spawn(async move {
                let mut header = [0; 10];
                while socket.read_exact(&mut header).await.is_ok() {
                    let size = u32::from_be_bytes(header[2..6].try_into().expect("four bytes")) as usize;
                    let mut command = header.to_vec();
                    command.resize(size.clamp(10, 4096), 0);
                    if socket.read_exact(&mut command[10..]).await.is_err() {
                        return;
                    }
                    let mut answer = tpm.lock().expect("TPM").answer(&command);
                    let cut = tpm.lock().expect("TPM").knobs.lock().expect("knobs").cut;
                    answer.truncate(cut.unwrap_or(usize::MAX));
                    if socket.write_all(&answer).await.is_err() || cut.is_some() {
                        return;
                    }
                }
            });
        }
    });
}

fn u32_at(data: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(data[at..at + 4].try_into().expect("four bytes"))
}

fn u16_at(data: &[u8], at: usize) -> usize {
    usize::from(u16::from_be_bytes(data[at..at + 2].try_into().expect("two bytes")))
}

fn answer(tag: u16, code: u32, body: &[u8]) -> Vec<u8> {
    let size = (10 + body.len()) as u32;
    [&tag.to_be_bytes()[..], &size.to_be_bytes(), &code.to_be_bytes(), body].concat()
}

fn refused(code: u32) -> Vec<u8> {
    answer(0x8001, code, &[])
}

fn sized(data: &[u8]) -> Vec<u8> {
    [&(data.len() as u16).to_be_bytes()[..], data].concat()
}

/// To a command with a password.
fn authorized(parameters: &[u8]) -> Vec<u8> {
    let length = (parameters.len() as u32).to_be_bytes();
    answer(0x8002, 0, &[&length[..], parameters, &[0, 0, 1, 0, 0]].concat())
}

impl Tpm {
    fn answer(&mut self, command: &[u8]) -> Vec<u8> {
        let code = u32_at(command, 6);
        *self.commands.lock().expect("commands").entry(code).or_default() += 1;
        {
            let mut knobs = self.knobs.lock().expect("knobs");
            if knobs.busy > 0 {
                knobs.busy -= 1;
                return refused(0x922);
            }
        }
        self.reissue();
        let rest = &command[10..];
        // Handles come before the password.
        let handles = match code {
            0x12a | 0x158 => 4,
            _ => 8,
        };
        let is_authorized = matches!(code, 0x12a | 0x137 | 0x14e | 0x158);
        if is_authorized && (command[..2] != [0x80, 2] || rest[handles..handles + 13] != *AUTHORIZATION) {
            return refused(0x9a2);
        }
        let parameters = if is_authorized { &rest[handles + 13..] } else { rest };
        match code {
            0x169 => self.read_public(u32_at(rest, 0)),
            0x12a => self.define(parameters),
            0x137 => self.write(u32_at(rest, 4), parameters),
            0x14e => self.read(u32_at(rest, 4), u16_at(parameters, 0), u16_at(parameters, 2)),
            0x17e => self.registers(parameters),
            0x158 => self.quote(u32_at(rest, 0), parameters),
            _ => refused(0x143),
        }
    }

    fn reissue(&mut self) {
        if let Some((_, report)) = self.coming.take_if(|(when, _)| *when <= Instant::now()) {
            self.memory.insert(REPORT, report);
        }
    }

    fn read_public(&self, index: u32) -> Vec<u8> {
        let Some(memory) = self.memory.get(&index) else { return refused(0x18b) };
        let size = (memory.len() as u16).to_be_bytes();
        let public = [&index.to_be_bytes()[..], &[0, 0x0b], &[0, 2, 0, 2], &[0, 0], &size].concat();
        answer(0x8001, 0, &[sized(&public), sized(&[&[0, 0x0b][..], &[0x77; 32]].concat())].concat())
    }

    fn define(&mut self, parameters: &[u8]) -> Vec<u8> {
        if parameters != [&[0, 0, 0, 14][..], &USER_DATA.to_be_bytes(), b"\0\x0b\0\x02\0\x02\0\0\0\x40"].concat() {
            return refused(0x2c4);
        }
        if self.memory.contains_key(&USER_DATA) {
            return refused(0x14c);
        }
        self.memory.insert(USER_DATA, Vec::new());
        authorized(&[])
    }

    fn write(&mut self, index: u32, parameters: &[u8]) -> Vec<u8> {
        if index != USER_DATA || parameters.len() != 68 || parameters[..2] != [0, 64] || parameters[66..] != [0, 0] {
            return refused(0x146);
        }
        if !self.memory.contains_key(&index) {
            return refused(0x28b);
        }
        let mut wanted: [u8; 64] = parameters[2..66].try_into().expect("64 bytes");
        let mut knobs = self.knobs.lock().expect("knobs");
        if knobs.intruders > 0 {
            knobs.intruders -= 1;
            wanted = [0xee; 64];
        }
        self.memory.insert(index, wanted.to_vec());
        if let Some(delay) = knobs.reissue {
            self.coming = Some((Instant::now() + delay, self.hardware.report(&wanted)));
        }
        authorized(&[])
    }

    fn read(&mut self, index: u32, size: usize, offset: usize) -> Vec<u8> {
        let mut knobs = self.knobs.lock().expect("knobs");
        if index == REPORT && offset > 0 && offset <= 1024 && knobs.torn > 0 {
            self.memory.insert(REPORT, self.hardware.report(&[knobs.torn; 64]));
            knobs.torn -= 1;
        }
        let Some(memory) = self.memory.get(&index) else { return refused(0x28b) };
        if memory.is_empty() {
            return refused(0x14a);
        }
        match memory.get(offset..offset + size) {
            Some(part) if size <= 1024 => authorized(&sized(part)),
            _ => refused(0x146),
        }
    }

    /// Eight at a time.
    fn registers(&self, parameters: &[u8]) -> Vec<u8> {
        if parameters.len() != 10 || parameters[..7] != *b"\0\0\0\x01\0\x0b\x03" {
            return refused(0x1d5);
        }
        let asked = |number: usize| parameters[7 + number / 8] >> (number % 8) & 1 == 1;
        let given: Vec<usize> = (0..24).filter(|number| asked(*number)).take(8).collect();
        let mut bitmap = [0; 3];
        given.iter().for_each(|number| bitmap[number / 8] |= 1 << (number % 8));
        let values = given.iter().flat_map(|number| sized(&self.pcrs[*number]));
        let count = (given.len() as u32).to_be_bytes();
        let head = [b"\0\0\0\x07\0\0\0\x01\0\x0b\x03", &bitmap[..], &count].concat();
        answer(0x8001, 0, &head.into_iter().chain(values).collect::<Vec<u8>>())
    }

    fn quote(&mut self, key: u32, parameters: &[u8]) -> Vec<u8> {
        if key != 0x8100_0003
            || parameters[..2] != [0, 32]
            || parameters[34..] != *b"\0\x10\0\0\0\x01\0\x0b\x03\xff\xff\xff"
        {
            return refused(0x18b);
        }
        let mut attest = Vm::get().attest(&parameters[2..34]);
        attest.digest = digest(&SHA256, &self.pcrs.concat()).as_ref().to_vec();
        let message = attest.message();
        let mut knobs = self.knobs.lock().expect("knobs");
        if knobs.moving > 0 {
            knobs.moving -= 1;
            self.pcrs[16][0] ^= 1;
        }
        authorized(&[sized(&message), vec![0, 0x14, 0, 0x0b], sized(&Vm::get().sign(&message))].concat())
    }
}
