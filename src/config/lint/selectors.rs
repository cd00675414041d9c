//! Selectors that can select nothing.

use super::walk::{called, selected, walk};
use super::{About, Found, Known, Lint};
use crate::metric::{Labels, MatchOp, Matcher, Selector};
use crate::promql::ast::{BinaryOp, Kind, Node};

/// Series that exist without a target exposing them.
const OURS: [&str; 8] = [
    "up",
    "scrape_duration_seconds",
    "scrape_samples_scraped",
    "scrape_samples_post_metric_relabeling",
    "scrape_series_added",
    "scrape_body_size_bytes",
    "ALERTS",
    "ALERTS_FOR_STATE",
];

pub(super) fn lint(about: &About<'_>, found: &mut Vec<Found>) {
    for (key, expr) in about.expressions() {
        walk(expr.root(), &mut |node, around| {
            let Some((select, _)) = selected(node) else {
                return;
            };
            let selector = &select.selector;
            let why = contradiction(selector).or_else(|| foreign_label(selector, about.known));
            if let Some(why) = why {
                let message = format!("{selector} can never match: {why}");
                found.push(about.remark(Lint::NeverMatches, key, message));
                return;
            }
            if !has_alternative(around)
                && let Some(name) = unknown(selector, about.known)
            {
                let message = format!(
                    "no rule records {name} and the target does not expose it; if it is born later, as counters of errors are, give it an alternative with or"
                );
                found.push(about.remark(Lint::UnknownMetric, key, message));
            }
        });
    }
}

/// Two matchers of one label that no value passes.
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

/// The only values that may pass, when they can be listed.
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

/// A label that the scrape attaches, with a value that it attaches to no target.
fn foreign_label(selector: &Selector, known: &Known<'_>) -> Option<String> {
    let settings = &known.around.config.settings;
    if !known.around.whole || settings.scrape.honor_labels {
        return None;
    }
    let recorded = selector
        .metric_name()
        .is_none_or(|name| known.recorded.contains_key(name) || name.starts_with("ALERTS"));
    let targets: Vec<&Labels> = settings
        .scrape
        .targets
        .iter()
        .map(|target| &target.labels)
        .collect();
    // What is found by name has addresses that nobody knows yet.
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

/// The name of a metric that is neither recorded nor exposed.
fn unknown<'s>(selector: &'s Selector, known: &Known<'_>) -> Option<&'s str> {
    let exposed = known.around.exposed?;
    let name = selector.metric_name()?;
    let there = known.recorded.contains_key(name) || OURS.contains(&name) || exposed.has(name);
    (!there).then_some(name)
}

/// Whether something stands in for a selector that selects nothing.
fn has_alternative(around: &[&Node]) -> bool {
    around.iter().any(|node| {
        if let Kind::Binary(binary) = &node.kind {
            return matches!(binary.op, BinaryOp::Or | BinaryOp::Unless);
        }
        called(node).is_some_and(|name| name.starts_with("absent"))
    })
}
