//! `sidewatch run`: watches a model server until a signal stops it.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::Args;
use tracing::{error, info, warn};

use super::auto::AutoPack;
use super::error::Error;
use super::executor;
use super::keep_running::try_folder;
use super::serving::{Servers, Serving, WebConfig};
use crate::config::alerting::check_base;
use crate::config::lint::{LintContext, Lints, remarks};
use crate::config::settings::{Alertmanager, MIN_SCRAPE_INTERVAL, Settings, Webhook};
use crate::config::{Config, Origin, Problem, Problems, target, without_credentials};
use crate::describe::{is_http_url, wrong_url};
use crate::judge::Registry;
use crate::metric::{Labels, parse_duration};
use crate::runtime::stop_signal;
use crate::scrape::Exposition;
use crate::service::{MonitorError, Service};

#[derive(Debug, Clone, Args)]
pub(super) struct Run {
    /// Configuration file
    #[arg(long = "config.file", value_name = "FILE", conflicts_with_all = ["config_text", "target", "rules"])]
    config_file: Option<PathBuf>,
    /// Text of a configuration file, for a pod without a volume for it; the other arguments take
    /// precedence over it
    #[arg(long = "config.text", value_name = "YAML")]
    config_text: Option<String>,
    /// URL of the model server's /metrics, to run without a configuration file
    #[arg(long, value_name = "URL", required_unless_present_any = ["config_file", "config_text", "keep_running"])]
    target: Option<String>,
    /// Rule file, pack names separated by commas, or auto for the pack that fits the target; may be
    /// repeated
    #[arg(
        long,
        value_name = "PACK|FILE",
        required_unless_present_any = ["config_file", "config_text", "keep_running"]
    )]
    rules: Vec<String>,
    /// Start in spite of mistakes in arguments, configuration and rules, without what is wrong; the
    /// page, the log and sidewatch_config_last_reload_successful report them. For sidecars that are
    /// injected, because a sidecar that ends keeps its pod from starting
    #[arg(long = "keep-running")]
    keep_running: bool,
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
    /// Mistakes outside the configuration, for the reports.
    #[arg(skip)]
    left_out: Problems,
}

impl Run {
    /// Reports these arguments, which were left out, as mistakes.
    pub(super) fn leave_out(&mut self, problems: Problems) {
        self.left_out.extend(problems);
    }

    pub(super) fn run(&self) -> Result<ExitCode, Error> {
        let runtime = executor::current_thread()?;
        let mut command = self.clone();
        if command.keep_running {
            let problems = command.serving.without_mistakes();
            command.leave_out(problems);
        }
        let loader = Loader {
            command,
            registry: Registry::built_in(),
            auto: AutoPack::default(),
            was_whole: AtomicBool::new(false),
        };
        let config = loader
            .load()
            .map_err(|problems| Error::in_configuration(&problems))?;
        if !config.left_out.is_empty() {
            let problems = without_credentials(&config.left_out.to_string());
            error!(%problems, "the configuration has mistakes; running without what is wrong");
        }
        let web = loader.command.serving.web()?;
        let ended = runtime.block_on(loader.watch(config, web));
        runtime.shutdown_timeout(Duration::from_secs(1));
        ended?;
        Ok(ExitCode::SUCCESS)
    }

