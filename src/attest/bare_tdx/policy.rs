//! Reference values for a guest in a TDX trust domain without dstack: the policy type `tdx`. Pure.

use super::boot_log::BootLogRules;
use crate::attest::Result;
use crate::attest::policy::policy_fields::PolicyFields;
use crate::attest::tdx::policy::TdxRules;

/// What a guest must be: one member of a policy.
#[derive(Clone, Debug)]
pub struct BareReference {
    /// Alternatives, at least one. Each counts as a whole: registers of two of them do not make a third.
    pub measurements: Vec<Measurements>,
    /// What the firmware's boot log must say; `None`: none is read.
    pub ccel: Option<BootLogRules>,
    pub tdx: TdxRules,
}

#[derive(Clone, Debug)]
pub struct Measurements {
    pub label: String,
    pub mrtd: [u8; 48],
    /// `None`: not judged here. The kernel and what it is given, the second and the third, are always there unless the policy says `firmware_only`, or
    /// lists all that the boot log may say of them, and what it must.
    pub rtmr: [Option<[u8; 48]>; 4],
}

impl BareReference {
    pub fn read(mut fields: PolicyFields) -> Result<BareReference> {
        let ccel = fields.object("ccel")?.map(BootLogRules::read).transpose()?;
        let firmware_only = fields.bool("firmware_only")?.unwrap_or(false);
        let Some(sets) = fields.objects("measurements")? else {
            return Err(fields.invalid("measurements", "missing field `measurements`".into()));
        };
        let may_lack = |register| firmware_only || ccel.as_ref().is_some_and(|rules| rules.pins(register));
        let read = |(index, set)| Measurements::read(set, &format!("measurements[{index}]"), may_lack);
        let reference = BareReference {
            measurements: sets.into_iter().enumerate().map(read).collect::<Result<_>>()?,
            ccel,
            tdx: TdxRules::read(&mut fields)?,
        };
        fields.finish()?;
        Ok(reference)
    }
}

impl Measurements {
    fn read(mut fields: PolicyFields, default_label: &str, may_lack: impl Fn(usize) -> bool) -> Result<Measurements> {
        let missing = |fields: &PolicyFields, name: &str| fields.invalid(name, format!("missing field `{name}`"));
        let mrtd = fields.hex("mrtd")?.ok_or_else(|| missing(&fields, "mrtd"))?;
        let rtmr = [fields.hex("rtmr0")?, fields.hex("rtmr1")?, fields.hex("rtmr2")?, fields.hex("rtmr3")?];
        for (register, name) in [(1, "rtmr1"), (2, "rtmr2")] {
            match rtmr[register] {
                None if !may_lack(register) => return Err(missing(&fields, name)),
                // Firmware that measures nothing leaves it so, whatever it starts.
                Some(value) if value == [0; 48] && !may_lack(register) => {
                    return Err(fields.invalid(name, "is zero, so any kernel would do".into()));
                }
                _ => {}
            }
        }
        let label = fields.string("label")?.unwrap_or_else(|| default_label.into());
        fields.finish()?;
        Ok(Measurements { label, mrtd, rtmr })
    }
}
