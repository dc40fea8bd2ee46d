//! Lies about who made the report of an SEV-SNP guest, each told by a simulated AMD with everything else true, and the check that must notice.

#![allow(unsafe_code)] // It is a client of the C ABI.

mod support;

use std::ptr::null_mut;

use atls::attest::hash::hex;
use serde_json::json;
use simtee::SimTee;
use simtee::snp::{Amd, Ca, Leaf, List, Product};
use support::abi::*;
use support::snp_guest::{Machine, NOW, PRODUCTS, PROVIDER, binder_of, components, floor, with_vlek};
use support::text;

#[test]
fn the_truth_is_trusted() {
    for product in PRODUCTS {
        for version in 2..=5 {
            let found = Machine::new(product, version).honest().trusted();
            let verdict = &found.verdict;
            assert_eq!((&verdict["trust_anchor"], &verdict["protocol"]), (&json!("simulated"), &json!("exporter-v1")));
            assert_eq!(verdict["platform"]["product"], product.name());
            assert_eq!(verdict["platform"]["reported_tcb"], floor(product));
            assert_eq!(verdict["collateral"]["crl_number"], 5);
        }
        let provider = with_vlek(Machine::new(product, 3).with(0x48, &[4]).with(0x1a0, &[0; 64]).honest());
        assert_eq!(provider.trusted().verdict["platform"]["csp_id"], PROVIDER);
        for with_trailer in [true, false] {
            Machine::new(product, 5).question(|leaf| leaf.with_trailer = with_trailer).trusted();
            let machine = Machine::new(product, 3);
            let mut list = machine.amd.clean(NOW);
            list.with_trailer = with_trailer;
            machine.with_list(machine.amd.list(&list)).trusted();
        }
    }
}

#[test]
fn binder_of_another_kind_or_session() {
    for data in [binder_of([0, 1]), binder_of([0, 3]), binder_of([0, 0]), [0; 64]] {
        let machine = Machine::new(Product::Genoa, 3).with(0x50, &data);
        machine.honest().refused("BINDING_MISMATCH", "report_data");
    }
    let mut elsewhere = Machine::new(Product::Genoa, 3).honest();
    elsewhere.session = Some(SimTee::new().web_certificate(&["localhost"], -1, 1).0);
    elsewhere.refused("BINDING_MISMATCH", "report_data");
}

#[test]
fn atlas_v1_says_nothing_of_this_kind() {
    use atls::attest::{
        AppraisalRequest, Binding, Documents, Evidence, Policy, TrustAnchors, Vendor, appraise, report_data,
    };
    // Everything else is true: the report holds what atlas-v1 would have put there.
    let (nonce, exporter) = ([3; 32], [4; 32]);
    let machine = Machine::new(Product::Genoa, 3).with(0x50, &report_data(&nonce, &exporter));
    let mut question = machine.honest();
    question.policy["crl"] = "off".into();
    let evidence = Evidence::from_json(question.evidence().to_string().as_bytes()).unwrap();
    let policy = Policy::from_json(question.policy.to_string().as_bytes()).unwrap();
    let root = Vendor::Amd.read_root(question.roots.unwrap().as_bytes()).unwrap();
    let anchors = TrustAnchors::simulated(Vendor::Amd, root);
    let judged = |binding: &Binding| {
        let documents = &Documents::none();
        let (evidence, policy, anchors) = (&evidence, &policy, &anchors);
        appraise(&AppraisalRequest { evidence, documents, policy, anchors, binding, received: NOW, now: NOW }).unwrap()
    };
    assert!(judged(&Binding::Skip).trusted);
    let leaf_certificate = SimTee::new().web_certificate(&["localhost"], -1, 1).0;
    let refused = judged(&Binding::Session { nonce, exporter, leaf_certificate });
    assert!(!refused.trusted);
    let failed = refused.checks.iter().find(|check| check.outcome == atls::verdict::Outcome::Fail).unwrap();
    assert_eq!(failed.id.to_string(), "report_data");
}

