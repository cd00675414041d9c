//! Rules of one name: random rule files in a whole service, compared with a plain model of what
//! `/metrics` and the API say of each rule.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde_json::Value;
use sidewatch::{
    Config, Exposition, MetricProducer, Registry, ScrapeError, Server, Service, Timestamp,
};
use sidewatch_engine::metric::SplitMix64;

use super::support::{get_json, get_text, until};

const SOON: Duration = Duration::from_secs(30);
/// Rule files in the test.
const FILES: u64 = 60;

/// The name and the value of a label.
type Pair = (&'static str, &'static str);

/// Name, labels and value of a series.
type Exported = (&'static str, &'static [Pair], f64);

/// What the target exports: name, labels and value.
const SERIES: [Exported; 3] = [
    ("depth", &[("queue", "a"), ("severity", "own")], 9.0),
    ("depth", &[("queue", "b")], 3.0),
    ("width", &[("queue", "a"), ("severity", "own")], 7.0),
];

/// Names that the labels of a rule or a series may not hide.
const RESERVED: [&str; 8] = [
    "copy", "group", "le", "metric", "quantile", "rule", "signal", "state",
];

type Map = BTreeMap<String, String>;

fn map(pairs: &[(&str, &str)]) -> Map {
    let owned = pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    owned.collect()
}

struct Target;

impl MetricProducer for Target {
    fn produce(&mut self, at: Timestamp) -> BoxFuture<'_, Result<Exposition, ScrapeError>> {
        let mut text = String::new();
        for (name, labels, value) in SERIES {
            let labels: Vec<String> = labels
                .iter()
                .map(|(name, value)| format!("{name}=\"{value}\""))
                .collect();
            writeln!(text, "{name}{{{}}} {value}", labels.join(",")).unwrap();
        }
        let exposition = Exposition::text(text.into_bytes(), at);
        Box::pin(std::future::ready(Ok(exposition)))
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Record,
    Alert,
    Watch,
}

/// A rule, and what a user expects of it.
#[derive(Debug, Clone)]
struct Rule {
    kind: Kind,
    group: &'static str,
    name: &'static str,
    labels: Vec<(&'static str, &'static str)>,
    expr: &'static str,
    /// Which of [`SERIES`] its expression finds; `None` stands for one without labels.
    found: Vec<Option<usize>>,
    firing: u64,
}

impl Rule {
    fn random(random: &mut SplitMix64) -> Self {
        let mut pick = |count: usize| {
            let number = random.next_u64() % u64::try_from(count).unwrap();
            usize::try_from(number).unwrap()
        };
        let kind = [Kind::Record, Kind::Alert, Kind::Watch][pick(3)];
        let (expr, found, firing) = match (kind, pick(3)) {
            (Kind::Record, 0) => ("sum(depth)", vec![None], 0),
            (Kind::Record, _) => ("depth", vec![Some(0), Some(1)], 0),
            (Kind::Alert, 0) => ("depth", vec![Some(0), Some(1)], 2),
            (Kind::Alert, 1) => ("depth > 5", vec![Some(0)], 1),
            (Kind::Alert, _) => ("depth > 50", vec![], 0),
            (Kind::Watch, 0) => ("depth", vec![Some(0), Some(1)], 1),
            (Kind::Watch, 1) => ("sum(depth)", vec![None], 1),
            // Two series differ only in their name, so that their alerts are one.
            (Kind::Watch, _) => (
                "{__name__=~\"depth|width\"}",
                vec![Some(0), Some(1), Some(2)],
                1,
            ),
        };
        let mut labels = Vec::new();
        labels.extend(
            [
                None,
                Some(("severity", "page")),
                Some(("severity", "warning")),
            ][pick(3)],
        );
        labels.extend([None, Some(("rule", "x")), Some(("state", "y"))][pick(3)]);
        if kind != Kind::Record {
            labels.extend(
                [
                    None,
                    Some(("team", "{{ $labels.queue }}")),
                    Some(("team", "")),
                ][pick(3)],
            );
        }
        Self {
            kind,
            group: ["g", "h"][pick(2)],
            name: if kind == Kind::Record {
                "recorded"
            } else {
                ["A", "B"][pick(2)]
            },
            labels,
            expr,
            found,
            firing,
        }
    }

    fn yaml(&self) -> String {
        let (name, expr) = (self.name, self.expr);
        let labels: Vec<String> = self
            .labels
            .iter()
            .map(|(name, value)| format!("{name}: '{value}'"))
            .collect();
        let what = match self.kind {
            Kind::Record => format!("record: {name}, metric: custom"),
            Kind::Alert => format!("alert: {name}"),
            Kind::Watch => format!(
                "watch: {name}, metric: custom, strategy: {{type: static, bound: 5, direction: above}}"
            ),
        };
        format!(
            "{{{what}, expr: '{expr}', labels: {{{}}}}}",
            labels.join(", ")
        )
    }

