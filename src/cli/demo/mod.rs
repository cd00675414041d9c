//! `sidewatch demo`: watches a simulated model server that degrades, and prints what its receivers
//! get.

mod event_log;
mod model;
mod receiver;
mod scenario;

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tokio_util::sync::CancellationToken;

use self::event_log::EventLog;
use self::scenario::Scenario;
use super::error::Error;
use super::executor;
use crate::config::Config;
use crate::config::settings::{Alertmanager, Settings, Webhook};
use crate::config::target::{Target, complete_labels};
use crate::judge::Registry;
use crate::metric::{Labels, parse_duration};
use crate::publish::{Handler, Server};
use crate::runtime::{Supervisor, stop_signal};
use crate::service::{MonitorError, Service};

/// The scrape interval of the demonstration.
const INTERVAL: Duration = Duration::from_millis(500);
/// Shorter demonstrations end before an alert can fire.
const MIN_DURATION: Duration = Duration::from_secs(15);
/// A free port that only this machine reaches.
const LOOPBACK: &str = "127.0.0.1:0";
const RULES: &str = include_str!("rules.yaml");

#[derive(Debug, Args)]
pub(super) struct Demo {
    /// Length of the demonstration, at least 15s; the model degrades after one third and recovers
    /// after two thirds
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = duration)]
    duration: Duration,
    /// Address of the status page and /metrics
    #[arg(
        long = "web.listen-address",
        value_name = "ADDRESS",
        default_value = "127.0.0.1:9755"
    )]
    listen_address: String,
    /// Address of the model server, to scrape it with another sidewatch or a Prometheus; port 0
    /// picks a free port
    #[arg(
        long = "model.listen-address",
        value_name = "ADDRESS",
        default_value = LOOPBACK
    )]
    model_address: String,
}

fn duration(text: &str) -> Result<Duration, String> {
    let duration = parse_duration(text)?;
    if duration < MIN_DURATION {
        return Err("must be at least 15s, so that an alert has time to fire".to_owned());
    }
    Ok(duration)
}

impl Demo {
    pub(super) fn run(&self) -> Result<ExitCode, Error> {
        let runtime = executor::multi_thread(2)?;
        let ended = runtime.block_on(self.play());
        runtime.shutdown_timeout(Duration::from_secs(1));
        ended?;
        Ok(ExitCode::SUCCESS)
    }

    async fn play(&self) -> Result<(), MonitorError> {
        let log = Arc::new(EventLog::start());
        let scenario = Arc::new(Scenario::new(self.duration, Arc::clone(&log)));
        let mut supervisor = Supervisor::new(1);
        let server = Server::bind(&self.model_address).await?;
        let handler = scenario.model_server();
        let model = serve(&mut supervisor, "model server", server, handler);
        let server = Server::bind(LOOPBACK).await?;
        let handler = receiver::handler(Arc::clone(&scenario));
        let receiver = serve(&mut supervisor, "receiver", server, handler);
        let server = match Server::bind(&self.listen_address).await {
            Ok(server) => server,
            // The demonstration should also run if the default port is in use.
            Err(_) => Server::bind(LOOPBACK).await?,
        };
        log.print(&format!(
            "the model server answers at http://{model}/metrics"
        ));
        log.print(&format!(
            "sidewatch scrapes it every {INTERVAL:?}; status page and /metrics at http://{}/",
            server.address()
        ));
        let registry = Registry::built_in();
        let service = Service::builder(config(&model, &receiver, &registry)?).build()?;
        let ended = CancellationToken::new();
        let changes = log.print_changes(service.subscribe(), ended.clone());
        let signal = stop_signal()?;
        let duration = self.duration;
        let stop = async move {
            tokio::select! {
                () = tokio::time::sleep(duration) => {}
                _ = signal => {}
            }
            ended.cancel();
        };
        let (result, ()) = tokio::join!(service.run(server, stop), changes);
        supervisor
            .run(std::future::ready(()), Duration::from_secs(2))
            .await;
        log.print_summary();
        result
    }
}

/// Starts a server with this handler and returns its address.
fn serve(supervisor: &mut Supervisor, name: &str, server: Server, handler: Handler) -> String {
    let address = server.address().to_string();
    supervisor.spawn(0, name, server.run_with(handler, supervisor.token(0)));
    address
}

fn config(model: &str, receiver: &str, registry: &Registry) -> Result<Config, MonitorError> {
    let timeout = Duration::from_secs(5);
    let mut settings = Settings::default();
    settings.global.scrape_interval = INTERVAL;
    settings.global.scrape_timeout = INTERVAL;
    settings.model.id = "demo".to_owned();
    settings.model.version = Some("1".to_owned());
    let url = format!("http://{model}/metrics");
    let own = Labels::new([("pod", "demo-0"), ("namespace", "default")]);
    settings.scrape.targets = vec![Target {
        labels: complete_labels(&url, &own, &settings.model),
        url,
    }];
    settings.alerting.resend_delay = Duration::from_secs(10);
    settings.alerting.alertmanagers = vec![Alertmanager {
        timeout,
        ..Alertmanager::new(&format!("http://{receiver}"))
    }];
    settings.retraining.webhooks = vec![Webhook {
        timeout,
        ..Webhook::new(&format!("http://{receiver}/retrain"))
    }];
    let config = Config::assemble(settings, Path::new(""), registry)?;
    Ok(config.with_rules("demo.yaml", RULES, registry)?)
}
