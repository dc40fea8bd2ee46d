//! Rules about a report, its machine and its firmware, as the policy types for SEV-SNP share them. Pure.

use super::bits::{platform_bit, policy_bit};
use super::layout::Firmware;
use super::product::{Product, SigningKey};
use super::tcb::Tcb;
use crate::attest::Result;
use crate::attest::policy::policy_fields::PolicyFields;

/// Security version numbers are smaller than this; microcode's is a whole byte.
const MAX_VERSION: u64 = 127;

/// What the machine, its firmware and the guest's launch must be, whatever evidence the report was found in.
#[derive(Clone, Debug)]
pub struct SnpRules {
    pub products: Vec<Product>,
    /// One for each of `products`.
    pub min_tcb: Vec<(Product, Tcb)>,
    pub signing_key: Vec<SigningKey>,
    /// Cloud providers, of whom keys of their own count.
    pub csp_id: Vec<String>,
    pub guest_policy: Bits,
    pub platform: Bits,
    pub allow_provisional: bool,
    pub min_launch_tcb: Vec<(Product, Tcb)>,
    pub min_abi: Option<Firmware>,
    pub required_mitigations: Option<u64>,
    pub id_key_digest: Option<Vec<[u8; 48]>>,
    pub author_key_digest: Option<Vec<[u8; 48]>>,
    pub family_id: Option<Vec<[u8; 16]>>,
    pub image_id: Option<Vec<[u8; 16]>>,
    pub min_guest_svn: Option<u64>,
    pub allowed_chip_id: Option<Vec<[u8; 64]>>,
    pub denied_chip_id: Vec<[u8; 64]>,
    pub allow_masked_chip_id: bool,
    pub crl: CrlRule,
    pub min_report_version: u32,
}

/// Bits that must be set, and bits that must not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bits {
    pub required: u64,
    pub forbidden: u64,
}

/// Whether AMD's revocation list counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrlRule {
    Require,
    /// If there is one.
    IfAvailable,
    Off,
}

impl SnpRules {
    /// Takes the fields that are about them.
    pub fn read(fields: &mut PolicyFields) -> Result<SnpRules> {
        let products = read_names(fields, "products", Product::from_name)?;
        let products = products.ok_or_else(|| missing(fields, "products"))?;
        let keys = read_names(fields, "signing_key", SigningKey::from_name)?;
        let signing_key = keys.unwrap_or_else(|| vec![SigningKey::Vcek]);
        let min_tcb = read_floors(fields, "min_tcb", &products)?;
        Ok(SnpRules {
            min_tcb: min_tcb.ok_or_else(|| missing(fields, "min_tcb"))?,
            csp_id: read_providers(fields, &signing_key)?,
            guest_policy: read_guest_policy(fields)?,
            platform: read_platform(fields)?,
            allow_provisional: fields.bool("allow_provisional")?.unwrap_or(true),
            min_launch_tcb: read_floors(fields, "min_launch_tcb", &products)?.unwrap_or_default(),
            min_abi: read_abi(fields)?,
            required_mitigations: read_mitigations(fields)?,
            id_key_digest: fields.hexes("id_key_digest")?,
            author_key_digest: fields.hexes("author_key_digest")?,
            family_id: fields.hexes("family_id")?,
            image_id: fields.hexes("image_id")?,
            min_guest_svn: fields.u64("min_guest_svn")?,
            allowed_chip_id: fields.hexes("allowed_chip_id")?,
            denied_chip_id: fields.hexes("denied_chip_id")?.unwrap_or_default(),
            allow_masked_chip_id: fields.bool("allow_masked_chip_id")?.unwrap_or(false),
            crl: read_crl(fields)?,
            min_report_version: read_version(fields)?,
            products,
            signing_key,
        })
    }

    pub fn floor(&self, product: Product) -> Option<&Tcb> {
        floor_of(&self.min_tcb, product)
    }

    pub fn launch_floor(&self, product: Product) -> Option<&Tcb> {
        floor_of(&self.min_launch_tcb, product)
    }
}

fn floor_of(floors: &[(Product, Tcb)], product: Product) -> Option<&Tcb> {
    floors.iter().find(|(of, _)| *of == product).map(|(_, floor)| floor)
}

pub(super) fn missing(fields: &PolicyFields, field: &str) -> crate::attest::Fault {
    fields.invalid(field, format!("missing field `{field}`"))
}

fn read_names<T: PartialEq>(
    fields: &mut PolicyFields,
    field: &str,
    from_name: impl Fn(&str) -> Option<T>,
) -> Result<Option<Vec<T>>> {
    let Some(names) = fields.strings(field)? else { return Ok(None) };
    let mut known = Vec::new();
    for (index, name) in names.iter().enumerate() {
        let path = format!("{field}[{index}]");
        let value = from_name(name).ok_or_else(|| fields.invalid(&path, format!("{name:?} is not known")))?;
        if known.contains(&value) {
            return Err(fields.invalid(&path, format!("{name:?} is duplicated")));
        }
        known.push(value);
    }
    Ok(Some(known))
}

/// One floor for each product that the policy lists, and for no other.
fn read_floors(fields: &mut PolicyFields, field: &str, products: &[Product]) -> Result<Option<Vec<(Product, Tcb)>>> {
    let Some(mut object) = fields.object(field)? else { return Ok(None) };
    let mut floors = Vec::new();
    for &product in products {
        let name = product.name();
        let mut versions = object.object(name)?.ok_or_else(|| missing(&object, name))?;
        let mut number = |part: &str, most: u64| -> Result<u8> {
            let value = versions.u64(part)?.ok_or_else(|| missing(&versions, part))?;
            let number = u8::try_from(value).ok().filter(|_| value <= most);
            number.ok_or_else(|| versions.invalid(part, format!("{value} is not within 0..{most}")))
        };
        let floor = Tcb {
            bootloader: number("bootloader", MAX_VERSION)?,
            tee: number("tee", MAX_VERSION)?,
            snp: number("snp", MAX_VERSION)?,
            microcode: number("microcode", u8::MAX.into())?,
            fmc: if product == Product::Turin { Some(number("fmc", MAX_VERSION)?) } else { None },
        };
        versions.finish()?;
        floors.push((product, floor));
    }
    object.finish()?;
    Ok(Some(floors))
}

