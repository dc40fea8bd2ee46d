//! The table of certificates that a host hands to its SEV-SNP guests beside a report (GHCB specification, "SNP Extended Guest Request"). The host wrote it:
//! nothing in it is believed, and every offset is bounded. Pure.

use crate::attest::snp::SigningKey;

/// GUID, offset and length.
const ENTRY: usize = 24;
/// More than any host has.
const MAX_ENTRIES: usize = 16;

const VCEK: [u8; 16] = *b"\x63\xda\x75\x8d\xe6\x64\x45\x64\xad\xc5\xf4\xb9\x3b\xe8\xac\xcd";
const VLEK: [u8; 16] = *b"\xa8\x07\x4b\xc2\xa2\x5a\x48\x3e\xaa\xe6\x39\xc0\x45\xa0\xb8\xa1";

/// GUID, and what its entry points to.
type Entry<'t> = ([u8; 16], &'t [u8]);

/// The certificate (DER) of the key of that kind, if the table has one. AMD's intermediates and roots in it are of no use, and other entries not known.
pub fn certificate(table: &[u8], key: SigningKey) -> Result<Option<&[u8]>, String> {
    let wanted = match key {
        SigningKey::Vcek => VCEK,
        SigningKey::Vlek => VLEK,
    };
    let entries = entries(table)?;
    let mut found = entries.iter().filter(|(guid, _)| *guid == wanted).map(|(_, data)| *data);
    match (found.next(), found.next()) {
        (first, None) => Ok(first),
        (_, Some(_)) => Err(format!("two certificates of a {}", key.name())),
    }
}

fn entries(table: &[u8]) -> Result<Vec<Entry<'_>>, String> {
    let mut read = Vec::new();
    for entry in table.chunks_exact(ENTRY) {
        if entry.iter().all(|byte| *byte == 0) {
            return bounded(table, &read);
        }
        if read.len() == MAX_ENTRIES {
            return Err(format!("more than {MAX_ENTRIES} entries"));
        }
        let (guid, place) = entry.split_at(16);
        let number = |at: usize| place[at..at + 4].iter().rev().fold(0usize, |sum, byte| sum << 8 | usize::from(*byte));
        let mut name = [0; 16];
        name.copy_from_slice(guid);
        read.push((name, number(0), number(4)));
    }
    match table.is_empty() {
        true => Ok(Vec::new()),
        false => Err("no end of its entries".into()),
    }
}

/// What the entries point to: behind them all, inside the table, and no byte of one in another.
fn bounded<'t>(table: &'t [u8], read: &[([u8; 16], usize, usize)]) -> Result<Vec<Entry<'t>>, String> {
    let mut end = (read.len() + 1) * ENTRY;
    let mut in_order: Vec<_> = read.iter().collect();
    in_order.sort_by_key(|(_, offset, _)| *offset);
    for (_, offset, length) in in_order {
        if *offset < end {
            return Err(format!("an entry at {offset}, where something else is"));
        }
        end = offset.checked_add(*length).filter(|end| *end <= table.len()).ok_or("an entry beyond the end")?;
    }
    Ok(read.iter().map(|(guid, offset, length)| (*guid, &table[*offset..offset + length])).collect())
}

#[cfg(test)]
pub mod tests {
    use super::*;

    const ASK: [u8; 16] = *b"\x4a\xb7\xb3\x79\xbb\xac\x4f\xe4\xa0\x2f\x05\xae\xf3\x27\xc7\x82";

    /// A table of these, one after another.
    pub fn table(entries: &[([u8; 16], &[u8])]) -> Vec<u8> {
        let mut offset = (entries.len() + 1) * ENTRY;
        let (mut head, mut data) = (Vec::new(), Vec::new());
        for (guid, body) in entries {
            head.extend_from_slice(guid);
            head.extend_from_slice(&(offset as u32).to_le_bytes());
            head.extend_from_slice(&(body.len() as u32).to_le_bytes());
            offset += body.len();
            data.extend_from_slice(body);
        }
        [head, vec![0; ENTRY], data].concat()
    }

    pub fn with_vcek(der: &[u8]) -> Vec<u8> {
        table(&[(ASK, b"ask"), (VCEK, der)])
    }

    #[test]
    fn the_certificate_of_the_key_that_signed() {
        let whole = table(&[(ASK, b"ask"), (VCEK, b"vcek"), ([7; 16], b""), (VLEK, b"vlek")]);
        assert_eq!(certificate(&whole, SigningKey::Vcek), Ok(Some(&b"vcek"[..])));
        assert_eq!(certificate(&whole, SigningKey::Vlek), Ok(Some(&b"vlek"[..])));
        assert_eq!(certificate(&table(&[(ASK, b"ask")]), SigningKey::Vcek), Ok(None));
        // Padded to whole pages, as the kernel has it; none at all.
        assert_eq!(certificate(&[&whole[..], &[0; 4096]].concat(), SigningKey::Vcek), Ok(Some(&b"vcek"[..])));
        assert_eq!(certificate(&[], SigningKey::Vcek), Ok(None));
        assert_eq!(certificate(&[0; 4096], SigningKey::Vcek), Ok(None));
    }

    #[test]
    fn offsets_that_lead_elsewhere() {
        let refused = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut bent = table(&[(VCEK, b"vcek"), (VLEK, b"vlek")]);
            change(&mut bent);
            certificate(&bent, SigningKey::Vcek).unwrap_err()
        };
        assert!(refused(&|table| table[16] = 0).contains("something else"));
        assert!(refused(&|table| table[16] = 71).contains("something else"));
        assert!(refused(&|table| table[20] = 5).contains("something else"));
        assert!(refused(&|table| table[44] = 5).contains("beyond the end"));
        assert!(refused(&|table| table[47] = 0xff).contains("beyond the end"));
        assert!(refused(&|table| table[43] = 0xff).contains("beyond the end"));
        assert!(refused(&|table| table.truncate(48)).contains("no end"));
        assert!(refused(&|table| table.truncate(23)).contains("no end"));
        assert!(refused(&|table| table.copy_within(0..16, 24)).contains("two certificates"));
        let many = [&[[1; ENTRY]; 17].concat()[..], &[0; ENTRY]].concat();
        assert!(certificate(&many, SigningKey::Vcek).unwrap_err().contains("more than 16"));
    }
}
