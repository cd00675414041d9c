//! The runtime configuration file → [`Settings`].

use std::path::Path;
use std::time::Duration;

use super::alerting::alerting;
use super::discovery::discovery;
use super::http::read_http;
use super::probe::probe;
use super::problem::{Problem, Problems};
use super::read::{Fields, Node, Reader};
use super::retraining::retraining;
use super::settings::{Baseline, Global, Mode, Model, Scrape, Settings, Storage, Target};
use super::target::{check_identity, complete_labels, is_http_url};
use super::yaml::Document;
use crate::metric::Labels;

/// Reads the text of a configuration file; `env` looks up environment variables for `${VAR}`.
///
/// # Errors
/// Every problem of the file at once.
pub fn read_settings(file: &str, text: &str, env: &Environment) -> Result<Settings, Problems> {
    let document = Document::parse(file, text)?;
    let reader = Reader::new(&document);
    let around = Around {
        env,
        base: Path::new(file).parent().unwrap_or(Path::new("")),
    };
    let settings = reader
        .root()
        .fields()
        .map(|fields| settings(fields, &around));
    reader.finish().into_result(settings.unwrap_or_default())
}

/// Looks up an environment variable.
pub type Environment = dyn Fn(&str) -> Option<String>;

/// What a file is read in the light of.
pub(super) struct Around<'a> {
    env: &'a Environment,
    /// The folder that relative paths are below.
    pub(super) base: &'a Path,
}

impl<'a> Around<'a> {
    pub(super) fn new(env: &'a Environment, base: &'a Path) -> Self {
        Self { env, base }
    }
}

fn settings(mut fields: Fields<'_>, around: &Around<'_>) -> Settings {
    let global = fields
        .get("global")
        .and_then(|node| global(&node, around))
        .unwrap_or_default();
    let model = fields
        .get("model")
        .and_then(|node| model(&node, around))
        .unwrap_or_default();
    let scrape = match fields.required("scrape") {
        Some(node) => scrape(&node, &model, around).unwrap_or_default(),
        None => Scrape::default(),
    };
    let rules_node = fields.get("rule_files");
    let rule_files = rules_node
        .and_then(|node| node.list())
        .unwrap_or_default()
        .iter()
        .filter_map(Node::text)
        .collect();
    let alerting = fields
        .get("alerting")
        .and_then(|node| alerting(&node, around))
        .unwrap_or_default();
    let retraining = fields
        .get("retraining")
        .and_then(|node| retraining(&node, around))
        .unwrap_or_default();
    let storage = fields
        .get("storage")
        .and_then(|node| storage(&node))
        .unwrap_or_default();
    let probe = fields
        .get("probe")
        .and_then(|node| probe(&node, &model, around))
        .unwrap_or_default();
    if alerting.mode == Mode::Direct && !alerting.alertmanagers.is_empty() {
        for (index, target) in scrape.targets.iter().enumerate() {
            if let Err(message) = check_identity(target) {
                fields
                    .node()
                    .problem_below(&format!("scrape.targets[{index}].labels"), message);
            }
        }
    }
    fields.finish();
    Settings {
        global,
        model,
        scrape,
        rule_files,
        alerting,
        retraining,
        storage,
        probe,
    }
}

fn global(node: &Node<'_>, around: &Around<'_>) -> Option<Global> {
    let mut fields = node.fields()?;
    let default = Global::default();
    let interval_node = fields.get("scrape_interval");
    let scrape_interval = interval_node
        .as_ref()
        .and_then(Node::duration)
        .unwrap_or(default.scrape_interval);
    if scrape_interval < Duration::from_millis(100)
        && let Some(node) = interval_node
    {
        node.problem("must be at least 100ms");
    }
    let timeout_node = fields.get("scrape_timeout");
    let scrape_timeout = timeout_node
        .as_ref()
        .and_then(Node::duration)
        .unwrap_or(default.scrape_timeout.min(scrape_interval));
    if let Some(node) = timeout_node
        && (scrape_timeout > scrape_interval || scrape_timeout.is_zero())
    {
        node.problem(format!(
            "must be more than 0 and at most the scrape_interval of {}",
            crate::metric::format_duration(scrape_interval)
        ));
    }
    let external_labels = expanded_labels(&mut fields, "external_labels", around);
    let external_url = expanded_text(&mut fields, "external_url", around).unwrap_or_default();
    fields.finish();
    Some(Global {
        scrape_interval,
        scrape_timeout,
        external_labels,
        external_url,
    })
}