#[test]
fn a_simulated_root_needs_the_consent_of_the_policy() {
    let mut question = Machine::new(Product::Milan, 3).honest();
    question.policy["allow_simulated"] = false.into();
    assert_eq!(question.ask().status, "TRUST_ANCHOR");
    question.roots = None;
    question.refused("QUOTE_INVALID", "chain");
    question.roots = Some(Amd::of(Product::Milan).roots_pem().replace("BEGIN", "BEGUN"));
    assert_eq!(question.ask().status, "INVALID_ARGUMENT");
    // Another product's roots say nothing about this one.
    let mut question = Machine::new(Product::Milan, 3).honest();
    question.roots = Some(Amd::of(Product::Genoa).roots_pem());
    question.refused("QUOTE_INVALID", "chain");
}

#[test]
fn another_key_of_amds_or_of_nobody() {
    let milan = Machine::new(Product::Milan, 3);
    // A VCEK under the issuer of providers' keys, and back.
    milan.question(|leaf| leaf.by = Ca::Asvk).refused("QUOTE_INVALID", "chain");
    milan.question(|leaf| leaf.by = Ca::Ark).refused("QUOTE_INVALID", "chain");
    let provider = Machine::new(Product::Milan, 3).with(0x48, &[4]);
    with_vlek(provider.question(|leaf| leaf.by = Ca::Ask)).refused("QUOTE_INVALID", "chain");
    // A key that is not the one that signed.
    milan.question(|leaf| leaf.of_provider_key = true).refused("QUOTE_INVALID", "signature");
    // Another product's intermediate, and a vendor of the same names.
    let mut foreign = milan.honest();
    let genoa = Amd::of(Product::Genoa);
    foreign.leaf = Some(genoa.leaf(&genoa.vcek(&milan.report)));
    foreign.refused("QUOTE_INVALID", "chain");
    let twin = Amd::new(Product::Milan);
    let mut forged = milan.honest();
    let mut report = milan.report;
    twin.sign(&mut report);
    forged.report = report.to_vec();
    forged.leaf = Some(twin.leaf(&twin.vcek(&report)));
    forged.refused("QUOTE_INVALID", "chain");
}

#[test]
fn a_certificate_out_of_its_time() {
    let machine = Machine::new(Product::Genoa, 3);
    for (from, to, holds) in [(NOW, NOW, true), (NOW + 1, NOW + 9, false), (NOW - 9, NOW - 1, false)] {
        let question = machine.question(|leaf| (leaf.not_before, leaf.not_after) = (from, to));
        if holds {
            question.trusted()
        } else {
            question.refused("QUOTE_INVALID", "chain")
        };
    }
}

#[test]
fn a_certificate_for_another_firmware_or_product() {
    for product in PRODUCTS {
        let machine = Machine::new(product, 3);
        for (_, at) in components(product) {
            machine.question(|leaf| leaf.tcb[*at] ^= 1).refused("QUOTE_INVALID", "leaf_tcb");
        }
        for name in ["Milano", "Rome", "", "Gen-oa"] {
            machine.question(|leaf| leaf.product = name.into()).refused("QUOTE_INVALID", "leaf_tcb");
        }
        machine.question(|leaf| leaf.product = format!("{}-B1", product.name())).trusted();
    }
}

#[test]
fn a_certificate_of_another_chip() {
    for product in PRODUCTS {
        let machine = Machine::new(product, 3);
        machine.question(|leaf| leaf.hardware_id.as_mut().unwrap()[0] ^= 1).refused("QUOTE_INVALID", "chip_id");
        let wrapped = |leaf: &mut Leaf| {
            let id = leaf.hardware_id.take().unwrap();
            leaf.hardware_id = Some([&[4, id.len() as u8], &id[..]].concat());
        };
        machine.question(wrapped).trusted();
    }
    let short = |leaf: &mut Leaf| leaf.hardware_id.as_mut().unwrap().truncate(8);
    Machine::new(Product::Milan, 3).question(short).refused("QUOTE_INVALID", "chip_id");
    // Nor if the chip's identity has nothing behind them: only Turin's are that short.
    Machine::new(Product::Milan, 3).with(0x1a8, &[0; 56]).question(short).refused("QUOTE_INVALID", "chip_id");
    // Turin's first eight bytes, and something behind them.
    Machine::new(Product::Turin, 3).with(0x1df, &[1]).honest().refused("QUOTE_INVALID", "chip_id");
}

