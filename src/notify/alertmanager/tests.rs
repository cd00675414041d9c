//! What Alertmanager believes after relabelling, ends and reloads.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use proptest::prelude::*;
use serde_json::Value;

use super::super::relabel::{Action, Relabel, Spec};
use super::ledger::Ledger;
use super::{Alertmanagers, PeerSettings, Settings};
use crate::alert::{Alert, AlertState, Annotations};
use crate::metric::{Labels, Timestamp};
use crate::runtime::http::{self, Client};

const START: Timestamp = Timestamp::from_millis(1_700_000_000_000);
const MINUTE: Duration = Duration::from_secs(60);
const LEASE: Duration = Duration::from_secs(240);

fn firing(labels: &Labels, at: Timestamp) -> Alert {
    Alert {
        rule: "Bad".into(),
        labels: labels.clone(),
        series: Labels::empty(),
        annotations: Annotations::new([("summary", "it is bad")]),
        state: AlertState::Firing,
        value: 1.0,
        active_at: START,
        fired_at: Some(START),
        resolved_at: None,
        keep_firing_since: None,
        no_data_since: None,
        ends_at: Some(at + LEASE),
        generator_url: "http://side:9755/".into(),
        explanation: None,
    }
}

fn resolved(labels: &Labels, at: Timestamp) -> Alert {
    Alert {
        state: AlertState::Resolved,
        resolved_at: Some(at),
        ends_at: None,
        ..firing(labels, at)
    }
}

fn drop_label(name: &str) -> Relabel {
    let spec = Spec {
        regex: name.to_owned(),
        action: Action::LabelDrop,
        ..Spec::default()
    };
    Relabel::try_new(spec).unwrap()
}

fn drop_alerts(source: &str, regex: &str) -> Relabel {
    let spec = Spec {
        source_labels: vec![source.to_owned()],
        regex: regex.to_owned(),
        action: Action::Drop,
        ..Spec::default()
    };
    Relabel::try_new(spec).unwrap()
}

fn peer(url: &str, relabel: Vec<Relabel>) -> PeerSettings {
    PeerSettings {
        url: url.to_owned(),
        timeout: MINUTE,
        relabel,
        client: Arc::new(Client::new(http::Settings::default())),
        discovery: None,
    }
}

/// What one Alertmanager believes: when each alert ends, by its labels.
#[derive(Debug, Default)]
struct Belief(BTreeMap<String, String>);

impl Belief {
    /// Takes what is queued for the peer, as the real Alertmanager does: of two leases the longer
    /// one counts, and an end counts at once.
    fn receive(&mut self, handle: &Alertmanagers, peer: usize, now: Timestamp) {
        let now = now.to_string();
        for item in handle.peers()[peer].queue().take(usize::MAX) {
            let alert: Value = serde_json::from_slice(&item.json).unwrap();
            let ends_at = alert["endsAt"].as_str().unwrap().to_owned();
            let known = self.0.entry(item.labels.to_string()).or_default();
            if ends_at <= now || ends_at > *known {
                *known = ends_at;
            }
        }
    }

    fn firing(&self, now: Timestamp) -> BTreeSet<String> {
        let now = now.to_string();
        let firing = self.0.iter().filter(|(_, ends_at)| **ends_at > now);
        firing.map(|(labels, _)| labels.clone()).collect()
    }
}

fn pod(name: &str) -> Labels {
    Labels::new([("alertname", "Bad"), ("pod", name)])
}

/// Two alerts that differ in a label which relabelling drops.
fn merging() -> Settings {
    Settings {
        relabel: vec![drop_label("pod")],
        ..Settings::new(vec![peer("http://am", Vec::new())])
    }
}

const MERGED: &str = r#"{alertname="Bad"}"#;

