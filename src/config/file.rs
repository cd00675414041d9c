//! The runtime configuration file → [`Settings`], and the checks across its keys.

use std::path::Path;

use super::discovery::NAMELESS;
use super::problem::Problems;
use super::settings::{Backfill, Global, Mode, Scrape, Settings, Target};
use super::target::{check_identity, complete_labels};
use super::yaml::Document;
use crate::describe::{
    Environment, Limits, Node, ReadContext, Shape, is_http_url, without_user, wrong_url,
};
use crate::metric::format_duration;

/// Reads the text of a configuration file; `env` looks up environment variables for `${VAR}`.
///
/// # Errors
/// Every problem of the file at once.
pub fn read_settings(file: &str, text: &str, env: &Environment) -> Result<Settings, Problems> {
    read_as::<Settings>(file, text, env)
}

/// Reads the text of a file as a section.
pub(super) fn read_as<S: Shape>(
    file: &str,
    text: &str,
    env: &Environment,
) -> Result<S::Value, Problems>
where
    S::Value: Default,
{
    let document = Document::parse(file, text)?;
    let reader = document.reader_in(ReadContext {
        base: Path::new(file).parent().unwrap_or(Path::new("")),
        env,
    });
    let section = S::read(&reader.root(), &Limits::NONE);
    document
        .problems(reader.finish())
        .into_result(section.unwrap_or_default())
}

/// Fills in defaults that one section takes from another.
pub(super) fn complete(settings: &mut Settings, node: &Node<'_>) {
    let model = &settings.model;
    let name = |target: &mut Target| {
        target.labels = complete_labels(&target.url, &target.labels, model);
    };
    settings.scrape.targets.iter_mut().for_each(name);
    settings.probe.targets.iter_mut().for_each(name);
    if let Some(source) = &mut settings.scrape.source
        && source.timeout.is_zero()
    {
        source.timeout = settings.global.scrape_timeout;
    }
    if let Some(backfill) = &mut settings.backfill {
        backfill_from_source(backfill, &settings.scrape, node);
    }
    let alerting = &settings.alerting;
    if alerting.mode == Mode::Direct && !alerting.alertmanagers.is_empty() {
        for (index, target) in settings.scrape.targets.iter().enumerate() {
            if let Err(message) = check_identity(target) {
                node.problem_below(&format!("scrape.targets[{index}].labels"), message);
            }
        }
    }
}

/// Without a URL of its own, a backfill takes everything about the server from the source.
fn backfill_from_source(backfill: &mut Backfill, scrape: &Scrape, node: &Node<'_>) {
    let Some(own) = node.peek("backfill").filter(|own| !own.has("prometheus")) else {
        return;
    };
    match &scrape.source {
        Some(source) => {
            backfill.url.clone_from(&source.url);
            backfill.matchers.clone_from(&source.matchers);
            backfill.http = source.http.clone();
        }
        None => own.problem("prometheus is missing"),
    }
}

/// Checks that the URL for links can be one, and the timeout.
pub(super) fn check_global(global: &mut Global, node: &Node<'_>) {
    fit_timeout(global, node);
    let url = &mut global.external_url;
    url.truncate(url.trim_end_matches('/').len());
    // It is in every alert, so it must hold no secret.
    let is_open = !url.contains(['?', '#']) && without_user(url) == *url;
    if !(url.is_empty() || is_http_url(url) && is_open) {
        let message = format!(
            "must be a URL without user, password and query, such as http://sidewatch.example:9755, got {}",
            wrong_url(url)
        );
        node.problem_below("external_url", message);
    }
}

/// Checks that the timeout is at most the interval.
fn fit_timeout(global: &mut Global, node: &Node<'_>) {
    if global.scrape_timeout <= global.scrape_interval {
        return;
    }
    if node.has("scrape_timeout") {
        node.problem_below(
            "scrape_timeout",
            format!(
                "must be more than 0 and at most the scrape_interval of {}",
                format_duration(global.scrape_interval)
            ),
        );
    }
    global.scrape_timeout = global.scrape_interval;
}

/// Checks that there are targets, or a server instead of them.
pub(super) fn check_scrape(scrape: &mut Scrape, node: &Node<'_>) {
    let [targets, discovery, source] = ["targets", "discovery", "source"].map(|key| node.has(key));
    if !targets && !discovery && !source {
        node.problem("targets is missing");
    }
    if source && (targets || discovery) {
        node.problem_below(
            "source",
            "stands in the place of targets and discovery; keep only one of them",
        );
    }
    let tls = &scrape.http.tls;
    let is_nameless = tls.server_name.is_none() && !tls.insecure_skip_verify;
    if scrape.discovery.as_ref().is_some_and(|found| found.https) && is_nameless {
        node.problem_below("discovery.scheme", NAMELESS);
    }
}

