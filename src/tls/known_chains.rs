//! Signatures in certificate chains that were found good are remembered; those of handshakes, which are new each time, never pass here. No I/O; the memories
//! are those of the process.

use std::sync::OnceLock;

use rustls::crypto::CryptoProvider;

use crate::attest::remembering::{Algorithm, all};

/// The provider of all sessions. Names, dates and the use of a certificate are checked on each use; only the arithmetic of a signature that is known to be
/// good is not done again.
pub fn provider() -> CryptoProvider {
    let mut provider = rustls::crypto::aws_lc_rs::default_provider();
    // `mapping`, by which the signature of a handshake (CertificateVerify) is checked, stays as it is.
    let algorithms = &mut provider.signature_verification_algorithms;
    static REMEMBERING: OnceLock<Vec<Algorithm>> = OnceLock::new();
    algorithms.all = all(&REMEMBERING, algorithms.all);
    provider
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use rustls::RootCertStore;
    use rustls::client::WebPkiServerVerifier;
    use rustls::client::danger::ServerCertVerifier;
    use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
    use simtee::SimTee;

    use super::*;
    use crate::tls::trust::add_pem;

    fn verifier(tee: &SimTee) -> Arc<WebPkiServerVerifier> {
        let mut roots = RootCertStore::empty();
        add_pem(&mut roots, &tee.web_ca_pem).unwrap();
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::new(provider())).build().unwrap()
    }

    fn is_good(verifier: &WebPkiServerVerifier, leaf: &[u8], name: &str, at: u64) -> bool {
        let (leaf, name) = (CertificateDer::from(leaf), ServerName::try_from(name).unwrap());
        let at = UnixTime::since_unix_epoch(Duration::from_secs(at));
        verifier.verify_server_cert(&leaf, &[], &name, &[], at).is_ok()
    }

    /// Everything but the arithmetic of one signature is looked at each time.
    #[test]
    fn a_known_certificate_has_dates_a_name_and_a_root() {
        const FROM: u64 = 1_700_000_000;
        const TO: u64 = FROM + 1000;
        let (tee, other) = (SimTee::new(), SimTee::new());
        let (leaf, _) = tee.certificate_with((FROM, 1000), |_| Vec::new());
        let (verifier, stranger) = (verifier(&tee), verifier(&other));
        for _ in 0..2 {
            assert!(is_good(&verifier, &leaf, "localhost", FROM) && is_good(&verifier, &leaf, "localhost", TO));
            for at in [FROM - 1, TO + 1] {
                assert!(!is_good(&verifier, &leaf, "localhost", at), "{at}");
            }
            assert!(!is_good(&verifier, &leaf, "example.org", FROM));
            assert!(!is_good(&stranger, &leaf, "localhost", FROM));
        }
    }

    #[test]
    fn one_other_bit_of_a_known_certificate() {
        const AT: u64 = 1_700_000_000;
        let tee = SimTee::new();
        let (leaf, _) = tee.certificate_with((AT, 1000), |_| Vec::new());
        let verifier = verifier(&tee);
        assert!(is_good(&verifier, &leaf, "localhost", AT));
        for at in 0..leaf.len() {
            let mut bent = leaf.clone();
            bent[at] ^= 1 << (at % 8);
            assert!(!is_good(&verifier, &bent, "localhost", AT), "{at}");
        }
        assert!(is_good(&verifier, &leaf, "localhost", AT));
    }

    /// What proves that the other side has the key is new each time, and checked by the algorithms as they come.
    #[test]
    fn signatures_of_handshakes_are_not_remembered() {
        let (ours, plain) = (provider(), rustls::crypto::aws_lc_rs::default_provider());
        let (ours, plain) = (ours.signature_verification_algorithms, plain.signature_verification_algorithms);
        assert!(std::ptr::eq(ours.mapping, plain.mapping));
        assert_eq!(ours.all.len(), plain.all.len());
        for (ours, plain) in ours.all.iter().zip(plain.all) {
            assert_eq!(ours.public_key_alg_id(), plain.public_key_alg_id());
            assert_eq!(ours.signature_alg_id(), plain.signature_alg_id());
            assert_eq!(ours.fips(), plain.fips());
        }
        for (_, algorithms) in ours.mapping {
            assert!(algorithms.iter().all(|one| !format!("{one:?}").contains("Remembering")));
        }
        assert!(ours.all.iter().all(|one| format!("{one:?}").contains("Remembering")));
    }
}
