//! Which requests are of attestation, and what is a nonce. No I/O.

use super::*;

#[test]
fn a_target_in_absolute_form_is_the_same_resource() {
    for (target, path) in [
        ("/tdx_quote", "/tdx_quote"),
        ("https://a.test/tdx_quote?x", "/tdx_quote?x"),
        ("HTTPS://a.test:1/tdx_quote", "/tdx_quote"),
        ("http://[::1]/a", "/a"),
        ("https://a.test", "/"),
        ("https://a.test?/tdx_quote", "?/tdx_quote"),
        ("ftp://a.test/tdx_quote", "ftp://a.test/tdx_quote"),
        ("*", "*"),
        ("", ""),
    ] {
        assert_eq!(resource(target.as_bytes()), path.as_bytes(), "{target}");
    }
}

#[test]
fn a_nonce_is_64_digits_and_nothing_else() {
    let of = |text: &str| nonce(text.as_bytes());
    assert_eq!(of(&format!(r#"{{"nonce_hex":"{}","x":1}}"#, "0a".repeat(32))), Some([10; 32]));
    for bad in ["", "{}", r#"{"nonce_hex":""}"#, r#"{"nonce_hex":"0a"}"#, r#"{"nonce_hex":1}"#, r#"["nonce_hex"]"#] {
        assert_eq!(of(bad), None, "{bad}");
    }
}

#[test]
fn a_request_for_evidence_is_told_from_one_for_the_host() {
    use EvidenceRequest::{AtlasV1, ExporterV1, OfClient};
    let (quote, challenge, client) = ("/tdx_quote", "/atls/exporter-v1", "/atls/exporter-v1/client");
    let (atlas, exporter) = (Some(AtlasV1), Some(ExporterV1));
    for (target, attests, judges, wanted) in [
        (quote, true, false, atlas),
        (quote, false, true, None),
        (challenge, true, false, exporter),
        (challenge, false, true, exporter),
        (challenge, false, false, None),
        (client, false, true, Some(OfClient)),
        (client, true, false, None),
        ("/tdx_quote?x=1", true, true, atlas),
        ("https://a.test/tdx_quote", true, true, atlas),
        ("/tdx_quote/", true, true, None),
        ("/TDX_QUOTE", true, true, None),
        ("/other?/tdx_quote", true, true, None),
        ("*", true, true, None),
    ] {
        let kind = attests.then_some(&[Tee::Snp, Tee::Tdx][..]);
        let route = |method: &[u8]| evidence_route(method, target.as_bytes(), kind, judges);
        assert_eq!(route(b"POST"), wanted, "{target} {attests} {judges}");
        assert_eq!((route(b"GET"), route(b"post")), (None, None), "{target}");
    }
    // atlas-v1 has no place for evidence of another kind than TDX: the request is the host's.
    assert_eq!(evidence_route(b"POST", quote.as_bytes(), Some(&[Tee::Snp, Tee::Nitro]), false), None);
    assert_eq!(evidence_route(b"POST", challenge.as_bytes(), Some(&[Tee::Snp, Tee::Nitro]), false), exporter);
}

#[tokio::test(start_paused = true)]
async fn evidence_that_never_comes_is_answered_with_503() {
    let begun = tokio::time::Instant::now();
    let error = in_time(std::future::pending::<Result<String>>()).await.unwrap_err();
    assert_eq!((error.status, no_quote(&error), begun.elapsed().as_secs()), (Status::Busy, 503, 30));
    assert_eq!(in_time(async { Ok(7) }).await.unwrap(), 7);
    let failed = in_time::<()>(async { Err(Error::new(Status::NoEvidence, "none")) }).await.unwrap_err();
    assert_eq!((failed.status, no_quote(&failed)), (Status::NoEvidence, 500));
}
