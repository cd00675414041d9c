//! The rest of a pattern, and what may stand behind a backslash in and outside of a class.

use super::PatternError;

/// The part of a pattern that has not been read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor<'p> {
    pub(super) rest: &'p str,
}

impl<'p> Cursor<'p> {
    pub(super) fn peek(self) -> Option<char> {
        self.rest.chars().next()
    }

    pub(super) fn next(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let next = chars.next();
        self.rest = chars.as_str();
        next
    }

    /// Reads this text if it comes next.
    pub(super) fn eat(&mut self, text: &str) -> bool {
        let after = self.rest.strip_prefix(text);
        self.rest = after.unwrap_or(self.rest);
        after.is_some()
    }

    /// Reads up to this text, which is read and left out; `None` if it does not come.
    pub(super) fn until(&mut self, end: &str) -> Option<&'p str> {
        let (before, after) = self.rest.split_once(end)?;
        self.rest = after;
        Some(before)
    }

    /// The text between this place and that of a later cursor.
    pub(super) fn up_to(self, later: Self) -> &'p str {
        let length = self.rest.len() - later.rest.len();
        self.rest.get(..length).unwrap_or_default()
    }

    /// The code point that an escape means. The backslash has been read.
    pub(super) fn escaped(&mut self) -> Result<u32, PatternError> {
        let start = *self;
        let Some(c) = self.next() else {
            return Err(PatternError::new("trailing backslash at end of expression"));
        };
        let point = match c {
            '0' => Some(self.octal(0)),
            '1'..='7' if matches!(self.peek(), Some('0'..='7')) => {
                Some(self.octal(u32::from(c) - u32::from('0')))
            }
            'x' => self.hexadecimal(),
            'a' => Some(7),
            'f' => Some(12),
            'n' => Some(10),
            'r' => Some(13),
            't' => Some(9),
            'v' => Some(11),
            other if other.is_ascii() && !other.is_ascii_alphanumeric() => Some(u32::from(other)),
            _ => None,
        };
        point.ok_or_else(|| {
            let escape = start.up_to(*self);
            PatternError::new(format!("invalid escape sequence: `\\{escape}`"))
        })
    }

    /// Up to two more octal digits.
    fn octal(&mut self, first: u32) -> u32 {
        let mut point = first;
        for _ in 0..2 {
            let Some(digit) = self.peek().and_then(|c| c.to_digit(8)) else {
                break;
            };
            self.next();
            point = point * 8 + digit;
        }
        point
    }

    /// Two hexadecimal digits, or any number in braces.
    fn hexadecimal(&mut self) -> Option<u32> {
        let digit = |c: Option<char>| c.and_then(|c| c.to_digit(16));
        if !self.eat("{") {
            let (high, low) = (digit(self.next())?, digit(self.next())?);
            return Some(high * 16 + low);
        }
        let mut point = digit(self.next())?;
        loop {
            match self.next() {
                Some('}') => return Some(point),
                next => point = point * 16 + digit(next)?,
            }
            if point > u32::from(char::MAX) {
                return None;
            }
        }
    }
}
