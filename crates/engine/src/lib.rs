//! The pure core of Sidewatch: expositions and time in; verdicts, alerts and retraining requests
//! out.
//!
//! ```text
//! exposition ─▶ series ─▶ promql ─▶ map ─▶ judge ─▶ incident ─▶ alert ─▶ retrain
//! (parse)       (recent   (expr     (Metric  (strategy (baseline   (state    (the gate:
//!               window)   at now)   samples) verdict)  kept)       machine)  when to ask)
//! ```
//!
//! `rules` says what is evaluated, [`monitor::ModelMonitor`] is one tick through all of them, and
//! `replay` takes the past through it.
//!
//! Nothing here performs I/O or reads a clock: time arrives with the sample.

pub mod metric;

pub mod describe;

pub mod exposition;

pub mod series;

pub mod promql;

pub mod map;

pub mod judge;

pub mod incident;

pub mod alert;

pub mod rules;

pub mod retrain;

pub mod monitor;

pub mod replay;
