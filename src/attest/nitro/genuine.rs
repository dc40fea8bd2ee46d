//! Who made a document: its certificates up to AWS's root, and its signature. Pure.

use std::time::Duration;

use rustls_pki_types::{CertificateDer, UnixTime};
use webpki::aws_lc_rs::ECDSA_P384_SHA384;
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

use super::document::NitroDocument;
use crate::attest::chains::{Chains, Dates};
use crate::attest::remembering::{Remembering, is_signed_by_p384};

/// The root of Nitro enclaves, G1: <https://aws-nitro-enclaves.amazonaws.com/AWS_NitroEnclaves_Root-G1.zip>. A test holds the fingerprint.
pub const AWS_NITRO_ROOT_DER: &[u8] = include_bytes!("aws_nitro_root_g1.der");

/// Between the root and the certificate.
const INTERMEDIATES: std::ops::RangeInclusive<usize> = 1..=4;

static P384: Remembering = Remembering::new(ECDSA_P384_SHA384);

/// What is known of the key that signed, once it leads to the root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signer {
    /// SubjectPublicKeyInfo, DER.
    key: Vec<u8>,
    /// Unix seconds: the first and the last that the certificate holds at.
    pub not_before: u64,
    pub not_after: u64,
    /// The last that the chain holds at.
    pub chain_until: u64,
}

impl Signer {
    /// The document's certificate leads by all of the rest of its bundle, in that order, to `root`. The first of the bundle is a root by its own
    /// word; it is not looked at.
    pub fn of(document: &NitroDocument, root: &[u8], now: u64) -> Result<Signer, String> {
        static CHAINS: Chains<Signer> = Chains::new();
        let certificates: Vec<_> = document.certificates().chain([root]).collect();
        CHAINS.find(&certificates, [], now, || Signer::walk(document, root, now))
    }

    fn walk(document: &NitroDocument, root: &[u8], now: u64) -> Result<Signer, String> {
        let root = CertificateDer::from(root);
        let anchors = [anchor_from_trusted_cert(&root).map_err(|error| format!("root: {error}"))?];
        let bundle = document.cabundle.iter().skip(1);
        let issuers: Vec<_> = bundle.map(|der| CertificateDer::from(&der[..])).collect();
        let own = CertificateDer::from(&document.certificate[..]);
        let leaf = EndEntityCert::try_from(&own).map_err(|error| error.to_string())?;
        let (time, usage) = (UnixTime::since_unix_epoch(Duration::from_secs(now)), KeyUsage::client_auth());
        let path = leaf.verify_for_usage(&[&P384], &anchors, &issuers, time, usage, None, None);
        let path = path.map_err(|error| error.to_string())?;
        let used: Vec<_> = path.intermediate_certificates().map(|issuer| issuer.der()).collect();
        if !used.iter().eq(issuers.iter().rev()) {
            return Err("its bundle is not the chain, from the root on".into());
        }
        if !INTERMEDIATES.contains(&used.len()) {
            return Err(format!("{} intermediates, at least 1 and at most 4", used.len()));
        }
        let dates = |certificates: &[&[u8]]| Dates::of(certificates).ok_or("a certificate that cannot be read");
        let own = dates(&[&document.certificate])?;
        Ok(Signer {
            key: leaf.subject_public_key_info().to_vec(),
            not_before: own.from,
            not_after: own.until,
            chain_until: dates(&document.certificates().collect::<Vec<_>>())?.until,
        })
    }

    pub fn has_signed(&self, document: &NitroDocument) -> bool {
        is_signed_by_p384(&self.key, &document.signed(), &document.signature)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attest::hash::{hex, sha256};

    #[test]
    fn the_built_in_root_is_aws() {
        let fingerprint = "641a0321a3e244efe456463195d606317ed7cdcc3c1756e09893f3c68f79bb5b";
        assert_eq!(hex(&sha256(AWS_NITRO_ROOT_DER)), fingerprint);
    }
}