    fn origin(&self) -> Origin<'_> {
        match (&self.config_file, &self.config_text) {
            (Some(file), _) => Origin::File(file),
            (None, Some(text)) => Origin::Text("--config.text", text),
            (None, None) => Origin::Defaults,
        }
    }

    fn config(&self, registry: &Registry, auto: &AutoPack) -> Result<Config, Problems> {
        self.check()?;
        let adjust = |settings: &mut Settings| {
            self.adjust(settings);
            auto.apply(settings);
        };
        let config = Config::load_adjusted(self.origin(), registry, &adjust)?;
        if self.config_file.is_none()
            && let [target] = config.settings.scrape.targets.as_slice()
            && !config.settings.alerting.alertmanagers.is_empty()
        {
            target::check_identity(target).map_err(|message| {
                flag_problem(
                    "--target",
                    &format!(
                        "{message}; without a configuration file, set POD_NAME in the environment"
                    ),
                )
            })?;
        }
        let context = LintContext {
            config: &config,
            has_settings: !matches!(self.origin(), Origin::Defaults),
            exposed: None,
        };
        for remark in remarks(&context, &Lints::at_load()) {
            warn!("{remark}");
        }
        Ok(config)
    }

    /// The configuration without what is wrong.
    fn config_without_mistakes(&self, registry: &Registry, auto: &AutoPack) -> Config {
        let mut command = self.clone();
        let mut left_out = Problems::default();
        if let Err(problems) = command.check() {
            left_out.extend(problems);
            command.target.take_if(|url| !is_http_url(url));
            command
                .alertmanagers
                .retain(|url| is_http_url(url) && check_base(url).is_ok());
            command.webhooks.retain(|url| is_http_url(url));
            command
                .scrape_interval
                .take_if(|every| *every < MIN_SCRAPE_INTERVAL);
        }
        let adjust = |settings: &mut Settings| command.adjust(settings);
        let finish = |settings: &mut Settings| auto.apply(settings);
        let mut config =
            Config::load_without_mistakes(command.origin(), registry, &adjust, &finish);
        config.left_out.extend(left_out);
        let posts = !config.settings.alerting.alertmanagers.is_empty();
        for target in &config.settings.scrape.targets {
            if posts && let Err(message) = target::check_identity(target) {
                config.settings.alerting.alertmanagers.clear();
                config.left_out.push(Problem::of_file("--target", message));
                break;
            }
        }
        config
    }

    /// Checks the values of flags that are not checked elsewhere.
    fn check(&self) -> Result<(), Problems> {
        let mut problems = Problems::default();
        if let Some(url) = self.target.as_ref().filter(|url| !is_http_url(url)) {
            let message =
                format!("must be a URL such as http://127.0.0.1:8000/metrics, got {url:?}");
            problems.extend(flag_problem("--target", &message));
        }
        for url in &self.alertmanagers {
            if let Err(message) =
                is_url(url, "http://127.0.0.1:9093").and_then(|()| check_base(url))
            {
                problems.extend(flag_problem("--alertmanager.url", &message));
            }
        }
        for url in &self.webhooks {
            if let Err(message) = is_url(url, "http://127.0.0.1:12000/retrain") {
                problems.extend(flag_problem("--retrain.url", &message));
            }
        }
        if self
            .scrape_interval
            .is_some_and(|every| every < MIN_SCRAPE_INTERVAL)
        {
            problems.extend(flag_problem("--scrape.interval", "must be at least 100ms"));
        }
        problems.into_result(())
    }

    /// Changes the settings as the flags say. Without a configuration file, the pod's identity
    /// comes from environment variables that the downward API sets.
    fn adjust(&self, settings: &mut Settings) {
        if let Some(limit) = self.series_limit {
            settings.scrape.series_limit = limit;
        }
        if let Some(retention) = self.retention {
            settings.storage.retention = retention;
        }
        if let Some(path) = &self.serving.storage_path {
            settings.storage.path = Some(path.clone());
        }
        if self.config_file.is_some() {
            return;
        }
        if let Some(id) = &self.model_id {
            settings.model.id.clone_from(id);
        }
        if self.model_version.is_some() {
            settings.model.version.clone_from(&self.model_version);
        }
        if let Some(interval) = self.scrape_interval {
            let global = &mut settings.global;
            global.scrape_interval = interval;
            global.scrape_timeout = global.scrape_timeout.min(interval);
        }
        if let Some(url) = &self.target {
            let variable = |name: &str| std::env::var(name).unwrap_or_default();
            let mut own = Labels::new([
                ("pod", variable("POD_NAME")),
                ("namespace", variable("POD_NAMESPACE")),
            ]);
            let posts = !self.alertmanagers.is_empty();
            if posts
                && own.get("pod").is_none()
                && target::is_loopback(url)
                && let Some(instance) = target::on_this_machine(url)
            {
                own = own.with("instance", &instance);
            }
            settings.scrape.targets = vec![target::Target {
                url: url.to_owned(),
                labels: target::complete_labels(url, &own, &settings.model),
            }];
        }
        if !self.rules.is_empty() {
            settings.rule_files = self.rules.iter().flat_map(|word| names(word)).collect();
        }
        let alertmanagers = self.alertmanagers.iter().map(|url| Alertmanager::new(url));
        settings.alerting.alertmanagers.extend(alertmanagers);
        let webhooks = self.webhooks.iter().map(|url| Webhook::new(url));
        settings.retraining.webhooks.extend(webhooks);
    }
}

/// Refuses what is no URL, such as a host without a scheme.
fn is_url(url: &str, example: &str) -> Result<(), String> {
    if is_http_url(url) {
        return Ok(());
    }
    Err(format!(
        "must be a URL such as {example}, got {}",
        wrong_url(url)
    ))
}

/// What reads the configuration, at the start and again.
struct Loader {
    command: Run,
    registry: Registry,
    auto: AutoPack,
    /// Whether a configuration without mistakes was loaded; from then on one with mistakes is
    /// refused.
    was_whole: AtomicBool,
}

impl Loader {
    fn load(&self) -> Result<Config, Problems> {
        let loaded = self.command.config(&self.registry, &self.auto);
        if !self.command.keep_running {
            return loaded;
        }
        let mut config = match loaded {
            Err(problems) if self.was_whole.load(Ordering::Relaxed) => return Err(problems),
            Err(_) => self
                .command
                .config_without_mistakes(&self.registry, &self.auto),
            Ok(config) => {
                self.was_whole.store(true, Ordering::Relaxed);
                config
            }
        };
        config.left_out.extend(self.command.left_out.clone());
        let storage = &mut config.settings.storage;
        if let Some(path) = &storage.path
            && let Err(error) = try_folder(path)
        {
            let message = format!("{}: cannot be used: {error}", path.display());
            config
                .left_out
                .push(Problem::of_file("storage.path", message));
            storage.path = None;
        }
        Ok(config)
    }

    async fn watch(self, config: Config, web: Option<WebConfig>) -> Result<(), MonitorError> {
        let signal = stop_signal()?;
        let external_url = config.settings.global.external_url.clone();
        let serving = self.command.serving.clone();
        let Servers { main, health } = serving.bind(web, &external_url).await?;
        let observer = self.auto.clone();
        let recogniser = Arc::new(move |scrape: &Exposition| observer.observe(scrape));
        let every = self.command.reload_interval;
        let mut builder = Service::builder(config)
            .standby(serving.storage_wait)
            .optional_store(self.command.keep_running)
            .recogniser(recogniser)
            .reload(Arc::new(move || self.load()), serving.enable_lifecycle)
            .polling(every);
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
}

/// The names in a word such as `vllm,accuracy`; a path is one name.
fn names(word: &str) -> Vec<String> {
    if word.contains(['/', '.']) {
        return vec![word.to_owned()];
    }
    let names = word.split(',').map(str::trim);
    names
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

fn flag_problem(flag: &str, message: &str) -> Problems {
    Problem::of_file(flag, message.to_owned()).into()
}
