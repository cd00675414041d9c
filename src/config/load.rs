//! Loads the whole configuration from files, or returns every problem of every file.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::file::read_settings;
use super::files::{cleaned, matching};
use super::packs;
use super::problem::{Problem, Problems};
use super::redact;
use super::rules::{References, RuleReader};
use super::settings::{Probe, Settings};
use super::source::mixed;
use super::text::read;
use crate::judge::Registry;
use crate::map;
use crate::map::drift::{DriftRule, Reference};
use crate::map::estimate::EstimateRule;
use crate::metric::nearest;
use crate::rules::{Rule, RuleSet};

/// Settings and rules that passed every check together.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// Everything but the rules.
    pub settings: Settings,
    /// The rules.
    pub rules: RuleSet,
    /// The rules of each module of `/probe`, by its name.
    pub modules: BTreeMap<String, RuleSet>,
    /// The files as read, in order, for the status page.
    pub sources: Vec<Source>,
    /// What is wrong and was left out; empty unless the caller asked for a configuration without
    /// its mistakes.
    pub left_out: Problems,
}

/// Where the settings come from.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Origin<'a> {
    /// A file; rule files are relative to its folder.
    File(&'a Path),
    /// The text of a file, and what problems call it; rule files are relative to the current folder.
    Text(&'a str, &'a str),
    /// The defaults, and what the caller makes of them.
    Defaults,
}

impl Origin<'_> {
    fn base(&self) -> &Path {
        match self {
            Self::File(path) => path.parent().unwrap_or(Path::new("")),
            Self::Text(..) | Self::Defaults => Path::new(""),
        }
    }

    /// The settings, and the text that they were read from.
    fn read(&self) -> Result<(Settings, Option<Source>), Problems> {
        let (file, text) = match self {
            Self::File(path) => (path.display().to_string(), read(path)?),
            Self::Text(name, text) => ((*name).to_owned(), (*text).to_owned()),
            Self::Defaults => return Ok((Settings::default(), None)),
        };
        let settings = read_settings(&file, &text, &|name| std::env::var(name).ok())?;
        let source = Source {
            file,
            text,
            is_settings: true,
        };
        Ok((settings, Some(source)))
    }
}

/// A file that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The name as the user gave it.
    pub file: String,
    /// Its text.
    pub text: String,
    /// Whether it is the configuration file, the only one with secrets; the others are rule files.
    pub is_settings: bool,
}

impl Source {
    /// The text line for line with secrets redacted, safe to show.
    #[must_use]
    pub fn redacted(&self) -> String {
        if self.is_settings {
            redact::settings(&self.text)
        } else {
            redact::rules(&self.text)
        }
    }
}

impl Config {
    /// SHA-256 over all files, as the first 12 hexadecimal digits: identifies the configuration
    /// that sent an alert.
    #[must_use]
    pub fn hash(&self) -> String {
        let mut hash = Sha256::new();
        for source in &self.sources {
            hash.update(source.file.as_bytes());
            hash.update([0]);
            hash.update(source.text.as_bytes());
            hash.update([0]);
        }
        let digits = hash
            .finalize()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>();
        digits.chars().take(12).collect()
    }

    /// The configuration with a URL for links in alerts, unless it has one.
    #[must_use]
    pub fn with_default_url(mut self, url: &str) -> Self {
        let known = &mut self.settings.global.external_url;
        if known.is_empty() {
            url.clone_into(known);
        }
        self
    }

    /// Reads a configuration file and the rule files that it names, relative to its folder.
    ///
    /// # Errors
    /// Every problem of every file.
    pub fn load(path: &Path, registry: &Registry) -> Result<Self, Problems> {
        Self::load_adjusted(Origin::File(path), registry, &|_| {})
    }

    /// Reads the settings, lets `adjust` change them, and reads the rule files that they name.
    ///
    /// # Errors
    /// Every problem of every file.
    pub(crate) fn load_adjusted(
        origin: Origin<'_>,
        registry: &Registry,
        adjust: &dyn Fn(&mut Settings),
    ) -> Result<Self, Problems> {
        let (mut settings, main) = origin.read()?;
        adjust(&mut settings);
        Ok(Self::assemble(settings, origin.base(), registry)?.under(main))
    }

