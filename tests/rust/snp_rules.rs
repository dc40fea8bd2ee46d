//! Genuine SEV-SNP guests, machines and firmware that a policy does not accept, and the check that must notice.

#![allow(unsafe_code)] // It is a client of the C ABI.

mod support;

use serde_json::{Value, json};
use simtee::snp::Product;
use support::snp_guest::{Machine, PRODUCTS, components, floor};

#[test]
fn guests_that_the_host_can_enter() {
    for (bit, word) in [(0x08, "allow_debug"), (0x04, "allow_migration"), (0x20, "allow_cxl")] {
        let mut question = Machine::new(Product::Genoa, 3).with(0x0a, &[3 | bit]).honest();
        question.refused("MEASUREMENT_MISMATCH", "guest_policy");
        question.policy["guest_policy"] = json!({word: true});
        question.trusted();
    }
    for (at, bits, word) in [
        (0x0a, 0x10, "require_single_socket"),
        (0x0a, 0x40, "require_aes_256_xts"),
        (0x0a, 0x80, "require_rapl_off"),
        (0x0b, 0x01, "require_ciphertext_hiding"),
        (0x0b, 0x02, "require_page_swap_disabled"),
    ] {
        let mut question = Machine::new(Product::Genoa, 3).honest();
        question.policy["guest_policy"] = json!({word: true});
        question.refused("MEASUREMENT_MISMATCH", "guest_policy");
        let machine = Machine::new(Product::Genoa, 3);
        let set = [machine.report[at] | bits];
        let mut question = machine.with(at, &set).honest();
        question.policy["guest_policy"] = json!({word: true});
        question.trusted();
    }
    let mut question = Machine::new(Product::Genoa, 3).with(0x0a, &[2]).honest();
    question.policy["guest_policy"] = json!({"forbid_smt": true});
    question.trusted();
    for level in [1u8, 2, 3] {
        let mut question = Machine::new(Product::Genoa, 3).with(0x30, &[level]).honest();
        question.refused("MEASUREMENT_MISMATCH", "vmpl");
        question.policy["vmpl"] = json!([level]);
        question.trusted();
    }
    Machine::new(Product::Genoa, 3).with(0x30, &[0xff; 4]).honest().refused("QUOTE_INVALID", "report");
}

#[test]
fn platforms() {
    let with = |bits: u8, platform: Value| {
        let mut question = Machine::new(Product::Genoa, 3).with(0x40, &[bits]).honest();
        question.policy["platform"] = platform;
        question
    };
    with(0x05, json!({})).refused("TCB_REJECTED", "platform_info");
    with(0x05, json!({"require_alias_check": false})).trusted();
    with(0xa5, json!({})).refused("TCB_REJECTED", "platform_info");
    with(0xa5, json!({"allow_tio": true})).trusted();
    with(0x25, json!({"forbid_smt": true})).refused("TCB_REJECTED", "platform_info");
    with(0x24, json!({"forbid_smt": true})).trusted();
    for (bit, word) in [
        (0x02, "require_tsme"),
        (0x04, "require_ecc"),
        (0x08, "require_rapl_off"),
        (0x10, "require_ciphertext_hiding"),
        (0x40, "require_iommu_write_safe"),
    ] {
        with(0x20, json!({word: true})).refused("TCB_REJECTED", "platform_info");
        with(0x20 | bit, json!({word: true})).trusted();
    }
    let mut question = Machine::new(Product::Genoa, 3).with(0x41, &[1]).honest();
    question.refused("TCB_REJECTED", "platform_info");
    question.policy["platform"] = json!({"allow_unknown_bits": true});
    question.trusted();
}

#[test]
fn firmware_below_the_floor_in_one_component() {
    for product in PRODUCTS {
        for (name, at) in components(product) {
            let mut high = Machine::new(product, 3).honest();
            let least = &mut high.policy["min_tcb"][product.name()][*name];
            *least = (least.as_u64().unwrap() + 1).into();
            high.refused("TCB_REJECTED", "tcb_minimum");
            // The floor is met by what is reported, but the firmware can be taken back.
            let machine = Machine::new(product, 3);
            let low = [machine.report[0x1e0 + at] - 1];
            machine.with(0x1e0 + at, &low).honest().refused("TCB_REJECTED", "tcb_minimum");
            // What is committed meets it, but the key that signed is of older firmware.
            let machine = Machine::new(product, 3);
            let low = [machine.report[0x180 + at] - 1];
            machine.with(0x180 + at, &low).honest().refused("TCB_REJECTED", "tcb_minimum");
            // What is reported and committed is above what runs.
            let machine = Machine::new(product, 3);
            let low = [machine.report[0x38 + at] - 1];
            machine.with(0x38 + at, &low).honest().refused("TCB_REJECTED", "tcb_order");
            // Launched on older firmware.
            let machine = Machine::new(product, 3);
            let low = [machine.report[0x1f0 + at] - 1];
            let mut launched = machine.with(0x1f0 + at, &low).honest();
            launched.trusted();
            launched.policy["min_launch_tcb"] = json!({product.name(): floor(product)});
            launched.refused("TCB_REJECTED", "launch_tcb");
        }
    }
}

