//! Reports and lists of GPUs that cannot be read: refused before anything in them is judged.

#![allow(unsafe_code)] // It is a client of the C ABI.

mod support;

use serde_json::json;
use simtee::nvidia::{Nvidia, Report};
use support::nvidia::{Composite, session_nonce, unreadable, unreadable_list};

#[test]
fn reports_that_cannot_be_read() {
    unreadable(|report| report.request[1] = 0xe1, "no request");
    unreadable(|report| report.request[3] = 1, "no request");
    unreadable(|report| report.nonce.truncate(31), "no response");
    unreadable(|report| report.response[1] = 0x61, "no response");
    unreadable(|report| report.response[2] = 1, "no response");
    unreadable(|report| report.count = Some(63), "64 measurements, where 63 are announced");
    unreadable(|report| report.count = Some(65), "64 measurements, where 65 are announced");
    unreadable(|report| report.specification = 2, "measurement 1 is not a digest");
    unreadable(|report| report.measurements[3].1.truncate(47), "measurement 4 is not a digest");
    unreadable(|report| report.measurements[3].0 = 3, "measurement 3 is duplicated");
    unreadable(|report| report.measurements.swap(3, 4), "out of order");
    unreadable(|report| report.fields.push((3, b"1\0".to_vec())), "field 3 is duplicated");
    // Others, each of another type and empty, up to that number of fields in all.
    let fill = |report: &mut Report, all: usize| {
        report.more = (report.fields.len()..all).flat_map(|kind| [kind as u8, 1, 0, 0]).collect();
    };
    Composite::bent(|report| fill(report, 256)).trusted();
    unreadable(|report| fill(report, 257), "more than 256 fields");
    unreadable(|report| report.field(20).truncate(47), "FWID of 47 bytes");
    unreadable(|report| report.field(6).truncate(7), "VBIOS version of 7 bytes");
    unreadable(|report| *report.field(3) = b"1\x002".to_vec(), "other bytes");
    unreadable(|report| *report.field(3) = b"1\x1b[2".to_vec(), "other bytes");
    // A field that goes beyond the others, and half of one.
    unreadable(|report| report.more = vec![99, 0, 1, 0], "ends too early");
    unreadable(|report| report.more = vec![99, 0, 0], "ends too early");
    unreadable(|report| report.padding = vec![0; 17], "17 bytes behind");
    unreadable(|report| report.padding = vec![1], "1 bytes behind");
    Composite::bent(|report| report.padding = vec![0; 16]).trusted();
    Composite::bent(|report| report.more = vec![99, 0, 1, 0, 7]).trusted();
}

#[test]
fn lists_that_cannot_be_read() {
    let gpu = Nvidia::get().gpu("1");
    unreadable_list(|question| question.attached = json!({}), "not a list");
    unreadable_list(|question| question.attached = json!([]), "0 entries");
    unreadable_list(|question| question.attached = json!(vec![question.attached[0].clone(); 9]), "9 entries");
    unreadable_list(|question| question.attached[0]["evidence"] = json!([]), "0 devices");
    unreadable_list(|question| question.attached[0]["evidence"] = json!({}), "not a list");
    let many = |count: usize| json!({"tee": "nvidia", "evidence": vec![gpu.honest(&session_nonce()); count]});
    unreadable_list(|question| question.attached = json!([many(17)]), "17 devices");
    unreadable_list(|question| question.attached = json!([many(9), many(8)]), "more than 16 devices");
    unreadable_list(|question| question.device(0)["arch"] = "VOLTA".into(), "is not known");
    unreadable_list(|question| question.device(0)["nonce"] = "00".into(), "64 hexadecimal digits");
    for member in ["arch", "nonce", "evidence", "certificate"] {
        unreadable_list(|question| drop(question.device(0).as_object_mut().unwrap().remove(member)), "is missing");
        unreadable_list(|question| question.device(0)[member] = 7.into(), "not a string");
    }
    unreadable_list(|question| question.device(0)["evidence"] = "AA=".into(), "not base64");
    unreadable_list(|question| question.device(0)["evidence"] = "A".repeat(100_000).into(), "more than 65536 bytes");
    unreadable_list(|question| question.device(0)["certificate"] = "A".repeat(30_000).into(), "more than 16384 bytes");
    unreadable_list(|question| question.device(0)["certificate"] = "AAAA".into(), "0 certificates");
}
