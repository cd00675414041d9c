//! `sidewatch relay`: ask for retraining when Alertmanager says so, until told to stop.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tracing::info;

use super::run::listed;
use super::serving::Serving;
use super::{Error, one_thread};
use crate::config::Problems;
use crate::config::relay::{self, load_relay};
use crate::relay::Service;
use crate::runtime::{stop_signal, with_sources};
use crate::service::MonitorError;

/// Takes Alertmanager's webhook (version 4) at `POST /api/v1/alertmanager` and asks for retraining.
#[derive(Debug, Clone, Args)]
pub(super) struct Relay {
    /// Configuration file
    #[arg(long = "config.file", value_name = "FILE")]
    config_file: PathBuf,
    #[command(flatten)]
    serving: Serving,
}

impl Relay {
    pub(super) fn run(&self) -> Result<ExitCode, Error> {
        let wrong = |problems: &Problems| Error::new(listed(problems));
        let relay = self.load().map_err(|problems| wrong(&problems))?;
        let runtime = one_thread()?;
        let web = self.serving.web()?;
        let ended = runtime.block_on(async {
            let signal = stop_signal()?;
            let (server, health) = self.serving.bind(web).await?;
            let mut service = Service::new(relay).with_standby(self.serving.storage_wait);
            if let Some(health) = health {
                service = service.with_health(health);
            }
            let again = self.clone();
            let load = Arc::new(move || again.load());
            let service = service.with_reload(load, self.serving.enable_lifecycle);
            let stop = async move {
                let name = signal.await;
                info!(signal = name, "stopping");
            };
            service.run(server, stop).await
        });
        runtime.shutdown_timeout(Duration::from_secs(1));
        ended.map_err(|error: MonitorError| Error::new(with_sources(&error)))?;
        Ok(ExitCode::SUCCESS)
    }

    fn load(&self) -> Result<relay::Relay, Problems> {
        let mut relay = load_relay(&self.config_file)?;
        if let Some(path) = &self.serving.storage_path {
            relay.storage = Some(path.clone());
        }
        Ok(relay)
    }
}
