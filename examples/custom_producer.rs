//! A producer of your own: metrics that come from somewhere else than an HTTP endpoint.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;

use futures_util::future::BoxFuture;
use sidewatch::{Config, Exposition, MetricProducer, ScrapeError, Server, Service, Timestamp};

const CONFIG: &str = "
global: {scrape_interval: 100ms, scrape_timeout: 100ms}
model: {id: fraud}
scrape: {targets: [{url: 'http://fraud.example/metrics', labels: {instance: fraud-0}}]}
";

const RULES: &str = "
groups:
- name: own
  rules:
  - watch: AccuracyDropped
    expr: accuracy
    metric: accuracy
    strategy: {type: static, bound: 0.9}
";

/// Returns a slightly lower accuracy each time.
struct Declining {
    accuracy: f64,
}

impl MetricProducer for Declining {
    fn produce(&mut self, at: Timestamp) -> BoxFuture<'_, Result<Exposition, ScrapeError>> {
        self.accuracy -= 0.02;
        println!("accuracy is {:.2}", self.accuracy);
        let body = format!("# TYPE accuracy gauge\naccuracy {}\n", self.accuracy);
        let exposition = Exposition::text(body.into_bytes(), at);
        Box::pin(std::future::ready(Ok(exposition)))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let service = Service::builder(Config::from_yaml(CONFIG)?)
        .rules("own.yaml", RULES)
        .producer("fraud-0", Declining { accuracy: 0.97 })
        .build()?;
    let mut alerts = service.subscribe();
    let first_alert = async move {
        while let Ok(alert) = alerts.recv().await {
            println!("{alert}: {}", alert.summary());
            if alert.fired_at.is_some() {
                break;
            }
        }
    };
    let server = Server::bind("127.0.0.1:0").await?;
    service.run(server, first_alert).await?;
    Ok(())
}
