//! TCB versions: the security version numbers of a processor's firmware. Components are compared one by one, never as one number: their order in it
//! differs between products. Pure.

use serde_json::{Value, json};

use super::product::Product;

/// Security version numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tcb {
    pub bootloader: u8,
    pub tee: u8,
    pub snp: u8,
    pub microcode: u8,
    /// Turin only.
    pub fmc: Option<u8>,
}

impl Tcb {
    /// As reports hold it.
    pub fn read(raw: [u8; 8], product: Product) -> Tcb {
        let microcode = raw[7];
        match product {
            Product::Milan | Product::Genoa => {
                Tcb { bootloader: raw[0], tee: raw[1], snp: raw[6], microcode, fmc: None }
            }
            Product::Turin => Tcb { fmc: Some(raw[0]), bootloader: raw[1], tee: raw[2], snp: raw[3], microcode },
        }
    }

    /// Whether every component is at least as high as the other's.
    pub fn is_at_least(&self, other: &Tcb) -> bool {
        self.bootloader >= other.bootloader
            && self.tee >= other.tee
            && self.snp >= other.snp
            && self.microcode >= other.microcode
            && self.fmc.unwrap_or(0) >= other.fmc.unwrap_or(0)
    }

    pub fn to_json(self) -> Value {
        let mut all = json!({
            "bootloader": self.bootloader, "tee": self.tee, "snp": self.snp, "microcode": self.microcode,
        });
        if let (Some(fmc), Some(members)) = (self.fmc, all.as_object_mut()) {
            members.insert("fmc".into(), fmc.into());
        }
        all
    }
}

impl std::fmt::Display for Tcb {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "bootloader {}, tee {}, snp {}, microcode {}", self.bootloader, self.tee, self.snp, self.microcode)?;
        self.fmc.map_or(Ok(()), |fmc| write!(f, ", fmc {fmc}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_components_is_the_products() {
        let raw = [1, 2, 3, 4, 5, 6, 7, 8];
        let milan = Tcb { bootloader: 1, tee: 2, snp: 7, microcode: 8, fmc: None };
        assert_eq!((Tcb::read(raw, Product::Milan), Tcb::read(raw, Product::Genoa)), (milan, milan));
        let turin = Tcb { fmc: Some(1), bootloader: 2, tee: 3, snp: 4, microcode: 8 };
        assert_eq!(Tcb::read(raw, Product::Turin), turin);
    }

    #[test]
    fn one_component_below_is_below_whatever_the_others_are() {
        let floor = Tcb { bootloader: 4, tee: 4, snp: 4, microcode: 4, fmc: Some(4) };
        assert!(floor.is_at_least(&floor));
        let high = Tcb { bootloader: 9, tee: 9, snp: 9, microcode: 9, fmc: Some(9) };
        for low in [
            Tcb { bootloader: 3, ..high },
            Tcb { tee: 3, ..high },
            Tcb { snp: 3, ..high },
            Tcb { microcode: 3, ..high },
            Tcb { fmc: Some(3), ..high },
            Tcb { fmc: None, ..high },
        ] {
            assert!(!low.is_at_least(&floor), "{low}");
        }
    }
}
