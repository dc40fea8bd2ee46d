//! A simulated guest of SEV-SNP, what is genuine of it, and its judgement in full when some of that has been changed.

use std::sync::OnceLock;

use atls::attest::snp::{AmdDocumentKind, Leaf, Product, SigningKey, Snp, SnpEvidence};
use atls::attest::{
    AppraisalRequest, Binding, Document, Documents, Evidence, Policy, TrustAnchors, Vendor, appraise, needs,
};
use simtee::snp::{Amd, REPORT};

const NOW: u64 = 1_790_000_000;

pub struct World {
    pub report: [u8; REPORT],
    pub leaf: Vec<u8>,
    pub list: Vec<u8>,
    pub ark: Vec<u8>,
    policy: Policy,
    anchors: TrustAnchors,
}

static WORLD: OnceLock<World> = OnceLock::new();

pub fn world() -> &'static World {
    WORLD.get_or_init(|| {
        let amd = Amd::of(simtee::snp::Product::Milan);
        let mut report = amd.report(3, &[0; 64]);
        amd.sign(&mut report);
        let measurement = "5a".repeat(48);
        let policy = format!(
            r#"{{"type":"snp","products":["Milan"],"measurement":["{measurement}"],"allow_simulated":true,
            "min_tcb":{{"Milan":{{"bootloader":4,"tee":2,"snp":24,"microcode":219}}}}}}"#
        );
        World {
            leaf: amd.leaf(&amd.vcek(&report)),
            report,
            list: amd.list(&amd.clean(NOW)),
            policy: Policy::from_json(policy.as_bytes()).unwrap(),
            anchors: TrustAnchors::simulated(Vendor::Amd, amd.certificates.concat()),
            ark: amd.certificates[0].clone(),
        }
    })
}

/// The input is XORed over what is genuine, so that mutations are near what is valid.
pub fn bend(whole: &[u8], data: &[u8]) -> Option<Vec<u8>> {
    let [low, high, edits @ ..] = data else { return None };
    let mut bent = whole.to_vec();
    let at = usize::from(u16::from_le_bytes([*low, *high])) % bent.len();
    bent[at..].iter_mut().zip(edits).for_each(|(byte, edit)| *byte ^= edit);
    Some(bent)
}

/// Only what is genuine is trusted.
pub fn judge(report: [u8; REPORT], leaf: &[u8], list: Vec<u8>) {
    let world = world();
    let changed = report != world.report || leaf != world.leaf || list != world.list;
    let Ok(leaf) = Leaf::read(leaf) else { return };
    let evidence = Evidence::of::<Snp>(SnpEvidence { report, leaf: Some(leaf), mr_config: None });
    let mut documents = Documents::none();
    let id = AmdDocumentKind::crl(Product::Milan, SigningKey::Vcek);
    documents.add(id, Document::new(list, Vec::new(), String::new()));
    let (policy, anchors) = (&world.policy, &world.anchors);
    let request =
        AppraisalRequest { evidence: &evidence, documents: &documents, policy, anchors, binding: &Binding::Skip, received: NOW, now: NOW };
    drop(needs(&request));
    let trusted = appraise(&request).is_ok_and(|verdict| verdict.trusted);
    assert!(trusted != changed);
}
