//! Rule files of a sequence, and edits of them.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use sidewatch_engine::metric::Labels;

use crate::promql_random::Random;

pub(super) const NAMES: [&str; 2] = ["Deep", "Slow"];
pub(super) const SEVERITIES: [&str; 2] = ["warning", "critical"];
/// No team means no label.
pub(super) const TEAMS: [&str; 3] = ["", "a", "b"];
pub(super) const BOUNDS: [u32; 3] = [5, 6, 8];
const GROUPS: [&str; 2] = ["g", "h"];
const FILES: usize = 3;

/// A rule about `x` of every pod.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Spec {
    pub(super) name: &'static str,
    pub(super) severity: &'static str,
    pub(super) team: &'static str,
    pub(super) is_watch: bool,
    pub(super) bound: u32,
    /// `for`, in seconds.
    pub(super) hold: u32,
}

/// The identity of a rule: group, name and static labels.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Identity {
    pub(super) group: &'static str,
    pub(super) name: &'static str,
    pub(super) severity: &'static str,
    pub(super) team: &'static str,
}

impl Identity {
    /// Whether the other differs in its group only.
    pub(super) fn is_in_other_group(&self, other: &Self) -> bool {
        let labelled = |identity: &Self| (identity.name, identity.severity, identity.team);
        self.group != other.group && labelled(self) == labelled(other)
    }

    /// The labels of its alert about a pod.
    pub(super) fn labels(&self, pod: &str) -> Labels {
        Labels::new([
            ("alertname", self.name),
            ("severity", self.severity),
            ("team", self.team),
            ("pod", pod),
        ])
    }
}

#[derive(Debug, Clone)]
struct File {
    name: String,
    groups: [Vec<Spec>; 2],
}

/// Every rule file, by name.
#[derive(Debug, Clone)]
pub(super) struct Files(Vec<File>);

