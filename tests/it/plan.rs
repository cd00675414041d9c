//! `sidewatch plan` against a real Prometheus with a week of every kind of server in the corpus.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::time::Duration;

use serde_json::Value;
use sidewatch::internals::runtime::clock;
use tokio::time::Instant;

use super::support::{documented, recordings, start_prometheus};

/// Labels as text, and a value.
type Sample = (String, f64);

const HOUR: i64 = 3600;
/// Hours in a week.
const HOURS: i64 = 168;

/// A server's first answer, and the pod that it runs in.
type Server = (String, &'static str);

fn servers() -> Vec<Server> {
    let recordings = recordings();
    let recorded = |server: &str, pod| {
        let body = recordings.path().join(server).join("accept_default.txt");
        (fs::read_to_string(body).unwrap(), pod)
    };
    vec![
        recorded("custom_multiprocess", "score-7d9f8b6c54-x2x9z"),
        recorded("custom_prometheus_client", "iris-0"),
        recorded("kserve", "sklearn-iris-predictor-7d9f8b6c5-abcde"),
        (documented::xinference(), "xinference-0"),
        recorded("mlserver", "income-0"),
        (documented::tgi(), "mistral-0"),
        recorded("torchserve", "resnet-0"),
        recorded("triton", "bert-0"),
        (documented::poor_vllm("facebook/opt-125m"), "opt-0"),
        (
            documented::vllm("meta-llama/Meta-Llama-3-8B"),
            "llama-3-8b-6b7c8d9f5c-q2w4e",
        ),
    ]
}

/// The samples of a body: the series as written, and the value.
fn samples(text: &str) -> Vec<(String, f64)> {
    let lines = text
        .lines()
        .filter(|line| !line.starts_with('#') && !line.trim().is_empty());
    let mut seen = BTreeSet::new();
    let split = lines.filter_map(|line| {
        let end = line
            .rfind('}')
            .map_or_else(|| line.find(' '), |brace| Some(brace + 1))?;
        let (series, rest) = line.split_at(end);
        let value = rest.split_whitespace().next()?.parse::<f64>().ok()?;
        seen.insert(series.to_owned())
            .then(|| (series.to_owned(), value))
    });
    split.filter(|(_, value)| value.is_finite()).collect()
}

/// A week of series with target labels. Counters rise at a constant rate, gauges are constant.
fn week(end: i64) -> String {
    let mut families: BTreeMap<String, Vec<Sample>> = BTreeMap::new();
    for (index, (body, pod)) in servers().iter().enumerate() {
        for (series, value) in samples(body) {
            let (name, labels) = series.split_once('{').unwrap_or((&series, "}"));
            let labels = labels.trim_end_matches(['}', ',']);
            let comma = if labels.is_empty() { "" } else { "," };
            // Two servers have their own jobs; the others are in the job of all annotated pods.
            let job = if index < 2 { pod } else { &"kubernetes-pods" };
            let full = format!(
                "{name}{{{labels}{comma}job=\"{job}\",namespace=\"ml\",pod=\"{pod}\",instance=\"10.0.0.{index}:8000\"}}"
            );
            families
                .entry(name.to_owned())
                .or_default()
                .push((full, value));
        }
    }
    let mut text = String::new();
    for (name, series) in families {
        writeln!(text, "# TYPE {name} unknown").unwrap();
        for (full, value) in series {
            let rises = [
                "_total",
                "_count",
                "_sum",
                "_bucket",
                "_success",
                "_us",
                "_infer_request_duration",
            ]
            .iter()
            .any(|end| name.ends_with(end));
            // Three scrapes at the end of every hour are enough for a rate at that time.
            for hour in 0..=HOURS {
                for at in [-40, -20, 0].map(|late| end - (HOURS - hour) * HOUR + late) {
                    let passed = 1.0 + (at - end) as f64 / HOUR as f64 + HOURS as f64;
                    let now = if rises { value * passed } else { value };
                    writeln!(text, "{full} {now} {at}").unwrap();
                }
            }
        }
    }
    text + "# EOF\n"
}

#[expect(clippy::too_many_lines, reason = "all assertions about one plan")]
#[tokio::test]
async fn a_plan_finds_every_kind_of_server_within_a_minute() {
    let end = clock::now().as_secs_f64() as i64 / HOUR * HOUR;
    let past = week(end);
    let dir = tempfile::tempdir().unwrap();
    let Some((_prometheus, url)) = start_prometheus(dir.path(), Some(&past), "{}\n").await else {
        return;
    };
    drop(past);
    let started = Instant::now();
    let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_sidewatch"))
        .args([
            "plan",
            "--prometheus",
            &url,
            "--range",
            "7d",
            "--format",
            "json",
        ])
        .args(["--report", "plan.html", "--out", "install"])
        .current_dir(dir.path())
        .output()
        .await
        .unwrap();
    let took = started.elapsed();
    eprintln!("a plan of a week took {took:?}");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(took < Duration::from_secs(60), "{took:?}");
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["step"], 300.0);
    let models = answer["models"].as_array().unwrap();
    let text = |model: &Value, key: &str| model[key].as_str().unwrap().to_owned();
    let found: BTreeSet<(String, String)> = models
        .iter()
        .map(|model| (text(model, "name"), text(model, "pack")))
        .collect();
    let expected = [
        ("score", "prometheus-client"),
        ("iris", "prometheus-client"),
        ("sklearn-iris-predictor", "kserve"),
        ("income", "mlserver"),
        ("mistral", "tgi"),
        ("resnet", "torchserve"),
        ("bert", "triton"),
        ("opt", "vllm"),
        ("llama-3-8b", "vllm"),
    ];
    let expected = expected.map(|(name, pack)| (name.to_owned(), pack.to_owned()));
    assert_eq!(found, BTreeSet::from(expected));
    let others: Vec<&Value> = answer["without_pack"].as_array().unwrap().iter().collect();
    assert_eq!(others.len(), 1, "{others:?}");
    assert!(text(others[0], "why").contains("Xinference"));

    let of = |name: &str| models.iter().find(|model| model["name"] == name).unwrap();
    let signals = |name: &str| of(name)["signals"].as_array().unwrap().len();
    assert!(signals("llama-3-8b") > 3, "{}", of("llama-3-8b"));
    assert!(signals("bert") > 1, "{}", of("bert"));
    // This server lacks metrics of the pack, and the plan names them.
    let missing = of("opt")["missing"].as_array().unwrap();
    assert!(
        missing
            .iter()
            .any(|one| text(one, "why").contains("the server does not expose vllm:")),
        "{missing:?}"
    );

    let html = fs::read_to_string(dir.path().join("plan.html")).unwrap();
    assert!(html.contains("llama-3-8b") && html.contains("<svg"));
    for url in ["src=\"http", "href=\"http", "<script"] {
        assert!(!html.contains(url), "the report is self-contained");
    }
    // The generated configuration is valid.
    let check = tokio::process::Command::new(env!("CARGO_BIN_EXE_sidewatch"))
        .args(["check", "config", "install/ml-llama-3-8b/sidewatch.yaml"])
        .current_dir(dir.path())
        .output()
        .await
        .unwrap();
    assert_ne!(
        check.status.code(),
        Some(1),
        "{}",
        String::from_utf8_lossy(&check.stdout)
    );
    let values = fs::read_to_string(dir.path().join("install/ml-llama-3-8b/values.yaml")).unwrap();
    let values: Value = serde_yaml::from_str(&values).unwrap();
    assert_eq!(values["rules"]["packs"][0], "vllm");
    let source = &values["judge"]["source"];
    assert!(
        source["prometheus"]
            .as_str()
            .unwrap()
            .starts_with("http://127.0.0.1:")
    );
    assert!(source["matchers"][0].as_str().unwrap().contains("job="));
    assert_eq!(values["judge"]["backfill"]["range"], "1w");
}
