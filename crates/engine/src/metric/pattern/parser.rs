//! Reads a pattern as Go's `regexp/syntax` does and writes it so that the `regex` crate means the
//! same.
//!
//! Both parse `a{,3}`, `[a&&b]`, `\Q…\E`, `x**` and many more differently. So the whole syntax is read
//! here, and what is written uses only forms that have one meaning. Flags become part of each piece.

use super::PatternError;
use super::class::{NOTHING, perl};
use super::cursor::Cursor;

/// Most repetitions, also of nested counts together.
const MAX_REPEATS: u32 = 1000;

/// Deepest nesting of groups and repetitions. Go reads 1000 levels; the `regex` crate, which needs
/// stack for them, 250.
const MAX_DEPTH: u32 = 200;

/// The pattern in the syntax of the `regex` crate; `dot_all` says whether `.` matches a newline at first.
pub(super) fn translated(pattern: &str, dot_all: bool) -> Result<String, PatternError> {
    let flags = Flags {
        dot_all,
        ..Flags::default()
    };
    let mut parser = Parser {
        cursor: Cursor { rest: pattern },
        flags,
        groups: Vec::new(),
        current: Group::new("", flags),
        names: Vec::new(),
    };
    parser.run()?;
    if !parser.groups.is_empty() {
        return Err(PatternError::new("missing closing )"));
    }
    Ok(parser.current.finished().text)
}

#[derive(Debug, Clone, Copy, Default)]
struct Flags {
    /// `i`: upper and lower case are equal.
    fold: bool,
    /// `m`: `^` and `$` also match at the ends of lines.
    multi_line: bool,
    /// `s`
    dot_all: bool,
    /// `U`: repetitions match as little as possible, and with `?` as much as possible.
    lazy: bool,
}

/// Something that a repetition can follow.
struct Piece {
    text: String,
    is_repetition: bool,
    /// How often its counted repetitions repeat what is innermost.
    repeats: u32,
    /// The groups and repetitions around what is innermost.
    depth: u32,
}

/// A group whose end has not been read, or the whole pattern.
struct Group {
    /// How it begins.
    open: String,
    /// The flags before it.
    outer: Flags,
    /// The alternatives before the current one, each with `|` behind it.
    done: String,
    /// The most repeats in those.
    repeats: u32,
    /// The deepest nesting in those.
    depth: u32,
    /// The current alternative.
    pieces: Vec<Piece>,
}

impl Group {
    fn new(open: impl Into<String>, outer: Flags) -> Self {
        Self {
            open: open.into(),
            outer,
            done: String::new(),
            repeats: 1,
            depth: 0,
            pieces: Vec::new(),
        }
    }

    fn push(&mut self, text: impl Into<String>) {
        self.pieces.push(Piece {
            text: text.into(),
            is_repetition: false,
            repeats: 1,
            depth: 0,
        });
    }

    /// Moves the current alternative to those that are done.
    fn end_alternative(&mut self) {
        for piece in self.pieces.drain(..) {
            self.done.push_str(&piece.text);
            self.repeats = self.repeats.max(piece.repeats);
            self.depth = self.depth.max(piece.depth);
        }
    }

    /// The whole group; without its parentheses.
    fn finished(mut self) -> Piece {
        self.end_alternative();
        Piece {
            text: self.done,
            is_repetition: false,
            repeats: self.repeats,
            depth: self.depth,
        }
    }
}

struct Parser<'p> {
    cursor: Cursor<'p>,
    flags: Flags,
    /// The groups around the current one.
    groups: Vec<Group>,
    current: Group,
    /// The names of groups so far.
    names: Vec<&'p str>,
}

