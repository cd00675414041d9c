//! Converts the configuration to the engine's settings.

use std::sync::Arc;

use super::Config;
use super::settings::{Discovery, Scrape};
use crate::judge::Registry;
use crate::monitor::{self, Ingest, ModelMonitor, RetrainingSettings};
use crate::scrape::ScrapeLimits;

impl Config {
    /// The settings of a monitor besides its rules.
    #[must_use]
    pub fn monitor_settings(&self) -> monitor::Settings {
        let settings = &self.settings;
        let scrape = &settings.scrape;
        let model = &settings.model;
        monitor::Settings {
            model: model.clone(),
            targets: scrape.targets.clone(),
            discovery: scrape.discovery.as_ref().map(|found| found.found_by(model)),
            is_remote: scrape.source.is_some(),
            ingest: ingest(scrape),
            series_limit: usize::try_from(scrape.series_limit).unwrap_or(usize::MAX),
            interval: settings.global.scrape_interval,
            retention: settings.storage.retention,
            resend_delay: settings.alerting.resend_delay,
            external_labels: settings.global.external_labels.clone(),
            external_url: settings.global.external_url.clone(),
            config_hash: self.hash(),
            retraining: RetrainingSettings {
                enabled: settings.retraining.enabled,
                dry_run: settings.retraining.dry_run,
                in_flight_timeout: settings.retraining.in_flight_timeout,
                hourly_limit: usize::try_from(settings.retraining.hourly_limit)
                    .unwrap_or(usize::MAX),
            },
        }
    }

    /// A monitor with this configuration before its first tick.
    #[must_use]
    pub fn monitor(&self, registry: &Registry) -> ModelMonitor {
        ModelMonitor::new(
            self.monitor_settings(),
            Arc::new(self.rules.clone()),
            registry,
        )
    }

    /// A monitor with this configuration whose samples are given instead of scraped.
    #[must_use]
    pub fn offline_monitor(&self, registry: &Registry) -> ModelMonitor {
        ModelMonitor::offline(
            self.monitor_settings(),
            Arc::new(self.rules.clone()),
            registry,
        )
    }
}

impl Discovery {
    /// The common settings of the targets found by this name.
    #[must_use]
    pub fn found_by(&self, model: &monitor::Model) -> monitor::Discovery {
        monitor::Discovery {
            name: self.lookup.question.to_string(),
            https: self.https,
            path: self.path.clone(),
            labels: self.shared_labels(model),
        }
    }
}

fn ingest(scrape: &Scrape) -> Ingest {
    Ingest {
        limits: scrape.limits(),
        honor_labels: scrape.honor_labels,
        honor_timestamps: scrape.honor_timestamps,
    }
}

impl Scrape {
    /// The limits of one scrape, and of one answer of `source`.
    #[must_use]
    pub fn limits(&self) -> ScrapeLimits {
        ScrapeLimits {
            body_size: self.body_size_limit,
            samples: self.sample_limit,
            labels: self.label_limit,
            label_name_length: self.label_name_length_limit,
            label_value_length: self.label_value_length_limit,
        }
    }
}
