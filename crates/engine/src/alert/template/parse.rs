//! Tokens to a checked tree.

use std::collections::BTreeMap;

use super::functions;
use super::lex::{Kind, Token, error};
use super::value::Value;
use super::{TemplateError, Tree};

/// Deepest nesting of blocks and parentheses.
const MAX_DEPTH: usize = 64;

#[derive(Debug, Clone)]
pub(super) enum Node {
    Text(String),
    Action(Pipeline),
    If(Block),
    With(Block),
    Range(Block),
    Call {
        name: String,
        with: Option<Pipeline>,
    },
    Break,
    Continue,
}

/// A condition with its two branches.
#[derive(Debug, Clone)]
pub(super) struct Block {
    pub(super) pipeline: Pipeline,
    pub(super) body: Vec<Node>,
    pub(super) otherwise: Vec<Node>,
}

#[derive(Debug, Clone)]
pub(super) struct Pipeline {
    pub(super) variables: Vec<String>,
    /// `=` instead of `:=`.
    pub(super) assign: bool,
    pub(super) commands: Vec<Vec<Operand>>,
}

#[derive(Debug, Clone)]
pub(super) struct Operand {
    pub(super) term: Term,
    pub(super) fields: Vec<String>,
}

#[derive(Debug, Clone)]
pub(super) enum Term {
    Dot,
    Variable(String),
    Function(String),
    Literal(Value),
    Paren(Box<Pipeline>),
}

/// What ended a list of nodes.
#[derive(PartialEq)]
enum Ending {
    Eof,
    End,
    Else,
}

/// The variables of a rule's template.
pub(super) const RULE_VARIABLES: [&str; 5] =
    ["$", "$labels", "$externalLabels", "$externalURL", "$value"];

pub(super) fn tree(
    source: &str,
    tokens: Vec<Token>,
    variables: &[&str],
) -> Result<Tree, TemplateError> {
    let mut parser = Parser {
        source,
        tokens: tokens.into_iter(),
        variables: variables.iter().map(|name| (*name).to_owned()).collect(),
        defined: BTreeMap::new(),
        called: Vec::new(),
        depth: 0,
        loops: 0,
        uses_value: false,
    };
    let (nodes, ending) = parser.list()?;
    if ending != Ending::Eof {
        return Err(parser.wrong(source.len(), "an end or else without its if, with or range"));
    }
    for (name, at) in &parser.called {
        if !parser.defined.contains_key(name) {
            return Err(error(
                source,
                *at,
                format!("template {name:?} is not defined here"),
            ));
        }
    }
    Ok(Tree {
        nodes,
        defined: parser.defined,
        uses_value: parser.uses_value,
    })
}

struct Parser<'a> {
    source: &'a str,
    tokens: std::vec::IntoIter<Token>,
    variables: Vec<String>,
    defined: BTreeMap<String, Vec<Node>>,
    called: Vec<(String, usize)>,
    depth: usize,
    loops: usize,
    uses_value: bool,
}

