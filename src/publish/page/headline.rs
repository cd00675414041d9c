//! The headline (is the model well?) and the overview with one tile for each section.

use std::fmt::Write as _;

use super::text::{clock, escape};
use crate::publish::RuleKind;
use crate::publish::snapshot::{Rule, Signal, Snapshot, Target};

/// The text at the top of the page.
pub(super) struct Headline {
    pub(super) class: &'static str,
    /// The state of the model, as it follows its name.
    pub(super) verdict: &'static str,
    /// The reason.
    pub(super) text: String,
}

/// The numbers that headline and overview are made of.
struct Counts {
    firing: usize,
    pending: usize,
    targets: usize,
    up: usize,
    down: usize,
    judged: usize,
    anomalous: usize,
    idle: usize,
    unknown: usize,
    stale: usize,
    missing: usize,
    rules: usize,
    failing: usize,
}

impl Counts {
    fn of(snapshot: &Snapshot) -> Self {
        let alerts = |state| count(snapshot.alerts.iter().map(|alert| alert.state), state);
        let targets = |up| count(snapshot.targets.iter().map(|target| target.up), up);
        let states = || snapshot.signals.iter().filter_map(|signal| signal.state);
        let signals = |state| count(states(), state);
        let rules = || snapshot.groups.iter().flat_map(|group| &group.rules);
        Self {
            firing: alerts("firing"),
            pending: alerts("pending"),
            targets: snapshot.targets.len(),
            up: targets(Some(true)),
            down: targets(Some(false)),
            judged: states().count(),
            anomalous: signals("anomalous"),
            idle: signals("idle"),
            unknown: signals("warming_up") + signals("insufficient_data"),
            stale: signals("stale"),
            missing: missing(snapshot).count(),
            rules: rules().count(),
            failing: rules().filter(|rule| rule.problem().is_some()).count(),
        }
    }
}

/// Whether discovery found nothing to scrape.
fn is_scaled_to_zero(snapshot: &Snapshot) -> bool {
    let discovery = snapshot.discovery.as_ref();
    snapshot.targets.is_empty() && discovery.is_some_and(|found| found.targets == Some(0))
}

/// The watches whose expression finds nothing, though a healthy target has what they look for. While
/// a target is down, that is the reason.
fn missing(snapshot: &Snapshot) -> impl Iterator<Item = &Rule> {
    let all_up = snapshot
        .targets
        .iter()
        .all(|target| target.up == Some(true));
    let has_signal = |rule: &Rule| {
        let mut signals = snapshot.signals.iter();
        signals.any(|signal| signal.rule.key == rule.definition.key)
    };
    let rules = snapshot.groups.iter().flat_map(|group| &group.rules);
    rules.filter(move |rule| {
        let looked = all_up && rule.is_empty && !rule.definition.optional;
        looked && rule.definition.kind == RuleKind::Watch && !has_signal(rule)
    })
}

/// The worst fact decides the verdict; the text names everything else that is not normal. An unknown
/// state is never called normal.
pub(super) fn headline(snapshot: &Snapshot) -> Headline {
    let n = Counts::of(snapshot);
    let (class, verdict) = verdict(&n, snapshot);
    let facts = facts(&n, snapshot);
    let text = if facts.is_empty() {
        "all signals are normal".to_owned()
    } else {
        facts.join("; ")
    };
    Headline {
        class,
        verdict,
        text,
    }
}

fn verdict(n: &Counts, snapshot: &Snapshot) -> (&'static str, &'static str) {
    if n.targets > 0 && n.down == n.targets {
        ("bad", "does not answer")
    } else if n.firing > 0 {
        ("bad", "is unhealthy")
    } else if is_scaled_to_zero(snapshot) {
        ("wait", "is idle")
    } else if n.up + n.down < n.targets || n.targets == 0 {
        ("wait", "is not known yet")
    } else if n.failing > 0 {
        ("bad", "cannot be judged fully")
    } else if n.pending + n.anomalous > 0 {
        ("wait", "may be unhealthy")
    } else if n.down + n.stale + n.missing > 0 {
        ("wait", "cannot be judged fully")
    } else if n.unknown > 0 {
        ("wait", "is not known fully")
    } else if n.idle > 0 {
        ("wait", "is idle")
    } else if n.judged == 0 {
        ("wait", "is not known yet")
    } else {
        ("good", "is healthy")
    }
}

