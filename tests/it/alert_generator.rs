//! Every notification of the binary beside those of the real Prometheus, for the same samples and
//! rules: both scrape one target and post to one recorder.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::support::recorder::{Notice, Recorder, Side, Span};
use super::support::{Process, free_port, get_json, get_text, tool, until};

const RESEND: Duration = Duration::from_secs(3);
/// Four times the longer of interval and resend delay.
const LEASE: Duration = Duration::from_secs(12);
/// One group interval and one scrape: the two programs take turns at their own times.
const TOLERANCE: Duration = Duration::from_secs(3);

/// The samples for some seconds: `load` of two pods, and `spare`, which may be absent.
struct Phase {
    scrapes: usize,
    load: [u32; 2],
    spare: Option<u32>,
}

const fn phase(scrapes: usize, load: [u32; 2], spare: Option<u32>) -> Phase {
    Phase {
        scrapes,
        load,
        spare,
    }
}

/// Every phase is long beside the interval of two seconds and the `for` of six.
const PHASES: [Phase; 6] = [
    phase(7, [1, 1], Some(1)),
    phase(12, [9, 1], Some(9)),
    phase(12, [90, 90], Some(9)),
    phase(10, [1, 1], None),
    phase(12, [9, 1], Some(9)),
    phase(10, [1, 1], None),
];

impl Phase {
    fn page(&self) -> String {
        let [a, b] = self.load;
        let spare = self.spare.map(|value| format!("spare {value}\n"));
        format!("load{{pod=\"a\"}} {a}\nload{{pod=\"b\"}} {b}\n") + &spare.unwrap_or_default()
    }
}

const RULES: &str = r#"groups:
- name: life
  interval: 2s
  rules:
  - {alert: Held, expr: load > 5, for: 6s, labels: {severity: page}, annotations: {summary: 'load of {{ $labels.pod }} is {{ $value }}'}}
  - {alert: AtOnce, expr: load > 5, annotations: {summary: '{{ $value | humanize }}'}}
  - {alert: NextTime, expr: load > 5, for: 1s}
  - {alert: NeverLongEnough, expr: load > 5, for: 60s}
  - {alert: KeepsFiring, expr: load > 50, keep_firing_for: 5s, annotations: {summary: '{{ $value }}'}}
  - {alert: Withdrawn, expr: spare > 5, annotations: {summary: '{{ $value }}'}}
- name: order
  interval: 2s
  rules:
  - {alert: First, expr: load > 5}
  - {alert: SeesFirst, expr: 'count by (pod) (ALERTS{alertname="First", alertstate="firing"})', annotations: {summary: '{{ $value }} of {{ $labels.pod }}'}}
  - {record: load:double, expr: load * 2, labels: {source: rule}}
  - {alert: SeesRecord, expr: load:double > 10, annotations: {summary: '{{ $labels.source }}: {{ $value }}'}}
- name: labels
  interval: 2s
  rules:
  - {alert: Deep, expr: load > 5, for: 2s, labels: {severity: warning}, annotations: {summary: 'warning at {{ $value }}'}}
  - {alert: Deep, expr: load > 50, for: 2s, labels: {severity: critical}, annotations: {summary: 'critical at {{ $value }}'}}
  - {alert: Overridden, expr: load > 5, labels: {pod: 'pod-{{ $labels.pod }}', team: '{{ $labels.pod | toUpper }}/{{ "x y" | reReplaceAll " " "-" }}'}}
  - {alert: Unlabelled, expr: 'load{pod="a"} > 5', labels: {pod: ''}, annotations: {summary: '{{ $labels.pod }}'}}
  - {alert: RendersEmpty, expr: 'load{pod="a"} > 5', labels: {team: '{{ $labels.none }}'}, annotations: {summary: '{{ $labels.none }}', description: ''}}
  - {alert: Asks, expr: 'load{pod="a"} > 5', annotations: {summary: '{{ range query "load" | sortByLabel "pod" }}{{ .Labels.pod }}={{ .Value }} {{ end }}'}}
- name: ambiguous
  interval: 2s
  rules:
  - {alert: Twins, expr: load > 0, labels: {pod: both}}
  - {alert: TwinsLater, expr: load > 5, labels: {pod: both}}
"#;

