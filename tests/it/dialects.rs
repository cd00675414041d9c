//! The HTTP API in the dialects of Thanos, Mimir, VictoriaMetrics and proxies, taken from their
//! documentation. None of them runs here.

use std::fs;
use std::io::Write as _;
use std::time::Duration;

use serde_json::{Value, json};
use sidewatch::internals::history::{Error, Limits, Points, Prometheus, Range};
use sidewatch::internals::runtime::http::{self, Header};
use sidewatch_engine::exposition::ScrapeLimits;
use sidewatch_engine::metric::{Labels, Timestamp};
use wiremock::matchers::{any, method, path};
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

use super::support::{Process, free_port, get_text, until};

const SOON: Duration = Duration::from_secs(60);

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(seconds * 1000)
}

fn client(server: &MockServer) -> Prometheus {
    let limits = Limits {
        timeout: Duration::from_secs(5),
        answer: 1 << 20,
        attempts: 1,
        ..Limits::default()
    };
    let tenant = Header {
        name: "X-Scope-OrgID".to_owned(),
        values: vec!["ml".into()],
    };
    let settings = http::Settings {
        headers: vec![tenant],
        ..http::Settings::default()
    };
    Prometheus::new(&format!("{}/prometheus/", server.uri()), settings).with_limits(limits)
}

/// A server that answers everything with this.
async fn saying(answer: ResponseTemplate) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(answer).mount(&server).await;
    server
}

fn ok(data: &Value) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(json!({"status": "success", "data": data}))
}

fn vector() -> Value {
    json!({"resultType": "vector", "result": [{"metric": {"model": "m"}, "value": [1_700_000_000, "0.5"]}]})
}

type Answer = Result<Vec<(Labels, f64)>, Error>;

async fn asked(answer: ResponseTemplate) -> Answer {
    let server = saying(answer).await;
    client(&server).query("x", at(1_700_000_000)).await
}

fn said(answer: &Answer) -> String {
    answer.as_ref().unwrap_err().to_string()
}

#[tokio::test]
async fn a_question_is_a_form_with_the_tenant_and_asks_for_whole_answers() {
    let server = saying(ok(&vector())).await;
    let answer = client(&server)
        .query("sum(x{a=\"b c\"})", at(1_700_000_000))
        .await;
    assert_eq!(answer.unwrap(), [(Labels::new([("model", "m")]), 0.5)]);
    let requests = server.received_requests().await.unwrap();
    let request = &requests[0];
    assert_eq!(request.method.as_str(), "POST");
    assert_eq!(request.url.path(), "/prometheus/api/v1/query");
    let header = |name: &str| request.headers.get(name).unwrap().to_str().unwrap();
    assert_eq!(header("x-scope-orgid"), "ml");
    assert_eq!(header("content-type"), "application/x-www-form-urlencoded");
    assert!(header("accept-encoding").contains("gzip"));
    assert_eq!(
        String::from_utf8_lossy(&request.body),
        "query=sum%28x%7Ba%3D%22b%20c%22%7D%29&time=1700000000&partial_response=false&deny_partial_response=1"
    );
}

#[tokio::test]
async fn a_proxy_that_takes_no_post_is_asked_by_get_from_then_on() {
    for status in [405, 501] {
        let server = MockServer::start().await;
        Mock::given(method("POST"))
            .respond_with(ResponseTemplate::new(status))
            .mount(&server)
            .await;
        Mock::given(method("GET"))
            .respond_with(ok(&vector()))
            .mount(&server)
            .await;
        let prometheus = client(&server);
        for _ in 0..2 {
            let answer = prometheus.query("x", at(1_700_000_000)).await;
            assert_eq!(answer.unwrap().len(), 1);
        }
        let requests = server.received_requests().await.unwrap();
        let methods: Vec<&str> = requests.iter().map(|one| one.method.as_str()).collect();
        assert_eq!(methods, ["POST", "GET", "GET"]);
        assert_eq!(
            requests[1].url.query(),
            Some("query=x&time=1700000000&partial_response=false&deny_partial_response=1")
        );
    }
}

