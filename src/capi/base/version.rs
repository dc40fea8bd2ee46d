//! Which library this is.

use super::bytes::atls_str;

/// Of the header.
pub const ATLS_VERSION_MAJOR: u32 = 0;
/// Of the header.
pub const ATLS_VERSION_MINOR: u32 = 1;
/// Of the header.
pub const ATLS_VERSION_PATCH: u32 = 0;
/// Of the header: major * 1000000 + minor * 1000 + patch. Compare with atls_version_number, which is of the library in use.
pub const ATLS_VERSION_NUMBER: u32 = 1000;

/// Parts that a build may leave out (atls_has).
pub type atls_part = u32;

/// Evidence of TDX guests, under dstack and without it.
pub const ATLS_HAS_TDX: atls_part = 1;
/// Connections through a WebSocket tunnel.
pub const ATLS_HAS_TUNNEL: atls_part = 2;
/// Evidence of AMD SEV-SNP guests.
pub const ATLS_HAS_SNP: atls_part = 3;
/// Evidence of AWS Nitro enclaves.
pub const ATLS_HAS_NITRO: atls_part = 4;
/// Evidence of EC2 instances with a NitroTPM.
pub const ATLS_HAS_NITRO_TPM: atls_part = 5;
/// Evidence of Azure's confidential virtual machines, by their TPM.
pub const ATLS_HAS_AZURE_VTPM: atls_part = 6;
/// Evidence of Intel SGX enclaves.
pub const ATLS_HAS_SGX: atls_part = 7;
/// Evidence of NVIDIA GPUs beside a machine's own.
pub const ATLS_HAS_NVIDIA: atls_part = 8;

/// Version of the library in use, for example "0.1.0". Static.
#[unsafe(no_mangle)]
pub extern "C" fn atls_version() -> atls_str {
    const TEXT: &str = concat!(env!("CARGO_PKG_VERSION"), "\0");
    match std::ffi::CStr::from_bytes_with_nul(TEXT.as_bytes()) {
        Ok(text) => atls_str::from_static(text),
        Err(_) => atls_str::empty(),
    }
}

/// Version of the library in use, as ATLS_VERSION_NUMBER.
#[unsafe(no_mangle)]
pub extern "C" fn atls_version_number() -> u32 {
    ATLS_VERSION_NUMBER
}

/// Returns whether this build has a part. Functions of an absent part exist and answer UNSUPPORTED.
#[unsafe(no_mangle)]
pub extern "C" fn atls_has(part: atls_part) -> bool {
    const PARTS: [atls_part; 8] = [
        ATLS_HAS_TDX,
        ATLS_HAS_TUNNEL,
        ATLS_HAS_SNP,
        ATLS_HAS_NITRO,
        ATLS_HAS_NITRO_TPM,
        ATLS_HAS_AZURE_VTPM,
        ATLS_HAS_SGX,
        ATLS_HAS_NVIDIA,
    ];
    PARTS.contains(&part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_has_cargos_version() {
        let parts: Vec<u32> = env!("CARGO_PKG_VERSION").split('.').map(|part| part.parse().unwrap()).collect();
        assert_eq!(parts, [ATLS_VERSION_MAJOR, ATLS_VERSION_MINOR, ATLS_VERSION_PATCH]);
        assert_eq!(ATLS_VERSION_NUMBER, parts[0] * 1_000_000 + parts[1] * 1000 + parts[2]);
        assert_eq!(atls_version().len, env!("CARGO_PKG_VERSION").len());
    }
}
