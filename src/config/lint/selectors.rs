//! Lints about selectors that cannot match.

use super::walk::{called, selected, walk};
use super::{Finding, Lint, RuleContext, SetContext};
use crate::metric::{Labels, MatchOp, Matcher, Selector};
use crate::promql::Expr;
use crate::promql::ast::{BinaryOp, ExprKind, ExprNode};

/// Series that exist although no target exposes them.
const SYNTHETIC: [&str; 8] = [
    "up",
    "scrape_duration_seconds",
    "scrape_samples_scraped",
    "scrape_samples_post_metric_relabeling",
    "scrape_series_added",
    "scrape_body_size_bytes",
    "ALERTS",
    "ALERTS_FOR_STATE",
];

pub(super) fn lint(context: &RuleContext<'_>, findings: &mut Vec<Finding>) {
    for (key, expr) in context.expressions() {
        walk(expr.root(), &mut |node, ancestors| {
            let Some((select, _)) = selected(node) else {
                return;
            };
            let selector = &select.selector;
            let why = contradiction(selector).or_else(|| foreign_label(selector, context.set));
            if let Some(why) = why {
                let message = format!("{selector} can never match: {why}");
                findings.push(context.remark(Lint::NeverMatches, key, message));
                return;
            }
            // What a ratio or an estimate does not find counts as 0: see below.
            let counts = context.rule.ratio().is_some() || context.rule.estimate().is_some();
            if !counts
                && !has_alternative(ancestors)
                && let Some(name) = unknown(selector, context.set)
            {
                let message = format!(
                    "no rule records {name} and the target does not expose it; if it appears later, as counters of errors do, give it an alternative with or"
                );
                findings.push(context.remark(Lint::UnknownMetric, key, message));
            }
        });
    }
    findings.extend(uncounted(context));
}

/// The sides of a ratio none of whose counters is there: they count as 0 for ever.
fn uncounted(context: &RuleContext<'_>) -> Vec<Finding> {
    let Some(ratio) = context.rule.ratio() else {
        return Vec::new();
    };
    let sides = ratio.sides().into_iter().filter_map(|(key, exprs)| {
        let selectors: Vec<Selector> = exprs.iter().flat_map(Expr::selectors).collect();
        let missing: Option<Vec<&str>> = selectors
            .iter()
            .map(|selector| unknown(selector, context.set))
            .collect();
        let missing = missing.filter(|names| !names.is_empty())?;
        let message = format!(
            "no rule records {} and the target does not expose it, so this side of the ratio is 0; correct the name, or leave the remark if the counter appears with its first event",
            missing.join(" or ")
        );
        Some(context.remark(Lint::UnknownMetric, &format!("ratio.{key}"), message))
    });
    sides.collect()
}

/// Two matchers of one label that exclude each other.
fn contradiction(selector: &Selector) -> Option<String> {
    let matchers = selector.matchers();
    matchers.iter().find_map(|matcher| {
        let candidates = values(matcher)?;
        let same = || {
            matchers
                .iter()
                .filter(|other| other.name() == matcher.name())
        };
        let possible = candidates
            .iter()
            .any(|value| same().all(|other| other.matches(value)));
        let other = same().find(|other| *other != matcher)?;
        (!possible).then(|| format!("{matcher} and {other} exclude each other"))
    })
}

/// The values that a matcher accepts, if they can be listed.
fn values(matcher: &Matcher) -> Option<Vec<&str>> {
    match matcher.op() {
        MatchOp::Equal => Some(vec![matcher.value()]),
        MatchOp::Regex => {
            let special = |c: char| {
                !(c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | ':' | '/' | '|' | ' '))
            };
            let plain = !matcher.value().contains(special);
            plain.then(|| matcher.value().split('|').collect())
        }
        MatchOp::NotEqual | MatchOp::NotRegex => None,
    }
}

/// A matcher on a label that the scrape attaches, with a value that no target gets.
fn foreign_label(selector: &Selector, set: &SetContext<'_>) -> Option<String> {
    let settings = &set.input.config.settings;
    if !set.input.has_settings || settings.scrape.honor_labels {
        return None;
    }
    let recorded = selector
        .metric_name()
        .is_none_or(|name| set.recorded.contains_key(name) || name.starts_with("ALERTS"));
    let targets: Vec<&Labels> = settings
        .scrape
        .targets
        .iter()
        .map(|target| &target.labels)
        .collect();
    // The addresses of discovered targets are not known yet.
    if recorded || targets.is_empty() || settings.scrape.discovery.is_some() {
        return None;
    }
    selector.matchers().iter().find_map(|matcher| {
        let attached: Option<Vec<&str>> = targets
            .iter()
            .map(|labels| labels.get(matcher.name()))
            .collect();
        let attached = attached?;
        let passes = attached.iter().any(|value| matcher.matches(value));
        (!passes).then(|| {
            let name = matcher.name();
            format!(
                "{matcher}, but the targets' {name} is {}",
                attached.join(", ")
            )
        })
    })
}

/// The name of the selected metric, if it is neither recorded nor exposed.
fn unknown<'s>(selector: &'s Selector, set: &SetContext<'_>) -> Option<&'s str> {
    let exposed = set.input.exposed?;
    let name = selector.metric_name()?;
    let there = set.recorded.contains_key(name) || SYNTHETIC.contains(&name) || exposed.has(name);
    (!there).then_some(name)
}

/// Whether an ancestor has an alternative for a selector without series.
fn has_alternative(ancestors: &[&ExprNode]) -> bool {
    ancestors.iter().any(|node| {
        if let ExprKind::Binary(binary) = &node.kind {
            return matches!(binary.op, BinaryOp::Or | BinaryOp::Unless);
        }
        called(node).is_some_and(|name| name.starts_with("absent"))
    })
}
