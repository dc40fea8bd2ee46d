//! The bits of a report's guest policy and platform information (SEV-SNP firmware ABI specification), and their names. Pure.

/// Bits of the guest policy, which the guest's owner gives at launch.
pub mod policy_bit {
    pub const SMT_ALLOWED: u64 = 1 << 16;
    /// Must be set.
    pub const ALWAYS: u64 = 1 << 17;
    pub const MIGRATION: u64 = 1 << 18;
    pub const DEBUG: u64 = 1 << 19;
    pub const SINGLE_SOCKET: u64 = 1 << 20;
    pub const CXL_ALLOWED: u64 = 1 << 21;
    pub const AES_256_XTS: u64 = 1 << 22;
    pub const RAPL_OFF: u64 = 1 << 23;
    pub const CIPHERTEXT_HIDING: u64 = 1 << 24;
    pub const PAGE_SWAP_DISABLED: u64 = 1 << 25;

    pub const NAMES: [(&str, u64); 9] = [
        ("smt_allowed", SMT_ALLOWED),
        ("migration", MIGRATION),
        ("debug", DEBUG),
        ("single_socket", SINGLE_SOCKET),
        ("cxl_allowed", CXL_ALLOWED),
        ("aes_256_xts", AES_256_XTS),
        ("rapl_off", RAPL_OFF),
        ("ciphertext_hiding", CIPHERTEXT_HIDING),
        ("page_swap_disabled", PAGE_SWAP_DISABLED),
    ];
}

/// Bits of what the firmware says of its platform.
pub mod platform_bit {
    pub const SMT: u64 = 1;
    pub const TSME: u64 = 1 << 1;
    pub const ECC: u64 = 1 << 2;
    pub const RAPL_OFF: u64 = 1 << 3;
    pub const CIPHERTEXT_HIDING: u64 = 1 << 4;
    pub const ALIAS_CHECK: u64 = 1 << 5;
    pub const IOMMU_WRITE_SAFE: u64 = 1 << 6;
    pub const TIO: u64 = 1 << 7;
    pub const UNKNOWN: u64 = !0xff;

    pub const NAMES: [(&str, u64); 8] = [
        ("smt", SMT),
        ("tsme", TSME),
        ("ecc", ECC),
        ("rapl_off", RAPL_OFF),
        ("ciphertext_hiding", CIPHERTEXT_HIDING),
        ("alias_check", ALIAS_CHECK),
        ("iommu_write_safe", IOMMU_WRITE_SAFE),
        ("tio", TIO),
    ];
}
