//! `sidewatch backtest`: equal results from every source, the output formats, the report, and the
//! comparison of rules.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use serde_json::Value as Json;
use sidewatch::internals::cli::backtest::{Backtest, Format, Source, Span};
use sidewatch::internals::history::{Prometheus, Range, Recording};
use sidewatch::internals::runtime::http;
use sidewatch_engine::metric::{Labels, MatchOp, Matcher, Selector, Timestamp};
use wiremock::matchers::{header, method, path};
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

use super::support::{Process, free_port, get_text, recordings, tool, until};

const START: i64 = 1_700_000_010;
/// More than Prometheus returns in one response.
const STEPS: i64 = 11_500;

const RULES: &str = "groups:
  - name: g
    rules:
      - record: share
        metric: accuracy
        expr: sum by (model) (rate(good_total[1m])) / sum by (model) (rate(all_total[1m]))
      - watch: ShareLow
        expr: share
        strategy: {type: static, bound: 0.9}
        for: 30s
        labels: {severity: page}
        annotations: {summary: 'share of {{ $labels.model }} is {{ $value | humanize }}'}
        retrain: {cooldown: 30m}
      - alert: Down
        expr: up == 0
        for: 30s
        annotations: {summary: 'down'}
";

/// The good predictions up to a step: the model is bad for an hour.
fn good(step: i64) -> i64 {
    let bad = (step - 4000).clamp(0, 240);
    10 * step - 2 * bad
}

/// The series of the model as OpenMetrics. The target is down for five minutes.
fn history() -> String {
    let mut text = String::new();
    let away = 9000..9020;
    let labels = "model=\"m\",job=\"ml\",instance=\"a:1\"";
    for (family, value) in [("good", good as fn(i64) -> i64), ("all", |step| 10 * step)] {
        writeln!(text, "# TYPE {family} counter").unwrap();
        for step in (0..STEPS).filter(|step| !away.contains(step)) {
            let at = START + 15 * step;
            writeln!(text, "{family}_total{{{labels}}} {} {at}", value(step)).unwrap();
        }
    }
    writeln!(text, "# TYPE up gauge").unwrap();
    for step in 0..STEPS {
        let (at, up) = (START + 15 * step, u8::from(!away.contains(&step)));
        writeln!(text, "up{{job=\"ml\",instance=\"a:1\"}} {up} {at}").unwrap();
    }
    text + "# EOF\n"
}

fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("rules.yaml"), RULES).unwrap();
    fs::write(dir.path().join("day.om"), history()).unwrap();
    dir
}

fn rules(dir: &Path) -> Vec<String> {
    vec![dir.join("rules.yaml").display().to_string()]
}

fn run(command: &Backtest) -> Result<String, String> {
    let mut out = Vec::new();
    command.run(&mut out).map_err(|error| error.to_string())?;
    Ok(String::from_utf8(out).unwrap())
}

fn json(command: &Backtest) -> Json {
    serde_json::from_str(&run(command).unwrap()).unwrap()
}

/// A time as whole seconds.
fn seconds(time: &Json) -> i64 {
    time.as_f64().unwrap().round() as i64
}

fn openmetrics(dir: &Path) -> Source {
    Source {
        openmetrics: Some(dir.join("day.om")),
        ..Source::default()
    }
}

/// Runs the binary with its output in pipes.
async fn binary(dir: &Path, args: &[&str]) -> Output {
    tokio::process::Command::new(env!("CARGO_BIN_EXE_sidewatch"))
        .args(["backtest", "--rules", "rules.yaml"])
        .args(args)
        .current_dir(dir)
        .output()
        .await
        .unwrap()
}

