//! Answers to `query` in the templates of alerts.

use std::cell::RefCell;
use std::collections::BTreeSet;

use crate::metric::Timestamp;
use crate::promql::{Expr, Query};
use crate::rules::{Origin, Recorded};
use crate::series::Window;

use super::reach::beyond;
use super::results::{Answer, Results};

/// Answers the queries of one rule's templates from the window or from a server's results.
#[derive(Debug)]
pub(super) struct TemplateQueries<'a> {
    window: &'a Window,
    results: &'a Results,
    recorded: &'a Recorded,
    /// The queries that the server has to answer first.
    missing: RefCell<BTreeSet<String>>,
}

impl<'a> TemplateQueries<'a> {
    pub(super) fn new(window: &'a Window, results: &'a Results, recorded: &'a Recorded) -> Self {
        Self {
            window,
            results,
            recorded,
            missing: RefCell::default(),
        }
    }

    /// The answer to a query at the evaluation's time; adds it to the missing queries when the
    /// server has not answered it yet.
    pub(super) fn answer(&self, text: &str, at: Timestamp) -> Answer {
        let expr = Expr::parse(text).map_err(|error| error.to_string())?;
        let answers = self.results.template_answers();
        match (answers, self.recorded.origin_of_query(&expr)) {
            (None, _) | (Some(_), Origin::Recorded) => self.evaluate(expr, at),
            (Some(_), Origin::Mixed) => Err(
                "it mixes recorded series with others, so that no server can evaluate it"
                    .to_owned(),
            ),
            (Some(answers), Origin::Remote) => answers.get(text).cloned().unwrap_or_else(|| {
                self.missing.borrow_mut().insert(text.to_owned());
                Err("the server has not answered yet".to_owned())
            }),
        }
    }

    fn evaluate(&self, expr: Expr, at: Timestamp) -> Answer {
        // The window is long enough for every query of a template that the retention allows.
        if let Some(why) = beyond([&expr], self.window.limits().retention) {
            return Err(why);
        }
        let evaluation = Query::new(expr).eval(self.window, at);
        let values = evaluation
            .and_then(|evaluation| evaluation.value.into_vector(at))
            .map_err(|error| error.to_string())?;
        let values = values.into_iter();
        Ok(values.map(|sample| (sample.labels, sample.value)).collect())
    }

    /// The queries that the server has to answer first.
    pub(super) fn into_missing(self) -> Vec<String> {
        self.missing.into_inner().into_iter().collect()
    }
}
