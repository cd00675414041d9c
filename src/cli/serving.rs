//! The flags of every command that serves: addresses, web configuration, storage.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;

use super::error::Error;
use crate::config::{Problem, Problems, load_web};
use crate::publish::web::{Load, Web};
use crate::publish::{Hosts, Server};
use crate::service::MonitorError;

/// A web configuration, and a function that reads it again.
pub(super) struct WebConfig {
    web: Web,
    load: Load,
}

/// The listeners of a command.
pub(super) struct Servers {
    pub(super) main: Server,
    /// Serves only the health endpoints.
    pub(super) health: Option<Server>,
}

#[derive(Debug, Clone, Args)]
pub(super) struct Serving {
    /// Address to serve /metrics, the API and the status page on
    #[arg(
        long = "web.listen-address",
        value_name = "ADDRESS",
        default_value = ":9755"
    )]
    listen_address: String,
    /// TLS, passwords, headers and rate limit, in the format of the Prometheus exporters; reloaded
    /// when the file changes
    #[arg(long = "web.config.file", value_name = "FILE")]
    web_config: Option<PathBuf>,
    /// Reload the configuration at POST /-/reload, as at SIGHUP
    #[arg(long = "web.enable-lifecycle")]
    pub(super) enable_lifecycle: bool,
    /// Address that serves only /-/healthy and /-/ready, for the kubelet
    #[arg(long = "web.health-listen-address", value_name = "ADDRESS")]
    health_address: Option<String>,
    /// Further host names for requests that change something or read the configuration, in
    /// addition to addresses, names without dots, names of the cluster's DNS, the host name, and
    /// the hosts of --web.listen-address and global.external_url; * for any; only needed without
    /// TLS and passwords
    #[arg(long = "web.allowed-hosts", value_name = "HOST", value_delimiter = ',')]
    allowed_hosts: Vec<String>,
    /// Folder for state that survives a restart
    #[arg(long = "storage.path", value_name = "DIR")]
    pub(super) storage_path: Option<PathBuf>,
    /// Stand by while another instance uses the folder, and take over when it stops
    #[arg(long = "storage.wait")]
    pub(super) storage_wait: bool,
}

impl Serving {
    /// Reads the web configuration, so that its mistakes are reported before a port is bound.
    pub(super) fn web(&self) -> Result<Option<WebConfig>, Error> {
        self.web_config.as_deref().map(read_web).transpose()
    }

    /// Binds the addresses. `external_url` is where people reach this server, or empty.
    pub(super) async fn bind(
        &self,
        config: Option<WebConfig>,
        external_url: &str,
    ) -> Result<Servers, MonitorError> {
        let hosts = Hosts::new(external_url, &self.allowed_hosts);
        let mut main = Server::bind(&self.listen_address).await?.with_hosts(hosts);
        if let Some(WebConfig { web, load }) = config {
            main = main.with_web(web, load);
        }
        let health = match &self.health_address {
            Some(address) => Some(Server::bind(address).await?),
            None => None,
        };
        Ok(Servers { main, health })
    }
}

impl Serving {
    /// Makes a start possible that would fail, and returns why it would have: a port that is taken
    /// is replaced by a free one of the loopback interface, or by none for the kubelet's. Without
    /// the TLS and passwords that the user wants, only the loopback interface is served.
    pub(super) fn without_mistakes(&mut self) -> Problems {
        let mut problems = Problems::default();
        let mut leave_out = |flag: &str, message: String| {
            problems.push(Problem::of_file(flag, message));
        };
        if let Err(error) = self.web() {
            leave_out("--web.config.file", error.to_string());
            let port = self.listen_address.rsplit(':').next().unwrap_or("0");
            self.listen_address = format!("127.0.0.1:{port}");
            self.web_config = None;
        }
        let main = try_address(&self.listen_address);
        if let Err(error) = &main {
            leave_out("--web.listen-address", error.to_string());
            "127.0.0.1:0".clone_into(&mut self.listen_address);
        }
        if let Some(address) = &self.health_address
            && let Err(error) = try_address(address)
        {
            leave_out("--web.health-listen-address", error.to_string());
            self.health_address = None;
        }
        problems
    }
}

/// Listens for as long as the result lives.
fn try_address(address: &str) -> std::io::Result<TcpListener> {
    match address.strip_prefix(':') {
        Some(port) => TcpListener::bind(format!("0.0.0.0:{port}")),
        None => TcpListener::bind(address),
    }
}

fn read_web(file: &Path) -> Result<WebConfig, Error> {
    let web = load_web(file).map_err(|problems| Error::in_configuration(&problems))?;
    let file = file.to_owned();
    let load = move || load_web(&file).map_err(|problems| problems.to_string());
    Ok(WebConfig {
        web,
        load: Arc::new(load),
    })
}
