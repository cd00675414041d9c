//! `sidewatch run`: watches a model server until a signal stops it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tracing::{info, warn};

use super::auto::AutoPack;
use super::error::Error;
use super::executor;
use super::serving::{Servers, Serving, WebConfig};
use crate::config::alerting::check_base;
use crate::config::lint::{LintContext, Lints, remarks};
use crate::config::settings::{Alertmanager, Global, Retraining, Scrape, Settings, Webhook};
use crate::config::{Config, Problems, target};
use crate::judge::Registry;
use crate::metric::{Labels, parse_duration};
use crate::runtime::stop_signal;
use crate::scrape::Exposition;
use crate::service::{MonitorError, Service};

#[derive(Debug, Clone, Args)]
pub(super) struct Run {
    /// Configuration file
    #[arg(long = "config.file", value_name = "FILE", conflicts_with_all = ["target", "rules"])]
    config_file: Option<PathBuf>,
    /// URL of the model server's /metrics, to run without a configuration file
    #[arg(long, value_name = "URL", required_unless_present = "config_file")]
    target: Option<String>,
    /// Rule file, pack name, or auto for the pack that fits the target; may be repeated
    #[arg(
        long,
        value_name = "PACK|FILE",
        required_unless_present = "config_file"
    )]
    rules: Vec<String>,
    /// How often to check whether the configuration or rule files have changed; a change is loaded
    /// when it has stayed the same for 5s. 0s to reload only on request
    #[arg(long = "config.reload-interval", value_name = "DURATION", default_value = "30s", value_parser = parse_duration)]
    reload_interval: Duration,
    #[command(flatten)]
    serving: Serving,
    /// Time between scrapes
    #[arg(long = "scrape.interval", value_name = "DURATION", value_parser = parse_duration)]
    scrape_interval: Option<Duration>,
    /// How far back rules may look over the window; a rule that looks back further is not evaluated
    #[arg(long = "storage.retention", value_name = "DURATION", value_parser = parse_duration)]
    retention: Option<Duration>,
    /// Maximum number of series kept in the window
    #[arg(long = "limit.series", value_name = "N")]
    series_limit: Option<u64>,
    /// Value of the label model_id on everything exported and sent
    #[arg(long = "model.id", value_name = "ID")]
    model_id: Option<String>,
    /// Value of the label model_version
    #[arg(long = "model.version", value_name = "VERSION")]
    model_version: Option<String>,
    /// Alertmanager to post alerts to; may be repeated
    #[arg(long = "alertmanager.url", value_name = "URL")]
    alertmanagers: Vec<String>,
    /// Webhook to send retraining requests to; may be repeated
    #[arg(long = "retrain.url", value_name = "URL")]
    webhooks: Vec<String>,
}

impl Run {
    pub(super) fn run(&self) -> Result<ExitCode, Error> {
        let registry = Registry::built_in();
        let auto = AutoPack::default();
        let config = self
            .config(&registry, &auto)
            .map_err(|problems| Error::in_configuration(&problems))?;
        let web = self.serving.web()?;
        let runtime = executor::current_thread()?;
        let ended = runtime.block_on(self.watch(config, registry, auto, web));
        runtime.shutdown_timeout(Duration::from_secs(1));
        ended?;
        Ok(ExitCode::SUCCESS)
    }

    async fn watch(
        &self,
        config: Config,
        registry: Registry,
        auto: AutoPack,
        web: Option<WebConfig>,
    ) -> Result<(), MonitorError> {
        let signal = stop_signal()?;
        let external_url = config.settings.global.external_url.clone();
        let Servers { main, health } = self.serving.bind(web, &external_url).await?;
        let command = self.clone();
        let observer = auto.clone();
        let recogniser = Arc::new(move |scrape: &Exposition| observer.observe(scrape));
        let load = Arc::new(move || command.config(&registry, &auto));
        let mut builder = Service::builder(config)
            .standby(self.serving.storage_wait)
            .recogniser(recogniser)
            .reload(load, self.serving.enable_lifecycle)
            .polling(self.reload_interval);
        if let Some(health) = health {
            builder = builder.health(health);
        }
        let service = builder.build()?;
        let stop = async move {
            let name = signal.await;
            info!(signal = name, "stopping");
        };
        service.run(main, stop).await
    }

