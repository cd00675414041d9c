//! Everything together: one tick, and the tasks around it. The only room that knows all the others.

mod alert_series;
mod answer;
mod asker;
mod backfill;
mod clock_jump;
pub(crate) mod control;
mod error;
mod evidence;
mod keeper;
mod loading;
mod memory;
mod model_monitor;
mod names;
mod offline;
pub(crate) mod opening;
mod outlets;
mod past;
mod probe;
mod producers;
mod reload;
mod results;
mod retraining;
mod rollout;
mod rule;
mod service;
mod source;
mod target;
mod targets;
mod ticking;
mod traffic;
mod view;
mod watch;
mod writer;

pub(crate) use outlets::webhooks;
pub(crate) use view::receivers;

pub use control::{Loader, Recogniser};
pub use error::MonitorError;
pub use model_monitor::{ModelMonitor, Scraped, Tick, selectors};
pub use past::{Answers, Past};
pub use results::{Answer, Question, Results, questions};
pub use service::Service;