    /// The same without what is wrong, which is in `left_out`: instead of settings that cannot be
    /// read the defaults, which have no target; no rule file that cannot be read; and the rules
    /// `auto` if that leaves none. `adjust` sees the settings before the rule files are read, and
    /// `finish` after that.
    pub(crate) fn load_without_mistakes(
        origin: Origin<'_>,
        registry: &Registry,
        adjust: &dyn Fn(&mut Settings),
        finish: &dyn Fn(&mut Settings),
    ) -> Self {
        let mut left_out = Problems::default();
        let (mut settings, main) = origin.read().unwrap_or_else(|problems| {
            left_out.extend(problems);
            Default::default()
        });
        adjust(&mut settings);
        let base = origin.base();
        let assemble = |settings| Self::assemble(settings, base, registry);
        let mut is_readable = |file: &String| {
            let alone = Settings {
                rule_files: vec![file.clone()],
                probe: Probe::default(),
                ..settings.clone()
            };
            assemble(alone)
                .map_err(|found| left_out.extend(found))
                .is_ok()
        };
        let files = settings.rule_files.iter();
        let kept: Vec<String> = files.filter(|file| is_readable(file)).cloned().collect();
        settings.rule_files = kept;
        if settings.rule_files.is_empty() {
            settings.rule_files = vec![packs::AUTO.to_owned()];
        }
        finish(&mut settings);
        let config = assemble(settings.clone()).or_else(|problems| {
            left_out.extend(problems);
            settings.probe = Probe::default();
            assemble(settings)
        });
        let mut config = config.unwrap_or_default().under(main);
        config.left_out = left_out;
        config
    }

    /// Reads the text of a configuration file and the rule files that it names, relative to the
    /// current folder. Rules may use the built-in strategies. Problems name the file
    /// `configuration`.
    ///
    /// # Errors
    /// Every problem of the text, or every problem of every rule file.
    pub fn from_yaml(text: &str) -> Result<Self, Problems> {
        Self::from_yaml_with(text, &Registry::built_in())
    }

    /// The same for rules that use the strategies of `registry`, which the builder of
    /// the service needs too.
    ///
    /// # Errors
    /// Every problem of the text, or every problem of every rule file.
    pub fn from_yaml_with(text: &str, registry: &Registry) -> Result<Self, Problems> {
        Self::load_adjusted(Origin::Text("configuration", text), registry, &|_| {})
    }

    /// Adds the rules of a text in the format of a rule file; problems name the file `name`.
    ///
    /// # Errors
    /// Every problem of the text.
    pub fn with_rules(
        mut self,
        name: &str,
        text: &str,
        registry: &Registry,
    ) -> Result<Self, Problems> {
        let groups = RuleReader::under(&self.settings, registry).read(name, text)?;
        self.rules.groups.extend(groups);
        self.sources.push(Source {
            file: name.to_owned(),
            text: text.to_owned(),
            is_settings: false,
        });
        let mut problems = Problems::default();
        if self.settings.scrape.source.is_some() {
            mixed(&self.rules)
                .into_iter()
                .for_each(|problem| problems.push(problem));
        }
        problems.into_result(self)
    }

    /// The same with the configuration file, if there is one, in front of the other sources.
    fn under(mut self, main: Option<Source>) -> Self {
        self.sources.splice(0..0, main);
        self
    }

    /// Adds the rule files that the settings name, relative to `base`.
    ///
    /// # Errors
    /// Every problem of every rule file.
    pub fn assemble(
        settings: Settings,
        base: &Path,
        registry: &Registry,
    ) -> Result<Self, Problems> {
        let reader = RuleReader::under(&settings, registry);
        let mut problems = Problems::default();
        let mut sources = Vec::new();
        let mut read = |names: &[String]| {
            let mut found = Vec::new();
            for name in names {
                match rule_sources(name, base) {
                    Ok(sources) => found.extend(sources),
                    Err(problem) => problems.extend(problem),
                }
            }
            let mut rules = RuleSet::default();
            for source in &found {
                match reader.read(&source.file, &source.text) {
                    Ok(groups) => rules.groups.extend(groups),
                    Err(found) => problems.extend(found),
                }
            }
            found.extend(references(&rules));
            found.retain(|source| !sources.contains(source));
            sources.extend(found);
            rules
        };
        let rules = read(&settings.rule_files);
        let modules = settings.probe.modules.iter();
        let modules = modules
            .map(|module| (module.name.clone(), read(&module.rules)))
            .collect();
        if settings.scrape.source.is_some() {
            mixed(&rules)
                .into_iter()
                .for_each(|problem| problems.push(problem));
        }
        problems.into_result(Self {
            settings,
            rules,
            modules,
            sources,
            left_out: Problems::default(),
        })
    }
}

/// What records define, by their names.
pub(crate) type Named<T> = Vec<(String, T)>;

/// The drift rules of rule files by the names of their records; their reference files may be
/// missing.
///
/// # Errors
/// Every other problem of every rule file.
pub(crate) fn drift_rules(
    names: &[String],
    interval: Duration,
    registry: &Registry,
) -> Result<Named<DriftRule>, Problems> {
    named(names, interval, registry, |rule| rule.drift().cloned())
}

