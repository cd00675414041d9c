//! The state of a rule belongs to its group, name and labels: over reloads and restarts, whatever
//! happens to the rules around it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sidewatch::internals::config::settings::{Settings, Target};
use sidewatch::internals::config::{Config, RuleReader};
use sidewatch_engine::alert::{Alert, AlertState};
use sidewatch_engine::exposition::Exposition;
use sidewatch_engine::judge::Registry;
use sidewatch_engine::metric::{Labels, Timestamp};
use sidewatch_engine::monitor::{ModelMonitor, Scraped, StateChanges, StoredState, Tick};

const INTERVAL: Duration = Duration::from_secs(15);

/// A process that watches one target, with a store.
struct World {
    monitor: ModelMonitor,
    /// What the store holds.
    stored: StateChanges,
    tick: u32,
}

/// A configuration with these rule files.
fn config(files: &[(&str, &str)]) -> (Config, Registry) {
    let registry = Registry::built_in();
    let mut settings = Settings::default();
    settings.model.id = "fraud".to_owned();
    settings.scrape.targets = vec![Target {
        url: "http://127.0.0.1:8000/metrics".to_owned(),
        labels: Labels::new([("job", "fraud"), ("instance", "127.0.0.1:8000")]),
    }];
    let reader = RuleReader {
        registry: &registry,
        interval: INTERVAL,
    };
    let groups = files
        .iter()
        .flat_map(|(name, text)| reader.read(name, text).unwrap());
    let groups = groups.collect();
    let mut config = Config::assemble(settings, Path::new(""), &registry).unwrap();
    config.rules.groups = groups;
    (config, registry)
}

/// The rules in one group `g` of a file.
fn group(rules: &[&str]) -> String {
    let mut text = "groups:\n- name: g\n  rules:\n".to_owned();
    for rule in rules {
        text.push_str("  - ");
        text.push_str(rule);
        text.push('\n');
    }
    text
}

impl World {
    fn new(rules: &[&str]) -> Self {
        let text = group(rules);
        Self::of_files(&[("rules.yaml", &text)])
    }

    fn of_files(files: &[(&str, &str)]) -> Self {
        let (config, registry) = config(files);
        let mut world = Self {
            monitor: config.monitor(&registry),
            stored: StateChanges::default(),
            tick: 0,
        };
        let now = world.now();
        world.monitor.start(now);
        world
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_700_000_000_000) + INTERVAL * self.tick
    }

    fn observe(&mut self, body: &str) -> Tick {
        self.tick += 1;
        let result = Ok(Exposition::text(body.as_bytes().to_vec(), self.now()));
        let duration = Duration::from_millis(5);
        let at = self.now();
        let tick = self.monitor.observe(at, &[Scraped { result, duration }]);
        self.stored.overlay(self.monitor.state_changes(true));
        tick
    }

    /// Ticks until the windows of all rules are filled.
    fn settle(&mut self, body: &str) {
        for _ in 0..10 {
            self.observe(body);
        }
    }

    fn reload(&mut self, rules: &[&str]) -> Tick {
        let text = group(rules);
        self.reload_files(&[("rules.yaml", &text)])
    }

    fn reload_files(&mut self, files: &[(&str, &str)]) -> Tick {
        let (config, _) = config(files);
        let settings = config.monitor_settings();
        let at = self.now();
        let tick = self.monitor.reload(settings, Arc::new(config.rules), at);
        self.stored.overlay(self.monitor.state_changes(true));
        tick
    }

    /// A new process over the same store; returns what it sends before its first tick.
    fn restart(&mut self, rules: &[&str]) -> Vec<Alert> {
        let text = group(rules);
        self.restart_files(&[("rules.yaml", &text)])
    }

    fn restart_files(&mut self, files: &[(&str, &str)]) -> Vec<Alert> {
        let (config, registry) = config(files);
        self.monitor = config.monitor(&registry);
        let at = self.now();
        self.monitor.restore(stored(&self.stored), at);
        self.monitor.due(at)
    }

    /// The active alerts: severity or name, state, since when.
    fn active(&self) -> Vec<(String, AlertState, Timestamp)> {
        let alerts = self.monitor.alerts().into_iter();
        let mut active: Vec<_> = alerts
            .filter(|alert| alert.state != AlertState::Resolved)
            .map(|alert| {
                let name = alert.labels.get("severity").unwrap_or(&alert.rule);
                (name.to_owned(), alert.state, alert.active_at)
            })
            .collect();
        active.sort_by(|one, other| one.0.cmp(&other.0));
        active
    }
}

