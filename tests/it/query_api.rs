//! The query API beside the real Prometheus, with promtool, and as Grafana's data source asks it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::Instant;

use super::support::browser::PATIENCE;
use super::support::{Fake, Process, free_port, get_json, get_text, start_prometheus, tool, until};

const RULES: &str = r#"
groups:
- name: g
  interval: 1s
  rules:
  - record: accuracy:mean
    expr: avg(model_accuracy)
  - alert: Low
    expr: model_accuracy < 0.8
    labels: {severity: page}
  - alert: Slow
    expr: histogram_quantile(0.9, rate(latency_bucket{path="/a"}[1m])) > 1
  - watch: Changed
    expr: model_accuracy
    strategy: {type: static, bound: 0.5}
"#;

const BODY: &str = r#"# TYPE model_accuracy gauge
model_accuracy{model_name="a"} 0.75
model_accuracy{model_name="b"} 0.85
# TYPE latency histogram
latency_bucket{path="/a",le="1"} 5
latency_bucket{path="/a",le="+Inf"} 7
latency_bucket{path="/b",le="1"} 1
latency_bucket{path="/b",le="+Inf"} 1
# TYPE unread_total counter
unread_total 3
"#;

/// Sidewatch and its target.
struct Asked {
    url: String,
    target: Fake,
    dir: TempDir,
    _process: Process,
}

impl Asked {
    /// Sidewatch after its second evaluation, with more flags.
    async fn start(flags: &[&str]) -> Self {
        let target = Fake::start(|| BODY.to_owned()).await;
        let dir = tempfile::tempdir().unwrap();
        let config = format!(
            "global: {{scrape_interval: 1s}}\nmodel: {{id: m}}\nscrape:\n  targets: [{{url: \"http://{}/metrics\", labels: {{job: j, instance: i, pod: p}}}}]\nrule_files: [rules.yaml]\n",
            target.address
        );
        fs::write(dir.path().join("rules.yaml"), RULES).unwrap();
        fs::write(dir.path().join("sidewatch.yaml"), config).unwrap();
        let address = format!("127.0.0.1:{}", free_port());
        let listen = format!("--web.listen-address={address}");
        let mut args = vec!["run", "--config.file=sidewatch.yaml", &listen];
        args.extend_from_slice(flags);
        let process = Process::sidewatch(&args, dir.path());
        let asked = Self {
            url: format!("http://{address}"),
            target,
            dir,
            _process: process,
        };
        until("a record", PATIENCE, async || {
            let found = asked.get("query?query=accuracy:mean").await;
            let found = found["data"]["result"].as_array().map_or(0, Vec::len);
            (found == 1).then_some(()).ok_or("none")
        })
        .await;
        asked
    }

    async fn get(&self, path: &str) -> Value {
        let (_, body) = ask(&self.url, path, None).await;
        body
    }
}

/// The answer to a GET, or to a POST of a form, below `/api/v1/`.
async fn ask(url: &str, path: &str, form: Option<&str>) -> (u16, Value) {
    let client = reqwest::Client::new();
    let url = format!("{url}/api/v1/{path}");
    let request = match form {
        None => client.get(url),
        Some(form) => client
            .post(url)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form.to_owned()),
    };
    let Ok(answer) = request.send().await else {
        return (0, Value::Null);
    };
    let status = answer.status().as_u16();
    let text = answer.text().await.unwrap_or_default();
    (status, serde_json::from_str(&text).unwrap_or(Value::Null))
}

fn now() -> f64 {
    sidewatch::internals::runtime::clock::now().as_secs_f64()
}

/// Whether `outer` has everything that `inner` has: other keys of an object do not matter.
fn has(outer: &Value, inner: &Value) -> bool {
    match (outer, inner) {
        (Value::Object(outer), Value::Object(inner)) => inner
            .iter()
            .all(|(key, value)| outer.get(key).is_some_and(|found| has(found, value))),
        _ => outer == inner,
    }
}

