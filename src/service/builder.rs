//! What a service is built from: a configuration and what the embedding program plugs in.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast;

use super::control::{Loader, Recogniser};
use super::error::MonitorError;
use super::options::Options;
use super::producers::{ByInstance, Producers};
use super::service::Service;
use crate::config::{Config, Problem, Problems};
use crate::judge::{Registry, StrategyContext, StrategyFactory};
use crate::metric::Labels;
use crate::notify::RetrainingNotifier;
use crate::publish;
use crate::rules::Rule;
use crate::runtime::clock;
use crate::runtime::dns::Resolve;
use crate::scrape::MetricProducer;

/// Changes of alerts that a slow subscriber may fall behind by before it loses the oldest.
const SUBSCRIBER_CAPACITY: usize = 1024;

/// What a service is built from; see [`Service::builder`].
pub struct ServiceBuilder {
    config: Config,
    registry: Registry,
    /// Name and text of each.
    rules: Vec<(String, String)>,
    producers: ByInstance,
    options: Options,
}

impl Service {
    /// Starts a service for a checked configuration, with an HTTP producer for each of its targets
    /// and the built-in strategies.
    #[must_use]
    pub fn builder(config: Config) -> ServiceBuilder {
        ServiceBuilder::new(config)
    }
}

impl fmt::Debug for ServiceBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceBuilder")
            .field("registry", &self.registry)
            .field("producers", &self.producers.keys())
            .finish_non_exhaustive()
    }
}

impl ServiceBuilder {
    fn new(config: Config) -> Self {
        Self {
            config,
            registry: Registry::built_in(),
            rules: Vec::new(),
            producers: ByInstance::new(),
            options: Options::default(),
        }
    }

    /// Uses the strategies of this registry, the one that the configuration was read with, instead
    /// of the built-in ones and those added before.
    #[must_use]
    pub fn registry(mut self, registry: Registry) -> Self {
        self.registry = registry;
        self
    }

    /// Adds a strategy that the rules of [`ServiceBuilder::rules`] may name. The rule files of the
    /// configuration may name it if they were read by [`Config::from_yaml_with`].
    #[must_use]
    pub fn strategy(mut self, factory: impl StrategyFactory + 'static) -> Self {
        self.registry.register(factory);
        self
    }

    /// Adds the rules of a text in the format of a rule file. The text is read by
    /// [`ServiceBuilder::build`], when all strategies are known; problems name the file `name`. A
    /// reload replaces all rules by those of the loader.
    #[must_use]
    pub fn rules(mut self, name: &str, text: &str) -> Self {
        self.rules.push((name.to_owned(), text.to_owned()));
        self
    }

    /// Uses this producer instead of HTTP for the target with this label `instance`, by default
    /// the host and port of its URL; the first of several. The target keeps the producer over a reload, and gets it back
    /// if it disappears and returns.
    #[must_use]
    pub fn producer(mut self, instance: &str, producer: impl MetricProducer + 'static) -> Self {
        self.producers
            .insert(instance.to_owned(), Box::new(producer));
        self
    }

    /// Adds a receiver of retraining requests beside the configured webhooks.
    #[must_use]
    pub fn notifier(mut self, notifier: impl RetrainingNotifier + 'static) -> Self {
        self.options.notifiers.push(Arc::new(notifier));
        self
    }

    /// Asks another resolver for the addresses of `scrape.discovery`.
    #[must_use]
    pub fn resolver(mut self, resolver: impl Resolve + 'static) -> Self {
        self.options.resolver = Arc::new(resolver);
        self
    }

    /// Reads the configuration again with `loader` at every SIGHUP, and at `POST /-/reload` when
    /// `over_http` is set.
    #[must_use]
    pub fn reload(mut self, loader: Loader, over_http: bool) -> Self {
        self.options.loader = Some(loader);
        self.options.lifecycle = over_http;
        self
    }

    /// Shows each scrape to `recogniser`, and reads the configuration again when it has learnt what
    /// the target is.
    #[must_use]
    pub fn recogniser(mut self, recogniser: Recogniser) -> Self {
        self.options.recogniser = Some(recogniser);
        self
    }

    /// Looks every so often whether the configuration has changed, and reloads it then; needs
    /// [`ServiceBuilder::reload`]. Zero means never.
    #[must_use]
    pub fn polling(mut self, every: Duration) -> Self {
        self.options.polling = Some(every).filter(|every| !every.is_zero());
        self
    }

    /// Answers `/-/healthy` and `/-/ready` on a listener of their own as well.
    #[must_use]
    pub fn health(mut self, server: publish::Server) -> Self {
        self.options.health = Some(server);
        self
    }

    /// Waits for a store that another process has, instead of failing.
    #[must_use]
    pub fn standby(mut self, standby: bool) -> Self {
        self.options.standby = standby;
        self
    }

    /// Keeps the state in memory if the store cannot be used, instead of failing.
    #[must_use]
    pub fn optional_store(mut self, is_optional: bool) -> Self {
        self.options.is_store_optional = is_optional;
        self
    }

    /// The service, ready to run.
    ///
    /// # Errors
    /// Every problem of the rules, including a strategy of the configuration that was not added
    /// here, or an `instance` that no target has. With `scrape.discovery` any instance is accepted,
    /// since the targets are not yet known.
    pub fn build(self) -> Result<Service, MonitorError> {
        let registry = self.registry;
        let mut config = self.config;
        check_strategies(&config, &registry)?;
        for (name, text) in &self.rules {
            config = config.with_rules(name, text, &registry)?;
        }
        check_instances(&config, &self.producers)?;
        let monitor = config.monitor(&registry).with_stopwatch(clock::elapsed);
        let (subscribers, _) = broadcast::channel(SUBSCRIBER_CAPACITY);
        Ok(Service {
            producers: Producers::new(&config, &monitor.targets(), self.producers),
            config,
            registry,
            monitor,
            subscribers,
            options: self.options,
        })
    }
}

/// The configuration may have been read with strategies that this registry does not have.
fn check_strategies(config: &Config, registry: &Registry) -> Result<(), Problems> {
    let interval = config.settings.global.scrape_interval;
    let mut problems = Problems::default();
    for rule in config.rules.rules() {
        let Rule::Watch(watch) = rule else { continue };
        let context = StrategyContext {
            direction: watch.direction,
            interval,
        };
        for problem in registry.check(&watch.strategy, &context) {
            let message = format!("strategy: {}", problem.message);
            problems.push(Problem::of_file(rule.name(), message));
        }
    }
    problems.into_result(())
}

fn check_instances(config: &Config, producers: &ByInstance) -> Result<(), MonitorError> {
    let scrape = &config.settings.scrape;
    if scrape.discovery.is_some() {
        return Ok(());
    }
    let labels = scrape.targets.iter().map(|target| &target.labels);
    let known: Vec<&str> = labels
        .filter_map(|labels: &Labels| labels.get("instance"))
        .collect();
    let unknown = producers
        .keys()
        .filter(|name| !known.contains(&name.as_str()));
    match unknown.min() {
        None => Ok(()),
        Some(instance) => Err(MonitorError::UnknownInstance {
            instance: instance.clone(),
            known: known.into_iter().map(str::to_owned).collect(),
        }),
    }
}