/// The records as the store gives them back, through their stored form.
fn stored(changes: &StateChanges) -> StoredState {
    fn back<T: serde::Serialize + serde::de::DeserializeOwned>(record: &T) -> T {
        serde_json::from_str(&serde_json::to_string(record).unwrap()).unwrap()
    }
    let alerts = changes.alerts.iter();
    let learnt = changes.learnt.iter();
    let counted = changes.counted.iter();
    StoredState {
        alerts: alerts
            .filter_map(|(key, record)| Some((key.clone(), back(record.as_ref()?))))
            .collect(),
        learnt: learnt
            .filter_map(|(key, record)| Some((key.clone(), Some(back(record.as_ref()?)))))
            .collect(),
        counted: counted
            .filter_map(|(key, record)| Some((key.clone(), Some(back(record.as_ref()?)))))
            .collect(),
        gates: changes.gates.as_ref().map(back),
    }
}

fn ends(alerts: &[Alert]) -> Vec<String> {
    let ends = alerts
        .iter()
        .filter(|alert| alert.state == AlertState::Resolved);
    ends.map(|alert| alert.labels.to_string()).collect()
}

const WARNING: &str = "{alert: Deep, expr: depth > 5, for: 30s, labels: {severity: warning}}";
const CRITICAL: &str = "{alert: Deep, expr: depth > 6, for: 30s, labels: {severity: critical}}";
const INFO: &str = "{alert: Deep, expr: depth > 4, for: 10h, labels: {severity: info}}";

#[test]
fn rules_of_one_name_keep_their_alerts_wherever_they_stand() {
    let orders: [&[&str]; 5] = [
        &[CRITICAL, WARNING],
        &[INFO, CRITICAL, WARNING],
        &[WARNING, INFO, CRITICAL],
        &["{record: r, expr: depth}", CRITICAL, WARNING],
        &[WARNING, CRITICAL],
    ];
    for restarts in [false, true] {
        let mut world = World::new(&[WARNING, CRITICAL]);
        for _ in 0..4 {
            world.observe("depth 9\n");
        }
        let firing = world.active();
        assert_eq!(firing.len(), 2);
        assert!(
            firing
                .iter()
                .all(|(_, state, _)| *state == AlertState::Firing)
        );
        for order in orders {
            let sent = if restarts {
                world.restart(order)
            } else {
                world.reload(order).alerts
            };
            assert_eq!(ends(&sent), [""; 0], "{order:?}");
            assert_eq!(
                ends(&world.observe("depth 9\n").alerts),
                [""; 0],
                "{order:?}"
            );
            let mut active = world.active();
            active.retain(|(severity, ..)| severity != "info");
            assert_eq!(active, firing, "{order:?}");
        }
    }
}

#[test]
fn removing_one_rule_of_a_name_ends_its_alert_only() {
    for restarts in [false, true] {
        let mut world = World::new(&[WARNING, CRITICAL]);
        for _ in 0..4 {
            world.observe("depth 9\n");
        }
        let sent = if restarts {
            world.restart(&[CRITICAL])
        } else {
            world.reload(&[CRITICAL]).alerts
        };
        let ended = ends(&sent);
        assert_eq!(ended.len(), 1);
        assert!(ended[0].contains("warning"), "{ended:?}");
        let active = world.active();
        assert_eq!(active.len(), 1);
        assert_eq!(
            (active[0].0.as_str(), active[0].1),
            ("critical", AlertState::Firing)
        );
    }
}

