//! Documents of AWS Nitro enclaves, by way of the security module that each enclave has as `/dev/nsm` (the Nitro Secure Module's interface: one request
//! and one response in CBOR). The device itself is in `capi`, where `unsafe` is. Touches that device, on a helper thread.

use std::fmt;
use std::io;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};

use super::Turn;
use super::provider::{EvidenceInput, Provider};
use crate::attest::nitro::cbor::Reader;
use crate::attest::{Tee, public_key};
use crate::error::{Error, Phase, Result, Status};

/// Longest request, and longest response, that the module's driver takes.
pub const MAX_REQUEST: usize = 0x1000;
pub const MAX_RESPONSE: usize = 0x3000;
/// Longest key that a document has room for.
const MAX_KEY: usize = 1024;
/// Longest document that verifiers read.
const MAX_DOCUMENT: usize = 16 << 10;
/// Linux: the request or response is larger than the driver takes.
const EMSGSIZE: i32 = 90;

const TEXT: u8 = 3;
const MAP: u8 = 5;
const BYTES: u8 = 2;
const NULL: u8 = 0xf6;

/// The module: bytes in, bytes out. Blocks, for as long as the module takes.
pub trait SecurityModule: fmt::Debug + Send + Sync {
    /// The length of the response.
    fn ask(&self, request: &[u8], response: &mut [u8; MAX_RESPONSE]) -> io::Result<usize>;
}

#[derive(Clone, Debug)]
pub struct Nsm(Arc<dyn SecurityModule>, Turn);

impl Nsm {
    pub fn new(module: Arc<dyn SecurityModule>) -> Nsm {
        Nsm(module, Turn::default())
    }

    fn document(&self, binder: &[u8; 64], key: Option<&[u8]>) -> Result<Vec<u8>> {
        let mut response = Box::new([0; MAX_RESPONSE]);
        let length = self.0.ask(&request(binder, key), &mut response).map_err(|error| match error.raw_os_error() {
            Some(EMSGSIZE) => none(format!("the request or the response is too large: {error}")),
            _ => none(error.to_string()),
        })?;
        let told = response.get(..length).ok_or_else(|| none(format!("a response of {length} bytes")))?;
        document(told).map(<[u8]>::to_vec).map_err(none)
    }
}

impl Provider for Nsm {
    fn tee(&self) -> Tee {
        Tee::Nitro
    }

    fn evidence<'a>(&'a self, input: EvidenceInput<'a>) -> BoxFuture<'a, Result<Value>> {
        let (nsm, binder) = (self.clone(), *input.binder);
        let key = input.leaf.map(public_key).transpose().map_err(none);
        async move {
            // The binder holds the key's hash; a document without a key proves as much.
            let key = key?.filter(|key| key.len() <= MAX_KEY);
            let made = self.1.blocking(move || nsm.document(&binder, key.as_deref())).await??;
            Ok(json!({"document": STANDARD.encode(made)}))
        }
        .boxed()
    }
}

fn none(why: String) -> Error {
    Error::new(Status::NoEvidence, format!("security module: {why}")).phase(Phase::Evidence)
}

/// `{"Attestation": {"user_data": null, "nonce": binder, "public_key": key}}`. The key has at most 64 KiB.
pub fn request(binder: &[u8; 64], key: Option<&[u8]>) -> Vec<u8> {
    let mut made = vec![MAP << 5 | 1];
    put(&mut made, TEXT, b"Attestation");
    made.push(MAP << 5 | 3);
    put(&mut made, TEXT, b"user_data");
    made.push(NULL);
    put(&mut made, TEXT, b"nonce");
    put(&mut made, BYTES, binder);
    put(&mut made, TEXT, b"public_key");
    match key {
        Some(key) => put(&mut made, BYTES, key),
        None => made.push(NULL),
    }
    made
}

fn put(made: &mut Vec<u8>, major: u8, data: &[u8]) {
    match data.len() {
        short @ 0..24 => made.push(major << 5 | short as u8),
        byte @ 24..256 => made.extend([major << 5 | 24, byte as u8]),
        long => made.extend([major << 5 | 25, (long >> 8) as u8, long as u8]),
    }
    made.extend_from_slice(data);
}

/// The document in `{"Attestation": {"document": ..}}`; `{"Error": ..}` is an error.
pub fn document(response: &[u8]) -> std::result::Result<&[u8], String> {
    let mut reader = Reader::new(response);
    let mut outer = reader.map()?;
    if !reader.another(&mut outer)? {
        return Err("an empty response".into());
    }
    let found = match reader.text(64)? {
        "Attestation" => Ok(member(&mut reader)?),
        "Error" => Err(format!("it answers {:?}", reader.text(64)?)),
        other => return Err(format!("a response of kind {other:?}")),
    };
    if reader.another(&mut outer)? {
        return Err("two responses".into());
    }
    reader.end()?;
    found
}

