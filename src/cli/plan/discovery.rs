//! Finds model servers in the label index of a Prometheus, by the metric names of each job.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use regex::escape;

use super::workload::{pod_pattern, workload};
use crate::cli::error::Error;
use crate::cli::progress::Progress;
use crate::config::packs::{self, Why};
use crate::config::target::ATTACHED;
use crate::history::{Prometheus, Range};
use crate::metric::{Labels, MatchOp, Matcher, Selector};

/// Number of jobs that are inspected concurrently.
const CONCURRENCY: usize = 4;
/// Maximum number of metric names in one selector.
const MAX_NAMES: usize = 60;
/// Maximum number of jobs that are inspected.
const MAX_JOBS: usize = 2_000;
/// The name shown for targets without the label `job`.
const JOBLESS: &str = "targets without a job";

/// Replicas of one model server.
#[derive(Debug, Clone)]
pub(super) struct Model {
    /// The name of the workload or the job.
    pub(super) name: String,
    pub(super) namespace: Option<String>,
    /// Empty if the targets have no such label.
    pub(super) job: String,
    pub(super) pack: &'static str,
    /// The metric by which the server was recognised.
    pub(super) because: String,
    /// The labels of each target in the range.
    pub(super) targets: BTreeSet<Labels>,
    /// Matchers that select its series and no others.
    pub(super) matchers: Vec<Matcher>,
    /// All metric names of its job.
    pub(super) metrics: Arc<BTreeSet<String>>,
}

/// A job or workload of a known program for which there is no pack.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct WithoutPack {
    pub(super) name: String,
    pub(super) reason: String,
}

/// The result of a search.
#[derive(Debug, Default)]
pub(super) struct Fleet {
    pub(super) models: Vec<Model>,
    /// Known programs without a pack.
    pub(super) without_pack: Vec<WithoutPack>,
    /// Number of jobs that are no model servers.
    pub(super) other_jobs: usize,
    /// Number of jobs beyond the limit, which were not inspected.
    pub(super) skipped_jobs: usize,
}

/// Inspects the jobs that expose a metric name of a known server, and the targets without a job.
pub(super) async fn find_models(
    prometheus: &Prometheus,
    range: Range,
    progress: &mut Progress,
) -> Result<Fleet, Error> {
    let all_jobs = prometheus.label_values("job", &[], range).await?;
    let known_names = name_matcher(&packs::pattern())?;
    let mut jobs = prometheus
        .label_values("job", std::slice::from_ref(&known_names), range)
        .await?;
    let mut fleet = Fleet {
        other_jobs: all_jobs.len().saturating_sub(jobs.len()),
        skipped_jobs: jobs.len().saturating_sub(MAX_JOBS),
        ..Fleet::default()
    };
    jobs.truncate(MAX_JOBS);
    // The targets without a job.
    jobs.push(String::new());
    let total = jobs.len() as u64;
    let mut findings = stream::iter(jobs)
        .map(|job| inspect(prometheus, job, &known_names, range))
        .buffered(CONCURRENCY);
    let mut done = 0;
    while let Some(finding) = findings.try_next().await? {
        done += 1;
        progress.show("inspecting", done, total);
        match finding {
            Finding::Models {
                models,
                without_pack,
            } => {
                fleet.models.extend(models);
                fleet.without_pack.extend(without_pack);
            }
            Finding::WithoutPack(job) => fleet.without_pack.push(job),
            Finding::OtherJob => fleet.other_jobs += 1,
            Finding::NoTargets => {}
        }
    }
    make_names_unique(&mut fleet.models);
    Ok(fleet)
}

fn name_matcher(pattern: &str) -> Result<Matcher, Error> {
    Matcher::try_new(Labels::NAME, MatchOp::Regex, pattern)
        .map_err(|error| Error::new(error.to_string()))
}