#[tokio::test]
async fn every_shape_of_an_answer_is_a_number_or_an_error_that_says_why() {
    let scalar = json!({"resultType": "scalar", "result": [1_700_000_000.5, "+Inf"]});
    let scalar = asked(ok(&scalar)).await.unwrap();
    assert_eq!(scalar, [(Labels::empty(), f64::INFINITY)]);
    for other in [
        json!({"resultType": "string", "result": [1_700_000_000, "text"]}),
        json!({"resultType": "matrix", "result": []}),
    ] {
        let answer = asked(ok(&other)).await;
        assert!(said(&answer).contains("neither an instant vector nor a scalar"));
    }
    let histogram =
        json!({"resultType": "vector", "result": [{"metric": {"a": "b"}, "histogram": [1, {}]}]});
    assert!(said(&asked(ok(&histogram)).await).contains("native histogram"));
    // What Thanos and Prometheus add beside the result.
    let more = json!({"resultType": "vector", "result": [], "analysis": {}, "stats": {"seriesFetched": "1"}});
    assert_eq!(asked(ok(&more)).await.unwrap(), []);
    for (body, why) in [
        ("<html>", "not a Prometheus API response"),
        ("{\"status\":\"success\"}", "not a Prometheus API response"),
        (
            "{\"status\":\"success\",\"data\":{\"resultType\":\"vector\",\"result\":[{\"metric\":{},\"value\":[1,\"one\"]}]}}",
            "not a number",
        ),
    ] {
        let answer = asked(ResponseTemplate::new(200).set_body_string(body)).await;
        assert!(said(&answer).contains(why), "{}", said(&answer));
    }
}

#[tokio::test]
async fn a_compressed_answer_is_read_and_one_beyond_the_limit_is_not() {
    let body = json!({"status": "success", "data": vector()}).to_string();
    let compressed = |body: &str| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(body.as_bytes()).unwrap();
        ResponseTemplate::new(200)
            .insert_header("content-encoding", "gzip")
            .set_body_raw(encoder.finish().unwrap(), "application/json")
    };
    assert_eq!(asked(compressed(&body)).await.unwrap().len(), 1);
    let endless = compressed(&" ".repeat(4 << 20));
    let answer = asked(endless).await;
    let Err(Error::Api { too_large, .. }) = answer else {
        panic!("{answer:?}");
    };
    assert!(too_large);
}

#[tokio::test]
async fn warnings_are_no_errors_and_an_answer_that_lacks_a_part_is_one() {
    let with = |key: &str, value: Value| {
        let mut body = json!({"status": "success", "data": vector()});
        body[key] = value;
        ResponseTemplate::new(200).set_body_json(body)
    };
    for answer in [
        with(
            "infos",
            json!(["PromQL info: metric might not be a counter"]),
        ),
        with(
            "warnings",
            json!(["PromQL warning: bucket label \"le\" is missing"]),
        ),
        with("isPartial", json!(false)),
    ] {
        assert_eq!(asked(answer).await.unwrap().len(), 1);
    }
    let partial = asked(with("isPartial", json!(true))).await;
    assert!(said(&partial).contains("the response is partial"));
    assert!(matches!(partial, Err(Error::Api { again: true, .. })));
}

