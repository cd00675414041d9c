//! The configuration of `sidewatch relay` → [`Relay`].

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::file::{Around, Environment, positive};
use super::load::read;
use super::problem::Problems;
use super::read::{Fields, Node, Reader};
use super::retraining::{matcher, retraining};
use super::settings::Retraining;
use super::yaml::Document;
use crate::metric::{Labels, Matcher};
use crate::notify::retrain::Policy;

/// What a relay does with the alerts that it is told of.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Relay {
    /// Which alerts ask for a new model; the first that fits counts.
    pub asks: Vec<Ask>,
    /// Where an alert says what it is about.
    pub labels: Identity,
    /// Who is asked, and the switches in front of it.
    pub retraining: Retraining,
    /// Folder for what survives a restart; everything is in memory without it.
    pub storage: Option<PathBuf>,
    /// A file with the token that senders have to show; without it nobody needs one.
    pub token: Option<PathBuf>,
}

/// Alerts that ask for a new model.
#[derive(Debug, Clone, PartialEq)]
pub struct Ask {
    /// The alert's labels must match all of them.
    pub matchers: Vec<Matcher>,
    /// Shortest time between two requests for one series. Default 6h.
    pub cooldown: Duration,
    /// Whether the end of the alert means that the retraining is over. Default false.
    pub resolved_is_done: bool,
}

impl Ask {
    /// Whether an alert with these labels asks.
    #[must_use]
    pub fn matches(&self, labels: &Labels) -> bool {
        let value = |name: &str| labels.get(name).unwrap_or("").to_owned();
        self.matchers
            .iter()
            .all(|matcher| matcher.matches(&value(matcher.name())))
    }
}

/// The labels that say what an alert is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The label with the model's id. Default `model_id`.
    pub model: String,
    /// The label with its version. Default `model_version`.
    pub version: String,
    /// Labels that tell senders apart and no models. Default `replica` and `prometheus_replica`.
    pub ignore: Vec<String>,
}

impl Default for Identity {
    fn default() -> Self {
        Self {
            model: "model_id".to_owned(),
            version: "model_version".to_owned(),
            ignore: vec!["replica".to_owned(), "prometheus_replica".to_owned()],
        }
    }
}

/// Reads a relay's configuration file.
///
/// # Errors
/// Every problem of the file at once.
pub fn load_relay(path: &Path) -> Result<Relay, Problems> {
    let text = read(path)?;
    read_relay(&path.display().to_string(), &text, &|name| {
        std::env::var(name).ok()
    })
}

/// Reads the text of a relay's configuration file; `env` looks up environment variables for `${VAR}`.
///
/// # Errors
/// Every problem of the file at once.
pub fn read_relay(file: &str, text: &str, env: &Environment) -> Result<Relay, Problems> {
    let document = Document::parse(file, text)?;
    let reader = Reader::new(&document);
    let base = Path::new(file).parent().unwrap_or(Path::new(""));
    let around = Around::new(env, base);
    let relay = reader.root().fields().map(|fields| relay(fields, &around));
    reader.finish().into_result(relay.unwrap_or_default())
}

fn relay(mut fields: Fields<'_>, around: &Around<'_>) -> Relay {
    let asks_node = fields.required("retrain");
    let asks_list = asks_node.as_ref().and_then(Node::list).unwrap_or_default();
    if let Some(node) = &asks_node
        && asks_list.is_empty()
    {
        node.problem("must say which alerts ask, such as {matchers: ['retrain=\"true\"']}");
    }
    let labels = fields
        .get("labels")
        .and_then(|node| identity(&node))
        .unwrap_or_default();
    let retraining_node = fields.required("retraining");
    let retraining = retraining_node
        .as_ref()
        .and_then(|node| retraining(node, around))
        .unwrap_or_default();
    if let Some(node) = retraining_node
        && retraining.webhooks.is_empty()
    {
        let message =
            "must name at least one receiver, such as {url: \"http://argo:12000/retrain\"}";
        node.problem_below("webhooks", message);
    }
    let storage = fields.get("storage").and_then(|node| path(&node, "path"));
    let token = fields
        .get("authorization")
        .and_then(|node| path(&node, "credentials_file"));
    fields.finish();
    Relay {
        asks: asks_list.iter().filter_map(ask).collect(),
        labels,
        retraining,
        storage,
        token: token.map(|token| around.base.join(token)),
    }
}

