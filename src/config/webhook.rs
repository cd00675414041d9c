//! `retraining.webhooks`: the format of a receiver and its keys.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::Path;

use super::settings::{Retraining, Sender, Webhook, WebhookKeys};
use crate::describe::{Node, worded};
use crate::notify::retrain::{BodyTemplate, Format};
use crate::runtime::http::Secret;
use crate::runtime::read_settled;

/// Largest file with a template.
const MAX_TEMPLATE_BYTES: u64 = 1 << 20;

/// Longest type of an event, in characters ("Create a repository dispatch event" of GitHub's API).
const MAX_EVENT_TYPE: usize = 100;
/// Longest name of a template, in bytes: Argo writes it into a label of Kubernetes.
const MAX_KUBERNETES_NAME: usize = 63;

/// The name of a format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FormatName {
    CloudEvents,
    CloudEventsBinary,
    Airflow,
    Kubeflow,
    Github,
    Argo,
    Alertmanager,
    Template,
}

worded! {
    FormatName {
        "cloudevents" => Self::CloudEvents, "CloudEvents 1.0 in structured mode: Knative, Argo Events, KafkaSink.";
        "cloudevents_binary" => Self::CloudEventsBinary, "CloudEvents 1.0 in binary mode: the attributes are headers.";
        "airflow" => Self::Airflow, "A run of a DAG in Airflow.";
        "kubeflow" => Self::Kubeflow, "A run of a pipeline in Kubeflow Pipelines.";
        "github" => Self::Github, "A `repository_dispatch` of GitHub.";
        "argo" => Self::Argo, "A workflow or an event of Argo Workflows.";
        "alertmanager" => Self::Alertmanager, "Alertmanager's webhook, version 4.";
        "template" => Self::Template, "A template of your own.";
    }
}

/// Checks that the names of webhooks are unique, and numbers those that have none and the same
/// host.
pub(super) fn check_names(retraining: &mut Retraining, node: &Node<'_>) {
    number_unnamed(&mut retraining.webhooks);
    let webhooks = &retraining.webhooks;
    for (index, webhook) in webhooks.iter().enumerate() {
        if webhooks[..index]
            .iter()
            .any(|other| other.name == webhook.name)
        {
            node.problem_below(
                &format!("webhooks[{index}]"),
                format!(
                    "{:?} is the name of another webhook; give this one a name of its own",
                    webhook.name
                ),
            );
        }
    }
}

/// Adds ` #2`, ` #3` … to default names that occurred before.
fn number_unnamed(webhooks: &mut [Webhook]) {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for webhook in webhooks {
        if webhook.name != Webhook::new(&webhook.url).name {
            continue;
        }
        let times = seen.entry(webhook.name.clone()).or_default();
        *times += 1;
        if *times > 1 {
            webhook.name = format!("{} #{times}", webhook.name);
        }
    }
}

/// Builds the receiver from its keys.
pub(super) fn webhook(keys: WebhookKeys, node: &Node<'_>) -> Webhook {
    let format = format(&keys, node);
    let default = Webhook::new(&keys.url);
    let secret = secret(&keys.sender, node);
    Webhook {
        name: Some(keys.name)
            .filter(|name| !name.is_empty())
            .unwrap_or(default.name),
        url: keys.url,
        format,
        secret,
        matchers: keys.matchers,
        expiry: keys.expiry,
        timeout: keys.timeout,
        http: keys.sender.http,
    }
}

fn format(keys: &WebhookKeys, node: &Node<'_>) -> Format {
    if keys.format.is_none() && node.has("format") {
        // An unknown format was reported already.
        return Format::default();
    }
    let name = keys.format.unwrap_or(FormatName::CloudEvents);
    for (key, value, of) in [
        ("pipeline_id", &keys.pipeline_id, FormatName::Kubeflow),
        (
            "pipeline_version_id",
            &keys.pipeline_version_id,
            FormatName::Kubeflow,
        ),
        ("experiment_id", &keys.experiment_id, FormatName::Kubeflow),
        ("event_type", &keys.event_type, FormatName::Github),
        (
            "workflow_template",
            &keys.workflow_template,
            FormatName::Argo,
        ),
        ("template_file", &keys.template_file, FormatName::Template),
        ("content_type", &keys.content_type, FormatName::Template),
    ] {
        if value.is_some() && of != name {
            let (of, name) = (word(of), word(name));
            let message = format!("belongs to format: {of}, but the format is {name}");
            node.problem_below(key, message);
        }
    }
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    match name {
        FormatName::CloudEvents => Format::CloudEvents,
        FormatName::CloudEventsBinary => Format::CloudEventsBinary,
        FormatName::Airflow => Format::Airflow,
        FormatName::Kubeflow => {
            if text(&keys.pipeline_id).is_empty() {
                node.problem("pipeline_id is missing; format: kubeflow runs a pipeline");
            }
            Format::Kubeflow {
                pipeline_id: text(&keys.pipeline_id),
                pipeline_version_id: text(&keys.pipeline_version_id),
                experiment_id: text(&keys.experiment_id),
            }
        }
        FormatName::Github => Format::Github {
            event_type: event_type(keys, node),
        },
        FormatName::Argo => Format::Argo {
            template: workflow_template(keys, node),
        },
        FormatName::Alertmanager => Format::Alertmanager,
        FormatName::Template => body(keys, node).map(Format::Template).unwrap_or_default(),
    }
}

