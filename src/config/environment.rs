//! References to environment variables in a form that is not expanded: `$NAME` and `$(NAME)`.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use regex::Regex;

use super::problem::Problem;
use super::yaml::Document;
use crate::describe::{Description, Kind, Value};

/// A whole value such as `$POD_NAME`, as Prometheus and shells write a reference.
static WHOLE: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"^\$\(?([A-Z_][A-Z0-9_]*)\)?$").ok());
/// `$(POD_NAME)` within a value, as Kubernetes writes a reference. `$$` stands for `$`.
static WITHIN: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"(?:^|[^$])\$\(([A-Z_][A-Z0-9_]*)\)").ok());

/// The values of a file that look like references and are taken literally, in the order of their
/// paths. Only keys in which `${NAME}` is expanded are looked at.
pub(crate) fn unexpanded(file: &str, text: &str, section: &Description) -> Vec<Problem> {
    let Ok(document) = Document::parse(file, text) else {
        return Vec::new();
    };
    let mut found = BTreeSet::new();
    in_section(section, &document.root, "", &mut found);
    let problems = found.into_iter().map(|(path, name)| {
        let message = format!(
            "the reference to {name} is taken literally; write ${{{name}}} for the environment variable, or $$ for a dollar sign"
        );
        document.problem(&path, message)
    });
    problems.collect()
}

/// The name of the variable that a value refers to.
fn name(value: &str) -> Option<&str> {
    let patterns = [&WHOLE, &WITHIN].into_iter();
    let mut captures = patterns.filter_map(|pattern| pattern.as_ref()?.captures(value));
    Some(captures.next()?.get(1)?.as_str())
}

type Found = BTreeSet<(String, String)>;

fn in_section(section: &Description, value: &Value, path: &str, found: &mut Found) {
    let Value::Map(entries) = value else {
        return;
    };
    for key in section.all_keys() {
        for (_, value) in entries.iter().filter(|(name, _)| name == key.name) {
            in_value(&key.kind, value, &below(path, key.name), found);
        }
    }
}

fn in_value(kind: &Kind, value: &Value, path: &str, found: &mut Found) {
    match (kind, value) {
        (Kind::Scalar(scalar), value) if scalar.doc.contains("${VAR}") => {
            in_text(value, path, found);
        }
        (Kind::List(kind), Value::List(items)) => {
            for (index, item) in items.iter().enumerate() {
                in_value(kind, item, &format!("{path}[{index}]"), found);
            }
        }
        (Kind::Map(kind), Value::Map(entries)) => {
            for (key, value) in entries {
                in_value(kind, value, &below(path, key), found);
            }
        }
        (Kind::Section(describe), value) => in_section(&describe(), value, path, found),
        (Kind::Choice(choice), value) => {
            for (_, section) in (choice.sections)() {
                in_section(&section, value, path, found);
            }
        }
        (Kind::Scalar(_) | Kind::Words(_) | Kind::List(_) | Kind::Map(_) | Kind::Anything, _) => {}
    }
}

/// A text, or labels.
fn in_text(value: &Value, path: &str, found: &mut Found) {
    match value {
        Value::String(text) => {
            if let Some(name) = name(text) {
                found.insert((path.to_owned(), name.to_owned()));
            }
        }
        Value::Map(labels) => {
            for (label, value) in labels {
                in_text(value, &below(path, label), found);
            }
        }
        Value::Null | Value::Bool(..) | Value::Number(..) | Value::List(_) => {}
    }
}

fn below(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

#[cfg(test)]
mod tests {
    use super::{name, unexpanded};
    use crate::config::Settings;
    use crate::describe::Keys as _;

    #[test]
    fn only_what_looks_like_a_variable_is_a_reference() {
        for (value, expected) in [
            ("$POD_NAME", Some("POD_NAME")),
            ("$(POD_NAME)", Some("POD_NAME")),
            ("http://$(NODE_IP):8000/metrics", Some("NODE_IP")),
            ("$_X9", Some("_X9")),
            ("${POD_NAME}", None),
            ("$$POD_NAME", None),
            ("$$(POD_NAME)", None),
            ("$1", None),
            ("$pod", None),
            ("costs $5", None),
            ("a$POD_NAME", None),
            ("$(pod)", None),
        ] {
            assert_eq!(name(value), expected, "{value}");
        }
    }

    #[test]
    fn references_are_found_where_variables_are_expanded_and_nowhere_else() {
        let text = "model: {id: $MODEL}
global:
  external_labels: {replica: $POD_NAME, ok: '${POD_NAME}'}
scrape:
  targets:
  - url: http://$(HOST):80/metrics
    labels: {pod: $(POD_NAME)}
alerting:
  alert_relabel_configs:
  - {source_labels: [a], regex: (.*)$(X), target_label: b, replacement: $1}
  - {target_label: c, replacement: $POD_NAME}
  alertmanagers:
  - url: http://am:9093
    basic_auth: {username: a, password: $SECRET}
retraining:
  webhooks: [{url: 'http://$(HOOK)/'}]
";
        let found = unexpanded("c.yaml", text, &Settings::description());
        let shown: Vec<String> = found.iter().map(ToString::to_string).collect();
        let expected = |line: u32, path: &str, name: &str| {
            format!(
                "c.yaml:{line}: {path}: the reference to {name} is taken literally; write ${{{name}}} for the environment variable, or $$ for a dollar sign"
            )
        };
        assert_eq!(
            shown,
            [
                expected(3, "global.external_labels.replica", "POD_NAME"),
                expected(1, "model.id", "MODEL"),
                expected(16, "retraining.webhooks[0].url", "HOOK"),
                expected(7, "scrape.targets[0].labels.pod", "POD_NAME"),
                expected(6, "scrape.targets[0].url", "HOST"),
            ]
        );
    }
}
