//! A position in a body and how to move it.

use super::SyntaxError;
use super::swar::name_len;

/// A position in a body, with the moves that both formats use.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor<'a> {
    pub(super) body: &'a [u8],
    pub(super) at: usize,
    /// Whether all quoted strings since it was last set to `true` were ASCII.
    pub(super) ascii: bool,
}

impl<'a> Cursor<'a> {
    /// The byte here; `None` at the end.
    #[inline]
    pub(super) fn peek(&self) -> Option<u8> {
        self.body.get(self.at).copied()
    }

    /// The rest of the body.
    #[inline]
    pub(super) fn rest(&self) -> &'a [u8] {
        self.body.get(self.at..).unwrap_or_default()
    }

    /// Steps over `byte` if it is here.
    #[inline]
    pub(super) fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// Steps over `word` if it is here.
    pub(super) fn eat_word(&mut self, word: &[u8]) -> bool {
        let found = self.rest().starts_with(word);
        if found {
            self.at += word.len();
        }
        found
    }

    /// Steps over spaces and tabs; returns whether there were any.
    #[inline]
    pub(super) fn skip_blanks(&mut self) -> bool {
        let start = self.at;
        while matches!(self.peek(), Some(b' ' | b'\t')) {
            self.at += 1;
        }
        self.at > start
    }

    /// Steps to the next newline or the end and returns the bytes before it.
    pub(super) fn until_newline(&mut self) -> &'a [u8] {
        let rest = self.rest();
        let len = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
        self.at += len;
        &rest[..len]
    }

    /// Steps over the bytes before the first that `stop` accepts, and returns them; may be empty.
    #[inline]
    pub(super) fn token(&mut self, stop: impl Fn(u8) -> bool) -> &'a [u8] {
        let rest = self.rest();
        let len = rest
            .iter()
            .position(|&byte| stop(byte))
            .unwrap_or(rest.len());
        self.at += len;
        &rest[..len]
    }

    /// Steps over a name of letters, digits, `_` and, with `colon`, `:`; empty if none starts here.
    #[inline]
    pub(super) fn name(&mut self, colon: bool) -> &'a [u8] {
        let rest = self.rest();
        let len = match rest.first() {
            Some(b'0'..=b'9') | None => 0,
            Some(_) => name_len(rest, colon),
        };
        self.at += len;
        &rest[..len]
    }

    /// An error about the token that starts at `token`; the position shown is that of the cursor.
    #[cold]
    pub(super) fn error(
        &self,
        token: usize,
        message: impl Into<std::borrow::Cow<'static, str>>,
    ) -> SyntaxError {
        SyntaxError::new(self.body, token, self.at, message)
    }
}
