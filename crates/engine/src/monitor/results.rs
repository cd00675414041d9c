//! A server's results for the rules' expressions, the input of a tick without scrapes.

use std::collections::HashMap;

use crate::metric::{Labels, Matcher, Selector, Timestamp};
use crate::promql::{Expr, InstantSample};
use crate::rules::{Origin, Recorded, RuleSet};

/// Series with their values, or the error.
pub type Answer = Result<Vec<(Labels, f64)>, String>;

/// The values of expressions at one time, by the text of the expression in the rule.
///
/// An expression without a result is evaluated over the window: rules record all of its series.
#[derive(Debug, Clone, Default)]
pub struct Results {
    values: HashMap<String, Result<Vec<InstantSample>, String>>,
    /// Answers to the queries of templates; `None` when the window answers them all.
    template_answers: Option<HashMap<String, Answer>>,
}

impl Results {
    /// Results of a server that also answers the queries of templates.
    #[must_use]
    pub fn answering_templates() -> Self {
        Self {
            template_answers: Some(HashMap::new()),
            ..Self::default()
        }
    }

    /// Adds the server's result for an expression: labels and values, or the error.
    pub fn put(&mut self, expr: &str, at: Timestamp, answer: Answer) {
        let sample = |(labels, value)| InstantSample::new(labels, value, at);
        let samples = answer.map(|values| values.into_iter().map(sample).collect());
        self.values.insert(expr.to_owned(), samples);
    }

    /// Adds the answer to a query that a tick requested.
    pub fn put_template_answer(&mut self, query: String, answer: Answer) {
        let answers = self.template_answers.get_or_insert_default();
        answers.insert(query, answer);
    }

    /// The result for an expression; `None` if the server does not evaluate it.
    #[must_use]
    pub fn get(&self, expr: &Expr) -> Option<&Result<Vec<InstantSample>, String>> {
        self.values.get(expr.text())
    }

    /// The answers to the queries of templates, where the server answers them.
    pub(super) fn template_answers(&self) -> Option<&HashMap<String, Answer>> {
        self.template_answers.as_ref()
    }
}

/// A query to a server for an expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The expression as written in the rule.
    pub written: String,
    /// The expression with the matchers in its selectors, or why it cannot be evaluated anywhere.
    pub sent: Result<String, String>,
}

/// The queries to a server for the rules: each expression once, without those that read recorded
/// series only.
#[must_use]
pub fn questions(rules: &RuleSet, matchers: &[Matcher]) -> Vec<Question> {
    let recorded = Recorded::of(rules);
    let mut questions: Vec<Question> = Vec::new();
    let expressions = rules.rules().flat_map(|rule| {
        let all = rule.expressions().into_iter();
        all.map(move |expr| (rule, expr))
    });
    for (rule, expr) in expressions {
        let sent = match recorded.origin(rule, expr) {
            Origin::Recorded => continue,
            Origin::Remote => Ok(expr.narrowed(matchers, &|_: &Selector| true)),
            Origin::Mixed => Err(
                "the expression mixes recorded series with others, so that no server can evaluate it"
                    .to_owned(),
            ),
        };
        if questions.iter().all(|known| known.written != expr.text()) {
            questions.push(Question {
                written: expr.text().to_owned(),
                sent,
            });
        }
    }
    questions
}
