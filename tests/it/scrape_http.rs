//! A scrape over HTTP: what is sent, and what every kind of bad answer becomes.

use std::sync::Arc;

use sidewatch::runtime::http::{Client, Settings};
use sidewatch::scrape::{Format, HttpProducer, MetricProducer, Target};
use wiremock::matchers::{header, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::scrape_window::NOW;

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
