//! Random series: promtool accepts the results of our monitor as a test file, and both reject a
//! wrong one.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use sidewatch::internals::cli::test::{Format, Test};
use sidewatch::internals::config::settings::Settings;
use sidewatch::internals::config::{Config, RuleReader};
use sidewatch_engine::alert::AlertState;
use sidewatch_engine::judge::Registry;
use sidewatch_engine::metric::{Labels, Timestamp};
use sidewatch_engine::monitor::ModelMonitor;
use sidewatch_engine::promql::notation::{parse_metric, parse_values};
use sidewatch_engine::promql::{Expr, format_value};

use super::support::tool;

const MINUTE: Duration = Duration::from_secs(60);
const STEPS: u32 = 30;
const SEEDS: u64 = 10;

/// Ranges begin between samples, so that left-open and closed ranges are the same.
const RULES: &str = r#"groups:
  - name: g
    rules:
      - {record: total, expr: sum by (pod) (x)}
      - {record: counted, expr: 'count_over_time(x[3m17s500ms])'}
      - alert: High
        expr: x > 5
        for: 2m
        keep_firing_for: 1m
        labels: {severity: '{{ $labels.pod }}-page'}
        annotations: {summary: 'x of {{ $labels.pod }} is {{ $value }}'}
      - {alert: Many, expr: 'count(ALERTS{alertname="High"}) > 1', annotations: {summary: '{{ $value }}'}}
      - {record: later, expr: 'max_over_time(total[4m17s500ms]) + on (pod) counted'}
"#;

const EXPRS: [&str; 8] = [
    "x",
    "total",
    "later",
    "changes(x[5m17s500ms])",
    "resets(x[5m17s500ms])",
    "timestamp(x)",
    "ALERTS",
    "x offset 2m7s or -total",
];

/// A small xorshift generator.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }

    fn number(&mut self) -> String {
        let texts = ["0", "3", "6", "8.5", "-2", "1e1", ".25", "7"];
        texts[usize::try_from(self.below(8)).unwrap()].to_owned()
    }

    /// Values in every form of the notation. The first value is absent: with these steps no sample
    /// is then at a whole minute or exactly as old as the lookback, which Prometheus 3 treats
    /// differently.
    fn values(&mut self) -> String {
        let words = (0..12).map(|_| {
            let times = self.below(4);
            match self.below(8) {
                0 => "_".to_owned(),
                1 => format!("_x{times}"),
                2 => "stale".to_owned(),
                3 => format!("{}+1.5x{times}", self.number()),
                4 => format!("{}-2x{times}", self.number()),
                5 => format!("{}x{times}", self.number()),
                _ => self.number(),
            }
        });
        words.fold("_".to_owned(), |text, word| text + " " + &word)
    }
}

/// The alert and expression assertions of a test file for one minute.
fn assertions(monitor: &ModelMonitor, minute: u32) -> (String, String) {
    let (mut alerts, mut samples) = (String::new(), String::new());
    for name in ["High", "Many"] {
        writeln!(
            alerts,
            "      - eval_time: {minute}m\n        alertname: {name}\n        exp_alerts:"
        )
        .unwrap();
        let all = monitor.alerts();
        let firing = all
            .iter()
            .filter(|alert| *alert.rule == *name && alert.state == AlertState::Firing);
        for alert in firing {
            let labels = serde_json::to_string(&alert.labels).unwrap();
            let annotations = serde_json::to_string(&alert.annotations).unwrap();
            writeln!(
                alerts,
                "          - {{exp_labels: {labels}, exp_annotations: {annotations}}}"
            )
            .unwrap();
        }
    }
    for text in EXPRS {
        let at = Timestamp::from_millis(i64::from(minute) * 60_000);
        let found = monitor
            .eval(&Expr::parse(text).unwrap(), at, MINUTE)
            .unwrap();
        let text = serde_json::to_string(text).unwrap();
        writeln!(
            samples,
            "      - expr: {text}\n        eval_time: {minute}m\n        exp_samples:"
        )
        .unwrap();
        for sample in found {
            let labels = serde_json::to_string(&sample.labels.to_string()).unwrap();
            let value = format_value(sample.value);
            writeln!(samples, "          - {{labels: {labels}, value: {value}}}").unwrap();
        }
    }
    (alerts, samples)
}