impl Parser<'_> {
    fn wrong(&self, at: usize, message: impl Into<String>) -> TemplateError {
        error(self.source, at, message)
    }

    /// The token at this distance ahead.
    fn ahead(&self, tokens: usize) -> Option<&Kind> {
        self.tokens.as_slice().get(tokens).map(|token| &token.kind)
    }

    fn next_if(&mut self, wanted: impl Fn(&Token) -> bool) -> Option<Token> {
        if self.tokens.as_slice().first().is_some_and(wanted) {
            return self.tokens.next();
        }
        None
    }

    fn next(&mut self) -> Result<Token, TemplateError> {
        self.tokens.next().ok_or_else(|| {
            error(
                self.source,
                self.source.len(),
                "the template ends too early; is an {{ end }} missing?",
            )
        })
    }

    fn deeper(&mut self, at: usize) -> Result<(), TemplateError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.wrong(at, format!("nested deeper than {MAX_DEPTH} levels")));
        }
        Ok(())
    }

    fn list(&mut self) -> Result<(Vec<Node>, Ending), TemplateError> {
        let mut nodes = Vec::new();
        while let Some(token) = self.tokens.next() {
            if let Kind::Text(text) = token.kind {
                nodes.push(Node::Text(text));
                continue;
            }
            // Every action starts with Open; the lexer guarantees it.
            let word = match self.ahead(0) {
                Some(Kind::Word(word)) => word.clone(),
                _ => String::new(),
            };
            match word.as_str() {
                "end" => {
                    self.tokens.next();
                    self.close()?;
                    return Ok((nodes, Ending::End));
                }
                "else" => {
                    self.tokens.next();
                    return Ok((nodes, Ending::Else));
                }
                _ => nodes.extend(self.statement(&word, token.at)?),
            }
        }
        Ok((nodes, Ending::Eof))
    }

    fn statement(&mut self, word: &str, at: usize) -> Result<Option<Node>, TemplateError> {
        let control = matches!(
            word,
            "if" | "with" | "range" | "define" | "template" | "block" | "break" | "continue"
        );
        if control {
            self.tokens.next();
        }
        let node = match word {
            "if" => Node::If(self.block("if", at)?),
            "with" => Node::With(self.block("with", at)?),
            "range" => Node::Range(self.block("range", at)?),
            "define" => return self.define(at).map(|()| None),
            "template" => {
                let (name, with) = self.call(at)?;
                self.called.push((name.clone(), at));
                Node::Call { name, with }
            }
            "block" => {
                let (name, with) = self.call(at)?;
                let body = self.body_until_end(at)?;
                self.defined.insert(name.clone(), body);
                Node::Call { name, with }
            }
            "break" | "continue" => {
                self.close()?;
                if self.loops == 0 {
                    return Err(self.wrong(at, format!("{word} outside a range")));
                }
                if word == "break" {
                    Node::Break
                } else {
                    Node::Continue
                }
            }
            _ => {
                let pipeline = self.pipeline(at)?;
                self.close()?;
                Node::Action(pipeline)
            }
        };
        Ok(Some(node))
    }

    fn close(&mut self) -> Result<(), TemplateError> {
        let token = self.next()?;
        if token.kind == Kind::Close {
            return Ok(());
        }
        let found = describe(&token.kind);
        Err(self.wrong(token.at, format!("unexpected {found} here")))
    }

    fn body_until_end(&mut self, at: usize) -> Result<Vec<Node>, TemplateError> {
        let mark = self.variables.len();
        let (body, ending) = self.list()?;
        self.variables.truncate(mark);
        match ending {
            Ending::End => Ok(body),
            Ending::Else => Err(self.wrong(at, "an else does not belong here")),
            Ending::Eof => Err(self.wrong(at, "an {{ end }} is missing")),
        }
    }

    fn block(&mut self, word: &str, at: usize) -> Result<Block, TemplateError> {
        self.deeper(at)?;
        let mark = self.variables.len();
        let pipeline = if word == "range" {
            self.range_pipeline(at)?
        } else {
            self.pipeline(at)?
        };
        self.close()?;
        self.loops += usize::from(word == "range");
        let inner = self.variables.len();
        let (body, ending) = self.list()?;
        self.variables.truncate(inner);
        self.loops -= usize::from(word == "range");
        let otherwise = match ending {
            Ending::End => Vec::new(),
            Ending::Else => self.otherwise(word, at)?,
            Ending::Eof => {
                return Err(
                    self.wrong(at, format!("the {word} is not closed; write {{{{ end }}}}"))
                );
            }
        };
        self.variables.truncate(mark);
        self.depth -= 1;
        Ok(Block {
            pipeline,
            body,
            otherwise,
        })
    }

    /// Behind `else`: either `if …`/`with …` in the same action, or the end of the action and a
    /// list.
    fn otherwise(&mut self, word: &str, at: usize) -> Result<Vec<Node>, TemplateError> {
        if let Some(Kind::Word(next)) = self.ahead(0)
            && next == word
            && word != "range"
        {
            self.tokens.next();
            let block = self.block(word, at)?;
            return Ok(vec![if word == "if" {
                Node::If(block)
            } else {
                Node::With(block)
            }]);
        }
        self.close()?;
        self.body_until_end(at)
    }

    fn define(&mut self, at: usize) -> Result<(), TemplateError> {
        self.deeper(at)?;
        let name = self.name(at)?;
        self.close()?;
        let outer = std::mem::replace(&mut self.variables, vec!["$".to_owned()]);
        let loops = std::mem::take(&mut self.loops);
        let body = self.body_until_end(at)?;
        self.variables = outer;
        self.loops = loops;
        self.defined.insert(name, body);
        self.depth -= 1;
        Ok(())
    }

    fn name(&mut self, at: usize) -> Result<String, TemplateError> {
        let token = self.next()?;
        if let Kind::Literal(name) = token.kind {
            return Ok(name);
        }
        let found = describe(&token.kind);
        Err(self.wrong(at, format!("a quoted name is needed, not {found}")))
    }

    fn call(&mut self, at: usize) -> Result<(String, Option<Pipeline>), TemplateError> {
        let name = self.name(at)?;
        let bare = matches!(self.ahead(0), Some(Kind::Close));
        let with = if bare { None } else { Some(self.pipeline(at)?) };
        self.close()?;
        Ok((name, with))
    }

    /// `range $i, $v := …` declares up to two variables.
    fn range_pipeline(&mut self, at: usize) -> Result<Pipeline, TemplateError> {
        if let (Some(Kind::Variable(a)), Some(Kind::Comma), Some(Kind::Variable(b))) =
            (self.ahead(0), self.ahead(1), self.ahead(2))
            && let Some(sign @ (Kind::Declare | Kind::Assign)) = self.ahead(3)
        {
            let (names, assign) = (vec![a.clone(), b.clone()], *sign == Kind::Assign);
            self.tokens.nth(3);
            return self.declared(names, assign, at);
        }
        self.pipeline(at)
    }

    fn pipeline(&mut self, at: usize) -> Result<Pipeline, TemplateError> {
        if let Some(Kind::Variable(name)) = self.ahead(0)
            && let Some(sign @ (Kind::Declare | Kind::Assign)) = self.ahead(1)
        {
            let (names, assign) = (vec![name.clone()], *sign == Kind::Assign);
            self.tokens.nth(1);
            return self.declared(names, assign, at);
        }
        Ok(Pipeline {
            variables: Vec::new(),
            assign: false,
            commands: self.commands(at)?,
        })
    }

    fn declared(
        &mut self,
        names: Vec<String>,
        assign: bool,
        at: usize,
    ) -> Result<Pipeline, TemplateError> {
        let commands = self.commands(at)?;
        if assign {
            if let Some(name) = names.iter().find(|name| !self.variables.contains(name)) {
                return Err(
                    self.wrong(at, format!("undefined variable {name}; declare it with :="))
                );
            }
        } else {
            self.variables.extend(names.iter().cloned());
        }
        Ok(Pipeline {
            variables: names,
            assign,
            commands,
        })
    }

    fn commands(&mut self, at: usize) -> Result<Vec<Vec<Operand>>, TemplateError> {
        self.deeper(at)?;
        let mut commands: Vec<Vec<Operand>> = vec![Vec::new()];
        while let Some(token) =
            self.next_if(|token| !matches!(token.kind, Kind::Close | Kind::RightParen))
        {
            if token.kind == Kind::Pipe {
                if commands.last().is_some_and(Vec::is_empty) {
                    return Err(self.wrong(token.at, "nothing stands before this |"));
                }
                commands.push(Vec::new());
                continue;
            }
            let operand = self.operand(token)?;
            if let Some(command) = commands.last_mut() {
                command.push(operand);
            }
        }
        if commands.last().is_some_and(Vec::is_empty) {
            return Err(self.wrong(at, "a value is missing in this action"));
        }
        for command in commands.iter().skip(1) {
            if let Some(Term::Literal(_)) = command.first().map(|o| &o.term) {
                return Err(self.wrong(at, "a value cannot be piped into a constant"));
            }
        }
        self.depth -= 1;
        Ok(commands)
    }

    fn operand(&mut self, token: Token) -> Result<Operand, TemplateError> {
        let at = token.at;
        let mut fields = Vec::new();
        let term = match token.kind {
            Kind::Dot => Term::Dot,
            Kind::Field(name) => {
                fields.push(name);
                Term::Dot
            }
            Kind::Variable(name) => {
                if !self.variables.contains(&name) {
                    return Err(self.wrong(at, format!("undefined variable {name}; a rule's template knows $labels, $value, $externalLabels and $externalURL")));
                }
                self.uses_value |= name == "$value";
                Term::Variable(name)
            }
            Kind::Word(word) => self.word(word, at)?,
            Kind::Literal(text) => Term::Literal(Value::Text(text)),
            Kind::Int(number) => Term::Literal(Value::Int(number)),
            Kind::Float(number) => Term::Literal(Value::Float(number)),
            Kind::LeftParen => {
                let inner = self.pipeline(at)?;
                let end = self.next()?;
                if end.kind != Kind::RightParen {
                    return Err(self.wrong(end.at, "a ) is missing"));
                }
                Term::Paren(Box::new(inner))
            }
            other @ (Kind::Text(_)
            | Kind::Open
            | Kind::Close
            | Kind::Pipe
            | Kind::Declare
            | Kind::Assign
            | Kind::Comma
            | Kind::RightParen) => {
                return Err(self.wrong(at, format!("unexpected {} here", describe(&other))));
            }
        };
        while let Some(next) = self.next_if(|t| !t.spaced && matches!(t.kind, Kind::Field(_))) {
            if let Kind::Field(name) = next.kind {
                fields.push(name);
            }
        }
        self.uses_value |= fields.iter().any(|field| field == "Value");
        Ok(Operand { term, fields })
    }

    fn word(&self, word: String, at: usize) -> Result<Term, TemplateError> {
        match word.as_str() {
            "true" => Ok(Term::Literal(Value::Bool(true))),
            "false" => Ok(Term::Literal(Value::Bool(false))),
            "nil" => Ok(Term::Literal(Value::Nil)),
            name if functions::exists(name) => Ok(Term::Function(word)),
            name => Err(self.wrong(
                at,
                format!(
                    "function {name:?} is not defined; Prometheus' template functions are available"
                ),
            )),
        }
    }
}

fn describe(kind: &Kind) -> String {
    match kind {
        Kind::Text(_) => "text".to_owned(),
        Kind::Open => "{{".to_owned(),
        Kind::Close => "}}".to_owned(),
        Kind::Field(name) => format!(".{name}"),
        Kind::Variable(name) => name.clone(),
        Kind::Word(word) => format!("{word:?}"),
        Kind::Literal(text) => format!("{text:?}"),
        Kind::Int(number) => number.to_string(),
        Kind::Float(number) => number.to_string(),
        Kind::Dot => ".".to_owned(),
        Kind::Pipe => "|".to_owned(),
        Kind::Declare => ":=".to_owned(),
        Kind::Assign => "=".to_owned(),
        Kind::Comma => ",".to_owned(),
        Kind::LeftParen => "(".to_owned(),
        Kind::RightParen => ")".to_owned(),
    }
}
