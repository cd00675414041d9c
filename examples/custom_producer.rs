//! A producer of your own: metrics that come from somewhere else than an HTTP endpoint.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error as StdError;

use futures_util::future::BoxFuture;
use sidewatch::{
    Config, Exposition, Labels, MetricProducer, Registry, RuleReader, ScrapeError, Server, Service,
    Settings, Target, Timestamp,
};

const RULES: &str = "
groups:
- name: own
  rules:
  - watch: AccuracyDropped
    expr: accuracy
    metric: accuracy
    strategy: {type: static, bound: 0.9}
";

/// Gets a little worse each time it is asked.
struct Declining {
    accuracy: f64,
}

impl MetricProducer for Declining {
    fn produce(&mut self, at: Timestamp) -> BoxFuture<'_, Result<Exposition, ScrapeError>> {
        self.accuracy -= 0.02;
        let body = format!(
            "# TYPE accuracy gauge\naccuracy{{model_name=\"own\"}} {}\n",
            self.accuracy
        );
        Box::pin(std::future::ready(Ok(Exposition::text(
            body.into_bytes(),
            at,
        ))))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn StdError>> {
    let registry = Registry::built_in();
    let mut settings = Settings::default();
    settings.global.scrape_interval = std::time::Duration::from_millis(100);
    settings.scrape.targets = vec![Target {
        url: "http://own.example/metrics".to_owned(),
        labels: Labels::new([("instance", "own")]),
    }];
    let reader = RuleReader {
        registry: &registry,
        retention: settings.storage.retention,
        interval: settings.global.scrape_interval,
    };
    let mut config = Config::assemble(settings, std::path::Path::new(""), &registry)?;
    config.rules.groups = reader.read("rules.yaml", RULES)?;

    let service =
        Service::new(config, &registry).with_producer(0, Box::new(Declining { accuracy: 0.97 }));
    let mut alerts = service.subscribe();
    let first = async move {
        loop {
            match alerts.recv().await {
                Ok(alert) if alert.fired_at.is_some() => {
                    println!("{alert}: {}", alert.summary());
                    break;
                }
                Ok(_) => {}
                Err(error) => panic!("the monitor ended first: {error}"),
            }
        }
    };
    service
        .run(Server::bind("127.0.0.1:0").await?, first)
        .await?;
    Ok(())
}