#[test]
fn another_file_with_the_same_group_and_rule_changes_nothing_for_the_others() {
    let of_team = |team: &str| {
        group(&[&format!(
            "{{alert: Slow, expr: depth > 5, labels: {{team: {team}}}}}"
        )])
    };
    let (a, b, c) = (of_team("a"), of_team("b"), of_team("c"));
    let mut world = World::of_files(&[("b.yaml", &b), ("c.yaml", &c)]);
    world.observe("depth 9\n");
    let all: [(&str, &str); 3] = [("a.yaml", &a), ("b.yaml", &b), ("c.yaml", &c)];
    assert_eq!(ends(&world.reload_files(&all).alerts), [""; 0]);
    assert_eq!(ends(&world.observe("depth 9\n").alerts), [""; 0]);
    // A file may be renamed, and the order of files does not count.
    let renamed: [(&str, &str); 3] = [("c.yaml", &c), ("x.yaml", &b), ("y.yaml", &a)];
    assert_eq!(ends(&world.restart_files(&renamed)), [""; 0]);
    assert_eq!(ends(&world.observe("depth 9\n").alerts), [""; 0]);
    assert_eq!(world.active().len(), 3);
}

const P50: &str =
    "{watch: Unusual, expr: p50, strategy: {type: mad, warm_up: 5}, labels: {q: p50}}";
const P99: &str =
    "{watch: Unusual, expr: p99, strategy: {type: mad, warm_up: 5}, labels: {q: p99}}";

fn latencies(step: u32) -> String {
    let wiggle = f64::from(step % 3) / 100.0;
    format!("p50 {}\np99 {}\n", 0.1 + wiggle, 1.0 + wiggle)
}

#[test]
fn learning_stays_with_its_rule() {
    for restarts in [false, true] {
        let mut world = World::new(&[P50, P99]);
        for step in 0..30 {
            world.observe(&latencies(step));
        }
        if restarts {
            world.restart(&[P99, P50]);
        } else {
            world.reload(&[P99, P50]);
        }
        for step in 30..33 {
            let tick = world.observe(&latencies(step));
            assert_eq!(tick.alerts.len(), 0);
            let states = world.monitor.judged().map(|(_, _, verdict)| verdict.state);
            assert!(
                states.into_iter().all(|state| state.to_string() == "ok"),
                "both are known"
            );
        }
    }
}

#[test]
fn what_was_learned_about_another_value_is_not_used() {
    let direct = ["{watch: Unusual, expr: p50, strategy: {type: mad, warm_up: 5}}"];
    let direct_after = ["{watch: Unusual, expr: p50 * 1000, strategy: {type: mad, warm_up: 5}}"];
    let record = [
        "{record: lat, expr: p50}",
        "{watch: Unusual, expr: lat, strategy: {type: mad, warm_up: 5}}",
    ];
    let record_after = [
        "{record: lat, expr: p50 * 1000}",
        "{watch: Unusual, expr: lat, strategy: {type: mad, warm_up: 5}}",
    ];
    for (before, after) in [(&direct[..], &direct_after[..]), (&record, &record_after)] {
        for restarts in [false, true] {
            let mut world = World::new(before);
            for step in 0..30 {
                world.observe(&latencies(step));
            }
            if restarts {
                world.restart(after);
            } else {
                world.reload(after);
            }
            let tick = world.observe(&latencies(30));
            assert_eq!(tick.changes.len(), 0, "{after:?}");
            let (_, _, verdict) = world.monitor.judged().next().unwrap();
            assert_eq!(verdict.state.to_string(), "warming_up", "{after:?}");
        }
    }
}

#[test]
fn layout_of_an_expression_does_not_count() {
    let mut world = World::new(&["{watch: W, expr: 'p50*2', strategy: {type: mad, warm_up: 5}}"]);
    for step in 0..30 {
        world.observe(&latencies(step));
    }
    world.reload(&["{watch: W, expr: 'p50  *  2', strategy: {type: mad, warm_up: 5}}"]);
    world.observe(&latencies(30));
    let (_, _, verdict) = world.monitor.judged().next().unwrap();
    assert_eq!(verdict.state.to_string(), "ok");
}

const OWNER: &str =
    r#"labels: {owner: '{{ range query "owner_info" }}{{ .Labels.owner }}{{ end }}'}"#;

