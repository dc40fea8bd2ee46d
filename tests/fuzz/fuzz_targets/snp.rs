//! Reports, certificates, revocation lists and configuration documents of SEV-SNP guests, judged in full against a simulated AMD: nothing that is made up
//! is trusted.
#![no_main]

use std::sync::OnceLock;

use atls::attest::dstack::config_document::ConfigDocument;
use atls::attest::snp::{Crl, DocumentKind, Leaf, Product, Report, SigningKey, Snp, SnpEvidence};
use atls::attest::{
    AppraisalRequest, Binding, Document, Documents, Evidence, Policy, TrustAnchors, Vendor, appraise, needs,
};
use simtee::snp::{Amd, REPORT};

const NOW: u64 = 1_790_000_000;

struct World {
    report: [u8; REPORT],
    leaf: Vec<u8>,
    list: Vec<u8>,
    policy: Policy,
    anchors: TrustAnchors,
    ark: Vec<u8>,
}

/// The input is XORed over what is genuine, so that mutations are near what is valid.
static WORLD: OnceLock<World> = OnceLock::new();

fn world() -> &'static World {
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

fn bend(whole: &[u8], at: [u8; 2], edits: &[u8]) -> Vec<u8> {
    let mut bent = whole.to_vec();
    let at = usize::from(u16::from_le_bytes(at)) % bent.len();
    bent[at..].iter_mut().zip(edits).for_each(|(byte, edit)| *byte ^= edit);
    bent
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let [part, low, high, edits @ ..] = data else { return };
    let (world, at) = (world(), [*low, *high]);
    let (mut report, mut leaf, mut list) = (world.report, world.leaf.clone(), world.list.clone());
    match part % 6 {
        0 => report.copy_from_slice(&bend(&world.report, at, edits)),
        1 => leaf = bend(&leaf, at, edits),
        2 => list = bend(&list, at, edits),
        // Whatever it is.
        3 => drop(Leaf::read(edits)),
        4 => drop(Crl::read(edits, &world.ark)),
        _ => drop(ConfigDocument::parse(&String::from_utf8_lossy(edits))),
    }
    let changed = report != world.report || leaf != world.leaf || list != world.list;
    drop(Report::read(&report));
    let Ok(leaf) = Leaf::read(&leaf) else { return };
    let evidence = Evidence::of::<Snp>(SnpEvidence { report, leaf: Some(leaf), mr_config: None });
    let mut documents = Documents::none();
    let id = DocumentKind::crl(Product::Milan, SigningKey::Vcek);
    documents.add(id, Document { body: list, ..Document::default() });
    let (policy, anchors) = (&world.policy, &world.anchors);
    let request =
        AppraisalRequest { evidence: &evidence, documents: &documents, policy, anchors, binding: &Binding::Skip, now: NOW };
    drop(needs(&request));
    let trusted = appraise(&request).is_ok_and(|verdict| verdict.trusted);
    assert!(trusted != changed);
});
