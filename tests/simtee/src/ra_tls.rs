//! A TLS certificate that carries the evidence of the guest that has its key, as dstack makes them: the quote and the event log in extensions.

use aws_lc_rs::digest::{SHA512, digest};

use crate::{Guest, SimTee};

/// How long one is valid, in seconds, from an hour before it is made.
pub const VALID: u64 = 30 * 86400;

/// Of the quote and of the event log.
const OIDS: [[u64; 9]; 2] = [[1, 3, 6, 1, 4, 1, 62397, 1, 1], [1, 3, 6, 1, 4, 1, 62397, 1, 2]];

/// Chain and key as PEM. The evidence of one that is not honest is about another key.
pub fn certificate(tee: &SimTee, guest: &Guest, is_honest: bool) -> (String, String) {
    let begun = crate::machines::now() - 3600;
    let octets = |data: &[u8]| yasna::construct_der(|writer| writer.write_bytes(data));
    let (der, key) = tee.certificate_with((begun, VALID), |key| {
        let named = if is_honest { key } else { &key[1..] };
        let report_data = digest(&SHA512, &[b"ratls-cert:", named].concat());
        let quote = guest.quote(tee, report_data.as_ref().try_into().expect("64 bytes"));
        let parts = [quote, guest.log().to_string().into_bytes()];
        OIDS.iter().zip(parts).map(|(oid, part)| (oid.to_vec(), octets(&part))).collect()
    });
    let pem = |tag: &str, data| pem::encode(&pem::Pem::new(tag, data));
    (pem("CERTIFICATE", der), pem("PRIVATE KEY", key))
}
