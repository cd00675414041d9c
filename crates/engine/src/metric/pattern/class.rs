//! Classes of characters: `[…]`, `\d`, `\pL`.

use super::PatternError;
use super::cursor::Cursor;

/// A class that matches nothing.
pub(super) const NOTHING: &str = r"[^\x00-\x{10FFFF}]";

/// Named classes that may stand between `[:` and `:]`; the `regex` crate knows the same ones.
const NAMED: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct",
    "space", "upper", "word", "xdigit",
];

/// The class of a letter behind a backslash: the `regex` crate means Unicode by it, RE2 ASCII.
pub(super) fn perl(letter: char) -> Option<&'static str> {
    Some(match letter {
        'd' => "[0-9]",
        'D' => "[^0-9]",
        's' => r"[\t\n\x0C\r ]",
        'S' => r"[^\t\n\x0C\r ]",
        'w' => "[0-9A-Za-z_]",
        'W' => "[^0-9A-Za-z_]",
        _ => return None,
    })
}

impl Cursor<'_> {
    /// `\pL` or `\p{Greek}`; the backslash and the letter `p` or `P` have been read.
    pub(super) fn unicode_class(&mut self, is_negated: bool) -> Result<String, PatternError> {
        let start = *self;
        let name = if self.eat("{") {
            self.until("}")
        } else {
            self.next();
            Some(start.up_to(*self))
        };
        let name = name.unwrap_or_default();
        let (name, is_inverted) = match name.strip_prefix('^') {
            Some(name) => (name, true),
            None => (name, false),
        };
        // Go compares names without case, spaces, hyphens and underscores, as the regex crate does.
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, ' ' | '-' | '_');
        if name.is_empty() || !name.chars().all(is_name) {
            let written = start.up_to(*self);
            let message = format!("invalid character class range: `\\p{written}`");
            return Err(PatternError::new(message));
        }
        let letter = if is_negated == is_inverted { 'p' } else { 'P' };
        Ok(format!("\\{letter}{{{name}}}"))
    }

    /// A class in brackets; the opening one has been read.
    pub(super) fn class(&mut self) -> Result<String, PatternError> {
        let mut out = String::from(if self.eat("^") { "[^" } else { "[" });
        let mut is_empty = true;
        let mut is_first = true;
        while is_first || self.peek() != Some(']') {
            is_first = false;
            let item = self.item()?;
            is_empty &= item.is_empty();
            out.push_str(&item);
        }
        self.next();
        if is_empty {
            out.push_str(NOTHING);
        }
        out.push(']');
        Ok(out)
    }

    /// One item of a class: a class of its own, a character or a range.
    fn item(&mut self) -> Result<String, PatternError> {
        if let Some(named) = self.named_class()? {
            return Ok(named);
        }
        let mut ahead = *self;
        if ahead.eat("\\")
            && let Some(letter) = ahead.next()
        {
            if let Some(class) = perl(letter) {
                *self = ahead;
                return Ok(class.to_owned());
            }
            if matches!(letter, 'p' | 'P') {
                *self = ahead;
                return self.unicode_class(letter == 'P');
            }
        }
        let start = *self;
        let low = self.character()?;
        let mut high = low;
        let mut ahead = *self;
        if ahead.eat("-") && ahead.peek().is_some_and(|c| c != ']') {
            high = ahead.character()?;
            *self = ahead;
        }
        if high < low {
            let range = start.up_to(*self);
            let message = format!("invalid character class range: `{range}`");
            return Err(PatternError::new(message));
        }
        Ok(range(low, high))
    }

    /// `[:alpha:]`, if one comes next.
    fn named_class(&mut self) -> Result<Option<String>, PatternError> {
        let mut ahead = *self;
        if !ahead.eat("[:") {
            return Ok(None);
        }
        let Some(name) = ahead.until(":]") else {
            return Ok(None);
        };
        if !NAMED.contains(&name.strip_prefix('^').unwrap_or(name)) {
            let message = format!("invalid character class range: `[:{name}:]`");
            return Err(PatternError::new(message));
        }
        *self = ahead;
        Ok(Some(format!("[:{name}:]")))
    }

    /// One character of a class.
    fn character(&mut self) -> Result<u32, PatternError> {
        match self.next() {
            None => Err(PatternError::new("missing closing ]")),
            Some('\\') => self.escaped(),
            Some(c) => Ok(u32::from(c)),
        }
    }
}

/// A range in a class of the `regex` crate, whose ends cannot be halves of surrogate pairs; empty
/// where there is nothing else in it.
fn range(low: u32, high: u32) -> String {
    const SURROGATES: std::ops::RangeInclusive<u32> = 0xD800..=0xDFFF;
    let low = if SURROGATES.contains(&low) {
        0xE000
    } else {
        low
    };
    let high = if SURROGATES.contains(&high) {
        0xD7FF
    } else {
        high
    };
    if high < low {
        return String::new();
    }
    format!("\\x{{{low:X}}}-\\x{{{high:X}}}")
}