/// A change of the files. Rules are given by their position, modulo their number.
#[derive(Debug, Clone)]
pub(super) enum Edit {
    Nothing,
    SwapWithNext(usize),
    /// Into the group of this rule, before it.
    Insert(usize, Spec),
    Remove(usize),
    MoveToOtherGroup(usize),
    MoveToOtherFile(usize),
    SetBound(usize, u32),
    SetHold(usize, u32),
    SetSeverity(usize, &'static str),
    SetTeam(usize, &'static str),
    RenameFile(usize),
    /// A copy of a file, its rules with another team.
    CopyFile(usize, &'static str),
    RemoveFile(usize),
}

/// One of several, as often as the others.
pub(super) fn one<T: Copy>(random: &mut Random, from: &[T]) -> T {
    from[random.below(from.len())]
}

fn hold(random: &mut Random) -> u32 {
    one(random, &[0, 0, 15, 30, 60])
}

impl Spec {
    fn random(random: &mut Random) -> Self {
        Self {
            name: one(random, &NAMES),
            severity: one(random, &SEVERITIES),
            team: one(random, &TEAMS),
            is_watch: random.chance(50),
            bound: one(random, &BOUNDS),
            hold: hold(random),
        }
    }

    fn text(&self) -> String {
        let Self {
            name, bound, hold, ..
        } = self;
        let condition = if self.is_watch {
            format!(
                "watch: {name}, expr: x, metric: custom, strategy: {{type: static, bound: {bound}, direction: above}}"
            )
        } else {
            format!("alert: {name}, expr: x > {bound}")
        };
        let mut labels = format!("severity: {}", self.severity);
        if !self.team.is_empty() {
            write!(labels, ", team: {}", self.team).unwrap();
        }
        format!("  - {{{condition}, for: {hold}s, labels: {{{labels}}}}}\n")
    }
}

impl Edit {
    pub(super) fn random(random: &mut Random) -> Self {
        let at = random.below(100);
        match random.below(16) {
            0 | 1 => Self::SwapWithNext(at),
            2 | 3 => Self::Insert(at, Spec::random(random)),
            4 | 5 => Self::Remove(at),
            6 => Self::MoveToOtherGroup(at),
            7 => Self::MoveToOtherFile(at),
            8 => Self::SetBound(at, one(random, &BOUNDS)),
            9 => Self::SetHold(at, hold(random)),
            10 => Self::SetSeverity(at, one(random, &SEVERITIES)),
            11 => Self::SetTeam(at, one(random, &TEAMS)),
            12 => Self::RenameFile(at),
            13 => Self::CopyFile(at, one(random, &TEAMS)),
            14 => Self::RemoveFile(at),
            _ => Self::Nothing,
        }
    }
}

impl Files {
    /// One to six rules in two files.
    pub(super) fn random(random: &mut Random) -> Self {
        let file = |name: &str| File {
            name: name.to_owned(),
            groups: [Vec::new(), Vec::new()],
        };
        let mut files = Self(vec![file("b.yaml"), file("d.yaml")]);
        for _ in 0..=random.below(6) {
            let mut more = files.clone();
            let groups = &mut more.0[random.below(2)].groups;
            groups[random.below(2)].push(Spec::random(random));
            if more.is_valid() {
                files = more;
            }
        }
        files
    }

    /// No files.
    pub(super) fn none() -> Self {
        Self(Vec::new())
    }

    /// The name and the text of each file.
    pub(super) fn texts(&self) -> Vec<(&str, String)> {
        let files = self.0.iter();
        files
            .map(|file| (file.name.as_str(), file.text()))
            .collect()
    }

    pub(super) fn rules(&self) -> impl Iterator<Item = (Identity, &Spec)> {
        self.0.iter().flat_map(|file| {
            let groups = GROUPS.iter().zip(&file.groups);
            groups.flat_map(|(group, rules)| rules.iter().map(|rule| (identity(group, rule), rule)))
        })
    }

    /// Two rules of one identity are a mistake.
    fn is_valid(&self) -> bool {
        let identities: BTreeSet<Identity> = self.rules().map(|(identity, _)| identity).collect();
        identities.len() == self.rules().count()
    }

    /// The files after an edit; unchanged where it is impossible.
    pub(super) fn edited(&self, edit: &Edit) -> Self {
        let mut files = self.clone();
        files.apply(edit);
        files.0.sort_by(|a, b| a.name.cmp(&b.name));
        if files.is_valid() {
            files
        } else {
            self.clone()
        }
    }

    /// File, group and position of a rule.
    fn place(&self, at: usize) -> Option<(usize, usize, usize)> {
        let files = self.0.iter().enumerate();
        let places = files.flat_map(|(file, found)| {
            let groups = found.groups.iter().enumerate();
            groups.flat_map(move |(group, rules)| (0..rules.len()).map(move |n| (file, group, n)))
        });
        let places: Vec<_> = places.collect();
        places.get(at.checked_rem(places.len())?).copied()
    }

    fn apply(&mut self, edit: &Edit) {
        match edit {
            Edit::Nothing => {}
            Edit::RenameFile(at) => {
                let name = self.unused();
                let count = self.0.len();
                self.0[at % count].name = name;
            }
            Edit::CopyFile(at, team) => self.copy(*at, team),
            Edit::RemoveFile(at) => {
                if self.0.len() > 1 {
                    self.0.remove(at % self.0.len());
                }
            }
            Edit::SwapWithNext(at)
            | Edit::Insert(at, _)
            | Edit::Remove(at)
            | Edit::MoveToOtherGroup(at)
            | Edit::MoveToOtherFile(at)
            | Edit::SetBound(at, _)
            | Edit::SetHold(at, _)
            | Edit::SetSeverity(at, _)
            | Edit::SetTeam(at, _) => {
                if let Some(place) = self.place(*at) {
                    self.apply_at(place, edit);
                }
            }
        }
    }

    fn apply_at(&mut self, (file, group, n): (usize, usize, usize), edit: &Edit) {
        let next = (file + 1) % self.0.len();
        let rules = &mut self.0[file].groups[group];
        match edit {
            Edit::SwapWithNext(_) => {
                let next = (n + 1) % rules.len();
                rules.swap(n, next);
            }
            Edit::Insert(_, spec) => rules.insert(n, spec.clone()),
            Edit::Remove(_) => drop(rules.remove(n)),
            Edit::MoveToOtherGroup(_) => {
                let rule = rules.remove(n);
                self.0[file].groups[1 - group].push(rule);
            }
            Edit::MoveToOtherFile(_) => {
                let rule = rules.remove(n);
                self.0[next].groups[group].push(rule);
            }
            Edit::SetBound(_, bound) => rules[n].bound = *bound,
            Edit::SetHold(_, hold) => rules[n].hold = *hold,
            Edit::SetSeverity(_, severity) => rules[n].severity = severity,
            Edit::SetTeam(_, team) => rules[n].team = team,
            Edit::Nothing | Edit::RenameFile(_) | Edit::CopyFile(..) | Edit::RemoveFile(_) => {}
        }
    }

    fn copy(&mut self, at: usize, team: &'static str) {
        if self.0.len() >= FILES {
            return;
        }
        let mut copy = self.0[at % self.0.len()].clone();
        copy.name = self.unused();
        for rule in copy.groups.iter_mut().flatten() {
            rule.team = team;
        }
        self.0.push(copy);
    }

    /// The first file name that no file has.
    fn unused(&self) -> String {
        let names = ["a.yaml", "c.yaml", "e.yaml", "f.yaml"];
        let free = names
            .iter()
            .find(|name| self.0.iter().all(|file| file.name != **name));
        (*free.unwrap()).to_owned()
    }
}

impl File {
    fn text(&self) -> String {
        let mut text = "groups:\n".to_owned();
        for (name, rules) in GROUPS.iter().zip(&self.groups) {
            let rules: String = rules.iter().map(Spec::text).collect();
            if rules.is_empty() {
                writeln!(text, "- {{name: {name}, rules: []}}").unwrap();
            } else {
                write!(text, "- name: {name}\n  rules:\n{rules}").unwrap();
            }
        }
        text
    }
}

fn identity(group: &'static str, rule: &Spec) -> Identity {
    Identity {
        group,
        name: rule.name,
        severity: rule.severity,
        team: rule.team,
    }
}
