//! Registers (PCRs) of a TPM, as they come along with a quote. Pure.

use serde_json::{Map, Value};

use crate::attest::hash::{hex, sha256, unhex_array};

/// How many there are.
pub const REGISTERS: u8 = 24;

pub type Pcr = [u8; 32];

/// Values by number, ascending.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pcrs(Vec<(u8, Pcr)>);

impl Pcrs {
    /// Reads `{"0":hex,..}`, each number once and as it is usually written.
    pub fn from_json(value: &Value) -> Result<Pcrs, String> {
        let members = value.as_object().ok_or("pcrs is not an object")?;
        let mut pcrs = Pcrs::default();
        for (name, value) in members {
            let number = (0..REGISTERS).find(|number| number.to_string() == *name);
            let number = number.ok_or_else(|| format!("pcrs: there is no register {name:?}"))?;
            let value = value.as_str().and_then(unhex_array);
            pcrs.0.push((number, value.ok_or_else(|| format!("pcrs: {number} is not 64 hexadecimal digits"))?));
        }
        pcrs.0.sort_unstable();
        Ok(pcrs)
    }

    pub fn get(&self, number: u8) -> Option<&Pcr> {
        self.0.iter().find(|(known, _)| *known == number).map(|(_, value)| value)
    }

    pub fn numbers(&self) -> impl Iterator<Item = u8> {
        self.0.iter().map(|(number, _)| *number)
    }

    /// As a quote of all of them has it.
    pub fn digest(&self) -> [u8; 32] {
        sha256(&self.0.iter().flat_map(|(_, value)| *value).collect::<Vec<u8>>())
    }

    pub fn to_json(&self) -> Value {
        let members = self.0.iter().map(|(number, value)| (number.to_string(), Value::from(hex(value))));
        Value::Object(members.collect::<Map<_, _>>())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn registers_are_taken_in_the_order_of_their_numbers() {
        let (one, two, ten) = ("01".repeat(32), "02".repeat(32), "0A".repeat(32));
        let pcrs = Pcrs::from_json(&json!({"10": ten, "2": two, "1": one})).unwrap();
        assert_eq!(pcrs.numbers().collect::<Vec<_>>(), [1, 2, 10]);
        assert_eq!(pcrs.digest(), sha256(&[[1; 32], [2; 32], [10; 32]].concat()));
        assert_eq!(pcrs.to_json(), json!({"1": one, "2": two, "10": ten.to_lowercase()}));
        assert_eq!((pcrs.get(2), pcrs.get(3)), (Some(&[2; 32]), None));
        for bad in [json!([]), json!({"24": one}), json!({"01": one}), json!({"+1": one}), json!({"1": "01"})] {
            assert!(Pcrs::from_json(&bad).is_err(), "{bad}");
        }
        assert!(Pcrs::from_json(&json!({"1": 7})).is_err());
    }
}