/// What a job contains.
enum Finding {
    /// Model servers, and targets of known programs without a pack.
    Models {
        models: Vec<Model>,
        without_pack: BTreeSet<WithoutPack>,
    },
    /// A known program without a pack.
    WithoutPack(WithoutPack),
    /// No model server.
    OtherJob,
    /// There are no targets without a job.
    NoTargets,
}

/// Inspects one job; an empty name stands for the targets without a job.
async fn inspect(
    prometheus: &Prometheus,
    job: String,
    known_names: &Matcher,
    range: Range,
) -> Result<Finding, Error> {
    let in_job = Matcher::equal("job", &job);
    let mut matchers = vec![in_job.clone()];
    if job.is_empty() {
        // Servers require a matcher that does not match the empty string.
        matchers.push(known_names.clone());
    }
    let mut metrics = prometheus
        .label_values(Labels::NAME, &matchers, range)
        .await?;
    let names: Vec<&str> = metrics.iter().map(String::as_str).collect();
    match packs::recognise(&names) {
        Ok(_) => {}
        Err(_) if job.is_empty() => return Ok(Finding::NoTargets),
        Err(why @ Why::NoPack(..)) => {
            let reason = why.to_string();
            return Ok(Finding::WithoutPack(WithoutPack { name: job, reason }));
        }
        Err(_) => return Ok(Finding::OtherJob),
    }
    let marks: Vec<String> = packs::marks(&names).into_iter().map(escape).collect();
    let mut selectors = Vec::new();
    for names in marks.chunks(MAX_NAMES) {
        let matcher = name_matcher(&names.join("|"))?;
        selectors.push(Selector::new(vec![in_job.clone(), matcher]));
    }
    let mut series = prometheus.series(&selectors, range).await?;
    if job.is_empty() {
        // Series without these labels come from recording rules, not from a target.
        series.retain(|labels| labels.get("instance").or(labels.get("pod")).is_some());
        if series.is_empty() {
            return Ok(Finding::NoTargets);
        }
        metrics = prometheus
            .label_values(Labels::NAME, &[in_job, name_matcher(".+")?], range)
            .await?;
    }
    let mut targets: BTreeMap<Labels, BTreeSet<String>> = BTreeMap::new();
    for labels in series {
        let target = labels.retain(|name| ATTACHED.contains(&name));
        let name = labels.name().unwrap_or_default().to_owned();
        targets.entry(target).or_default().insert(name);
    }
    Ok(Finding::Models {
        models: models(&job, &targets, &metrics),
        without_pack: without_pack(&job, &targets),
    })
}

/// The known programs without a pack among the targets of a job.
fn without_pack(job: &str, targets: &BTreeMap<Labels, BTreeSet<String>>) -> BTreeSet<WithoutPack> {
    let job = if job.is_empty() { JOBLESS } else { job };
    targets
        .iter()
        .filter_map(|(target, names)| {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let why = packs::recognise(&names).err()?;
            let name = target.get("pod").map_or(job, workload).to_owned();
            matches!(why, Why::NoPack(..)).then(|| WithoutPack {
                name,
                reason: why.to_string(),
            })
        })
        .collect()
}

/// Identifies a model within a job.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct ModelKey {
    namespace: Option<String>,
    name: String,
    pack: &'static str,
}

/// The models of a job: its targets grouped by workload and pack.
fn models(
    job: &str,
    targets: &BTreeMap<Labels, BTreeSet<String>>,
    metrics: &[String],
) -> Vec<Model> {
    let metrics: Arc<BTreeSet<String>> = Arc::new(metrics.iter().cloned().collect());
    let mut models: BTreeMap<ModelKey, Model> = BTreeMap::new();
    for (target, names) in targets {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let Ok(pack) = packs::recognise(&names) else {
            continue;
        };
        let namespace = target.get("namespace").map(str::to_owned);
        let default_name = if job.is_empty() { pack.name } else { job };
        let name = target.get("pod").map_or(default_name, workload).to_owned();
        let key = ModelKey {
            namespace: namespace.clone(),
            name: name.clone(),
            pack: pack.name,
        };
        let model = models.entry(key).or_insert_with(|| Model {
            name,
            namespace,
            job: job.to_owned(),
            pack: pack.name,
            because: pack.because.clone(),
            targets: BTreeSet::new(),
            matchers: Vec::new(),
            metrics: Arc::clone(&metrics),
        });
        model.targets.insert(target.clone());
    }
    let mut models: Vec<Model> = models.into_values().collect();
    let is_only_model = models.len() == 1 && !job.is_empty();
    for model in &mut models {
        model.matchers = matchers(model, is_only_model);
    }
    models
}

