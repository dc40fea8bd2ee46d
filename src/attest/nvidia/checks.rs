//! The rules about GPUs, each as one line of the verdict. Pure.

use super::Nvidia;
use super::claims::GpuClaims;
use super::genuine::Device;
use super::policy::{GpuRules, MeasurementSet, NVDEC0};
use super::report::Report;
use crate::attest::anchors::Vendor;
use crate::attest::attached::AttachedFamily;
use crate::attest::binding::{Binding, derived_nonce};
use crate::attest::family::Question;
use crate::attest::hash::hex;
use crate::attest::lines::{Lines, UNBOUND};
use crate::status::Status;
use crate::verdict::CheckId;

pub const CHAIN: CheckId = CheckId::new("chain");
pub const SIGNATURE: CheckId = CheckId::new("signature");
pub const FWID: CheckId = CheckId::new("fwid");
pub const NONCE: CheckId = CheckId::new("nonce");
pub const ARCH: CheckId = CheckId::new("arch");
pub const MEASUREMENTS: CheckId = CheckId::new("measurements");
pub const OPEN_MEASUREMENTS: CheckId = CheckId::new("open_measurements");
pub const FIRMWARE: CheckId = CheckId::new("firmware");
pub const GPU_COUNT: CheckId = CheckId::new("gpu_count");
pub const GPU_DISTINCT: CheckId = CheckId::new("gpu_distinct");

const UNMEASURED: &str = "the policy says \"unmeasured\": true";

/// Which GPU signed, or why that is none that NVIDIA vouches for; and whether the signature is good. No member has a say in it.
struct Found(Result<Device, String>, bool);

/// Chain, signature, and the firmware that both are about.
pub fn verify(lines: &mut Lines, of: &Question<'_, Nvidia>) -> Option<GpuClaims> {
    let report = &of.evidence.report;
    let found = of.findings.once("", || {
        let root = of.anchors.root(Vendor::Nvidia, of.policy).map_err(|fault| fault.message);
        let device = root.and_then(|(root, _)| Device::of(of.evidence, root, of.now));
        let is_signed = device.as_ref().is_ok_and(|device| device.has_signed(report));
        Found(device, is_signed)
    });
    let Found(device, is_signed) = &*found;
    let (ok, actual) = (device.is_ok(), device.as_ref().err().map_or("it does", |why| why));
    lines.judge(CHAIN, ok, Status::QuoteInvalid, "a certificate that leads to NVIDIA's root now", actual);
    let device = device.as_ref().ok()?;
    let actual = if *is_signed { "it is" } else { "it is not" };
    lines.judge(SIGNATURE, *is_signed, Status::QuoteInvalid, "signed by the certificate's key", actual);
    if !is_signed {
        return None;
    }
    let shown = |fwid: Option<[u8; 48]>| fwid.map_or_else(|| "none".into(), |fwid| hex(&fwid));
    let ok = device.fwid.is_some() && device.fwid == report.firmware.fwid;
    lines.judge(FWID, ok, Status::QuoteInvalid, shown(device.fwid), shown(report.firmware.fwid));
    ok.then(|| GpuClaims { report: report.clone(), device: device.clone() })
}

/// Whether the report was made for this session, and the list says the same nonce.
pub fn nonce(lines: &mut Lines, of: &Question<'_, Nvidia>) {
    let actual = of.evidence.report.nonce;
    let expected = match of.binding {
        _ if of.evidence.nonce != actual => Err("the nonce that the list names".into()),
        Binding::Skip => return lines.skip(NONCE, UNBOUND),
        Binding::Exporter(session) => {
            session.report_data(of.main).map(|binder| derived_nonce(&binder, Nvidia::PURPOSE))
        }
        Binding::Session { .. } | Binding::Certificate(_) => Err("a session of exporter-v1".into()),
    };
    let ok = expected == Ok(actual);
    lines.judge(NONCE, ok, Status::BindingMismatch, expected.map_or_else(|why| why, |nonce| hex(&nonce)), hex(&actual));
}

/// Whether a pin of that index counts: the video decoder is not measured while it is off.
fn counts(index: u8, report: &Report) -> bool {
    index != NVDEC0 || !report.firmware.is_nvdec0_off
}

/// The indices whose value is none that the set has.
fn differing(set: &MeasurementSet, report: &Report) -> Vec<u8> {
    let holds = |index: u8, values: &[[u8; 48]]| report.measurement(index).is_some_and(|found| values.contains(found));
    let pins = set.values.iter().filter(|(index, _)| counts(*index, report));
    pins.filter(|(index, values)| !holds(*index, values)).map(|(index, _)| *index).collect()
}

/// The indices that are measured, and of which the set says nothing. What is zero was not measured.
fn open(set: &MeasurementSet, report: &Report) -> Vec<u8> {
    let is_named = |index: u8| set.values.iter().any(|(named, _)| *named == index);
    let measured = report.measurements.iter().filter(|(index, value)| counts(*index, report) && *value != [0; 48]);
    measured.map(|(index, _)| *index).filter(|index| !is_named(*index)).collect()
}

