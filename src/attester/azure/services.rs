//! What the TPM does not have: the hardware's quote or certificate, from the cloud's metadata service, and the certificates between that of the
//! attestation key and Microsoft's root, from where the certificates say that they are. Nothing of it is believed here: who judges the evidence judges
//! them. Touches the network.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http_body_util::Full;
use hyper::body::Bytes;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde_json::{Value, json};
use url::{Host, Url};
use x509_cert::Certificate;
use x509_cert::der::{Decode, Encode};
use x509_cert::ext::pkix::AuthorityInfoAccessSyntax;
use x509_cert::ext::pkix::name::GeneralName;

use crate::error::{Error, Phase, Result, Status};
use crate::http_call::{AnswerBounds, call};
use crate::io::dialling::{Dial, dial};

const SERVICE_TIMEOUT: Duration = Duration::from_secs(10);
/// A quote has some 5 KiB.
const MAX_ANSWER: usize = 64 << 10;
const MAX_CERTIFICATE: usize = 8 << 10;
/// Certificates in a chain of the attestation key, its own counted.
const MAX_CHAIN: usize = 4;
/// id-ad-caIssuers (RFC 5280 section 4.2.2.1), and the extension.
const CA_ISSUERS: &str = "1.3.6.1.5.5.7.48.2";
const ACCESS: &str = "1.3.6.1.5.5.7.1.1";

/// The cloud's metadata service, by its base URL.
#[derive(Clone, Debug)]
pub struct Metadata(pub Url);

impl Metadata {
    /// Errors: InvalidArgument.
    pub fn at(url: &str) -> Result<Metadata> {
        let broken = |why: String| Error::new(Status::InvalidArgument, format!("metadata_url {url:?}: {why}"));
        let parsed = Url::parse(url).map_err(|error| broken(error.to_string()))?;
        if parsed.scheme() != "http" || parsed.host().is_none() || parsed.path() != "/" || parsed.query().is_some() {
            return Err(broken("not http://HOST or http://HOST:PORT".into()));
        }
        Ok(Metadata(parsed))
    }

    /// The hardware's quote over a TDREPORT.
    pub async fn quote(&self, td_report: &[u8]) -> Result<Vec<u8>> {
        let body = json!({"report": URL_SAFE_NO_PAD.encode(td_report)}).to_string();
        let answer = self.ask("POST", "/acc/tdquote", body).await?;
        let quote = answer["quote"].as_str().and_then(|text| URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok());
        quote.ok_or_else(|| none("/acc/tdquote: no quote in base64url".into()))
    }

    /// The certificate of the chip's key, DER.
    pub async fn chip_certificate(&self) -> Result<Vec<u8>> {
        let path = "/metadata/THIM/amd/certification";
        let answer = self.ask("GET", path, String::new()).await?;
        let pem = answer["vcekCert"].as_str().unwrap_or_default();
        let read = CertificateDer::from_pem_slice(pem.as_bytes());
        read.map(|der| der.to_vec()).map_err(|_| none(format!("{path}: vcekCert is not a certificate in PEM")))
    }

    async fn ask(&self, method: &str, path: &str, body: String) -> Result<Value> {
        let url = self.0.join(path).map_err(|error| none(error.to_string()))?;
        let answer = get(&url, method, body, MAX_ANSWER).await?;
        serde_json::from_slice(&answer).map_err(|error| none(format!("{path}: {error}")))
    }
}

/// The certificates above `leaf`, from the issuer's on, without the root. `None` if one cannot be had.
pub async fn issuers(leaf: &[u8]) -> Result<Vec<Vec<u8>>> {
    let mut found: Vec<Vec<u8>> = Vec::new();
    for _ in 1..MAX_CHAIN {
        let Some(url) = issuer_url(found.last().map_or(leaf, |der| der)) else { break };
        let der = get(&url, "GET", String::new(), MAX_CERTIFICATE).await?;
        match Certificate::from_der(&der) {
            Err(error) => return Err(none(format!("{url}: {error}"))),
            // Who judges has the root.
            Ok(root) if is_self_issued(&root) => break,
            Ok(_) => found.push(der.to_vec()),
        }
    }
    Ok(found)
}

fn is_self_issued(certificate: &Certificate) -> bool {
    let name = certificate.tbs_certificate().subject().to_der();
    name.is_ok() && name == certificate.tbs_certificate().issuer().to_der()
}

/// Where a certificate says that its issuer's is, if that is by http.
fn issuer_url(der: &[u8]) -> Option<Url> {
    let certificate = Certificate::from_der(der).ok()?;
    let extensions = certificate.tbs_certificate().extensions()?;
    let access = extensions.iter().find(|extension| extension.extn_id.to_string() == ACCESS)?;
    let places = AuthorityInfoAccessSyntax::from_der(access.extn_value.as_bytes()).ok()?;
    let mut urls = places.0.iter().filter(|place| place.access_method.to_string() == CA_ISSUERS).filter_map(|place| {
        let GeneralName::UniformResourceIdentifier(url) = &place.access_location else { return None };
        Url::parse(url.as_str()).ok().filter(|url| url.scheme() == "http" && url.host().is_some())
    });
    urls.next()
}

/// The body of a 200.
async fn get(url: &Url, method: &str, body: String, max_bytes: usize) -> Result<Bytes> {
    let host = match url.host() {
        Some(Host::Domain(name)) => name.to_owned(),
        Some(Host::Ipv4(address)) => address.to_string(),
        Some(Host::Ipv6(address)) => address.to_string(),
        None => return Err(none(format!("{url}: no host"))),
    };
    let port = url.port_or_known_default().unwrap_or(80);
    let authority = &url[url::Position::BeforeHost..url::Position::AfterPort];
    let mut request = http::Request::builder()
        .method(method)
        .uri(&url[url::Position::BeforePath..url::Position::AfterQuery])
        .header("Host", authority)
        // The metadata service answers nobody who was led to it by accident.
        .header("Metadata", "true")
        .header("Connection", "close");
    if !body.is_empty() {
        request = request.header("Content-Type", "application/json");
    }
    let request = request.body(Full::new(Bytes::from(body))).map_err(|error| none(error.to_string()))?;
    let failed = |why: String| none(format!("{method} {url}: {why}"));
    let answered = tokio::time::timeout(SERVICE_TIMEOUT, async {
        let socket = dial(&host, port, &Dial::default()).await.map_err(|error| failed(error.message))?;
        let bounds = AnswerBounds { max_bytes, wants_body: |_| true };
        let (answer, _) = call(socket, request, bounds).await.map_err(|why| failed(why.to_string()))?;
        match answer.framing {
            Err(bad) => Err(failed(bad.message).detail(bad.detail)),
            Ok(()) if answer.head.status != 200 => Err(failed(format!("status {}", answer.head.status.as_u16()))),
            Ok(()) => Ok(answer.body),
        }
    });
    answered.await.map_err(|_| failed(format!("no answer within {} s", SERVICE_TIMEOUT.as_secs())))?
}

fn none(why: String) -> Error {
    Error::new(Status::NoEvidence, why).phase(Phase::Evidence)
}
