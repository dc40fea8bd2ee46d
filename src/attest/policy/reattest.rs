//! `reattest`: how long trust in an open connection lasts. Pure.

use std::time::Duration;

use super::policy_fields::PolicyFields;
use crate::attest::Result;
use crate::attest::binding::Protocol;

/// What becomes of a connection that was attested and stays open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reattest {
    /// How old evidence may become before new evidence is asked for, on the same connection; `None` is no limit.
    pub interval: Option<Duration>,
    /// Evidence is judged again once the vendor's documents that it was judged by have changed or ended.
    pub on_collateral_change: bool,
}

impl Default for Reattest {
    fn default() -> Self {
        Reattest { interval: None, on_collateral_change: true }
    }
}

impl Reattest {
    pub fn read(top: &mut PolicyFields) -> Result<Reattest> {
        let mut found = Reattest::default();
        let Some(mut fields) = top.object("reattest")? else { return Ok(found) };
        if let Some(seconds) = fields.u64("interval_s")? {
            if seconds == 0 {
                return Err(fields.invalid("interval_s", "0 leaves no time for a request".into()));
            }
            found.interval = Some(Duration::from_secs(seconds));
        }
        if let Some(on) = fields.bool("on_collateral_change")? {
            found.on_collateral_change = on;
        }
        match fields.string("on_failure")?.as_deref() {
            None | Some("close") => {}
            Some(other) => {
                return Err(fields.invalid("on_failure", format!("{other:?} is unknown, there is \"close\"")));
            }
        }
        fields.finish()?;
        Ok(found)
    }

    /// New evidence comes by exporter-v1 only, of which the challenge is part of what the session exports.
    pub fn check(&self, protocols: &[Protocol]) -> Result<()> {
        const FIELD: &str = "policy.reattest.interval_s";
        if self.interval.is_some() && !protocols.contains(&Protocol::ExporterV1) {
            let why = "new evidence comes by exporter-v1, which policy.binding.protocols does not name";
            return Err(super::policy_fields::invalid(FIELD, why.into()));
        }
        Ok(())
    }
}