fn model(node: &Node<'_>, around: &Around<'_>) -> Option<Model> {
    let mut fields = node.fields()?;
    let id = expanded_text(&mut fields, "id", around);
    let version =
        expanded_text(&mut fields, "version", around).filter(|version| !version.is_empty());
    let default = Model::default();
    let rollout_grace = fields
        .duration("rollout_grace")
        .unwrap_or(default.rollout_grace);
    let baseline_node = fields.get("baseline");
    let baseline = match baseline_node.as_ref().and_then(Node::text).as_deref() {
        None | Some("reset") => Baseline::Reset,
        Some("carry") => Baseline::Carry,
        Some(other) => {
            if let Some(node) = &baseline_node {
                node.problem(format!("must be reset or carry, got {other:?}"));
            }
            Baseline::Reset
        }
    };
    fields.finish();
    Some(Model {
        id: id.filter(|id| !id.is_empty()).unwrap_or(default.id),
        version,
        rollout_grace,
        baseline,
    })
}

fn scrape(node: &Node<'_>, model: &Model, around: &Around<'_>) -> Option<Scrape> {
    let mut fields = node.fields()?;
    let default = Scrape::default();
    let discovery_node = fields.get("discovery");
    let targets_node = if discovery_node.is_some() {
        fields.get("targets")
    } else {
        fields.required("targets")
    };
    let items = targets_node
        .as_ref()
        .and_then(Node::list)
        .unwrap_or_default();
    if let Some(node) = &targets_node
        && items.is_empty()
    {
        node.problem(
            "must name at least one target, such as {url: \"http://127.0.0.1:8000/metrics\"}; replicas behind a headless \
             Service are found by scrape.discovery",
        );
    }
    let targets = items
        .iter()
        .filter_map(|node| target(node, model, around))
        .collect();
    let discovery = discovery_node
        .as_ref()
        .and_then(|node| discovery(node, around));
    let settings = Scrape {
        targets,
        discovery,
        honor_labels: fields
            .boolean("honor_labels")
            .unwrap_or(default.honor_labels),
        honor_timestamps: fields
            .boolean("honor_timestamps")
            .unwrap_or(default.honor_timestamps),
        body_size_limit: size(&mut fields, "body_size_limit", default.body_size_limit),
        sample_limit: fields.count("sample_limit").unwrap_or(default.sample_limit),
        label_limit: fields.count("label_limit").unwrap_or(default.label_limit),
        label_name_length_limit: fields.count("label_name_length_limit").unwrap_or_default(),
        label_value_length_limit: fields.count("label_value_length_limit").unwrap_or_default(),
        series_limit: fields.count("series_limit").unwrap_or(default.series_limit),
        fallback_protocol: fallback(&mut fields),
        http: read_http(&mut fields, around.base),
    };
    fields.finish();
    let tls = &settings.http.tls;
    let nameless = tls.server_name.is_none() && !tls.insecure_skip_verify;
    if let (Some(node), Some(discovery)) = (discovery_node, &settings.discovery)
        && discovery.https
        && nameless
    {
        node.problem_below("scheme", NAMELESS);
    }
    Some(settings)
}

/// What is wrong with TLS to an address that was looked up.
pub(super) const NAMELESS: &str = "addresses are no names that a certificate could be checked against; set tls_config.server_name";