fn listed(indices: &[u8]) -> String {
    indices.iter().map(u8::to_string).collect::<Vec<_>>().join(", ")
}

fn is_its_firmware(set: &MeasurementSet, report: &Report) -> bool {
    let firmware = &report.firmware;
    let is = |pin: &Option<String>, found: &Option<String>| pin.is_none() || pin == found;
    is(&set.driver_version, &firmware.driver_version) && is(&set.vbios_version, &firmware.vbios_version)
}

/// The set that holds whole, or else the one that comes nearest.
fn chosen<'a>(rules: &'a GpuRules, report: &Report) -> Option<&'a MeasurementSet> {
    let misses = |set: &&MeasurementSet| (differing(set, report).len(), !is_its_firmware(set, report));
    rules.sets.iter().min_by_key(misses)
}

/// The pins without which nothing is trusted.
pub fn further(of: &Question<'_, Nvidia>) -> Vec<CheckId> {
    match chosen(of.member, &of.evidence.report) {
        None => Vec::new(),
        Some(set) if set.names_firmware() => vec![MEASUREMENTS, FIRMWARE],
        Some(_) => vec![MEASUREMENTS],
    }
}

pub fn appraise(lines: &mut Lines, claims: &GpuClaims, of: &Question<'_, Nvidia>) {
    let (rules, report) = (of.member, &claims.report);
    let found = claims.device.arch;
    let is_allowed = |arch| rules.arch.as_ref().is_none_or(|allowed| allowed.contains(&arch));
    let ok = found.is_some_and(|arch| arch == of.evidence.arch && is_allowed(arch));
    let names =
        |list: &[_]| list.iter().map(|arch: &super::evidence::Arch| arch.name()).collect::<Vec<_>>().join(" or ");
    let expected = rules.arch.as_ref().map_or_else(|| of.evidence.arch.name().to_owned(), |allowed| names(allowed));
    let actual = format!("{}, by its certificates", found.map_or("another", |arch| arch.name()));
    lines.judge(ARCH, ok, Status::MeasurementMismatch, expected, actual);
    let Some(set) = chosen(rules, report) else {
        lines.skip(MEASUREMENTS, UNMEASURED);
        return lines.skip(FIRMWARE, UNMEASURED);
    };
    let differing = differing(set, report);
    let actual = match &differing[..] {
        [] if !counts(NVDEC0, report) => "they are; the video decoder is off, and its is left out".into(),
        [] => "they are".into(),
        some => format!("not those of index {}", listed(some)),
    };
    let expected = format!("the measurements of {}", set.name());
    lines.judge(MEASUREMENTS, differing.is_empty(), Status::MeasurementMismatch, expected, actual);
    let open = if differing.is_empty() { open(set, report) } else { Vec::new() };
    if !open.is_empty() {
        lines.skip(OPEN_MEASUREMENTS, &format!("the policy's measurements do not name index {}", listed(&open)));
    }
    firmware(lines, set, report);
}

fn firmware(lines: &mut Lines, set: &MeasurementSet, report: &Report) {
    if !set.names_firmware() {
        return lines.skip(FIRMWARE, "the policy names no version of driver or VBIOS");
    }
    let shown = |driver: &Option<String>, vbios: &Option<String>, none: &str| {
        let text = |version: &Option<String>| version.clone().unwrap_or_else(|| none.into());
        format!("driver {}, VBIOS {}", text(driver), text(vbios))
    };
    let expected = shown(&set.driver_version, &set.vbios_version, "any");
    let actual = shown(&report.firmware.driver_version, &report.firmware.vbios_version, "none");
    lines.judge(FIRMWARE, is_its_firmware(set, report), Status::TcbRejected, expected, actual);
}

/// How many there are, and that each is another.
pub fn together(lines: &mut Lines, devices: &[Option<GpuClaims>], rules: &GpuRules) {
    let genuine: Vec<(usize, &Device)> =
        devices.iter().enumerate().filter_map(|(number, claims)| Some((number, &claims.as_ref()?.device))).collect();
    let (ok, expected) = (genuine.len() >= rules.required, format!("{} or more", rules.required));
    lines.judge(GPU_COUNT, ok, Status::MeasurementMismatch, expected, genuine.len().to_string());
    let pairs =
        genuine.iter().enumerate().flat_map(|(at, one)| genuine[at + 1..].iter().map(move |other| (one, other)));
    let same = pairs.into_iter().find(|((_, one), (_, other))| one.is(other));
    let actual = same.map_or_else(|| "they are".into(), |((one, _), (other, _))| format!("{one} and {other} are one"));
    lines.judge(GPU_DISTINCT, same.is_none(), Status::MeasurementMismatch, "all of them different devices", actual);
}
