//! Lints about the settings of a whole configuration.

use super::intervals::LOOKBACK;
use super::{Finding, Lint, LintContext};
use crate::config::environment::unexpanded;
use crate::config::settings::Settings;
use crate::describe::Keys as _;
use crate::metric::format_duration;
use crate::rules::Rule;

pub(super) fn lint(input: &LintContext<'_>, findings: &mut Vec<Finding>) {
    // The first source is the configuration file.
    let Some(file) = input.config.sources.first().filter(|_| input.has_settings) else {
        return;
    };
    let settings = &input.config.settings;
    let mut remark = |lint, path: &str, message: String| {
        findings.push(Finding {
            lint,
            file: file.file.clone(),
            document: 0,
            path: path.to_owned(),
            message,
        });
    };
    let interval = settings.global.scrape_interval;
    if interval >= LOOKBACK {
        remark(
            Lint::TooLongScrapeInterval,
            "global.scrape_interval",
            format!(
                "{} is not shorter than the 5m that a selector looks back, so that values come and go; shorten it to 2m or less",
                format_duration(interval)
            ),
        );
    }
    let mut rules = input.config.rules.rules().peekable();
    if rules.peek().is_none() {
        let message =
            "no rule was found, so nothing is watched; name a rule file or a pack".to_owned();
        remark(Lint::NoRules, "rule_files", message);
    }
    let asks = rules.find(|rule| matches!(rule, Rule::Watch(watch) if watch.retrain.is_some()));
    if let Some(rule) = asks.filter(|_| settings.storage.path.is_none()) {
        let message = format!(
            "is missing, and {} asks for retraining: cool-downs and requests are lost at a restart, which asks again; set it, or give sidewatch run --storage.path",
            rule.name()
        );
        remark(Lint::RetrainWithoutStorage, "storage.path", message);
    }
    for problem in unexpanded(&file.file, &file.text, &Settings::description()) {
        remark(Lint::UnexpandedVariable, &problem.path, problem.message);
    }
    if asks.is_none() && !settings.retraining.webhooks.is_empty() {
        let message = "no watch has retrain, so nothing is ever requested; add retrain to a watch about accuracy or drift".to_owned();
        remark(Lint::WebhookWithoutRetrain, "retraining.webhooks", message);
    }
    if let Some(rule) = asks.filter(|_| settings.retraining.webhooks.is_empty()) {
        let message = format!(
            "{} asks for retraining, but there is no webhook to ask; add one",
            rule.name()
        );
        remark(Lint::RetrainWithoutWebhook, "retraining.webhooks", message);
    }
}
