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

use crate::attest::azure::has_issued;
use crate::error::{Error, Phase, Result, Status};
use crate::http_call::{AnswerBounds, call};
use crate::io::dialling::{Dial, reach, resolve};
use crate::io::{clock, is_private};

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

    /// Where issuers' certificates may be. Only if this service itself is a test's, on this machine, they may be there too.
    fn issuers_at(&self) -> Service {
        let local = match self.0.host() {
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            Some(Host::Domain(name)) => name == "localhost",
            None => false,
        };
        if local { Service::LocalAuthority } else { Service::Authority }
    }

    async fn ask(&self, method: &str, path: &str, body: String) -> Result<Value> {
        let url = self.0.join(path).map_err(|error| none(error.to_string()))?;
        let asked = Asked { url: &url, of: Service::Metadata, max_bytes: MAX_ANSWER };
        let answer = get(asked, method, body).await?;
        serde_json::from_slice(&answer).map_err(|error| none(format!("{path}: {error}")))
    }
}

/// The certificates above `leaf`, from the issuer's on, without the root. Errors: one cannot be had, or has not issued the one before: what a certificate says
/// of the next is followed only if it is itself part of the chain.
pub async fn issuers(leaf: &[u8], metadata: &Metadata) -> Result<Vec<Vec<u8>>> {
    let now = clock::now()?;
    let mut chain = vec![leaf.to_vec()];
    for _ in 1..MAX_CHAIN {
        let Some(url) = chain.last().and_then(|der| issuer_url(der)) else { break };
        let asked = Asked { url: &url, of: metadata.issuers_at(), max_bytes: MAX_CERTIFICATE };
        let der = get(asked, "GET", String::new()).await?;
        let issuer = Certificate::from_der(&der).map_err(|error| none(format!("{url}: {error}")))?;
        has_issued(&der, &chain, now).map_err(|why| none(format!("{url}: not the issuer: {why}")))?;
        // Who judges has the root.
        if is_self_issued(&issuer) {
            break;
        }
        chain.push(der.to_vec());
    }
    Ok(chain.split_off(1))
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

/// Who is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Service {
    Metadata,
    /// Somebody whom a certificate names, and who is on the public internet: a certificate must not lead into the machine's own network.
    Authority,
    LocalAuthority,
}

struct Asked<'a> {
    url: &'a Url,
    of: Service,
    max_bytes: usize,
}

/// The body of a 200.
async fn get(Asked { url, of, max_bytes }: Asked<'_>, method: &str, body: String) -> Result<Bytes> {
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
        .header("Connection", "close");
    if of == Service::Metadata {
        // It answers nobody who was led to it by accident, and so nobody else is told this.
        request = request.header("Metadata", "true");
    }
    if !body.is_empty() {
        request = request.header("Content-Type", "application/json");
    }
    let request = request.body(Full::new(Bytes::from(body))).map_err(|error| none(error.to_string()))?;
    let failed = |why: String| none(format!("{method} {url}: {why}"));
    let answered = tokio::time::timeout(SERVICE_TIMEOUT, async {
        let how = Dial::default();
        let mut addresses = resolve(&host, port, &how).await.map_err(|error| failed(error.message))?;
        if of == Service::Authority {
            addresses.retain(|address| !is_private(address.ip()));
            if addresses.is_empty() {
                return Err(failed("it leads to a private address".into()));
            }
        }
        let socket = reach(addresses, &how).await.map_err(|error| failed(error.message))?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_certificate_does_not_lead_into_the_machines_own_network() {
        let asked = |url: &str, of| {
            let url = Url::parse(url).unwrap();
            async move { get(Asked { url: &url, of, max_bytes: 1 }, "GET", String::new()).await.unwrap_err().message }
        };
        for url in ["http://127.0.0.1:1/", "http://localhost:1/", "http://169.254.169.254/metadata", "http://10.1.2.3/"]
        {
            let why = asked(url, Service::Authority).await;
            assert!(why.ends_with("it leads to a private address"), "{why}");
        }
        for url in ["http://[::1]:1/", "http://[::ffff:169.254.169.254]/", "http://[fd00::1]/", "http://0.0.0.0/"] {
            let why = asked(url, Service::Authority).await;
            assert!(why.ends_with("it leads to a private address"), "{why}");
        }
        let why = asked("http://127.0.0.1:1/", Service::LocalAuthority).await;
        assert!(!why.contains("private"), "{why}");
    }

    #[test]
    fn only_a_service_on_this_machine_has_issuers_there() {
        let of = |url: &str| Metadata::at(url).unwrap().issuers_at();
        for url in ["http://127.0.0.1:8080", "http://[::1]", "http://localhost:1"] {
            assert_eq!(of(url), Service::LocalAuthority, "{url}");
        }
        for url in ["http://169.254.169.254", "http://metadata.example", "http://10.0.0.1"] {
            assert_eq!(of(url), Service::Authority, "{url}");
        }
    }
}
