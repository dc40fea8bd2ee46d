//! Reference values for what AWS signs documents of: the policy types `nitro` and `nitro_tpm`. Pure.

use super::document::Pcr;
use super::registers::Registers;
use crate::attest::Result;
use crate::attest::policy::policy_fields::PolicyFields;

/// More of them than any fleet runs at a time.
const MAX_VALUES: usize = 64;
/// The certificate of the signing key holds for three hours.
pub const MAX_AGE: u64 = 10800;
pub const DEFAULT_AGE: u64 = 300;

/// Registers by number, and what each may be.
pub type PcrSet = Vec<(u8, Vec<Pcr>)>;

/// What a machine must be: one member of a policy.
#[derive(Clone, Debug)]
pub struct NitroReference {
    /// Alternatives, at least one.
    pub pcr_sets: Vec<PcrSet>,
    pub module_id: Option<Vec<String>>,
    pub max_age_s: u64,
    pub allow_debug: bool,
}

impl NitroReference {
    pub fn read<R: Registers>(mut fields: PolicyFields) -> Result<NitroReference> {
        let (one, several) = (fields.object("pcrs")?, fields.objects("pcr_sets")?);
        let sets = match (one, several) {
            (Some(one), None) => vec![one],
            (None, Some(several)) if several.len() <= MAX_VALUES => several,
            (None, Some(several)) => {
                return Err(fields.invalid("pcr_sets", format!("{} of them, at most {MAX_VALUES}", several.len())));
            }
            (Some(_), Some(_)) => {
                return Err(fields.invalid("pcrs", "there is `pcr_sets` too; name one of them".into()));
            }
            (None, None) => return Err(fields.invalid("pcrs", "missing field `pcrs`, or `pcr_sets`".into())),
        };
        let max_age_s = fields.u64("max_age_s")?.unwrap_or(DEFAULT_AGE);
        if !(1..=MAX_AGE).contains(&max_age_s) {
            return Err(fields.invalid("max_age_s", format!("{max_age_s} is not within 1..{MAX_AGE}")));
        }
        let reference = NitroReference {
            pcr_sets: sets.into_iter().map(read_set::<R>).collect::<Result<_>>()?,
            module_id: fields.strings("module_id")?,
            max_age_s,
            allow_debug: R::HAS_DEBUG && fields.bool("allow_debug")?.unwrap_or(false),
        };
        fields.finish()?;
        Ok(reference)
    }
}

fn read_set<R: Registers>(mut fields: PolicyFields) -> Result<PcrSet> {
    let mut set = PcrSet::new();
    for number in 0..R::COUNT {
        let name = number.to_string();
        let Some(values) = fields.hexes(&name)? else { continue };
        if values.len() > MAX_VALUES {
            return Err(fields.invalid(&name, format!("{} of them, at most {MAX_VALUES}", values.len())));
        }
        let zero = values.iter().position(|value| *value == [0; 48]);
        if let Some(index) = zero.filter(|_| !R::may_be_zero(number)) {
            let why = "is zero, as registers are that nothing was measured into".into();
            return Err(fields.invalid(&format!("{name}[{index}]"), why));
        }
        set.push((number, values));
    }
    R::is_enough(&set).map_err(|(field, why)| fields.invalid(field, why.into()))?;
    fields.finish()?;
    Ok(set)
}