#[test]
fn an_openmetrics_file_gives_alerts_and_deliveries() {
    let dir = folder();
    let answer = json(&Backtest {
        rules: rules(dir.path()),
        source: openmetrics(dir.path()),
        format: Format::Json,
        ..Backtest::default()
    });
    let alerts: Vec<&Json> = answer["alerts"].as_array().unwrap().iter().collect();
    let rules: Vec<&str> = alerts.iter().map(|a| a["rule"].as_str().unwrap()).collect();
    assert_eq!(rules, ["ShareLow", "Down"]);
    // The rate over a minute falls to 0.8 within a minute of step 4000.
    let fired = seconds(&alerts[0]["fired_at"]) - (START + 15 * 4000);
    assert!((30..=90).contains(&fired), "{fired}");
    assert_eq!(alerts[0]["labels"]["instance"], "a:1");
    let down = seconds(&alerts[1]["pending_at"]);
    assert_eq!(down, START + 15 * 9000);
    assert_eq!(seconds(&alerts[1]["resolved_at"]) - down, 300);

    let deliveries = answer["deliveries"].as_array().unwrap();
    let of = |receiver: &str| {
        deliveries
            .iter()
            .filter(|d| d["receiver"] == receiver)
            .count()
    };
    // The model is bad for an hour, and the cool-down is half an hour.
    assert_eq!(of("webhook"), 2);
    assert_eq!(of("alertmanager"), 4, "{deliveries:#?}");
    let first = &deliveries[0];
    assert_eq!(
        (&first["state"], &first["at"]),
        (&"firing".into(), &alerts[0]["fired_at"])
    );
    // Repeated when more than a minute has passed: at a step of 15 s, every 75 s.
    let lasted = seconds(&alerts[0]["resolved_at"]) - seconds(&alerts[0]["fired_at"]);
    assert_eq!(first["times"].as_i64().unwrap(), (lasted + 74) / 75);
    assert_eq!(answer["steps"], STEPS);
    assert_eq!(answer["failed_scrapes"], 20);
}

#[test]
fn a_csv_table_gives_the_same_result_as_openmetrics() {
    let dir = folder();
    let mut table = "timestamp,good_total{model=\"m\",job=\"ml\",instance=\"a:1\"},\"all_total{model=\"\"m\"\",job=\"\"ml\"\",instance=\"\"a:1\"\"}\"\n".to_owned();
    for step in 3500..4500 {
        writeln!(table, "{},{},{}", START + 15 * step, good(step), 10 * step).unwrap();
    }
    fs::write(dir.path().join("day.csv"), table).unwrap();
    let start = (START + 15 * 3500).to_string();
    let answer = |source: Source, end: Option<String>| {
        json(&Backtest {
            rules: rules(dir.path()),
            source,
            span: Span {
                start: Some(start.clone()),
                end,
                ..Span::default()
            },
            format: Format::Json,
            ..Backtest::default()
        })
    };
    let csv = Source {
        csv: Some(dir.path().join("day.csv")),
        ..Source::default()
    };
    let from_csv = answer(csv, None);
    let end = (START + 15 * 4499).to_string();
    let from_series = answer(openmetrics(dir.path()), Some(end));
    assert_eq!(from_csv["alerts"].as_array().unwrap().len(), 1);
    for key in ["alerts", "signals", "deliveries", "steps"] {
        assert_eq!(from_csv[key], from_series[key], "{key}");
    }
}

