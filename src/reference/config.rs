//! The reference of configuration files, rule files and strategies.

use crate::config::relay::Relay;
use crate::config::rule_keys::RULE_FILE;
use crate::config::settings::Settings;
use crate::config::web::WebConfiguration;
use crate::describe::{Keys, Page, Shape};
use crate::judge::StrategyConfig;

/// `docs/reference/configuration.md`.
#[must_use]
pub fn configuration() -> String {
    let mut page = Page::new(
        "Configuration files",
        "Every key of the configuration file, of the configuration file of `sidewatch relay` and of \
         the web configuration file. A key with nothing behind it counts as absent; an unknown key \
         is an error. `sidewatch check config FILE` reports every mistake with its line, and \
         `sidewatch schema config` prints a JSON Schema for editors.",
    );
    page.part("Configuration file", &Settings::description());
    page.part("Relay", &Relay::description());
    page.part("Web configuration file", &WebConfiguration::description());
    page.finish()
}

/// `docs/reference/rules.md`.
#[must_use]
pub fn rules() -> String {
    let mut page = Page::new(
        "Rule files",
        "Every key of a rule file. Rule files of Prometheus load unchanged; `watch`, and `metric`, \
         `direction` and `drift` of a `record`, are additions. The strategies of a `watch` are in \
         [strategies.md](strategies.md). `sidewatch check rules FILE` reports every mistake with its \
         line, and `sidewatch schema rules` prints a JSON Schema for editors.",
    );
    page.link_to("Strategy", "strategies.md");
    page.kind("", &RULE_FILE);
    page.finish()
}

/// `docs/reference/strategies.md`.
#[must_use]
pub fn strategies() -> String {
    let mut page = Page::new(
        "Strategies",
        "Every strategy that a `watch` can name by `type`, and its parameters. What each is good for, \
         and how they compare on recorded incidents, is in [DETECTION.md](../DETECTION.md).",
    );
    page.kind("", &StrategyConfig::kind());
    page.finish()
}
