//! The configuration of `sidewatch relay` → [`Relay`].

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::file::read_as;
use super::problem::Problems;
use super::settings::Retraining;
use super::text::read;
use crate::describe::{Environment, FilePath, Folder, Kind, Limits, Node, Shape, section};
use crate::metric::{Labels, Matcher};
use crate::notify::retrain::Policy;

section! {
    /// The configuration file of a relay: which alerts from Alertmanager's webhook become requests
    /// for a new model.
    #[check(check_receivers)]
    pub struct Relay {
        /// Which alerts ask for a new model; the first entry that fits counts.
        pub asks @ "retrain": Vec<Ask> = Vec::new(),
            must_be_set(), at_least(1.0),
            hint("say which alerts ask, such as {matchers: ['retrain=\"true\"']}");
        /// Which labels of an alert say what it is about.
        pub labels: Identity = Identity::default();
        /// The receivers of requests: at least one webhook.
        pub retraining: Retraining = Retraining::default(), must_be_set();
        /// Most series of all rules and models together that request retraining within an hour; 0
        /// means no limit. `retraining.hourly_limit` is that of one rule and model.
        pub total_hourly_limit: u64 = 200;
        /// What survives a restart; everything is in memory without it.
        pub storage: Option<PathBuf> as StatePath = None, refused();
        /// What senders have to show; without it they need nothing.
        pub token @ "authorization": Option<PathBuf> as TokenPath = None, private();
    }
}

section! {
    /// Alerts that ask for a new model.
    pub struct Ask {
        required {
            /// The alert's labels must match all of them.
            pub matchers: Vec<Matcher>,
                at_least(1.0), hint("without matchers every alert would ask for a new model"),
                example("['retrain=\"true\"', 'severity=\"page\"']");
        }
        /// Shortest time between two requests for one series.
        pub cooldown: Duration = Policy::default().cooldown, above(0.0);
        /// Whether the end of the alert means that the retraining is over.
        pub resolved_is_done: bool = false;
    }
}

section! {
    /// The labels that say what an alert is about.
    #[check(name_labels)]
    pub struct Identity {
        /// The label with the model's id.
        pub model: String = "model_id".to_owned();
        /// The label with its version.
        pub version: String = "model_version".to_owned();
        /// Labels that tell senders apart and no models.
        pub ignore: Vec<String> = vec!["replica".to_owned(), "prometheus_replica".to_owned()];
    }
}

section! {
    /// Where state is kept.
    struct StateKeys {
        required {
            /// The folder.
            path: Option<PathBuf> as Option<Folder>, example("/var/lib/sidewatch");
        }
    }
}

section! {
    /// What senders have to show.
    struct TokenKeys {
        required {
            /// A file with the token, relative to this file; it is read for every request.
            credentials_file: PathBuf as FilePath;
        }
    }
}

/// `storage: {path: …}`.
struct StatePath;

impl Shape for StatePath {
    type Value = Option<PathBuf>;

    fn kind() -> Kind {
        StateKeys::kind()
    }

    fn read(node: &Node<'_>, limits: &Limits) -> Option<Option<PathBuf>> {
        StateKeys::read(node, limits).map(|keys| keys.path)
    }
}

/// `authorization: {credentials_file: …}`.
struct TokenPath;

impl Shape for TokenPath {
    type Value = Option<PathBuf>;

    fn kind() -> Kind {
        TokenKeys::kind()
    }

    fn read(node: &Node<'_>, limits: &Limits) -> Option<Option<PathBuf>> {
        TokenKeys::read(node, limits).map(|keys| Some(keys.credentials_file))
    }
}

/// Refuses a relay without receivers.
fn check_receivers(relay: &mut Relay, node: &Node<'_>) {
    if node.has("retraining") && relay.retraining.webhooks.is_empty() {
        node.problem_below(
            "retraining.webhooks",
            "must name at least one receiver, such as {url: \"http://argo:12000/retrain\"}",
        );
    }
}

/// An empty name of a label counts as absent.
fn name_labels(identity: &mut Identity, _node: &Node<'_>) {
    let default = Identity::default();
    if identity.model.is_empty() {
        identity.model = default.model;
    }
    if identity.version.is_empty() {
        identity.version = default.version;
    }
}

impl Ask {
    /// Whether an alert with these labels requests retraining.
    #[must_use]
    pub fn matches(&self, labels: &Labels) -> bool {
        let value = |name: &str| labels.get(name).unwrap_or("").to_owned();
        self.matchers
            .iter()
            .all(|matcher| matcher.matches(&value(matcher.name())))
    }
}

/// Reads a relay's configuration file.
///
/// # Errors
/// Every problem of the file at once.
pub(crate) fn load_relay(path: &Path) -> Result<Relay, Problems> {
    let text = read(path)?;
    read_relay(&path.display().to_string(), &text, &|name| {
        std::env::var(name).ok()
    })
}

/// Reads the text of a relay's configuration file; `env` looks up environment variables for
/// `${VAR}`.
///
/// # Errors
/// Every problem of the file at once.
pub fn read_relay(file: &str, text: &str, env: &Environment) -> Result<Relay, Problems> {
    read_as::<Relay>(file, text, env)
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
