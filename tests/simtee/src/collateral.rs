//! The simulated vendor's documents.

use serde_json::{Value, json};
use time::macros::format_description;
use time::{Duration, OffsetDateTime};

use crate::hex;
use crate::pki::{FMSPC, PCE_SVN, SimTee, sign};

/// What the documents say.
#[derive(Clone, Debug)]
pub struct Issue {
    pub status: &'static str,
    /// Of the quoting enclave, and what its version must be at least; it is 8.
    pub qe_status: &'static str,
    pub qe_isvsvn: u16,
    /// Version and status of TDX modules besides the first one.
    pub modules: Vec<(u8, &'static str)>,
    pub advisories: Vec<&'static str>,
    /// Days from now.
    pub issued: i64,
    pub expires: i64,
    /// Hours before that.
    pub expires_earlier: i64,
    pub tcb_date_days: i64,
    pub evaluation_number: u32,
    pub crl_number: u64,
    /// Days from now.
    pub crl_issued: i64,
    pub crl_expires: i64,
    pub revoke_platform: bool,
    /// On the root's list.
    pub revoke_pck_ca: bool,
    pub revoke_tcb_signer: bool,
    pub fmspc: [u8; 6],
    pub pce_id: [u8; 2],
    /// Change a byte after signing.
    pub tamper: bool,
}

impl Default for Issue {
    fn default() -> Self {
        Issue {
            status: "UpToDate",
            qe_status: "UpToDate",
            qe_isvsvn: 8,
            modules: vec![],
            advisories: vec![],
            issued: -1,
            expires: 29,
            expires_earlier: 0,
            tcb_date_days: -100,
            evaluation_number: 19,
            crl_number: 5,
            crl_issued: -1,
            crl_expires: 30,
            revoke_platform: false,
            revoke_pck_ca: false,
            revoke_tcb_signer: false,
            fmspc: FMSPC,
            pce_id: [0, 0],
            tamper: false,
        }
    }
}

impl SimTee {
    pub fn tcb_info(&self, issue: &Issue) -> String {
        let components = |svn: u8| -> Value { (0..16).map(|_| json!({"svn": svn})).collect() };
        let module: Value = (0..16).map(|i| json!({"svn": if i == 0 { 3 } else { 0 }})).collect();
        let identity = |(version, status): &(u8, &str)| {
            json!({
                "id": format!("TDX_{version:02}"), "mrsigner": "00".repeat(48), "attributes": "00".repeat(8),
                "attributesMask": "FF".repeat(8),
                "tcbLevels": [{"tcb": {"isvsvn": 3}, "tcbDate": date(issue.tcb_date_days), "tcbStatus": status}],
            })
        };
        let modules: Value = issue.modules.iter().map(identity).collect();
        let inner = json!({
            "id": "TDX", "version": 3, "issueDate": date(issue.issued), "nextUpdate": date_hours(24 * issue.expires - issue.expires_earlier),
            "fmspc": hex(&issue.fmspc).to_uppercase(), "pceId": hex(&issue.pce_id).to_uppercase(), "tcbType": 0,
            "tcbEvaluationDataNumber": issue.evaluation_number,
            "tdxModule": {"mrsigner": "00".repeat(48), "attributes": "00".repeat(8), "attributesMask": "FF".repeat(8)},
            "tdxModuleIdentities": modules,
            "tcbLevels": [{
                "tcb": {"sgxtcbcomponents": components(2), "pcesvn": PCE_SVN, "tdxtcbcomponents": module},
                "tcbDate": date(issue.tcb_date_days), "tcbStatus": issue.status, "advisoryIDs": issue.advisories,
            }],
        });
        self.signed("tcbInfo", &inner, issue.tamper)
    }

    /// As `tcb_info`, for quotes of enclaves.
    pub fn sgx_tcb_info(&self, issue: &Issue) -> String {
        let components: Value = (0..16).map(|_| json!({"svn": 2})).collect();
        let inner = json!({
            "id": "SGX", "version": 3, "issueDate": date(issue.issued), "nextUpdate": date_hours(24 * issue.expires - issue.expires_earlier),
            "fmspc": hex(&issue.fmspc).to_uppercase(), "pceId": hex(&issue.pce_id).to_uppercase(), "tcbType": 0,
            "tcbEvaluationDataNumber": issue.evaluation_number,
            "tcbLevels": [{
                "tcb": {"sgxtcbcomponents": components, "pcesvn": PCE_SVN},
                "tcbDate": date(issue.tcb_date_days), "tcbStatus": issue.status, "advisoryIDs": issue.advisories,
            }],
        });
        self.signed("tcbInfo", &inner, issue.tamper)
    }

