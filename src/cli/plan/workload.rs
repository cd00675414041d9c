//! The workload of a pod, from the pod's name.

/// The name of a pod without the suffixes that Deployments, StatefulSets and DaemonSets append.
pub(super) fn workload(pod: &str) -> &str {
    let Some((rest, last)) = pod.rsplit_once('-') else {
        return pod;
    };
    if !last.is_empty() && last.bytes().all(|b| b.is_ascii_digit()) {
        return rest;
    }
    if !is_random_suffix(last) {
        return pod;
    }
    match rest.rsplit_once('-') {
        Some((name, hash)) if is_template_hash(hash) => name,
        _ => rest,
    }
}

/// A pattern for the names of all pods of a workload, also of later ones. Pods of a workload whose
/// name only begins with this name do not match.
pub(super) fn pod_pattern(workload: &str) -> String {
    let name = regex::escape(workload);
    format!("{name}(-[0-9]+|(-[a-z0-9]{{6,10}})?-[a-z0-9]{{5}})?")
}

fn is_random_suffix(part: &str) -> bool {
    part.len() == 5 && is_lowercase_alphanumeric(part)
}

fn is_template_hash(part: &str) -> bool {
    (6..=10).contains(&part.len())
        && is_lowercase_alphanumeric(part)
        && part.bytes().any(|b| b.is_ascii_digit())
}

fn is_lowercase_alphanumeric(part: &str) -> bool {
    part.bytes()
        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::workload;

    #[test]
    fn a_pod_has_the_name_of_its_workload() {
        for (pod, name) in [
            ("fraud-7d9f8b6c54-x2x9z", "fraud"),
            ("fraud-detector-0", "fraud-detector"),
            ("llama-3-8b-5c6d7f8b9-abcde", "llama-3-8b"),
            ("node-agent-x8k2q", "node-agent"),
            ("fraud", "fraud"),
            ("fraud-canary", "fraud-canary"),
        ] {
            assert_eq!(workload(pod), name);
        }
    }
}
