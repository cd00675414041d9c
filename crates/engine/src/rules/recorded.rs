//! Distinguishes the series that rules record from those that a server has.

use std::collections::BTreeSet;

use super::{Rule, RuleSet};
use crate::metric::Selector;
use crate::promql::Expr;

/// Series about alerts, which are recorded beside those of the rules.
const ALERT_SERIES: [&str; 2] = ["ALERTS", "ALERTS_FOR_STATE"];

/// The names that a set of rules records, to classify selectors.
#[derive(Debug, Clone, Default)]
pub struct Recorded(BTreeSet<String>);

/// Where the series of an expression are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The rules record all of them, or there are none, as in a number.
    Recorded,
    /// All are at the server.
    Remote,
    /// Some are recorded and some are at the server, so that neither can evaluate it alone.
    Mixed,
}

impl Recorded {
    /// The names that these rules record.
    #[must_use]
    pub fn of(rules: &RuleSet) -> Self {
        let records = rules.rules().filter(|rule| matches!(rule, Rule::Record(_)));
        Self(records.map(|rule| rule.name().to_owned()).collect())
    }

    /// Whether a selector names one of them.
    #[must_use]
    pub fn has(&self, selector: &Selector) -> bool {
        let name = selector.metric_name();
        name.is_some_and(|name| self.0.contains(name) || ALERT_SERIES.contains(&name))
    }

    /// Where an expression of a rule finds its series. In a record, its own name means the series
    /// of that name at the server.
    #[must_use]
    pub fn origin(&self, rule: &Rule, expr: &Expr) -> Origin {
        let own = match rule {
            Rule::Record(recording) => Some(recording.name.as_str()),
            Rule::Alert { .. } | Rule::Watch(_) => None,
        };
        self.found(expr, own)
    }

    /// Where the text of a `query` in a template finds its series.
    #[must_use]
    pub fn origin_of_query(&self, expr: &Expr) -> Origin {
        self.found(expr, None)
    }

    fn found(&self, expr: &Expr, own: Option<&str>) -> Origin {
        let (mut here, mut there) = (false, false);
        for selector in expr.selectors() {
            let itself = own.is_some() && selector.metric_name() == own;
            if self.has(&selector) && !itself {
                here = true;
            } else {
                there = true;
            }
        }
        match (here, there) {
            (_, false) => Origin::Recorded,
            (false, true) => Origin::Remote,
            (true, true) => Origin::Mixed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Origin, Recorded};
    use crate::promql::Expr;

    #[test]
    fn an_expression_is_evaluated_where_all_its_series_are() {
        let recorded = Recorded(["accuracy".to_owned(), "depth".to_owned()].into());
        let place = |text: &str| recorded.found(&Expr::parse(text).unwrap(), Some("depth"));
        assert_eq!(place("avg_over_time(accuracy[5m]) > 1"), Origin::Recorded);
        assert_eq!(place("vector(1)"), Origin::Recorded);
        assert_eq!(place("count(ALERTS)"), Origin::Recorded);
        assert_eq!(place("rate(x[5m])"), Origin::Remote);
        assert_eq!(place("accuracy * on () up"), Origin::Mixed);
        assert_eq!(
            place("depth or queue_depth"),
            Origin::Remote,
            "a record of its own name"
        );
        assert_eq!(place("{__name__=~\"acc.*\"}"), Origin::Remote);
    }
}
