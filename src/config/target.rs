//! The identity of a target: its URL's host, and the labels that distinguish it.

pub(crate) use super::settings::Target;
use super::settings::{Discovery, Model};
use crate::describe::host;
use crate::metric::Labels;
use crate::runtime::host_name;

/// Labels that Prometheus attaches to the series of a target, most of them in Kubernetes.
pub(crate) const ATTACHED: [&str; 10] = [
    "job",
    "instance",
    "namespace",
    "pod",
    "container",
    "endpoint",
    "service",
    "node",
    "prometheus",
    "prometheus_replica",
];

/// `job` (the model's id) and `instance` (the URL's host and port) where the user gave none, as
/// Prometheus would.
#[must_use]
pub(crate) fn complete_labels(url: &str, labels: &Labels, model: &Model) -> Labels {
    let instance = host(url).unwrap_or(url);
    Labels::new([("job", model.id.as_str()), ("instance", instance)]).overlaid_with(labels)
}

impl Discovery {
    /// The labels of every discovered target, except `instance`.
    #[must_use]
    pub fn shared_labels(&self, model: &Model) -> Labels {
        complete_labels("", &self.labels, model).retain(|name| name != "instance")
    }
}

/// Whether a URL names this machine by an address that every machine has.
pub(crate) fn is_loopback(url: &str) -> bool {
    let host = host(url).unwrap_or("");
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    name == "localhost" || name.starts_with("127.") || name == "[::1]"
}

/// The host name of this machine with the port of a URL, to tell its loopback targets from those of
/// other machines.
pub(crate) fn on_this_machine(url: &str) -> Option<String> {
    let name = host_name();
    let port = host(url)?.rsplit_once(':').map(|(_, port)| port);
    let known = !name.is_empty() && name != "localhost";
    known.then(|| port.map_or_else(|| name.clone(), |port| format!("{name}:{port}")))
}

/// Alerts of two sidecars with equal labels would resolve each other, and every sidecar's target is
/// on loopback.
///
/// # Errors
/// A sentence with the remedy if the labels do not distinguish the target from another
/// pod's.
pub(crate) fn check_identity(target: &Target) -> Result<(), String> {
    let host = host(&target.url).unwrap_or("");
    let loopback = is_loopback(&target.url);
    let identified =
        target.labels.get("pod").is_some() || target.labels.get("instance") != Some(host);
    if loopback && !identified {
        return Err(
            "a loopback target that posts alerts needs an identity of its own, or the sidecars of two pods would \
             resolve each other's alerts; set pod, such as pod: \"${POD_NAME}\", or instance"
                .to_owned(),
        );
    }
    Ok(())
}
