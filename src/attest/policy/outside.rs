//! What a policy says in forms of other specifications: URLs of collateral services, and certificates. Pure.

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use url::Url;

use super::INTEL_PCS;

/// Strips what a collateral URL may end with, so that the API's own paths can follow. `""` is the vendor's own service.
pub fn base_url(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Ok(INTEL_PCS.into());
    }
    if !text.starts_with("https://") && !text.starts_with("http://") {
        return Err(format!("{text:?} is not an http:// or https:// URL"));
    }
    let url = Url::parse(text).map_err(|error| format!("{text:?}: {error}"))?;
    let part = if url.query().is_some() {
        "a query"
    } else if url.fragment().is_some() {
        "a fragment"
    } else if text.contains('@') {
        "a user or password"
    } else if url.port() == Some(0) {
        "port 0"
    } else if text.contains(|c: char| c.is_whitespace() || c.is_control() || c == '\\') || text.contains(":///") {
        "no plain host"
    } else {
        let mut base = text.trim_end_matches('/');
        for suffix in ["/sgx/certification/v4", "/tdx/certification/v4"] {
            base = base.strip_suffix(suffix).unwrap_or(base);
        }
        return Ok(base.trim_end_matches('/').into());
    };
    Err(format!("{text:?} has {part}"))
}

/// Whether `pem` holds certificates that TLS can take as roots, one at least.
pub fn roots(pem: &str) -> Result<(), String> {
    let mut count = 0;
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let certificate = certificate.map_err(|error| format!("not PEM: {error}"))?;
        webpki::anchor_from_trusted_cert(&certificate).map_err(|error| format!("not a root certificate: {error}"))?;
        count += 1;
    }
    if count == 0 { Err("holds no certificate in PEM".into()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_of_a_service_is_brought_to_its_base() {
        assert_eq!(base_url("").unwrap(), INTEL_PCS);
        for (given, base) in [
            ("https://p.example", "https://p.example"),
            ("http://[::1]:8081/", "http://[::1]:8081"),
            ("https://p.example/a/tdx/certification/v4/", "https://p.example/a"),
            ("https://p.example/sgx/certification/v4", "https://p.example"),
        ] {
            assert_eq!(base_url(given).unwrap(), base);
        }
        for (given, why) in [
            ("ftp://p.example", "not an http"),
            ("HTTPS://p.example", "not an http"),
            ("https://", "empty host"),
            ("https:///p.example", "no plain host"),
            ("https://p.example?x=1", "a query"),
            ("https://p.example/?", "a query"),
            ("https://p.example/#there", "a fragment"),
            ("https://p.example:99999", "port"),
            ("https://p.example:0", "port 0"),
            ("https://user@p.example", "a user"),
            ("https://p.example/a b", "no plain host"),
            ("https://p.example\\x", "no plain host"),
        ] {
            let error = base_url(given).expect_err(given);
            assert!(error.contains(why), "{given}: {error}");
        }
    }
}