/// What is not normal, the worst first.
fn facts(n: &Counts, snapshot: &Snapshot) -> Vec<String> {
    let mut facts = Vec::new();
    let is_dead = n.targets > 0 && n.down == n.targets;
    if is_dead {
        facts.push(down(n, snapshot));
    }
    if n.firing > 0 {
        facts.push(firing(n, snapshot));
    }
    if n.down > 0 && !is_dead {
        facts.push(down(n, snapshot));
    }
    if is_scaled_to_zero(snapshot) {
        facts.push("scaled to zero: its name has no addresses".to_owned());
    } else if n.up + n.down < n.targets || n.targets == 0 {
        facts.push("nothing scraped yet".to_owned());
    }
    let mut count = |count: usize, one: &str, many: &str| {
        if count > 0 {
            facts.push(plural(count, one, many));
        }
    };
    count(n.failing, "rule fails", "rules fail");
    count(n.pending, "alert is pending", "alerts are pending");
    if n.firing + n.pending == 0 {
        count(n.anomalous, "signal is anomalous", "signals are anomalous");
    }
    // When no target answers, every signal is without a value for that reason.
    if !is_dead {
        facts.extend(without_values(n, snapshot));
    }
    let mut count = |count: usize, one: &str, many: &str| {
        if count > 0 {
            facts.push(plural(count, one, many));
        }
    };
    let (one, many) = (
        "signal is still learning what is usual",
        "signals are still learning what is usual",
    );
    count(n.unknown, one, many);
    count(n.idle, "signal has no traffic", "signals have no traffic");
    if facts.is_empty() && n.judged == 0 {
        facts.push("no alert fires, and no signal has been judged".to_owned());
    }
    facts
}

/// The signals that have no value any more, and the watches that never found one.
fn without_values(n: &Counts, snapshot: &Snapshot) -> Vec<String> {
    let mut facts = Vec::new();
    let stale = snapshot
        .signals
        .iter()
        .filter(|signal| signal.state == Some("stale"));
    if n.stale > 0 {
        let since = stale.clone().filter_map(|signal| signal.since).min();
        let since = since.map_or_else(String::new, |at| format!(" since {} UTC", clock(at)));
        let (names, has) = match distinct(stale.map(|signal| signal.rule.name())) {
            (names, 1) => (names, "has"),
            (names, _) => (names, "have"),
        };
        facts.push(format!("{names} {has} no value{since}"));
    }
    if n.missing > 0 {
        let (names, finds) = match distinct(missing(snapshot).map(|rule| rule.definition.name())) {
            (names, 1) => (names, "finds"),
            (names, _) => (names, "find"),
        };
        facts.push(format!("{names} {finds} no series"));
    }
    facts
}

/// Up to two of the names and how many more there are, and how many differ.
fn distinct<'a>(names: impl Iterator<Item = &'a str>) -> (String, usize) {
    let mut all: Vec<&str> = names.collect();
    all.sort_unstable();
    all.dedup();
    let text = match all.as_slice() {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [one, other] => format!("{one} and {other}"),
        [one, other, more @ ..] => format!("{one}, {other} and {} more", more.len()),
    };
    (text, all.len())
}

fn firing(n: &Counts, snapshot: &Snapshot) -> String {
    let firing = || {
        snapshot
            .alerts
            .iter()
            .filter(|alert| alert.state == "firing")
    };
    let mut text = match firing().next() {
        Some(only) if n.firing == 1 => format!("{} fires", only.rule.name()),
        _ => plural(n.firing, "alert fires", "alerts fire"),
    };
    let concerns = |target: &&Target| {
        ["instance", "pod"].iter().any(|name| {
            let own = target.labels.get(name);
            own.is_some() && firing().any(|alert| alert.labels.get(name) == own)
        })
    };
    let concerned = snapshot.targets.iter().filter(concerns).count();
    if n.targets > 1 && concerned > 0 {
        write!(text, " on {concerned} of {} targets", n.targets).ok();
    }
    if let Some(since) = firing().map(|alert| alert.active_at).min() {
        write!(text, " since {} UTC", clock(since)).ok();
    }
    text
}

fn down(n: &Counts, snapshot: &Snapshot) -> String {
    let mut text = if n.targets == 1 {
        "its target is down".to_owned()
    } else {
        let is = if n.down == 1 { "is" } else { "are" };
        format!("{} of {} targets {is} down", n.down, n.targets)
    };
    let since = snapshot
        .targets
        .iter()
        .filter_map(|target| target.down_since);
    if let Some(since) = since.min() {
        write!(text, " since {} UTC", clock(since)).ok();
    }
    text
}