#[tokio::test]
async fn a_real_prometheus_gives_the_same_result_as_the_imported_file() {
    let (Some(prometheus), Some(promtool)) = (tool("prometheus"), tool("promtool")) else {
        return;
    };
    let dir = folder();
    let import = std::process::Command::new(promtool)
        .args([
            "tsdb",
            "create-blocks-from",
            "openmetrics",
            "day.om",
            "data",
        ])
        .current_dir(dir.path())
        .output()
        .unwrap();
    assert!(
        import.status.success(),
        "{}",
        String::from_utf8_lossy(&import.stderr)
    );
    fs::write(dir.path().join("empty.yml"), "{}\n").unwrap();
    let address = format!("127.0.0.1:{}", free_port());
    let listen = format!("--web.listen-address={address}");
    let args = [
        "--config.file=empty.yml",
        "--storage.tsdb.path=data",
        "--storage.tsdb.retention.time=100y",
        &listen,
    ];
    let _server = Process::start(&prometheus, &args, dir.path());
    let ready = format!("http://{address}/-/ready");
    until("Prometheus", Duration::from_secs(60), async || {
        get_text(&ready).await
    })
    .await;

    let url = format!("http://{address}");
    let (start, end) = (START.to_string(), (START + 15 * (STEPS - 1)).to_string());
    let span = ["--step", "15s", "--start", &start, "--end", &end];
    let theirs = [&["--format", "json", "--prometheus", &url], &span[..]].concat();
    let theirs = binary(dir.path(), &theirs).await;
    assert!(
        theirs.status.success(),
        "{}",
        String::from_utf8_lossy(&theirs.stderr)
    );
    assert!(theirs.stderr.is_empty(), "no progress bar in a pipe");
    let ours = binary(dir.path(), &["--format", "json", "--openmetrics", "day.om"]).await;
    let parse = |output: &Output| serde_json::from_slice::<Json>(&output.stdout).unwrap();
    let (theirs, ours) = (parse(&theirs), parse(&ours));
    assert_eq!(ours["alerts"].as_array().unwrap().len(), 2);
    // While the target was down its last counts are still visible for five minutes, but it was not
    // scraped.
    for key in ["alerts", "deliveries", "steps", "failed_scrapes"] {
        assert_eq!(theirs[key], ours[key], "{key}");
    }
    assert_eq!(theirs["signals"], ours["signals"]);

    let wrong = binary(dir.path(), &["--prometheus", &url, "--start", "7d"]).await;
    let message = String::from_utf8_lossy(&wrong.stderr).into_owned();
    assert!(
        message.contains("has no series that the rules read between"),
        "{message}"
    );
}

/// A server that returns at most five steps in one response.
struct LimitedServer;

impl Respond for LimitedServer {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let form = String::from_utf8_lossy(&request.body).into_owned();
        let field = |name: &str| -> i64 {
            let mut pairs = form.split('&').filter_map(|pair| pair.split_once('='));
            pairs
                .find(|(key, _)| *key == name)
                .unwrap()
                .1
                .parse()
                .unwrap()
        };
        let (start, end, step) = (field("start"), field("end"), field("step"));
        if (end - start) / step >= 5 {
            let error = r#"{"status":"error","errorType":"execution","error":"query processing would load too many samples into memory in query execution"}"#;
            return ResponseTemplate::new(422).set_body_string(error);
        }
        let times = (0..).map(|index| start + index * step);
        let values: Vec<String> = times
            .take_while(|at| *at <= end)
            .map(|at| {
                format!(
                    "[{at},\"{}\"]",
                    if at == 1015 {
                        "NaN".to_owned()
                    } else {
                        at.to_string()
                    }
                )
            })
            .collect();
        ResponseTemplate::new(200).set_body_string(format!(
            r#"{{"status":"success","data":{{"resultType":"matrix","result":[{{"metric":{{"__name__":"x","a":"b"}},"values":[{}]}}]}}}}"#,
            values.join(",")
        ))
    }
}

#[tokio::test]
async fn a_range_that_is_too_large_for_the_server_is_queried_in_halves() {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .and(path("/prometheus/api/v1/query_range"))
        .and(header("authorization", "Bearer t0ken"))
        .respond_with(LimitedServer)
        .mount(&server)
        .await;
    let settings = http::Settings {
        auth: http::Auth::Authorization {
            scheme: "Bearer".to_owned(),
            credentials: "t0ken".into(),
        },
        ..http::Settings::default()
    };
    let prometheus = Prometheus::new(&format!("{}/prometheus/", server.uri()), settings);
    let range = Range {
        start: Timestamp::from_millis(1_000_000),
        end: Timestamp::from_millis(1_300_000),
        step: Duration::from_secs(15),
    };
    let name = Matcher::equal(Labels::NAME, "x");
    let label = Matcher::try_new("a", MatchOp::Regex, "b|c").unwrap();
    let both = [
        Selector::new(vec![name.clone()]),
        Selector::new(vec![name, label]),
    ];
    let mut recording = Recording::default();
    prometheus.read(&both, range, &mut recording).await.unwrap();
    assert_eq!(
        recording.series(),
        1,
        "both selectors match the same series"
    );
    let steps =
        sidewatch::internals::history::Steps::new(recording, (range.start, range.end), range.step);
    let bodies: Vec<String> = steps
        .map(|step| {
            let scrape = step.scrapes.into_iter().next().unwrap().unwrap();
            String::from_utf8_lossy(&scrape.body).into_owned()
        })
        .collect();
    assert_eq!(bodies.len(), 21);
    assert_eq!(bodies[1], "x{a=\"b\"} NaN\n");
    assert_eq!(bodies[20], "x{a=\"b\"} 1300\n");
}

