//! Random labels on every series that a pack reads: what Sidewatch sends, asks for and exports
//! still speaks for its own model and rules only, and its page stays valid.
//!
//! The series are those of the packs' own tests. `SIDEWATCH_SEED` selects another sequence.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use sidewatch::internals::config::packs::NAMES;
use sidewatch::internals::config::{Config, RuleReader};
use sidewatch::internals::notify::Alertmanagers;
use sidewatch::internals::notify::alertmanager::{PeerSettings, Settings};
use sidewatch::internals::publish::{Exposition as Page, Shared};
use sidewatch::internals::service::published;
use sidewatch_engine::alert::Alert;
use sidewatch_engine::exposition::parse::{Parser, Series};
use sidewatch_engine::exposition::{Exposition, Format};
use sidewatch_engine::judge::Registry;
use sidewatch_engine::metric::{Labels, SplitMix64, Timestamp};
use sidewatch_engine::monitor::{ModelMonitor, Scraped};
use sidewatch_engine::promql::notation::{parse_metric, parse_values};
use sidewatch_engine::retrain::RetrainRequest;
use sidewatch_engine::rules::{Retrain, Rule};
use sidewatch_engine::series::{is_absent, is_stale};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::support::notify::http_client;
use super::support::{Fake, tool, until};

const INTERVAL: Duration = Duration::from_secs(15);

/// Sets of labels that are tried with each pack.
const ROUNDS: u32 = 4;

/// The labels of the configuration.
const IDENTITY: [(&str, &str); 2] = [("model_id", "fraud"), ("model_version", "7")];
const EXTERNAL: [(&str, &str); 2] = [("cluster", "eu"), ("replica", "r1")];
/// A label of the target that an aggregation may leave out.
const JOB: (&str, &str) = ("job", "fraud");
const TARGET: [(&str, &str); 3] = [
    ("instance", "own:8000"),
    ("namespace", "ml"),
    ("pod", "fraud-0"),
];

/// Names of ours, their renamed twins, and names that a page can only write as another name.
const NAMES_OF_OURS: [&str; 22] = [
    "model_id",
    "model_version",
    "rule",
    "alertname",
    "severity",
    "state",
    "le",
    "quantile",
    "metric",
    "signal",
    "copy",
    "group",
    "cluster",
    "replica",
    "instance",
    "namespace",
    "pod",
    "job",
    "a.b",
    "a_b",
    "a-b",
    "é",
];

const VALUES: [&str; 9] = [
    "victim",
    "fraud",
    "7",
    "page",
    "firing",
    "+Inf",
    "}\n\"\\,{a=\"b\"} 1",
    "{{ .Value }}",
    "0.5",
];

fn pick<'a>(random: &mut SplitMix64, from: &[&'a str]) -> &'a str {
    let index = random.next_u64() % u64::try_from(from.len()).unwrap();
    from[usize::try_from(index).unwrap()]
}

/// One to eight labels; half of the names carry `exported_` once or twice.
fn hostile(random: &mut SplitMix64) -> BTreeMap<String, &'static str> {
    let count = random.next_u64() % 8 + 1;
    let label = |_| {
        let prefix = pick(random, &["", "", "exported_", "exported_exported_"]);
        let name = format!("{prefix}{}", pick(random, &NAMES_OF_OURS));
        (name, pick(random, &VALUES))
    };
    (0..count).map(label).collect()
}

/// Series with their values, one each interval.
type Input = Vec<(Labels, Vec<f64>)>;

/// The input of every test of a pack.
fn inputs(pack: &str) -> Vec<Input> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("rules/{pack}.test.yaml"));
    let file: Value = serde_yaml::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let tests = file["tests"].as_array().unwrap().iter();
    let series = |series: &Value| {
        let labels = parse_metric(series["series"].as_str().unwrap()).unwrap();
        let values = parse_values(series["values"].as_str().unwrap()).unwrap();
        (labels, values)
    };
    let inputs = tests.filter_map(|test| {
        let listed = test["input_series"].as_array()?.iter();
        Some(listed.map(series).collect())
    });
    inputs.collect()
}

/// The scrape at a step of a pack's test.
fn body(input: &Input, step: usize) -> String {
    let mut body = String::new();
    for (labels, values) in input {
        let Some(value) = values.get(step) else {
            continue;
        };
        if is_absent(*value) || is_stale(*value) {
            continue;
        }
        let pairs = labels.iter().filter(|(name, _)| *name != Labels::NAME);
        let quoted: Vec<String> = pairs
            .map(|(name, value)| {
                let value = value.replace('\\', "\\\\").replace('"', "\\\"");
                format!("\"{name}\"=\"{}\"", value.replace('\n', "\\n"))
            })
            .collect();
        let name = labels.name().unwrap();
        writeln!(body, "{name}{{{}}} {value:?}", quoted.join(",")).unwrap();
    }
    body
}

