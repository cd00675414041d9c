//! Sidewatch watches one model server and says when the *model* goes bad.
//!
//! ```text
//! target ─▶ scrape ─▶ series ─▶ promql ─▶ map ─▶ judge ─▶ alert ─▶ notify ─▶ Alertmanager, webhook
//!           HTTP,     recent    expr at   Metric strategy state  │   (outbox while a receiver is down)
//!           parse     window    a time           verdict  machine└─▶ publish ─▶ /metrics, page, API
//! ```
//!
//! Two packages: `sidewatch-engine` is pure, without I/O and without a clock; time arrives with the
//! sample. It contains `metric`, `series`, `promql`, `map`, `judge`, `alert`, `rules`, [`monitor`]
//! (one tick) and [`replay`], which are re-exported here. This package adds the I/O: [`service`] is
//! the loop of ticks and the tasks around it.
//!
//! Five seams take code of yours, without a change here:
//!
//! - [`MetricProducer`]: where expositions come from;
//! - [`ThresholdStrategy`] and [`StrategyFactory`]: how values are judged;
//! - [`RetrainingNotifier`]: who is asked for a new model;
//! - [`Service::subscribe`]: every change of every [`Alert`], for any number of subscribers.
//!
//! A program that embeds Sidewatch reads a configuration, builds a service and runs it:
//!
//! ```
//! use futures_util::future::BoxFuture;
//! use sidewatch::metric::Timestamp;
//! use sidewatch::publish::Server;
//! use sidewatch::scrape::{Error, Exposition};
//! use sidewatch::{Config, MetricProducer, Service};
//!
//! /// Returns the same metrics at every scrape.
//! struct Fixed;
//!
//! impl MetricProducer for Fixed {
//!     fn produce(&mut self, at: Timestamp) -> BoxFuture<'_, Result<Exposition, Error>> {
//!         let exposition = Exposition::text(b"accuracy 0.7\n".to_vec(), at);
//!         Box::pin(std::future::ready(Ok(exposition)))
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let config = Config::from_yaml(
//!     "scrape: {targets: [{url: 'http://fraud/metrics', labels: {instance: fraud-0}}]}",
//! )?;
//! let rules = "
//! groups:
//! - name: fraud
//!   rules:
//!   - watch: AccuracyDropped
//!     expr: accuracy
//!     metric: accuracy
//!     strategy: {type: static, bound: 0.9}
//! ";
//! let service = Service::builder(config)
//!     .rules("fraud.yaml", rules)
//!     .producer("fraud-0", Fixed)
//!     .build()?;
//! let mut alerts = service.subscribe();
//! let (first, result) = tokio::sync::oneshot::channel();
//! let first_alert = async move {
//!     let _ = first.send(alerts.recv().await);
//! };
//! service.run(Server::bind("127.0.0.1:0").await?, first_alert).await?;
//! assert_eq!(&*result.await??.rule, "AccuracyDropped");
//! # Ok(())
//! # }
//! ```
//!
//! The folder `examples` has one program for each seam.

pub use metric::{Direction, Labels, Metric, MetricSample, Timestamp};
pub use sidewatch_engine::metric;

pub use sidewatch_engine::{describe, section};

pub mod scrape;
pub use scrape::MetricProducer;

pub use sidewatch_engine::series;

pub use sidewatch_engine::promql;

pub use sidewatch_engine::map;

pub use judge::{
    EwmaStrategy, StaticThresholdStrategy, StrategyConfig, StrategyFactory, ThresholdStrategy,
    Verdict,
};
pub use sidewatch_engine::judge;

pub use alert::Alert;
pub use sidewatch_engine::alert;

pub use sidewatch_engine::rules;

pub mod notify;
pub use notify::{LogNotifier, RetrainRequest, RetrainingNotifier};

pub mod publish;

pub mod state;

pub mod config;
pub use config::Config;

pub mod history;

pub use monitor::ModelMonitor;
pub use sidewatch_engine::{monitor, replay};

pub mod service;
pub use service::{MonitorError, Service, ServiceBuilder};

pub mod relay;

pub mod runtime;

pub mod cli;

pub mod reference;