/// Status, the server's words, whether a shorter range may do, and whether the same may later.
type Refusal = (u16, &'static str, bool, bool);

const REFUSALS: [Refusal; 9] = [
    (
        400,
        "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)",
        true,
        false,
    ),
    (
        422,
        "query processing would load too many samples into memory in query execution",
        true,
        false,
    ),
    (
        422,
        "too many points for the given step=15000, start=1 and end=2: 40320; cannot exceed -search.maxPointsPerTimeseries=30000",
        true,
        false,
    ),
    (
        422,
        "cannot select more than -search.maxSamplesPerQuery=1000000000 samples; possible solutions: …",
        true,
        false,
    ),
    (
        422,
        "the query exceeded the maximum number of chunks (limit: 2 chunks) (err-mimir-max-chunks-per-query)",
        true,
        false,
    ),
    (503, "query timed out in expression evaluation", true, false),
    (
        422,
        "expanding series: proxy Series(): rpc error: code = Unavailable desc = connection refused",
        false,
        true,
    ),
    (429, "too many requests", false, true),
    (
        422,
        "vector cannot contain metrics with the same labelset",
        false,
        false,
    ),
];

#[tokio::test]
async fn refusals_say_in_the_servers_words_whether_less_or_later_may_do() {
    for (status, words, wanted_large, wanted_again) in REFUSALS {
        let body = json!({"status": "error", "errorType": "execution", "error": words});
        let answer = asked(ResponseTemplate::new(status).set_body_json(body)).await;
        assert!(said(&answer).contains(words), "{}", said(&answer));
        let Err(Error::Api {
            too_large, again, ..
        }) = answer
        else {
            panic!("{answer:?}");
        };
        assert_eq!((too_large, again), (wanted_large, wanted_again), "{words}");
    }
    // What stands in front of a server speaks no JSON.
    let gateway = asked(ResponseTemplate::new(502).set_body_string("<html> Bad Gateway</html>"));
    let gateway = gateway.await;
    assert!(said(&gateway).contains("the server answered 502: <html> Bad Gateway"));
    assert!(matches!(gateway, Err(Error::Api { again: true, .. })));
    let tenant = asked(ResponseTemplate::new(401).set_body_string("no org id\n")).await;
    assert!(said(&tenant).contains("401: no org id; set basic_auth, authorization or a tenant"));
}

/// Prometheus' limit on points, at which it refuses the whole range.
struct Resolution(usize);

impl Respond for Resolution {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let form = String::from_utf8(request.body.clone()).unwrap();
        let number = |name: &str| -> f64 {
            let found = form.split('&').find_map(|pair| pair.strip_prefix(name));
            found.unwrap().parse().unwrap()
        };
        let (start, end, step) = (number("start="), number("end="), number("step="));
        let steps = ((end - start) / step) as usize + 1;
        if steps > self.0 {
            let (status, words, ..) = REFUSALS[0];
            let body = json!({"status": "error", "errorType": "bad_data", "error": words});
            return ResponseTemplate::new(status).set_body_json(body);
        }
        let values: Vec<Value> = (0..steps)
            .map(|n| json!([start + step * n as f64, "10"]))
            .collect();
        let series = json!([{"metric": {"__name__": "load", "job": "m", "instance": "a:1"}, "values": values}]);
        ok(&json!({"resultType": "matrix", "result": series}))
    }
}

const RULES: &str = "groups:
- name: g
  rules:
  - watch: LoadOdd
    expr: load
    strategy: {type: ewma, alpha: 0.1, k_sigma: 6, warm_up: 300}
";

#[tokio::test]
async fn a_backfill_asks_for_less_where_the_server_answers_less_and_sends_the_tenant_every_time() {
    let server = MockServer::start().await;
    Mock::given(path("/prometheus/api/v1/query_range"))
        .respond_with(Resolution(100))
        .mount(&server)
        .await;
    let dir = tempfile::tempdir().unwrap();
    let config = format!(
        "global: {{scrape_interval: 5s, scrape_timeout: 1s}}\nmodel: {{id: m}}\n\
         scrape: {{targets: [{{url: \"http://127.0.0.1:1/metrics\", labels: {{pod: a}}}}]}}\nrule_files: [rules.yaml]\n\
         backfill: {{prometheus: \"{}/prometheus\", range: 1h, http_headers: {{X-Scope-OrgID: {{values: [ml]}}}}}}\n",
        server.uri()
    );
    fs::write(dir.path().join("c.yaml"), config).unwrap();
    fs::write(dir.path().join("rules.yaml"), RULES).unwrap();
    let address = format!("127.0.0.1:{}", free_port());
    let listen = format!("--web.listen-address={address}");
    let _process = Process::sidewatch(&["run", "--config.file=c.yaml", &listen], dir.path());
    until("the end of the backfill", SOON, async || {
        let text = get_text(&format!("http://{address}/metrics")).await?;
        let done = "sidewatch_backfill_state{model_id=\"m\",state=\"done\"} 1";
        text.contains(done).then_some(()).ok_or(text)
    })
    .await;
    let requests = server.received_requests().await.unwrap();
    // An hour is 720 steps: refused twice, and then in pieces of at most 100.
    assert!((8..20).contains(&requests.len()), "{}", requests.len());
    for request in &requests {
        assert_eq!(request.headers.get("x-scope-orgid").unwrap(), "ml");
    }
}

