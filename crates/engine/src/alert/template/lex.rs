//! Template text to tokens.

use super::TemplateError;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    Text(String),
    Open,
    Close,
    /// `.name`, without the dot.
    Field(String),
    /// `$name`, with the dollar.
    Variable(String),
    Word(String),
    Literal(String),
    Int(i64),
    Float(f64),
    Dot,
    Pipe,
    Declare,
    Assign,
    Comma,
    LeftParen,
    RightParen,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    /// Byte offset in the source.
    pub(super) at: usize,
    /// Whether white space precedes it.
    pub(super) spaced: bool,
}

pub(super) fn error(source: &str, at: usize, message: impl Into<String>) -> TemplateError {
    let before = source.get(..at).unwrap_or(source);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    TemplateError {
        line: before.matches('\n').count() + 1,
        column: before.get(line_start..).unwrap_or("").chars().count() + 1,
        message: message.into(),
    }
}

pub(super) fn tokens(source: &str) -> Result<Vec<Token>, TemplateError> {
    let mut out = Vec::new();
    let mut at = 0;
    let mut trim = false;
    while let Some(rest) = source.get(at..).filter(|rest| !rest.is_empty()) {
        let open = rest.find("{{");
        let raw = rest.get(..open.unwrap_or(rest.len())).unwrap_or("");
        let mut text = if trim { raw.trim_start() } else { raw };
        let Some(open) = open else {
            push_text(&mut out, text, at);
            break;
        };
        let start = at + open;
        let mut inside = start + 2;
        let after = source.get(inside..).unwrap_or("");
        if after.starts_with('-') && after.chars().nth(1).is_some_and(char::is_whitespace) {
            text = text.trim_end();
            inside += 1;
        }
        push_text(&mut out, text, at);
        (at, trim) = action(source, start, inside, &mut out)?;
    }
    Ok(out)
}

fn push_text(out: &mut Vec<Token>, text: &str, at: usize) {
    if !text.is_empty() {
        out.push(Token {
            kind: Kind::Text(text.to_owned()),
            at,
            spaced: false,
        });
    }
}

/// Lexes one `{{ … }}`; returns the offset behind it and whether the following text is trimmed.
fn action(
    source: &str,
    start: usize,
    inside: usize,
    out: &mut Vec<Token>,
) -> Result<(usize, bool), TemplateError> {
    let body = source.get(inside..).unwrap_or("");
    if body.trim_start().starts_with("/*") {
        return comment(source, start, inside);
    }
    let mut lexer = Lexer {
        source,
        at: inside,
        spaced: false,
    };
    out.push(Token {
        kind: Kind::Open,
        at: start,
        spaced: false,
    });
    loop {
        lexer.skip_space();
        let rest = lexer.rest();
        if rest.starts_with("}}") || (lexer.spaced && rest.starts_with("-}}")) {
            let trim = rest.starts_with('-');
            out.push(Token {
                kind: Kind::Close,
                at: lexer.at,
                spaced: false,
            });
            return Ok((lexer.at + if trim { 3 } else { 2 }, trim));
        }
        if rest.is_empty() {
            return Err(error(source, start, "the action is not closed; write }}"));
        }
        let at = lexer.at;
        let spaced = lexer.spaced;
        let kind = lexer.token()?;
        out.push(Token { kind, at, spaced });
    }
}

fn comment(source: &str, start: usize, inside: usize) -> Result<(usize, bool), TemplateError> {
    let body = source.get(inside..).unwrap_or("");
    let end = body
        .find("*/")
        .ok_or_else(|| error(source, start, "the comment is not closed; write */}}"))?;
    let after = inside + end + 2;
    let rest = source.get(after..).unwrap_or("");
    if rest.starts_with("}}") {
        return Ok((after + 2, false));
    }
    let trimmed = rest.trim_start();
    if trimmed.starts_with("-}}") && trimmed.len() < rest.len() {
        return Ok((after + (rest.len() - trimmed.len()) + 3, true));
    }
    Err(error(source, after, "a comment ends with */}}"))
}