    pub fn qe_identity(&self, issue: &Issue) -> String {
        self.identity(("TD_QE", 2), issue)
    }

    /// As `qe_identity`, for the enclave that quotes enclaves.
    pub fn sgx_qe_identity(&self, issue: &Issue) -> String {
        self.identity(("QE", 1), issue)
    }

    fn identity(&self, (id, product): (&str, u16), issue: &Issue) -> String {
        let inner = json!({
            "id": id, "version": 2, "issueDate": date(issue.issued), "nextUpdate": date_hours(24 * issue.expires - issue.expires_earlier),
            "tcbEvaluationDataNumber": issue.evaluation_number,
            "miscselect": "00000000", "miscselectMask": "FFFFFFFF",
            "attributes": format!("11{}", "00".repeat(15)), "attributesMask": format!("FBFFFFFFFFFFFFFF{}", "00".repeat(8)),
            "mrsigner": "55".repeat(32), "isvprodid": product,
            "tcbLevels": [{"tcb": {"isvsvn": issue.qe_isvsvn}, "tcbDate": date(issue.tcb_date_days), "tcbStatus": issue.qe_status}],
        });
        self.signed("enclaveIdentity", &inner, false)
    }

    fn signed(&self, name: &str, inner: &Value, tamper: bool) -> String {
        let mut text = inner.to_string();
        let signature = hex(&sign(&self.tcb_key, text.as_bytes()));
        if tamper {
            text = text.replacen("\"tcbType\":0", "\"tcbType\":1", 1);
        }
        format!(r#"{{"{name}":{text},"signature":"{signature}"}}"#)
    }

    pub fn tcb_chain(&self) -> String {
        format!("{}{}", self.tcb_pem, self.root_pem)
    }

    pub fn pck_crl_chain(&self) -> String {
        format!("{}{}", self.pck_ca_pem, self.root_pem)
    }

    /// A complete set in the JSON form of dcap-qvl, for offline verification of a trust domain.
    pub fn collateral_json(&self, issue: &Issue) -> String {
        self.set(issue, (self.tcb_info(issue), self.qe_identity(issue)))
    }

    /// The same for an enclave.
    pub fn sgx_collateral_json(&self, issue: &Issue) -> String {
        self.set(issue, (self.sgx_tcb_info(issue), self.sgx_qe_identity(issue)))
    }

    /// A set of these two documents, and the lists that go with all of them.
    pub fn set(&self, issue: &Issue, (tcb_info, qe_identity): (String, String)) -> String {
        let split = |document: String, name: &str| {
            let end = document.rfind(",\"signature\":\"").expect("signature");
            let inner = document[name.len() + 4..end].to_owned();
            let signature = document[end + 14..document.len() - 2].to_owned();
            (inner, signature)
        };
        let (tcb_info, tcb_signature) = split(tcb_info, "tcbInfo");
        let (qe_identity, qe_signature) = split(qe_identity, "enclaveIdentity");
        json!({
            "pck_crl_issuer_chain": self.pck_crl_chain(),
            "root_ca_crl": hex(&self.root_crl(issue)),
            "pck_crl": hex(&self.pck_crl(issue)),
            "tcb_info_issuer_chain": self.tcb_chain(), "tcb_info": tcb_info, "tcb_info_signature": tcb_signature,
            "qe_identity_issuer_chain": self.tcb_chain(), "qe_identity": qe_identity, "qe_identity_signature": qe_signature,
        })
        .to_string()
    }
}

/// A bundle of documents by their names, each with its chain and body.
pub fn bundle(objects: &[(&str, String, Vec<u8>)]) -> Value {
    let object = |(name, chain, body): &(&str, String, Vec<u8>)| {
        let fetched = OffsetDateTime::now_utc().unix_timestamp();
        json!({"name": name, "body": hex(body), "chain": chain, "fetched": fetched})
    };
    json!({"atls_collateral_bundle": 1, "objects": objects.iter().map(object).collect::<Vec<_>>()})
}

fn date(days: i64) -> String {
    date_hours(24 * days)
}

fn date_hours(hours: i64) -> String {
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
    (OffsetDateTime::now_utc() + Duration::hours(hours)).format(&format).expect("date")
}