#[test]
fn a_chip_that_does_not_say_which_it_is() {
    let machine = Machine::new(Product::Genoa, 3);
    let id = machine.report[0x1a0..0x1e0].to_vec();
    let masked = Machine::new(Product::Genoa, 3).with(0x1a0, &[0; 64]);
    let mut question = masked.question(|leaf| leaf.hardware_id = Some(id.clone()));
    question.refused("QUOTE_INVALID", "chip_id");
    question.policy["allow_masked_chip_id"] = true.into();
    question.trusted();
    question.policy["allowed_chip_id"] = json!([hex(&id)]);
    question.refused("MEASUREMENT_MISMATCH", "hardware_instance");
    question.policy["allowed_chip_id"] = json!(["0".repeat(128)]);
    question.refused("MEASUREMENT_MISMATCH", "hardware_instance");
    question.policy.as_object_mut().unwrap().remove("allowed_chip_id");
    question.policy["denied_chip_id"] = json!([hex(&id)]);
    question.refused("MEASUREMENT_MISMATCH", "hardware_instance");
    // Nobody can be asked for its certificate.
    question.leaf = None;
    question.refused("EVIDENCE_INVALID", "leaf");
    // The word does not excuse another chip.
    let mut other = machine.question(|leaf| leaf.hardware_id.as_mut().unwrap()[9] ^= 1);
    other.policy["allow_masked_chip_id"] = true.into();
    other.refused("QUOTE_INVALID", "chip_id");
}

#[test]
fn a_certificate_that_says_two_things() {
    let machine = Machine::new(Product::Milan, 3);
    let text = [&[0x16, PROVIDER.len() as u8], PROVIDER.as_bytes()].concat();
    let number = vec![2, 1, 24];
    machine.question(|leaf| leaf.more.push((vec![5], false, text.clone()))).refused("QUOTE_INVALID", "leaf_tcb");
    machine.question(|leaf| leaf.hardware_id = None).refused("QUOTE_INVALID", "leaf_tcb");
    machine.question(|leaf| leaf.more.push((vec![3, 3], false, number.clone()))).refused("QUOTE_INVALID", "leaf_tcb");
    machine.question(|leaf| leaf.more.push((vec![9], true, number.clone()))).refused("QUOTE_INVALID", "chain");
    machine.question(|leaf| leaf.hardware_id.as_mut().unwrap().push(0)).refused("QUOTE_INVALID", "leaf_tcb");
    machine.question(|leaf| leaf.more.push((vec![3, 9], false, number.clone()))).refused("QUOTE_INVALID", "leaf_tcb");
    // A chip's certificate that names a provider, under the right issuer.
    let swap = |leaf: &mut Leaf| (leaf.hardware_id, leaf.csp_id) = (None, Some(PROVIDER.into()));
    machine.question(swap).refused("QUOTE_INVALID", "chip_id");
    let provider = Machine::new(Product::Milan, 3).with(0x48, &[4]);
    let swap = |leaf: &mut Leaf| (leaf.hardware_id, leaf.csp_id) = (Some(vec![7; 64]), None);
    with_vlek(provider.question(swap)).refused("QUOTE_INVALID", "chip_id");
}

#[test]
fn a_provider_that_the_policy_does_not_name() {
    let provider = Machine::new(Product::Genoa, 3).with(0x48, &[4]).with(0x1a0, &[0; 64]);
    let question = with_vlek(provider.question(|leaf| leaf.csp_id = Some("CN=cc-example.test2".into())));
    question.refused("MEASUREMENT_MISMATCH", "csp_id");
    provider.honest().refused("TCB_REJECTED", "signing_key");
    let mut without = with_vlek(provider.honest());
    without.leaf = None;
    without.refused("EVIDENCE_INVALID", "leaf");
}