#[test]
fn the_configuration_determines_the_receivers() {
    let dir = folder();
    let config = "global: {external_labels: {cluster: eu1}}
model: {id: fraud}
scrape: {targets: [{url: 'http://10.0.0.1:8000/metrics'}]}
rule_files: [rules.yaml]
alerting:
  alertmanagers: [{url: 'http://am:9093'}]
  alert_relabel_configs: [{source_labels: [alertname], regex: Down, action: drop}]
retraining:
  webhooks:
    - {name: argo, url: 'http://argo:12000/', matchers: ['rule=\"ShareLow\"', 'model_id=\"fraud\"']}
    - {name: other, url: 'http://other:12000/', matchers: ['model_id=\"churn\"']}
";
    let path = dir.path().join("sidewatch.yaml");
    fs::write(&path, config).unwrap();
    let answer = json(&Backtest {
        config_file: Some(path),
        source: openmetrics(dir.path()),
        format: Format::Json,
        ..Backtest::default()
    });
    let mut receivers: Vec<String> = Vec::new();
    for delivery in answer["deliveries"].as_array().unwrap() {
        let (receiver, rule) = (&delivery["receiver"], &delivery["rule"]);
        receivers.push(format!(
            "{} {}",
            receiver.as_str().unwrap(),
            rule.as_str().unwrap()
        ));
        assert_eq!(delivery["labels"]["model_id"], "fraud");
    }
    let expected = [
        "alertmanager ShareLow",
        "argo ShareLow",
        "argo ShareLow",
        "alertmanager ShareLow",
    ];
    assert_eq!(receivers, expected);
    assert_eq!(answer["deliveries"][0]["labels"]["cluster"], "eu1");
    assert_eq!(answer["alerts"].as_array().unwrap().len(), 2);
}

#[test]
fn two_sets_of_rules_are_compared_alert_by_alert() {
    let dir = folder();
    let stricter = RULES.replace("for: 30s\n        labels", "for: 5m\n        labels");
    let other = stricter
        .replace("alert: Down", "alert: Away")
        .replace("30m", "2h");
    fs::write(dir.path().join("other.yaml"), other).unwrap();
    let command = |format| Backtest {
        rules: rules(dir.path()),
        source: openmetrics(dir.path()),
        compare: vec![dir.path().join("other.yaml").display().to_string()],
        format,
        ..Backtest::default()
    };
    let answer = json(&command(Format::Json));
    let comparison = &answer["comparison"];
    assert_eq!(comparison["only_before"][0]["rule"], "Down");
    assert_eq!(comparison["only_after"][0]["rule"], "Away");
    let moved = &comparison["moved"][0];
    let at = |side: &str| seconds(&moved[side]["fired_at"]);
    assert_eq!(at("after") - at("before"), 270);
    assert_eq!(comparison["unchanged"], 0);
    assert_eq!(comparison["retraining_requests"]["before"], 2);
    assert_eq!(comparison["retraining_requests"]["after"], 1);
    let text = run(&command(Format::Text)).unwrap();
    let expected = "alerts: 2 before, 2 after (1 gone, 1 new, 1 moved)";
    assert!(text.contains(expected), "{text}");
}