fn ask(node: &Node<'_>) -> Option<Ask> {
    let mut fields = node.fields()?;
    let matchers_node = fields.required("matchers");
    let items = matchers_node.as_ref().and_then(Node::list);
    if let (Some(node), Some([])) = (&matchers_node, items.as_deref()) {
        node.problem("must not be empty, or every alert would ask for a new model");
    }
    let matchers = items.unwrap_or_default();
    let cooldown = positive(&mut fields, "cooldown");
    let resolved_is_done = fields.boolean("resolved_is_done").unwrap_or(false);
    fields.finish();
    Some(Ask {
        matchers: matchers.iter().filter_map(matcher).collect(),
        cooldown: cooldown.unwrap_or(Policy::default().cooldown),
        resolved_is_done,
    })
}

fn identity(node: &Node<'_>) -> Option<Identity> {
    let mut fields = node.fields()?;
    let default = Identity::default();
    let mut label = |key, default| {
        let label = fields.text(key);
        label.filter(|label| !label.is_empty()).unwrap_or(default)
    };
    let (model, version) = (
        label("model", default.model),
        label("version", default.version),
    );
    let ignore = fields.get("ignore").is_some();
    let listed = fields.texts("ignore");
    fields.finish();
    Some(Identity {
        model,
        version,
        ignore: if ignore { listed } else { default.ignore },
    })
}

/// A section that holds nothing but a path.
fn path(node: &Node<'_>, key: &'static str) -> Option<PathBuf> {
    let mut fields = node.fields()?;
    let path = fields.required(key).and_then(|node| node.text());
    fields.finish();
    path.filter(|path| !path.is_empty()).map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Identity, read_relay};
    use crate::metric::Labels;

    const WHOLE: &str = "
retrain:
- matchers: ['retrain=\"true\"', 'severity=~\"page|critical\"']
  cooldown: 12h
  resolved_is_done: true
- matchers: ['alertname=ModelDrift']
labels: {model: model_name, version: model_revision, ignore: [judge]}
retraining:
  dry_run: true
  webhooks: [{url: 'http://argo:12000/retrain'}]
storage: {path: /var/lib/sidewatch}
authorization: {credentials_file: token}
";

    fn problems(text: &str) -> String {
        let read = read_relay("relay.yaml", text, &|_| None);
        read.map(|_| ()).unwrap_err().to_string()
    }

    #[test]
    fn everything_can_be_said_and_the_rest_has_defaults() {
        let relay = read_relay("etc/relay.yaml", WHOLE, &|_| None).unwrap();
        assert_eq!(relay.asks[0].cooldown, Duration::from_secs(12 * 3600));
        assert!(relay.asks[0].resolved_is_done && relay.retraining.dry_run);
        assert_eq!(relay.asks[1].cooldown, Duration::from_secs(6 * 3600));
        assert_eq!(relay.labels.model, "model_name");
        assert_eq!(relay.labels.ignore, ["judge"]);
        assert_eq!(relay.token.unwrap().display().to_string(), "etc/token");
        let asks = |pairs: &[(&str, &str)]| relay.asks[0].matches(&Labels::new(pairs.to_vec()));
        assert!(asks(&[("retrain", "true"), ("severity", "page")]));
        assert!(!asks(&[("retrain", "true")]));
        let short = "retrain: [{matchers: ['a=b']}]\nretraining: {webhooks: [{url: 'http://x'}]}\n";
        let relay = read_relay("relay.yaml", short, &|_| None).unwrap();
        assert_eq!(relay.labels, Identity::default());
        assert_eq!((relay.storage, relay.token), (None, None));
    }

    #[test]
    fn every_mistake_is_named_at_once() {
        let wrong = problems(
            "retrain:\n- matchers: []\n- cooldown: 0s\n  matchers: [a]\nretraining: {}\nstorage: {}\nrules: 1\n",
        );
        for part in [
            "retrain[0].matchers: must not be empty",
            "retrain[1].cooldown: must be more than 0",
            "retrain[1].matchers[0]: must be a matcher",
            "retraining.webhooks: must name at least one receiver",
            "storage",
            "rules",
        ] {
            assert!(wrong.contains(part), "{part} in\n{wrong}");
        }
        assert!(problems("{}").contains("retrain"));
    }
}