fn read_providers(fields: &mut PolicyFields, keys: &[SigningKey]) -> Result<Vec<String>> {
    let providers = fields.strings("csp_id")?;
    match (providers, keys.contains(&SigningKey::Vlek)) {
        (Some(providers), true) => Ok(providers),
        (None, false) => Ok(Vec::new()),
        (None, true) => Err(fields.invalid("csp_id", "missing field `csp_id`, which signing key `vlek` needs".into())),
        (Some(_), false) => Err(fields.invalid("csp_id", "is about signing key `vlek`, which is not accepted".into())),
    }
}

/// The bits of switches that are on: each is a name and what it stands for.
fn read_bits(object: &mut PolicyFields, switches: &[(&str, u64)]) -> Result<u64> {
    let mut bits = 0;
    for (name, bit) in switches {
        if object.bool(name)?.unwrap_or(false) {
            bits |= bit;
        }
    }
    Ok(bits)
}

fn read_guest_policy(fields: &mut PolicyFields) -> Result<Bits> {
    use policy_bit as bit;
    let refused = bit::DEBUG | bit::MIGRATION | bit::CXL_ALLOWED;
    let Some(mut object) = fields.object("guest_policy")? else { return Ok(Bits { required: 0, forbidden: refused }) };
    let allowed = read_bits(
        &mut object,
        &[("allow_debug", bit::DEBUG), ("allow_migration", bit::MIGRATION), ("allow_cxl", bit::CXL_ALLOWED)],
    )?;
    let forbidden = read_bits(&mut object, &[("forbid_smt", bit::SMT_ALLOWED)])?;
    let required = read_bits(
        &mut object,
        &[
            ("require_single_socket", bit::SINGLE_SOCKET),
            ("require_aes_256_xts", bit::AES_256_XTS),
            ("require_rapl_off", bit::RAPL_OFF),
            ("require_ciphertext_hiding", bit::CIPHERTEXT_HIDING),
            ("require_page_swap_disabled", bit::PAGE_SWAP_DISABLED),
        ],
    )?;
    object.finish()?;
    Ok(Bits { required, forbidden: refused & !allowed | forbidden })
}

fn read_platform(fields: &mut PolicyFields) -> Result<Bits> {
    use platform_bit as bit;
    let (checked, refused) = (bit::ALIAS_CHECK, bit::TIO | bit::UNKNOWN);
    let Some(mut object) = fields.object("platform")? else {
        return Ok(Bits { required: checked, forbidden: refused });
    };
    let checked = if object.bool("require_alias_check")?.unwrap_or(true) { checked } else { 0 };
    let allowed = read_bits(&mut object, &[("allow_tio", bit::TIO), ("allow_unknown_bits", bit::UNKNOWN)])?;
    let forbidden = read_bits(&mut object, &[("forbid_smt", bit::SMT)])?;
    let required = read_bits(
        &mut object,
        &[
            ("require_ecc", bit::ECC),
            ("require_tsme", bit::TSME),
            ("require_rapl_off", bit::RAPL_OFF),
            ("require_ciphertext_hiding", bit::CIPHERTEXT_HIDING),
            ("require_iommu_write_safe", bit::IOMMU_WRITE_SAFE),
        ],
    )?;
    object.finish()?;
    Ok(Bits { required: checked | required, forbidden: refused & !allowed | forbidden })
}

fn read_abi(fields: &mut PolicyFields) -> Result<Option<Firmware>> {
    let Some(text) = fields.string("min_abi")? else { return Ok(None) };
    let digits = |part: &str| part.bytes().all(|digit| digit.is_ascii_digit()).then(|| part.parse().ok()).flatten();
    let parts: Option<Vec<u8>> = text.split('.').map(digits).collect();
    match parts.as_deref() {
        Some(&[major, minor]) => Ok(Some(Firmware { major, minor, build: 0 })),
        Some(&[major, minor, build]) => Ok(Some(Firmware { major, minor, build })),
        _ => Err(fields.invalid("min_abi", format!("{text:?} is no version, as \"1.55\" or \"1.55.40\""))),
    }
}

fn read_mitigations(fields: &mut PolicyFields) -> Result<Option<u64>> {
    let bits = fields.hex("required_mitigations")?.map(u64::from_be_bytes);
    match bits {
        Some(0) => Err(fields.invalid("required_mitigations", "is zero, which asks for nothing".into())),
        bits => Ok(bits),
    }
}

fn read_crl(fields: &mut PolicyFields) -> Result<CrlRule> {
    match fields.string("crl")?.as_deref() {
        None | Some("require") => Ok(CrlRule::Require),
        Some("if_available") => Ok(CrlRule::IfAvailable),
        Some("off") => Ok(CrlRule::Off),
        Some(other) => {
            let why = format!("{other:?} is none of \"require\", \"if_available\" and \"off\"");
            Err(fields.invalid("crl", why))
        }
    }
}

fn read_version(fields: &mut PolicyFields) -> Result<u32> {
    match fields.u64("min_report_version")? {
        None => Ok(3),
        Some(version @ 2..=5) => Ok(version as u32),
        Some(other) => Err(fields.invalid("min_report_version", format!("{other} is not within 2..5"))),
    }
}
