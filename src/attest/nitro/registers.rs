//! The two kinds of machines whose documents AWS signs, which differ in what their registers mean. Pure.

use super::checks::{CHAIN, DEBUG, SIGNATURE, TIMESTAMP};
use super::policy::PcrSet;
use crate::attest::tee::Tee;
use crate::verdict::CheckId;

/// A kind of machine.
pub trait Registers: Send + Sync + 'static {
    const TEE: Tee;
    /// `type` in a policy.
    const TYPE: &'static str;
    /// The member of a document that has them; each kind has a name of its own, so that one cannot be read as the other.
    const MEMBER: &'static str;
    /// Registers that a policy can name.
    const COUNT: u8;
    /// Whether the host can read a machine whose first three registers are zero.
    const HAS_DEBUG: bool;
    const MANDATORY: &'static [CheckId];

    /// Errors: a register without which the others say too little of what runs, and why.
    fn is_enough(set: &PcrSet) -> Result<(), (&'static str, &'static str)>;

    /// Whether a register may be pinned to zero, the value before anything was measured.
    fn may_be_zero(number: u8) -> bool;
}

/// Nitro enclaves. Their image is measured into registers 0 to 2; each of the others is zero, or has what its number says.
pub struct Enclave;

impl Registers for Enclave {
    const TEE: Tee = Tee::Nitro;
    const TYPE: &'static str = "nitro";
    const MEMBER: &'static str = "pcrs";
    const COUNT: u8 = 32;
    const HAS_DEBUG: bool = true;
    const MANDATORY: &'static [CheckId] = &[CHAIN, SIGNATURE, TIMESTAMP, DEBUG];

    /// The image, or the key that signed the image.
    fn is_enough(set: &PcrSet) -> Result<(), (&'static str, &'static str)> {
        match set.iter().any(|(number, _)| [0, 8].contains(number)) {
            true => Ok(()),
            false => Err(("0", "neither it nor `8` is there, so any image would do")),
        }
    }

    fn may_be_zero(_: u8) -> bool {
        false
    }
}

/// Instances of EC2 with a NitroTPM: a TPM's registers, which only measuring changes.
pub struct TpmInstance;

impl Registers for TpmInstance {
    const TEE: Tee = Tee::NitroTpm;
    const TYPE: &'static str = "nitro_tpm";
    const MEMBER: &'static str = "nitrotpm_pcrs";
    const COUNT: u8 = 24;
    const HAS_DEBUG: bool = false;
    const MANDATORY: &'static [CheckId] = &[CHAIN, SIGNATURE, TIMESTAMP];

    fn is_enough(set: &PcrSet) -> Result<(), (&'static str, &'static str)> {
        let needed = [
            (4, "4", "is missing, so any boot loader and image would do"),
            (7, "7", "is missing, so Secure Boot might be off"),
            (12, "12", "is missing, so whoever starts the instance could choose the kernel's command line"),
        ];
        let missing = needed.into_iter().find(|(needed, ..)| !set.iter().any(|(number, _)| number == needed));
        missing.map_or(Ok(()), |(_, field, why)| Err((field, why)))
    }

    /// Boot loader and Secure Boot are always measured. Zero in another says that nothing was.
    fn may_be_zero(number: u8) -> bool {
        ![4, 7].contains(&number)
    }
}