#[test]
fn an_end_is_held_back_while_another_alert_with_the_same_labels_fires() {
    let (handle, _runner) = Alertmanagers::new(merging());
    let mut belief = Belief::default();
    let (a, b) = (pod("a"), pod("b"));
    let mut step = |minute: u32, alerts: &[Alert]| {
        let now = START + MINUTE * minute;
        handle.send_at(alerts, now);
        belief.receive(&handle, 0, now);
        belief.firing(now).contains(MERGED)
    };
    let at = |minute: u32| START + MINUTE * minute;
    assert!(step(0, &[firing(&a, at(0)), firing(&b, at(0))]));
    assert!(step(1, &[resolved(&b, at(1))]));
    assert!(step(2, &[firing(&a, at(2)), resolved(&b, at(1))]));
    assert!(!step(3, &[resolved(&b, at(1)), resolved(&a, at(3))]));
    assert!(step(4, &[firing(&b, at(4)), resolved(&a, at(3))]));
    assert!(step(5, &[resolved(&a, at(3))]));
    assert!(!step(6, &[resolved(&b, at(6))]));
}

#[test]
fn a_firing_alert_wins_within_a_batch_in_either_order() {
    for same_origin in [false, true] {
        let (on, off) = (pod("a"), pod(if same_origin { "a" } else { "b" }));
        let mut batch = [firing(&on, START), resolved(&off, START)];
        for _ in 0..2 {
            let (handle, _runner) = Alertmanagers::new(merging());
            let mut belief = Belief::default();
            handle.send_at(&batch, START);
            belief.receive(&handle, 0, START);
            assert!(belief.firing(START).contains(MERGED), "{batch:?}");
            batch.reverse();
        }
    }
}

#[test]
fn an_expired_lease_holds_back_no_end_and_is_evicted() {
    let mut ledger = Ledger::default();
    let labels = Labels::new([("alertname", "Bad")]);
    let mut now = START;
    for n in 0..10_000 {
        now = now + Duration::from_secs(1);
        let alert = firing(&pod(&n.to_string()), now);
        assert_eq!(ledger.admit(&[(&alert, labels.clone())], now), [true]);
    }
    assert!(ledger.size() <= 500, "{}", ledger.size());
    let end = resolved(&pod("9999"), now);
    assert_eq!(ledger.admit(&[(&end, labels.clone())], now), [false]);
    let later = now + LEASE + MINUTE;
    assert_eq!(ledger.admit(&[(&end, labels)], later), [true]);
    assert_eq!(ledger.size(), 0);
}