/// Matchers for the series of a model. If its job has other targets, they include its pods or
/// instances.
fn matchers(model: &Model, is_only_model: bool) -> Vec<Matcher> {
    let mut matchers = vec![Matcher::equal("job", &model.job)];
    if let Some(namespace) = &model.namespace {
        matchers.push(Matcher::equal("namespace", namespace));
    }
    if is_only_model {
        return matchers;
    }
    let mut targets = model.targets.iter();
    let matcher = if targets.all(|target| target.get("pod").is_some()) {
        Matcher::try_new("pod", MatchOp::Regex, &pod_pattern(&model.name))
    } else {
        let instances: Vec<String> = model
            .targets
            .iter()
            .filter_map(|target| target.get("instance"))
            .map(escape)
            .collect();
        Matcher::try_new("instance", MatchOp::Regex, &instances.join("|"))
    };
    matchers.extend(matcher);
    matchers
}

/// Appends the pack to the name of each model whose name is already taken in its namespace.
fn make_names_unique(models: &mut [Model]) {
    let mut seen: BTreeMap<(Option<String>, String), usize> = BTreeMap::new();
    for model in models {
        let count = seen
            .entry((model.namespace.clone(), model.name.clone()))
            .or_default();
        *count += 1;
        if *count > 1 {
            model.name = format!("{}-{}", model.name, model.pack);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::models;
    use crate::metric::Labels;

    #[test]
    fn workloads_of_one_job_are_separate_models_and_replicas_are_not() {
        let target = |pod: &str| {
            Labels::new([
                ("job", "pods"),
                ("namespace", "ml"),
                ("pod", pod),
                ("instance", pod),
            ])
        };
        let names = |name: &str| BTreeSet::from([name.to_owned()]);
        let targets = BTreeMap::from([
            (target("chat-0"), names("vllm:num_requests_running")),
            (target("chat-1"), names("vllm:num_requests_running")),
            (
                target("fraud-7d9f8b6c54-x2x9z"),
                names("nv_inference_count"),
            ),
        ]);
        let found = models("pods", &targets, &[]);
        let summary: Vec<(&str, &str, usize)> = found
            .iter()
            .map(|model| (model.name.as_str(), model.pack, model.targets.len()))
            .collect();
        assert_eq!(summary, [("chat", "vllm", 2), ("fraud", "triton", 1)]);
        let pod = found[1].matchers.last().unwrap();
        assert!(
            pod.matches("fraud-6b9f8b6c54-a2x9z") && !pod.matches("fraud-canary-6b9f8b6c54-a2x9z")
        );
        assert!(found[0].matchers.last().unwrap().matches("chat-12"));
    }

    #[test]
    fn targets_without_a_job_are_selected_by_their_instances() {
        let targets = BTreeMap::from([(
            Labels::new([("instance", "10.0.0.7:8000")]),
            BTreeSet::from(["vllm:num_requests_running".to_owned()]),
        )]);
        let found = models("", &targets, &[]);
        let matchers: Vec<String> = found[0].matchers.iter().map(ToString::to_string).collect();
        assert_eq!(found[0].name, "vllm");
        assert_eq!(
            matchers,
            [r#"job="""#, r#"instance=~"10\\.0\\.0\\.7:8000""#]
        );
    }
}