    fn config(&self, registry: &Registry, auto: &AutoPack) -> Result<Config, Problems> {
        let adjust = |settings: &mut Settings| {
            if let Some(limit) = self.series_limit {
                settings.scrape.series_limit = limit;
            }
            if let Some(retention) = self.retention {
                settings.storage.retention = retention;
            }
            if let Some(path) = &self.serving.storage_path {
                settings.storage.path = Some(path.clone());
            }
            auto.apply(settings);
        };
        let config = match (&self.config_file, &self.target) {
            (Some(file), _) => Config::load_adjusted(file, registry, &adjust)?,
            (None, Some(target)) => {
                let mut settings = self.flag_settings(target)?;
                adjust(&mut settings);
                Config::assemble(settings, Path::new(""), registry)?
            }
            (None, None) => {
                let why = "is missing, and so is --target";
                return Err(flag_problem("--config.file", why));
            }
        };
        let context = LintContext {
            config: &config,
            has_settings: self.config_file.is_some(),
            exposed: None,
        };
        for remark in remarks(&context, &Lints::at_load()) {
            warn!("{remark}");
        }
        Ok(config)
    }

    /// Settings from flags alone. The pod's identity comes from environment variables that the
    /// downward API sets.
    fn flag_settings(&self, url: &str) -> Result<Settings, Problems> {
        let mut settings = Settings::default();
        if let Some(id) = &self.model_id {
            settings.model.id.clone_from(id);
        }
        settings.model.version.clone_from(&self.model_version);
        if !crate::describe::is_http_url(url) {
            let message =
                format!("must be a URL such as http://127.0.0.1:8000/metrics, got {url:?}");
            return Err(flag_problem("--target", &message));
        }
        let variable = |name: &str| std::env::var(name).unwrap_or_default();
        let own = Labels::new([
            ("pod", variable("POD_NAME")),
            ("namespace", variable("POD_NAMESPACE")),
        ]);
        let labels = target::complete_labels(url, &own, &settings.model);
        let target = target::Target {
            url: url.to_owned(),
            labels,
        };
        for url in &self.alertmanagers {
            check_base(url).map_err(|message| flag_problem("--alertmanager.url", &message))?;
        }
        if !self.alertmanagers.is_empty() {
            target::check_identity(&target).map_err(|message| {
                flag_problem(
                    "--target",
                    &format!(
                        "{message}; without a configuration file, set POD_NAME in the environment"
                    ),
                )
            })?;
        }
        settings.scrape = Scrape {
            targets: vec![target],
            ..Scrape::default()
        };
        settings.global = self.global();
        settings.rule_files.clone_from(&self.rules);
        settings.alerting.alertmanagers = self
            .alertmanagers
            .iter()
            .map(|url| Alertmanager::new(url))
            .collect();
        settings.retraining = Retraining {
            webhooks: self.webhooks.iter().map(|url| Webhook::new(url)).collect(),
            ..Retraining::default()
        };
        Ok(settings)
    }

    fn global(&self) -> Global {
        let default = Global::default();
        let scrape_interval = self.scrape_interval.unwrap_or(default.scrape_interval);
        Global {
            scrape_interval,
            scrape_timeout: default.scrape_timeout.min(scrape_interval),
            ..default
        }
    }
}

fn flag_problem(flag: &str, message: &str) -> Problems {
    crate::config::Problem {
        file: flag.to_owned(),
        line: 0,
        path: String::new(),
        message: message.to_owned(),
    }
    .into()
}
