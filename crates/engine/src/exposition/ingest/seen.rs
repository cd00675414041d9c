//! The stored series that already had a sample in this scrape.

use std::collections::HashSet;

/// Smaller indices are kept in a bit set of at most 8 MiB, larger ones in a hash set.
const DENSE: u32 = 1 << 26;

/// A set of series indices.
#[derive(Debug, Default)]
pub(super) struct Seen {
    bits: Vec<u64>,
    far: HashSet<u32>,
}

impl Seen {
    /// Whether an index was added.
    #[inline]
    pub(super) fn contains(&self, index: u32) -> bool {
        if index >= DENSE {
            return self.far.contains(&index);
        }
        let word = self.bits.get(index as usize / 64);
        word.is_some_and(|word| word & (1 << (index % 64)) != 0)
    }

    /// Adds an index; `false` when it was there.
    pub(super) fn insert(&mut self, index: u32) -> bool {
        if index >= DENSE {
            return self.far.insert(index);
        }
        let (word, bit) = (index as usize / 64, 1 << (index % 64));
        if word >= self.bits.len() {
            self.bits.resize(word + 1, 0);
        }
        let new = self.bits[word] & bit == 0;
        self.bits[word] |= bit;
        new
    }
}

#[cfg(test)]
mod tests {
    use super::Seen;

    #[test]
    fn an_index_is_new_only_once() {
        let mut seen = Seen::default();
        for index in [0, 63, 64, 1000, u32::MAX] {
            assert!(!seen.contains(index), "{index}");
            assert!(seen.insert(index), "{index}");
            assert!(seen.contains(index), "{index}");
            assert!(!seen.insert(index), "{index}");
        }
    }
}