/// A machine on which two of the versions are older by one in each component, and the third (at `newer`) is not.
fn only_newer(newer: usize) -> Machine {
    let mut machine = Machine::new(Product::Milan, 3);
    for version in [0x038, 0x180, 0x1e0].into_iter().filter(|at| *at != newer) {
        for at in [0, 1, 6, 7] {
            machine.report[version + at] -= 1;
        }
    }
    machine
}

fn refused_by_order(newer: usize) {
    let mut question = only_newer(newer).honest();
    question.policy["min_tcb"]["Milan"] = json!({"bootloader": 3, "tee": 1, "snp": 23, "microcode": 218});
    question.refused("TCB_REJECTED", "tcb_order");
}

#[test]
fn what_is_reported_is_not_above_what_runs() {
    refused_by_order(0x180);
}

#[test]
fn what_is_committed_is_not_above_what_runs() {
    refused_by_order(0x1e0);
}

#[test]
fn firmware_that_is_not_committed() {
    let newer = Machine::new(Product::Milan, 3).with(0x38 + 7, &[220]);
    let mut question = newer.honest();
    question.trusted();
    question.policy["allow_provisional"] = false.into();
    question.refused("TCB_REJECTED", "tcb_order");
    let mut equal = Machine::new(Product::Milan, 3).honest();
    equal.policy["allow_provisional"] = false.into();
    equal.trusted();
    let mut build = Machine::new(Product::Milan, 3).with(0x1e8, &[41]).honest();
    build.trusted();
    build.policy["allow_provisional"] = false.into();
    build.refused("TCB_REJECTED", "tcb_order");
    Machine::new(Product::Milan, 3).with(0x1ec, &[41]).honest().refused("TCB_REJECTED", "tcb_order");
    let mut abi = Machine::new(Product::Milan, 3).with(0x1ec, &[39]).honest();
    for (least, holds) in [("1.55", true), ("1.55.39", true), ("1.55.40", false), ("1.56", false), ("2.0", false)] {
        abi.policy["min_abi"] = least.into();
        if holds {
            abi.trusted()
        } else {
            abi.refused("TCB_REJECTED", "abi")
        };
    }
}

#[test]
fn mitigations_at_launch_and_now() {
    for (version, launch, current, holds) in
        [(5, 3, 7, true), (5, 1, 7, false), (5, 7, 1, false), (4, 7, 7, false), (3, 0, 0, false)]
    {
        let machine = Machine::new(Product::Turin, version).with(0x1f8, &[launch]).with(0x200, &[current]);
        let mut question = machine.honest();
        question.policy["required_mitigations"] = "0000000000000003".into();
        if holds {
            question.trusted()
        } else {
            question.refused("TCB_REJECTED", "mitigations")
        };
    }
}

#[test]
fn another_product_than_the_policy_has() {
    for version in [2, 3] {
        let mut question = Machine::new(Product::Milan, version).honest();
        question.policy["products"] = json!(["Genoa", "Turin"]);
        question.policy["min_tcb"] = json!({"Genoa": floor(Product::Genoa), "Turin": floor(Product::Turin)});
        question.refused("TCB_REJECTED", "products");
    }
    // Without CPUID only the certificate says what the processor is; nobody can be asked for it.
    let mut without = Machine::new(Product::Milan, 2).honest();
    without.leaf = None;
    without.refused("EVIDENCE_INVALID", "leaf");
}

#[test]
fn an_author_without_a_key_is_no_author() {
    let pinned = |machine: Machine| {
        let mut question = machine.with(0x110, &[0xaa; 48]).honest();
        question.policy["author_key_digest"] = json!(["aa".repeat(48)]);
        question
    };
    pinned(Machine::new(Product::Genoa, 3)).refused("MEASUREMENT_MISMATCH", "author_key_digest");
    pinned(Machine::new(Product::Genoa, 3).with(0x48, &[1])).trusted();
}

#[test]
fn strict_documents_of_dstack() {
    let hash = "11".repeat(32);
    let judge = |document: &str| {
        let data = atls::attest::dstack::config_document::digest(document);
        let mut question = Machine::new(Product::Genoa, 3).with(0xc0, &data).honest();
        question.mr_config = Some(document.to_owned());
        question.policy["mr_config"] = json!({"app_compose_hash": [hash]});
        question
    };
    let good = format!(r#"{{"version":3,"compose_hash":"{hash}"}}"#);
    judge(&good).trusted();
    // The host has bound these too, but they could be read in two ways, or say more than is known.
    for bad in [
        good.replace("}", r#","more":1}"#),
        good.replace("}", &format!(r#","compose_hash":"{hash}"}}"#)),
        good.replace('3', "4"),
        format!("{good} x"),
    ] {
        judge(&bad).refused("MEASUREMENT_MISMATCH", "mr_config");
    }
}
