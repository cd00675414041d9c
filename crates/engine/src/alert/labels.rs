//! The labels of an alert.

use std::sync::Arc;

use crate::metric::{Labels, exported_name};

use super::AlertRule;
use super::rule::Pair;
use super::template::{Context, Scope};

impl AlertRule {
    /// Identity of the alert of a series: the identity of the process, the series' labels without
    /// its name, the rule's labels and `alertname`. The later wins, but a series cannot choose the
    /// model or an external label: its own becomes `exported_…`.
    pub(super) fn alert_labels(&self, scope: &Scope<'_>) -> Labels {
        let identity = scope.context.identity.iter();
        let mut pairs: Vec<Pair> = identity
            .map(|(name, value)| (name.into(), value.into()))
            .collect();
        pairs.extend(series_labels(scope.labels, scope.context));
        for (name, template) in &self.labels {
            pairs.push((name.as_str().into(), template.expand(scope).into()));
        }
        pairs.push(("alertname".into(), Arc::clone(&self.name)));
        Labels::new(pairs)
    }
}

/// The labels of the model. The other labels of the identity are guarded when a series is scraped.
const MODEL: [&str; 2] = ["model_id", "model_version"];

/// The labels of a series without its name, where those that contradict the model or an external
/// label have the prefix `exported_`, repeated until the name is free.
fn series_labels(series: &Labels, context: &Context) -> Vec<Pair> {
    let ours = |name: &str| {
        let model = MODEL.contains(&name).then(|| context.identity.get(name));
        model
            .flatten()
            .or_else(|| context.external_labels.get(name))
    };
    let pairs = series.iter().filter(|(name, _)| *name != Labels::NAME);
    let (mut conflicting, kept): (Vec<_>, Vec<_>) =
        pairs.partition(|(name, value)| ours(name).is_some_and(|own| own != *value));
    let mut all: Vec<Pair> = kept
        .into_iter()
        .map(|(name, value)| (name.into(), value.into()))
        .collect();
    conflicting.sort_by_key(|(name, _)| name.len());
    for (name, value) in conflicting {
        let free = exported_name(name, |free| {
            ours(free).is_some() || all.iter().any(|(taken, _)| **taken == *free)
        });
        all.push((free.into(), value.into()));
    }
    all
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::template::{Context, Scope};
    use super::super::{AlertRule, Template};
    use crate::metric::{Labels, Timestamp};

    fn context() -> Context {
        Context {
            identity: Labels::new([("model_id", "fraud"), ("model_version", "7")]),
            external_labels: Labels::new([("cluster", "eu"), ("exported_model_id", "ours")]),
            ..Context::default()
        }
    }

    fn labels(series: &Labels) -> Labels {
        let rule = AlertRule {
            name: "Low".into(),
            labels: vec![("severity".into(), Template::parse("page").unwrap())],
            ..AlertRule::default()
        };
        rule.alert_labels(&Scope {
            labels: series,
            value: 1.0,
            at: Timestamp::default(),
            context: &context(),
            query: None,
        })
    }

    #[test]
    fn a_series_cannot_speak_for_another_model_or_cluster() {
        let series = Labels::new([
            ("__name__", "accuracy"),
            ("alertname", "Other"),
            ("cluster", "us"),
            ("exported_model_version", "x"),
            ("model_id", "credit"),
            ("model_name", "m"),
            ("model_version", "8"),
            ("pod", "fraud-0"),
            ("severity", "none"),
        ]);
        assert_eq!(
            labels(&series).to_string(),
            r#"{alertname="Low", exported_cluster="us", exported_exported_model_id="credit", exported_exported_model_version="8", exported_model_version="x", model_id="fraud", model_name="m", model_version="7", pod="fraud-0", severity="page"}"#
        );
    }

    proptest! {
        #[test]
        fn whatever_labels_a_series_has_the_configuration_decides_and_none_is_lost(
            series in random_series(),
        ) {
            let alert = labels(&series);
            let ours = [("model_id", "fraud"), ("model_version", "7"), ("alertname", "Low"), ("severity", "page")];
            for (name, value) in ours {
                prop_assert_eq!(alert.get(name), Some(value));
            }
            for (name, value) in [("cluster", "eu"), ("exported_model_id", "ours")] {
                prop_assert!(alert.get(name).is_none_or(|own| own == value));
            }
            let rest = series.retain(|name| !["severity", "alertname"].contains(&name));
            for (name, value) in rest.iter() {
                let mut found = alert.iter();
                prop_assert!(found.any(|(shown, shown_value)| shown.ends_with(name) && shown_value == value));
            }
            let added = ours.iter().filter(|(name, value)| rest.get(name) != Some(value)).count();
            prop_assert_eq!(alert.len(), rest.len() + added);
        }
    }

    fn random_series() -> impl Strategy<Value = Labels> {
        const NAMES: &[&str] = &[
            "model_id",
            "exported_model_id",
            "exported_exported_model_id",
            "model_version",
            "exported_model_version",
            "cluster",
            "exported_cluster",
            "severity",
            "alertname",
            "user",
        ];
        let pair = (
            proptest::sample::select(NAMES),
            proptest::sample::select(&["fraud", "7", "credit", "eu", "ours", "page"][..]),
        );
        proptest::collection::btree_map(
            pair.clone().prop_map(|pair| pair.0),
            pair.prop_map(|pair| pair.1),
            0..6,
        )
        .prop_map(Labels::new)
    }
}
