//! Reference values for GPUs: the block `gpu` of a policy. Pure.

use super::evidence::Arch;
use super::report::DIGEST;
use crate::attest::Result;
use crate::attest::evidence::MAX_DEVICES;
use crate::attest::policy::policy_fields::PolicyFields;

/// More of them than any fleet runs at a time.
const MAX_SETS: usize = 64;
/// Measurements that a report can have.
const INDICES: std::ops::RangeInclusive<u8> = 1..=64;
/// What is not measured while the video decoder is off.
pub const NVDEC0: u8 = 36;

/// What each GPU must be, and how many of them there must be.
#[derive(Clone, Debug)]
pub struct GpuRules {
    pub required: usize,
    /// Any that is known, if there is none.
    pub arch: Option<Vec<Arch>>,
    /// Alternatives; empty only if the policy says that nothing is to be measured.
    pub sets: Vec<MeasurementSet>,
}

/// The measurements of one release of driver and VBIOS.
#[derive(Clone, Debug)]
pub struct MeasurementSet {
    pub label: Option<String>,
    pub driver_version: Option<String>,
    pub vbios_version: Option<String>,
    /// By index; of each what it may be.
    pub values: Vec<(u8, Vec<[u8; DIGEST]>)>,
}

impl GpuRules {
    pub fn read(mut fields: PolicyFields) -> Result<GpuRules> {
        let required = fields.u64("required")?;
        let required = required.ok_or_else(|| fields.invalid("required", "missing field `required`".into()))?;
        if !(1..=MAX_DEVICES as u64).contains(&required) {
            return Err(fields.invalid("required", format!("{required} is not within 1..{MAX_DEVICES}")));
        }
        let arch = fields.strings("arch")?.map(|names| read_arch(&fields, &names)).transpose()?;
        let sets = fields.objects("measurements")?;
        let unmeasured = fields.bool("unmeasured")?.unwrap_or(false);
        let sets = match (sets, unmeasured) {
            (Some(sets), false) if sets.len() <= MAX_SETS => sets,
            (Some(sets), false) => {
                return Err(fields.invalid("measurements", format!("{} of them, at most {MAX_SETS}", sets.len())));
            }
            (None, true) => Vec::new(),
            (Some(_), true) => return Err(fields.invalid("unmeasured", "true, and there are `measurements`".into())),
            (None, false) => {
                let why = "missing field `measurements`, or `\"unmeasured\": true`";
                return Err(fields.invalid("measurements", why.into()));
            }
        };
        fields.finish()?;
        let sets = sets.into_iter().map(MeasurementSet::read).collect::<Result<_>>()?;
        Ok(GpuRules { required: required as usize, arch, sets })
    }
}

fn read_arch(fields: &PolicyFields, names: &[String]) -> Result<Vec<Arch>> {
    let known = || Arch::ALL.map(Arch::name).join(" or ");
    let read = |(index, name): (usize, &String)| {
        let wrong = || fields.invalid(&format!("arch[{index}]"), format!("{name:?} is unknown, expected {}", known()));
        Arch::from_name(name).ok_or_else(wrong)
    };
    names.iter().enumerate().map(read).collect()
}

impl MeasurementSet {
    fn read(mut fields: PolicyFields) -> Result<MeasurementSet> {
        let label = fields.string("label")?;
        let (driver_version, vbios_version) = (fields.string("driver_version")?, fields.string("vbios_version")?);
        let values = fields.object("values")?;
        let mut values = values.ok_or_else(|| fields.invalid("values", "missing field `values`".into()))?;
        fields.finish()?;
        let mut read = Vec::new();
        for index in INDICES {
            let name = index.to_string();
            let Some(alternatives) = values.one_or_more_hexes(&name)? else { continue };
            if alternatives.len() > MAX_SETS {
                return Err(values.invalid(&name, format!("{} of them, at most {MAX_SETS}", alternatives.len())));
            }
            read.push((index, alternatives));
        }
        // What is zero was not measured, and the decoder's may be left out.
        let pins = |(index, values): &(u8, Vec<[u8; DIGEST]>)| *index != NVDEC0 && !values.contains(&[0; DIGEST]);
        if !read.iter().any(pins) {
            return Err(values.invalid("1", "neither it nor another index pins anything".into()));
        }
        values.finish()?;
        Ok(MeasurementSet { label, driver_version, vbios_version, values: read })
    }

    pub fn name(&self) -> String {
        let versions = [&self.driver_version, &self.vbios_version].map(|version| version.as_deref().unwrap_or("any"));
        self.label.clone().unwrap_or_else(|| format!("driver {}, VBIOS {}", versions[0], versions[1]))
    }

    pub fn names_firmware(&self) -> bool {
        self.driver_version.is_some() || self.vbios_version.is_some()
    }
}

#[cfg(test)]
mod tests {
    use crate::attest::{Policy, Protocol};

