//! The families of the signals. They are most of the page, so the labels of each signal are written
//! once for all its series.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use super::catalogue;
use super::definition::Definition;
use super::encode::{Writer, label};
use super::families::flag;
use super::family::Description;
use super::page::anchor;
use super::rule_labels::{free_name, is_free, of_signals};
use super::snapshot::{Release, STATES, Signal, Snapshot};
use crate::metric::Labels;

/// Labels of the target. They are left out where they say what is true of the only target:
/// Prometheus adds its own.
const IDENTITY: [&str; 4] = ["job", "instance", "namespace", "pod"];

/// The value that a family shows of a signal; `None` while it is unknown.
type Read = fn(&Signal) -> Option<f64>;

/// Called with the name and the value of a label.
type FoundLabel<'a> = dyn FnMut(&str, &str) + 'a;

/// The families with one value for each signal.
const FAMILIES: [(&Description, Read); 9] = [
    (&catalogue::METRIC_VALUE, Signal::current),
    (&catalogue::ANOMALY, anomaly),
    (&catalogue::ANOMALY_SCORE, |signal| signal.score),
    (&catalogue::EXPECTED_LOWER, |signal| signal.expected.lower),
    (&catalogue::EXPECTED_UPPER, |signal| signal.expected.upper),
    (&catalogue::INCIDENT_OPEN, |signal| {
        signal.state?;
        Some(flag(signal.incident.is_some()))
    }),
    (&catalogue::INCIDENT_STARTED, |signal| {
        Some(signal.incident?.since.as_secs_f64())
    }),
    (&catalogue::RATIO_NUMERATOR, |signal| {
        signal.counts.map(|counts| counts.numerator)
    }),
    (&catalogue::RATIO_DENOMINATOR, |signal| {
        signal.counts.map(|counts| counts.denominator)
    }),
];

fn anomaly(signal: &Signal) -> Option<f64> {
    let anomalous = match signal.state? {
        "ok" => false,
        "anomalous" => true,
        _ => return None,
    };
    Some(flag(anomalous))
}

/// Writes every family of the signals that has a value.
pub(super) fn write(snapshot: &Snapshot, out: &mut Writer) {
    let blocks = LabelBlocks::of(snapshot);
    out.reserve(blocks.text.len() * 11 + blocks.signals.len() * 500);
    for (family, read) in FAMILIES {
        let known = blocks
            .signals
            .iter()
            .filter_map(|(signal, place)| Some((read(signal)?, place)));
        let mut begun = false;
        for (value, place) in known {
            if !begun {
                out.head(family);
                begun = true;
            }
            out.sample(family.name, blocks.at(place), "", value);
        }
    }
    let states: Vec<_> = STATES.into_iter().zip(STATE_LABELS).collect();
    one_of(
        &blocks,
        out,
        &catalogue::SIGNAL_STATE_NOW,
        &states,
        |signal| signal.state,
    );
    let results: Vec<_> = Release::RESULTS.into_iter().zip(RESULT_LABELS).collect();
    one_of(&blocks, out, &catalogue::RELEASE, &results, |signal| {
        signal.release.as_ref().map(|release| release.result)
    });
}

/// Writes a family with one series for each of these words, of which one is 1.
fn one_of(
    blocks: &LabelBlocks<'_>,
    out: &mut Writer,
    family: &Description,
    words: &[(&'static str, &'static str)],
    read: fn(&Signal) -> Option<&'static str>,
) {
    let mut begun = false;
    for (signal, place) in &blocks.signals {
        let Some(now) = read(signal) else { continue };
        if !begun {
            out.head(family);
            begun = true;
        }
        for (word, written) in words {
            out.sample(family.name, blocks.at(place), written, flag(*word == now));
        }
    }
}

/// [`Release::RESULTS`] as labels, in the same order.
const RESULT_LABELS: [&str; Release::RESULTS.len()] =
    ["state=\"trial\"", "state=\"worse\"", "state=\"as_good\""];

/// [`STATES`] as labels, in the same order.
const STATE_LABELS: [&str; STATES.len()] = [
    "state=\"warming_up\"",
    "state=\"ok\"",
    "state=\"anomalous\"",
    "state=\"insufficient_data\"",
    "state=\"stale\"",
    "state=\"idle\"",
];

/// The labels of each signal as text, written once for all its series.
struct LabelBlocks<'a> {
    text: String,
    signals: Vec<(&'a Signal, Range<usize>)>,
}

