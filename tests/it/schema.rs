//! The schemas agree with the readers: what is accepted, what is refused, and each key.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use boon::{Compiler, Schemas};
use serde_json::{Value, json};
use sidewatch::internals::config::relay::read_relay;
use sidewatch::internals::config::{RuleReader, read_settings, schema};
use sidewatch_engine::judge::Registry;

use super::docs::blocks;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// A compiled schema.
struct Checker {
    schemas: Schemas,
    index: boon::SchemaIndex,
}

impl Checker {
    fn new(schema: &Value) -> Self {
        let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
        let url = "http://localhost/schema.json";
        compiler.add_resource(url, schema.clone()).unwrap();
        let index = compiler.compile(url, &mut schemas).unwrap();
        Self { schemas, index }
    }

    fn wrong(&self, instance: &Value) -> Option<String> {
        let found = self.schemas.validate(instance, self.index).err()?;
        Some(format!("{found:#}"))
    }
}

/// The documents of a text as JSON; none when one of them is no YAML.
fn documents(text: &str) -> Vec<Value> {
    let documents = serde_yaml::Deserializer::from_str(text);
    let documents: Result<Vec<Value>, _> = documents.map(serde::Deserialize::deserialize).collect();
    let mut documents = documents.unwrap_or_default();
    documents.retain(|value| !value.is_null());
    documents
}

#[test]
fn every_pack_and_every_example_is_valid_under_the_schemas() {
    let (rules, config) = (
        Checker::new(&schema::rules()),
        Checker::new(&schema::config()),
    );
    let mut texts = Vec::new();
    for entry in fs::read_dir(Path::new(ROOT).join("rules")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.display().to_string();
        if name.ends_with(".yaml") && !name.ends_with(".test.yaml") {
            texts.push((name, fs::read_to_string(path).unwrap()));
        }
    }
    assert!(texts.len() >= 16);
    for file in ["README.md", "docs/RULES.md"] {
        let found = blocks(file).into_iter();
        texts.extend(found.map(|(line, block)| (format!("{file}:{line}"), block)));
    }
    for (name, text) in texts {
        for document in documents(&text) {
            let wrong = match document.get("groups") {
                Some(_) => rules.wrong(&document),
                None if document.get("scrape").is_some() => config.wrong(&document),
                None => None,
            };
            assert!(wrong.is_none(), "{name}: {}", wrong.unwrap());
        }
    }
}

/// Mistakes that have the right shape: PromQL, templates, values that depend on others.
const RIGHT_SHAPE: [&str; 19] = [
    "bad-regex",
    "bound-and-upper",
    "bound-without-side",
    "bounds-swapped",
    "drift-of-a-rate",
    "drift-order-of-categories",
    "drift-reference-missing",
    "function-misspelt",
    "offset-after-aggregation",
    "range-of-zero",
    "range-under-sum",
    "rate-without-range",
    "retrain-after",
    "second-document",
    "scalars-compared",
    "selector-of-everything",
    "set-operator-with-a-number",
    "string-not-closed",
    "two-groups-of-one-name",
];

#[test]
fn mistakes_of_shape_are_refused_by_the_schema_too() {
    let rules = Checker::new(&schema::rules());
    let dir = Path::new(ROOT).join("tests/fixtures/rules/bad");
    let mut accepted = BTreeSet::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let Some(name) = name.strip_suffix(".yaml") else {
            continue;
        };
        let documents = documents(&fs::read_to_string(&path).unwrap());
        if !documents.is_empty() && documents.iter().all(|one| rules.wrong(one).is_none()) {
            accepted.insert(name.to_owned());
        }
    }
    let wanted: BTreeSet<String> = RIGHT_SHAPE.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(accepted, wanted);
}

/// Not a key of anything.
const STRANGE: &str = "qqqqqqqqqqqqqqqq";

