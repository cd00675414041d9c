//! The identity of a target: its URL's host, and the labels that distinguish it.

pub(crate) use super::settings::Target;
use super::settings::{Discovery, Model};
use crate::describe::host;
use crate::metric::Labels;

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

/// Alerts of two sidecars with equal labels would resolve each other, and every sidecar's target is
/// on loopback.
///
/// # Errors
/// A sentence with the remedy if the labels do not distinguish the target from another
/// pod's.
pub(crate) fn check_identity(target: &Target) -> Result<(), String> {
    let host = host(&target.url).unwrap_or("");
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let loopback = name == "localhost" || name.starts_with("127.") || name == "[::1]";
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