impl<'a> LabelBlocks<'a> {
    fn of(snapshot: &'a Snapshot) -> Self {
        let mut blocks = Self {
            text: String::with_capacity(snapshot.signals.len() * 128),
            signals: Vec::with_capacity(snapshot.signals.len()),
        };
        let mut ours: Option<Ours<'_>> = None;
        for signal in &snapshot.signals {
            let ours = match &mut ours {
                Some(ours) if Arc::ptr_eq(ours.rule, &signal.rule) => ours,
                other => other.insert(Ours::new(snapshot, &signal.rule)),
            };
            let start = blocks.text.len();
            ours.block(snapshot, signal, &mut blocks.text);
            let place = start..blocks.text.len();
            blocks.signals.push((signal, place));
        }
        blocks.tell_apart();
        blocks
    }

    /// Gives signals with equal labels their ids, or their series would be one. Signals are equal
    /// here when they differ only in what is left out: the name of the series, labels of the
    /// target, or characters that the formats cannot write.
    fn tell_apart(&mut self) {
        let mut first: HashMap<&str, usize> = HashMap::with_capacity(self.signals.len());
        let mut equal = vec![false; self.signals.len()];
        for (index, (_, place)) in self.signals.iter().enumerate() {
            let block = self.text.get(place.clone()).unwrap_or("");
            let other = *first.entry(block).or_insert(index);
            if other != index {
                equal[other] = true;
                equal[index] = true;
            }
        }
        for ((signal, place), _) in self
            .signals
            .iter_mut()
            .zip(equal)
            .filter(|(_, equal)| *equal)
        {
            let start = self.text.len();
            self.text.extend_from_within(place.clone());
            label("signal", &anchor(signal), start, &mut self.text);
            *place = start..self.text.len();
        }
    }

    fn at(&self, place: &Range<usize>) -> &str {
        self.text.get(place.clone()).unwrap_or("")
    }
}

/// What every signal of a rule has in common.
struct Ours<'a> {
    rule: &'a Arc<Definition>,
    text: String,
    names: Vec<String>,
}

impl<'a> Ours<'a> {
    fn new(snapshot: &'a Snapshot, rule: &'a Arc<Definition>) -> Self {
        let mut text = String::new();
        let mut names = Vec::new();
        for (name, value) in of_signals(&snapshot.model, rule) {
            label(&name, &value, 0, &mut text);
            names.push(name.into_owned());
        }
        Self { rule, text, names }
    }

    fn has(&self, name: &str) -> bool {
        self.names.iter().any(|known| known == name)
    }

    fn block(&self, snapshot: &Snapshot, signal: &Signal, out: &mut String) {
        let start = out.len();
        out.push_str(&self.text);
        self.each_other(snapshot, signal, &mut |name, value| {
            label(name, value, start, out);
        });
    }

    /// Calls `found` with the labels of a signal that are not those of every signal of the rule.
    fn each_other(&self, snapshot: &Snapshot, signal: &Signal, found: &mut FoundLabel<'_>) {
        let shown = || {
            let own = signal.labels.iter();
            own.filter(|label| !is_left_out(snapshot, *label))
        };
        let is_free = |name: &str| is_free(name, |name| self.has(name));
        let mut others = Vec::new();
        for (name, value) in shown() {
            if is_free(name) {
                found(name, value);
            } else {
                others.push((name, value));
            }
        }
        let mut taken: Vec<String> = Vec::new();
        for (name, value) in others {
            let is_taken = |name: &str| {
                self.has(name)
                    || taken.iter().any(|known| known == name)
                    || (is_free(name) && shown().any(|(known, _)| known == name))
            };
            let name = free_name(name, is_taken).into_owned();
            found(&name, value);
            taken.push(name);
        }
    }
}

/// The labels of each signal's series, in the order of the signals. They are those of `/metrics`;
/// signals that would be one series get their ids.
pub(super) fn labels_of_signals(snapshot: &Snapshot) -> Vec<Labels> {
    let mut all: Vec<Labels> = Vec::with_capacity(snapshot.signals.len());
    let mut ours: Option<Ours<'_>> = None;
    for signal in &snapshot.signals {
        let ours = match &mut ours {
            Some(ours) if Arc::ptr_eq(ours.rule, &signal.rule) => ours,
            other => other.insert(Ours::new(snapshot, &signal.rule)),
        };
        let of_rule = of_signals(&snapshot.model, ours.rule).into_iter();
        let mut pairs: Vec<(String, String)> = of_rule
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .collect();
        ours.each_other(snapshot, signal, &mut |name, value| {
            pairs.push((name.to_owned(), value.to_owned()));
        });
        all.push(Labels::new(pairs));
    }
    let mut seen: HashMap<Labels, usize> = HashMap::new();
    for labels in &all {
        *seen.entry(labels.clone()).or_default() += 1;
    }
    let signals = snapshot.signals.iter();
    all.into_iter()
        .zip(signals)
        .map(|(labels, signal)| {
            if seen.get(&labels).is_some_and(|count| *count > 1) {
                labels.with("signal", &anchor(signal))
            } else {
                labels
            }
        })
        .collect()
}

