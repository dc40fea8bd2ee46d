//! Machines of other kinds than TDX guests, behind Unix sockets, for programs in other languages. One request and one answer for each connection.
//!
//! | socket | request | answer |
//! |---|---|---|
//! | evidence.sock | `KIND HEX`, to the end of the line: a kind of evidence, and 64 bytes that it is to be bound to | the evidence object |
//! | evil-evidence.sock | the same | evidence of a machine that one thing is wrong with, see `wrong` |
//! | gpus.sock | `HEX`, to the end of the line: a nonce of 32 bytes | evidence of two GPUs |
//! | evil-gpus.sock | the same | evidence of one GPU, twice |
//! | nsm.sock | a request as a Nitro enclave's security module has it, in CBOR, to the end of the stream | its response, in CBOR |

use std::path::Path;
use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};

use crate::azure::{self, Microsoft, Vm};
use crate::kds::Kds;
use crate::nitro::{self, Aws, Document};
use crate::nvidia::{Gpu, Nvidia};
use crate::snp::{Amd, Product, REPORT};

/// The path of the revocation list that judging needs.
const CRL: &str = "/vcek/v1/Genoa/crl";

pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a time").as_secs()
}

/// A policy that the SEV-SNP machine satisfies.
pub fn snp_policy(kds: &Kds) -> Value {
    kds.put(CRL, Amd::of(Product::Genoa).list(&Amd::of(Product::Genoa).clean(now())));
    json!({
        "type": "snp", "products": ["Genoa"], "measurement": ["5a".repeat(48)],
        "min_tcb": {"Genoa": {"bootloader": 4, "tee": 2, "snp": 24, "microcode": 219}},
        "collateral": {"amd_sources": [kds.url]}, "allow_simulated": true,
    })
}

/// A policy that the Nitro enclave satisfies.
pub fn nitro_policy() -> Value {
    json!({"type": "nitro", "pcrs": {"0": ["01".repeat(48)]}, "allow_simulated": true})
}

/// A policy that the instance with a NitroTPM satisfies.
pub fn nitro_tpm_policy() -> Value {
    let pcrs = json!({"4": ["05".repeat(48)], "7": ["08".repeat(48)], "12": ["00".repeat(48)]});
    json!({"type": "nitro_tpm", "pcrs": pcrs, "allow_simulated": true})
}

/// A policy that the virtual machine of Azure satisfies.
pub fn azure_policy(kds: &Kds) -> Value {
    let snp = snp_policy(kds);
    json!({
        "type": "azure_snp_vtpm", "pcrs": {"4": ["05".repeat(32)], "7": ["08".repeat(32)]}, "paravisor": snp["measurement"],
        "snp": {"products": snp["products"], "min_tcb": snp["min_tcb"]}, "collateral": snp["collateral"], "allow_simulated": true,
    })
}

/// Serves the sockets until the runtime ends.
pub fn start(folder: &Path) {
    serve(folder.join("evidence.sock").as_path(), |socket| {
        give(socket, |line| line.split_once(' ').and_then(|(kind, binder)| evidence(kind, &unhex(binder)?)))
    });
    serve(folder.join("evil-evidence.sock").as_path(), |socket| {
        give(socket, |line| line.split_once(' ').and_then(|(kind, binder)| wrong(kind, &unhex(binder)?)))
    });
    serve(folder.join("gpus.sock").as_path(), |socket| give(socket, gpus));
    serve(folder.join("evil-gpus.sock").as_path(), |socket| give(socket, one_gpu));
    serve(folder.join("nsm.sock").as_path(), |mut socket| async move {
        let mut request = Vec::new();
        let _ = socket.read_to_end(&mut request).await;
        let _ = socket.write_all(&security_module(&request)).await;
    });
}

fn serve<F: Future<Output = ()> + Send + 'static>(path: &Path, answer: fn(UnixStream) -> F) {
    let _ = std::fs::remove_file(path);
    let listener = UnixListener::bind(path).expect("bind");
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(answer(socket));
        }
    });
}

