//! The program as far as alerts are concerned, in virtual time: the monitor, the disk, the queue in
//! front of Alertmanager, and Alertmanager.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use sidewatch::internals::config::RuleReader;
use sidewatch_engine::alert::{Alert, AlertState};
use sidewatch_engine::exposition::{Exposition, Reason};
use sidewatch_engine::judge::Registry;
use sidewatch_engine::metric::{Labels, Timestamp};
use sidewatch_engine::monitor::{
    Learnt, ModelMonitor, ScrapeFailure, Scraped, Settings, StateChanges, StoredAlerts,
    StoredState, Target, Tick,
};
use sidewatch_engine::rules::RuleSet;

use super::alertmanager::{Alertmanager, Posted, bare};
use super::rules::Files;
use super::steps::Moment;

pub(super) const PODS: [&str; 3] = ["p0", "p1", "p2"];
pub(super) const INTERVAL: Duration = Duration::from_secs(15);
/// Four times the longer of interval and resend delay.
pub(super) const LEASE: Duration = Duration::from_secs(240);
/// A pending alert is written at least this often, and everything else this often.
const PENDING_INTERVAL: Duration = Duration::from_secs(5);
const LEARNED_INTERVAL: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Default)]
struct Disk {
    alerts: BTreeMap<String, StoredAlerts>,
    learnt: BTreeMap<String, Learnt>,
}

impl Disk {
    fn write(&mut self, changes: StateChanges) {
        put(&mut self.alerts, changes.alerts);
        put(&mut self.learnt, changes.learnt);
    }

    /// As the store reads it.
    fn read(&self) -> StoredState {
        StoredState {
            alerts: again(&self.alerts),
            learnt: again(&self.learnt),
            ..StoredState::default()
        }
    }
}

fn put<T>(records: &mut BTreeMap<String, T>, changes: Vec<(String, Option<T>)>) {
    for (key, record) in changes {
        match record {
            Some(record) => drop(records.insert(key, record)),
            None => drop(records.remove(&key)),
        }
    }
}

/// Records as they come back from their bytes.
fn again<R, T>(records: &BTreeMap<String, R>) -> Vec<(String, T)>
where
    R: serde::Serialize,
    T: serde::de::DeserializeOwned,
{
    let bytes = |record: &R| serde_json::to_vec(record).unwrap();
    let records = records.iter();
    records
        .map(|(key, record)| (key.clone(), serde_json::from_slice(&bytes(record)).unwrap()))
        .collect()
}

/// Everything that a sequence of steps acts upon.
pub(super) struct World {
    pub(super) now: Timestamp,
    last_tick: Timestamp,
    registry: Registry,
    monitor: ModelMonitor,
    values: [u8; PODS.len()],
    up: [bool; PODS.len()],
    /// What was written, and what of it survives a kill.
    written: Disk,
    durable: Disk,
    last_durable: Option<Timestamp>,
    has_started: bool,
    last_learnt: Option<Timestamp>,
    queue: Vec<(Labels, Posted)>,
    pub(super) receiver_is_up: bool,
    pub(super) alertmanager: Alertmanager,
    /// The alerts whose ends were sent in this step.
    ended: BTreeSet<Labels>,
}

fn settings() -> Settings {
    let target = |pod: &&str| Target {
        url: format!("http://{pod}/metrics"),
        labels: Labels::new([("pod", *pod)]),
    };
    Settings {
        targets: PODS.iter().map(target).collect(),
        ..Settings::default()
    }
}

fn rule_set(files: &Files, registry: &Registry) -> Arc<RuleSet> {
    let reader = RuleReader::new(registry);
    let texts = files.texts().into_iter();
    let groups = texts.flat_map(|(name, text)| {
        let read = reader.read(name, &text);
        read.unwrap_or_else(|problems| panic!("{problems}: {text}"))
    });
    Arc::new(RuleSet {
        groups: groups.collect(),
    })
}

impl World {
    pub(super) fn new(files: &Files) -> Self {
        let registry = Registry::built_in();
        let start = Timestamp::from_millis(1_700_000_000_000);
        Self {
            now: start,
            last_tick: start,
            monitor: ModelMonitor::new(settings(), rule_set(files, &registry), &registry),
            registry,
            values: [0; PODS.len()],
            up: [true; PODS.len()],
            written: Disk::default(),
            durable: Disk::default(),
            last_durable: None,
            has_started: false,
            last_learnt: None,
            queue: Vec::new(),
            receiver_is_up: true,
            alertmanager: Alertmanager::default(),
            ended: BTreeSet::new(),
        }
    }

    /// The alerts whose ends were sent since the last call.
    pub(super) fn take_ended(&mut self) -> BTreeSet<Labels> {
        std::mem::take(&mut self.ended)
    }

    /// The values that an evaluation sees.
    pub(super) fn values(&self) -> [Option<f64>; PODS.len()] {
        std::array::from_fn(|pod| self.up[pod].then(|| self.values[pod].into()))
    }

