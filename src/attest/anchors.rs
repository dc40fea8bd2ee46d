//! Roots that evidence may end in, one for each vendor of TEEs. Pure.

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use super::policy::Policy;
use super::{Fault, Result, azure, dcap, nitro, nvidia, snp};
use crate::status::{Phase, Status};

/// What verdicts call a simulator's root.
pub const SIMULATED: &str = "simulated";

/// Who makes the hardware, and signs documents about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Vendor {
    Intel,
    Amd,
    Aws,
    Nvidia,
    Microsoft,
}

impl Vendor {
    /// As verdicts call it.
    pub fn name(self) -> &'static str {
        match self {
            Vendor::Intel => "intel",
            Vendor::Amd => "amd",
            Vendor::Aws => "aws",
            Vendor::Nvidia => "nvidia",
            Vendor::Microsoft => "microsoft",
        }
    }

    pub fn from_name(name: &str) -> Option<Vendor> {
        const ALL: [Vendor; 5] = [Vendor::Intel, Vendor::Amd, Vendor::Aws, Vendor::Microsoft, Vendor::Nvidia];
        ALL.into_iter().find(|vendor| vendor.name() == name)
    }

    /// Reads a simulator's root for this vendor, as it takes the place of the one that is built in: PEM certificates.
    pub fn read_root(self, pem: &[u8]) -> std::result::Result<Vec<u8>, String> {
        let read: std::result::Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
        let parts = read.map_err(|error| error.to_string())?;
        let root = parts.iter().flat_map(|part| part.iter().copied()).collect::<Vec<u8>>();
        match self {
            Vendor::Intel | Vendor::Aws | Vendor::Nvidia if parts.len() == 1 => Ok(root),
            Vendor::Intel | Vendor::Aws | Vendor::Nvidia => {
                Err(format!("{} certificates, there must be one", parts.len()))
            }
            Vendor::Microsoft => azure::read_roots(&root).map(|_| root.clone()),
            Vendor::Amd if parts.is_empty() => Err("no certificate".into()),
            Vendor::Amd => {
                snp::Roots::read(&root)?;
                Ok(root)
            }
        }
    }

    /// The root that is built in, DER. AMD's are several certificates one after another (`snp::Roots`), and Microsoft's two.
    fn production(self) -> &'static [u8] {
        match self {
            Vendor::Intel => dcap::INTEL_ROOT_DER,
            Vendor::Amd => snp::AMD_ROOTS_DER,
            Vendor::Aws => nitro::AWS_NITRO_ROOT_DER,
            Vendor::Nvidia => nvidia::NVIDIA_ROOT_DER,
            Vendor::Microsoft => azure::MICROSOFT_ROOTS_DER,
        }
    }
}

/// Production roots are built in; a simulator's replaces the one of its vendor, and needs the policy's consent too.
#[derive(Clone, Debug, Default)]
pub struct TrustAnchors {
    /// DER certificates of simulators' roots.
    simulated: Vec<(Vendor, Vec<u8>)>,
}

impl TrustAnchors {
    /// With a simulator's root (DER) in place of the vendor's.
    pub fn simulated(vendor: Vendor, root: Vec<u8>) -> TrustAnchors {
        TrustAnchors { simulated: vec![(vendor, root)] }
    }

    /// Another simulator's, in place of an earlier one of that vendor.
    pub fn add_simulated(&mut self, vendor: Vendor, root: Vec<u8>) {
        self.simulated.retain(|(known, _)| *known != vendor);
        self.simulated.push((vendor, root));
    }

    /// As `add_simulated`, with the names and forms that hosts use. Errors: InvalidArgument (unknown vendor; unusable PEM).
    pub fn read_simulated(&mut self, vendor: &str, pem: &[u8]) -> Result<()> {
        let wrong = |why: String| Fault { status: Status::InvalidArgument, phase: Phase::Call, message: why };
        let vendor = Vendor::from_name(vendor).ok_or_else(|| wrong(format!("unknown vendor {vendor:?}")))?;
        let root = vendor.read_root(pem).map_err(|why| wrong(format!("pem: {why}")))?;
        self.add_simulated(vendor, root);
        Ok(())
    }

    /// Whether some root is a simulator's.
    pub fn is_simulated(&self) -> bool {
        !self.simulated.is_empty()
    }

    /// The vendor's root (DER), whether or not a policy consents to it: for what is judged again before it is used.
    pub fn of(&self, vendor: Vendor) -> &[u8] {
        let simulated = self.simulated.iter().find(|(known, _)| *known == vendor);
        simulated.map_or(vendor.production(), |(_, root)| root)
    }

    /// The root (DER) that evidence must lead to under `policy`, and what verdicts call it. Errors: TrustAnchor.
    pub fn root(&self, vendor: Vendor, policy: &Policy) -> Result<(&[u8], &'static str)> {
        let is_simulated = self.simulated.iter().any(|(known, _)| *known == vendor);
        match is_simulated {
            false => Ok((self.of(vendor), vendor.name())),
            true if policy.allow_simulated => Ok((self.of(vendor), SIMULATED)),
            true => {
                let message = "a simulated root was given, but the policy does not say \"allow_simulated\": true";
                Err(Fault::of_question(Status::TrustAnchor, message))
            }
        }
    }
}
