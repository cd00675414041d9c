//! Sidewatch watches one model server and says when the *model* goes bad.
//!
//! ```text
//! target /metrics ─▶ scrape ─▶ series ─▶ promql ─▶ map ─▶ judge ─▶ alert ─▶ notify ─▶ Alertmanager, retraining webhook
//!                    (HTTP,    (recent   (expr     (Metric  (strategy (state     └──▶ outbox when a receiver is down
//!                    parse)    window)   at now)   samples) verdict)  machine)
//!                                                                       └────▶ publish ─▶ own /metrics, status page, API
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
//! The folder `examples` has one of each.

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
    alert, describe, judge, map, metric, monitor, promql, replay, rules, series,
};

// The configuration and the service.
pub use cli::main;
pub use config::{Config, Problem, Problems, RuleReader, Settings, settings::Target};
pub use publish::Server;
pub use service::{MonitorError, Service};

// Values and where they come from.
pub use metric::{Direction, Labels, Metric, MetricSample, Timestamp};
pub use scrape::{Error as ScrapeError, Exposition, MetricProducer};

// How values are judged, and what a strategy of one's own needs.
pub use describe::section;
pub use judge::{
    Band, EwmaStrategy, Problem as ParamProblem, Registry, Side, Snapshot, StaticThresholdStrategy,
    StrategyConfig, StrategyContext, StrategyError, StrategyFactory, Table, ThresholdStrategy,
    Verdict, read_params,
};

// One tick and what comes of it.
pub use alert::{Alert, AlertState};
pub use monitor::{ModelMonitor, Scraped, Tick};
pub use notify::{Error as NotifyError, LogNotifier, RetrainRequest, RetrainingNotifier};