fn size(fields: &mut Fields<'_>, key: &'static str, default: u64) -> u64 {
    fields
        .get(key)
        .and_then(|node| node.bytes())
        .unwrap_or(default)
}

fn fallback(fields: &mut Fields<'_>) -> Option<String> {
    const KNOWN: [&str; 4] = [
        "PrometheusText0.0.4",
        "PrometheusText1.0.0",
        "OpenMetricsText0.0.1",
        "OpenMetricsText1.0.0",
    ];
    let node = fields.get("fallback_scrape_protocol")?;
    let text = node.text()?;
    if !KNOWN.contains(&text.as_str()) {
        node.problem(format!("must be one of {}, got {text:?}", KNOWN.join(", ")));
    }
    Some(text)
}

pub(super) fn target(node: &Node<'_>, model: &Model, around: &Around<'_>) -> Option<Target> {
    let mut fields = node.fields()?;
    fields.required("url");
    let url = url(&mut fields, around);
    let labels = expanded_labels(&mut fields, "labels", around);
    fields.finish();
    let url = url?;
    let labels = complete_labels(&url, &labels, model);
    Some(Target { url, labels })
}

fn storage(node: &Node<'_>) -> Option<Storage> {
    let mut fields = node.fields()?;
    let path = fields
        .text("path")
        .filter(|path| !path.is_empty())
        .map(Into::into);
    let retention = fields
        .duration("retention")
        .unwrap_or(Storage::default().retention);
    fields.finish();
    Some(Storage { path, retention })
}

/// `timeout` of a receiver, 10 s when it is not set.
pub(super) fn timeout(fields: &mut Fields<'_>) -> Duration {
    positive(fields, "timeout").unwrap_or(Duration::from_secs(10))
}

/// A duration of more than nothing.
pub(super) fn positive(fields: &mut Fields<'_>, key: &'static str) -> Option<Duration> {
    let node = fields.get(key)?;
    let duration = node.duration()?;
    if duration.is_zero() {
        node.problem("must be more than 0");
    }
    Some(duration)
}

pub(super) fn url(fields: &mut Fields<'_>, around: &Around<'_>) -> Option<String> {
    let node = fields.get("url")?;
    let url = expand(&node, &node.text()?, around);
    if !is_http_url(&url) {
        node.problem(format!(
            "must be a URL such as http://127.0.0.1:8000/metrics, got {url:?}"
        ));
        return None;
    }
    Some(url)
}

pub(super) fn expanded_text(
    fields: &mut Fields<'_>,
    key: &'static str,
    around: &Around<'_>,
) -> Option<String> {
    let node = fields.get(key)?;
    let text = node.text()?;
    Some(expand(&node, &text, around))
}

pub(super) fn expanded_labels(
    fields: &mut Fields<'_>,
    key: &'static str,
    around: &Around<'_>,
) -> Labels {
    let labels = fields.labels(key);
    let Some(node) = fields.get(key) else {
        return labels;
    };
    let pairs = labels.iter();
    pairs
        .map(|(name, value)| (name.to_owned(), expand(&node, value, around)))
        .collect()
}

/// Replaces `${VAR}` by the environment's value and `$$` by `$`; an unset variable is a problem.
fn expand(node: &Node<'_>, text: &str, around: &Around<'_>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        if let Some(tail) = after.strip_prefix('$') {
            out.push('$');
            rest = tail;
            continue;
        }
        let Some((name, tail)) = after
            .strip_prefix('{')
            .and_then(|after| after.split_once('}'))
        else {
            out.push('$');
            rest = after;
            continue;
        };
        match (around.env)(name) {
            Some(value) => out.push_str(&value),
            None => node.problem(format!("the environment variable {name} is not set")),
        }
        rest = tail;
    }
    out.push_str(rest);
    out
}

/// A problem that belongs to a whole file.
pub(super) fn file_problem(file: &str, message: String) -> Problem {
    Problem {
        file: file.to_owned(),
        line: 0,
        path: String::new(),
        message,
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