/// Requests about what both store, and wrong ones: paths and parameters.
fn cases(at: f64) -> Vec<(&'static str, String)> {
    let range = format!("start={at}&end={at}&step=15");
    let mut cases = vec![
        ("query", format!("query=model_accuracy&time={at}")),
        ("query", format!("query=sum(model_accuracy)&time={at}")),
        ("query", format!("query=up&time={at}")),
        ("query", format!("query=1%2B1&time={at}&timeout=5s")),
        ("query", format!("query=\"text\"&time={at}")),
        (
            "query",
            "query=model_accuracy&time=2015-07-01T20:10:51.781Z".to_owned(),
        ),
        (
            "query",
            format!("query=count(latency_bucket%7Bpath=\"/a\"%7D)&time={at}"),
        ),
        ("query_range", format!("query=model_accuracy&{range}")),
        ("query_range", format!("query=1&{range}")),
        ("query_range", format!("query=absent(nothing)&{range}")),
        ("series", "match[]=model_accuracy&match[]=up".to_owned()),
        ("series", "match[]=nothing".to_owned()),
        ("labels", "match[]=model_accuracy".to_owned()),
        ("label/__name__/values", "match[]=model_accuracy".to_owned()),
        ("label/model_name/values", String::new()),
        (
            "label/model_name/values",
            "match[]=model_accuracy%7Bmodel_name=\"a\"%7D".to_owned(),
        ),
    ];
    cases.extend(wrong(&range));
    cases
}

/// Requests that are refused.
fn wrong(range: &str) -> Vec<(&'static str, String)> {
    vec![
        ("query", "query=sum(".to_owned()),
        ("query", "query=sum(up)&time=soon".to_owned()),
        (
            "query",
            "query=up+*+on()+model_accuracy+*+on()+up".to_owned(),
        ),
        ("query_range", format!("query=model_accuracy[5m]&{range}")),
        ("query_range", "query=up&start=2&end=1&step=1".to_owned()),
        ("query_range", "query=up&start=1&end=2&step=0".to_owned()),
        (
            "query_range",
            "query=up&start=1&end=20000&step=1".to_owned(),
        ),
        ("query_range", "query=up&end=2&step=1".to_owned()),
        ("series", "x=1".to_owned()),
        ("series", "match[]=sum(up)".to_owned()),
    ]
}

#[tokio::test]
async fn answers_are_those_of_prometheus() {
    let asked = Asked::start(&[]).await;
    let config = format!(
        "global: {{scrape_interval: 1s}}\nscrape_configs:\n- job_name: j\n  static_configs: [{{targets: [\"{}\"], labels: {{instance: i, pod: p}}}}]\n",
        asked.target.address
    );
    let dir = tempfile::tempdir().unwrap();
    let Some((_prometheus, theirs)) = start_prometheus(dir.path(), None, &config).await else {
        return;
    };
    until("a scrape", PATIENCE, async || {
        let (_, found) = ask(&theirs, "query?query=model_accuracy", None).await;
        let found = found["data"]["result"].as_array().map_or(0, Vec::len);
        (found == 2).then_some(()).ok_or("none")
    })
    .await;
    for (path, form) in cases(now()) {
        let url = format!("{path}?{form}");
        let (status, mut expected) = ask(&theirs, &url, None).await;
        let mut forms = vec![ask(&asked.url, &url, None).await];
        if !path.starts_with("label/") {
            forms.push(ask(&asked.url, path, Some(&form)).await);
        }
        if status != 200 {
            // The texts about expressions are our own.
            let message = expected["error"].as_str().unwrap().to_owned();
            let of_an_expression = ["\"query\"", "match[]", "expression type"];
            if status == 422 || of_an_expression.iter().any(|part| message.contains(part)) {
                expected.as_object_mut().unwrap().remove("error");
            }
        }
        for (our_status, ours) in forms {
            assert_eq!(our_status, status, "{url}: {ours}");
            assert!(
                has(&ours, &expected),
                "{url}:\n{ours}\nexpected\n{expected}"
            );
        }
    }
}

