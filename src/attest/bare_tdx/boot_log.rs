//! What a policy of type `tdx` asks of the firmware's boot log: that its replay gives the registers of the quote, and which digests it may and must have.
//! Pure.

use crate::attest::Result;
use crate::attest::ccel::{BootLog, Digest, REGISTERS};
use crate::attest::hash::hex;
use crate::attest::lines::Lines;
use crate::attest::policy::policy_fields::PolicyFields;
use crate::attest::tdx::TdxClaims;
use crate::status::Status;
use crate::verdict::CheckId;

const CCEL: CheckId = CheckId::new("ccel");
const REPLAY: [CheckId; REGISTERS] =
    [CheckId::new("ccel_rtmr0"), CheckId::new("ccel_rtmr1"), CheckId::new("ccel_rtmr2"), CheckId::new("ccel_rtmr3")];
const DIGESTS: CheckId = CheckId::new("ccel_digests");
const NAMES: [&str; REGISTERS] = ["rtmr0", "rtmr1", "rtmr2", "rtmr3"];

/// By register; `None`: the policy says nothing of it.
type Lists = [Option<Vec<Digest>>; REGISTERS];

/// `ccel` of a policy.
#[derive(Clone, Debug)]
pub struct BootLogRules {
    /// If not, a log counts only if it is there.
    require: bool,
    /// All that may be extended into a register.
    allowed: Lists,
    /// What must be, whatever else is.
    required: Lists,
}

impl BootLogRules {
    pub fn read(mut fields: PolicyFields) -> Result<BootLogRules> {
        let require = fields.bool("require")?.unwrap_or(true);
        let allowed = read_lists(&mut fields, "allowed_digests")?;
        let required = read_lists(&mut fields, "required_digests")?;
        let rules = BootLogRules { require, allowed, required };
        if !require && rules.has_digests() {
            return Err(fields.invalid("require", "false: without a log nothing has the digests".into()));
        }
        for (register, required) in rules.required.iter().enumerate() {
            let (Some(required), Some(allowed)) = (required, &rules.allowed[register]) else { continue };
            if let Some(index) = required.iter().position(|digest| !allowed.contains(digest)) {
                let field = format!("required_digests.{}[{index}]", NAMES[register]);
                return Err(fields.invalid(&field, "is required, and not allowed".into()));
            }
        }
        fields.finish()?;
        Ok(rules)
    }

    /// Whether the policy says what a register was extended by. A list of what must be there bounds nothing; one of what may be there is satisfied by any part of
    /// it, such as the separators that every firmware measures.
    pub fn pins(&self, register: usize) -> bool {
        [&self.allowed, &self.required].iter().all(|lists| lists.get(register).is_some_and(Option::is_some))
    }

    fn has_digests(&self) -> bool {
        self.allowed.iter().chain(&self.required).any(Option::is_some)
    }

    /// What is wrong with what was extended: what was expected, and what there is.
    fn difference(&self, log: &BootLog) -> Option<(String, String)> {
        (0..REGISTERS).find_map(|register| {
            let (name, extended) = (NAMES[register], &log.extended[register]);
            if let Some(allowed) = &self.allowed[register] {
                // An empty register fits every list: nothing that ran was measured into it.
                if extended.is_empty() {
                    return Some((format!("{name}: digests of ccel.allowed_digests"), format!("{name}: nothing")));
                }
                if let Some(stranger) = extended.iter().find(|digest| !allowed.contains(digest)) {
                    let expected = format!("{name}: only digests of ccel.allowed_digests");
                    return Some((expected, format!("{name}: {}", hex(stranger))));
                }
            }
            let missing = self.required[register].iter().flatten().find(|digest| !extended.contains(digest))?;
            Some((format!("{name}: {}", hex(missing)), format!("{name}: no such digest")))
        })
    }
}

fn read_lists(fields: &mut PolicyFields, field: &str) -> Result<Lists> {
    let Some(mut object) = fields.object(field)? else { return Ok(Lists::default()) };
    let [first, second, third, fourth] = NAMES;
    let lists = [object.hexes(first)?, object.hexes(second)?, object.hexes(third)?, object.hexes(fourth)?];
    object.finish()?;
    if lists.iter().all(Option::is_none) {
        return Err(fields.invalid(field, "names no register".into()));
    }
    Ok(lists)
}

/// The lines about a boot log: none is read that the policy does not speak of.
pub fn judge(lines: &mut Lines, claims: &TdxClaims, raw: Option<&[u8]>, rules: Option<&BootLogRules>) {
    const EXPECTED: &str = "a boot log";
    let (raw, rules) = match (raw, rules) {
        (None, None) => return,
        (Some(_), None) => return lines.skip(CCEL, "the policy does not speak of boot logs"),
        (None, Some(rules)) if !rules.require => {
            return lines.skip(CCEL, "there is none, and the policy requires none");
        }
        (None, Some(_)) => return lines.judge(CCEL, false, Status::EventLogInvalid, EXPECTED, "none"),
        (Some(raw), Some(rules)) => (raw, rules),
    };
    let log = match BootLog::parse(raw) {
        Ok(log) => log,
        Err(why) => return lines.judge(CCEL, false, Status::EventLogInvalid, EXPECTED, why),
    };
    let count: usize = log.extended.iter().map(Vec::len).sum();
    lines.judge(CCEL, true, Status::Ok, EXPECTED, format!("{count} digests"));
    for (register, id) in REPLAY.into_iter().enumerate() {
        // What the running system extends need not be in the firmware's log.
        if register == REGISTERS - 1 && log.extended[register].is_empty() {
            lines.skip(id, "the log holds no event of this register");
            continue;
        }
        let (wanted, replayed) = (claims.rtmr[register], log.replayed(register));
        lines.judge(id, replayed == wanted, Status::EventLogInvalid, hex(&wanted), hex(&replayed));
    }
    if !rules.has_digests() {
        return lines.skip(DIGESTS, "the policy names none");
    }
    let expected = "the digests of ccel".to_owned();
    match rules.difference(&log) {
        None => lines.judge(DIGESTS, true, Status::Ok, expected, "they are"),
        Some((expected, actual)) => lines.judge(DIGESTS, false, Status::MeasurementMismatch, expected, actual),
    }
}

/// The checks that must have passed.
pub fn mandatory(raw: Option<&[u8]>, rules: Option<&BootLogRules>) -> Vec<CheckId> {
    let Some(rules) = rules.filter(|rules| rules.require || raw.is_some()) else { return Vec::new() };
    let [first, second, third, _] = REPLAY;
    let digests = rules.has_digests().then_some(DIGESTS);
    [CCEL, first, second, third].into_iter().chain(digests).collect()
}
