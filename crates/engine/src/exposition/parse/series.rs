//! A sample's name and labels as byte ranges of the body.

use std::borrow::Cow;
use std::ops::Range;

use super::SyntaxError;
use super::cursor::Cursor;
use super::swar::{find_special, name_len};

/// The byte range of a name or value in a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ByteSpan {
    start: u32,
    end: u32,
    escaped: bool,
}

impl ByteSpan {
    fn new(range: Range<usize>, escaped: bool) -> Self {
        let short = |offset: usize| u32::try_from(offset).unwrap_or(u32::MAX);
        Self {
            start: short(range.start),
            end: short(range.end),
            escaped,
        }
    }

    /// The bytes as written.
    #[must_use]
    pub(crate) fn raw<'a>(&self, body: &'a [u8]) -> &'a [u8] {
        body.get(self.start as usize..self.end as usize)
            .unwrap_or_default()
    }

    /// The text with escapes resolved; the parser has checked that it is UTF-8.
    #[must_use]
    pub fn text<'a>(&self, body: &'a [u8]) -> Cow<'a, str> {
        let raw = std::str::from_utf8(self.raw(body)).unwrap_or_default();
        if self.escaped {
            Cow::Owned(unescaped(raw))
        } else {
            Cow::Borrowed(raw)
        }
    }

    /// Whether the text has escapes.
    #[must_use]
    pub fn is_escaped(&self) -> bool {
        self.escaped
    }
}

/// Resolves `\\`, `\"` and `\n`; an unknown escape stays two characters, as in Prometheus.
fn unescaped(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    let mut chars = raw.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('n') => out.push('\n'),
            Some(c @ ('\\' | '"')) => out.push(c),
            Some(other) => out.extend(['\\', other]),
            None => out.push('\\'),
        }
    }
    out
}

/// The name and labels of one sample; can be reused from sample to sample.
#[derive(Debug, Clone, Default)]
pub struct Series {
    /// The metric's name.
    pub name: ByteSpan,
    /// Label names and values in the order written.
    pub labels: Vec<(ByteSpan, ByteSpan)>,
    /// The bytes from the name to the closing brace.
    pub range: Range<usize>,
}

/// How the formats differ within braces: what they allow.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    /// Blanks between tokens.
    pub(super) blanks: bool,
    /// Newlines in quoted label values.
    pub(super) newlines: bool,
    /// Labels without a comma between them.
    pub(super) commas_optional: bool,
}

impl Cursor<'_> {
    fn gap(&mut self, rules: Rules) {
        if rules.blanks {
            self.skip_blanks();
        }
    }

    /// Tokenizes name and labels; the cursor is at the name or the opening brace.
    #[inline]
    pub(super) fn series(&mut self, series: &mut Series, rules: Rules) -> Result<(), SyntaxError> {
        let start = self.at;
        series.labels.clear();
        self.ascii = true;
        let name = self.name(true);
        let mut named = !name.is_empty();
        series.name = ByteSpan::new(start..self.at, false);
        let mut end = self.at;
        if named {
            self.gap(rules);
        }
        if self.eat(b'{') {
            self.labels(series, &mut named, rules)?;
            end = self.at;
        } else if !named {
            return Err(self.error(start, "expected a metric name, a comment or an empty line"));
        }
        self.at = end;
        series.range = start..end;
        if !named {
            return Err(self.error(start, "the series has no metric name"));
        }
        if !self.ascii && std::str::from_utf8(&self.body[start..end]).is_err() {
            return Err(self.error(start, "a name or label value is not valid UTF-8"));
        }
        Ok(())
    }

    /// Reads labels up to and including the closing brace. A quoted metric name among them sets
    /// `named`.
    pub(super) fn labels(
        &mut self,
        series: &mut Series,
        named: &mut bool,
        rules: Rules,
    ) -> Result<(), SyntaxError> {
        loop {
            if self.plain_labels(series) {
                return Ok(());
            }
            self.gap(rules);
            let token = self.at;
            if self.eat(b'}') {
                return Ok(());
            }
            let quoted = self.peek() == Some(b'"');
            let name = if quoted {
                self.quoted(true)?
            } else {
                let start = self.at;
                if self.name(false).is_empty() {
                    return Err(self.error(token, "expected a label name or \"}\""));
                }
                ByteSpan::new(start..self.at, false)
            };
            self.gap(rules);
            if quoted && matches!(self.peek(), Some(b',' | b'}')) {
                if *named {
                    return Err(self.error(token, "a second metric name"));
                }
                *named = true;
                series.name = name;
                self.eat(b',');
                continue;
            }
            if !self.eat(b'=') {
                return Err(self.error(token, "expected \"=\" after a label name"));
            }
            self.gap(rules);
            if self.peek() != Some(b'"') {
                let here = self.at;
                return Err(self.error(here, "expected a label value in double quotes"));
            }
            let value = self.quoted(rules.newlines)?;
            series.labels.push((name, value));
            self.gap(rules);
            if !self.eat(b',') && !rules.commas_optional && self.peek() != Some(b'}') {
                let here = self.at;
                return Err(self.error(here, "expected \",\" or \"}\" after a label"));
            }
        }
    }

    /// Reads labels of the form `name="value",` without blanks, escapes and newlines, which nearly
    /// all labels have; stops at the first that has another. Returns whether it read the closing
    /// brace.
    #[inline]
    fn plain_labels(&mut self, series: &mut Series) -> bool {
        let mut at = self.at;
        let (mut ascii, mut closed) = (true, false);
        while let Some(rest) = self.body.get(at..) {
            let name = name_len(rest, false);
            if name == 0 || rest[0].is_ascii_digit() {
                break;
            }
            let Some((b"=\"", value)) = rest[name..].split_at_checked(2) else {
                break;
            };
            let (Some(len), high) = find_special(value) else {
                break;
            };
            closed = match value[len..].first_chunk() {
                Some(b"\",") => false,
                Some(b"\"}") => true,
                _ => break,
            };
            let start = at + name + 2;
            let pair = (
                ByteSpan::new(at..at + name, false),
                ByteSpan::new(start..start + len, false),
            );
            series.labels.push(pair);
            ascii &= !high;
            at = start + len + 2;
            if closed {
                break;
            }
        }
        self.at = at;
        self.ascii &= ascii;
        closed
    }

    /// Reads a string in double quotes; the cursor is at the opening one.
    #[inline]
    pub(super) fn quoted(&mut self, newlines: bool) -> Result<ByteSpan, SyntaxError> {
        let open = self.at;
        let start = open + 1;
        let rest = self.body.get(start..).unwrap_or_default();
        let (mut at, mut escaped) = (0, false);
        loop {
            let (found, high) = find_special(&rest[at..]);
            self.ascii &= !high;
            let Some(found) = found else { break };
            at += found;
            match rest[at] {
                b'"' => {
                    self.at = start + at + 1;
                    return Ok(ByteSpan::new(start..start + at, escaped));
                }
                b'\\' => {
                    escaped = true;
                    // The escaped byte is not a delimiter, except that a newline always ends the
                    // line.
                    match rest.get(at + 1) {
                        None | Some(b'\n') => break,
                        Some(next) => self.ascii &= next.is_ascii(),
                    }
                    at += 2;
                }
                _ if newlines => at += 1,
                _ => break,
            }
        }
        Err(self.error(open, "a quoted string without its closing quote"))
    }
}

/// What follows a sample's series.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Suffix {
    /// The value; any NaN is the canonical one.
    pub value: f64,
    /// The sample's own timestamp in milliseconds since the epoch.
    pub at: Option<i64>,
}
