//! A scrape over HTTP: the request, and the result of every kind of bad answer.

use std::sync::Arc;
use std::time::Duration;

use sidewatch::internals::config::Config;
use sidewatch::internals::runtime::http::{Client, Settings, inflate};
use sidewatch::internals::scrape::{HttpProducer, MetricProducer, Target};
use sidewatch_engine::exposition::{Format, Reason};
use sidewatch_engine::judge::Registry;
use sidewatch_engine::metric::Timestamp;
use sidewatch_engine::monitor::Scraped;
use wiremock::matchers::{header, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

/// When every scrape happens.
const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

fn producer(url: &str) -> HttpProducer {
    HttpProducer::new(Target::new(url), Arc::new(Client::new(Settings::default())))
}

#[tokio::test]
async fn a_scrape_asks_as_prometheus_3_does() {
    let server = MockServer::start().await;
    let answer = ResponseTemplate::new(200).set_body_raw("up 1\n", "text/plain; version=0.0.4");
    Mock::given(method("GET"))
        .and(path("/metrics"))
        .and(header("accept-encoding", "gzip"))
        .and(header("x-prometheus-scrape-timeout-seconds", "10"))
        .respond_with(answer)
        .expect(1)
        .mount(&server)
        .await;
    let mut producer = producer(&format!("{}/metrics", server.uri()));
    let exposition = producer.produce(NOW).await.unwrap();
    assert_eq!(&*exposition.body, b"up 1\n");
    assert_eq!((exposition.format, exposition.at), (Format::Text, NOW));
    let request = &server.received_requests().await.unwrap()[0];
    let accept = request.headers["accept"].to_str().unwrap();
    assert!(
        accept
            .starts_with("application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,")
    );
    assert!(
        request.headers["user-agent"]
            .to_str()
            .unwrap()
            .starts_with("sidewatch/")
    );
}

async fn serve(answer: ResponseTemplate) -> (MockServer, HttpProducer) {
    let server = MockServer::start().await;
    Mock::given(method("GET"))
        .respond_with(answer)
        .mount(&server)
        .await;
    let producer = producer(&format!("{}/metrics", server.uri()));
    (server, producer)
}

fn text(body: &str) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_raw(body, "text/plain; version=0.0.4; charset=utf-8")
}

