//! A TPM of another make: swtpm, set up as a paravisor sets up its own, by bytes.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const AUTHORIZATION: &[u8] = b"\0\0\0\x09\x40\0\0\x09\0\0\0\0\0";
const OWNER: &[u8] = &[0x40, 0, 0, 1];

pub struct Swtpm {
    child: Child,
    pub socket: PathBuf,
    /// Of its attestation key.
    pub modulus: Vec<u8>,
}

impl Drop for Swtpm {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Swtpm {
    /// With an attestation key of its own; `None` if it is not installed.
    pub fn start(folder: &Path) -> Option<Swtpm> {
        let socket = folder.join("swtpm.sock");
        let child = Command::new("swtpm")
            .args(["socket", "--tpm2", "--flags", "not-need-init,startup-clear"])
            .args(["--tpmstate", &format!("dir={}", folder.display())])
            .args(["--server", &format!("type=unixio,path={}", socket.display())])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let mut swtpm = Swtpm { child, socket, modulus: Vec::new() };
        let begun = Instant::now();
        while UnixStream::connect(&swtpm.socket).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(20), "swtpm does not listen");
            std::thread::sleep(Duration::from_millis(10));
        }
        // Restricted, signs by RSASSA with SHA-256; made of the TPM's own secrets.
        let public = b"\0\x01\0\x0b\0\x05\0\x72\0\0\0\x10\0\x14\0\x0b\x08\0\0\0\0\0\0\0";
        let rest = [&[0, 4, 0, 0, 0, 0, 0, public.len() as u8][..], public, &[0; 6]].concat();
        let made = swtpm.call(0x131, &[OWNER, AUTHORIZATION, &rest].concat());
        let public = usize::from(u16::from_be_bytes([made[8], made[9]]));
        swtpm.modulus = made[10..10 + public][public - 256..].to_vec();
        swtpm.call(0x120, &[OWNER, &made[..4], AUTHORIZATION, &[0x81, 0, 0, 3]].concat());
        Some(swtpm)
    }

    /// Puts data into memory that was not defined yet.
    pub fn store(&self, index: u32, data: &[u8]) {
        let index = index.to_be_bytes();
        let size = (data.len() as u16).to_be_bytes();
        let public = [&[0, 14][..], &index, b"\0\x0b\0\x02\0\x02\0\0", &size].concat();
        self.call(0x12a, &[OWNER, AUTHORIZATION, &[0, 0], &public].concat());
        for (number, part) in data.chunks(1024).enumerate() {
            let (length, offset) = ((part.len() as u16).to_be_bytes(), (number as u16 * 1024).to_be_bytes());
            self.call(0x137, &[OWNER, &index, AUTHORIZATION, &length, part, &offset].concat());
        }
    }

    /// Measures something into a register of SHA-256.
    pub fn extend(&self, register: u8, digest: &[u8; 32]) {
        self.call(0x182, &[&[0, 0, 0, register], AUTHORIZATION, &[0, 0, 0, 1, 0, 0x0b], digest].concat());
    }

    /// The answer's body; an authorized command.
    fn call(&self, code: u32, body: &[u8]) -> Vec<u8> {
        let command = [b"\x80\x02", &(10 + body.len() as u32).to_be_bytes()[..], &code.to_be_bytes(), body].concat();
        loop {
            let answer = self.transmit(&command);
            match u32::from_be_bytes(answer[6..10].try_into().unwrap()) {
                0 => return answer[10..].to_vec(),
                0x922 => std::thread::sleep(Duration::from_millis(10)),
                refused => panic!("command {code:x}: {refused:x}"),
            }
        }
    }

    pub fn transmit(&self, command: &[u8]) -> Vec<u8> {
        let mut socket = UnixStream::connect(&self.socket).expect("swtpm");
        socket.write_all(command).expect("a command");
        let mut answer = vec![0; 10];
        socket.read_exact(&mut answer).expect("an answer");
        let size = u32::from_be_bytes(answer[2..6].try_into().unwrap()) as usize;
        answer.resize(size, 0);
        socket.read_exact(&mut answer[10..]).expect("an answer");
        answer
    }
}