fn member<'a>(reader: &mut Reader<'a>) -> std::result::Result<&'a [u8], String> {
    let mut members = reader.map()?;
    let mut found = None;
    while reader.another(&mut members)? {
        match reader.text(64)? {
            "document" if found.is_some() => return Err("document is duplicated".into()),
            "document" => found = Some(reader.bytes(MAX_DOCUMENT)?),
            _ => reader.skip(2)?,
        }
    }
    found.ok_or_else(|| "no document".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const BINDER: [u8; 64] = [0x42; 64];

    #[test]
    fn a_request_as_the_module_reads_it() {
        let start = [&b"\xa1\x6bAttestation\xa3\x69user_data\xf6\x65nonce\x58\x40"[..], &BINDER].concat();
        assert_eq!(request(&BINDER, None), [&start[..], b"\x6apublic_key\xf6"].concat());
        let short = [&start[..], b"\x6apublic_key\x58\x5b", &[7; 91]].concat();
        assert_eq!(request(&BINDER, Some(&[7; 91])), short);
        let long = request(&BINDER, Some(&[7; MAX_KEY]));
        assert!(long.ends_with(&[&b"\x6apublic_key\x59\x04\x00"[..], &[7; MAX_KEY]].concat()));
        assert!(long.len() <= MAX_REQUEST);
    }

    #[test]
    fn a_response_is_a_document_or_an_error() {
        let good = b"\xa1\x6bAttestation\xa1\x68document\x43abc";
        assert_eq!(document(good), Ok(&b"abc"[..]));
        assert_eq!(document(b"\xbf\x6bAttestation\xa2\x65later\x82\x01\x02\x68document\x43abc\xff"), Ok(&b"abc"[..]));
        let why = |response: &[u8]| document(response).unwrap_err();
        assert_eq!(why(b"\xa1\x65Error\x6fInvalidArgument"), "it answers \"InvalidArgument\"");
        assert_eq!(why(b"\xa1\x69GetRandom\x01"), "a response of kind \"GetRandom\"");
        assert_eq!(why(b"\xa0"), "an empty response");
        assert_eq!(why(b"\xa1\x6bAttestation\xa0"), "no document");
        assert_eq!(why(b"\xa1\x6bAttestation\xa2\x68document\x41a\x68document\x41b"), "document is duplicated");
        assert_eq!(why(b"\xa2\x6bAttestation\xa1\x68document\x41a\x65Error\x60"), "two responses");
        assert_eq!(why(&[&good[..], &[0]].concat()), "1 bytes after its end");
        for cut in 0..good.len() {
            assert!(document(&good[..cut]).is_err(), "{cut}");
        }
    }

    /// Answers with `0` and remembers what it was asked.
    #[derive(Debug)]
    struct Played(io::Result<Vec<u8>>, std::sync::Mutex<Vec<u8>>);

    impl SecurityModule for Played {
        fn ask(&self, request: &[u8], response: &mut [u8; MAX_RESPONSE]) -> io::Result<usize> {
            *self.1.lock().unwrap() = request.to_vec();
            match &self.0 {
                Ok(answer) => {
                    response[..answer.len().min(MAX_RESPONSE)]
                        .copy_from_slice(&answer[..answer.len().min(MAX_RESPONSE)]);
                    Ok(answer.len())
                }
                Err(error) => Err(io::Error::from_raw_os_error(error.raw_os_error().unwrap())),
            }
        }
    }

    async fn asked(answer: io::Result<Vec<u8>>, leaf: Option<&[u8]>) -> (Vec<u8>, Result<Value>) {
        let module = Arc::new(Played(answer, Default::default()));
        let nsm = Nsm::new(module.clone());
        let input = EvidenceInput { binder: &BINDER, leaf, leaf_is_current: true, fresh: false };
        let made = nsm.evidence(input).await;
        let asked = module.1.lock().unwrap().clone();
        (asked, made)
    }

    #[tokio::test]
    async fn evidence_has_the_key_of_the_session() {
        let good = || Ok(b"\xa1\x6bAttestation\xa1\x68document\x43abc".to_vec());
        let leaf = crate::attest::dcap::INTEL_ROOT_DER;
        let (told, made) = asked(good(), Some(leaf)).await;
        assert_eq!(
            (told, made.unwrap()),
            (request(&BINDER, Some(&public_key(leaf).unwrap())), json!({"document": "YWJj"}))
        );
        let (told, made) = asked(good(), None).await;
        assert_eq!((told, made.is_ok()), (request(&BINDER, None), true));
        let (told, made) = asked(good(), Some(b"no certificate")).await;
        assert_eq!((told.is_empty(), made.unwrap_err().status), (true, Status::NoEvidence));
    }

    #[tokio::test]
    async fn a_module_that_gives_none() {
        for (answer, why) in [
            (Err(io::Error::from_raw_os_error(EMSGSIZE)), "too large"),
            (Err(io::Error::from_raw_os_error(25)), "os error 25"),
            (Ok(b"\xa1\x65Error\x70InvalidOperation".to_vec()), "InvalidOperation"),
            (Ok(vec![0; MAX_RESPONSE + 1]), "a response of 12289 bytes"),
            (Ok(Vec::new()), "cut short"),
        ] {
            let error = asked(answer, None).await.1.unwrap_err();
            assert!(error.status == Status::NoEvidence && error.message.contains(why), "{why}: {error:?}");
        }
    }
}
