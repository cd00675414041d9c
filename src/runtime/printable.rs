//! Text of others, made safe for a terminal and for the lines of a log.

use std::fmt::{self, Write};

/// Escapes what a terminal would obey, or what would change the order or the lines of the text:
/// control characters and marks of writing direction. A line break stays, but the next line is
/// indented, so that no text can look like a line of the log.
pub(crate) struct Printable<'a, W: ?Sized>(pub(crate) &'a mut W);

impl<W: Write + ?Sized> Write for Printable<'_, W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some(index) = rest.find(is_unsafe) {
            let (safe, tail) = rest.split_at(index);
            self.0.write_str(safe)?;
            let mut characters = tail.chars();
            match characters.next() {
                Some('\n') => self.0.write_str("\n    ")?,
                Some(other) => write!(self.0, "{}", other.escape_unicode())?,
                None => {}
            }
            rest = characters.as_str();
        }
        self.0.write_str(rest)
    }
}

fn is_unsafe(character: char) -> bool {
    let is_direction = matches!(
        character,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    );
    // Separators of lines and paragraphs.
    let is_break = matches!(character, '\u{2028}' | '\u{2029}');
    is_direction || is_break || character != '\t' && character.is_control()
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::Printable;

    #[test]
    fn what_a_terminal_would_obey_is_escaped_and_other_text_is_not() {
        for (text, expected) in [
            ("größer 漢字\tab", "größer 漢字\tab"),
            ("\x1b]0;title\x07", r"\u{1b}]0;title\u{7}"),
            ("\u{9b}2J\r\0\x7f", r"\u{9b}2J\u{d}\u{0}\u{7f}"),
            ("user\u{202e}nimda\u{2066}", r"user\u{202e}nimda\u{2066}"),
            ("one\u{2028}two", r"one\u{2028}two"),
            ("one\n2026-11-30 ERROR two", "one\n    2026-11-30 ERROR two"),
        ] {
            let mut out = String::new();
            Printable(&mut out).write_str(text).unwrap();
            assert_eq!(out, expected);
        }
    }
}