/// Whether a label says nothing that is not known: the name of the series, a label of the model, or
/// one of the only target.
fn is_left_out(snapshot: &Snapshot, (name, value): (&str, &str)) -> bool {
    let target = match (snapshot.targets.as_slice(), &snapshot.discovery) {
        ([target], None) if IDENTITY.contains(&name) => target.labels.get(name),
        _ => None,
    };
    name == Labels::NAME || target == Some(value) || snapshot.model.get(name) == Some(value)
}

#[cfg(test)]
mod tests {
    use super::super::encode::{Exposition, Writer};
    use super::{RESULT_LABELS, STATE_LABELS, anchor, write};
    use crate::metric::Labels;
    use crate::publish::{Definition, Release, RuleKind, STATES, Signal, Snapshot, Target};

    fn page(snapshot: &Snapshot) -> Vec<String> {
        let mut out = Writer::new(Exposition::Text);
        write(snapshot, &mut out);
        let page = out.finish();
        let lines = page.lines().filter(|line| !line.starts_with('#'));
        lines.map(str::to_owned).collect()
    }

    fn signal(labels: Labels) -> Signal {
        let labels_of_rule = vec![("severity".to_owned(), "page".to_owned())];
        Signal {
            rule: Definition::new("g", "R", RuleKind::Watch, labels_of_rule).into(),
            labels,
            value: Some(2.0),
            ..Signal::default()
        }
    }

    #[test]
    fn a_series_own_labels_never_hide_ours_and_never_clash_with_them() {
        let labels = Labels::new([
            ("model_id", "theirs"),
            ("model_version", "7"),
            ("quantile", "0.5"),
            ("rule", "x"),
            ("severity", "own"),
            ("pod", "p"),
            ("a", "b"),
        ]);
        let snapshot = Snapshot {
            model: Labels::new([("model_id", "m"), ("model_version", "7")]),
            targets: vec![Target {
                labels: Labels::new([("pod", "p")]),
                ..Target::default()
            }],
            signals: vec![signal(labels)],
            ..Snapshot::default()
        };
        assert_eq!(
            page(&snapshot),
            [
                r#"sidewatch_metric_value{model_id="m",model_version="7",group="g",rule="R",severity="page",a="b",exported_model_id="theirs",exported_quantile="0.5",exported_rule="x",exported_severity="own"} 2"#
            ]
        );
    }

    #[test]
    fn with_several_targets_the_identity_of_each_stays() {
        let snapshot = Snapshot {
            targets: vec![Target::default(), Target::default()],
            signals: vec![signal(Labels::new([("pod", "p")]))],
            ..Snapshot::default()
        };
        assert_eq!(
            page(&snapshot),
            [r#"sidewatch_metric_value{group="g",rule="R",severity="page",pod="p"} 2"#]
        );
    }

    #[test]
    fn signals_that_would_be_one_series_get_their_ids() {
        let snapshot = Snapshot {
            targets: vec![Target {
                labels: Labels::new([("pod", "p")]),
                ..Target::default()
            }],
            signals: vec![
                signal(Labels::new([("pod", "p")])),
                signal(Labels::empty()),
                signal(Labels::new([("pod", "q")])),
            ],
            ..Snapshot::default()
        };
        let ids: Vec<String> = snapshot.signals.iter().map(anchor).collect();
        let ours = r#"sidewatch_metric_value{group="g",rule="R",severity="page""#;
        assert_eq!(
            page(&snapshot),
            [
                format!(r#"{ours},signal="{}"}} 2"#, ids[0]),
                format!(r#"{ours},signal="{}"}} 2"#, ids[1]),
                format!(r#"{ours},pod="q"}} 2"#),
            ]
        );
    }

    #[test]
    fn every_state_has_its_label() {
        for (state, label) in STATES.into_iter().zip(STATE_LABELS) {
            assert_eq!(label, format!("state=\"{state}\""));
        }
        for (result, label) in Release::RESULTS.into_iter().zip(RESULT_LABELS) {
            assert_eq!(label, format!("state=\"{result}\""));
        }
    }
}