    fn policy(gpu: &str, more: &str) -> Result<Policy, String> {
        let text = format!(r#"{{"type":"dstack_tdx","disable_runtime_verification":true,"gpu":{gpu}{more}}}"#)
            .replace("HEX", &"5a".repeat(48));
        Policy::from_json(text.as_bytes()).map_err(|fault| format!("{:?} {fault}", fault.status))
    }

    const GOOD: &str = r#"{"required":2,"measurements":[{"values":{"1":"HEX","36":["HEX","HEX"]}}]}"#;

    #[test]
    fn a_block_that_says_too_little_is_refused_with_its_path() {
        let zero = "00".repeat(48);
        for (gpu, why) in [
            ("{}", "gpu.required: missing field"),
            (r#"{"required":0}"#, "gpu.required: 0 is not within 1..16"),
            (r#"{"required":17}"#, "gpu.required: 17 is not within 1..16"),
            (r#"{"required":1}"#, "gpu.measurements: missing field"),
            (r#"{"required":1,"unmeasured":false}"#, "gpu.measurements: missing field"),
            (r#"{"required":1,"measurements":[]}"#, "gpu.measurements: is an empty list"),
            (r#"{"required":1,"measurements":[{}]}"#, "gpu.measurements[0].values: missing field"),
            (
                r#"{"required":1,"measurements":[{"driver_version":"1","values":{}}]}"#,
                "gpu.measurements[0].values.1: neither",
            ),
            (r#"{"required":1,"measurements":[{"values":{"36":"HEX"}}]}"#, "gpu.measurements[0].values.1: neither"),
            (&format!(r#"{{"required":1,"measurements":[{{"values":{{"2":"{zero}"}}}}]}}"#), "values.1: neither"),
            (r#"{"required":1,"measurements":[{"values":{"1":"HEX","0":"HEX"}}]}"#, "values.0: unknown field"),
            (r#"{"required":1,"measurements":[{"values":{"1":"HEX","65":"HEX"}}]}"#, "values.65: unknown field"),
            (r#"{"required":1,"measurements":[{"values":{"1":"HEX","01":"HEX"}}]}"#, "values.01: unknown field"),
            (r#"{"required":1,"measurements":[{"values":{"1":"5A"}}]}"#, "must be a lowercase hex string of 96 digits"),
            (r#"{"required":1,"measurements":[{"values":{"1":[]}}]}"#, "values.1: is an empty list"),
            (r#"{"required":1,"measurements":[{"values":{"1":["HEX",7]}}]}"#, "values.1[1]: 7 is not a string"),
            (r#"{"required":1,"unmeasured":true,"measurements":[{"values":{"1":"HEX"}}]}"#, "gpu.unmeasured: true"),
            (r#"{"required":1,"unmeasured":true,"arch":["hopper"]}"#, "gpu.arch[0]: \"hopper\" is unknown"),
            (r#"{"required":1,"unmeasured":true,"allow_debug":false}"#, "gpu.allow_debug: unknown field"),
        ] {
            let error = policy(gpu, "").unwrap_err();
            assert!(error.starts_with("PolicyInvalid policy.gpu") && error.contains(why), "{gpu}: {error}");
        }
        let many = |count: usize| {
            let sets = vec![r#"{"values":{"1":"HEX"}}"#; count].join(",");
            policy(&format!(r#"{{"required":1,"measurements":[{sets}]}}"#), "")
        };
        assert!(many(64).is_ok());
        assert!(many(65).unwrap_err().contains("65 of them, at most 64"));
    }

    #[test]
    fn atlas_v1_and_certificates_have_no_place_for_it() {
        let named = |protocols: &str| policy(GOOD, &format!(r#","binding":{{"protocols":[{protocols}]}}"#));
        assert_eq!(policy(GOOD, "").unwrap().protocols, [Protocol::ExporterV1]);
        assert_eq!(named(r#""atlas-v1","exporter-v1""#).unwrap().protocols, [Protocol::ExporterV1]);
        assert!(named(r#""atlas-v1""#).unwrap_err().contains("policy.binding.protocols"));
        let rules = |protocols: &str| {
            let rules = r#""ra_tls":{"formats":["dstack"],"max_age_s":60}"#;
            policy(GOOD, &format!(r#","binding":{{"protocols":[{protocols}]}},{rules}"#))
        };
        for alone in [r#""ra-tls""#, r#""ra-tls","atlas-v1""#] {
            let error = rules(alone).unwrap_err();
            assert!(error.starts_with("PolicyInvalid policy.binding.protocols: ra-tls"), "{error}");
        }
        let dropped = rules(r#""ra-tls","exporter-v1""#).unwrap();
        assert_eq!((dropped.protocols, dropped.ra_tls), (vec![Protocol::ExporterV1], None));
    }

    #[test]
    fn it_is_no_member() {
        let text = r#"{"type":"gpu","required":1,"unmeasured":true}"#;
        assert!(Policy::from_json(text.as_bytes()).unwrap_err().message.contains("unknown variant `gpu`"));
        let wished: Vec<_> = policy(GOOD, "").unwrap().asks_for().iter().map(|kind| kind.name()).collect();
        assert_eq!(wished, ["tdx", "nvidia"]);
    }
}
