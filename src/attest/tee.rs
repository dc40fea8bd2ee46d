//! The kinds of TEE: their names on the wire, in policies' challenges and in verdicts, and the two bytes that a binder has of them. Pure.

/// A kind of evidence. Names and codes are never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tee {
    Tdx,
    Snp,
    Sgx,
    Nitro,
    NitroTpm,
    /// An Azure virtual machine in a TDX trust domain, with its TPM.
    AzureTdx,
    /// One that is an SEV-SNP guest.
    AzureSnp,
    Nvidia,
    #[cfg(test)]
    Toy,
}

impl Tee {
    pub const ALL: &'static [Tee] = &[
        Tee::Tdx,
        Tee::Snp,
        Tee::Sgx,
        Tee::Nitro,
        Tee::NitroTpm,
        Tee::AzureTdx,
        Tee::AzureSnp,
        Tee::Nvidia,
        #[cfg(test)]
        Tee::Toy,
    ];

    /// Those whose evidence stands alone.
    pub fn alone() -> Vec<Tee> {
        Tee::ALL.iter().copied().filter(|kind| !kind.attaches()).collect()
    }

    pub fn name(self) -> &'static str {
        match self {
            Tee::Tdx => "tdx",
            Tee::Snp => "snp",
            Tee::Sgx => "sgx",
            Tee::Nitro => "nitro",
            Tee::NitroTpm => "nitro_tpm",
            Tee::AzureTdx => "azure_tdx_vtpm",
            Tee::AzureSnp => "azure_snp_vtpm",
            Tee::Nvidia => "nvidia",
            #[cfg(test)]
            Tee::Toy => "toy",
        }
    }

    pub fn from_name(name: &str) -> Option<Tee> {
        Tee::ALL.iter().copied().find(|kind| kind.name() == name)
    }

    /// Whether such evidence stands beside that of another kind, and never alone.
    pub fn attaches(self) -> bool {
        self == Tee::Nvidia
    }

    /// As protocol exporter-v1 has it in its binder. The code of a kind that attaches is reserved: the binder is of the evidence that it stands beside.
    pub fn code(self) -> [u8; 2] {
        match self {
            Tee::Tdx => [0, 1],
            Tee::Snp => [0, 2],
            Tee::Sgx => [0, 3],
            Tee::Nitro => [0, 4],
            Tee::NitroTpm => [0, 5],
            Tee::AzureTdx => [0, 0x11],
            Tee::AzureSnp => [0, 0x12],
            Tee::Nvidia => [0, 0x21],
            #[cfg(test)]
            Tee::Toy => [0xff, 0xfe],
        }
    }
}