#[test]
fn labels_made_with_query_survive_a_reload_and_a_restart() {
    let rules = [
        format!("{{alert: Deep, expr: depth > 5, for: 30s, {OWNER}}}"),
        format!(
            "{{watch: DeepToo, expr: depth, strategy: {{type: static, bound: 5}}, for: 30s, {OWNER}}}"
        ),
    ];
    let rules: Vec<&str> = rules.iter().map(String::as_str).collect();
    let body = "depth 9\nowner_info{owner=\"ada\"} 1\n";
    let mut world = World::new(&rules);
    world.settle(body);
    let firing = world.active();
    assert_eq!(firing.len(), 2);
    assert!(
        firing
            .iter()
            .all(|(_, state, _)| *state == AlertState::Firing)
    );

    assert_eq!(ends(&world.reload(&rules).alerts), [""; 0]);
    assert_eq!(world.observe(body).changes, []);
    assert_eq!(world.active(), firing);

    assert_eq!(ends(&world.restart(&rules)), [""; 0]);
    // The owner is not there yet.
    for body in ["depth 9\n", body, body, body, body] {
        let tick = world.observe(body);
        assert_eq!(tick.changes, []);
        assert_eq!(ends(&tick.alerts), [""; 0]);
    }
    assert_eq!(world.active(), firing);
    // Another owner is another alert.
    let tick = world.observe(&body.replace("ada", "bob"));
    assert_eq!(ends(&tick.alerts).len(), 2);
}

#[test]
fn an_alert_that_looks_back_does_not_begin_while_its_window_is_empty() {
    let rules = [
        "{alert: A, expr: 'absent(rate(x[2m]))'}",
        "{alert: B, expr: absent(x offset 1m)}",
        "{alert: C, expr: 'count_over_time(x[2m]) < 8'}",
        "{record: n, expr: 'count_over_time(x[2m])'}",
        "{alert: D, expr: n < 8}",
        "{alert: E, expr: 'x unless x offset 1m'}",
    ];
    let mut world = World::new(&rules);
    for _ in 0..20 {
        assert!(fired(&world.observe("x 1\n")).is_empty());
    }
    world.restart(&rules);
    for _ in 0..20 {
        assert!(fired(&world.observe("x 1\n")).is_empty());
    }
    // Once the window is filled, they fire as in Prometheus.
    let mut all = Vec::new();
    for _ in 0..20 {
        all.extend(fired(&world.observe("y 1\n")));
    }
    all.sort();
    all.dedup();
    assert_eq!(all, ["A", "B", "C", "D"]);
}

#[test]
fn an_alert_that_missing_samples_cannot_cause_fires_at_once_after_a_start() {
    let rules = ["{alert: A, expr: 'max_over_time(x[5m]) > 5'}"];
    let mut world = World::new(&rules);
    assert_eq!(fired(&world.observe("x 9\n")), ["A"]);
}

fn fired(tick: &Tick) -> Vec<String> {
    let changes = tick.changes.iter();
    let firing = changes.filter(|alert| alert.state == AlertState::Firing);
    firing.map(|alert| alert.rule.to_string()).collect()
}

#[test]
fn a_higher_threshold_counts_at_the_next_evaluation() {
    let rule = |bound: u32| format!("{{alert: Deep, expr: 'avg_over_time(depth[5m]) > {bound}'}}");
    let mut world = World::new(&[&rule(5)]);
    world.settle("depth 9\n");
    assert_eq!(world.active().len(), 1);
    assert_eq!(ends(&world.reload(&[&rule(50)]).alerts), [""; 0]);
    assert_eq!(ends(&world.observe("depth 9\n").alerts).len(), 1);
}

#[test]
fn a_longer_for_ends_the_alert_until_it_has_passed() {
    let rule = |hold: &str| format!("{{alert: Deep, expr: depth > 5, for: {hold}}}");
    for restarts in [false, true] {
        let mut world = World::new(&[&rule("0s")]);
        world.observe("depth 9\n");
        let since = world.active()[0].2;
        let sent = if restarts {
            world.restart(&[&rule("1m")])
        } else {
            world.reload(&[&rule("1m")]).alerts
        };
        assert_eq!(ends(&sent).len(), 1);
        assert_eq!(world.active()[0].1, AlertState::Pending);
        // The end is in the store too.
        let sent = world.restart(&[&rule("1m")]);
        assert_eq!(ends(&sent).len(), 1);
        for _ in 0..4 {
            world.observe("depth 9\n");
        }
        assert_eq!(world.active()[0].1, AlertState::Firing);
        assert_eq!(world.active()[0].2, since);
        // From now on, the end is false.
        for _ in 0..20 {
            assert_eq!(ends(&world.observe("depth 9\n").alerts), [""; 0]);
        }
    }
}