/// The series with more labels: in every other round all get the same, so that rules that join
/// two of them still find both.
fn poisoned(input: &Input, round: u32, random: &mut SplitMix64) -> Input {
    let same = hostile(random);
    let poisoned = input.iter().map(|(labels, values)| {
        let more = if round.is_multiple_of(2) {
            same.clone()
        } else {
            hostile(random)
        };
        let mut all: BTreeMap<String, &str> = more;
        all.extend(labels.iter().map(|(name, value)| (name.to_owned(), value)));
        (Labels::new(all), values.clone())
    });
    poisoned.collect()
}

const OWN: &str = "
groups:
- name: own
  rules:
  - watch: Any
    expr: 'NAME'
    strategy: {type: static, bound: -1, direction: above}
    labels: {severity: page, rule: Any, cluster: eu}
    annotations: {summary: 'model_id, le, copy, state: {{ $labels }}'}
  - {alert: Plain, expr: 'NAME > -1', labels: {severity: page}}

";

/// The configuration of model `fraud` with a pack, and with a rule of the user's that keeps every
/// label of a series of the pack. All watches ask for retraining.
fn config(pack: &str, registry: &Registry) -> Config {
    let map = |pairs: &[(&str, &str)]| {
        let pairs = pairs
            .iter()
            .map(|(name, value)| format!("{name}: '{value}'"));
        pairs.collect::<Vec<_>>().join(", ")
    };
    let text = format!(
        "global: {{scrape_interval: 15s, external_labels: {{{}}}}}\nmodel: {{id: fraud, version: '7'}}\n\
         scrape: {{targets: [{{url: 'http://own:8000/metrics', labels: {{{}}}}}]}}\n",
        map(&EXTERNAL),
        map(&[&TARGET[..], &[JOB]].concat())
    );
    let mut config = Config::from_yaml(&text).unwrap();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("rules/{pack}.yaml"));
    let rules = fs::read_to_string(path).unwrap();
    let reader = RuleReader::under(&config.settings, registry);
    config.rules.groups = reader.read("pack.yaml", &rules).unwrap();
    let first = inputs(pack)[0][0].0.clone();
    let own = OWN.replace("NAME", first.name().unwrap());
    let own = reader.read("own.yaml", &own).unwrap();
    config.rules.groups.extend(own);
    let groups = config.rules.groups.iter_mut();
    for rule in groups.flat_map(|group| &mut group.rules) {
        if let Rule::Watch(watch) = rule {
            watch.retrain = Some(Retrain {
                cooldown: INTERVAL,
                after: (1, 1),
                unless: None,
                verify: None,
                rollback: false,
            });
        }
    }
    config
}

/// All that came of a pack's test.
#[derive(Default)]
struct Outcome {
    alerts: Vec<Alert>,
    requests: Vec<RetrainRequest>,
    pages: Vec<String>,
}

fn run(config: &Config, registry: &Registry, input: &Input) -> Outcome {
    let mut monitor = config.monitor(registry);
    let mut outcome = Outcome::default();
    let steps = input.iter().map(|(_, values)| values.len()).max().unwrap();
    for step in 0..steps {
        let at =
            Timestamp::from_millis(1_700_000_000_000) + INTERVAL * u32::try_from(step).unwrap();
        let result = Ok(Exposition::text(body(input, step).into_bytes(), at));
        let duration = Duration::from_millis(5);
        let tick = monitor.observe(at, &[Scraped { result, duration }]);
        let last = monitor.target_states()[0].last().unwrap();
        assert_eq!(last.error, None);
        outcome.alerts.extend(tick.alerts);
        outcome.requests.extend(tick.requests);
        // After the fault, and at the end.
        if step + 1 == steps || step == steps * 3 / 4 {
            outcome.pages.push(page(config, &monitor, at));
        }
    }
    outcome
}

fn page(config: &Config, monitor: &ModelMonitor, at: Timestamp) -> String {
    let snapshot = published(config, monitor, at);
    let shared = Shared::new(&snapshot.model);
    shared.publish(snapshot);
    shared.metrics(Page::Text)
}