/// Maps whose keys are data.
const DATA: [&str; 9] = [
    "labels",
    "annotations",
    "external_labels",
    "metadata",
    "status",
    "buckets",
    "http_headers",
    "proxy_connect_header",
    "endpoint_params",
];

/// The places of all maps with keys of ours, as JSON pointers and as paths.
fn maps(value: &Value, pointer: &str, path: &str, found: &mut Vec<(String, String)>) {
    match value {
        Value::Object(entries) => {
            let last = pointer.rsplit('/').next().unwrap();
            let below_data = DATA.contains(&last);
            if !below_data {
                found.push((pointer.to_owned(), path.to_owned()));
            }
            for (key, value) in entries {
                if below_data && last != "http_headers" {
                    continue;
                }
                let path = if path.is_empty() {
                    key.clone()
                } else {
                    format!("{path}.{key}")
                };
                maps(value, &format!("{pointer}/{key}"), &path, found);
            }
        }
        Value::Array(items) => {
            for (n, value) in items.iter().enumerate() {
                maps(
                    value,
                    &format!("{pointer}/{n}"),
                    &format!("{path}[{n}]"),
                    found,
                );
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The keys that a reader knows at a place: it lists them when it meets a strange one.
fn known_keys(
    whole: &Value,
    pointer: &str,
    path: &str,
    read: &dyn Fn(&str) -> String,
) -> BTreeSet<String> {
    let mut changed = whole.clone();
    let map = changed
        .pointer_mut(pointer)
        .unwrap()
        .as_object_mut()
        .unwrap();
    map.insert(STRANGE.to_owned(), json!(1));
    let said = read(&serde_yaml::to_string(&changed).unwrap());
    let place = if path.is_empty() {
        format!("{STRANGE}: ")
    } else {
        format!("{path}.{STRANGE}: ")
    };
    let line = said.lines().find(|line| line.contains(&place));
    let line = line.unwrap_or_else(|| panic!("{path}: {said}"));
    let keys = line
        .split_once("known keys are ")
        .or_else(|| line.split_once("known are "));
    let Some((_, keys)) = keys else {
        return BTreeSet::new();
    };
    keys.split(", ").map(str::to_owned).collect()
}

/// The alternatives of a schema at a place, references followed.
fn alternatives<'s>(root: &'s Value, schema: &'s Value) -> Vec<&'s Value> {
    let mut all = vec![schema];
    if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
        let target = root.pointer(reference.trim_start_matches('#')).unwrap();
        all.extend(alternatives(root, target));
    }
    for word in ["anyOf", "oneOf"] {
        let parts = schema.get(word).and_then(Value::as_array);
        for part in parts.into_iter().flatten() {
            all.extend(alternatives(root, part));
        }
    }
    all
}

/// The alternative with properties that an object means: it has all of its keys, and its constants.
fn chosen<'s>(root: &'s Value, schema: &'s Value, instance: &Value) -> Option<&'s Value> {
    let object = instance.as_object()?;
    alternatives(root, schema).into_iter().find(|one| {
        let Some(properties) = one.get("properties").and_then(Value::as_object) else {
            return false;
        };
        object.iter().all(|(key, value)| {
            properties.get(key).is_some_and(|property| {
                let wanted = property.get("const");
                wanted.is_none_or(|wanted| wanted == value)
            })
        })
    })
}

/// The properties that the schema has at a place of a document.
fn schema_keys(root: &Value, whole: &Value, pointer: &str) -> BTreeSet<String> {
    let (mut schema, mut instance) = (root, whole);
    for step in pointer.split('/').skip(1) {
        let all = alternatives(root, schema);
        if instance.is_array() {
            schema = all.iter().find_map(|one| one.get("items")).unwrap();
        } else if let Some(object) = chosen(root, schema, instance) {
            schema = &object["properties"][step];
        } else {
            schema = all
                .iter()
                .find_map(|one| one.get("additionalProperties"))
                .unwrap();
        }
        instance = instance.pointer(&format!("/{step}")).unwrap();
    }
    let object = chosen(root, schema, instance);
    let object = object.unwrap_or_else(|| panic!("{pointer} is nowhere in the schema"));
    assert_eq!(object["additionalProperties"], json!(false), "{pointer}");
    let properties = object["properties"].as_object().unwrap();
    properties.keys().cloned().collect()
}

fn agree(schema: &Value, text: &str, read: &dyn Fn(&str) -> String) -> usize {
    let checker = Checker::new(schema);
    let whole: Value = serde_yaml::from_str(text).unwrap();
    assert_eq!(checker.wrong(&whole), None);
    assert_eq!(read(text), "", "the document itself is right");
    let mut places = Vec::new();
    maps(&whole, "", "", &mut places);
    for (pointer, path) in &places {
        let known = known_keys(&whole, pointer, path, read);
        let described = schema_keys(schema, &whole, pointer);
        let described: BTreeSet<String> = described
            .into_iter()
            // The tag of a strategy is no parameter of it.
            .filter(|key| !(key == "type" && path.contains("strateg")))
            .collect();
        assert_eq!(known, described, "{path}");
    }
    places.len()
}

const RULES: &str = r#"
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata: {name: x}
spec:
  groups:
  - name: g
    labels: {a: b}
    rules:
    - {record: r, expr: x, labels: {a: b}}
    - {record: d, drift: {histogram: x_bucket, by: [m], reference: {learn: 1h}}}
    - {record: q, ratio: {bad: [x_total], total: y_total, by: [m]}}
    - {alert: a, expr: x, labels: {a: b}, annotations: {a: b}}
    - {watch: w1, expr: x, strategy: {type: static, bound: 1}, retrain: {cooldown: 1h}}
    - {watch: w2, expr: x, strategy: {type: ewma}}
    - {watch: w3, expr: x, strategy: {type: mad}}
    - {watch: w4, expr: x, strategy: {type: seasonal}}
    - {watch: w5, expr: x, strategy: {type: novelty}}
    - {watch: w6, expr: x, strategy: {type: auto}}
    - {watch: w7, expr: x, strategy: {type: shift}}
    - {watch: w8, expr: x, strategy: {type: page_hinkley}}
    - {watch: w9, expr: x, strategy: {type: adwin}}
    - {watch: w10, expr: d, strategy: {type: drift}}
    - {watch: w13, expr: q, strategy: {type: ratio, at_least: 2x, false_alarms: 1/30d}}
    - {watch: w11, expr: x, strategy: {type: any_of, strategies: [{type: static, bound: 1}]}}
    - {watch: w12, expr: x, strategy: {type: all_of, strategies: [{type: static, bound: 1}]}}
"#;

#[test]
fn the_schema_of_rules_has_the_keys_that_the_reader_knows_and_no_other() {
    let registry = Registry::built_in();
    let read = |text: &str| {
        let read = RuleReader::new(&registry).read("r.yaml", text);
        read.err()
            .map(|problems| problems.to_string())
            .unwrap_or_default()
    };
    assert!(agree(&schema::rules(), RULES, &read) > 25);
    for kind in registry.kinds() {
        assert!(RULES.contains(&format!("type: {kind}")), "{kind}");
    }
}

const CONFIG: &str = r#"
global: {scrape_interval: 15s, external_labels: {a: b}}
model: {id: m}
scrape:
  targets: [{url: "http://a:1/metrics", labels: {pod: a}}]
  discovery: {dns: "fraud.ml.svc:8000", labels: {a: b}}
  basic_auth: {username: a}
  tls_config: {ca: a}
  proxy_connect_header: {A: [b]}
  http_headers: {A: {values: [b]}}
rule_files: [auto]
alerting:
  alertmanagers:
  - url: http://am:9093
    discovery: {refresh: 30s}
    alert_relabel_configs: [{action: keep, source_labels: [a], regex: b}]
    authorization: {credentials: a}
  alert_relabel_configs: [{action: keep, source_labels: [a], regex: b}]
retraining:
  webhooks:
  - url: http://argo:12000
    oauth2: {client_id: a, token_url: "http://t", tls_config: {ca: a}, endpoint_params: {a: b}}
storage: {retention: 2h}
backfill: {prometheus: "http://p", range: 1d}
"#;

#[test]
fn the_schema_of_configurations_has_the_keys_that_the_reader_knows_and_no_other() {
    let read = |text: &str| {
        let read = read_settings("c.yaml", text, &|_| None);
        read.err()
            .map(|problems| problems.to_string())
            .unwrap_or_default()
    };
    assert!(agree(&schema::config(), CONFIG, &read) > 15);
    let fleet = "scrape: {source: {prometheus: \"http://p\", http_headers: {A: {values: [b]}}}}\n";
    assert!(agree(&schema::config(), fleet, &read) > 3);
}

const RELAY: &str = r#"
retrain:
- {matchers: ['retrain="true"'], cooldown: 6h, resolved_is_done: true}
labels: {model: model_id, ignore: [replica]}
retraining: {webhooks: [{url: "http://argo:12000", tls_config: {ca: a}}]}
storage: {path: state}
authorization: {credentials_file: token}
"#;

#[test]
fn the_schema_of_relays_has_the_keys_that_the_reader_knows_and_no_other() {
    let read = |text: &str| {
        let read = read_relay("relay.yaml", text, &|_| None);
        read.err()
            .map(|problems| problems.to_string())
            .unwrap_or_default()
    };
    assert!(agree(&schema::relay(), RELAY, &read) > 5);
    let relay = Checker::new(&schema::relay());
    for (here, there) in [
        ("[{url:", "[{uri:"),
        ("['retrain=\"true\"']", "[]"),
        ("6h", "soon"),
        ("ignore:", "ignored:"),
    ] {
        assert!(RELAY.contains(here));
        let wrong = RELAY.replace(here, there);
        assert!(relay.wrong(&documents(&wrong)[0]).is_some(), "{there}");
        assert_ne!(read(&wrong), "", "{there}");
    }
}

#[test]
fn words_that_are_no_words_are_refused_by_the_schema_of_configurations() {
    let config = Checker::new(&schema::config());
    for (here, there) in [
        ("15s", "soon"),
        ("15s", "-1s"),
        ("http://a:1/metrics", "ftp://a"),
        ("action: keep", "action: kept"),
        ("svc:8000\"", "svc:8000\", type: MX"),
        ("svc:8000\"", "svc:8000\", path: metrics"),
        ("model: {id: m}", "model: {baseline: keep}"),
        ("global:", "globe:"),
        ("[auto]", "auto"),
    ] {
        assert!(CONFIG.contains(here));
        let wrong = CONFIG.replace(here, there);
        assert!(config.wrong(&documents(&wrong)[0]).is_some(), "{there}");
        assert!(
            read_settings("c.yaml", &wrong, &|_| None).is_err(),
            "{there}"
        );
    }
}

#[test]
fn the_program_prints_schemas_and_completions() {
    let run = |args: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_sidewatch"))
            .args(args)
            .output()
            .unwrap();
        assert!(output.status.success(), "{args:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    for what in ["config", "rules", "relay"] {
        let schema: Value = serde_json::from_str(&run(&["schema", what])).unwrap();
        assert_eq!(
            schema["$schema"],
            "https://json-schema.org/draft/2020-12/schema"
        );
    }
    for (shell, mark) in [
        ("bash", "complete -F _sidewatch"),
        ("zsh", "#compdef sidewatch"),
        ("fish", "complete -c sidewatch"),
    ] {
        let script = run(&["completions", shell]);
        assert!(
            script.contains(mark) && script.contains("backtest"),
            "{shell}"
        );
    }
}
