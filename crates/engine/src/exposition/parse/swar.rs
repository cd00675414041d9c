//! Byte searches that handle eight bytes at a time in one register ("SIMD within a register").
//!
//! Every test sets the high bit of each byte for which it holds. Sums never carry into the next
//! byte, because the high bits are masked off first.

/// A byte repeated eight times.
const fn splat(byte: u8) -> u64 {
    u64::from_le_bytes([byte; 8])
}

const HIGH: u64 = splat(0x80);
const LOW: u64 = splat(0x7f);

/// Sets the high bits where an ASCII byte is at least `least`; the result for other bytes is
/// undefined.
#[inline]
const fn at_least(ascii: u64, least: u8) -> u64 {
    ascii + splat(0x80 - least)
}

/// Sets the high bits where a byte equals `byte`.
#[inline]
const fn equals(word: u64, byte: u8) -> u64 {
    let differs = word ^ splat(byte);
    !((differs & LOW) + LOW) & !differs & HIGH
}

/// The index of the first byte whose high bit is set.
#[inline]
const fn first(mask: u64) -> usize {
    mask.trailing_zeros() as usize / 8
}

/// How many bytes from the start are name characters: letters, digits, `_` and, with `colon`, `:`.
#[inline]
pub(super) fn name_len(bytes: &[u8], colon: bool) -> usize {
    let past_digits = if colon { b':' + 1 } else { b'9' + 1 };
    let mut len = 0;
    let mut rest = bytes;
    while let Some((chunk, after)) = rest.split_first_chunk::<8>() {
        let word = u64::from_le_bytes(*chunk);
        let ascii = word & LOW;
        let folded = ascii | splat(0x20);
        let letter = at_least(folded, b'a') & !at_least(folded, b'z' + 1);
        let digit = at_least(ascii, b'0') & !at_least(ascii, past_digits);
        let good = (letter | digit | equals(ascii, b'_')) & !word & HIGH;
        if good != HIGH {
            return len + first(!good & HIGH);
        }
        len += 8;
        rest = after;
    }
    let good =
        |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_' || (colon && *byte == b':');
    len + rest
        .iter()
        .position(|byte| !good(byte))
        .unwrap_or(rest.len())
}

/// The index of the first quote, backslash or newline, and whether a byte before it, or shortly
/// after it, is not ASCII.
#[inline]
pub(super) fn find_special(bytes: &[u8]) -> (Option<usize>, bool) {
    let mut len = 0;
    let mut high = 0;
    let mut rest = bytes;
    while let Some((chunk, after)) = rest.split_first_chunk::<8>() {
        let word = u64::from_le_bytes(*chunk);
        high |= word & HIGH;
        let special = equals(word, b'"') | equals(word, b'\\') | equals(word, b'\n');
        if special != 0 {
            return (Some(len + first(special)), high != 0);
        }
        len += 8;
        rest = after;
    }
    let special = |byte: &u8| matches!(byte, b'"' | b'\\' | b'\n');
    let found = rest.iter().position(special);
    let passed = &rest[..found.unwrap_or(rest.len())];
    (found.map(|at| len + at), high != 0 || !passed.is_ascii())
}

#[cfg(test)]
mod tests {
    use super::{find_special, name_len};

    #[test]
    fn every_byte_is_classified_at_every_index() {
        for byte in 0..=u8::MAX {
            for place in 0..20 {
                let mut bytes = [b'a'; 20];
                bytes[place] = byte;
                let label = byte.is_ascii_alphanumeric() || byte == b'_';
                let expected = if label { 20 } else { place };
                assert_eq!(name_len(&bytes, false), expected, "{byte} at {place}");
                let expected = if label || byte == b':' { 20 } else { place };
                assert_eq!(name_len(&bytes, true), expected, "{byte} at {place}");
                let special = matches!(byte, b'"' | b'\\' | b'\n');
                let (found, high) = find_special(&bytes);
                assert_eq!(found, special.then_some(place), "{byte} at {place}");
                assert_eq!(high, !byte.is_ascii(), "{byte} at {place}");
            }
        }
    }

    #[test]
    fn the_first_of_several_special_bytes_is_found() {
        assert_eq!(find_special(b"abc\"def\\ghi\n").0, Some(3));
        assert_eq!(find_special(b"\\\"").0, Some(0));
        assert_eq!(find_special(b"").0, None);
        assert_eq!(name_len(b"ab c d e f g", true), 2);
    }
}