#[test]
fn the_report_is_self_contained_and_escapes_its_contents() {
    let dir = folder();
    let hostile = RULES.replace("'down'", "'<script>alert(1)</script> & \"down\"'");
    fs::write(dir.path().join("rules.yaml"), hostile).unwrap();
    let report = dir.path().join("report.html");
    run(&Backtest {
        rules: rules(dir.path()),
        source: openmetrics(dir.path()),
        report: Some(report.clone()),
        ..Backtest::default()
    })
    .unwrap();
    let html = fs::read_to_string(report).unwrap();
    assert!(html.contains("2 alerts in 1d23h"));
    assert!(html.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
    for outside in ["<script", "http://", "https://", "src=", "@import", "url("] {
        assert!(!html.contains(outside), "{outside}");
    }
    assert_eq!(
        html.matches("class=\"value\"").count(),
        2,
        "one signal with one gap"
    );
}

#[test]
fn errors_name_the_file_or_the_flag() {
    let dir = folder();
    let backtest = |source: Source, step: Option<u64>| {
        run(&Backtest {
            rules: rules(dir.path()),
            source,
            step: step.map(Duration::from_secs),
            ..Backtest::default()
        })
        .unwrap_err()
    };
    fs::write(dir.path().join("other.om"), "x 1 10\n# EOF\n").unwrap();
    let other = Source {
        openmetrics: Some(dir.path().join("other.om")),
        ..Source::default()
    };
    let error = backtest(other, None);
    assert!(
        error.ends_with("other.om: has no samples of the series that the rules read"),
        "{error}"
    );
    assert_eq!(
        backtest(openmetrics(dir.path()), Some(0)),
        "--step: must be longer than 0s"
    );
}

/// Names of the packs in `rules/`.
fn packs() -> Vec<String> {
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules");
    let names = fs::read_dir(rules).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let packs = names.filter(|name| !name.ends_with(".test.yaml"));
    packs
        .filter_map(|name| name.strip_suffix(".yaml").map(str::to_owned))
        .collect()
}

/// Folders of the corpus with scrapes in them: `corpus/SERVER/FOLDER/snap_0001.txt`.
fn recorded(root: &Path) -> Vec<PathBuf> {
    let below = |dir: &Path| -> Vec<PathBuf> {
        let entries = fs::read_dir(dir).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        paths.filter(|path| path.is_dir()).collect()
    };
    let folders = below(root).into_iter().flat_map(|server| below(&server));
    folders
        .filter(|dir| dir.join("snap_0001.txt").is_file())
        .collect()
}

fn is_number_or_null(value: &Json) -> bool {
    value.is_null() || value.is_f64() || value.is_u64()
}

/// Checks the documented shape of the JSON output.
fn check_shape(answer: &Json, place: &str) {
    for alert in answer["alerts"].as_array().unwrap() {
        assert!(
            alert["rule"].is_string() && alert["labels"].is_object(),
            "{place}: {alert}"
        );
        assert!(
            alert["pending_at"].is_f64() && alert["fired_at"].is_f64(),
            "{place}: {alert}"
        );
        assert!(is_number_or_null(&alert["resolved_at"]), "{place}: {alert}");
        assert!(is_number_or_null(&alert["value"]) && is_number_or_null(&alert["score"]));
        assert!(
            !alert["why"].as_str().unwrap().is_empty(),
            "{place}: {alert}"
        );
    }
    for signal in answer["signals"].as_array().unwrap() {
        assert!(
            signal["metric"].is_string() && signal["labels"].is_object(),
            "{place}"
        );
        let points = signal["points"].as_array().unwrap();
        assert!(!points.is_empty(), "{place}: {}", signal["rule"]);
        for point in points {
            assert!(
                point["t"].is_f64() && point["state"].is_string(),
                "{place}: {point}"
            );
            for key in ["value", "lower", "upper", "score"] {
                assert!(is_number_or_null(&point[key]), "{place}: {point}");
            }
        }
    }
    for delivery in answer["deliveries"].as_array().unwrap() {
        assert!(
            delivery["at"].is_f64() && delivery["rule"].is_string(),
            "{place}: {delivery}"
        );
        assert!(["alertmanager", "webhook"].contains(&delivery["receiver"].as_str().unwrap()));
    }
}

#[test]
fn every_pack_replays_every_recording() {
    let recordings = recordings();
    let (mut replayed, mut signals) = (0, 0);
    for dir in recorded(recordings.path()) {
        for pack in packs() {
            let answer = json(&Backtest {
                rules: vec![pack.clone()],
                source: Source {
                    snapshots: Some(dir.clone()),
                    ..Source::default()
                },
                step: Some(Duration::from_secs(15)),
                format: Format::Json,
                ..Backtest::default()
            });
            check_shape(&answer, &format!("{pack} on {}", dir.display()));
            signals += answer["signals"].as_array().unwrap().len();
            replayed += 1;
        }
    }
    assert!(
        replayed >= 16 && signals > 0,
        "{replayed} replays, {signals} signals"
    );
}

#[test]
fn auto_selects_the_pack_that_fits_the_metrics() {
    let dir = tempfile::tempdir().unwrap();
    for n in 1..4 {
        let body = format!(
            "# TYPE vllm:num_requests_running gauge\nvllm:num_requests_running{{model_name=\"m\"}} {n}\n# TYPE vllm:kv_cache_usage_perc gauge\nvllm:kv_cache_usage_perc{{model_name=\"m\"}} 0.1\n"
        );
        fs::write(dir.path().join(format!("snap_000{n}.txt")), &body).unwrap();
    }
    let auto = |source| Backtest {
        rules: vec!["auto".to_owned()],
        source,
        format: Format::Json,
        ..Backtest::default()
    };
    let named = Backtest {
        rules: vec!["vllm".to_owned()],
        ..auto(Source {
            snapshots: Some(dir.path().to_owned()),
            ..Source::default()
        })
    };
    let found = auto(Source {
        snapshots: Some(dir.path().to_owned()),
        ..Source::default()
    });
    assert_eq!(run(&found).unwrap(), run(&named).unwrap());
    let file = dir.path().join("past.om");
    fs::write(
        &file,
        "# TYPE vllm:kv_cache_usage_perc gauge\nvllm:kv_cache_usage_perc{model_name=\"m\"} 0.1 100\nvllm:kv_cache_usage_perc{model_name=\"m\"} 0.1 115\n# EOF\n",
    )
    .unwrap();
    let from_file = auto(Source {
        openmetrics: Some(file.clone()),
        ..Source::default()
    });
    assert!(run(&from_file).unwrap().contains("VllmMostRequestsFail"));
    let table = auto(Source {
        csv: Some(file),
        ..Source::default()
    });
    assert!(run(&table).unwrap_err().contains("name a pack"));
}

/// Scrapes in which `x` of so many users is `xs[i]`, and `y` is `ys[i]`.
fn scrapes_of_users(dir: &Path, users: usize, xs: &[u8], ys: &[u8]) {
    for (index, (x, y)) in xs.iter().zip(ys).enumerate() {
        let mut body = String::new();
        for user in 0..users {
            writeln!(body, "x{{user=\"{user}\"}} {x}\ny{{user=\"{user}\"}} {y}").unwrap();
        }
        fs::write(dir.join(format!("snap_{:04}.txt", index + 1)), body).unwrap();
    }
}

#[test]
fn no_alert_is_lost_however_many_change_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let rules = "groups: [{name: g, rules: [{alert: X, expr: x > 1}, {alert: Y, expr: y > 1}]}]\n";
    let file = dir.path().join("r.yaml");
    fs::write(&file, rules).unwrap();
    scrapes_of_users(dir.path(), 1100, &[0, 2, 0], &[0, 0, 2]);
    let answer = json(&Backtest {
        rules: vec![file.display().to_string()],
        source: Source {
            snapshots: Some(dir.path().to_owned()),
            ..Source::default()
        },
        format: Format::Json,
        ..Backtest::default()
    });
    let alerts = answer["alerts"].as_array().unwrap();
    let of = |rule: &str| -> Vec<&Json> { alerts.iter().filter(|a| a["rule"] == rule).collect() };
    let (x, y) = (of("X"), of("Y"));
    assert_eq!((x.len(), y.len()), (1100, 1100));
    assert!(x.iter().all(|alert| alert["resolved_at"].is_number()));
    assert!(y.iter().all(|alert| alert["resolved_at"].is_null()));
}
