//! Which models a server knows: by the names of their series, one job after the other, from the index alone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use regex::escape;

use crate::cli::Error;
use crate::cli::backtest::progress::Progress;
use crate::config::packs::{self, Why};
use crate::config::target::ATTACHED;
use crate::history::{Prometheus, Range};
use crate::metric::{Labels, MatchOp, Matcher, Selector};

/// Questions under way at the same time.
const CONCURRENCY: usize = 4;
/// Names in one question.
const MARKS: usize = 60;
/// Most jobs that are looked at one by one: those among whose series a name tells something.
const MOST_JOBS: usize = 2_000;
/// What targets without the label `job` are called.
pub(super) const JOBLESS: &str = "targets without a job";

/// Replicas of one model server.
#[derive(Debug, Clone)]
pub(super) struct Model {
    /// The workload's or the job's name.
    pub(super) name: String,
    pub(super) namespace: Option<String>,
    /// Empty where the targets have no such label.
    pub(super) job: String,
    pub(super) pack: &'static str,
    /// The metric that gave it away.
    pub(super) because: String,
    /// The labels of each target that was seen in the range.
    pub(super) targets: BTreeSet<Labels>,
    /// What finds its series and no others.
    pub(super) matchers: Vec<Matcher>,
    /// The names of the series of its job.
    pub(super) metrics: Arc<BTreeSet<String>>,
}

/// Everything that was found.
#[derive(Debug, Default)]
pub(super) struct Fleet {
    pub(super) models: Vec<Model>,
    /// Jobs and workloads of programs that are known and have no pack, and why.
    pub(super) without_pack: Vec<(String, String)>,
    /// Jobs that are something else.
    pub(super) others: usize,
    /// Jobs that may be models and were not looked at, since there are too many.
    pub(super) skipped: usize,
}

/// Looks at every job of a server in whose names there is something that tells, and at the targets without a job.
pub(super) async fn fleet(
    prometheus: &Prometheus,
    range: Range,
    progress: &mut Progress,
) -> Result<Fleet, Error> {
    let known = prometheus.label_values("job", &[], range).await?;
    let telling = [
        Matcher::try_new(Labels::NAME, MatchOp::Regex, &packs::pattern())
            .map_err(|error| Error::new(error.to_string()))?,
    ];
    let mut jobs = prometheus.label_values("job", &telling, range).await?;
    let mut fleet = Fleet {
        others: known.len().saturating_sub(jobs.len()),
        skipped: jobs.len().saturating_sub(MOST_JOBS),
        ..Fleet::default()
    };
    jobs.truncate(MOST_JOBS);
    // A server that has heard nothing of jobs may know targets all the same.
    jobs.push(String::new());
    let all = jobs.len() as u64;
    let looked = stream::iter(jobs).map(|job| look(prometheus, job, &telling, range));
    let mut looked = looked.buffered(CONCURRENCY);
    let mut done = 0;
    while let Some(found) = looked.try_next().await? {
        done += 1;
        progress.show("looking", done, all);
        match found {
            Job::Models(models, unknown) => {
                fleet.models.extend(models);
                fleet.without_pack.extend(unknown);
            }
            Job::WithoutPack(job, why) => fleet.without_pack.push((job, why)),
            Job::Other => fleet.others += 1,
            Job::Nothing => {}
        }
    }
    distinguish(&mut fleet.models);
    Ok(fleet)
}

enum Job {
    /// And the targets that are known and have no pack.
    Models(Vec<Model>, BTreeSet<(String, String)>),
    WithoutPack(String, String),
    Other,
    /// There are no targets without a job.
    Nothing,
}

async fn look(
    prometheus: &Prometheus,
    job: String,
    telling: &[Matcher],
    range: Range,
) -> Result<Job, Error> {
    let mut own = vec![Matcher::equal("job", &job)];
    if job.is_empty() {
        // Servers insist on a matcher that the empty text does not pass.
        own.extend_from_slice(telling);
    }
    let metrics = prometheus.label_values(Labels::NAME, &own, range).await?;
    let names: Vec<&str> = metrics.iter().map(String::as_str).collect();
    match packs::recognise(&names) {
        Ok(pack) if is_any_program(&pack.because) => return Ok(Job::Other),
        Ok(_) => {}
        Err(_) if job.is_empty() => return Ok(Job::Nothing),
        Err(why @ Why::NoPack(..)) => return Ok(Job::WithoutPack(job, why.to_string())),
        Err(_) => return Ok(Job::Other),
    }
    let marks: Vec<String> = packs::marks(&names).into_iter().map(escape).collect();
    let mut selectors = Vec::new();
    for marks in marks.chunks(MARKS) {
        let name = Matcher::try_new(Labels::NAME, MatchOp::Regex, &marks.join("|"));
        let name = name.map_err(|error| Error::new(error.to_string()))?;
        selectors.push(Selector::new(vec![Matcher::equal("job", &job), name]));
    }
    let mut series = prometheus.series(&selectors, range).await?;
    let mut metrics = metrics;
    if job.is_empty() {
        // What has neither is no target's: a rule recorded it.
        series.retain(|labels| labels.get("instance").or(labels.get("pod")).is_some());
        if series.is_empty() {
            return Ok(Job::Nothing);
        }
        let any = Matcher::try_new(Labels::NAME, MatchOp::Regex, ".+");
        let mut own = vec![Matcher::equal("job", &job)];
        own.extend(any);
        metrics = prometheus.label_values(Labels::NAME, &own, range).await?;
    }
    let mut targets: BTreeMap<Labels, BTreeSet<String>> = BTreeMap::new();
    for labels in series {
        let target = labels.retain(|name| ATTACHED.contains(&name));
        let name = labels.name().unwrap_or_default().to_owned();
        targets.entry(target).or_default().insert(name);
    }
    let models = models(&job, &targets, &metrics);
    Ok(Job::Models(models, unknown(&job, &targets)))
}

