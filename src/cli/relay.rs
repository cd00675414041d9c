//! `sidewatch relay`: ask for retraining when Alertmanager says so, until told to stop.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tracing::info;

use super::Error;
use super::run::{listed, load_web_from};
use crate::config::Problems;
use crate::config::relay::{self, load_relay};
use crate::monitor::MonitorError;
use crate::publish::Server;
use crate::relay::Service;
use crate::runtime::{stop_signal, with_sources};

/// Takes Alertmanager's webhook (version 4) at `POST /api/v1/alertmanager` and asks for retraining.
#[derive(Debug, Clone, Args)]
pub(super) struct Relay {
    /// Configuration file
    #[arg(long = "config.file", value_name = "FILE")]
    config_file: PathBuf,
    /// Address to serve the webhook, /metrics and the API on
    #[arg(
        long = "web.listen-address",
        value_name = "ADDRESS",
        default_value = ":9755"
    )]
    listen_address: String,
    /// TLS, passwords, headers and rate limit, in the format of Prometheus' exporters; read again on change
    #[arg(long = "web.config.file", value_name = "FILE")]
    web_config: Option<PathBuf>,
    /// Reload the configuration at POST /-/reload, as at SIGHUP
    #[arg(long = "web.enable-lifecycle")]
    enable_lifecycle: bool,
    /// Address that serves only /-/healthy and /-/ready, for the kubelet
    #[arg(long = "web.health-listen-address", value_name = "ADDRESS")]
    health_address: Option<String>,
    /// Folder for state that survives a restart
    #[arg(long = "storage.path", value_name = "DIR")]
    storage_path: Option<PathBuf>,
    /// Stand by while another instance has the folder, and take over when it ends
    #[arg(long = "storage.wait")]
    storage_wait: bool,
}

impl Relay {
    pub(super) fn run(&self) -> Result<ExitCode, Error> {
        let wrong = |problems: &Problems| Error::new(listed(problems));
        let relay = self.load().map_err(|problems| wrong(&problems))?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .map_err(|error| Error::new(format!("cannot start: {error}")))?;
        let web = self.web_config.as_deref().map(load_web_from).transpose()?;
        let ended = runtime.block_on(async {
            let signal = stop_signal()?;
            let mut server = Server::bind(&self.listen_address).await?;
            if let Some((web, load)) = web {
                server = server.with_web(web, load);
            }
            let mut service = Service::new(relay).with_standby(self.storage_wait);
            if let Some(address) = &self.health_address {
                service = service.with_health(Server::bind(address).await?);
            }
            let again = self.clone();
            let load = Arc::new(move || again.load());
            let service = service.with_reload(load, self.enable_lifecycle);
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
        if let Some(path) = &self.storage_path {
            relay.storage = Some(path.clone());
        }
        Ok(relay)
    }
}