    fn static_labels(&self) -> Map {
        let fixed = self
            .labels
            .iter()
            .filter(|(_, value)| !value.is_empty() && !value.contains("{{"));
        map(&fixed.copied().collect::<Vec<_>>())
    }

    /// The labels of everything about the rule, where `role` holds its name.
    fn ours(&self, role: &str, copy: usize) -> Map {
        let mut labels = map(&[("model_id", "m"), ("group", self.group), (role, self.name)]);
        if copy > 1 {
            labels.insert("copy".to_owned(), copy.to_string());
        }
        labels
    }

    fn exported(&self, copy: usize) -> Map {
        let mut labels = self.ours("rule", copy);
        add(&mut labels, &self.static_labels());
        labels
    }

    /// The labels of its signals, without `signal`.
    fn signals(&self, copy: usize) -> Vec<Map> {
        let found = self.found.iter().filter(|_| self.kind != Kind::Alert);
        let signals = found.map(|series| {
            let mut own = series.map_or_else(Map::new, |series| map(SERIES[series].1));
            let mut labels = if self.kind == Kind::Record {
                own.extend(self.static_labels());
                self.ours("metric", copy)
            } else {
                self.exported(copy)
            };
            add(&mut labels, &own);
            labels
        });
        signals.collect()
    }
}

/// Adds labels under names that are free.
fn add(labels: &mut Map, more: &Map) {
    for (name, value) in more {
        let mut name = name.clone();
        while RESERVED.contains(&name.as_str()) || labels.contains_key(&name) {
            name = format!("exported_{name}");
        }
        labels.insert(name, value.clone());
    }
}

/// Two rule files with these rules. The rules are returned in the order of the files and groups.
fn files(rules: &[Rule], split: usize) -> (Vec<String>, Vec<Rule>) {
    let mut ordered = Vec::new();
    let texts = [&rules[..split], &rules[split..]].map(|part| {
        let mut text = "groups:\n".to_owned();
        for group in ["g", "h"] {
            let rules: Vec<&Rule> = part.iter().filter(|rule| rule.group == group).collect();
            if rules.is_empty() {
                continue;
            }
            writeln!(text, "- name: {group}\n  rules:").unwrap();
            for rule in rules {
                writeln!(text, "  - {}", rule.yaml()).unwrap();
                ordered.push(rule.clone());
            }
        }
        if text.lines().count() == 1 {
            "groups: []\n".to_owned()
        } else {
            text
        }
    });
    (texts.to_vec(), ordered)
}

/// The number of each rule among those that are equal in group, name and static labels.
fn copies(rules: &[Rule]) -> Vec<usize> {
    let mut seen: HashMap<(&str, &str, Map), usize> = HashMap::new();
    let numbers = rules.iter().map(|rule| {
        let key = (rule.group, rule.name, rule.static_labels());
        let count = seen.entry(key).or_default();
        *count += 1;
        *count
    });
    numbers.collect()
}

/// What a service with these rule files serves after its first tick.
async fn served(texts: &[String]) -> (String, Value) {
    let registry = Registry::built_in();
    let config = "global: {scrape_interval: 10s}\nmodel: {id: m}\n\
                  scrape: {targets: [{url: 'http://127.0.0.1:1/metrics', labels: {instance: own, pod: p}}]}\n";
    let mut builder = Service::builder(Config::from_yaml(config).unwrap());
    for (index, text) in texts.iter().enumerate() {
        builder = builder.rules(&format!("{index}.yaml"), text);
    }
    let service = builder.registry(registry).producer("own", Target).build();
    let service = service.unwrap_or_else(|error| panic!("{error}\n{texts:?}"));
    let server = Server::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", server.address());
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let asking = async {
        until("ready", SOON, async || {
            get_text(&format!("{url}/-/ready")).await
        })
        .await;
        let request = reqwest::Client::new()
            .get(format!("{url}/metrics"))
            .header("accept", "application/openmetrics-text");
        let page = request.send().await.unwrap().text().await.unwrap();
        let signals = get_json(&format!("{url}/api/v1/signals")).await.unwrap();
        drop(stop);
        (page, signals)
    };
    let run = service.run(server, async {
        // An error means that the sender is gone, which is the signal.
        drop(stopped.await);
    });
    let (ended, served) = tokio::join!(run, asking);
    ended.unwrap();
    served
}

const STRICT: &str = "
import json, sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families
print(json.dumps([[[s.name, s.labels, float(s.value)] for f in text_string_to_metric_families(page) for s in f.samples] for page in json.load(sys.stdin)]))
";

type Samples = Vec<(String, Map, f64)>;

/// The samples of each page; `None` without the strict parser.
fn parsed(pages: &[String]) -> Option<Vec<Samples>> {
    let Some(python) = std::env::var_os("SIDEWATCH_PYTHON") else {
        assert!(
            std::env::var_os("SIDEWATCH_REQUIRE_TOOLS").is_none(),
            "SIDEWATCH_PYTHON names no Python with prometheus_client"
        );
        eprintln!("skipped: SIDEWATCH_PYTHON is not set");
        return None;
    };
    let mut child = Command::new(python)
        .args(["-c", STRICT])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let text = serde_json::to_string(pages).unwrap();
    input.write_all(text.as_bytes()).unwrap();
    drop(input);
    let mut output = String::new();
    child
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut output)
        .unwrap();
    assert!(child.wait().unwrap().success());
    Some(serde_json::from_str(&output).unwrap())
}

