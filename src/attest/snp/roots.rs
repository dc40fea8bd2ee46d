//! AMD's own certificates, which are built in: of each product the root (ARK) and the two intermediates, of chip keys (ASK) and of providers' keys (ASVK).
//! None of them is ever taken from evidence or from a server. Pure.

use x509_cert::Certificate;
use x509_cert::der::{Decode, Reader, SliceReader};

use super::product::{Product, SigningKey};

/// ARK, ASK and ASVK of Milan, then of Genoa, then of Turin: DER certificates one after another. From AMD's key distribution service,
/// `/{vcek,vlek}/v1/{product}/cert_chain`. A test holds the fingerprints.
pub const AMD_ROOTS_DER: &[u8] = &JOINED;

const PARTS: [&[u8]; 9] = [
    include_bytes!("roots/milan-ark.der"),
    include_bytes!("roots/milan-ask.der"),
    include_bytes!("roots/milan-asvk.der"),
    include_bytes!("roots/genoa-ark.der"),
    include_bytes!("roots/genoa-ask.der"),
    include_bytes!("roots/genoa-asvk.der"),
    include_bytes!("roots/turin-ark.der"),
    include_bytes!("roots/turin-ask.der"),
    include_bytes!("roots/turin-asvk.der"),
];

static JOINED: [u8; joined_length()] = joined();

const fn joined_length() -> usize {
    let (mut length, mut part) = (0, 0);
    while part < PARTS.len() {
        length += PARTS[part].len();
        part += 1;
    }
    length
}

const fn joined() -> [u8; joined_length()] {
    let mut out = [0; joined_length()];
    let (mut at, mut part) = (0, 0);
    while part < PARTS.len() {
        let mut index = 0;
        while index < PARTS[part].len() {
            out[at] = PARTS[part][index];
            (at, index) = (at + 1, index + 1);
        }
        part += 1;
    }
    out
}

/// The certificates of one product, DER.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Roots<'a> {
    pub ark: &'a [u8],
    pub ask: &'a [u8],
    pub asvk: &'a [u8],
}

impl<'a> Roots<'a> {
    /// Those of `product` among `all`, which are as in [`AMD_ROOTS_DER`]: for any number of products, in any order.
    pub fn of(all: &'a [u8], product: Product) -> Result<Roots<'a>, String> {
        if std::ptr::eq(all, AMD_ROOTS_DER) {
            return Ok(Roots::built_in(product));
        }
        Roots::read(all)?
            .into_iter()
            .find(|(known, _)| *known == product)
            .map(|(_, roots)| roots)
            .ok_or_else(|| format!("no root of {} is known", product.name()))
    }

    /// Without reading the certificates again, which takes as long as much of a judgement.
    fn built_in(product: Product) -> Roots<'static> {
        let [ark, ask, asvk] = match product {
            Product::Milan => [PARTS[0], PARTS[1], PARTS[2]],
            Product::Genoa => [PARTS[3], PARTS[4], PARTS[5]],
            Product::Turin => [PARTS[6], PARTS[7], PARTS[8]],
        };
        Roots { ark, ask, asvk }
    }

    /// Takes them apart. What product a root is of, its name says: it ends in `ARK-Milan`, for example.
    pub fn read(all: &'a [u8]) -> Result<Vec<(Product, Roots<'a>)>, String> {
        let broken = |error| format!("AMD's certificates: {error}");
        let mut reader = SliceReader::new(all).map_err(broken)?;
        let mut products = Vec::new();
        while !reader.is_finished() {
            let mut next = || reader.tlv_bytes().map_err(broken);
            let roots = Roots { ark: next()?, ask: next()?, asvk: next()? };
            let product = product_of(roots.ark)?;
            if products.iter().any(|(known, _)| *known == product) {
                return Err(format!("AMD's certificates: two roots of {}", product.name()));
            }
            products.push((product, roots));
        }
        Ok(products)
    }

    /// The intermediate that vouches for keys of that kind.
    pub fn issuer_of(&self, key: SigningKey) -> &'a [u8] {
        match key {
            SigningKey::Vcek => self.ask,
            SigningKey::Vlek => self.asvk,
        }
    }
}

fn product_of(ark: &[u8]) -> Result<Product, String> {
    let ark = Certificate::from_der(ark).map_err(|error| format!("AMD's certificates: {error}"))?;
    let name = common_name(ark.tbs_certificate().subject())?;
    let product = name.rsplit_once("ARK-").and_then(|(_, product)| Product::from_name(product));
    product.ok_or_else(|| format!("AMD's certificates: {name:?} is the root of no known product"))
}

pub(super) fn common_name(name: &x509_cert::name::Name) -> Result<String, String> {
    let found = name.common_name().map_err(|error| format!("common name: {error}"))?;
    found.map(|text| text.value().into_owned()).ok_or_else(|| "no common name".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attest::hash::{hex, sha256};

    #[test]
    fn the_built_in_roots_are_amds() {
        let expected = [
            (
                Product::Milan,
                [
                    "69d063b45344d26a2e94e1f4210de49ef555308287d4c174445c95639a540bcd",
                    "67d303bd3905fd38db8b20e0793699870e7fa612eaad5dec358293fd8c0bac1b",
                    "c5e081f59b7efab1fe2f8b505e159704e72f29cab7ef7cf628a05a42439082f5",
                ],
            ),
            (
                Product::Genoa,
                [
                    "4c6598d19c18719c5dfd4a7d335f674e5bfe1d8f800cea2cf270c10d103db2f1",
                    "5464738c1546aed5f2cecf1dc98c5c960a92e8913238a61711bc90ec6e828521",
                    "197e610743a917d6b9bb982a5a9226ccc0a15b611be0619e626aca9151457372",
                ],
            ),
            (
                Product::Turin,
                [
                    "1f084161a44bb6d93778a904877d4819cafa5d05ef4193b2ded9dd9c73dd3f6a",
                    "5b77ef5fe7a7a004fd9032668fba9d0fda22f88c4442069a479636a6ae3b3185",
                    "104e10a8bd060a3c20a434261a57d0588fd65a88915b4f65b08bdecaf8df1a3c",
                ],
            ),
        ];
        for (product, fingerprints) in expected {
            // The same certificates elsewhere are found by what they say.
            let elsewhere = Vec::from(AMD_ROOTS_DER);
            for all in [AMD_ROOTS_DER, &elsewhere] {
                let roots = Roots::of(all, product).unwrap();
                assert_eq!([roots.ark, roots.ask, roots.asvk].map(|der| hex(&sha256(der))), fingerprints);
            }
        }
    }

    #[test]
    fn certificates_that_are_no_set_of_roots() {
        let [ark, ask, asvk, ..] = PARTS;
        let one = [ark, ask, asvk].concat();
        assert_eq!(Roots::read(&one).unwrap().len(), 1);
        assert!(Roots::of(&one, Product::Genoa).unwrap_err().contains("no root of Genoa"));
        assert!(Roots::read(&[&one[..], &one].concat()).unwrap_err().contains("two roots of Milan"));
        for bad in [&one[..one.len() - 1], &[ask, ark, asvk].concat(), &[ark, ask].concat(), b"0"] {
            assert!(Roots::read(bad).is_err());
        }
        assert_eq!(Roots::read(b"").unwrap(), []);
    }
}
