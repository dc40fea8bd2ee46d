//! The worked example of docs/protocol.md, byte by byte: computed here from the page's words with nothing but hashes, and by the library.
//! A peer that speaks the page's protocols is tests/peers/attested.py.

use atls::attest::dstack::event_log::{EventLog, digest_v1, preimage_v2};
use atls::attest::{
    Binding, Challenge, EXPORTER_LABEL, EXPORTER_V1_LABEL, Exporter, MAX_ATTACHED, MAX_DEVICES, ProvingSide, Tee,
    challenge, report_data,
};
use aws_lc_rs::digest::{Algorithm, SHA256, SHA384, SHA512, digest};
use aws_lc_rs::hmac;

const PAGE: &str = include_str!("../../docs/protocol.md");

/// The text of the fenced block whose fence ends with `name`.
fn text(name: &str) -> String {
    let fence = [format!("```hex {name}\n"), format!("```text {name}\n")];
    let found = fence.iter().find_map(|fence| PAGE.split_once(fence)).unwrap_or_else(|| panic!("no block {name}"));
    found.1.split("\n```").next().unwrap().to_owned()
}

/// The same of hex: what comes behind the digits of a line is a remark.
fn bytes(name: &str) -> Vec<u8> {
    let digits: String = text(name).lines().map(|line| line.split_whitespace().next().unwrap()).collect();
    unhex(&digits)
}

fn fixed<const N: usize>(name: &str) -> [u8; N] {
    bytes(name).try_into().unwrap_or_else(|_| panic!("{name} has not {N} bytes"))
}

fn unhex(digits: &str) -> Vec<u8> {
    let pair = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
    (0..digits.len()).step_by(2).map(pair).collect()
}

fn hex(data: &[u8]) -> String {
    data.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn hash(algorithm: &'static Algorithm, data: &[u8]) -> Vec<u8> {
    digest(algorithm, data).as_ref().to_vec()
}

/// RFC 8446 section 7.1, for one block of SHA-256.
fn expand_label(secret: &[u8], label: &[u8], context: &[u8]) -> Vec<u8> {
    let label = [b"tls13 ", label].concat();
    let lengths = [32, label.len() as u8, context.len() as u8];
    let info = [&[0, lengths[0], lengths[1]][..], &label, &lengths[2..], context, &[1]].concat();
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), &info).as_ref().to_vec()
}

/// RFC 8446 section 7.5.
fn exporter(label: &[u8], context: &[u8]) -> Vec<u8> {
    let secret = expand_label(&bytes("exporter-master-secret"), label, &hash(&SHA256, b""));
    expand_label(&secret, b"exporter", &hash(&SHA256, context))
}

fn nonce(first: u8) -> [u8; 32] {
    std::array::from_fn(|index| first + index as u8)
}

#[test]
fn atlas_v1() {
    let value = exporter(b"EXPORTER-Channel-Binding", b"");
    assert_eq!(value, bytes("atlas-exporter"));
    let expected = fixed("atlas-report-data");
    assert_eq!(hash(&SHA512, &[&nonce(0), &value[..]].concat()), expected);
    assert_eq!(EXPORTER_LABEL, b"EXPORTER-Channel-Binding");
    assert_eq!(report_data(&nonce(0), &value.try_into().unwrap()), expected);
    assert!(PAGE.contains(&format!("{{\"nonce_hex\": \"{}\"}}", hex(&nonce(0)))));
}

/// What the page says of the side `name`, whose role is `letter`, in hashes alone.
fn by_the_page(name: &str, letter: u8, nonce: [u8; 32]) {
    let context = hash(&SHA384, text(&format!("{name}-challenge")).as_bytes());
    assert_eq!(context, bytes(&format!("{name}-context")));
    let value = exporter(b"EXPERIMENTAL-atls-exporter-v1", &context);
    assert_eq!(value, bytes(&format!("{name}-exporter")));
    let (server, client) = (hash(&SHA384, &bytes("server-spki")), hash(&SHA384, &bytes("client-spki")));
    let (attester, verifier) = if letter == b'S' { (server, client) } else { (client, server) };
    let parts = [
        b"atls-exporter-v1\0",
        &[letter][..],
        &[0, 1],
        &nonce,
        &value,
        &attester,
        &verifier,
        &hash(&SHA384, b"tee.example"),
    ];
    let binder = parts.concat();
    assert_eq!(binder, bytes(&format!("{name}-binder")));
    assert!(PAGE.contains(&format!("{} bytes in total", binder.len())));
    assert_eq!(hash(&SHA512, &binder), bytes(&format!("{name}-report-data")));
}