    pub(super) fn change_values(&mut self, values: [Option<u8>; PODS.len()]) {
        for (value, new) in self.values.iter_mut().zip(values) {
            *value = new.unwrap_or(*value);
        }
    }

    pub(super) fn set_target(&mut self, pod: usize, is_up: bool) {
        self.up[pod] = is_up;
    }

    pub(super) fn set_receiver(&mut self, is_up: bool) {
        self.receiver_is_up = is_up;
        self.deliver();
    }

    /// The time of the next tick, on the schedule.
    pub(super) fn next_tick(&self) -> Timestamp {
        let mut next = self.last_tick + INTERVAL;
        while next < self.now {
            next = next + INTERVAL;
        }
        next
    }

    /// A moment between two ticks, later than every event so far.
    fn between_ticks(&mut self) -> Timestamp {
        let later = self.now + Duration::from_millis(10);
        self.now = later.max(self.last_tick + Duration::from_secs(5));
        self.now
    }

    /// One tick of the monitor; nothing of it is written or sent yet.
    fn observe(&mut self) -> Tick {
        self.last_tick = self.next_tick();
        self.now = self.last_tick;
        let at = self.now;
        let scraped = self.values().map(|value| {
            let failure = ScrapeFailure {
                reason: Reason::Connect,
                message: "refused".to_owned(),
            };
            let exposition = value.map(|value| Exposition::text(format!("x {value}\n"), at));
            Scraped {
                result: exposition.ok_or(failure),
                duration: Duration::from_millis(5),
            }
        });
        self.monitor.observe(at, &scraped)
    }

    pub(super) fn tick(&mut self) {
        let tick = self.observe();
        self.commit();
        self.send(tick.alerts);
    }

    pub(super) fn reload(&mut self, files: &Files) {
        let at = self.between_ticks();
        let rules = rule_set(files, &self.registry);
        let tick = self.monitor.reload(settings(), rules, at);
        self.commit();
        self.send(tick.alerts);
    }

    /// Ends the process and starts the next one after so many intervals.
    pub(super) fn restart(&mut self, kill: Option<Moment>, away: u32, files: &Files) {
        match kill {
            None => {
                let state = self.monitor.state_changes(true);
                self.written.write(state);
                self.durable = self.written.clone();
            }
            Some(Moment::BetweenTicks) => {}
            Some(Moment::BeforePosts) => {
                drop(self.observe());
                self.commit();
            }
            Some(Moment::BeforeWrite) => drop(self.observe()),
        }
        self.queue.clear();
        self.written = self.durable.clone();
        self.last_durable = None;
        self.has_started = false;
        self.last_learnt = None;
        // The first tick follows the start at once.
        self.now = self.next_tick() + INTERVAL * away;
        self.last_tick = self.now - INTERVAL;
        let rules = rule_set(files, &self.registry);
        self.monitor = ModelMonitor::new(settings(), rules, &self.registry);
        self.monitor.restore(self.written.read(), self.now);
        let alerts = self.monitor.due(self.now);
        self.commit();
        self.send(alerts);
    }

    /// Writes the state as the service does: at once where a crash must not undo it.
    fn commit(&mut self) {
        let now = self.now;
        let overdue =
            |last: Option<Timestamp>, limit| last.is_none_or(|last| now.since(last) >= limit);
        let with_knowledge = overdue(self.last_learnt, LEARNED_INTERVAL);
        if with_knowledge {
            self.last_learnt = Some(now);
        }
        let changes = self.monitor.state_changes(with_knowledge);
        if changes.is_empty() {
            return;
        }
        let is_durable = changes.urgent
            || (changes.pending && overdue(self.last_durable, PENDING_INTERVAL))
            || overdue(self.last_durable, LEARNED_INTERVAL);
        self.written.write(changes);
        if is_durable {
            // The write at the start does not count.
            if self.has_started {
                self.last_durable = Some(now);
            }
            self.durable = self.written.clone();
        }
        self.has_started = true;
    }

    /// Queues the newest state of each alert.
    fn send(&mut self, alerts: Vec<Alert>) {
        for alert in alerts {
            if alert.state == AlertState::Pending {
                continue;
            }
            let starts = alert.starts_at();
            let ends = alert.resolved_at.or(alert.ends_at).unwrap();
            let posted = Posted {
                starts,
                ends: ends.max(starts),
            };
            match self
                .queue
                .iter_mut()
                .find(|(labels, _)| *labels == alert.labels)
            {
                Some((_, waiting)) => *waiting = posted,
                None => self.queue.push((alert.labels, posted)),
            }
        }
        self.deliver();
    }

    fn deliver(&mut self) {
        if self.receiver_is_up {
            for (labels, posted) in self.queue.drain(..) {
                if posted.ends <= self.now {
                    self.ended.insert(bare(&labels));
                }
                self.alertmanager.post(labels, posted, self.now);
            }
        }
    }
}
