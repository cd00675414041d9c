//! The pages of configuration files, rule files and strategies.

use super::Page;
use crate::config::relay::Relay;
use crate::config::rule_keys::RULE_FILE;
use crate::config::settings::Settings;
use crate::config::web::WebConfiguration;
use crate::describe::{Keys, Markdown, Shape};
use crate::judge::StrategyConfig;

pub(super) const CONFIGURATION: Page = Page {
    file: "configuration.md",
    title: "Configuration files",
    summary: "Every key of the configuration file, of the configuration file of `sidewatch relay` and of \
              the web configuration file.",
    body: configuration,
};

pub(super) const RULES: Page = Page {
    file: "rules.md",
    title: "Rule files",
    summary: "Every key of a rule file.",
    body: rules,
};

pub(super) const STRATEGIES: Page = Page {
    file: "strategies.md",
    title: "Strategies",
    summary: "Every strategy that a `watch` can name by `type`, and its parameters.",
    body: strategies,
};

fn configuration() -> String {
    let mut page = Markdown::new(
        "A key without a value counts as absent; an unknown key is an error. \
         `sidewatch check config FILE` reports every mistake with its line, and \
         `sidewatch schema config` prints a JSON Schema for editors.\n\n\
         The column \"Reload\" says what a [reload](../DELIVERY.md#reload) does with a change of the key: it is \
         \"applied\"; or it \"needs a restart\", which the log and the answer of `POST /-/reload` say, while all other \
         changes are applied; or the reload is \"refused\" as a whole, since what was counted or stored so far belongs \
         to the old value. Flags of the command line need a restart.",
    )
    .with_reload();
    page.part("Configuration file", &Settings::description());
    page.part("Relay", &Relay::description());
    page.part("Web configuration file", &WebConfiguration::description());
    page.finish()
}

fn rules() -> String {
    let mut page = Markdown::new(
        "Rule files of Prometheus load unchanged; `watch`, and `metric`, `direction` and `drift` of a \
         `record`, are additions. The strategies of a `watch` are in [strategies.md](strategies.md). \
         `sidewatch check rules FILE` reports every mistake with its line, and \
         `sidewatch schema rules` prints a JSON Schema for editors.",
    );
    page.link_to("Strategy", "strategies.md");
    page.kind("", &RULE_FILE);
    page.finish()
}

fn strategies() -> String {
    let mut page = Markdown::new(
        "What each is good for, and how they compare on recorded incidents, is in \
         [DETECTION.md](../DETECTION.md).",
    );
    page.kind("", &StrategyConfig::kind());
    page.finish()
}