/// Checks the labels of an alert of the rule `name`.
fn is_ours<'a>(config: &Config, name: &str, get: impl Fn(&str) -> Option<&'a str>) {
    for (label, value) in IDENTITY.into_iter().chain(TARGET) {
        // A sidecar speaks for its pod.
        assert_eq!(get(label), Some(value), "{label} of {name}");
    }
    assert_eq!(get("alertname"), Some(name));
    let of_name = config.rules.rules().filter(|rule| rule.name() == name);
    let fits = |rule: &Rule| {
        let labels = rule.alert().into_iter().flat_map(|alert| &alert.labels);
        let mut fixed = labels.filter(|(_, template)| !template.source().contains("{{"));
        fixed.all(|(label, template)| get(label) == Some(template.source()))
    };
    assert!(of_name.into_iter().any(fits), "the labels of rule {name}");
    for (label, value) in EXTERNAL.into_iter().chain([JOB]) {
        assert!(get(label).is_none_or(|own| own == value), "{label}");
    }
}

/// Checks a page line by line: every sample's labels have different names, no sample is there
/// twice, and the model and the rules are ours.
fn is_valid(config: &Config, page: &str) {
    let rules: BTreeSet<&str> = config.rules.rules().map(Rule::name).collect();
    let bytes = page.as_bytes();
    let mut parser = Parser::new(bytes, Format::Text);
    let (mut series, mut seen) = (Series::default(), BTreeSet::new());
    while parser.next_sample(&mut series).unwrap().is_some() {
        let name = series.name.text(bytes).into_owned();
        let pairs = series.labels.iter();
        let pairs: Vec<(String, String)> = pairs
            .map(|(name, value)| {
                let texts = (name.text(bytes), value.text(bytes));
                (texts.0.into_owned(), texts.1.into_owned())
            })
            .collect();
        let labels: BTreeMap<String, String> = pairs.iter().cloned().collect();
        assert_eq!(labels.len(), pairs.len(), "{name}{pairs:?}");
        for (label, value) in IDENTITY {
            let own = labels.get(label);
            assert!(own.is_none_or(|own| own == value), "{name}{pairs:?}");
        }
        if let Some(rule) = labels.get("rule") {
            assert_eq!(labels["model_id"], "fraud", "{name}{pairs:?}");
            assert!(rules.contains(&**rule), "{name}{pairs:?}");
        }
        assert!(seen.insert((name, labels)), "twice: {pairs:?}");
    }
}

/// Whether every label of a page has a name that any reader of the text format takes.
fn has_classic_names(page: &str) -> bool {
    let bytes = page.as_bytes();
    let mut parser = Parser::new(bytes, Format::Text);
    let (mut series, mut classic) = (Series::default(), true);
    while parser.next_sample(&mut series).unwrap().is_some() {
        let labels = series.labels.iter();
        classic &= labels.map(|(name, _)| name.text(bytes)).all(|name| {
            let rest = |c: char| c == '_' || c.is_ascii_alphanumeric();
            !name.is_empty()
                && !name.starts_with(|c: char| c.is_ascii_digit())
                && name.chars().all(rest)
        });
    }
    classic
}

/// What `promtool check metrics` says about a page; nothing without promtool.
fn promtool_agrees(page: &str) {
    let Some(promtool) = tool("promtool") else {
        return;
    };
    let mut child = Command::new(promtool)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(page.as_bytes()).unwrap();
    drop(input);
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{page}");
}

const LOW: &str = "
groups:
- name: g
  rules:
  - watch: Low
    expr: '{kind=\"model\"}'
    strategy: {type: static, bound: 0.9, direction: below}
    labels: {severity: page}
";

#[test]
fn names_that_no_client_library_writes_are_refused_or_written_as_valid_ones() {
    let registry = Registry::built_in();
    let mut config = config("accuracy", &registry);
    let reader = RuleReader::under(&config.settings, &registry);
    config.rules.groups = reader.read("low.yaml", LOW).unwrap();
    let mut accepted = 0;
    for labels in [
        r#"""="x""#,
        r#""__name__"="other""#,
        r#"__name__="other""#,
        r#"__address__="x",__meta_x="y""#,
        r#""1st"="x",_st="y",exported__st="z""#,
        r#""ä"="1","ö"="2",_="3""#,
        r#""a\nb"="1","a\"b"="2",a_b="3""#,
        r#""\\"="1"," "="2","=\"}\n"="3""#,
        r#""exported_"="1",exported_exported_="2""#,
        r#"le="",quantile="",rule="",model_id="""#,
    ] {
        for body in [
            format!("accuracy{{kind=\"model\",{labels}}} 0.1\n"),
            format!("{{\"an odd name\\n\",kind=\"model\",{labels}}} 0.1\n"),
        ] {
            let mut monitor = config.monitor(&registry);
            let at = Timestamp::from_millis(1_700_000_000_000);
            let result = Ok(Exposition::text(body.clone().into_bytes(), at));
            let duration = Duration::from_millis(5);
            let tick = monitor.observe(at, &[Scraped { result, duration }]);
            let page = page(&config, &monitor, at);
            is_valid(&config, &page);
            assert!(has_classic_names(&page), "{body}{page}");
            promtool_agrees(&page);
            if monitor.target_states()[0].last().unwrap().error.is_some() {
                continue;
            }
            accepted += 1;
            assert_eq!(tick.alerts.len(), 1, "{body}");
            let alert = &tick.alerts[0];
            is_ours(&config, "Low", |name| alert.labels.get(name));
            assert!(
                alert.labels.iter().all(|(name, _)| !name.is_empty()),
                "{body}"
            );
        }
    }
    assert!(accepted >= 10, "{accepted}");
}

