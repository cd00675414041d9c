//! `sidewatch relay`: requests retraining when Alertmanager sends a notification.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tracing::{info, warn};

use super::error::Error;
use super::executor;
use super::serving::{Servers, Serving, WebConfig};
use crate::config::Problems;
use crate::config::environment::unexpanded;
use crate::config::relay::{self, load_relay};
use crate::describe::Keys as _;
use crate::relay::Service;
use crate::runtime::stop_signal;
use crate::service::MonitorError;

/// Receive Alertmanager's webhook (version 4) at `POST /api/v1/alertmanager` and request
/// retraining.
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
        let relay = self
            .load()
            .map_err(|problems| Error::in_configuration(&problems))?;
        let web = self.serving.web()?;
        let runtime = executor::current_thread()?;
        let ended = runtime.block_on(self.serve(relay, web));
        runtime.shutdown_timeout(Duration::from_secs(1));
        ended?;
        Ok(ExitCode::SUCCESS)
    }

    async fn serve(&self, relay: relay::Relay, web: Option<WebConfig>) -> Result<(), MonitorError> {
        let signal = stop_signal()?;
        let Servers { main, health } = self.serving.bind(web, "").await?;
        let command = self.clone();
        let load = Arc::new(move || command.load());
        let mut service = Service::new(relay)
            .with_standby(self.serving.storage_wait)
            .with_reload(load, self.serving.enable_lifecycle);
        if let Some(health) = health {
            service = service.with_health(health);
        }
        let stop = async move {
            let name = signal.await;
            info!(signal = name, "stopping");
        };
        service.run(main, stop).await
    }

    fn load(&self) -> Result<relay::Relay, Problems> {
        let mut relay = load_relay(&self.config_file)?;
        let file = self.config_file.display().to_string();
        let text = std::fs::read_to_string(&self.config_file).unwrap_or_default();
        for problem in unexpanded(&file, &text, &relay::Relay::description()) {
            warn!("{problem}");
        }
        if let Some(path) = &self.serving.storage_path {
            relay.storage = Some(path.clone());
        }
        Ok(relay)
    }
}
