//! Evidence that has just come, judged: which documents it needs, the time, and then `attest::appraise`.

mod judge;