/// What reaches an Alertmanager of these alerts.
async fn sent(config: &Config, alerts: &[Alert]) -> Vec<Value> {
    let receiver = Fake::start(String::new).await;
    let mut settings = Settings::new(vec![PeerSettings {
        url: format!("http://{}", receiver.address),
        timeout: INTERVAL,
        relabel: Vec::new(),
        client: http_client(),
        discovery: None,
    }]);
    settings.external_labels = config.settings.global.external_labels.clone();
    let (alertmanagers, runner) = Alertmanagers::new(settings);
    let stop = CancellationToken::new();
    let mut task = JoinSet::new();
    task.spawn(runner.run(stop.clone()));
    alertmanagers.send(alerts);
    until("the alerts", INTERVAL * 4, async || {
        let stats = alertmanagers.stats();
        let [peer] = stats.as_slice() else {
            return Err("no peer".to_owned());
        };
        assert_eq!((peer.failed, peer.dropped), (0, 0), "{peer:?}");
        if peer.queue_length == 0 && peer.sent > 0 {
            Ok(())
        } else {
            Err(format!("{peer:?}"))
        }
    })
    .await;
    stop.cancel();
    task.join_next().await.unwrap().unwrap();
    let bodies = receiver.received().into_iter();
    bodies
        .flat_map(|request| serde_json::from_str::<Vec<Value>>(&request.body).unwrap())
        .collect()
}

#[tokio::test]
async fn whatever_labels_a_server_exposes_a_pack_speaks_for_its_own_model_and_rules() {
    let seed = std::env::var("SIDEWATCH_SEED").map_or(1, |text| text.parse().unwrap());
    let mut random = SplitMix64::new(seed);
    let registry = Registry::built_in();
    let (mut fired, mut renamed, mut requests) = (BTreeSet::new(), 0, 0);
    // The others are these with another prefix.
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let is_written = |pack: &&str| root.join(format!("rules/{pack}.yaml")).exists();
    let written: Vec<&str> = NAMES.into_iter().filter(is_written).collect();
    for pack in written.iter().copied() {
        let config = Arc::new(config(pack, &registry));
        let mut alerts = Vec::new();
        for round in 0..ROUNDS {
            for input in inputs(pack) {
                let input = poisoned(&input, round, &mut random);
                let outcome = run(&config, &registry, &input);
                for alert in &outcome.alerts {
                    is_ours(&config, &alert.rule, |name| alert.labels.get(name));
                    let hostile = alert.labels.get("exported_model_id");
                    renamed += usize::from(hostile.is_some());
                }
                for request in &outcome.requests {
                    is_ours(&config, &request.rule, |name| request.labels.get(name));
                    let model = (&*request.model_id, &*request.model_version);
                    assert_eq!(model, ("fraud", "7"));
                }
                for page in &outcome.pages {
                    is_valid(&config, page);
                }
                promtool_agrees(outcome.pages.last().unwrap());
                requests += outcome.requests.len();
                alerts.extend(outcome.alerts);
            }
        }
        if alerts.is_empty() {
            continue;
        }
        fired.insert(pack);
        for alert in sent(&config, &alerts).await {
            let labels = &alert["labels"];
            let rule = labels["alertname"].as_str().unwrap();
            is_ours(&config, rule, |name| labels[name].as_str());
            for (name, value) in EXTERNAL {
                assert_eq!(labels[name], value, "{alert}");
            }
        }
    }
    // Otherwise nothing was tried.
    assert!(fired.len() >= written.len() - 1, "only {fired:?} fired");
    assert!(renamed > 0 && requests > 0, "{renamed} {requests}");
}
