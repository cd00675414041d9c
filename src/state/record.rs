//! The format of a record in the file: version, checksum, payload.

use sha2::{Digest, Sha256};

/// Version of the layout and of the payloads. A file of another version is set aside.
pub(super) const VERSION: u8 = 1;
/// Length of a checksum in bytes.
const CHECKSUM_LEN: usize = 16;

/// Why a record is not valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flaw {
    /// Written by another version.
    Version(u8),
    /// Too short, or the checksum does not match key and payload.
    Checksum,
}

fn checksum(key: &str, payload: &[u8]) -> [u8; CHECKSUM_LEN] {
    let mut hash = Sha256::new();
    hash.update((key.len() as u64).to_be_bytes());
    hash.update(key.as_bytes());
    hash.update(payload);
    let digest = hash.finalize();
    std::array::from_fn(|at| digest[at])
}

/// The bytes of a record.
pub(super) fn seal(key: &str, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(1 + CHECKSUM_LEN + payload.len());
    bytes.push(VERSION);
    bytes.extend_from_slice(&checksum(key, payload));
    bytes.extend_from_slice(payload);
    bytes
}

/// The payload of a record, verified.
pub(super) fn unseal<'a>(key: &str, bytes: &'a [u8]) -> Result<&'a [u8], Flaw> {
    let (version, rest) = bytes.split_first().ok_or(Flaw::Checksum)?;
    if *version != VERSION {
        return Err(Flaw::Version(*version));
    }
    let (sum, payload) = rest.split_at_checked(CHECKSUM_LEN).ok_or(Flaw::Checksum)?;
    if sum != checksum(key, payload) {
        return Err(Flaw::Checksum);
    }
    Ok(payload)
}

/// The contribution of a record to the sum of the manifest.
pub(super) fn weight(key: &str, payload: &[u8]) -> u64 {
    let sum = checksum(key, payload);
    sum.iter()
        .take(8)
        .fold(0, |n, byte| n << 8 | u64::from(*byte))
}

/// Which records must exist: their number and the sum of their weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Manifest {
    pub(super) records: u64,
    pub(super) sum: u64,
}

impl Manifest {
    pub(super) fn add(&mut self, key: &str, payload: &[u8]) {
        self.records += 1;
        self.sum = self.sum.wrapping_add(weight(key, payload));
    }

    pub(super) fn remove(&mut self, key: &str, payload: &[u8]) {
        self.records -= 1;
        self.sum = self.sum.wrapping_sub(weight(key, payload));
    }

    pub(super) fn to_bytes(self) -> Vec<u8> {
        [self.records.to_be_bytes(), self.sum.to_be_bytes()].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::{Flaw, Manifest, seal, unseal};

    #[test]
    fn every_flipped_bit_is_detected() {
        let sealed = seal("alerts/a", b"payload");
        assert_eq!(unseal("alerts/a", &sealed), Ok(&b"payload"[..]));
        assert_eq!(unseal("alerts/b", &sealed), Err(Flaw::Checksum));
        for bit in 0..sealed.len() * 8 {
            let mut damaged = sealed.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(unseal("alerts/a", &damaged).is_err(), "bit {bit}");
        }
        for length in 0..sealed.len() {
            assert!(
                unseal("alerts/a", &sealed[..length]).is_err(),
                "length {length}"
            );
        }
    }

    #[test]
    fn a_manifest_does_not_depend_on_order() {
        let mut one = Manifest::default();
        one.add("a", b"1");
        one.add("b", b"2");
        one.remove("a", b"1");
        let mut other = Manifest::default();
        other.add("b", b"2");
        assert_eq!(one, other);
    }
}