#[tokio::test]
async fn a_range_beyond_eleven_thousand_points_is_never_asked_for_whole() {
    let server = MockServer::start().await;
    Mock::given(any())
        .respond_with(Resolution(11_000))
        .mount(&server)
        .await;
    let week = Range {
        start: at(1_700_000_000),
        end: at(1_700_000_000 + 7 * 86_400),
        step: Duration::from_secs(15),
    };
    let prometheus = client(&server).with_limits(Limits::default());
    let mut points: Points = Vec::new();
    for piece in week.chunks(1) {
        let found = prometheus.query_range("load", piece).await.unwrap();
        points.extend(found.into_iter().flat_map(|(_, points)| points));
    }
    assert_eq!(points.len(), week.steps());
    assert_eq!(points.len(), 40_321);
    assert!(points.windows(2).all(|pair| pair[0].0 < pair[1].0));
    assert_eq!(server.received_requests().await.unwrap().len(), 4);
}

/// Limits, and what an answer of two series with three labels exceeds.
fn limits_and_what_is_exceeded() -> [(ScrapeLimits, &'static str); 6] {
    let none = ScrapeLimits::NONE;
    [
        (none.clone(), ""),
        (
            ScrapeLimits {
                samples: 2,
                labels: 3,
                label_name_length: 8,
                label_value_length: 4,
                ..none
            },
            "",
        ),
        (
            ScrapeLimits { samples: 1, ..none },
            "the number of series in the answer is 2, over sample_limit 1",
        ),
        (
            ScrapeLimits { labels: 2, ..none },
            "the number of labels of load is 3, over label_limit 2",
        ),
        (
            ScrapeLimits {
                label_name_length: 7,
                ..none
            },
            "over label_name_length_limit 7",
        ),
        (
            ScrapeLimits {
                label_value_length: 3,
                ..none
            },
            "over label_value_length_limit 3",
        ),
    ]
}

#[tokio::test]
async fn the_limits_on_labels_and_samples_hold_for_the_answers_of_a_server() {
    let limits = |series: ScrapeLimits| Limits {
        series,
        ..Limits::default()
    };
    let metric = json!({"__name__": "load", "model": "mmmm", "pod": "p"});
    let value = json!([1_700_000_000, "1"]);
    let element = json!({"metric": metric, "value": value, "values": [value]});
    for (series, exceeded) in limits_and_what_is_exceeded() {
        for (kind, is_range) in [("vector", false), ("matrix", true)] {
            let data = json!({"resultType": kind, "result": [element, element]});
            let server = saying(ok(&data)).await;
            let prometheus = client(&server).with_limits(limits(series.clone()));
            let range = Range {
                start: at(1_700_000_000),
                end: at(1_700_000_000),
                step: Duration::from_secs(15),
            };
            let found = if is_range {
                prometheus
                    .query_range("x", range)
                    .await
                    .map(|found| found.len())
            } else {
                let found = prometheus.query("x", at(1_700_000_000)).await;
                found.map(|found| found.len())
            };
            match found {
                Ok(found) => assert_eq!((found, exceeded), (2, "")),
                Err(error) => {
                    let error = error.to_string();
                    assert!(!exceeded.is_empty() && error.contains(exceeded), "{error}");
                }
            }
        }
    }
}