impl<'p> Parser<'p> {
    fn run(&mut self) -> Result<(), PatternError> {
        // Where the repetition begins that was read just before.
        let mut before: Option<Cursor<'p>> = None;
        loop {
            let start = self.cursor;
            let Some(c) = self.cursor.next() else {
                return Ok(());
            };
            let counts = match c {
                '*' => Some(Counts::new("*")),
                '+' => Some(Counts::new("+")),
                '?' => Some(Counts::new("?")),
                '{' => Counts::read(&mut self.cursor)?,
                _ => None,
            };
            if let Some(counts) = counts {
                self.repetition(&counts, start, before)?;
                before = Some(start);
                continue;
            }
            before = None;
            match c {
                '(' => self.open()?,
                ')' => self.close()?,
                '|' => {
                    self.current.end_alternative();
                    self.current.done.push('|');
                }
                '[' => {
                    let class = self.cursor.class()?;
                    self.push_folded(&class);
                }
                '.' => self.current.push(if self.flags.dot_all {
                    "(?s:.)"
                } else {
                    r"[^\n]"
                }),
                '^' if self.flags.multi_line => self.current.push("(?m:^)"),
                '^' => self.current.push(r"\A"),
                '$' if self.flags.multi_line => self.current.push("(?m:$)"),
                '$' => self.current.push(r"\z"),
                '\\' => self.escape()?,
                literal => self.literal(literal),
            }
        }
    }

    /// Repeats the last piece.
    fn repetition(
        &mut self,
        counts: &Counts,
        start: Cursor<'p>,
        before: Option<Cursor<'p>>,
    ) -> Result<(), PatternError> {
        let is_lazy = self.cursor.eat("?") != self.flags.lazy;
        let wrong = |what: &str, from: Cursor<'p>| {
            let written = from.up_to(self.cursor);
            Err(PatternError::new(format!("{what}: `{written}`")))
        };
        if let Some(before) = before {
            return wrong("invalid nested repetition operator", before);
        }
        let Some(inner) = self.current.pieces.pop() else {
            return wrong("missing argument to repetition operator", start);
        };
        let repeats = match counts.most {
            0 => 1,
            most => most.saturating_mul(inner.repeats),
        };
        if repeats > MAX_REPEATS {
            return wrong("invalid repeat count", start);
        }
        let mut text = if inner.is_repetition {
            format!("(?:{})", inner.text)
        } else {
            inner.text
        };
        text.push_str(&counts.text);
        if is_lazy {
            text.push('?');
        }
        let depth = deeper(inner.depth)?;
        self.current.pieces.push(Piece {
            text,
            is_repetition: true,
            repeats,
            depth,
        });
        Ok(())
    }

    /// A group, or flags; the parenthesis has been read.
    fn open(&mut self) -> Result<(), PatternError> {
        let start = self.cursor;
        if !self.cursor.eat("?") {
            self.begin("(", self.flags);
            return Ok(());
        }
        if self.cursor.eat("P<") || self.cursor.eat("<") {
            return self.named_group(start);
        }
        let (mut flags, mut is_set, mut is_any) = (self.flags, true, false);
        loop {
            match self.cursor.next() {
                Some('i') => flags.fold = is_set,
                Some('m') => flags.multi_line = is_set,
                Some('s') => flags.dot_all = is_set,
                Some('U') => flags.lazy = is_set,
                Some('-') if is_set => {
                    is_set = false;
                    is_any = false;
                    continue;
                }
                Some(end @ (':' | ')')) if is_set || is_any => {
                    if end == ':' {
                        self.begin("(?:", self.flags);
                    }
                    self.flags = flags;
                    return Ok(());
                }
                _ => break,
            }
            is_any = true;
        }
        let written = start.up_to(self.cursor);
        let message = format!("invalid or unsupported Perl syntax: `({written}`");
        Err(PatternError::new(message))
    }

    fn named_group(&mut self, start: Cursor<'p>) -> Result<(), PatternError> {
        let name = self.cursor.until(">").unwrap_or_default();
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if name.is_empty() || !name.chars().all(is_word) {
            let written = start.up_to(self.cursor);
            let message = format!("invalid named capture: `({written}`");
            return Err(PatternError::new(message));
        }
        if self.names.contains(&name) {
            let message = format!("duplicate capture group name: `{name}`");
            return Err(PatternError::new(message));
        }
        self.names.push(name);
        // The regex crate has no names that begin with a digit.
        if name.starts_with(|c: char| c.is_ascii_digit()) {
            self.begin("(", self.flags);
        } else {
            self.begin(format!("(?P<{name}>"), self.flags);
        }
        Ok(())
    }

    fn begin(&mut self, open: impl Into<String>, outer: Flags) {
        let inner = Group::new(open, outer);
        let around = std::mem::replace(&mut self.current, inner);
        self.groups.push(around);
    }

    fn close(&mut self) -> Result<(), PatternError> {
        let Some(around) = self.groups.pop() else {
            return Err(PatternError::new("unexpected )"));
        };
        let mut group = std::mem::replace(&mut self.current, around);
        self.flags = group.outer;
        let open = std::mem::take(&mut group.open);
        let inner = group.finished();
        self.current.pieces.push(Piece {
            text: format!("{open}{})", inner.text),
            depth: deeper(inner.depth)?,
            ..inner
        });
        Ok(())
    }

    /// What stands behind a backslash outside of a class.
    fn escape(&mut self) -> Result<(), PatternError> {
        let mut ahead = self.cursor;
        let letter = ahead.next();
        match letter {
            Some('A') => self.current.push(r"\A"),
            Some('z') => self.current.push(r"\z"),
            Some('b') => self.current.push(r"(?-u:\b)"),
            Some('B') => self.current.push(r"(?-u:\B)"),
            Some('Q') => {
                self.cursor = ahead;
                let rest = self.cursor.rest;
                let quoted = self.cursor.until(r"\E").unwrap_or_else(|| {
                    self.cursor.rest = "";
                    rest
                });
                quoted.chars().for_each(|c| self.literal(c));
                return Ok(());
            }
            Some('p' | 'P') => {
                self.cursor = ahead;
                let class = self.cursor.unicode_class(letter == Some('P'))?;
                self.push_folded(&class);
                return Ok(());
            }
            _ => {
                if let Some(class) = letter.and_then(perl) {
                    self.push_folded(class);
                } else {
                    let point = self.cursor.escaped()?;
                    match char::from_u32(point) {
                        Some(c) => self.literal(c),
                        None => self.current.push(NOTHING),
                    }
                    return Ok(());
                }
            }
        }
        self.cursor = ahead;
        Ok(())
    }

    fn literal(&mut self, c: char) {
        let text = regex::escape(c.encode_utf8(&mut [0; 4]));
        if c.is_ascii() && !c.is_ascii_alphabetic() {
            self.current.push(text);
        } else {
            self.push_folded(&text);
        }
    }

    /// A piece for which case may not matter.
    fn push_folded(&mut self, text: &str) {
        if self.flags.fold {
            self.current.push(format!("(?i:{text})"));
        } else {
            self.current.push(text);
        }
    }
}