/// The estimates of rule files by the names of their records; their calibration files may be
/// missing.
///
/// # Errors
/// Every other problem of every rule file.
pub(crate) fn estimate_rules(
    names: &[String],
    interval: Duration,
    registry: &Registry,
) -> Result<Named<EstimateRule>, Problems> {
    named(names, interval, registry, |rule| rule.estimate().cloned())
}

/// What `find` finds in the rules of rule files, by the names of the rules.
fn named<T>(
    names: &[String],
    interval: Duration,
    registry: &Registry,
    find: impl Fn(&Rule) -> Option<T>,
) -> Result<Named<T>, Problems> {
    let reader = RuleReader { registry, interval };
    let mut problems = Problems::default();
    let mut found = Vec::new();
    for name in names {
        for source in rule_sources(name, Path::new(""))? {
            let groups = match reader.read_with(&source.file, &source.text, References::Ignored) {
                Ok(groups) => groups,
                Err(wrong) => {
                    problems.extend(wrong);
                    continue;
                }
            };
            let rules = groups.iter().flat_map(|group| &group.rules);
            found.extend(rules.filter_map(|rule| Some((rule.name().to_owned(), find(rule)?))));
        }
    }
    problems.into_result(found)
}

/// The reference files of drift rules and the calibration files of estimates, as read.
fn references(rules: &RuleSet) -> Vec<Source> {
    let mut found: Vec<Source> = Vec::new();
    for rule in rules.rules() {
        let Rule::Record(recording) = rule else {
            continue;
        };
        let named = match &recording.source {
            map::Source::Drift(drift) => match &drift.reference {
                Reference::File { file, text, .. } => Some((file, text)),
                Reference::Learn(_) | Reference::Inline(_) => None,
            },
            map::Source::Estimate(estimate) => {
                let file = estimate.calibration_file.as_ref();
                file.map(|(file, text)| (file, text))
            }
            map::Source::Expr(_) | map::Source::Ratio(_) => None,
        };
        if let Some((file, text)) = named
            && found.iter().all(|known| known.file != *file)
        {
            found.push(Source {
                file: file.clone(),
                text: text.clone(),
                is_settings: false,
            });
        }
    }
    found
}

/// The files of a path, a glob or the name of a pack.
fn rule_sources(name: &str, base: &Path) -> Result<Vec<Source>, Problems> {
    let unrecognised = (name == packs::AUTO).then_some(packs::UNRECOGNISED);
    if let Some(text) = packs::find(name).or(unrecognised) {
        return Ok(vec![Source {
            file: name.to_owned(),
            text: text.to_owned(),
            is_settings: false,
        }]);
    }
    let path = cleaned(&base.join(name));
    let paths = if name.contains('*') {
        matching(&path).map_err(|message| Problem::of_file(name, message))?
    } else {
        vec![path]
    };
    let mut sources = Vec::new();
    for path in paths {
        let text = read(&path).map_err(|problems| with_packs(problems, name))?;
        let file = path.display().to_string();
        sources.push(Source {
            file,
            text,
            is_settings: false,
        });
    }
    Ok(sources)
}

/// A bare word that is no file is probably a misspelt pack.
fn with_packs(problems: Problems, name: &str) -> Problems {
    if name.contains(['.', '/']) {
        return problems;
    }
    let known = packs::NAMES.join(", ");
    let hint = nearest(name, packs::NAMES, 2)
        .map_or(String::new(), |near| format!("; did you mean {near}?"));
    Problem::of_file(
        name,
        format!("neither a file nor a pack{hint}; packs are {known}, and auto"),
    )
    .into()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::Config;
    use crate::judge::Registry;

    #[test]
    fn a_changed_calibration_is_a_changed_configuration() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
        let calibration = |share: f64| {
            format!(
                "version: 1\ncalibrations: {{a: [{{labels: {{}}, labelled: 1000, shares: {{\"+Inf\": {share}}}}}]}}\n"
            )
        };
        write(
            "sidewatch.yaml",
            "scrape: {targets: [{url: 'http://127.0.0.1:1/metrics'}]}\nrule_files: [rules.yaml]\n",
        );
        write(
            "rules.yaml",
            "groups: [{name: g, rules: [{record: a, estimate: {scores: s_bucket, calibration: \
             {file: c.yaml, labelled: l_bucket, positive: 'l_bucket{y=\"1\"}'}}}]}]\n",
        );
        let hash = |share: f64| {
            write("c.yaml", &calibration(share));
            let file = dir.path().join("sidewatch.yaml");
            Config::load(&file, &Registry::built_in()).unwrap().hash()
        };
        let before = hash(0.5);
        assert_eq!(hash(0.5), before);
        assert_ne!(hash(0.6), before);
    }
}
