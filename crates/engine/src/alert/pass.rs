//! One evaluation of one rule: identities, texts and conditions of its observations.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use crate::metric::{Labels, Timestamp};

use super::entry::Entry;
use super::rule::Pair;
use super::template::{Answerer, Scope, TemplateEnvironment};
use super::{
    Alert, AlertKind, AlertRule, Annotations, Changes, Condition, Context, NoData, Observation,
};

/// One evaluation in progress.
pub(super) struct Pass<'a> {
    pub(super) rule: &'a AlertRule,
    pub(super) context: &'a Context,
    pub(super) query: Option<Answerer<'a>>,
    pub(super) at: Timestamp,
    pub(super) changes: Changes,
    /// A link to the rule's alerts.
    pub(super) url: Arc<str>,
}

impl<'a> Pass<'a> {
    pub(super) fn new(
        rule: &'a AlertRule,
        at: Timestamp,
        environment: impl Into<TemplateEnvironment<'a>>,
    ) -> Self {
        let TemplateEnvironment { context, query } = environment.into();
        Self {
            rule,
            context,
            query,
            at,
            changes: Changes::default(),
            url: generator_url(rule, context),
        }
    }
}

/// The lease of a firing alert: four times the longer of interval and resend delay.
#[must_use]
pub(super) fn lease(interval: Duration, resend_delay: Duration) -> Duration {
    interval.max(resend_delay) * 4
}

/// The effect of a condition under the rule's `no_data`.
pub(super) fn effective(rule: &AlertRule, condition: Condition) -> Condition {
    match (condition, rule.no_data) {
        (Condition::NoData, NoData::Alert) => Condition::Active,
        (Condition::NoData | Condition::Unsure, NoData::Ok) => Condition::Healthy,
        (
            Condition::Active
            | Condition::Held
            | Condition::Healthy
            | Condition::Unsure
            | Condition::NoData,
            _,
        ) => condition,
    }
}

/// Computes the alert labels of every observation. Two series with the same labels are an error: a
/// plain alert's evaluation ends there as in Prometheus (`None`), a watch keeps the first of them.
pub(super) fn label(
    pass: &mut Pass<'_>,
    observations: Vec<Observation>,
) -> Option<Vec<(Labels, Observation)>> {
    let mut seen: HashSet<Labels> = HashSet::with_capacity(observations.len());
    let mut labelled = Vec::with_capacity(observations.len());
    for observation in observations {
        let scope = Scope {
            labels: &observation.labels,
            value: observation.value,
            at: pass.at,
            context: pass.context,
            query: pass.query,
        };
        let labels = pass.rule.alert_labels(&scope);
        if seen.insert(labels.clone()) {
            labelled.push((labels, observation));
            continue;
        }
        pass.changes.error = Some(format!(
            "vector contains metrics with the same labelset after applying alert labels: {labels}"
        ));
        if pass.rule.kind == AlertKind::Alert {
            return None;
        }
    }
    Some(labelled)
}

/// The texts of an alert: the rule's own, and for a watch its explanation.
pub(super) fn annotations(pass: &Pass<'_>, entry: &Entry) -> Annotations {
    let Pass {
        rule,
        context,
        query,
        at,
        ..
    } = *pass;
    let scope = Scope {
        labels: &entry.series,
        value: entry.value,
        at,
        context,
        query,
    };
    let mut pairs: Vec<Pair> = Vec::new();
    if rule.kind == AlertKind::Watch {
        pairs.push(("summary".into(), summary(rule, entry).into()));
        pairs.push(("chart".into(), Arc::clone(&pass.url)));
        pairs.push(("config_hash".into(), context.config_hash.as_str().into()));
        let explained = entry
            .explanation
            .as_deref()
            .map(|e| e.annotations(entry.value));
        for (name, text) in explained.unwrap_or_default() {
            pairs.push((name.into(), text.into()));
        }
    }
    for (name, template) in &rule.annotations {
        pairs.push((name.as_str().into(), template.expand(&scope).into()));
    }
    Annotations::new(pairs)
}

fn summary(rule: &AlertRule, entry: &Entry) -> String {
    if let Some(since) = entry.no_data_since {
        return format!("{}: no data since {since}", rule.name);
    }
    match entry.explanation.as_deref() {
        Some(explanation) if !explanation.why.is_empty() => {
            format!("{}: {}", rule.name, explanation.why)
        }
        _ => format!("{} {}", rule.name, entry.series),
    }
}

pub(super) fn mark_no_data(alert: &mut Alert) {
    if let Some(since) = alert.no_data_since {
        let text = format!("no data since {since}; the state is kept");
        alert.annotations = alert.annotations.with("no_data", &text);
    }
}

/// Prometheus' link to the expression, or the watch's chart on the status page.
pub(super) fn generator_url(rule: &AlertRule, context: &Context) -> Arc<str> {
    let base = context.external_url.trim_end_matches('/');
    let url = match rule.kind {
        AlertKind::Alert => format!(
            "{base}/graph?g0.expr={}&g0.tab=1",
            super::template::query_escape(&rule.expr)
        ),
        AlertKind::Watch => format!("{base}/?rule={}", super::template::query_escape(&rule.name)),
    };
    url.into()
}
