//! The families of the signals. They are most of the page, so they are written without an
//! allocation per series.

use std::collections::HashSet;
use std::ops::Range;

use super::catalogue;
use super::encode::{Writer, label};
use super::family::Description;
use super::snapshot::{STATES, Signal, Snapshot};
use crate::metric::Labels;

/// Labels that Sidewatch's own metrics use. A label of the series with such a name gets the prefix
/// `exported_`, as in Prometheus.
const RESERVED: [&str; 5] = ["quantile", "le", "state", "rule", "metric"];
/// Labels of the target. They are left out when there is only one: Prometheus adds its own.
const IDENTITY: [&str; 4] = ["job", "instance", "namespace", "pod"];

/// The value that a family shows of a signal; `None` while it is unknown.
type Read = fn(&Signal) -> Option<f64>;

/// The families with one value for each signal.
const FAMILIES: [(&Description, Read); 5] = [
    (&catalogue::METRIC_VALUE, |signal| signal.value),
    (&catalogue::ANOMALY, anomaly),
    (&catalogue::ANOMALY_SCORE, |signal| signal.score),
    (&catalogue::EXPECTED_LOWER, |signal| signal.expected.lower),
    (&catalogue::EXPECTED_UPPER, |signal| signal.expected.upper),
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
    let family = &catalogue::SIGNAL_STATE_NOW;
    let mut begun = false;
    for (signal, place) in &blocks.signals {
        let Some(now) = signal.state else { continue };
        if !begun {
            out.head(family);
            begun = true;
        }
        for (state, written) in STATES.into_iter().zip(STATE_LABELS) {
            let value = if state == now { 1.0 } else { 0.0 };
            out.sample(family.name, blocks.at(place), written, value);
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

/// The labels of each signal as text, written once for all its series.
struct LabelBlocks<'a> {
    text: String,
    signals: Vec<(&'a Signal, Range<usize>)>,
}

impl<'a> LabelBlocks<'a> {
    fn of(snapshot: &'a Snapshot) -> Self {
        let mut text = String::with_capacity(snapshot.signals.len() * 96);
        let mut signals = Vec::with_capacity(snapshot.signals.len());
        for signal in &snapshot.signals {
            let start = text.len();
            block(snapshot, signal, &mut text);
            signals.push((signal, start..text.len()));
        }
        let mut blocks = Self { text, signals };
        // Two watches of one name and series would write one series twice.
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