#[test]
fn revocation_lists() {
    let machine = Machine::new(Product::Milan, 3);
    let amd = machine.amd;
    let list = |change: fn(&mut List)| {
        let mut list = amd.clean(NOW);
        change(&mut list);
        machine.with_list(amd.list(&list))
    };
    list(|list| list.revoked = vec![Ca::Ask]).refused("QUOTE_INVALID", "crl");
    list(|list| list.revoked = vec![Ca::Asvk]).trusted();
    list(|list| list.issued = NOW + 1).refused("COLLATERAL_INVALID", "crl");
    list(|list| list.issued = NOW).trusted();
    list(|list| list.expires = NOW).refused("COLLATERAL_INVALID", "crl");
    list(|list| list.expires = NOW + 1).trusted();
    // The intermediate has no say about itself.
    list(|list| list.by = Ca::Ask).refused("COLLATERAL_INVALID", "crl");
    // Nor is a list of its own one of the root's, whoever signed it.
    list(|list| list.named = Some(Ca::Ask)).refused("COLLATERAL_INVALID", "crl");
    // The difference to another list, the part of one, and what nobody knows.
    let one = || vec![2, 1, 1];
    for (name, critical) in
        [([2, 5, 29, 27], true), ([2, 5, 29, 27], false), ([2, 5, 29, 28], true), ([2, 5, 29, 28], false)]
    {
        let mut list = amd.clean(NOW);
        list.more.push((name.to_vec(), critical, one()));
        machine.with_list(amd.list(&list)).refused("COLLATERAL_INVALID", "crl");
    }
    for (critical, holds) in [(true, false), (false, true)] {
        let mut list = amd.clean(NOW);
        list.more.push((vec![1, 2, 3, 4], critical, one()));
        let question = machine.with_list(amd.list(&list));
        if holds {
            question.trusted()
        } else {
            question.refused("COLLATERAL_INVALID", "crl")
        };
    }
    // Another product's, and that of a vendor of the same names.
    let genoa = Amd::of(Product::Genoa);
    machine.with_list(genoa.list(&genoa.clean(NOW))).refused("COLLATERAL_INVALID", "crl");
    let twin = Amd::new(Product::Milan);
    machine.with_list(twin.list(&twin.clean(NOW))).refused("COLLATERAL_INVALID", "crl");
    let mut bent = amd.list(&amd.clean(NOW));
    let middle = bent.len() / 4;
    bent[middle] ^= 1;
    let found = machine.with_list(bent).ask();
    assert_eq!(found.status, "COLLATERAL_INVALID", "{found:?}");
    let mut none = machine.honest();
    none.bundle = Some(vec![]);
    none.refused("COLLATERAL_UNAVAILABLE", "crl");
    none.bundle = None;
    none.refused("COLLATERAL_UNAVAILABLE", "crl");
    // The list about providers' keys is no list about chips' keys, and a bad one is not as good as none.
    let mut other = machine.honest();
    other.bundle.as_mut().unwrap()[0].0 = "amd/crl/Milan/vlek".into();
    other.refused("COLLATERAL_UNAVAILABLE", "crl");
    let mut expired = list(|list| list.expires = NOW);
    expired.policy["crl"] = "if_available".into();
    expired.refused("COLLATERAL_INVALID", "crl");
    expired.policy["crl"] = "off".into();
    expired.trusted();
}

#[test]
fn a_report_that_is_not_all_signed_or_not_of_a_guest() {
    for at in [0x330, 0x49f, 0x2d0, 0x318] {
        let mut question = Machine::new(Product::Genoa, 3).honest();
        question.report[at] = 1;
        question.refused("QUOTE_INVALID", "report");
    }
    for (at, value) in [(0x48, 2), (0x48, 7 << 2), (0x48, 0x40), (0x34, 2), (0x188, 0x17), (0x00, 6), (0x00, 1)] {
        let question = Machine::new(Product::Genoa, 3).with(at, &[value]).honest();
        question.refused("QUOTE_INVALID", "report");
    }
    let mut old = Machine::new(Product::Genoa, 2).honest();
    old.policy["min_report_version"] = 3.into();
    old.refused("QUOTE_INVALID", "report");
}

