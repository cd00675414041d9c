//! A notifier of your own: requests to retrain the model go to your code.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use sidewatch::{
    Config, Exposition, MetricProducer, NotifyError, RetrainRequest, RetrainingNotifier,
    ScrapeError, Server, Service, Timestamp,
};
use tokio::sync::Notify;

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
    retrain: {cooldown: 1h}
";

/// Prints each request. A real notifier starts a training pipeline.
struct Printer {
    done: Arc<Notify>,
}

impl RetrainingNotifier for Printer {
    fn request<'a>(
        &'a self,
        request: &'a RetrainRequest,
    ) -> BoxFuture<'a, Result<(), NotifyError>> {
        println!("retrain {} because of {}", request.model_id, request.rule);
        self.done.notify_one();
        Box::pin(std::future::ready(Ok(())))
    }
}

/// Always returns a bad accuracy.
struct BadModel;

impl MetricProducer for BadModel {
    fn produce(&mut self, at: Timestamp) -> BoxFuture<'_, Result<Exposition, ScrapeError>> {
        let exposition = Exposition::text(b"accuracy 0.7\n".to_vec(), at);
        Box::pin(std::future::ready(Ok(exposition)))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let done = Arc::new(Notify::new());
    let service = Service::builder(Config::from_yaml(CONFIG)?)
        .rules("own.yaml", RULES)
        .producer("fraud-0", BadModel)
        .notifier(Printer {
            done: Arc::clone(&done),
        })
        .build()?;
    let server = Server::bind("127.0.0.1:0").await?;
    service.run(server, done.notified()).await?;
    Ok(())
}
