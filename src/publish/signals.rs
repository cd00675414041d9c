//! The families of the signals: most of the page, written without allocating for each series.

use std::collections::HashSet;
use std::ops::Range;

use super::encode::{Writer, label};
use super::families::Kind;
use super::snapshot::{STATES, Signal, Snapshot};
use crate::metric::Labels;

/// Labels that mean something on our own metrics; a series' own of the same name is renamed, as Prometheus does.
const RESERVED: [&str; 5] = ["quantile", "le", "state", "rule", "metric"];
/// Labels that Prometheus adds itself when there is one target.
const IDENTITY: [&str; 4] = ["job", "instance", "namespace", "pod"];

/// What one family shows of a signal; `None` while it is unknown.
type Read = fn(&Signal) -> Option<f64>;

/// The families with one value a signal: name, help, value.
const FAMILIES: [(&str, &str, Read); 5] = [
    (
        "sidewatch_metric_value",
        "Value of a model metric, or of what a watch judges.",
        |signal| signal.value,
    ),
    (
        "sidewatch_anomaly",
        "Whether the strategy finds the value anomalous.",
        anomaly,
    ),
    (
        "sidewatch_anomaly_score",
        "Distance from normal; 1 is exactly at the limit.",
        |signal| signal.score,
    ),
    (
        "sidewatch_expected_lower",
        "Lowest value that is normal now.",
        |signal| signal.expected.lower,
    ),
    (
        "sidewatch_expected_upper",
        "Highest value that is normal now.",
        |signal| signal.expected.upper,
    ),
];

fn anomaly(signal: &Signal) -> Option<f64> {
    let anomalous = match signal.state? {
        "ok" => false,
        "anomalous" => true,
        _ => return None,
    };
    Some(f64::from(u8::from(anomalous)))
}

/// Writes every family of the signals that has a value.
pub(super) fn write(snapshot: &Snapshot, out: &mut Writer) {
    let blocks = Blocks::of(snapshot);
    out.reserve(blocks.text.len() * 11 + blocks.signals.len() * 500);
    for (name, help, read) in FAMILIES {
        let known = blocks
            .signals
            .iter()
            .filter_map(|(signal, place)| Some((read(signal)?, place)));
        let mut begun = false;
        for (value, place) in known {
            if !begun {
                out.head(Kind::Gauge, name, help);
                begun = true;
            }
            out.sample(name, blocks.at(place), "", value);
        }
    }
    let name = "sidewatch_signal_state";
    let mut begun = false;
    for (signal, place) in &blocks.signals {
        let Some(now) = signal.state else { continue };
        if !begun {
            out.head(Kind::Gauge, name, "Which state a watched series is in.");
            begun = true;
        }
        for (state, written) in STATES.into_iter().zip(STATE_LABELS) {
            let value = if state == now { 1.0 } else { 0.0 };
            out.sample(name, blocks.at(place), written, value);
        }
    }
}

/// [`STATES`] as labels, in the same order.
const STATE_LABELS: [&str; STATES.len()] = [
    "state=\"warming_up\"",
    "state=\"ok\"",
    "state=\"anomalous\"",
    "state=\"insufficient_data\"",
    "state=\"stale\"",
    "state=\"idle\"",
];

/// The labels of each signal, written once for all its series.
struct Blocks<'a> {
    text: String,
    signals: Vec<(&'a Signal, Range<usize>)>,
}

impl<'a> Blocks<'a> {
    fn of(snapshot: &'a Snapshot) -> Self {
        let mut text = String::with_capacity(snapshot.signals.len() * 96);
        let mut signals = Vec::with_capacity(snapshot.signals.len());
        for signal in &snapshot.signals {
            let start = text.len();
            block(snapshot, signal, &mut text);
            signals.push((signal, start..text.len()));
        }
        let mut blocks = Self { text, signals };
        // Two watches of one name and series would be one series twice.
        let mut seen = HashSet::with_capacity(blocks.signals.len());
        let text = &blocks.text;
        blocks
            .signals
            .retain(|(_, place)| seen.insert(text.get(place.clone()).unwrap_or("")));
        blocks
    }

    fn at(&self, place: &Range<usize>) -> &str {
        self.text.get(place.clone()).unwrap_or("")
    }
}

fn block(snapshot: &Snapshot, signal: &Signal, out: &mut String) {
    let start = out.len();
    let single = snapshot.targets.len() == 1 && snapshot.discovery.is_none();
    let ours = [("rule", &signal.rule), ("metric", &signal.metric)];
    for (name, value) in snapshot.model.iter() {
        label(("", name), value, start, out);
    }
    for (name, value) in ours {
        if let Some(value) = value {
            label(("", name), value, start, out);
        }
    }
    for (name, value) in signal.labels.iter() {
        if name == Labels::NAME || (single && IDENTITY.contains(&name)) {
            continue;
        }
        let prefix = match snapshot.model.get(name) {
            Some(same) if same == value => continue,
            Some(_) => "exported_",
            None if RESERVED.contains(&name) => "exported_",
            None => "",
        };
        label((prefix, name), value, start, out);
    }
}

#[cfg(test)]
mod tests {
    use super::super::encode::{Exposition, Writer};
    use super::{STATE_LABELS, write};
    use crate::metric::Labels;
    use crate::publish::{STATES, Signal, Snapshot, Target};

    fn page(snapshot: &Snapshot) -> Vec<String> {
        let mut out = Writer::new(Exposition::Text);
        write(snapshot, &mut out);
        let page = out.finish();
        let lines = page.lines().filter(|line| !line.starts_with('#'));
        lines.map(str::to_owned).collect()
    }

    fn signal(labels: Labels) -> Signal {
        Signal {
            rule: Some("R".into()),
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
            ("pod", "p"),
            ("a", "b"),
        ]);
        let snapshot = Snapshot {
            model: Labels::new([("model_id", "m"), ("model_version", "7")]),
            targets: vec![Target::default()],
            signals: vec![signal(labels.clone()), signal(labels)],
            ..Snapshot::default()
        };
        assert_eq!(
            page(&snapshot),
            [
                r#"sidewatch_metric_value{model_id="m",model_version="7",rule="R",a="b",exported_model_id="theirs",exported_quantile="0.5",exported_rule="x"} 2"#
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
            [r#"sidewatch_metric_value{rule="R",pod="p"} 2"#]
        );
    }

    #[test]
    fn every_state_has_its_label() {
        for (state, label) in STATES.into_iter().zip(STATE_LABELS) {
            assert_eq!(label, format!("state=\"{state}\""));
        }
    }
}