/// The alert whose rule fails while it fires: Prometheus then lets it run out, and Sidewatch goes on
/// sending it, as documented.
const FAILS_WHILE_FIRING: &str = "TwinsLater";

fn write_files(dir: &Path, host: &str, ours: &str) {
    let scrapes = "global: {scrape_interval: 1s, scrape_timeout: 900ms";
    let prometheus = format!(
        "{scrapes}}}\n\
         rule_files: [rules.yaml]\n\
         scrape_configs:\n- job_name: model\n  metrics_path: /prometheus/metrics\n  \
         static_configs: [{{targets: [\"{host}\"]}}]\n  \
         relabel_configs: [{{target_label: instance, replacement: a}}]\n\
         alerting:\n  alert_relabel_configs: [{{action: labeldrop, regex: job|instance}}]\n  \
         alertmanagers: [{{path_prefix: /prometheus, static_configs: [{{targets: [\"{host}\"]}}]}}]\n"
    );
    let sidewatch = format!(
        "{scrapes}, external_url: \"http://{ours}\"}}\n\
         rule_files: [rules.yaml]\n\
         scrape: {{targets: [{{url: \"http://{host}/sidewatch/metrics\", labels: {{job: model, instance: a}}}}]}}\n\
         alerting:\n  resend_delay: {}s\n  \
         alert_relabel_configs: [{{action: labeldrop, regex: job|instance|model_id}}]\n  \
         alertmanagers: [{{url: \"http://{host}/sidewatch\"}}]\n",
        RESEND.as_secs()
    );
    fs::write(dir.join("rules.yaml"), RULES).unwrap();
    fs::write(dir.join("prometheus.yaml"), prometheus).unwrap();
    fs::write(dir.join("sidewatch.yaml"), sidewatch).unwrap();
}

/// Both programs in their folder, with their base URLs.
fn start(prometheus: &Path, dir: &Path, host: &str) -> [(Process, String); 2] {
    let resend = format!("--rules.alert.resend-delay={}s", RESEND.as_secs());
    let address = || format!("127.0.0.1:{}", free_port());
    let (theirs, ours) = (address(), address());
    write_files(dir, host, &ours);
    let listen = |address: &str| format!("--web.listen-address={address}");
    let args = [
        "--config.file=prometheus.yaml",
        "--storage.tsdb.path=data",
        &resend,
        &listen(&theirs),
    ];
    let prometheus = Process::start(prometheus, &args, dir);
    let args = ["run", "--config.file=sidewatch.yaml", &listen(&ours)];
    let sidewatch = Process::sidewatch(&args, dir);
    [
        (prometheus, format!("http://{theirs}")),
        (sidewatch, format!("http://{ours}")),
    ]
}

/// The health of the rules of this name.
async fn health(url: &str, name: &str) -> Vec<Value> {
    let rules = get_json(&format!("{url}/api/v1/rules")).await.unwrap();
    let groups = rules["data"]["groups"].as_array().unwrap().iter();
    let rules = groups.flat_map(|group| group["rules"].as_array().unwrap());
    let named = rules.filter(|rule| rule["name"] == name);
    named.map(|rule| rule["health"].clone()).collect()
}

/// How two timelines of one alert differ; empty if they agree.
fn differences(labels: &str, theirs: &[Span], ours: &[Span]) -> Vec<String> {
    let mut found = Vec::new();
    if theirs.len() != ours.len() {
        found.push(format!("{} spans, not {}", ours.len(), theirs.len()));
    }
    for (n, (theirs, ours)) in theirs.iter().zip(ours).enumerate() {
        let mut check = |what: &str, is_equal: bool| {
            if !is_equal {
                found.push(format!("span {n}: {what}"));
            }
        };
        check("the state", theirs.is_firing == ours.is_firing);
        check("the annotations", theirs.texts == ours.texts);
        check("the start", theirs.starts.is_near(ours.starts, TOLERANCE));
        check(
            "the end",
            match (theirs.ends, ours.ends) {
                (Some(theirs), Some(ours)) => theirs.is_near(ours, TOLERANCE),
                (theirs, ours) => theirs.is_none() && ours.is_none(),
            },
        );
        if labels.contains(FAILS_WHILE_FIRING) && n == 0 {
            let is_longer = ours.count > theirs.count;
            check("it must be sent while the rule fails", is_longer);
        } else {
            let apart = theirs.count.abs_diff(ours.count);
            check("how often it was sent", apart <= 1);
        }
    }
    found
}

