//! What servers read of strangers: forms in any pieces, queries, cookies, challenges and answers of exporter-v1. In pieces or at once, a form is the same.
#![no_main]

use atls::attest::challenge::{Challenge, read_answer};
use atls::attest::{ProvingSide, Tee};
use atls::message::arguments::{cookies, urlencoded};
use atls::message::multipart::{PartEvent, MultipartLimits, MultipartParser};
use libfuzzer_sys::fuzz_target;

/// Names and bytes of the parts, or nothing where it is no form.
fn form(body: &[u8], step: usize) -> Option<Vec<(String, Vec<u8>)>> {
    let mut parser = MultipartParser::new(b"multipart/form-data; boundary=b", MultipartLimits::default()).expect("a form");
    let (mut pieces, mut parts) = (body.chunks(step), Vec::new());
    loop {
        match parser.next_event().ok()? {
            Some(PartEvent::Part(part)) => parts.push((part.name, Vec::new())),
            Some(PartEvent::Data(data)) => {
                assert!(!data.is_empty());
                parts.last_mut().expect("a part").1.extend_from_slice(&data);
            }
            Some(PartEvent::PartEnd) => {}
            Some(PartEvent::End) => return Some(parts),
            None => match pieces.next() {
                Some(piece) => parser.push(piece),
                None => parser.end(),
            },
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((step, data)) = data.split_first() else { return };
    assert_eq!(form(data, usize::from(*step).max(1)), form(data, data.len().max(1)));
    let _ = MultipartParser::new(data, MultipartLimits::default());
    let _ = urlencoded(data, 100);
    let _ = cookies(data);
    for role in [ProvingSide::Server, ProvingSide::Client] {
        if let Ok(challenge) = Challenge::parse(data, role) {
            assert_eq!(challenge.text().as_bytes(), data);
        }
        let _ = read_answer(data, role, Tee::ALL);
    }
});