/// Writes a tile for each section, with its state in words.
pub(super) fn overview(snapshot: &Snapshot, out: &mut String) {
    let n = Counts::of(snapshot);
    out.push_str("<nav aria-label=\"overview\">");
    let class = match (n.firing, n.pending) {
        (0, 0) => "good",
        (0, _) => "wait",
        _ => "bad",
    };
    let text = if n.firing + n.pending == 0 {
        "none".to_owned()
    } else {
        format!("{} firing, {} pending", n.firing, n.pending)
    };
    tile("alerts", "Alerts", class, &text, out);
    let (class, text) = match (n.judged, n.anomalous, n.unknown + n.idle + n.stale) {
        (0, ..) => ("wait", "none judged".to_owned()),
        (judged, 0, _) if n.stale > 0 => {
            ("wait", format!("{} of {judged} without a value", n.stale))
        }
        (judged, 0, 0) => ("good", format!("{judged} normal")),
        (judged, 0, unknown) => ("wait", format!("{unknown} of {judged} not known yet")),
        (judged, anomalous, _) if n.stale > 0 => {
            let text = format!(
                "{anomalous} of {judged} anomalous, {} without a value",
                n.stale
            );
            ("bad", text)
        }
        (judged, anomalous, _) => ("bad", format!("{anomalous} of {judged} anomalous")),
    };
    tile("signals", "Signals", class, &text, out);
    let class = if n.down > 0 {
        "bad"
    } else if n.up < n.targets || n.targets == 0 {
        "wait"
    } else {
        "good"
    };
    let text = format!("{} of {} up", n.up, n.targets);
    tile("targets", "Targets", class, &text, out);
    let (class, text) = deliveries(snapshot);
    tile("deliveries", "Deliveries", class, &text, out);
    let (class, text) = rules(snapshot, &n);
    tile("rules", "Rules", class, &text, out);
    let (class, text) = match snapshot.reload.error {
        None => (
            "good",
            format!("loaded {}", clock(snapshot.reload.succeeded_at)),
        ),
        Some(_) if snapshot.reload.is_partial => ("bad", "has mistakes".to_owned()),
        Some(_) => ("bad", "reload failed".to_owned()),
    };
    tile("configuration", "Configuration", class, &text, out);
    out.push_str("</nav>");
}

fn tile(id: &str, name: &str, class: &str, text: &str, out: &mut String) {
    // Writing to a String cannot fail, here and below.
    write!(
        out,
        "<a id=\"to-{id}\" class=\"tile {class}\" href=\"#{id}\">{name}<b>{}</b></a>",
        escape(text)
    )
    .ok();
}

fn deliveries(snapshot: &Snapshot) -> (&'static str, String) {
    let peers = snapshot.peers.iter();
    let receivers = snapshot.receivers.iter();
    let errors = peers
        .clone()
        .filter(|peer| peer.last_error.is_some())
        .count()
        + receivers
            .clone()
            .filter(|receiver| receiver.last_error.is_some())
            .count();
    let waiting: u64 = peers.map(|peer| peer.queue_length).sum::<u64>()
        + receivers.map(|receiver| receiver.waiting).sum::<u64>();
    if snapshot.peers.is_empty() && snapshot.receivers.is_empty() {
        ("", "no receiver".to_owned())
    } else if errors > 0 {
        let text = plural(errors, "receiver fails", "receivers fail");
        ("bad", format!("{text}, {waiting} waiting"))
    } else if waiting > 0 {
        ("wait", format!("{waiting} waiting"))
    } else {
        ("good", "none waiting".to_owned())
    }
}

fn rules(snapshot: &Snapshot, n: &Counts) -> (&'static str, String) {
    let last = snapshot.groups.iter().filter_map(|group| group.last).max();
    let when = last.map_or_else(
        || "not evaluated yet".to_owned(),
        |at| format!("at {}", clock(at)),
    );
    if n.failing > 0 {
        ("bad", format!("{} of {} fail", n.failing, n.rules))
    } else if n.missing > 0 {
        ("wait", format!("{} of {} find nothing", n.missing, n.rules))
    } else if last.is_none() {
        ("wait", when)
    } else {
        ("good", format!("{} ok {when}", n.rules))
    }
}

fn count<T: PartialEq + Copy>(items: impl Iterator<Item = T>, wanted: T) -> usize {
    items.filter(|item| *item == wanted).count()
}

fn plural(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// Sort key: worst first, so that a truncated list drops the normal signals.
pub(super) fn rank(signal: &Signal) -> u8 {
    match signal.state {
        Some("anomalous") => 0,
        Some("stale") => 2,
        Some("insufficient_data") => 3,
        Some("warming_up") => 4,
        Some(_) => 5,
        None => 6,
    }
}

/// The key of the rule kind in a rule file.
pub(super) fn word(kind: RuleKind) -> &'static str {
    match kind {
        RuleKind::Record => "record",
        RuleKind::Alert => "alert",
        RuleKind::Watch => "watch",
    }
}
