//! Every change of every alert of a running service.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;

use futures_util::future::BoxFuture;
use sidewatch::{
    AlertState, Config, Exposition, MetricProducer, ScrapeError, Server, Service, Timestamp,
};
use tokio::sync::broadcast::error::RecvError;

const CONFIG: &str = "
global: {scrape_interval: 100ms, scrape_timeout: 100ms}
model: {id: fraud}
scrape: {targets: [{url: 'http://fraud.example/metrics', labels: {instance: fraud-0}}]}
";

const RULES: &str = "
groups:
- name: subscriber
  rules:
  - watch: AccuracyDropped
    expr: accuracy
    metric: accuracy
    strategy: {type: static, bound: 0.9}
    for: 200ms
";

/// Returns a bad accuracy six times, then a good one.
struct Dip {
    bad: u32,
}

impl MetricProducer for Dip {
    fn produce(&mut self, at: Timestamp) -> BoxFuture<'_, Result<Exposition, ScrapeError>> {
        let accuracy = if self.bad > 0 { 0.8 } else { 0.95 };
        self.bad = self.bad.saturating_sub(1);
        let body = format!("accuracy {accuracy}\n");
        let exposition = Exposition::text(body.into_bytes(), at);
        Box::pin(std::future::ready(Ok(exposition)))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let service = Service::builder(Config::from_yaml(CONFIG)?)
        .rules("subscriber.yaml", RULES)
        .producer("fraud-0", Dip { bad: 6 })
        .build()?;
    let mut alerts = service.subscribe();
    let resolved = async move {
        loop {
            match alerts.recv().await {
                Ok(alert) => {
                    println!("{alert}");
                    if alert.state == AlertState::Resolved {
                        return;
                    }
                }
                // A slow subscriber loses the oldest changes.
                Err(RecvError::Lagged(lost)) => println!("lost {lost} changes"),
                Err(RecvError::Closed) => return,
            }
        }
    };
    let server = Server::bind("127.0.0.1:0").await?;
    service.run(server, resolved).await?;
    Ok(())
}
