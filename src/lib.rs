//! Sidewatch watches one model server and says when the *model* goes bad.
//!
//! ```text
//! target /metrics ─▶ scrape ─▶ series ─▶ promql ─▶ map ─▶ judge ─▶ alert ─▶ notify ─▶ Alertmanager, retraining webhook
//!                                                                     └────▶ publish ─▶ own /metrics, status page, API
//! ```

pub mod metric;

pub mod scrape;

pub mod series;

pub mod promql;

pub mod map;

pub mod judge;

pub mod alert;

pub mod notify;

pub mod publish;

pub mod state;

pub mod config;

pub mod monitor;

pub mod runtime;

pub mod cli;