#[cfg(test)]
mod tests {
    use super::read_settings;

    fn read(text: &str) -> Result<super::Settings, super::Problems> {
        let env = |name: &str| (name == "POD").then(|| "fraud-0".to_owned());
        read_settings("sidewatch.yaml", text, &env)
    }

    #[test]
    fn an_external_url_holds_no_password() {
        let target = "scrape: {targets: [{url: \"http://127.0.0.1:8000/metrics\"}]}";
        let url = |url: &str| read(&format!("global: {{external_url: \"{url}\"}}\n{target}"));
        let problems = url("https://u:PASSWORD@sidewatch.example")
            .unwrap_err()
            .to_string();
        assert!(
            problems.contains("without user, password and query"),
            "{problems}"
        );
        assert!(!problems.contains("PASSWORD"), "{problems}");
        assert!(url("https://sidewatch.example/team").is_ok());
    }

    #[test]
    fn every_key_has_a_default_but_the_url() {
        let settings =
            read("scrape: {targets: [{url: \"http://127.0.0.1:8000/metrics\"}]}").unwrap();
        assert_eq!(settings.global.scrape_interval.as_secs(), 15);
        assert_eq!(settings.global.scrape_timeout.as_secs(), 5);
        assert_eq!(settings.model.id, "default");
        let labels = settings.scrape.targets[0].labels.to_string();
        assert_eq!(labels, r#"{instance="127.0.0.1:8000", job="default"}"#);
    }

    #[test]
    fn variables_are_expanded_in_labels_and_urls() {
        let text = "model: {id: fraud, version: 7}\nscrape:\n  targets:\n  - url: http://${POD}:80/metrics\n    labels: {pod: \"${POD}\", cost: $$5}\n";
        let settings = read(text).unwrap();
        assert_eq!(settings.scrape.targets[0].url, "http://fraud-0:80/metrics");
        assert_eq!(
            settings.scrape.targets[0].labels.get("pod"),
            Some("fraud-0")
        );
        assert_eq!(settings.scrape.targets[0].labels.get("cost"), Some("$5"));
        assert_eq!(settings.model.version.as_deref(), Some("7"));
    }

    #[test]
    fn a_short_interval_shortens_the_default_timeout() {
        let text = "global: {scrape_interval: 1s}\nscrape: {targets: [{url: http://a:1}]}";
        assert_eq!(read(text).unwrap().global.scrape_timeout.as_secs(), 1);
    }

    #[test]
    fn all_mistakes_are_reported_with_line_and_remedy() {
        let text = "global:\n  scrape_interval: 5s\n  scrape_timeout: 10s\nscrape:\n  targets:\n  - url: ftp://x\n  - labels: {pod: \"${NOPE}\"}\nalerting:\n  mode: push\nstorge: {}\n";
        let problems = read(text).unwrap_err().to_string();
        assert_eq!(
            problems,
            "sidewatch.yaml:3: global.scrape_timeout: must be more than 0 and at most the scrape_interval of 5s\n\
             sidewatch.yaml:6: scrape.targets[0].url: must be a URL such as http://127.0.0.1:8000/metrics, got \"ftp://x\"\n\
             sidewatch.yaml:7: scrape.targets[1]: url is missing\n\
             sidewatch.yaml:7: scrape.targets[1].labels: the environment variable NOPE is not set\n\
             sidewatch.yaml:9: alerting.mode: must be direct or metrics, got \"push\"\n\
             sidewatch.yaml:10: storge: unknown key; did you mean storage?"
        );
    }

    #[test]
    fn a_loopback_target_needs_an_identity_before_it_may_post() {
        let text = "scrape: {targets: [{url: http://localhost:8000/metrics}]}\nalerting: {alertmanagers: [{url: http://am:9093}]}\n";
        let problems = read(text).unwrap_err().to_string();
        assert!(
            problems.contains("scrape.targets[0].labels: "),
            "{problems}"
        );
        assert!(problems.contains("pod"), "{problems}");
        let named = text.replace("/metrics}", "/metrics, labels: {pod: a}}");
        assert!(read(&named).is_ok());
    }
}
