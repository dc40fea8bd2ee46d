//! Azure's confidential virtual machines: the policy types `azure_tdx_vtpm` and `azure_snp_vtpm`. Pure.
//!
//! The hardware measures Microsoft's paravisor, which holds the TPM of the guest. It puts the TPM's attestation key into its runtime data, whose digest the
//! hardware signs; the TPM measures the guest into its registers, and signs them. The paravisor itself must be recognised, by a certificate of that key or by
//! its measurement: on a machine without one, anybody can have a key of his own signed by the hardware.

mod ak;
pub mod checks;
mod claims;
mod draft;
mod evidence;
mod hcl;
mod policy;
mod runtime_data;
mod snp;
mod td_report;
mod tdx;

pub(in crate::attest) use ak::read_roots;
pub use ak::{MICROSOFT_ROOTS_DER, has_issued};
pub use evidence::Vtpm;
pub use hcl::{HclReport, ReportType};
pub use runtime_data::RuntimeData;
pub use snp::{AzureSnp, AzureSnpEvidence};
pub use tdx::{AzureTdx, AzureTdxEvidence};
