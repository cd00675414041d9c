//! Events counted since the start, by rule, in a registry of the `prometheus` crate.

use std::collections::{BTreeMap, BTreeSet};

use parking_lot::Mutex;
use prometheus::proto::MetricFamily;
use prometheus::{IntCounterVec, Opts, Registry};

use super::families::{Family, Kind, Sample};
use super::server::Http;
use super::snapshot::{RuleKind, Snapshot};
use crate::metric::Labels;

/// Alerts (none for a record), evaluations and failed ones.
type Totals = (Option<u64>, u64, u64);

/// Name and help of each counter.
const ALERTS: (&str, &str) = ("sidewatch_alerts_total", "Alerts that began to fire.");
const EVALUATIONS: (&str, &str) = ("sidewatch_rule_evaluations_total", "Evaluations of a rule.");
const FAILURES: (&str, &str) = (
    "sidewatch_rule_evaluation_failures_total",
    "Evaluations of a rule that failed.",
);

/// One counter a rule, born at 0 and gone with the rule.
#[derive(Debug)]
pub(super) struct Counters {
    registry: Registry,
    alerts: IntCounterVec,
    evaluations: IntCounterVec,
    failures: IntCounterVec,
    rules: Mutex<BTreeSet<String>>,
    http: Http,
}

impl Counters {
    /// Counters that carry the labels of the model.
    pub(super) fn new(model: &Labels) -> Self {
        let registry = Registry::new();
        let counter = |(name, help): (&str, &str)| {
            let labels = model
                .iter()
                .map(|(name, value)| (name.to_owned(), value.to_owned()));
            let opts = Opts::new(name, help).const_labels(labels.collect());
            let counter =
                IntCounterVec::new(opts, &["rule"]).expect("names and labels are fixed and valid");
            let registered = registry.register(Box::new(counter.clone()));
            debug_assert!(registered.is_ok(), "every name is registered once");
            counter
        };
        Self {
            alerts: counter(ALERTS),
            evaluations: counter(EVALUATIONS),
            failures: counter(FAILURES),
            rules: Mutex::default(),
            http: Http::new(model),
            registry,
        }
    }

    /// What the server counts.
    pub(super) fn http(&self) -> &Http {
        &self.http
    }

    /// Brings every counter up to what the snapshot says, and removes those of rules that are gone.
    pub(super) fn follow(&self, snapshot: &Snapshot) {
        let mut known = self.rules.lock();
        // Two rules of one name share a counter.
        let mut totals: BTreeMap<&str, Totals> = BTreeMap::new();
        for rule in snapshot.groups.iter().flat_map(|group| &group.rules) {
            let total = totals.entry(&rule.definition.name).or_default();
            if rule.definition.kind != RuleKind::Record {
                *total.0.get_or_insert(0) += rule.fired;
            }
            total.1 += rule.evaluations;
            total.2 += rule.failures;
        }
        for (name, (fired, evaluations, failures)) in &totals {
            if let Some(fired) = fired {
                raise(&self.alerts, name, *fired);
            }
            raise(&self.evaluations, name, *evaluations);
            raise(&self.failures, name, *failures);
        }
        for gone in known
            .iter()
            .filter(|name| !totals.contains_key(name.as_str()))
        {
            for counter in [&self.alerts, &self.evaluations, &self.failures] {
                // A record never had a counter of alerts.
                drop(counter.remove_label_values(&[gone]));
            }
        }
        *known = totals.keys().map(|name| (*name).to_owned()).collect();
    }

    /// The counters as families.
    pub(super) fn families(&self) -> Vec<Family> {
        let gathered = self.registry.gather();
        let families = [ALERTS, EVALUATIONS, FAILURES]
            .into_iter()
            .filter_map(|(name, help)| {
                registered(&gathered, Kind::Counter, (name, help))
                    .filter(|family| !family.samples.is_empty())
            });
        families.chain(self.http.families()).collect()
    }
}

/// A family of the `prometheus` crate as one of ours.
pub(super) fn registered(
    gathered: &[MetricFamily],
    kind: Kind,
    (name, help): (&'static str, &'static str),
) -> Option<Family> {
    let found = gathered.iter().find(|family| family.name() == name)?;
    let samples = found.get_metric().iter().map(|metric| Sample {
        labels: metric
            .get_label()
            .iter()
            .map(|pair| (pair.name().to_owned(), pair.value().to_owned()))
            .collect(),
        value: match kind {
            Kind::Counter => metric.get_counter().get_value(),
            Kind::Gauge => metric.get_gauge().get_value(),
        },
    });
    let mut family = Family::new(kind, name, help);
    family.samples = samples.collect();
    Some(family)
}

/// A counter never goes back, whatever it is told.
fn raise(counter: &IntCounterVec, rule: &str, total: u64) {
    let counter = counter.with_label_values(&[rule]);
    counter.inc_by(total.saturating_sub(counter.get()));
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::snapshot::{Definition, Group, Rule, RuleKind, Snapshot};
    use super::Counters;
    use crate::metric::Labels;

    fn snapshot(rules: &[(&str, u64, u64)]) -> Snapshot {
        let rules = rules.iter().map(|(name, fired, evaluations)| Rule {
            definition: Arc::new(Definition {
                name: (*name).to_owned(),
                kind: RuleKind::Watch,
                ..Definition::default()
            }),
            fired: *fired,
            evaluations: *evaluations,
            ..Rule::default()
        });
        let group = Group {
            rules: rules.collect(),
            ..Group::default()
        };
        Snapshot {
            groups: vec![group],
            ..Snapshot::default()
        }
    }

    fn page(counters: &Counters) -> Vec<String> {
        let families = counters.families().into_iter();
        families
            .flat_map(|family| {
                family.samples.into_iter().map(move |sample| {
                    format!("{} {} {}", family.name, sample.labels, sample.value)
                })
            })
            .filter(|line| line.contains("alerts_total"))
            .collect()
    }

    #[test]
    fn a_counter_is_born_at_zero_never_goes_back_and_leaves_with_its_rule() {
        let counters = Counters::new(&Labels::new([("model_id", "m")]));
        counters.follow(&snapshot(&[("A", 0, 1)]));
        assert_eq!(
            page(&counters),
            [r#"sidewatch_alerts_total {model_id="m", rule="A"} 0"#]
        );
        counters.follow(&snapshot(&[("A", 2, 2)]));
        counters.follow(&snapshot(&[("A", 0, 3)]));
        assert_eq!(
            page(&counters),
            [r#"sidewatch_alerts_total {model_id="m", rule="A"} 2"#]
        );
        counters.follow(&snapshot(&[("B", 1, 1)]));
        assert_eq!(
            page(&counters),
            [r#"sidewatch_alerts_total {model_id="m", rule="B"} 1"#]
        );
    }
}