fn word(format: FormatName) -> String {
    <FormatName as crate::describe::Shape>::show(&format).unwrap_or_default()
}

/// A non-empty text.
fn given(text: &Option<String>) -> Option<&str> {
    text.as_deref().filter(|text| !text.is_empty())
}

/// The type of GitHub's event.
fn event_type(keys: &WebhookKeys, node: &Node<'_>) -> String {
    let name = given(&keys.event_type).unwrap_or("retrain");
    let length = name.chars().count();
    if length > MAX_EVENT_TYPE {
        let message = format!("GitHub allows at most {MAX_EVENT_TYPE} characters, got {length}");
        node.problem_below("event_type", message);
    }
    name.to_owned()
}

/// The template of a workflow, or empty for an event.
fn workflow_template(keys: &WebhookKeys, node: &Node<'_>) -> String {
    let name = keys.workflow_template.clone().unwrap_or_default();
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let is_valid = name.len() <= MAX_KUBERNETES_NAME
        && name.chars().all(|c| is_plain(c) || matches!(c, '-' | '.'))
        && name.starts_with(is_plain)
        && name.ends_with(is_plain);
    if !name.is_empty() && !is_valid {
        let got = node.peek("workflow_template");
        let got = got.map_or_else(String::new, |node| node.got_text());
        node.problem_below(
            "workflow_template",
            format!(
                "must be the name of a WorkflowTemplate: at most {MAX_KUBERNETES_NAME} lower-case letters, digits, - and ., got {got}"
            ),
        );
    }
    name
}

/// The template of the body, read from its file.
fn body(keys: &WebhookKeys, node: &Node<'_>) -> Option<BodyTemplate> {
    let Some(file) = given(&keys.template_file) else {
        node.problem("template_file is missing; format: template fills a file of yours");
        return None;
    };
    let content_type = given(&keys.content_type).unwrap_or("application/json");
    read_template(&node.base().join(file), content_type)
        .map_err(|message| node.problem_below("template_file", message))
        .ok()
}

fn read_template(path: &Path, content_type: &str) -> Result<BodyTemplate, String> {
    let unreadable = |error: &dyn Display| format!("cannot read {}: {error}", path.display());
    let bytes = read_settled(path, MAX_TEMPLATE_BYTES).map_err(|error| unreadable(&error))?;
    let text = String::from_utf8(bytes).map_err(|error| unreadable(&error))?;
    BodyTemplate::parse(&text, content_type).map_err(|error| format!("{}: {error}", path.display()))
}

