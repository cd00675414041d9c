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
//! The folder `examples` has one of each.

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
pub use service::{MonitorError, Service};

pub mod relay;

pub mod runtime;

pub mod cli;

pub mod reference;
