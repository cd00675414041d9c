//! Sidewatch watches one model server and says when the *model* goes bad.
//!
//! ```text
//! target ─▶ scrape ─▶ series ─▶ promql ─▶ map ─▶ judge ─▶ alert ─▶ notify ─▶ Alertmanager, webhook
//!           HTTP,     recent    expr at   Metric strategy state  │   (outbox while a receiver is down)
//!           parse     window    a time           verdict  machine└─▶ publish ─▶ /metrics, page, API
//! ```
//!
//! Two packages: `sidewatch-engine` is pure, without I/O and without a clock; time arrives with the
//! sample. It contains `metric`, `exposition`, `series`, `promql`, `map`, `judge`, `alert`, `rules`,
//! `retrain`, `monitor` (one tick: [`ModelMonitor`]) and `replay`. This package adds the I/O:
//! [`Service`] is the loop of ticks and the tasks around it.
//!
//! Its modules are private; the items below are the whole interface. Five of them take code of
//! yours:
//!
//! - [`MetricProducer`]: where expositions come from;
//! - [`ThresholdStrategy`] and [`StrategyFactory`]: how values are judged;
//! - [`RetrainingNotifier`]: where requests for a new model go;
//! - [`Service::subscribe`]: every change of every [`Alert`], for any number of subscribers.
//!
//! A program that embeds Sidewatch reads a configuration, builds a service and runs it:
//!
//! ```
//! use futures_util::future::BoxFuture;
//! use sidewatch::{
//!     Config, Exposition, MetricProducer, ScrapeError, Server, Service, Timestamp,
//! };
//!
//! /// Returns the same metrics at every scrape.
//! struct Fixed;
//!
//! impl MetricProducer for Fixed {
//!     fn produce(&mut self, at: Timestamp) -> BoxFuture<'_, Result<Exposition, ScrapeError>> {
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

mod cli;
mod config;
mod history;
mod notify;
mod publish;
mod reference;
mod relay;
mod runtime;
mod scrape;
mod service;
mod state;

#[doc(hidden)]
pub mod internals;

use sidewatch_engine::{
    alert, describe, incident, judge, map, metric, monitor, promql, replay, rules, series,
};

// The configuration and the service.
pub use cli::main;
pub use config::{Config, Problem, Problems, RuleReader, Settings, settings::Target};
pub use publish::Server;
pub use service::{Loader, MonitorError, Recogniser, Service, ServiceBuilder};

// Values and where they come from.
pub use metric::{Direction, Labels, Metric, MetricSample, Timestamp};
pub use scrape::{Error as ScrapeError, Exposition, MetricProducer};

// The series of a rule with their strategies and incidents.
pub use incident::{Judged, Table};

// How values are judged, and what a strategy of one's own needs.
pub use describe::section;
pub use judge::{
    Band, Built, EwmaStrategy, Level, Problem as ParamProblem, Registry, Side, Snapshot,
    StaticThresholdStrategy, StrategyConfig, StrategyContext, StrategyError, StrategyFactory,
    ThresholdStrategy, Verdict, read_params,
};

// One tick and what comes of it.
pub use alert::{Alert, AlertState, Annotations};
pub use monitor::{ModelMonitor, Scraped, Tick};
pub use notify::{
    Error as NotifyError, LogNotifier, RequestKind, RetrainRequest, RetrainingNotifier,
};