/// The same by the library, which is given certificates and a name.
fn by_the_library(name: &str, role: ProvingSide, client: Option<Vec<u8>>) -> [u8; 64] {
    let challenge = Challenge::parse(text(&format!("{name}-challenge")).as_bytes(), role).unwrap();
    assert_eq!(challenge.context(), fixed(&format!("{name}-context")));
    let session = (challenge.nonce, fixed(&format!("{name}-exporter")));
    let leaves = (bytes("server-certificate"), client);
    Binding::Exporter(Exporter::new(role, session, leaves, "TEE.example.".into()))
        .report_data(Tee::Tdx)
        .unwrap()
        .unwrap()
}

#[test]
fn exporter_v1() {
    assert_eq!(EXPORTER_V1_LABEL, b"EXPERIMENTAL-atls-exporter-v1");
    let client = || Some(bytes("client-certificate"));
    for (name, role, letter, nonce) in
        [("server", ProvingSide::Server, b'S', nonce(0)), ("client", ProvingSide::Client, b'C', nonce(32))]
    {
        by_the_page(name, letter, nonce);
        assert_eq!(by_the_library(name, role, client()), fixed(&format!("{name}-report-data")));
    }
    let bare = fixed("server-report-data-without-client-certificate");
    assert_eq!(by_the_library("server", ProvingSide::Server, None), bare);
    let mut binder = bytes("server-binder");
    binder[132..180].fill(0);
    assert_eq!(hash(&SHA512, &binder), bare);
    // The keys are those of the certificates, whole.
    for side in ["server", "client"] {
        let (certificate, key) = (bytes(&format!("{side}-certificate")), bytes(&format!("{side}-spki")));
        assert!(certificate.windows(key.len()).any(|part| part == key));
    }
}

#[test]
fn a_challenge_in_an_answer_is_a_string() {
    let answer = format!(r#"{{"protocol":"exporter-v1","role":"S","tee":"tdx",{}}}"#, text("challenge-member"));
    let (evidence, asked) = challenge::read_answer(answer.as_bytes(), ProvingSide::Server, &[Tee::Tdx]).unwrap();
    assert!(evidence.is_none());
    assert_eq!(asked.unwrap().text(), text("client-challenge"));
    // What the library sends is spelled as the page has it.
    for (name, role, nonce) in [("server", ProvingSide::Server, nonce(0)), ("client", ProvingSide::Client, nonce(32))] {
        assert_eq!(Challenge::new(role, nonce, &[Tee::Tdx], false).text(), text(&format!("{name}-challenge")));
    }
}

#[test]
fn the_certificate_event() {
    let payload = text("certificate-payload");
    assert_eq!(hex(&hash(&SHA256, &bytes("server-certificate"))), payload);
    assert_eq!(bytes("certificate-event-payload"), payload.as_bytes());
    let name = "New TLS Certificate";
    let first = [&[1, 0, 0, 8], &b":"[..], name.as_bytes(), b":", payload.as_bytes()].concat();
    assert_eq!(hash(&SHA384, &first), bytes("certificate-digest-1"));
    assert_eq!(digest_v1(name, payload.as_bytes()).unwrap(), fixed("certificate-digest-1"));
    assert_eq!(preimage_v2(name, payload.as_bytes()), text("certificate-preimage"));
    assert_eq!(hash(&SHA384, text("certificate-preimage").as_bytes()), bytes("certificate-digest-2"));
    let event = PAGE.lines().find(|line| line.starts_with(r#"{"imr":3"#)).unwrap();
    let second = event.replace(
        &format!(r#""digest":"{}""#, hex(&bytes("certificate-digest-1"))),
        &format!(r#""digest":"{}","version":2"#, hex(&bytes("certificate-digest-2"))),
    );
    for event in [event.to_owned(), second] {
        let log = EventLog::parse(&format!("[{event}]")).unwrap();
        assert_eq!(log.newest_certificate(), Some(payload.as_bytes()));
    }
}

#[test]
fn the_page_has_the_limits_and_paths_of_the_library() {
    for part in [challenge::CHALLENGE_PATH, challenge::CLIENT_PATH] {
        assert!(PAGE.contains(&format!("`{part}`")), "{part}");
    }
    assert!(PAGE.contains(&format!("| challenge | {} bytes |", challenge::MAX_CHALLENGE)));
    assert!(PAGE.contains(&format!("1 to {} ", challenge::MAX_KINDS)));
    assert!(PAGE.contains(&format!("| attached evidence | {MAX_ATTACHED} entries, {MAX_DEVICES} devices |")));
}