/// The series of a family: labels and value. No two are equal.
fn family(samples: &Samples, name: &str) -> Vec<(Map, f64)> {
    let found = samples.iter().filter(|(found, ..)| found == name);
    let series: Vec<(Map, f64)> = found
        .map(|(_, labels, value)| (labels.clone(), *value))
        .collect();
    let labels: BTreeSet<&Map> = series.iter().map(|(labels, _)| labels).collect();
    assert_eq!(
        labels.len(),
        series.len(),
        "{name} has a series twice: {series:#?}"
    );
    series
}

fn sorted(mut labels: Vec<Map>) -> Vec<Map> {
    labels.sort();
    labels
}

/// Compares the page with what each rule should export.
fn check_page(rules: &[Rule], samples: &Samples) {
    let copies = copies(rules);
    let numbered = || rules.iter().zip(&copies);
    let firing = numbered()
        .filter(|(rule, _)| rule.kind != Kind::Record)
        .map(|(rule, copy)| (with(&rule.exported(*copy), "state", "firing"), rule.firing));
    let firing: BTreeMap<Map, u64> = firing.collect();
    let active = family(samples, "sidewatch_active_alerts");
    assert_eq!(active.len(), firing.len() * 2, "{rules:#?}");
    for (labels, value) in active {
        let expected = firing.get(&labels).copied().unwrap_or(0);
        assert!(
            labels["state"] == "pending" || firing.contains_key(&labels),
            "{labels:?} of {rules:#?}"
        );
        #[expect(clippy::cast_precision_loss, reason = "a few alerts")]
        let expected = expected as f64;
        assert!(
            (value - expected).abs() < 0.5,
            "{labels:?} is {value} of {rules:#?}"
        );
    }
    for name in [
        "sidewatch_rule_evaluations_total",
        "sidewatch_rule_evaluation_failing",
        "sidewatch_mapping_missing",
    ] {
        let exported = numbered().map(|(rule, copy)| rule.exported(*copy));
        let found = family(samples, name).into_iter().map(|(labels, _)| labels);
        assert_eq!(
            sorted(found.collect()),
            sorted(exported.collect()),
            "{name}"
        );
    }
    let without_id = |(mut labels, _): (Map, f64)| {
        labels.remove("signal");
        labels
    };
    let found = family(samples, "sidewatch_metric_value")
        .into_iter()
        .map(without_id);
    let expected = numbered().flat_map(|(rule, copy)| rule.signals(*copy));
    assert_eq!(
        sorted(found.collect()),
        sorted(expected.collect()),
        "{rules:#?}"
    );
    let judged = numbered().filter(|(rule, _)| rule.kind == Kind::Watch);
    let anomaly = family(samples, "sidewatch_anomaly");
    let expected = judged.flat_map(|(rule, copy)| rule.signals(*copy));
    assert_eq!(
        sorted(anomaly.into_iter().map(without_id).collect()),
        sorted(expected.collect())
    );
}

fn with(labels: &Map, name: &str, value: &str) -> Map {
    let mut labels = labels.clone();
    labels.insert(name.to_owned(), value.to_owned());
    labels
}

/// One signal for each series of each rule, with an id and a chart of its own.
fn check_signals(rules: &[Rule], answer: &Value) {
    let signals = answer["data"]["signals"].as_array().unwrap();
    let expected: usize = rules.iter().map(|rule| rule.signals(1).len()).sum();
    assert_eq!(signals.len(), expected, "{rules:#?}");
    let ids: BTreeSet<&str> = signals.iter().map(|s| s["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), signals.len(), "{signals:#?}");
    for signal in signals {
        let last = signal["points"].as_array().unwrap().last().unwrap();
        assert_eq!(last["value"], signal["value"], "{signal}");
        assert_eq!(last["state"], signal["state"], "{signal}");
    }
}

#[tokio::test]
async fn nothing_that_is_exported_merges_two_rules() {
    let mut random = SplitMix64::new(4);
    let mut tried = Vec::new();
    let mut pages = Vec::new();
    for _ in 0..FILES {
        let count = usize::try_from(random.next_u64() % 6).unwrap() + 1;
        let rules: Vec<Rule> = (0..count).map(|_| Rule::random(&mut random)).collect();
        let split = usize::try_from(random.next_u64()).unwrap() % (count + 1);
        let (texts, rules) = files(&rules, split);
        let (page, signals) = served(&texts).await;
        check_signals(&rules, &signals);
        pages.push(page);
        tried.push(rules);
    }
    let Some(parsed) = parsed(&pages) else { return };
    for (rules, samples) in tried.iter().zip(&parsed) {
        check_page(rules, samples);
    }
}