/// A test file with the results of our monitor for random series.
fn test_file(seed: u64) -> String {
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let step = [23_u32, 37, 53, 71][usize::try_from(random.below(4)).unwrap()];
    let series: Vec<(Labels, String)> = ["a", "b", "c"]
        .map(|pod| {
            (
                parse_metric(&format!("x{{pod=\"{pod}\"}}")).unwrap(),
                random.values(),
            )
        })
        .into();
    let registry = Registry::built_in();
    let mut settings = Settings::default();
    settings.model.id = String::new();
    settings.global.scrape_interval = MINUTE;
    let reader = RuleReader {
        registry: &registry,
        interval: MINUTE,
    };
    let mut config = Config::assemble(settings, Path::new(""), &registry).unwrap();
    config.rules.groups = reader.read("r.yaml", RULES).unwrap();
    let mut monitor = config.offline_monitor(&registry);
    let values: Vec<Vec<f64>> = series
        .iter()
        .map(|(_, text)| parse_values(text).unwrap())
        .collect();
    let (mut alerts, mut samples, mut given) = (String::new(), String::new(), 0);
    for minute in 0..STEPS {
        let now = minute * 60;
        while given * step <= now {
            for (number, ((labels, _), values)) in series.iter().zip(&values).enumerate() {
                let at = Timestamp::from_millis(i64::from(given * step) * 1000);
                if let Some(value) = values.get(given as usize) {
                    monitor.give(number, at, labels, *value);
                }
            }
            given += 1;
        }
        monitor.observe(Timestamp::from_millis(i64::from(now) * 1000), &[]);
        let (more_alerts, more_samples) = assertions(&monitor, minute);
        alerts.push_str(&more_alerts);
        samples.push_str(&more_samples);
    }
    let mut file =
        format!("rule_files: [r.yaml]\ntests:\n  - interval: {step}s\n    input_series:\n");
    for (labels, values) in &series {
        writeln!(file, "      - {{series: '{labels}', values: '{values}'}}").unwrap();
    }
    file + "    alert_rule_test:\n" + &alerts + "    promql_expr_test:\n" + &samples
}

#[test]
fn promtool_accepts_our_results_and_both_reject_wrong_ones() {
    let Some(promtool) = tool("promtool") else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("r.yaml"), RULES).unwrap();
    let path = dir.path().join("r.test.yaml");
    let ours = Test {
        files: Vec::new(),
        run: None,
        require_snapshots: false,
        format: Format::Text,
    };
    let theirs = || {
        let mut command = Command::new(&promtool);
        command
            .args(["test", "rules", "r.test.yaml"])
            .current_dir(dir.path())
            .output()
            .unwrap()
    };
    let (mut firing, mut many, mut refused) = (0, 0, 0);
    for seed in 1..=SEEDS {
        let right = test_file(seed);
        firing += right.matches("\"alertname\":\"High\"").count();
        many += right.matches("\"alertname\":\"Many\"").count();
        fs::write(&path, &right).unwrap();
        let report = ours.report(&path);
        assert!(report.passed(), "seed {seed}: {}", report.text());
        let said = theirs();
        assert!(
            said.status.success(),
            "seed {seed}: {}",
            String::from_utf8_lossy(&said.stderr)
        );
        let wrong = right.replacen("value: 6}", "value: 6.5}", 1);
        if wrong != right {
            refused += 1;
            fs::write(&path, &wrong).unwrap();
            assert!(
                !ours.report(&path).passed() && !theirs().status.success(),
                "seed {seed}"
            );
        }
    }
    assert!(
        firing > 50 && many > 10 && refused > 4,
        "{firing} and {many} firing alerts, {refused} wrong files: too few for a meaningful test"
    );
}
