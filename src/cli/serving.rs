//! What every command that serves is told: addresses, web configuration, storage.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;

use super::Error;
use super::run::listed;
use crate::config::load_web;
use crate::publish::Server;
use crate::publish::web::{Load, Web};
use crate::service::MonitorError;

/// A web configuration and how to read it again.
pub(super) type Guarded = (Web, Load);

#[derive(Debug, Clone, Args)]
pub(super) struct Serving {
    /// Address to serve /metrics, the API and the page on
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
    pub(super) enable_lifecycle: bool,
    /// Address that serves only /-/healthy and /-/ready, for the kubelet
    #[arg(long = "web.health-listen-address", value_name = "ADDRESS")]
    health_address: Option<String>,
    /// Folder for state that survives a restart
    #[arg(long = "storage.path", value_name = "DIR")]
    pub(super) storage_path: Option<PathBuf>,
    /// Stand by while another instance has the folder, and take over when it ends
    #[arg(long = "storage.wait")]
    pub(super) storage_wait: bool,
}

impl Serving {
    /// The web configuration, checked before anything is bound.
    pub(super) fn web(&self) -> Result<Option<Guarded>, Error> {
        self.web_config.as_deref().map(load_web_from).transpose()
    }

    /// The server, and that of the health endpoints alone.
    pub(super) async fn bind(
        &self,
        web: Option<Guarded>,
    ) -> Result<(Server, Option<Server>), MonitorError> {
        let mut server = Server::bind(&self.listen_address).await?;
        if let Some((web, load)) = web {
            server = server.with_web(web, load);
        }
        let health = match &self.health_address {
            Some(address) => Some(Server::bind(address).await?),
            None => None,
        };
        Ok((server, health))
    }
}

fn load_web_from(file: &Path) -> Result<Guarded, Error> {
    let web = load_web(file).map_err(|problems| Error::new(listed(&problems)))?;
    let file = file.to_owned();
    let load = move || load_web(&file).map_err(|problems| problems.to_string());
    Ok((web, Arc::new(load)))
}
