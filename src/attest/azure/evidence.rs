//! Evidence of Azure's confidential virtual machines as it comes off the wire (protocol exporter-v1, kinds `azure_tdx_vtpm` and `azure_snp_vtpm`).
//! Pure.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::ak;
use super::hcl::{HclReport, ReportType};
use crate::attest::json;
use crate::attest::tpm::{Pcrs, RSA_BYTES, TpmAttest};

/// What both kinds have in common; decoded but not judged.
#[derive(Clone, Debug)]
pub struct Vtpm {
    pub report: HclReport,
    /// TPMS_ATTEST as it is signed.
    pub message: Vec<u8>,
    pub attest: TpmAttest,
    pub signature: [u8; RSA_BYTES],
    pub pcrs: Pcrs,
    /// DER, of the key that signed first; empty if none came along.
    pub ak_certificates: Vec<Vec<u8>>,
}

impl Vtpm {
    /// Reads `{"hcl_report":base64,"tpm_quote":{"message":base64,"signature":base64,"pcrs":{"0":hex,..}},"ak_certificates"?:[base64 of DER,..]}`; other
    /// members are ignored.
    pub fn from_json(object: &Value, kind: ReportType) -> Result<Vtpm, String> {
        let report = json::base64(object, "hcl_report")?.ok_or("hcl_report is missing")?;
        let report = HclReport::read(&report, kind).map_err(|why| format!("hcl_report: {why}"))?;
        let quote = object.get("tpm_quote").ok_or("tpm_quote is missing")?;
        let message = json::base64(quote, "message")?.ok_or("tpm_quote.message is missing")?;
        let attest = TpmAttest::read(&message).map_err(|why| format!("tpm_quote.message: {why}"))?;
        let signature = json::base64(quote, "signature")?.ok_or("tpm_quote.signature is missing")?;
        let signature = signature.try_into();
        let pcrs = Pcrs::from_json(quote.get("pcrs").unwrap_or(&Value::Null))?;
        Ok(Vtpm {
            report,
            message,
            attest,
            signature: signature.map_err(|_| format!("tpm_quote.signature has not {RSA_BYTES} bytes"))?,
            pcrs,
            ak_certificates: certificates(object.get("ak_certificates"))?,
        })
    }
}

fn certificates(list: Option<&Value>) -> Result<Vec<Vec<u8>>, String> {
    let list = match list {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(list) => list.as_array().ok_or("ak_certificates is not a list")?,
    };
    let decode = |text: &Value| text.as_str().and_then(|text| STANDARD.decode(text).ok());
    let chain: Option<Vec<_>> = list.iter().map(decode).collect();
    let chain = chain.ok_or("ak_certificates: a member is not base64")?;
    ak::check_form(&chain)?;
    Ok(chain)
}
