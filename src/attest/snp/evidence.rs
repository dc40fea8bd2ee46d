//! Evidence of an SEV-SNP guest as it comes off the wire (protocol exporter-v1, kind `snp`). Pure.

use serde_json::Value;

use super::layout::LENGTH;
use super::leaf::Leaf;
use crate::attest::dstack::config_document;
use crate::attest::json;

/// Evidence, decoded but not judged.
#[derive(Clone, Debug)]
pub struct SnpEvidence {
    pub report: [u8; LENGTH],
    /// The certificate of the key that signed it, if it came along.
    pub leaf: Option<Leaf>,
    /// dstack's configuration document.
    pub mr_config: Option<String>,
}

impl SnpEvidence {
    /// Reads `{"report":base64,"leaf"?:base64 of DER,"mr_config"?:text}`; other members are ignored.
    pub fn from_json(object: &Value) -> Result<SnpEvidence, String> {
        let report = json::base64(object, "report")?.ok_or("report is missing")?;
        let report: [u8; LENGTH] =
            report.try_into().map_err(|raw: Vec<u8>| format!("report has {} bytes, not {LENGTH}", raw.len()))?;
        let leaf = json::base64(object, "leaf")?.map(|der| Leaf::read(&der)).transpose();
        let mr_config = json::string(object, "mr_config")?.map(str::to_owned);
        if let Some(document) = &mr_config
            && document.len() > config_document::MAX_BYTES
        {
            return Err(format!("mr_config has {} bytes, at most {}", document.len(), config_document::MAX_BYTES));
        }
        Ok(SnpEvidence { report, leaf: leaf.map_err(|why| format!("leaf: {why}"))?, mr_config })
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use serde_json::json;

    use super::*;

    #[test]
    fn form_and_refusals() {
        let report = STANDARD.encode([7; LENGTH]);
        let good = SnpEvidence::from_json(&json!({"report": report, "mr_config": "{}", "more": 1})).unwrap();
        assert_eq!((good.report[0], good.leaf.is_none(), good.mr_config.as_deref()), (7, true, Some("{}")));
        let leaf = STANDARD.encode(b"no certificate");
        let long = "x".repeat(config_document::MAX_BYTES + 1);
        for (bad, why) in [
            (json!({}), "report is missing"),
            (json!({"report": 7}), "not a string"),
            (json!({"report": STANDARD.encode([0; LENGTH - 1])}), "1183 bytes"),
            (json!({"report": STANDARD.encode([0; LENGTH + 1])}), "1185 bytes"),
            (json!({"report": report.trim_end_matches('=')}), "not base64"),
            (json!({"report": format!(" {report}")}), "not base64"),
            (json!({"report": report.replace("Bw==", "Bx==").replace("BwcH", "-_cH")}), "not base64"),
            (json!({"report": report, "leaf": leaf}), "leaf: "),
            (json!({"report": report, "mr_config": long}), "65537 bytes"),
        ] {
            let error = SnpEvidence::from_json(&bad).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }
}
