//! Text of others, made safe for a terminal and for the lines of a log.

use std::borrow::Cow;
use std::fmt::{self, Write};
use std::io;

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

/// A text on one line, for a line of a report: line breaks are escaped too.
pub(crate) fn one_line(text: &str) -> Cow<'_, str> {
    if text.contains('\n') {
        Cow::Owned(text.replace('\n', "\\n"))
    } else {
        Cow::Borrowed(text)
    }
}

/// Standard output of a command. It escapes what a terminal would obey and lets the lines of the
/// command through. The escapes are those of JSON, so that JSON stays valid.
pub(crate) struct Terminal<W>(pub(crate) W);

impl<W: io::Write> io::Write for Terminal<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Commands write whole characters.
        let text = String::from_utf8_lossy(bytes);
        if text.contains(is_escaped) {
            let mut safe = String::with_capacity(text.len());
            for character in text.chars() {
                if is_escaped(character) {
                    // Writing to a String cannot fail.
                    write!(safe, "\\u{:04x}", u32::from(character)).ok();
                } else {
                    safe.push(character);
                }
            }
            self.0.write_all(safe.as_bytes())?;
        } else {
            self.0.write_all(bytes)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

fn is_escaped(character: char) -> bool {
    character != '\n' && is_unsafe(character)
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
    use std::io::Write as _;

    use super::{Printable, Terminal, one_line};

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

    #[test]
    fn output_of_a_command_keeps_its_lines_and_stays_json() {
        let hostile = "a\u{1b}[2J\u{9b}\u{202e}é\t\r\u{7f}";
        let json = serde_json::json!({ "x": hostile }).to_string();
        let mut out = Vec::new();
        writeln!(Terminal(&mut out), "{json}\nnext").unwrap();
        let out = String::from_utf8(out).unwrap();
        let (first, rest) = out.split_once('\n').unwrap();
        assert!(!first.contains(char::is_control), "{first:?}");
        assert!(!first.contains('\u{202e}'), "{first:?}");
        let read: serde_json::Value = serde_json::from_str(first).unwrap();
        assert_eq!(read["x"], hostile);
        assert_eq!(rest, "next\n");
    }

    #[test]
    fn a_line_of_a_report_is_one_line() {
        assert_eq!(one_line("a\nb: forged"), "a\\nb: forged");
        assert_eq!(one_line("plain"), "plain");
    }
}
