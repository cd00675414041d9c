//! Parses selectors: `name{label="value", …}`.

use super::super::ast::{ExprKind, ExprNode, Select};
use super::super::error::{PromqlError, Span};
use super::super::token::Token;
use super::Parser;
use crate::metric::{Labels, MatchOp, Matcher, Selector};

impl Parser<'_> {
    /// Parses a selector after its name, if it has one.
    pub(super) fn select(&mut self, name: Option<(&str, Span)>) -> Result<ExprNode, PromqlError> {
        let start = name.map_or_else(|| self.span(), |(_, span)| span);
        let mut matchers = Vec::new();
        if self.is_symbol("{") {
            self.matchers(&mut matchers, name.map(|(name, _)| name))?;
        }
        if let Some((name, _)) = name {
            matchers.push(Matcher::equal(Labels::NAME, name));
        }
        let span = start.to(self.previous_span());
        if matchers.iter().all(|m| m.matches("")) {
            let message =
                "a selector needs at least one matcher that does not match the empty string";
            return Err(PromqlError::syntax(span, message));
        }
        let select = Select {
            selector: Selector::new(matchers),
            offset: 0,
            at: None,
        };
        self.node(ExprKind::Select(Box::new(select)), span)
    }

    fn matchers(
        &mut self,
        matchers: &mut Vec<Matcher>,
        name: Option<&str>,
    ) -> Result<(), PromqlError> {
        self.expect("{")?;
        let mut quoted_name = None;
        while !self.is_symbol("}") {
            let (label, span) = self.label_name()?;
            let op = match self.token() {
                Token::Symbol("=") => MatchOp::Equal,
                Token::Symbol("!=") => MatchOp::NotEqual,
                Token::Symbol("=~") => MatchOp::Regex,
                Token::Symbol("!~") => MatchOp::NotRegex,
                Token::Symbol("," | "}") if self.source(span).starts_with(['"', '\'', '`']) => {
                    let is_named = matchers.iter().any(|m| m.name() == Labels::NAME);
                    if name.is_some() || is_named || quoted_name.replace(label.clone()).is_some() {
                        return Err(PromqlError::syntax(
                            span,
                            format!("a second metric name: {label:?}"),
                        ));
                    }
                    matchers.push(Matcher::equal(Labels::NAME, &label));
                    self.take_symbol(",");
                    continue;
                }
                Token::Symbol(_) | Token::Ident | Token::Number | Token::Text | Token::End => {
                    return Err(self.unexpected("one of = != =~ !~ after the label's name"));
                }
            };
            self.advance();
            if self.token() != Token::Text {
                return Err(self.unexpected("a quoted string to match with"));
            }
            let (value, value_span) = self.utf8()?;
            if label == Labels::NAME && (name.is_some() || quoted_name.is_some()) {
                return Err(PromqlError::syntax(
                    span,
                    "a second metric name: use the name or the label __name__",
                ));
            }
            let matcher = Matcher::try_new(&label, op, &value).map_err(|why| {
                PromqlError::syntax(
                    value_span,
                    format!("not a regular expression: {value:?}: {why}"),
                )
            })?;
            matchers.push(matcher);
            if !self.take_symbol(",") && !self.is_symbol("}") {
                return Err(self.unexpected("\",\" or \"}\""));
            }
        }
        self.expect("}")?;
        Ok(())
    }

    /// Parses a label name, quoted or not.
    pub(super) fn label_name(&mut self) -> Result<(String, Span), PromqlError> {
        match self.token() {
            Token::Text => {
                let (name, span) = self.utf8()?;
                if name.is_empty() {
                    return Err(PromqlError::syntax(
                        span,
                        "a label's name must not be empty",
                    ));
                }
                Ok((name, span))
            }
            Token::Ident if !self.source(self.span()).contains(':') => {
                let span = self.advance();
                Ok((self.source(span).to_owned(), span))
            }
            Token::Ident | Token::Number | Token::Symbol(_) | Token::End => {
                Err(self.unexpected("a label's name"))
            }
        }
    }

    /// Parses the label names in `(a, b)`, as after `by` and `on`.
    pub(super) fn label_names(&mut self) -> Result<Vec<String>, PromqlError> {
        self.expect("(")?;
        let mut names = Vec::new();
        while !self.is_symbol(")") {
            names.push(self.label_name()?.0);
            if !self.take_symbol(",") && !self.is_symbol(")") {
                return Err(self.unexpected("\",\" or \")\""));
            }
        }
        self.expect(")")?;
        Ok(names)
    }
}
