//! `retraining:` → who is asked for a new model, and how.

use std::fs;

use super::file::{Around, positive, timeout, url};
use super::http::read_http;
use super::read::{Fields, Node};
use super::settings::{Retraining, Webhook};
use crate::metric::{MatchOp, Matcher, pattern_error};
use crate::notify::retrain::{BodyTemplate, Format};
use crate::runtime::http::Secret;

/// Bodies that a webhook can be sent.
pub(super) const FORMATS: [&str; 8] = [
    "cloudevents",
    "cloudevents_binary",
    "airflow",
    "kubeflow",
    "github",
    "argo",
    "alertmanager",
    "template",
];
/// Largest file with a template.
const MOST_BYTES: u64 = 1 << 20;

pub(super) fn retraining(node: &Node<'_>, around: &Around<'_>) -> Option<Retraining> {
    let mut fields = node.fields()?;
    let enabled = fields.boolean("enabled").unwrap_or(true);
    let dry_run = fields.boolean("dry_run").unwrap_or(false);
    let in_flight_timeout = positive(&mut fields, "in_flight_timeout");
    let items = fields.list("webhooks");
    let webhooks: Vec<Webhook> = items
        .iter()
        .filter_map(|node| webhook(node, around))
        .collect();
    for (index, webhook) in webhooks.iter().enumerate() {
        if webhooks
            .iter()
            .take(index)
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
    fields.finish();
    Some(Retraining {
        enabled,
        dry_run,
        in_flight_timeout,
        webhooks,
    })
}

fn webhook(node: &Node<'_>, around: &Around<'_>) -> Option<Webhook> {
    let mut fields = node.fields()?;
    fields.required("url");
    let url = url(&mut fields, around);
    let name = fields.text("name").filter(|name| !name.is_empty());
    let format = format(&mut fields, around);
    let secret = secret(&mut fields, around);
    let items = fields.list("matchers");
    let matchers = items.iter().filter_map(matcher).collect();
    let expiry = positive(&mut fields, "expiry");
    let timeout = timeout(&mut fields);
    let http = read_http(&mut fields, around.base);
    fields.finish();
    let default = Webhook::new(&url?);
    Some(Webhook {
        name: name.unwrap_or_else(|| default.name.clone()),
        format,
        secret,
        matchers,
        expiry: expiry.unwrap_or(default.expiry),
        timeout,
        http,
        ..default
    })
}

/// `format` and the keys that only some formats have.
fn format(fields: &mut Fields<'_>, around: &Around<'_>) -> Format {
    let node = fields.get("format");
    let word = node.as_ref().and_then(Node::text);
    let word = word.unwrap_or_else(|| "cloudevents".to_owned());
    let kubeflow = ["pipeline_id", "pipeline_version_id", "experiment_id"]
        .map(|key| own(fields, key, &word, "kubeflow"));
    let event_type = own(fields, "event_type", &word, "github");
    let workflow = own(fields, "workflow_template", &word, "argo");
    let body = body(fields, &word, around);
    match word.as_str() {
        "cloudevents" => {}
        "cloudevents_binary" => return Format::CloudEventsBinary,
        "airflow" => return Format::Airflow,
        "kubeflow" => {
            let [pipeline, version, experiment] = kubeflow;
            if pipeline.is_none() {
                fields
                    .node()
                    .problem("pipeline_id is missing; format: kubeflow runs a pipeline");
            }
            return Format::Kubeflow {
                pipeline_id: pipeline.unwrap_or_default(),
                pipeline_version_id: version.unwrap_or_default(),
                experiment_id: experiment.unwrap_or_default(),
            };
        }
        "github" => {
            return Format::Github {
                event_type: event_type.unwrap_or_else(|| "retrain".to_owned()),
            };
        }
        "argo" => {
            return Format::Argo {
                template: workflow.unwrap_or_default(),
            };
        }
        "alertmanager" => return Format::Alertmanager,
        "template" => return body.map(Format::Template).unwrap_or_default(),
        other => {
            if let Some(node) = node {
                let known = FORMATS.join(", ");
                node.problem(format!("must be one of {known}, got {other:?}"));
            }
        }
    }
    Format::CloudEvents
}

/// A key that only one format has.
fn own(fields: &mut Fields<'_>, key: &'static str, format: &str, of: &str) -> Option<String> {
    let node = fields.get(key)?;
    if format != of && FORMATS.contains(&format) {
        node.problem(format!(
            "belongs to format: {of}, but the format is {format}"
        ));
    }
    node.text().filter(|text| !text.is_empty())
}

/// `template_file` and `content_type`.
fn body(fields: &mut Fields<'_>, format: &str, around: &Around<'_>) -> Option<BodyTemplate> {
    let file = own(fields, "template_file", format, "template");
    let content_type = own(fields, "content_type", format, "template");
    if format != "template" {
        return None;
    }
    let Some(file) = file else {
        fields
            .node()
            .problem("template_file is missing; format: template fills a file of yours");
        return None;
    };
    let path = around.base.join(&file);
    let content_type = content_type.unwrap_or_else(|| "application/json".to_owned());
    let parsed = fs::metadata(&path)
        .and_then(|metadata| {
            if metadata.len() > MOST_BYTES {
                let text = format!("has more than {MOST_BYTES} bytes");
                return Err(std::io::Error::other(text));
            }
            fs::read_to_string(&path)
        })
        .map_err(|error| format!("cannot read {}: {error}", path.display()))
        .and_then(|text| {
            let parsed = BodyTemplate::parse(&text, &content_type);
            parsed.map_err(|error| format!("{}: {error}", path.display()))
        });
    parsed
        .map_err(|message| fields.node().problem_below("template_file", message))
        .ok()
}

fn secret(fields: &mut Fields<'_>, around: &Around<'_>) -> Option<Secret> {
    let here = fields.text("secret");
    let there = fields.text("secret_file");
    if here.is_some() && there.is_some() {
        let text = "secret and secret_file exclude each other; a file is read for every request";
        fields.node().problem(text);
    }
    if here.as_deref() == Some("") {
        fields
            .node()
            .problem_below("secret", "must not be empty; remove it, or give a secret");
    }
    here.map(Secret::Inline)
        .or_else(|| Some(Secret::File(around.base.join(there?))))
}

/// A matcher in Alertmanager's form: `severity="page"`, `model_id=~"fraud.*"`.
pub(super) fn matcher(node: &Node<'_>) -> Option<Matcher> {
    let text = node.text()?;
    let parsed = parse_matcher(&text);
    parsed.map_err(|message| node.problem(message)).ok()
}

/// A matcher such as `severity="page"`.
pub(super) fn parse_matcher(text: &str) -> Result<Matcher, String> {
    let shape = || format!("must be a matcher such as severity=\"page\", got {text:?}");
    let name_end = text
        .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .ok_or_else(shape)?;
    let (name, rest) = text.split_at(name_end);
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(shape());
    }
    let ops = [
        ("=~", MatchOp::Regex),
        ("!~", MatchOp::NotRegex),
        ("!=", MatchOp::NotEqual),
        ("=", MatchOp::Equal),
    ];
    let rest = rest.trim_start();
    let (op, value) = ops
        .into_iter()
        .find_map(|(word, op)| Some((op, rest.strip_prefix(word)?)))
        .ok_or_else(shape)?;
    let value = value.trim();
    let value = if value.starts_with('"') {
        serde_json::from_str(value).map_err(|_| shape())?
    } else {
        value.to_owned()
    };
    Matcher::try_new(name, op, &value).map_err(|error| {
        format!(
            "{value:?} is not a regular expression: {}",
            pattern_error(&error)
        )
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::parse_matcher;
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
    fn mistakes_name_their_line_and_remedy() {
        let problems = read(
            "  webhooks:\n  - {url: http://a, format: kubeflow}\n  - {url: http://b, format: carrier_pigeon}\n  - {url: http://b, pipeline_id: p}\n  - {url: http://c, format: template}\n  - {url: http://d, format: template, template_file: none.tmpl}\n  - {url: http://e, secret: a, secret_file: b, matchers: [severity]}\n",
        )
        .unwrap_err();
        for part in [
            "c.yaml:4: retraining.webhooks[0]: pipeline_id is missing",
            "c.yaml:5: retraining.webhooks[1].format: must be one of cloudevents, cloudevents_binary, airflow, kubeflow, github, argo, alertmanager, template, got \"carrier_pigeon\"",
            "c.yaml:6: retraining.webhooks[2].pipeline_id: belongs to format: kubeflow, but the format is cloudevents",
            "c.yaml:6: retraining.webhooks[2]: \"http://b/\" is the name of another webhook",
            "c.yaml:7: retraining.webhooks[3]: template_file is missing",
            "c.yaml:8: retraining.webhooks[4].template_file: cannot read none.tmpl",
            "c.yaml:9: retraining.webhooks[5]: secret and secret_file exclude each other",
            "c.yaml:9: retraining.webhooks[5].matchers[0]: must be a matcher such as",
        ] {
            assert!(problems.contains(part), "{part}\nnot in\n{problems}");
        }
    }

    #[test]
    fn matchers_are_alertmanagers() {
        for (text, yes, no) in [
            ("a=b", "b", "c"),
            ("a != \"x y\"", "z", "x y"),
            ("a=~\"b|c\"", "c", "bc"),
            ("a!~b.*", "c", "bc"),
        ] {
            let matcher = parse_matcher(text).unwrap();
            assert!(matcher.matches(yes) && !matcher.matches(no), "{text}");
        }
        for wrong in ["", "a", "=b", "1a=b", "a=~(", "a=\"b"] {
            assert!(parse_matcher(wrong).is_err(), "{wrong}");
        }
    }
}
