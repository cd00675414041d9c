//! One evaluation of one rule: identities, texts and conditions of its observations.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::metric::{Labels, Timestamp};

use super::entry::Entry;
use super::link::generator_url;
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
    pub(super) is_filled: bool,
    pub(super) at: Timestamp,
    pub(super) changes: Changes,
    /// A link to the rule's alerts.
    pub(super) url: Arc<str>,
    /// The texts of the last alert, whose memory those of the next one share.
    last_texts: RefCell<Annotations>,
}

impl<'a> Pass<'a> {
    pub(super) fn new(
        rule: &'a AlertRule,
        at: Timestamp,
        environment: impl Into<TemplateEnvironment<'a>>,
    ) -> Self {
        let TemplateEnvironment {
            context,
            query,
            is_filled,
        } = environment.into();
        Self {
            rule,
            context,
            query,
            is_filled,
            at,
            changes: Changes::default(),
            url: generator_url(rule, context),
            last_texts: RefCell::default(),
        }
    }

    /// What the templates of one alert see.
    pub(super) fn scope<'s>(&'s self, labels: &'s Labels, value: f64) -> Scope<'s> {
        Scope {
            labels,
            value,
            at: self.at,
            context: self.context,
            query: self.query,
        }
    }
}

impl Pass<'_> {
    /// Adds to the texts of a watch's alert why it has ended, if it has ended now.
    pub(super) fn note_end(&self, entry: &mut Entry, why: &str) {
        let has_ended = entry.resolved_at == Some(self.at);
        if has_ended && self.rule.kind == AlertKind::Watch && !entry.is_notice() {
            entry.annotations = entry.annotations.with("resolved", why);
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
            | Condition::Accepted
            | Condition::Unsure
            | Condition::NoData,
            _,
        ) => condition,
    }
}

/// Computes the alert labels of every observation; `known` are the labels of alerts by series, to
/// be kept while the window fills.
///
/// Two series with the same labels are an error of a plain alert, whose evaluation ends there as in
/// Prometheus (`None`). A watch takes the worst of them and remarks on it.
pub(super) fn label(
    pass: &mut Pass<'_>,
    observations: Vec<Observation>,
    known: &HashMap<Labels, Labels>,
) -> Option<Labelled> {
    let may_be_unknown = !pass.is_filled && pass.rule.labels_ask();
    let mut seen: HashMap<Labels, usize> = HashMap::with_capacity(observations.len());
    let mut labelled: Vec<(Labels, Observation)> = Vec::with_capacity(observations.len());
    let mut merged = HashMap::new();
    for mut observation in observations {
        let labels = if let Some(labels) = known.get(&observation.labels) {
            labels.clone()
        } else {
            if may_be_unknown {
                observation.condition = Condition::Unsure;
            }
            let scope = pass.scope(&observation.labels, observation.value);
            pass.rule.alert_labels(&scope)
        };
        let Some(first) = seen.get(&labels) else {
            seen.insert(labels.clone(), labelled.len());
            labelled.push((labels, observation));
            continue;
        };
        if pass.rule.kind == AlertKind::Alert {
            pass.changes.error = Some(format!(
                "vector contains metrics with the same labelset after applying alert labels: {labels}"
            ));
            return None;
        }
        pass.changes.remark = Some(format!(
            "several series have the alert labels {labels}; the worst of them counts"
        ));
        let (_, kept) = &mut labelled[*first];
        for series in [&kept.labels, &observation.labels] {
            merged.insert(series.clone(), labels.clone());
        }
        if severity(pass.rule, &observation) > severity(pass.rule, kept) {
            *kept = observation;
        }
    }
    Some(Labelled {
        observations: labelled,
        merged,
    })
}

/// The observations of an evaluation by their alert labels.
pub(super) struct Labelled {
    /// One observation for each set of labels.
    pub(super) observations: Vec<(Labels, Observation)>,
    /// The series that share their labels with others, and those labels.
    pub(super) merged: HashMap<Labels, Labels>,
}

/// How bad a series is among those with the same alert labels: first the condition, then the score.
fn severity(rule: &AlertRule, observation: &Observation) -> (u8, f64) {
    let condition = match effective(rule, observation.condition) {
        Condition::Active => 4,
        Condition::Held => 3,
        Condition::Unsure => 2,
        Condition::NoData => 1,
        Condition::Healthy | Condition::Accepted => 0,
    };
    let explanation = observation.explanation.as_deref();
    let score = explanation.and_then(|explanation| explanation.score);
    (condition, score.unwrap_or(0.0))
}

/// The texts of an alert: the rule's own, and for a watch its explanation.
pub(super) fn annotations(pass: &Pass<'_>, entry: &Entry) -> Annotations {
    let Pass { rule, context, .. } = *pass;
    let scope = pass.scope(&entry.series, entry.value);
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
    let is_unknown = rule.kind == AlertKind::Watch && entry.value.is_nan();
    for (name, template) in &rule.annotations {
        let mut text = template.expand(&scope);
        if is_unknown {
            text = text.replace("NaN%", "unknown").replace("NaN", "unknown");
        }
        pairs.push((name.as_str().into(), text.into()));
    }
    let texts = Annotations::new(pairs).sharing(&pass.last_texts.borrow());
    pass.last_texts.replace(texts.clone());
    texts
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
