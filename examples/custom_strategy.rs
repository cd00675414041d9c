//! A strategy of your own: anomalous when a value jumps by more than a factor from one sample to
//! the next.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::borrow::Cow;
use std::error::Error;

use futures_util::future::BoxFuture;
use serde_json::{Map, Value};
use sidewatch::{
    Band, Config, Exposition, MetricProducer, MetricSample, ParamProblem, Registry, ScrapeError,
    Server, Service, Side, Snapshot, StrategyContext, StrategyError, StrategyFactory,
    ThresholdStrategy, Timestamp, Verdict, read_params, section,
};

const CONFIG: &str = "
global: {scrape_interval: 100ms, scrape_timeout: 100ms}
model: {id: fraud}
scrape: {targets: [{url: 'http://fraud.example/metrics', labels: {instance: fraud-0}}]}
";

const RULES: &str = "
groups:
- name: own
  rules:
  - watch: LatencyJumped
    expr: latency
    metric: custom
    strategy: {type: jump, factor: 3}
";

/// Remembers the last value.
#[derive(Debug, Clone)]
struct Jump {
    factor: f64,
    last: Option<f64>,
}

impl ThresholdStrategy for Jump {
    fn assess(&mut self, sample: &MetricSample) -> Verdict {
        let Some(last) = self.last else {
            return Verdict::warming_up("no sample before this one");
        };
        let limit = last * self.factor;
        let band = Band {
            lower: None,
            centre: Some(last),
            upper: Some(limit),
        };
        let value = sample.value;
        Verdict::judged(value / limit, Some(Side::Above), band, || {
            Cow::Owned(format!(
                "{value} is more than {} times {last}",
                limit / last
            ))
        })
    }

    fn learn(&mut self, sample: &MetricSample) {
        if sample.value.is_finite() {
            self.last = Some(sample.value);
        }
    }

    fn duplicate(&self) -> Box<dyn ThresholdStrategy> {
        Box::new(self.clone())
    }

    fn snapshot(&self) -> Snapshot {
        Snapshot::of("jump", 1, &self.last)
    }

    fn restore(&mut self, snapshot: &Snapshot) -> Result<(), StrategyError> {
        self.last = snapshot.open("jump", 1)?;
        Ok(())
    }
}

section! {
    /// Anomalous when a value is more than a multiple of the one before it.
    struct JumpParams {
        /// The multiple.
        factor: f64 = 2.0, above(1.0);
    }
}

/// Makes `{type: jump, factor: 3}` mean something in a rule file.
struct Jumps;

impl StrategyFactory for Jumps {
    fn kind(&self) -> &'static str {
        "jump"
    }

    fn build(
        &self,
        params: &Map<String, Value>,
        _: &StrategyContext,
        _: &Registry,
    ) -> Result<Box<dyn ThresholdStrategy>, Vec<ParamProblem>> {
        read_params::<JumpParams, _>(params, |JumpParams { factor }, _| {
            Box::new(Jump { factor, last: None }) as Box<dyn ThresholdStrategy>
        })
    }
}

/// Returns latencies, the last of them for ever.
struct Latencies(Vec<f64>);

impl MetricProducer for Latencies {
    fn produce(&mut self, at: Timestamp) -> BoxFuture<'_, Result<Exposition, ScrapeError>> {
        let latency = match *self.0 {
            [last] => last,
            _ => self.0.remove(0),
        };
        println!("latency is {latency}");
        let body = format!("latency {latency}\n");
        let exposition = Exposition::text(body.into_bytes(), at);
        Box::pin(std::future::ready(Ok(exposition)))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let service = Service::builder(Config::from_yaml(CONFIG)?)
        .strategy(Jumps)
        .rules("jump.yaml", RULES)
        .producer("fraud-0", Latencies(vec![10.0, 12.0, 50.0, 51.0]))
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
