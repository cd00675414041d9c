//! What the rules read: selectors, and how far back they look.

use std::time::Duration;

use crate::metric::{Labels, Matcher, Selector, SeriesFilter};
use crate::promql::Expr;
use crate::rules::{Origin, Recorded, Rule, RuleSet};

use super::reach::{beyond, out_of_reach};
use super::settings::Settings;

/// 1 for every alert that is pending or firing, with its labels and `alertstate`.
pub(super) const ALERTS: &str = "ALERTS";
/// Since when its condition holds, in Unix seconds.
pub(super) const ALERTS_FOR_STATE: &str = "ALERTS_FOR_STATE";

fn expressions(rules: &RuleSet) -> impl Iterator<Item = &Expr> {
    rules.rules().flat_map(Rule::expressions)
}

/// Whether a rule may read the series about alerts; otherwise they are not recorded.
pub(super) fn selects_alerts(rules: &RuleSet) -> bool {
    let mut selectors = expressions(rules).flat_map(Expr::selectors);
    selectors.any(|selector| {
        selector.may_match_name(ALERTS) || selector.may_match_name(ALERTS_FOR_STATE)
    })
}

/// How far back the expressions look that are evaluated over the window.
pub(super) fn longest_reach(settings: &Settings, rules: &RuleSet) -> Duration {
    let recorded = Recorded::of(rules);
    let here = |rule: &Rule, expr: &Expr| {
        !settings.is_remote || recorded.origin(rule, expr) == Origin::Recorded
    };
    let mut longest = Duration::ZERO;
    let evaluated = rules.rules();
    for rule in evaluated.filter(|rule| out_of_reach(settings, &recorded, rule).is_none()) {
        let expressions = rule.expressions().into_iter();
        let reaches = expressions.filter(|expr| here(rule, expr)).map(Expr::reach);
        longest = longest.max(reaches.max().unwrap_or_default());
    }
    let queries = template_queries(rules).map(|query| query.expr);
    let queries = queries.filter(|expr| beyond([expr], settings.retention).is_none());
    longest.max(queries.map(|expr| expr.reach()).max().unwrap_or_default())
}

/// What the rules read, each selector once.
#[must_use]
pub fn selectors(rules: &RuleSet) -> Vec<Selector> {
    let mut unique = Vec::new();
    let read = expressions(rules).flat_map(Expr::selectors);
    for selector in read.chain(template_queries(rules).flat_map(TemplateQuery::selectors)) {
        if !unique.contains(&selector) {
            unique.push(selector);
        }
    }
    unique
}

/// Everything that some rule may read.
pub(super) fn filter(rules: &RuleSet) -> SeriesFilter {
    SeriesFilter::new(selectors(rules))
}

/// The queries of a template.
struct TemplateQuery {
    expr: Expr,
    /// `printf` builds the text, so only the names of its series are known in advance.
    is_formatted: bool,
}

impl TemplateQuery {
    fn selectors(self) -> Vec<Selector> {
        let selectors = self.expr.selectors().into_iter();
        if !self.is_formatted {
            return selectors.collect();
        }
        let named = selectors.filter_map(|selector| {
            let name = Matcher::equal(Labels::NAME, selector.metric_name()?);
            Some(Selector::new(vec![name]))
        });
        named.collect()
    }
}

fn template_queries(rules: &RuleSet) -> impl Iterator<Item = TemplateQuery> {
    let texts = rules.rules().flat_map(Rule::template_queries);
    texts.filter_map(|text| {
        let is_formatted = text.contains('%');
        let text = text.replace("%q", "\"\"").replace('%', "");
        // Rendering reports a text that cannot be parsed.
        let expr = Expr::parse(&text).ok()?;
        Some(TemplateQuery { expr, is_formatted })
    })
}

/// Whether an expression may read one of these records.
pub(super) fn reads_any(expr: &Expr, records: &[String]) -> bool {
    if records.is_empty() {
        return false;
    }
    let selectors = expr.selectors();
    let mut selectors = selectors.iter();
    selectors.any(|selector| records.iter().any(|name| selector.may_match_name(name)))
}