#[test]
fn a_reload_ends_what_fires_under_labels_that_are_not_produced_any_more() {
    let external = |cluster: &str| Settings {
        external_labels: Labels::new([("cluster", cluster)]),
        ..Settings::new(vec![peer("http://am", Vec::new())])
    };
    let (handle, _runner) = Alertmanagers::new(external("eu1"));
    let mut belief = Belief::default();
    handle.send_at(&[firing(&pod("a"), START)], START);
    handle.reconfigure_at(external("eu1"), START + MINUTE);
    belief.receive(&handle, 0, START + MINUTE);
    let under = |cluster: &str| format!(r#"{{alertname="Bad", cluster="{cluster}", pod="a"}}"#);
    assert_eq!(
        belief.firing(START + MINUTE),
        BTreeSet::from([under("eu1")])
    );

    let now = START + MINUTE * 2;
    handle.reconfigure_at(external("eu2"), now);
    handle.send_at(&[firing(&pod("a"), now)], now);
    belief.receive(&handle, 0, now);
    assert_eq!(belief.firing(now), BTreeSet::from([under("eu2")]));
    assert_eq!(belief.0[&under("eu1")], now.to_string());
}

#[test]
fn an_alert_without_labels_counts_as_dropped_for_the_peer_that_removes_them() {
    let all = vec![
        peer("http://a", vec![drop_label(".*")]),
        peer("http://b", Vec::new()),
    ];
    let (handle, _runner) = Alertmanagers::new(Settings::new(all));
    handle.send_at(&[firing(&pod("a"), START)], START);
    let stats = handle.stats();
    let seen = |n: usize| (stats[n].dropped, stats[n].queue_length);
    assert_eq!((seen(0), seen(1)), ((1, 0), (0, 1)));
    let error = stats[0].last_error.as_deref().unwrap_or_default();
    assert!(error.contains("it has no labels"), "{error}");
}

// ---- a plain model of what Alertmanager should believe

const ORIGINS: usize = 6;
const PEERS: usize = 3;

fn origin(n: usize) -> Labels {
    let (pod, team) = (format!("p{}", n / 2), format!("t{}", n % 2));
    Labels::new([
        ("alertname", "Bad".to_owned()),
        ("pod", pod),
        ("team", team),
    ])
}

/// The configurations between which the test reloads. Compiling their patterns takes long.
static CONFIGURATIONS: LazyLock<[Settings; 4]> = LazyLock::new(|| [0, 1, 2, 3].map(configuration));

/// One of four configurations of labels, with peers that relabel and peers that do not.
fn configuration(n: usize) -> Settings {
    let own = vec![drop_label(if n.is_multiple_of(2) { "pod" } else { "team" })];
    let peers = vec![
        peer("http://a", Vec::new()),
        peer("http://b", vec![drop_label("pod|team")]),
        peer("http://c", own),
    ];
    let mut settings = Settings::new(peers);
    if n >= 2 {
        settings.external_labels = Labels::new([("cluster", "eu1")]);
    }
    settings.relabel = match n {
        1 => vec![drop_label("pod")],
        3 => vec![drop_alerts("team", "t1")],
        _ => Vec::new(),
    };
    settings
}

#[derive(Debug, Clone, Copy)]
enum Change {
    Fire,
    End,
    /// It is never mentioned again.
    Vanish,
}

#[derive(Debug, Clone)]
enum Step {
    Reload(usize),
    Tick {
        changes: Vec<(usize, Change)>,
        /// Whose state is repeated, and which order the batch has.
        repeat: u8,
        reversed: bool,
        /// Which peers can be reached.
        reached: [bool; PEERS],
    },
}

fn step() -> impl Strategy<Value = Step> {
    let change =
        prop_oneof![4 => Just(Change::Fire), 4 => Just(Change::End), 1 => Just(Change::Vanish)];
    let changes = prop::collection::vec((0..ORIGINS, change), 0..4);
    let reached = prop::array::uniform3(prop::bool::weighted(0.7));
    let tick = (changes, any::<u8>(), any::<bool>(), reached).prop_map(
        |(changes, repeat, reversed, reached)| Step::Tick {
            changes,
            repeat,
            reversed,
            reached,
        },
    );
    prop_oneof![6 => tick, 1 => (0..4_usize).prop_map(Step::Reload)]
}

#[derive(Debug, Clone, Copy)]
enum State {
    Never,
    Firing { sent: Option<Timestamp> },
    Ended(Timestamp),
    Vanished { until: Timestamp },
}

#[derive(Debug)]
struct Model {
    now: Timestamp,
    configuration: usize,
    states: [State; ORIGINS],
}

impl Model {
    fn change(&mut self, n: usize, change: Change) {
        self.states[n] = match (self.states[n], change) {
            (State::Firing { sent: Some(at) }, Change::Vanish) => {
                State::Vanished { until: at + LEASE }
            }
            (State::Firing { .. }, Change::End) => State::Ended(self.now),
            (state @ State::Firing { .. }, _) => state,
            (_, Change::Fire) => State::Firing { sent: None },
            (state, _) => state,
        };
    }

    /// The alerts to send: what is new, a firing alert every two minutes, and a part of the rest.
    fn batch(&mut self, repeat: u8, reversed: bool) -> Vec<Alert> {
        let mut batch = Vec::new();
        for (n, state) in self.states.iter_mut().enumerate() {
            let repeated = repeat >> n & 1 == 1;
            match state {
                State::Firing { sent }
                    if repeated || sent.is_none_or(|at| at + MINUTE < self.now) =>
                {
                    *sent = Some(self.now);
                    batch.push(firing(&origin(n), self.now));
                }
                State::Ended(at) if repeated || *at == self.now => {
                    batch.push(resolved(&origin(n), *at));
                }
                State::Never | State::Firing { .. } | State::Ended(_) | State::Vanished { .. } => {}
            }
        }
        if reversed {
            batch.reverse();
        }
        batch
    }

    /// The labels under which the alerts in these states reach a peer.
    fn labels(&self, peer: usize, is: impl Fn(&State) -> bool) -> BTreeSet<String> {
        let settings = &CONFIGURATIONS[self.configuration];
        let labels = (0..ORIGINS)
            .filter(|n| is(&self.states[*n]))
            .filter_map(|n| {
                let labels = settings.labels(&origin(n))?;
                super::super::relabel::relabel(&labels, &settings.peers[peer].relabel)
            });
        labels.map(|labels| labels.to_string()).collect()
    }

    fn check(&self, peer: usize, belief: &Belief) -> Result<(), TestCaseError> {
        let believed = belief.firing(self.now);
        let firing = self.labels(peer, |state| matches!(state, State::Firing { .. }));
        let possible = self.labels(peer, |state| match state {
            State::Firing { .. } => true,
            // An end that it held back leaves the lease of the alert that ended.
            State::Vanished { until } => *until + LEASE >= self.now,
            State::Never | State::Ended(_) => false,
        });
        prop_assert!(
            believed.is_superset(&firing),
            "{believed:?} lacks one of {firing:?}"
        );
        prop_assert!(
            believed.is_subset(&possible),
            "{believed:?} exceeds {possible:?}"
        );
        Ok(())
    }
}

/// Plays steps to the queues of the peers, and compares what each peer believes with the model.
fn play(steps: Vec<Step>) -> Result<(), TestCaseError> {
    let mut model = Model {
        now: START,
        configuration: 0,
        states: [State::Never; ORIGINS],
    };
    let (handle, _runner) = Alertmanagers::new(CONFIGURATIONS[0].clone());
    let mut beliefs: [Belief; PEERS] = Default::default();
    for step in steps {
        model.now = model.now + MINUTE;
        match step {
            Step::Reload(to) => {
                model.configuration = to;
                handle.reconfigure_at(CONFIGURATIONS[to].clone(), model.now);
                for state in &mut model.states {
                    if let State::Firing { sent } = state {
                        *sent = None;
                    }
                }
            }
            Step::Tick {
                changes,
                repeat,
                reversed,
                reached,
            } => {
                for (n, change) in changes {
                    model.change(n, change);
                }
                handle.send_at(&model.batch(repeat, reversed), model.now);
                for (peer, belief) in beliefs
                    .iter_mut()
                    .enumerate()
                    .filter(|(peer, _)| reached[*peer])
                {
                    belief.receive(&handle, peer, model.now);
                    model.check(peer, belief)?;
                }
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn alertmanager_believes_in_exactly_the_alerts_that_fire(steps in prop::collection::vec(step(), 1..40)) {
        play(steps)?;
    }
}

#[test]
fn an_end_that_was_held_back_is_sent_when_the_labels_change() {
    let tick = |changes: &[(usize, Change)], reached| Step::Tick {
        changes: changes.to_vec(),
        repeat: 0,
        reversed: false,
        reached,
    };
    let nobody = [false; PEERS];
    let steps = vec![
        tick(&[(1, Change::Fire)], nobody),
        tick(&[(1, Change::Vanish)], nobody),
        tick(&[], nobody),
        tick(&[(3, Change::Fire)], nobody),
        // For the third peer this alert had the labels of the one that vanished.
        tick(&[(3, Change::End)], nobody),
        Step::Reload(1),
        tick(&[], [false, false, true]),
    ];
    play(steps).unwrap();
}