/// What every notification must be by itself.
fn check_notice(notice: &Notice) {
    assert!(notice.url.starts_with("http://"), "{notice:?}");
    if notice.is_firing() {
        let lease = notice.ends.since(notice.received);
        assert!(lease <= LEASE && lease + TOLERANCE > LEASE, "{notice:?}");
    } else {
        assert!(notice.ends >= notice.starts, "{notice:?}");
    }
}

#[tokio::test]
async fn every_notification_is_the_one_that_prometheus_sends_for_the_same_samples() {
    let Some(prometheus) = tool("prometheus") else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let recorder = Recorder::start(PHASES.iter().map(Phase::page).collect()).await;
    let processes = start(&prometheus, dir.path(), &recorder.host());
    for (number, phase) in PHASES.iter().enumerate() {
        recorder.enter(number);
        let deadline = Duration::from_secs(60);
        let what = format!("the scrapes of phase {number}");
        until(&what, deadline, async || {
            recorder.served(number, phase.scrapes)
        })
        .await;
        if number == 2 {
            for (_, url) in &processes {
                let found = (health(url, "Twins").await, health(url, "TwinsLater").await);
                assert_eq!(found, (vec!["err".into()], vec!["err".into()]), "{url}");
            }
        }
    }
    let (theirs, ours) = (
        recorder.notices(Side::Prometheus),
        recorder.notices(Side::Sidewatch),
    );
    let timelines = (recorder.timelines(&theirs), recorder.timelines(&ours));
    compare(&timelines.0, &timelines.1);
    check_scenario(&timelines.0);
    theirs.iter().chain(&ours).for_each(check_notice);
    let links: BTreeSet<&str> = ours.iter().map(|notice| notice.url.as_str()).collect();
    for link in links {
        get_text(link)
            .await
            .unwrap_or_else(|error| panic!("{link}: {error}"));
    }
}

type Timelines = BTreeMap<String, Vec<Span>>;

/// Fails with both timelines of every alert that differs.
fn compare(theirs: &Timelines, ours: &Timelines) {
    let labels: BTreeSet<&String> = theirs.keys().chain(ours.keys()).collect();
    let mut report = String::new();
    for labels in labels {
        let empty = Vec::new();
        let (theirs, ours) = (
            theirs.get(labels).unwrap_or(&empty),
            ours.get(labels).unwrap_or(&empty),
        );
        let found = differences(labels, theirs, ours);
        if found.is_empty() {
            continue;
        }
        report += &format!("{labels}: {}\n", found.join("; "));
        for (name, spans) in [("prometheus", theirs), ("sidewatch", ours)] {
            for span in spans {
                report += &format!("  {name:10} {span}\n");
            }
        }
    }
    assert!(report.is_empty(), "\n{report}");
}

/// The samples led Prometheus through every case that the rules are about.
fn check_scenario(theirs: &Timelines) {
    let states = |name: &str| -> Vec<(String, usize)> {
        let named = theirs
            .iter()
            .filter(|(labels, _)| labels.contains(&format!("\"{name}\"")));
        named
            .map(|(labels, spans)| (labels.clone(), spans.len()))
            .collect()
    };
    let spans =
        |name: &str| -> Vec<usize> { states(name).into_iter().map(|(_, count)| count).collect() };
    // Fired, ended, fired again and ended again; or once only.
    for name in [
        "Held",
        "AtOnce",
        "NextTime",
        "SeesFirst",
        "SeesRecord",
        "Overridden",
    ] {
        assert_eq!(spans(name), [4, 2], "{name}: {:?}", states(name));
    }
    for name in [
        "Withdrawn",
        "Unlabelled",
        "RendersEmpty",
        "Asks",
        "TwinsLater",
    ] {
        assert_eq!(spans(name), [4], "{name}: {:?}", states(name));
    }
    assert_eq!(spans("KeepsFiring"), [2, 2]);
    assert_eq!(spans("Deep"), [2, 4, 2, 2], "{:?}", states("Deep"));
    assert_eq!(spans("NeverLongEnough").len() + spans("Twins").len(), 0);
}