#[tokio::test]
async fn promtool_can_query() {
    let Some(promtool) = tool("promtool") else {
        return;
    };
    let asked = Asked::start(&[]).await;
    let run = async |args: &[&str]| {
        let mut args = args.to_vec();
        args.insert(0, "query");
        args.insert(2, &asked.url);
        let output = tokio::process::Command::new(&promtool).args(&args).output();
        let output = output.await.unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let problems = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{args:?}: {text}{problems}");
        text
    };
    let instant = run(&["instant", "max by (model_name) (model_accuracy)"]).await;
    for line in [
        r#"{model_name="a"} => 0.75 @["#,
        r#"{model_name="b"} => 0.85 @["#,
    ] {
        assert!(instant.contains(line), "{instant}");
    }
    let at = now().floor();
    let (start, end) = (format!("--start={}", at - 2.0), format!("--end={at}"));
    // The server and the flag stand before what is asked for.
    let range = {
        let args = [
            "query",
            "range",
            &start,
            &end,
            "--step=1s",
            &asked.url,
            "vector(7)",
        ];
        let output = tokio::process::Command::new(&promtool).args(args).output();
        String::from_utf8_lossy(&output.await.unwrap().stdout).into_owned()
    };
    let points = range.lines().filter(|line| line.starts_with("7 @["));
    assert_eq!(points.count(), 3, "{range}");
    let series = {
        let args = ["query", "series", "--match=model_accuracy", &asked.url];
        let output = tokio::process::Command::new(&promtool).args(args).output();
        String::from_utf8_lossy(&output.await.unwrap().stdout).into_owned()
    };
    assert_eq!(series.lines().count(), 2, "{series}");
    assert!(series.contains(r#"model_name="a""#), "{series}");
    let names = run(&["labels", "__name__"]).await;
    for name in [
        "accuracy:mean",
        "model_accuracy",
        "up",
        "sidewatch_metric_value",
    ] {
        assert!(names.lines().any(|line| line == name), "{name}: {names}");
    }
    assert!(!names.contains("unread_total"), "{names}");
}

/// The calls that the Prometheus data source of Grafana makes: its health check, the detection of
/// the server, the metrics browser, the editor, variables, and panels.
#[tokio::test]
async fn grafana_finds_what_it_asks_for() {
    let asked = Asked::start(&[]).await;
    let at = now().floor();
    let (start, end) = (at - 3600.0, at + 1.0);
    let window = format!("start={start}&end={end}");
    for (path, form) in [
        ("query", Some(format!("query=1%2B1&time={at}"))),
        ("status/buildinfo", None),
        ("labels", Some(format!("{window}&limit=40000"))),
        ("series", Some(format!("{window}&match[]=model_accuracy"))),
        ("query", Some(format!("query=model_accuracy&time={end}"))),
        (
            "query_range",
            Some(format!("query=model_accuracy&{window}&step=1")),
        ),
        (
            "query_range",
            Some(format!("query=sidewatch_metric_value&{window}&step=1")),
        ),
    ] {
        let (status, answer) = ask(&asked.url, path, form.as_deref()).await;
        assert_eq!(
            (status, &answer["status"]),
            (200, &json!("success")),
            "{path}"
        );
        let data = &answer["data"];
        let count = data["result"].as_array().or(data.as_array()).map(Vec::len);
        assert!(count.is_none_or(|count| count > 0), "{path}: {answer}");
    }
    for path in [
        format!("label/__name__/values?{window}&match[]=%7B__name__%3D~%22.%2Baccuracy%22%7D"),
        format!("label/model_name/values?{window}&match[]=model_accuracy"),
        "metadata?limit=40000&limit_per_metric=1".to_owned(),
        "metadata?metric=sidewatch_anomaly".to_owned(),
        format!("query_exemplars?query=model_accuracy&{window}"),
        "rules".to_owned(),
        "alerts".to_owned(),
        "targets?state=active".to_owned(),
        "status/flags".to_owned(),
        "status/runtimeinfo".to_owned(),
    ] {
        let (status, answer) = ask(&asked.url, &path, None).await;
        assert_eq!(
            (status, &answer["status"]),
            (200, &json!("success")),
            "{path}"
        );
    }
    let build = asked.get("status/buildinfo").await;
    assert_eq!(build["data"]["application"], "Sidewatch");
}

#[tokio::test]
async fn an_answer_says_what_is_not_stored() {
    let asked = Asked::start(&[]).await;
    let found = asked.get("query?query=unread_total").await;
    assert_eq!(found["data"]["result"], json!([]));
    assert_eq!(
        found["warnings"],
        json!(["no rule selects unread_total, so its series are not stored"])
    );
    let found = asked.get("query?query=latency_bucket").await;
    assert_eq!(found["data"]["result"].as_array().unwrap().len(), 2);
    assert_eq!(
        found["infos"],
        json!([
            r#"of latency_bucket, only the series that rules select are stored: latency_bucket{path="/a"}"#
        ])
    );
    let found = asked
        .get("query?query=max_over_time(model_accuracy[1h])")
        .await;
    let warning = found["warnings"][0].as_str().unwrap();
    assert!(
        warning.contains("are not stored: the window is as long as"),
        "{warning}"
    );
    let found = asked.get("query?query=model_accuracy").await;
    assert_eq!(
        (&found["warnings"], &found["infos"]),
        (&Value::Null, &Value::Null)
    );
}

#[tokio::test]
async fn signals_and_alerts_can_be_queried_with_their_history() {
    let asked = Asked::start(&[]).await;
    let signals = asked
        .get("query?query=sidewatch_metric_value%7Brule=\"Changed\"%7D")
        .await;
    let result = signals["data"]["result"].as_array().unwrap();
    let values: Vec<&str> = result
        .iter()
        .map(|one| one["value"][1].as_str().unwrap())
        .collect();
    assert_eq!(values, ["0.75", "0.85"]);
    // The same labels as on the page that Prometheus scrapes.
    let page = get_text(&format!("{}/metrics", asked.url)).await.unwrap();
    let of = r#"sidewatch_metric_value{model_id="m",group="g",rule="Changed",model_name="a"} 0.75"#;
    assert!(page.contains(of), "{page}");
    let labels = json!({"__name__": "sidewatch_metric_value", "model_id": "m", "group": "g", "rule": "Changed", "model_name": "a"});
    assert_eq!(result[0]["metric"], labels);
    until("three points", PATIENCE, async || {
        let counted = asked
            .get("query?query=count_over_time(sidewatch_anomaly%7Bmodel_name=\"a\"%7D[1m])")
            .await;
        let count = counted["data"]["result"][0]["value"][1]
            .as_str()
            .unwrap_or("0")
            .to_owned();
        (count.parse::<u32>().unwrap() >= 3)
            .then_some(())
            .ok_or(count)
    })
    .await;
    let alerts = asked.get("query?query=ALERTS%7Balertname=\"Low\"%7D").await;
    assert_eq!(
        alerts["data"]["result"][0]["metric"]["alertstate"],
        "firing"
    );
}

#[tokio::test]
async fn reading_by_post_is_allowed_under_any_name_and_nothing_else_is() {
    let asked = Asked::start(&[]).await;
    let client = reqwest::Client::new();
    let post = async |path: &str, kind: &str, body: String| {
        let request = client
            .post(format!("{}/api/v1/{path}", asked.url))
            .header("host", "stranger.example")
            .header("content-type", kind)
            .body(body);
        request.send().await.unwrap().status().as_u16()
    };
    let form = "application/x-www-form-urlencoded";
    assert_eq!(post("query", form, "query=1".to_owned()).await, 200);
    assert_eq!(post("query", "text/plain", "query=1".to_owned()).await, 415);
    assert_eq!(post("query", form, "a".repeat(2 << 20)).await, 413);
    assert_eq!(post("signals/x/accept", form, String::new()).await, 403);
    assert_eq!(post("label/a/values", form, String::new()).await, 403);
    let put = client.put(format!("{}/api/v1/query", asked.url)).send();
    assert_eq!(put.await.unwrap().status(), 405);
    let (status, answer) = ask(&asked.url, "label//values", None).await;
    assert_eq!((status, &answer["errorType"]), (404, &json!("not_found")));
}

#[tokio::test]
async fn queries_need_the_password_too() {
    let dir = tempfile::tempdir().unwrap();
    let web = web_file(dir.path());
    let flag = format!("--web.config.file={}", web.display());
    let target = Fake::start(|| BODY.to_owned()).await;
    fs::write(dir.path().join("rules.yaml"), RULES).unwrap();
    let address = format!("127.0.0.1:{}", free_port());
    let args = [
        "run",
        &format!("--target=http://{}/metrics", target.address),
        "--rules=rules.yaml",
        &format!("--web.listen-address={address}"),
        &flag,
    ];
    let _process = Process::sidewatch(&args, dir.path());
    until("an answer", PATIENCE, async || {
        let (status, _) = ask(&format!("http://{address}"), "query?query=1", None).await;
        (status == 401).then_some(()).ok_or(status)
    })
    .await;
    for path in ["query", "query_range", "series", "labels"] {
        let (status, _) = ask(&format!("http://{address}"), path, Some("query=1")).await;
        assert_eq!(status, 401, "{path}");
    }
}

fn web_file(dir: &Path) -> PathBuf {
    let path = dir.join("web.yml");
    let users = "basic_auth_users:\n  prometheus: $2y$10$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi\n";
    fs::write(&path, users).unwrap();
    path
}

#[tokio::test]
async fn heavy_queries_end_and_delay_no_tick() {
    let asked = Asked::start(&[]).await;
    let heavy = "query=count_over_time((sum_over_time(model_accuracy[1m:1ms]))[1h:10ms])";
    let began = Instant::now();
    let mut flood = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let url = asked.url.clone();
        flood.spawn(async move {
            while began.elapsed() < Duration::from_secs(6) {
                let (status, answer) = ask(&url, "query", Some(heavy)).await;
                assert!([422, 503].contains(&status), "{status}: {answer}");
            }
        });
    }
    while let Some(done) = flood.join_next().await {
        done.unwrap();
    }
    // A tick a second, as without the flood.
    let counted = asked.get("query?query=count_over_time(up[6s])").await;
    let count = counted["data"]["result"][0]["value"][1].as_str().unwrap();
    assert!(count.parse::<u32>().unwrap() >= 5, "{counted}");
    let health = get_json(&format!("{}/api/v1/rules", asked.url))
        .await
        .unwrap();
    assert_eq!(health["data"]["groups"][0]["rules"][0]["health"], "ok");
}

#[tokio::test]
async fn the_pages_of_prometheus_lead_to_the_status_page() {
    let asked = Asked::start(&[]).await;
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
    let client = client.build().unwrap();
    let page = get_text(&format!("{}/", asked.url)).await.unwrap();
    for (path, place) in [
        ("alerts", "./#alerts"),
        ("rules", "./#rules"),
        ("targets", "./#targets"),
        ("query", "./"),
    ] {
        let answer = client
            .get(format!("{}/{path}", asked.url))
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 302, "{path}");
        assert_eq!(answer.headers()["location"], place);
        if let Some(section) = place.strip_prefix("./#") {
            assert!(
                page.contains(&format!("<section id=\"{section}\"")),
                "{section}"
            );
        }
    }
    drop(asked.dir);
}