/// What importing these documents into a verifier answers.
fn import(amd: &Amd, objects: &[(String, Vec<u8>)]) -> String {
    let entry =
        |(name, body): &(String, Vec<u8>)| json!({"name": name, "body": hex(body), "chain": "", "fetched": NOW});
    let objects: Vec<_> = objects.iter().map(entry).collect();
    let (bundle, roots) = (json!({"atls_collateral_bundle": 1, "objects": objects}).to_string(), amd.roots_pem());
    let raw = |text: &str| atls_bytes { ptr: text.as_ptr(), len: text.len() };
    unsafe {
        let (mut config, mut verifier) = (null_mut(), null_mut());
        assert_eq!(atls_verifier_config_new(&mut config, null_mut()), 0);
        let added = atls_verifier_config_add_simulated_root(config, c"amd".as_ptr(), raw(&roots), null_mut());
        assert_eq!((added, atls_verifier_new(config, &mut verifier, null_mut())), (0, 0));
        let status = atls_verifier_import(verifier, raw(&bundle), null_mut(), null_mut());
        atls_verifier_config_free(config);
        atls_verifier_free(verifier);
        text(atls_status_name(status))
    }
}

#[test]
fn a_verifier_keeps_no_certificate_of_another_chip() {
    for product in PRODUCTS {
        let machine = Machine::new(product, 3);
        let (amd, report) = (machine.amd, &machine.report);
        let name = |chip: &[u8], tcb: &[u8]| format!("amd/leaf/{}/{}/{}", product.name(), hex(chip), hex(tcb));
        let (chip, tcb) = (&report[0x1a0..0x1e0], &report[0x180..0x188]);
        let leaf = amd.leaf(&amd.vcek(report));
        assert_eq!(import(amd, &[(name(chip, tcb), leaf.clone())]), "OK");
        let (mut other, mut older) = (chip.to_vec(), tcb.to_vec());
        (other[0], older[7]) = (other[0] ^ 1, older[7] - 1);
        assert_eq!(import(amd, &[(name(&other, tcb), leaf.clone())]), "COLLATERAL_INVALID");
        assert_eq!(import(amd, &[(name(chip, &older), leaf.clone())]), "COLLATERAL_INVALID");
        assert_eq!(import(&Amd::new(product), &[(name(chip, tcb), leaf)]), "COLLATERAL_INVALID");
        let list = (format!("amd/crl/{}/vlek", product.name()), amd.list(&amd.clean(NOW)));
        assert_eq!(import(amd, std::slice::from_ref(&list)), "OK");
        assert_eq!(import(&Amd::new(product), &[list]), "COLLATERAL_INVALID");
    }
}

#[test]
fn roots_of_a_vendor_that_there_is_not() {
    let roots = Amd::of(Product::Milan).roots_pem();
    let add = |vendor: &std::ffi::CStr, pem: &str| unsafe {
        let mut config = null_mut();
        assert_eq!(atls_verifier_config_new(&mut config, null_mut()), 0);
        let pem = atls_bytes { ptr: pem.as_ptr(), len: pem.len() };
        let status = atls_verifier_config_add_simulated_root(config, vendor.as_ptr(), pem, null_mut());
        atls_verifier_config_free(config);
        text(atls_status_name(status))
    };
    let end = "-----END CERTIFICATE-----";
    let (ark, _) = roots.split_once(end).unwrap();
    let one = format!("{ark}{end}\n");
    assert_eq!((add(c"amd", &roots), add(c"intel", &one)), ("OK".into(), "OK".into()));
    for (vendor, pem) in [(c"amd", ""), (c"amd", &one), (c"intel", &roots), (c"intel", ""), (c"AMD", &roots)] {
        assert_eq!(add(vendor, pem), "INVALID_ARGUMENT", "{vendor:?}");
    }
}
