//! `sidewatch demo`: a model server that degrades, the sidecar on it, and receivers that say what arrives.

mod account;
mod model;
mod receiver;
mod story;

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tokio_util::sync::CancellationToken;

use self::account::Account;
use self::story::Story;
use super::{Error, runtime};
use crate::config::settings::{Alertmanager, Settings, Webhook};
use crate::config::target::{Target, complete_labels};
use crate::config::{Config, RuleReader, Source};
use crate::judge::Registry;
use crate::metric::{Labels, parse_duration};
use crate::publish::{Handler, Server};
use crate::runtime::{Supervisor, stop_signal, with_sources};
use crate::service::{MonitorError, Service};

/// Time between two scrapes of the demonstration.
const INTERVAL: Duration = Duration::from_millis(500);
/// Some free port that only this machine reaches.
const LOOPBACK: &str = "127.0.0.1:0";
const RULES: &str = include_str!("rules.yaml");

#[derive(Debug, Args)]
pub(super) struct Demo {
    /// How long the demonstration lasts; the model degrades after a third of it and recovers after two thirds
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = duration)]
    duration: Duration,
    /// Address of the status page and /metrics
    #[arg(
        long = "web.listen-address",
        value_name = "ADDRESS",
        default_value = "127.0.0.1:9755"
    )]
    listen_address: String,
    /// Address of the model server, for a sidecar of its own or a Prometheus beside it; a free port by default
    #[arg(
        long = "model.listen-address",
        value_name = "ADDRESS",
        default_value = LOOPBACK
    )]
    model_address: String,
}

fn duration(text: &str) -> Result<Duration, String> {
    let duration = parse_duration(text)?;
    if duration < Duration::from_secs(15) {
        return Err("must be at least 15s, or nothing has time to happen".to_owned());
    }
    Ok(duration)
}

impl Demo {
    pub(super) fn run(&self) -> Result<ExitCode, Error> {
        let runtime = runtime(2)?;
        let ended = runtime.block_on(self.play());
        runtime.shutdown_timeout(Duration::from_secs(1));
        ended.map_err(|error| Error::new(with_sources(&error)))?;
        Ok(ExitCode::SUCCESS)
    }

    async fn play(&self) -> Result<(), MonitorError> {
        let account = Arc::new(Account::start());
        let story = Arc::new(Story::new(self.duration, Arc::clone(&account)));
        let mut stage = Supervisor::new(1);
        let model = Server::bind(&self.model_address).await?;
        let model = embed(&mut stage, "model server", model, story.model_server());
        let receiver = Server::bind(LOOPBACK).await?;
        let handler = receiver::handler(Arc::clone(&story));
        let receiver = embed(&mut stage, "receiver", receiver, handler);
        let server = match Server::bind(&self.listen_address).await {
            Ok(server) => server,
            // Somebody else's port must not spoil the first impression.
            Err(_) => Server::bind(LOOPBACK).await?,
        };
        account.say(&format!("a model server answers at http://{model}/metrics"));
        account.say(&format!(
            "sidewatch watches it every {INTERVAL:?}; status page and /metrics at http://{}/",
            server.address()
        ));
        let registry = Registry::built_in();
        let service = Service::new(config(&model, &receiver, &registry)?, &registry);
        let done = CancellationToken::new();
        let told = account.follow(service.subscribe(), done.clone());
        let signal = stop_signal()?;
        let (length, ended) = (self.duration, done.clone());
        let stop = async move {
            tokio::select! {
                () = tokio::time::sleep(length) => {}
                _ = signal => {}
            }
            ended.cancel();
        };
        let (result, ()) = tokio::join!(service.run(server, stop), told);
        stage
            .run(std::future::ready(()), Duration::from_secs(2))
            .await;
        account.conclude();
        result
    }
}

/// Serves a handler and gives the address.
fn embed(stage: &mut Supervisor, name: &str, server: Server, handler: Handler) -> String {
    let address = server.address().to_string();
    stage.spawn(0, name, server.run_with(handler, stage.token(0)));
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
    let reader = RuleReader {
        registry,
        retention: settings.storage.retention,
        interval: INTERVAL,
    };
    let groups = reader.read("demo.yaml", RULES)?;
    let mut config = Config::assemble(settings, Path::new(""), registry)?;
    config.rules.groups = groups;
    config.sources.push(Source {
        file: "demo.yaml".to_owned(),
        text: RULES.to_owned(),
        is_settings: false,
    });
    Ok(config)
}