#[test]
fn of_two_rules_with_equal_labels_the_one_that_fires_counts() {
    let rules = |bound: u32| group(&[&format!("{{alert: Deep, expr: depth > {bound}}}")]);
    let (low, high) = (rules(5), rules(50).replace("name: g", "name: h"));
    let mut world = World::of_files(&[("low.yaml", &low), ("high.yaml", &high)]);
    world.observe("depth 90\n");
    for _ in 0..30 {
        let tick = world.observe("depth 9\n");
        assert_eq!(ends(&tick.alerts), [""; 0]);
    }
    assert!(!ends(&world.observe("depth 1\n").alerts).is_empty());
}

#[test]
fn a_rule_that_comes_back_is_not_ended_by_its_own_past() {
    let mut world = World::new(&[WARNING, CRITICAL]);
    for _ in 0..4 {
        world.observe("depth 9\n");
    }
    assert_eq!(ends(&world.reload(&[CRITICAL]).alerts).len(), 1);
    world.reload(&[CRITICAL, WARNING]);
    let mut last = Vec::new();
    for _ in 0..30 {
        last = ends(&world.observe("depth 9\n").alerts);
    }
    assert_eq!(last, [""; 0]);
    assert_eq!(world.active().len(), 2);
}

#[test]
fn a_healthy_series_says_nothing_about_a_missing_one_with_the_same_alert_labels() {
    let rule = "{watch: Deep, expr: depth, strategy: {type: static, bound: 5}, labels: {pod: ''}}";
    let both = |a: &str, b: &str| {
        let line = |(pod, value): (&str, &str)| format!("depth{{pod=\"{pod}\"}} {value}\n");
        let there = [("a", a), ("b", b)].into_iter();
        there
            .filter(|(_, value)| !value.is_empty())
            .map(line)
            .collect::<String>()
    };
    for restarts in [false, true] {
        let mut world = World::new(&[rule]);
        world.settle(&both("9", "1"));
        let firing = world.active();
        assert_eq!(firing.len(), 1);
        if restarts {
            world.restart(&[rule]);
        }
        // The default of no_data_resolve is an hour.
        for _ in 0..230 {
            assert_eq!(world.observe(&both("", "1")).changes, []);
        }
        assert_eq!(world.observe(&both("9", "1")).changes, []);
        assert_eq!(world.active(), firing);
        assert_eq!(ends(&world.observe(&both("1", "1")).alerts).len(), 1);
    }
    let mut world = World::new(&[rule]);
    world.settle(&both("9", "1"));
    let mut ended = 0;
    for _ in 0..245 {
        let tick = world.observe(&both("", "1"));
        ended += tick.changes.len();
    }
    assert_eq!(ended, 1, "the target no longer exports the series");
}

#[test]
fn a_rule_that_comes_back_asks_for_retraining_only_after_its_cool_down() {
    let watch = |retrain: &str| {
        format!("{{watch: Deep, expr: depth, strategy: {{type: static, bound: 5}}{retrain}}}")
    };
    let (asking, silent) = (watch(", retrain: {cooldown: 1h}"), watch(""));
    let without: [&[&str]; 2] = [&[], &[&silent]];
    for before in without {
        let mut world = World::new(&[&asking]);
        assert_eq!(world.observe("depth 9\n").requests.len(), 1);
        world.reload(before);
        world.observe("depth 9\n");
        world.reload(&[&asking]);
        let mut asked = Vec::new();
        for tick in 0..260 {
            // A value that stays the same is no new evidence.
            let body = format!("depth 9.{}\n", tick % 2);
            let requests = world.observe(&body).requests.len();
            asked.extend((requests > 0).then_some(tick));
        }
        assert!(
            matches!(asked.as_slice(), [first] if (230..=245).contains(first)),
            "{asked:?}"
        );
    }
}
