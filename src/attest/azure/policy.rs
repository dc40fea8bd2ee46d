//! Reference values for Azure's confidential virtual machines, as the policy types for them share them. Pure.

use crate::attest::Result;
use crate::attest::policy::policy_fields::PolicyFields;
use crate::attest::tpm::{Pcr, REGISTERS};

/// More of them than any fleet runs at a time.
const MAX_VALUES: usize = 64;
/// Of what the firmware has started: a boot loader or a unified kernel image. A guest can extend each register, and set back those from 16 on; so one that nothing
/// was measured into when another image started can be brought to any value that is known. This one has the image that does it.
const BOOT_LOADER: u8 = 4;

/// Registers by number, and what each may be.
pub type PcrSet = Vec<(u8, Vec<Pcr>)>;

/// What the paravisor and the guest on it must be.
#[derive(Clone, Debug)]
pub struct VtpmRules {
    /// Alternatives, at least one.
    pub pcr_sets: Vec<PcrSet>,
    /// The TPM's key must have a certificate.
    pub require_certificate: bool,
    /// What the hardware has measured: there if no certificate is required.
    pub paravisor: Option<Vec<[u8; 48]>>,
    pub fresh_report: bool,
    pub secure_boot: bool,
    pub allow_console: bool,
}

impl VtpmRules {
    /// Takes the fields that are about them.
    pub fn read(fields: &mut PolicyFields) -> Result<VtpmRules> {
        let paravisor = fields.hexes("paravisor")?;
        if let Some(values) = paravisor.as_ref().filter(|values| values.len() > MAX_VALUES) {
            return Err(fields.invalid("paravisor", format!("{} of them, at most {MAX_VALUES}", values.len())));
        }
        let require_certificate = match fields.string("ak_certificate")?.as_deref() {
            None | Some("require") => true,
            Some("off") if paravisor.is_some() => false,
            Some("off") => {
                let why = "\"off\" without `paravisor`, so anybody's paravisor would do";
                return Err(fields.invalid("ak_certificate", why.into()));
            }
            Some(other) => {
                let why = format!("{other:?} is neither \"require\" nor \"off\"");
                return Err(fields.invalid("ak_certificate", why));
            }
        };
        let rules = VtpmRules {
            pcr_sets: read_sets(fields)?,
            require_certificate,
            paravisor,
            fresh_report: fields.bool("fresh_report")?.unwrap_or(false),
            secure_boot: fields.bool("secure_boot")?.unwrap_or(false),
            allow_console: fields.bool("allow_console")?.unwrap_or(true),
        };
        rules.believed_of_the_paravisor(fields)?;
        Ok(rules)
    }
}

impl VtpmRules {
    /// What the runtime data say is true only if it is Microsoft's paravisor that says it. A certified key can be vouched for by hardware of somebody else, with
    /// runtime data of his own.
    fn believed_of_the_paravisor(&self, fields: &PolicyFields) -> Result<()> {
        let asked = [
            ("fresh_report", self.fresh_report),
            ("secure_boot", self.secure_boot),
            ("allow_console", !self.allow_console),
        ];
        match asked.iter().find(|(_, is_asked)| *is_asked && self.paravisor.is_none()) {
            Some((name, _)) => Err(fields.invalid(name, "needs `paravisor`, since only that makes it true".into())),
            None => Ok(()),
        }
    }
}

fn read_sets(fields: &mut PolicyFields) -> Result<Vec<PcrSet>> {
    let (one, several) = (fields.object("pcrs")?, fields.objects("pcr_sets")?);
    let sets = match (one, several) {
        (Some(one), None) => vec![one],
        (None, Some(several)) if several.len() <= MAX_VALUES => several,
        (None, Some(several)) => {
            return Err(fields.invalid("pcr_sets", format!("{} of them, at most {MAX_VALUES}", several.len())));
        }
        (Some(_), Some(_)) => return Err(fields.invalid("pcrs", "there is `pcr_sets` too; name one of them".into())),
        (None, None) => return Err(fields.invalid("pcrs", "missing field `pcrs`, or `pcr_sets`".into())),
    };
    sets.into_iter().map(read_set).collect()
}

fn read_set(mut fields: PolicyFields) -> Result<PcrSet> {
    let mut set = PcrSet::new();
    for number in 0..REGISTERS {
        let name = number.to_string();
        let Some(values) = fields.hexes(&name)? else { continue };
        if values.len() > MAX_VALUES {
            return Err(fields.invalid(&name, format!("{} of them, at most {MAX_VALUES}", values.len())));
        }
        set.push((number, values));
    }
    // Registers are zero, or all ones, before anything is measured into them.
    let is_measured = |value: &Pcr| *value != [0; 32] && *value != [0xff; 32];
    let says_what_runs = |(number, values): &(u8, Vec<Pcr>)| *number == BOOT_LOADER && values.iter().all(is_measured);
    if !set.iter().any(says_what_runs) {
        let why = "register 4, the boot loader, must be there, and neither zero nor all ones, or any guest would do";
        return Err(fields.invalid("4", why.into()));
    }
    fields.finish()?;
    Ok(set)
}
