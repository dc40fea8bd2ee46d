//! Reference values for Azure's confidential virtual machines, as the policy types for them share them. Pure.

use crate::attest::Result;
use crate::attest::policy::policy_fields::PolicyFields;
use crate::attest::tpm::{Pcr, REGISTERS};

/// More of them than any fleet runs at a time.
const MAX_VALUES: usize = 64;
/// The registers from this one on, the guest's own programs can set back.
const FIRST_RESETTABLE: u8 = 16;

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
        Ok(VtpmRules {
            pcr_sets: read_sets(fields)?,
            require_certificate,
            paravisor,
            fresh_report: fields.bool("fresh_report")?.unwrap_or(false),
            secure_boot: fields.bool("secure_boot")?.unwrap_or(false),
            allow_console: fields.bool("allow_console")?.unwrap_or(true),
        })
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
    let says_what_runs =
        |(number, values): &(u8, Vec<Pcr>)| *number < FIRST_RESETTABLE && values.iter().all(is_measured);
    if !set.iter().any(says_what_runs) {
        let why = "no register of 0 to 15 is there, of which something was measured into, so any guest would do";
        return Err(fields.invalid("0", why.into()));
    }
    fields.finish()?;
    Ok(set)
}