fn secret(keys: &Sender, node: &Node<'_>) -> Option<Secret> {
    if keys.secret.is_some() && keys.secret_file.is_some() {
        let text = "secret and secret_file exclude each other; a file is read for every request";
        node.problem(text);
    }
    if keys.secret.as_deref() == Some("") {
        node.problem_below("secret", "must not be empty; remove it, or give a secret");
    }
    let inline = keys.secret.clone().map(Secret::Inline);
    inline.or_else(|| keys.secret_file.clone().map(Secret::File))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::config::read_settings;
    use crate::config::settings::Retraining;
    use crate::notify::retrain::Format;
    use crate::runtime::http::Secret;

    fn read(retraining: &str) -> Result<Retraining, String> {
        let text =
            format!("scrape: {{targets: [{{url: \"http://a:1\"}}]}}\nretraining:\n{retraining}");
        let settings = read_settings("c.yaml", &text, &|_| None);
        settings
            .map(|settings| settings.retraining)
            .map_err(|problems| problems.to_string())
    }

    #[test]
    fn a_webhook_has_a_format_a_secret_a_route_and_an_expiry() {
        let retraining = read(
            "  in_flight_timeout: 12h\n  webhooks:\n  - url: https://me:pw@kf/apis\n    format: kubeflow\n    pipeline_id: p1\n    secret_file: key\n    matchers: ['severity=\"page\"', 'model_id=~\"fraud.*\"']\n    expiry: 1h\n  - {url: http://gh, format: github}\n",
        )
        .unwrap();
        assert_eq!(
            retraining.in_flight_timeout,
            Some(Duration::from_secs(12 * 3600))
        );
        let first = &retraining.webhooks[0];
        assert!(!first.name.contains("pw"), "{}", first.name);
        assert_eq!(
            first.format,
            Format::Kubeflow {
                pipeline_id: "p1".to_owned(),
                pipeline_version_id: String::new(),
                experiment_id: String::new(),
            }
        );
        assert_eq!(first.secret, Some(Secret::File("key".into())));
        assert!(first.matchers[1].matches("fraud-detector"));
        assert_eq!(first.expiry, Duration::from_secs(3600));
        let event_type = "retrain".to_owned();
        assert_eq!(retraining.webhooks[1].format, Format::Github { event_type });
    }

    #[test]
    fn names_that_a_receiver_would_refuse_are_problems() {
        let hook = |keys: &str| read(&format!("  webhooks:\n  - {{url: http://a, {keys}}}\n"));
        let github = |length| {
            hook(&format!(
                "format: github, event_type: {}",
                "e".repeat(length)
            ))
        };
        assert!(github(100).is_ok());
        let refused = github(101).unwrap_err();
        let expected = "webhooks[0].event_type: GitHub allows at most 100 characters, got 101";
        assert!(refused.contains(expected), "{refused}");
        let argo = |name: &str| hook(&format!("format: argo, workflow_template: {name}"));
        for good in ["retrain", "retrain-7.fraud", "a", &"a".repeat(63), "\"\""] {
            assert!(argo(good).is_ok(), "{good}");
        }
        for bad in [
            "Retrain",
            "retrain_fraud",
            "-a",
            "a.",
            &"a".repeat(64),
            "x/y",
        ] {
            let refused = argo(bad).unwrap_err();
            let expected = "workflow_template: must be the name of a WorkflowTemplate";
            assert!(refused.contains(expected), "{bad}: {refused}");
        }
    }

    #[test]
    fn webhooks_without_a_name_are_called_by_their_host_and_a_number() {
        let hooks = read(
            "  webhooks:\n  - {url: 'https://me:secret@hooks.example/T0/token?x=1'}\n  - {url: https://hooks.example/T1}\n  - {url: http://other}\n",
        )
        .unwrap();
        let names: Vec<&str> = hooks
            .webhooks
            .iter()
            .map(|hook| hook.name.as_str())
            .collect();
        assert_eq!(
            names,
            [
                "https://hooks.example",
                "https://hooks.example #2",
                "http://other"
            ]
        );
    }

    #[test]
    fn mistakes_name_their_line_and_remedy() {
        let problems = read(
            "  webhooks:\n  - {url: http://a, format: kubeflow}\n  - {url: http://b, name: x, format: carrier_pigeon}\n  - {url: http://b2, name: x, pipeline_id: p}\n  - {url: http://c, format: template}\n  - {url: http://d, format: template, template_file: none.tmpl}\n  - {url: http://e, secret: a, secret_file: b, matchers: [severity]}\n",
        )
        .unwrap_err();
        for part in [
            "c.yaml:4: retraining.webhooks[0]: pipeline_id is missing",
            "c.yaml:5: retraining.webhooks[1].format: must be one of cloudevents, cloudevents_binary, airflow, kubeflow, github, argo, alertmanager, template, got \"carrier_pigeon\"",
            "c.yaml:6: retraining.webhooks[2].pipeline_id: belongs to format: kubeflow, but the format is cloudevents",
            "c.yaml:6: retraining.webhooks[2]: \"x\" is the name of another webhook",
            "c.yaml:7: retraining.webhooks[3]: template_file is missing",
            "c.yaml:8: retraining.webhooks[4].template_file: cannot read none.tmpl",
            "c.yaml:9: retraining.webhooks[5]: secret and secret_file exclude each other",
            "c.yaml:9: retraining.webhooks[5].matchers[0]: must be a matcher such as",
        ] {
            assert!(problems.contains(part), "{part}\nnot in\n{problems}");
        }
    }
}