async fn give(socket: UnixStream, make: fn(&str) -> Option<Value>) {
    let mut socket = BufReader::new(socket);
    let mut line = String::new();
    let _ = socket.read_line(&mut line).await;
    let answer = make(line.trim_end()).unwrap_or_else(|| json!({"error": "KIND HEX"}));
    let _ = socket.write_all(answer.to_string().as_bytes()).await;
}

/// The evidence object of a genuine machine of that kind.
pub fn evidence(kind: &str, binder: &[u8; 64]) -> Option<Value> {
    match kind {
        "snp" => Some(snp(&mut Amd::of(Product::Genoa).report(3, binder))),
        "nitro" | "nitro_tpm" => Some(nitro(kind, binder, |_| ())),
        "azure_snp_vtpm" => Some(azure(binder, Vm::get())),
        _ => None,
    }
}

/// The same of a machine that is as genuine, and of which one thing is not as the policy wants it: a guest that its host can debug; another image; the TPM of
/// another machine.
fn wrong(kind: &str, binder: &[u8; 64]) -> Option<Value> {
    match kind {
        "snp" => {
            let mut report = Amd::of(Product::Genoa).report(3, binder);
            report[0x00a] |= 8;
            Some(snp(&mut report))
        }
        "nitro" | "nitro_tpm" => {
            Some(nitro(kind, binder, |document| document.pcrs.iter_mut().for_each(|(_, value)| value.fill(0xee))))
        }
        "azure_snp_vtpm" => Some(azure(binder, Vm::other())),
        _ => None,
    }
}

fn snp(report: &mut [u8; REPORT]) -> Value {
    let amd = Amd::of(Product::Genoa);
    amd.sign(report);
    let leaf = amd.leaf(&amd.vcek(report));
    json!({"report": STANDARD.encode(report), "leaf": STANDARD.encode(leaf)})
}

fn nitro(kind: &str, binder: &[u8; 64], change: impl FnOnce(&mut Document)) -> Value {
    let enclave = Aws::get().enclave(now() - 60, now() + 3600);
    let mut document = match kind {
        "nitro" => enclave.document(now(), binder),
        _ => enclave.tpm_document(now(), binder),
    };
    change(&mut document);
    json!({"document": STANDARD.encode(enclave.sign(&document))})
}

/// Of a virtual machine for which the TPM of `signer` answers.
fn azure(binder: &[u8; 64], signer: &Vm) -> Value {
    let (amd, vm) = (Amd::of(Product::Genoa), Vm::get());
    let runtime = vm.runtime(binder).to_string().into_bytes();
    let mut report = amd.report(3, &azure::report_data(&runtime));
    amd.sign(&mut report);
    let message = vm.attest(&azure::nonce(binder)).message();
    let certificates = Microsoft::get().certify(vm, &vm.certificate((now() - 60, now() + 3600)));
    let certificates: Vec<_> = certificates.iter().map(|der| STANDARD.encode(der)).collect();
    json!({
        "hcl_report": STANDARD.encode(azure::hcl(azure::SNP, &report, &runtime)), "ak_certificates": certificates,
        "tpm_quote": {
            "message": STANDARD.encode(&message), "signature": STANDARD.encode(signer.sign(&message)), "pcrs": vm.pcrs_json(),
        },
        "leaf": STANDARD.encode(amd.leaf(&amd.vcek(&report))),
    })
}

/// What a Nitro enclave's security module answers: a document over what the request holds.
fn security_module(request: &[u8]) -> Vec<u8> {
    let Some([user_data, nonce, public_key]) = attestation(request) else {
        return [nitro::head(5, 1), nitro::text("Error"), nitro::text("InvalidOperation")].concat();
    };
    let enclave = Aws::get().enclave(now() - 60, now() + 3600);
    let mut document = enclave.document(now(), &[]);
    (document.user_data, document.nonce, document.public_key) = (user_data, nonce, public_key);
    let document = [nitro::head(5, 1), nitro::text("document"), nitro::bytes(&enclave.sign(&document))].concat();
    [nitro::head(5, 1), nitro::text("Attestation"), document].concat()
}