struct Lexer<'a> {
    source: &'a str,
    at: usize,
    spaced: bool,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        self.source.get(self.at..).unwrap_or("")
    }

    fn skip_space(&mut self) {
        let rest = self.rest();
        let trimmed = rest.trim_start();
        self.spaced = trimmed.len() < rest.len();
        self.at += rest.len() - trimmed.len();
    }

    fn wrong(&self, message: impl Into<String>) -> TemplateError {
        error(self.source, self.at, message)
    }

    /// Takes the longest run of letters, digits and underscores.
    fn word(&mut self) -> &'a str {
        let rest = self.rest();
        let end = rest
            .find(|c: char| !(c.is_alphanumeric() || c == '_'))
            .unwrap_or(rest.len());
        self.at += end;
        rest.get(..end).unwrap_or("")
    }

    fn token(&mut self) -> Result<Kind, TemplateError> {
        let rest = self.rest();
        let first = rest.chars().next().unwrap_or(' ');
        let second = rest.chars().nth(1).unwrap_or(' ');
        let single = |kind| Some((kind, 1));
        let fixed = match first {
            '|' => single(Kind::Pipe),
            ',' => single(Kind::Comma),
            '(' => single(Kind::LeftParen),
            ')' => single(Kind::RightParen),
            ':' if second == '=' => Some((Kind::Declare, 2)),
            '=' => single(Kind::Assign),
            _ => None,
        };
        if let Some((kind, length)) = fixed {
            self.at += length;
            return Ok(kind);
        }
        match first {
            '"' => self.quoted(),
            '`' => self.raw(),
            '\'' => self.character(),
            '$' => {
                self.at += 1;
                let name = self.word();
                Ok(Kind::Variable(format!("${name}")))
            }
            '.' if second.is_alphabetic() || second == '_' => {
                self.at += 1;
                Ok(Kind::Field(self.word().to_owned()))
            }
            '.' if !second.is_ascii_digit() => {
                self.at += 1;
                Ok(Kind::Dot)
            }
            c if c.is_ascii_digit() || ".+-".contains(c) => self.number(),
            c if c.is_alphabetic() || c == '_' => Ok(Kind::Word(self.word().to_owned())),
            other => Err(self.wrong(format!("unexpected {other:?} in an action"))),
        }
    }

    fn raw(&mut self) -> Result<Kind, TemplateError> {
        let body = self.rest().get(1..).unwrap_or("");
        let end = body
            .find('`')
            .ok_or_else(|| self.wrong("the raw string is not closed; write `"))?;
        self.at += end + 2;
        Ok(Kind::Literal(body.get(..end).unwrap_or("").to_owned()))
    }

    fn quoted(&mut self) -> Result<Kind, TemplateError> {
        let mut text = String::new();
        let start = self.at;
        self.at += 1;
        loop {
            let c = self.rest().chars().next();
            match c {
                None | Some('\n') => {
                    return Err(error(
                        self.source,
                        start,
                        "the string is not closed; write \"",
                    ));
                }
                Some('"') => {
                    self.at += 1;
                    return Ok(Kind::Literal(text));
                }
                Some('\\') => text.push(self.escape()?),
                Some(c) => {
                    self.at += c.len_utf8();
                    text.push(c);
                }
            }
        }
    }

    fn character(&mut self) -> Result<Kind, TemplateError> {
        self.at += 1;
        let c = match self.rest().chars().next() {
            Some('\\') => self.escape()?,
            Some(c) => {
                self.at += c.len_utf8();
                c
            }
            None => return Err(self.wrong("the character is not closed; write '")),
        };
        if !self.rest().starts_with('\'') {
            return Err(self.wrong("a character constant holds one character; use \" for text"));
        }
        self.at += 1;
        Ok(Kind::Int(i64::from(u32::from(c))))
    }

    /// One backslash escape of a Go string.
    fn escape(&mut self) -> Result<char, TemplateError> {
        let code = self.rest().chars().nth(1).unwrap_or(' ');
        let simple = match code {
            'n' => Some('\n'),
            't' => Some('\t'),
            'r' => Some('\r'),
            'a' => Some('\u{7}'),
            'b' => Some('\u{8}'),
            'f' => Some('\u{c}'),
            'v' => Some('\u{b}'),
            '\\' | '"' | '\'' => Some(code),
            _ => None,
        };
        if let Some(c) = simple {
            self.at += 2;
            return Ok(c);
        }
        let (skip, digits, radix) = match code {
            'x' => (2, 2, 16),
            'u' => (2, 4, 16),
            'U' => (2, 8, 16),
            '0'..='7' => (1, 3, 8),
            _ => return Err(self.wrong("unknown escape in a string; write \\\\ for a backslash")),
        };
        let number = self.rest().get(skip..skip + digits);
        let c = number
            .and_then(|digits| u32::from_str_radix(digits, radix).ok())
            .and_then(char::from_u32)
            .ok_or_else(|| self.wrong("an incomplete escape in a string"))?;
        self.at += skip + digits;
        Ok(c)
    }

    fn number(&mut self) -> Result<Kind, TemplateError> {
        let rest = self.rest();
        let bytes = rest.as_bytes();
        let mut end = 1;
        while end < bytes.len() {
            let c = bytes[end];
            let exponent_sign = (c == b'+' || c == b'-')
                && matches!(bytes[end - 1], b'e' | b'E')
                && !rest.starts_with("0x");
            if !(c.is_ascii_alphanumeric() || c == b'.' || c == b'_' || exponent_sign) {
                break;
            }
            end += 1;
        }
        let text = rest.get(..end).unwrap_or("").replace('_', "");
        let kind = integer(&text)
            .map(Kind::Int)
            .or_else(|| {
                text.parse()
                    .ok()
                    .filter(|_| is_decimal(&text))
                    .map(Kind::Float)
            })
            .ok_or_else(|| self.wrong(format!("bad number {text:?}")))?;
        self.at += end;
        Ok(kind)
    }
}

fn is_decimal(text: &str) -> bool {
    text.bytes()
        .all(|b| b.is_ascii_digit() || b".eE+-".contains(&b))
}

fn integer(text: &str) -> Option<i64> {
    let (sign, digits) = match text.as_bytes().first()? {
        b'-' => (-1, text.get(1..)?),
        b'+' => (1, text.get(1..)?),
        _ => (1, text),
    };
    let (radix, digits) = if let Some(hex) = digits.strip_prefix("0x") {
        (16, hex)
    } else if let Some(octal) = digits.strip_prefix("0o") {
        (8, octal)
    } else if let Some(binary) = digits.strip_prefix("0b") {
        (2, binary)
    } else {
        (10, digits)
    };
    if !digits.starts_with(|c: char| c.is_ascii_hexdigit()) {
        return None;
    }
    i64::from_str_radix(digits, radix).ok().map(|n| sign * n)
}
