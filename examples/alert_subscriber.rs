//! Every change of every alert, tick by tick, and a notifier of your own for retraining requests.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error as StdError;
use std::path::Path;
use std::time::Duration;

use futures_util::future::BoxFuture;
use sidewatch::{
    AlertState, Config, Exposition, Labels, NotifyError, Registry, RetrainRequest,
    RetrainingNotifier, RuleReader, Scraped, Settings, Target, Timestamp,
};

const RULES: &str = "
groups:
- name: subscriber
  rules:
  - watch: AccuracyDropped
    expr: accuracy
    metric: accuracy
    strategy: {type: static, bound: 0.9}
    for: 15s
    retrain: {cooldown: 1h}
";

/// Prints requests instead of sending them.
struct Printer;

impl RetrainingNotifier for Printer {
    fn request<'a>(
        &'a self,
        request: &'a RetrainRequest,
    ) -> BoxFuture<'a, Result<(), NotifyError>> {
        println!(
            "asked to retrain {} because of {}",
            request.model_id, request.rule
        );
        Box::pin(std::future::ready(Ok(())))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn StdError>> {
    let registry = Registry::built_in();
    let mut settings = Settings::default();
    settings.scrape.targets = vec![Target {
        url: "http://127.0.0.1:8000/metrics".to_owned(),
        labels: Labels::new([("instance", "fraud-0")]),
    }];
    let reader = RuleReader {
        registry: &registry,
        retention: settings.storage.retention,
        interval: settings.global.scrape_interval,
    };
    let mut config = Config::assemble(settings, Path::new(""), &registry)?;
    config.rules.groups = reader.read("rules.yaml", RULES)?;

    let mut monitor = config.monitor(&registry);
    let mut states = Vec::new();
    for (tick, accuracy) in [0.95, 0.8, 0.8, 0.95].into_iter().enumerate() {
        let at = Timestamp::from_secs_f64(15.0 * tick as f64);
        let body = format!("accuracy {accuracy}\n").into_bytes();
        let scraped = Scraped {
            result: Ok(Exposition::text(body, at)),
            duration: Duration::from_millis(3),
        };
        let tick = monitor.observe(at, &[scraped]);
        for request in &tick.requests {
            Printer.request(request).await?;
        }
        for alert in &tick.changes {
            println!("{at}: {alert}");
            states.push(alert.state);
        }
    }
    assert_eq!(
        states,
        [
            AlertState::Pending,
            AlertState::Firing,
            AlertState::Resolved
        ]
    );
    Ok(())
}
