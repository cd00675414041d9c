//! The monitor of a model: one tick is a pure function from scrapes and time to alerts, requests
//! for a new model, records to store and everything that changed.

mod alert_series;
mod alerting;
mod cadence;
mod clock_jump;
mod discovered;
mod evidence;
mod filling;
mod groups;
mod model_monitor;
mod names;
mod pass;
mod precedence;
mod queries;
mod quota;
mod recorder;
mod records;
mod reload;
mod results;
mod retired;
mod retraining;
mod rollout;
mod rule;
mod selection;
mod settings;
mod stale;
mod state;
mod target;
mod targets;
mod tick;
mod traffic;
mod values;
mod watch;

pub use alerting::Alerting;
pub use cadence::evaluated_every;
pub use groups::GroupState;
pub use model_monitor::ModelMonitor;
pub use recorder::Recorder;
pub use records::{ByRule, Counted, Knowledge, Learnt, StateChanges, StoredAlerts, StoredState};
pub use results::{Answer, Question, Results, questions};
pub use rule::{Health, RuleKind, RuleState};
pub use selection::selectors;
pub use settings::{Baseline, Discovery, Ingest, Model, RetrainingSettings, Settings, Target};
pub use target::{LastScrape, ScrapeFailure, Scraped, TargetState};
pub use tick::{Progress, Tick, TickInProgress};
pub use watch::Watching;