/// `{"Attestation": {"user_data", "nonce", "public_key"}}`, of which each is bytes or null, in this order and nothing else.
fn attestation(request: &[u8]) -> Option<[Option<Vec<u8>>; 3]> {
    let start = [nitro::head(5, 1), nitro::text("Attestation"), nitro::head(5, 3)].concat();
    let mut rest = request.strip_prefix(&start[..])?;
    let mut member = |name: &str| {
        rest = rest.strip_prefix(&nitro::text(name)[..])?;
        if let Some(after) = rest.strip_prefix(b"\xf6") {
            rest = after;
            return Some(None);
        }
        let length = (0..=rest.len()).find(|length| rest.starts_with(&nitro::head(2, *length as u64)))?;
        let data = rest.get(nitro::head(2, length as u64).len()..)?;
        let (data, after) = data.split_at_checked(length)?;
        rest = after;
        Some(Some(data.to_vec()))
    };
    let members = [member("user_data")?, member("nonce")?, member("public_key")?];
    rest.is_empty().then_some(members)
}

/// The GPUs of the machine, each of which keeps its key.
fn gpu(number: usize) -> &'static Gpu {
    static GPUS: OnceLock<[Gpu; 2]> = OnceLock::new();
    &GPUS.get_or_init(|| ["1", "2"].map(|serial| Nvidia::get().gpu(serial)))[number]
}

fn gpus(nonce: &str) -> Option<Value> {
    let nonce = unhex(nonce)?;
    Some(json!([gpu(0).honest(&nonce), gpu(1).honest(&nonce)]))
}

fn one_gpu(nonce: &str) -> Option<Value> {
    let nonce = unhex(nonce)?;
    Some(json!([gpu(0).honest(&nonce), gpu(0).honest(&nonce)]))
}

/// What a policy says of them.
pub fn gpu_block() -> Value {
    json!({
        "required": 2, "arch": ["HOPPER"],
        "measurements": [{
            "driver_version": "550.90.07", "vbios_version": "96.00.9f.00.01", "values": {"1": "01".repeat(48), "2": "02".repeat(48)},
        }],
    })
}

fn unhex<const N: usize>(digits: &str) -> Option<[u8; N]> {
    let pair = |at: usize| u8::from_str_radix(digits.get(2 * at..2 * at + 2)?, 16).ok();
    let bytes: Option<Vec<u8>> = (0..N).map(pair).collect();
    bytes?.try_into().ok().filter(|_| digits.len() == 2 * N)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_security_module_answers_what_it_was_asked() {
        let asked = |nonce: &[u8], public_key: &[u8]| {
            let members = [nitro::text("user_data"), vec![0xf6], nitro::text("nonce"), nitro::bytes(nonce)];
            let start = [nitro::head(5, 1), nitro::text("Attestation"), nitro::head(5, 3)].concat();
            [start, members.concat(), nitro::text("public_key"), public_key.to_vec()].concat()
        };
        assert_eq!(attestation(&asked(&[7; 64], b"\xf6")), Some([None, Some(vec![7; 64]), None]));
        let key = nitro::bytes(&[8; 300]);
        assert_eq!(attestation(&asked(&[], &key)), Some([None, Some(Vec::new()), Some(vec![8; 300])]));
        let whole = asked(&[7; 64], b"\xf6");
        for bad in [&whole[..whole.len() - 1], &[&whole[..], &[0]].concat(), b""] {
            assert_eq!(attestation(bad), None);
        }
        assert_eq!(security_module(b"?"), b"\xa1\x65Error\x70InvalidOperation");
    }
}
