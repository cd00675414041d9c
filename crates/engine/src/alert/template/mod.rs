//! Go's text/template as Prometheus' rule files use it, with Prometheus' functions.
//!
//! Everything is checked when the rule file is loaded: syntax, unknown functions and variables.
//! What can only fail while rendering (a bad regular expression, an index out of range) is an error
//! of that one text, never of the alert.

mod compare;
mod eval;
mod format;
mod functions;
mod humanize;
mod length;
mod lex;
mod numbers;
mod parse;
mod queries;
mod value;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::metric::{Labels, Timestamp};

pub use functions::query_escape;
use parse::Node;

/// The samples of a template's query, or the error.
pub type QueryAnswer = Result<Vec<(Labels, f64)>, String>;

/// Answers `query` inside a template, at the evaluation's time.
pub type Answerer<'a> = &'a dyn Fn(&str, Timestamp) -> QueryAnswer;

/// The data that all templates of a process see besides their own alert.
#[derive(Debug, Clone, Default)]
pub struct Context {
    /// `$externalLabels`.
    pub external_labels: Labels,
    /// `$externalURL`, without a trailing slash.
    pub external_url: String,
    /// Labels every alert carries where its series has none of that name: the model and the pod's
    /// identity.
    pub identity: Labels,
    /// Hash of the loaded configuration, shown in explained alerts; empty when unknown.
    pub config_hash: String,
}

/// The data that the templates of one evaluation see: the context, and the answers to `query` if
/// any.
#[derive(Clone, Copy)]
pub struct TemplateEnvironment<'a> {
    /// External labels and URL, identity.
    pub context: &'a Context,
    /// Answers the `query` function; without it, only templates that call it fail.
    pub query: Option<Answerer<'a>>,
    /// Whether the window behind `query` is filled. While it fills, known alerts keep their labels,
    /// and no alert begins whose labels depend on `query`.
    pub is_filled: bool,
}

impl<'a> From<&'a Context> for TemplateEnvironment<'a> {
    fn from(context: &'a Context) -> Self {
        Self {
            context,
            query: None,
            is_filled: true,
        }
    }
}

impl fmt::Debug for TemplateEnvironment<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TemplateEnvironment")
            .field("context", self.context)
            .field("answers_queries", &self.query.is_some())
            .finish()
    }
}

/// The data of one rendering.
#[derive(Clone, Copy)]
pub struct Scope<'a> {
    /// `$labels`: the sample's labels, `__name__` included.
    pub labels: &'a Labels,
    /// `$value`.
    pub value: f64,
    /// The evaluation's time, for `now`.
    pub at: Timestamp,
    /// External labels and URL, identity.
    pub context: &'a Context,
    /// Answers the `query` function.
    pub query: Option<Answerer<'a>>,
}

impl fmt::Debug for Scope<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope")
            .field("labels", self.labels)
            .field("value", &self.value)
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}

/// A template that cannot be loaded: its place and the error.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {message}")]
pub struct TemplateError {
    /// Line in the template's text, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong and what to write instead.
    pub message: String,
}

/// A parsed template.
#[derive(Clone)]
pub struct Template {
    source: Arc<str>,
    tree: Arc<Tree>,
}

/// The parsed text and the templates it defines.
#[derive(Debug)]
struct Tree {
    nodes: Vec<Node>,
    defined: BTreeMap<String, Vec<Node>>,
    uses_value: bool,
}

impl Template {
    /// Parses and checks a template.
    ///
    /// # Errors
    /// The first problem, with its place in the text.
    pub fn parse(source: &str) -> Result<Self, TemplateError> {
        Self::parse_with(source, &parse::RULE_VARIABLES)
    }

    /// Parses a template over custom data, which has `.name` and `$` but none of a rule's
    /// variables.
    ///
    /// # Errors
    /// The first problem, with its place in the text.
    pub fn parse_data(source: &str) -> Result<Self, TemplateError> {
        Self::parse_with(source, &["$"])
    }

    fn parse_with(source: &str, variables: &[&str]) -> Result<Self, TemplateError> {
        let tokens = lex::tokens(source)?;
        let tree = parse::tree(source, tokens, variables)?;
        Ok(Self {
            source: source.into(),
            tree: Arc::new(tree),
        })
    }

    /// The text as written.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Whether the result depends on the value: in a label this makes a new alert at every
    /// evaluation.
    #[must_use]
    pub fn uses_value(&self) -> bool {
        self.tree.uses_value
    }

    /// The PromQL in the template's `query` calls where it is a literal, and the formats of
    /// `printf` as written.
    #[must_use]
    pub fn queries(&self) -> Vec<String> {
        let defined = self.tree.defined.values();
        let mut found = queries::of(&self.tree.nodes);
        found.extend(defined.flat_map(|nodes| queries::of(nodes)));
        found
    }

    /// Expands the template.
    ///
    /// # Errors
    /// The error of the expansion; [`Template::expand`] turns it into the text Prometheus
    /// sends.
    pub fn render(&self, scope: &Scope<'_>) -> Result<String, String> {
        if let [Node::Text(text)] = self.tree.nodes.as_slice() {
            return Ok(text.clone());
        }
        eval::render(&self.tree, scope)
    }

    /// Expands a template over custom data; a missing key prints as `<no value>`.
    ///
    /// # Errors
    /// The error of the expansion.
    pub fn render_data(&self, data: &serde_json::Value) -> Result<String, String> {
        let scope = Scope {
            labels: &Labels::empty(),
            value: f64::NAN,
            at: Timestamp::default(),
            context: &Context::default(),
            query: None,
        };
        eval::render_data(&self.tree, &scope, &value::Value::from_json(data))
    }

    /// Expands the template; a failure becomes the text `<error expanding template: …>` and never
    /// stops an alert.
    #[must_use]
    pub fn expand(&self, scope: &Scope<'_>) -> String {
        self.render(scope)
            .unwrap_or_else(|error| format!("<error expanding template: {error}>"))
    }
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Template({:?})", self.source)
    }
}

impl PartialEq for Template {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}