/// A Python program is not a model for being one.
fn is_any_program(because: &str) -> bool {
    because.starts_with("python_")
}

/// Targets among those of models that are known and have no pack.
fn unknown(job: &str, targets: &BTreeMap<Labels, BTreeSet<String>>) -> BTreeSet<(String, String)> {
    let job = if job.is_empty() { JOBLESS } else { job };
    let unknown = targets.iter().filter_map(|(target, names)| {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let why = packs::recognise(&names).err()?;
        let name = target.get("pod").map_or(job, workload);
        matches!(why, Why::NoPack(..)).then(|| (name.to_owned(), why.to_string()))
    });
    unknown.collect()
}

/// Namespace, workload or job, and pack.
type Key = (Option<String>, String, &'static str);

/// The targets of a job, by workload and server.
fn models(
    job: &str,
    targets: &BTreeMap<Labels, BTreeSet<String>>,
    metrics: &[String],
) -> Vec<Model> {
    let metrics: Arc<BTreeSet<String>> = Arc::new(metrics.iter().cloned().collect());
    let mut models: BTreeMap<Key, Model> = BTreeMap::new();
    for (target, names) in targets {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let Ok(pack) = packs::recognise(&names) else {
            continue;
        };
        let namespace = target.get("namespace").map(str::to_owned);
        let otherwise = if job.is_empty() { pack.name } else { job };
        let name = target.get("pod").map_or(otherwise, workload).to_owned();
        let key = (namespace.clone(), name.clone(), pack.name);
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
    let alone = models.len() == 1 && !job.is_empty();
    for model in &mut models {
        model.matchers = matchers(model, alone);
    }
    models
}

/// The workload of a pod: its name without what Deployments, StatefulSets and DaemonSets append.
fn workload(pod: &str) -> &str {
    let is_random = |part: &str| {
        part.len() == 5
            && part
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    };
    let is_hash = |part: &str| {
        (6..=10).contains(&part.len())
            && part
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
            && part.bytes().any(|b| b.is_ascii_digit())
    };
    let Some((rest, last)) = pod.rsplit_once('-') else {
        return pod;
    };
    if !last.is_empty() && last.bytes().all(|b| b.is_ascii_digit()) {
        return rest;
    }
    if !is_random(last) {
        return pod;
    }
    match rest.rsplit_once('-') {
        Some((name, hash)) if is_hash(hash) => name,
        _ => rest,
    }
}

/// What finds the series of a model: its job, and more where the job has other targets too.
fn matchers(model: &Model, alone: bool) -> Vec<Matcher> {
    let mut matchers = vec![Matcher::equal("job", &model.job)];
    if let Some(namespace) = &model.namespace {
        matchers.push(Matcher::equal("namespace", namespace));
    }
    if alone {
        return matchers;
    }
    let by_pod = model
        .targets
        .iter()
        .all(|target| target.get("pod").is_some());
    let found = if by_pod {
        // Later pods of the workload too, and not those of a workload whose name begins alike.
        let name = escape(&model.name);
        let pattern = format!("{name}(-[0-9]+|(-[a-z0-9]{{6,10}})?-[a-z0-9]{{5}})?");
        Matcher::try_new("pod", MatchOp::Regex, &pattern)
    } else {
        let instances = model
            .targets
            .iter()
            .filter_map(|target| target.get("instance"));
        let instances: Vec<String> = instances.map(escape).collect();
        Matcher::try_new("instance", MatchOp::Regex, &instances.join("|"))
    };
    matchers.extend(found);
    matchers
}

/// Gives models of one name names of their own.
fn distinguish(models: &mut [Model]) {
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

    use super::{models, workload};
    use crate::metric::Labels;

    #[test]
    fn a_pod_is_called_after_its_workload() {
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

    #[test]
    fn servers_in_one_job_are_models_of_their_own_and_replicas_are_not() {
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
        let told: Vec<(&str, &str, usize)> = found
            .iter()
            .map(|model| (model.name.as_str(), model.pack, model.targets.len()))
            .collect();
        assert_eq!(told, [("chat", "vllm", 2), ("fraud", "triton", 1)]);
        let pod = found[1].matchers.last().unwrap();
        assert!(
            pod.matches("fraud-6b9f8b6c54-a2x9z") && !pod.matches("fraud-canary-6b9f8b6c54-a2x9z")
        );
        assert!(found[0].matchers.last().unwrap().matches("chat-12"));
    }

    #[test]
    fn targets_without_a_job_are_told_from_everything_else_without_one() {
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