#[tokio::test]
async fn every_status_but_200_fails() {
    for status in [204, 206, 401, 404, 500, 503] {
        let (_server, mut producer) = serve(ResponseTemplate::new(status)).await;
        let error = producer.produce(NOW).await.unwrap_err();
        assert_eq!(error.reason(), Reason::Status);
        assert!(
            error
                .to_string()
                .contains(&format!("answered {status}, expected 200")),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_wrong_content_type_fails_unless_there_is_a_fallback() {
    let page = ResponseTemplate::new(200).set_body_raw("a 1\n", "text/html");
    let (server, mut strict) = serve(page).await;
    let error = strict.produce(NOW).await.unwrap_err();
    assert_eq!(error.reason(), Reason::ContentType);
    assert!(error.to_string().contains("text/html"), "{error}");
    let target = Target {
        fallback: Some(Format::Text),
        ..Target::new(server.uri())
    };
    let client = Arc::new(Client::new(Settings::default()));
    let exposition = HttpProducer::new(target, client)
        .produce(NOW)
        .await
        .unwrap();
    assert_eq!(&*exposition.body, b"a 1\n");
}

#[tokio::test]
async fn an_empty_body_needs_no_content_type() {
    let (_server, mut producer) = serve(ResponseTemplate::new(200)).await;
    assert!(producer.produce(NOW).await.unwrap().body.is_empty());
}

#[tokio::test]
async fn openmetrics_is_recognised() {
    let answer = ResponseTemplate::new(200)
        .set_body_raw("# EOF\n", "application/openmetrics-text; version=1.0.0");
    let (_server, mut producer) = serve(answer).await;
    assert_eq!(
        producer.produce(NOW).await.unwrap().format,
        Format::OpenMetrics
    );
}

#[tokio::test]
async fn an_unknown_encoding_fails() {
    let answer = text("a 1\n").insert_header("content-encoding", "br");
    let (_server, mut producer) = serve(answer).await;
    let error = producer.produce(NOW).await.unwrap_err();
    assert_eq!(error.reason(), Reason::Encoding);
}

#[tokio::test]
async fn the_buffer_of_one_scrape_serves_the_next() {
    let body = "a 1\n".repeat(1000);
    let (_server, mut producer) = serve(text(&body)).await;
    let first = producer.produce(NOW).await.unwrap();
    let place = first.body.as_ptr();
    drop(first);
    let second = producer.produce(NOW).await.unwrap();
    assert_eq!(
        (second.body.as_ptr(), second.body.len()),
        (place, body.len())
    );
}

#[tokio::test]
async fn an_endless_redirect_stops() {
    let server = MockServer::start().await;
    let round = ResponseTemplate::new(302).insert_header("location", "/metrics");
    Mock::given(method("GET"))
        .respond_with(round)
        .expect(11)
        .mount(&server)
        .await;
    let error = producer(&server.uri()).produce(NOW).await.unwrap_err();
    assert_eq!(error.reason(), Reason::Redirect);
    assert!(
        error.to_string().contains("stopped after 10 redirects"),
        "{error}"
    );
}

#[tokio::test]
async fn a_redirect_without_an_address_fails() {
    let nowhere = ResponseTemplate::new(302).insert_header("location", "http://[");
    let (_server, mut producer) = serve(nowhere).await;
    assert_eq!(
        producer.produce(NOW).await.unwrap_err().reason(),
        Reason::Redirect
    );
}

#[tokio::test]
async fn an_answer_of_another_host_is_not_quoted() {
    let away = MockServer::start().await;
    let moved = ResponseTemplate::new(302).insert_header("location", away.uri());
    let (_server, mut producer) = serve(moved).await;
    let secret = r#"{"AccessKeyId": "ASIA-S3CRET"}"#;
    Mock::given(method("GET"))
        .respond_with(text(secret))
        .mount(&away)
        .await;
    let exposition = producer.produce(NOW).await.unwrap();
    assert!(exposition.is_foreign);
    away.reset().await;
    Mock::given(method("GET"))
        .respond_with(ResponseTemplate::new(200).set_body_raw("a", "text/s3cret"))
        .mount(&away)
        .await;
    let error = producer.produce(NOW).await.unwrap_err().to_string();
    assert!(!error.contains("s3cret"), "{error}");
}

#[tokio::test]
async fn a_redirect_is_followed_where_it_is_allowed() {
    let server = MockServer::start().await;
    let moved = ResponseTemplate::new(307).insert_header("location", "/metrics/");
    Mock::given(path("/metrics"))
        .respond_with(moved)
        .mount(&server)
        .await;
    Mock::given(path("/metrics/"))
        .respond_with(text("a 1\n"))
        .mount(&server)
        .await;
    let url = format!("{}/metrics", server.uri());
    assert_eq!(&*producer(&url).produce(NOW).await.unwrap().body, b"a 1\n");
    let settings = Settings {
        follow_redirects: false,
        ..Settings::default()
    };
    let mut stays = HttpProducer::new(Target::new(url), Arc::new(Client::new(settings)));
    let error = stays.produce(NOW).await.unwrap_err();
    assert_eq!(error.reason(), Reason::Status);
    assert!(error.to_string().contains("answered 307"), "{error}");
}

#[tokio::test]
async fn what_a_redirect_leads_to_is_neither_shown_nor_logged_in_to() {
    let (target, inner) = (MockServer::start().await, MockServer::start().await);
    let secret = ResponseTemplate::new(200).set_body_raw(r#"{"key":"SECRET"}"#, "text/plain");
    Mock::given(path("/inner"))
        .respond_with(secret)
        .mount(&inner)
        .await;
    let location = inner.uri().replace("http://", "http://root:toor@") + "/inner";
    let away = ResponseTemplate::new(302).insert_header("location", location.as_str());
    Mock::given(path("/metrics"))
        .respond_with(away)
        .mount(&target)
        .await;
    let mut producer = producer(&format!("{}/metrics", target.uri()));
    let exposition = producer.produce(NOW).await.unwrap();
    assert!(exposition.is_foreign);
    let requests = inner.received_requests().await.unwrap();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].headers.get("authorization"), None);

    let yaml = "scrape: {targets: [{url: 'http://target/metrics'}]}";
    let mut monitor = Config::from_yaml(yaml)
        .unwrap()
        .monitor(&Registry::built_in());
    let result = Ok(exposition);
    let duration = Duration::from_millis(5);
    monitor.observe(NOW, &[Scraped { result, duration }]);
    let last = monitor.target_states()[0].last().unwrap();
    let error = last.error.clone().unwrap();
    assert!(
        error.contains("led to another host") && !error.contains("key"),
        "{error}"
    );
}

/// A gzip member with this body of stored and compressed blocks, and a name in its header.
fn member(name: &[u8], text: &[u8]) -> Vec<u8> {
    let header = flate2::GzBuilder::new().filename(name);
    let mut encoder = header.write(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut encoder, text).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn gzip_that_costs_more_than_comes_out_of_it_is_refused() {
    const LIMIT: u64 = 1 << 20;
    let honest = member(b"", b"accuracy 0.99\n");
    let members = |count: usize| [member(b"", b"").repeat(count), honest.clone()].concat();
    // A header, then stored blocks of which nothing comes out.
    let mut stored = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
    stored.extend([0, 0, 0, 0xff, 0xff].repeat(250_000));
    let tail = [honest.as_slice(), b"accuracy 0.1\n"].concat();
    for (what, body, is_read) in [
        (
            "a short name",
            member(b"model.prom", b"accuracy 0.99\n"),
            true,
        ),
        ("1,024 members", members(1023), true),
        ("1,025 members", members(1024), false),
        (
            "a name of a megabyte",
            member(&vec![b'n'; 1 << 20], b"accuracy 0.99\n"),
            false,
        ),
        ("empty stored blocks", stored, false),
        ("text after the stream", tail, false),
        ("half a stream", honest[..honest.len() - 6].to_vec(), false),
    ] {
        for length in [1, 7, 16 << 10, usize::MAX] {
            let read = inflate(body.chunks(length.min(body.len())), LIMIT);
            let expected = is_read.then(|| b"accuracy 0.99\n".to_vec());
            assert_eq!(read.ok(), expected, "{what} in pieces of {length}");
        }
    }
}
