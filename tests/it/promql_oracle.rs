//! The evaluator beside the real Prometheus: the same random series, the same random expressions,
//! the same values to a billionth.
//!
//! Known differences of Prometheus 2.42, which the generator avoids:
//! - ranges and lookback closed on the left: no sample and no step lies on a boundary, and
//!   subqueries are not nested;
//! - the zero clamp before the 1.1 threshold: counters stay far from zero;
//! - no tolerance for noise between buckets: buckets are sums of whole numbers;
//! - the variance of a single NaN is 0: no NaN comes into `stddev` and `stdvar`;
//! - `atan2` keeps the name: not generated;
//! - `.` in a regular expression does not match a newline, `holt_winters` has no other name, no
//!   UTF-8 names, no `fill`, no functions of Prometheus 3: not generated.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value as Json;
use sidewatch_engine::metric::{Labels, Timestamp};
use sidewatch_engine::promql::{Batch, Expr, Query, Samples, format_value};

use super::promql_random::{Random, Target, expression, scrape_time};
use super::support::{Process, free_port, get_text, tool, until};

/// Another seed is another test: `SIDEWATCH_SEED=7 scripts/promql-oracle`.
fn seed() -> u64 {
    let given = std::env::var("SIDEWATCH_SEED").ok();
    given.map_or(20_260_824, |seed| seed.parse().unwrap())
}

const START: i64 = 1_600_000_000_000;
const SCRAPES: usize = 160;
const EXPRESSIONS: usize = 300;
const TIMES: usize = 8;

fn history() -> BTreeMap<Labels, Samples> {
    let mut random = Random::new(seed());
    let mut targets = [Target::new(seed(), "i0"), Target::new(seed() + 1, "i1")];
    let mut history: BTreeMap<Labels, Samples> = BTreeMap::new();
    for number in 0..SCRAPES {
        for target in &mut targets {
            let at = scrape_time(START, number, &mut random);
            for (labels, value) in target.scrape() {
                history.entry(labels).or_default().push((at, value));
            }
        }
    }
    history
}

/// The series as OpenMetrics text with timestamps.
fn openmetrics(history: &BTreeMap<Labels, Samples>) -> String {
    let mut text = String::new();
    let mut name = "";
    for (labels, samples) in history.iter().collect::<BTreeMap<_, _>>() {
        if labels.name() != Some(name) {
            name = labels.name().unwrap();
            writeln!(text, "# TYPE {name} unknown").unwrap();
        }
        for (at, value) in samples {
            let labels = labels.to_string().replace("\", ", "\",");
            writeln!(
                text,
                "{labels} {} {}",
                format_value(*value),
                at.as_secs_f64()
            )
            .unwrap();
        }
    }
    text + "# EOF\n"
}

fn import(promtool: &Path, dir: &Path, text: &str) {
    let file = dir.join("series.om");
    std::fs::write(&file, text).unwrap();
    let data = dir.join("data");
    let args = ["tsdb", "create-blocks-from", "openmetrics"];
    let output = Command::new(promtool)
        .args(args)
        .arg(&file)
        .arg(&data)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// What one of the two answers: values by labels, or the fact of an error.
type Answer = Result<BTreeMap<String, f64>, String>;

async fn theirs(client: &reqwest::Client, url: &str, text: &str, at: Timestamp) -> Answer {
    let time = at.as_secs_f64().to_string();
    let form = [("query", text), ("time", time.as_str())];
    let response = client.post(url).form(&form).send().await.unwrap();
    let answer: Json = serde_json::from_str(&response.text().await.unwrap()).unwrap();
    if answer["status"] != "success" {
        return Err(answer["error"].as_str().unwrap_or("").to_owned());
    }
    let result = answer["data"]["result"].as_array().unwrap();
    let element = |element: &Json| {
        let labels: BTreeMap<String, String> =
            serde_json::from_value(element["metric"].clone()).unwrap();
        let value = element["value"][1].as_str().unwrap().parse().unwrap();
        (Labels::new(labels).to_string(), value)
    };
    Ok(result.iter().map(element).collect())
}

fn ours(query: &mut Query, batch: &Batch, at: Timestamp) -> Answer {
    let evaluation = query.eval(batch, at).map_err(|error| error.to_string())?;
    let samples = evaluation
        .value
        .into_vector(at)
        .map_err(|error| error.to_string())?;
    Ok(samples
        .into_iter()
        .map(|sample| (sample.labels.to_string(), sample.value))
        .collect())
}

fn is_close(a: f64, b: f64) -> bool {
    a.to_bits() == b.to_bits()
        || (a.is_nan() && b.is_nan())
        || (a - b).abs() <= 1e-9 * a.abs().max(b.abs())
}

fn agree(ours: &Answer, theirs: &Answer) -> bool {
    match (ours, theirs) {
        (Ok(ours), Ok(theirs)) => {
            ours.len() == theirs.len()
                && ours
                    .iter()
                    .zip(theirs)
                    .all(|(o, t)| o.0 == t.0 && is_close(*o.1, *t.1))
        }
        (Err(_), Err(_)) => true,
        _ => false,
    }
}

#[tokio::test]
async fn values_are_those_of_the_real_prometheus() {
    let (Some(prometheus), Some(promtool)) = (tool("prometheus"), tool("promtool")) else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let history = history();
    import(&promtool, dir.path(), &openmetrics(&history));
    std::fs::write(dir.path().join("empty.yml"), "{}\n").unwrap();
    let address = format!("127.0.0.1:{}", free_port());
    let listen = format!("--web.listen-address={address}");
    let args = [
        "--config.file=empty.yml",
        "--storage.tsdb.path=data",
        "--storage.tsdb.retention.time=100y",
        &listen,
    ];
    let server = Process::start(&prometheus, &args, dir.path());
    let ready = format!("http://{address}/-/ready");
    until(
        "Prometheus to be ready",
        Duration::from_secs(60),
        async || get_text(&ready).await,
    )
    .await;

    let batch = Batch::new(history);
    let client = reqwest::Client::new();
    let url = format!("http://{address}/api/v1/query");
    let mut random = Random::new(seed());
    let (mut compared, mut with_values, mut differences) = (0, 0, Vec::new());
    for number in 0..EXPRESSIONS {
        let text = expression(&mut random, number % 4);
        let mut query = Query::new(Expr::parse(&text).unwrap());
        for _ in 0..TIMES {
            let second = random.below(SCRAPES * 15 + 300) as u64;
            let at = Timestamp::from_millis(START + 500) + Duration::from_secs(second);
            let (ours, theirs) = (
                ours(&mut query, &batch, at),
                theirs(&client, &url, &text, at).await,
            );
            compared += 1;
            with_values += usize::from(theirs.as_ref().is_ok_and(|values| !values.is_empty()));
            if !agree(&ours, &theirs) {
                differences.push(format!("{text} @ {at}\nours   {ours:?}\ntheirs {theirs:?}"));
            }
        }
    }
    drop(server);
    println!(
        "compared {compared}, with values {with_values}, different {}",
        differences.len()
    );
    assert!(
        compared >= 2000 && with_values >= 1000,
        "{compared} comparisons, {with_values} with values"
    );
    let shown: Vec<&String> = differences.iter().take(5).collect();
    assert!(
        differences.is_empty(),
        "{} of {compared} differ: {shown:#?}",
        differences.len()
    );
}