/// One level more.
fn deeper(depth: u32) -> Result<u32, PatternError> {
    if depth >= MAX_DEPTH {
        return Err(PatternError::new("expression nests too deeply"));
    }
    Ok(depth + 1)
}

/// How often to repeat.
struct Counts {
    /// As in the pattern, without `?` behind it.
    text: String,
    /// The highest number that is written, at least 1 for operators without numbers.
    most: u32,
}

impl Counts {
    fn new(operator: &str) -> Self {
        Self {
            text: operator.to_owned(),
            most: 1,
        }
    }

    /// Numbers in braces, of which the first has been read; `None`, with nothing read, where the
    /// brace stands for itself.
    fn read(cursor: &mut Cursor<'_>) -> Result<Option<Self>, PatternError> {
        let mut ahead = *cursor;
        let Some(least) = number(&mut ahead) else {
            return Ok(None);
        };
        let mut most = Some(least);
        if ahead.eat(",") {
            most = None;
            if ahead.peek() != Some('}') {
                let Some(number) = number(&mut ahead) else {
                    return Ok(None);
                };
                most = Some(number);
            }
        }
        if !ahead.eat("}") {
            return Ok(None);
        }
        let written = cursor.up_to(ahead);
        let highest = most.unwrap_or(least);
        if least > MAX_REPEATS || highest > MAX_REPEATS || highest < least {
            let message = format!("invalid repeat count: `{{{written}`");
            return Err(PatternError::new(message));
        }
        *cursor = ahead;
        let text = format!("{{{written}");
        // `{0,}` repeats without end, `{0}` not at all.
        let most = most.unwrap_or(least.max(1));
        Ok(Some(Self { text, most }))
    }
}

/// A number without leading zeros; too large ones are the largest.
fn number(cursor: &mut Cursor<'_>) -> Option<u32> {
    let digits = cursor.rest.bytes().take_while(u8::is_ascii_digit).count();
    let (number, after) = cursor.rest.split_at_checked(digits)?;
    if number.is_empty() || (digits > 1 && number.starts_with('0')) {
        return None;
    }
    cursor.rest = after;
    Some(number.parse().unwrap_or(u32::MAX))
}
