//! AMD's lines of processors that have SEV-SNP, which differ in their keys and in the layout of a TCB version. Pure.

/// A line of processors. Its certificates are AMD's for this line alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Product {
    Milan,
    /// With Bergamo and Siena.
    Genoa,
    Turin,
}

impl Product {
    pub const ALL: [Product; 3] = [Product::Milan, Product::Genoa, Product::Turin];

    /// As certificates and AMD's key service have it.
    pub fn name(self) -> &'static str {
        match self {
            Product::Milan => "Milan",
            Product::Genoa => "Genoa",
            Product::Turin => "Turin",
        }
    }

    pub fn from_name(name: &str) -> Option<Product> {
        Product::ALL.into_iter().find(|product| product.name() == name)
    }

    /// By CPUID's extended family and model; `None` for a processor that is none of these.
    pub fn of_cpu(family: u8, model: u8) -> Option<Product> {
        match (family, model) {
            (0x19, 0x00..=0x0f) => Some(Product::Milan),
            (0x19, 0x10..=0x1f | 0xa0..=0xaf) => Some(Product::Genoa),
            (0x1a, 0x00..=0x11) => Some(Product::Turin),
            _ => None,
        }
    }
}

/// Which key of the processor signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SigningKey {
    /// Of the chip and its firmware's version.
    Vcek,
    /// That AMD gave to a cloud provider for its machines.
    Vlek,
}

impl SigningKey {
    pub fn name(self) -> &'static str {
        match self {
            SigningKey::Vcek => "vcek",
            SigningKey::Vlek => "vlek",
        }
    }

    pub fn from_name(name: &str) -> Option<SigningKey> {
        [SigningKey::Vcek, SigningKey::Vlek].into_iter().find(|key| key.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_by_family_and_model() {
        for (family, model, product) in [
            (0x19, 0x00, Some(Product::Milan)),
            (0x19, 0x0f, Some(Product::Milan)),
            (0x19, 0x10, Some(Product::Genoa)),
            (0x19, 0x1f, Some(Product::Genoa)),
            (0x19, 0x20, None),
            (0x19, 0x9f, None),
            (0x19, 0xa0, Some(Product::Genoa)),
            (0x19, 0xaf, Some(Product::Genoa)),
            (0x19, 0xb0, None),
            (0x1a, 0x00, Some(Product::Turin)),
            (0x1a, 0x11, Some(Product::Turin)),
            (0x1a, 0x12, None),
            (0x17, 0x31, None),
            (0x00, 0x00, None),
        ] {
            assert_eq!(Product::of_cpu(family, model), product, "{family:x} {model:x}");
        }
        assert_eq!(Product::from_name("milan"), None);
    }
}
