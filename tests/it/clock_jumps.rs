//! Clock jumps in a monitor, tick by tick.

use std::path::Path;
use std::time::Duration;

use sidewatch::internals::config::settings::{Settings, Target};
use sidewatch::internals::config::{Config, RuleReader};
use sidewatch_engine::alert::{Alert, AlertState};
use sidewatch_engine::exposition::Exposition;
use sidewatch_engine::judge::{self, Registry};
use sidewatch_engine::metric::{Labels, Timestamp};
use sidewatch_engine::monitor::{ModelMonitor, Scraped};

const STEP: Duration = Duration::from_secs(15);
const HOUR: Duration = Duration::from_secs(3600);
const START: Timestamp = Timestamp::from_millis(1_700_000_000_000);

const RULES: &str = "
groups:
- name: a
  rules:
  - alert: RateHigh
    expr: rate(errors_total[1m]) > 0.5
  - alert: Waiting
    expr: load > 1
    for: 2m
  - watch: Odd
    expr: load
    strategy: {type: ewma, warm_up: 4}
";

fn monitor() -> ModelMonitor {
    let registry = Registry::built_in();
    let mut settings = Settings::default();
    settings.scrape.targets = vec![Target {
        url: "http://127.0.0.1:8000/metrics".to_owned(),
        labels: Labels::new([("instance", "a")]),
    }];
    let mut config = Config::assemble(settings, Path::new(""), &registry).unwrap();
    config.rules.groups = RuleReader::new(&registry)
        .read("rules.yaml", RULES)
        .unwrap();
    config.monitor(&registry)
}

/// One tick as the running process makes it.
fn tick(monitor: &mut ModelMonitor, at: Timestamp, count: u32) -> Vec<Alert> {
    let body = format!(
        "# TYPE errors counter\nerrors_total {}\nload 2\n",
        count * 15
    );
    monitor.follow_clock(at);
    let result = Ok(Exposition::text(body.into_bytes(), at));
    let duration = Duration::from_millis(5);
    monitor.observe(at, &[Scraped { result, duration }]).changes
}

/// Every change of the alerts after a jump of the clock in the fifth tick, as name, state and tick.
fn changes(jump: impl Fn(Timestamp) -> Timestamp) -> Vec<(String, AlertState, u32)> {
    let mut monitor = monitor();
    let mut seen = Vec::new();
    for number in 0..16 {
        let plain = START + STEP * number;
        let changes = tick(
            &mut monitor,
            if number < 5 { plain } else { jump(plain) },
            number,
        );
        for alert in changes {
            seen.push((alert.rule.to_string(), alert.state, number));
        }
        if number > 5 {
            let states: Vec<_> = monitor
                .judged()
                .map(|(_, _, verdict)| verdict.state)
                .collect();
            assert_eq!(states, [judge::State::Ok], "tick {number} is judged");
        }
    }
    seen
}

#[test]
fn alerts_change_when_they_would_without_the_jump() {
    let steady = changes(|at| at);
    let named = |name: &str, state, number| (name.to_owned(), state, number);
    assert_eq!(
        steady,
        [
            named("Waiting", AlertState::Pending, 0),
            named("RateHigh", AlertState::Firing, 3),
            named("Waiting", AlertState::Firing, 8),
        ]
    );
    assert_eq!(changes(|at| at + HOUR), steady);
    assert_eq!(changes(|at| at - HOUR), steady);
    assert_eq!(changes(|at| at - STEP * 12), steady);
}
