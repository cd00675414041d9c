//! The headline (is the model well?) and the overview with one tile for each section.

use std::fmt::Write as _;

use super::text::{clock, escape};
use crate::publish::RuleKind;
use crate::publish::snapshot::{Signal, Snapshot};

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
            unknown: signals("warming_up") + signals("insufficient_data") + signals("stale"),
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

/// The worst fact decides. An unknown state is never called normal.
pub(super) fn headline(snapshot: &Snapshot) -> Headline {
    let n = Counts::of(snapshot);
    let (class, verdict, text) = if n.firing > 0 {
        let text = plural(n.firing, "alert fires", "alerts fire");
        ("bad", "is unhealthy", text)
    } else if n.down > 0 {
        let text = plural(n.down, "target is down", "targets are down");
        ("bad", "cannot be judged", text)
    } else if is_scaled_to_zero(snapshot) {
        let text = "scaled to zero: its name has no addresses".to_owned();
        ("wait", "is idle", text)
    } else if n.up < n.targets || n.targets == 0 {
        ("wait", "is not known yet", "nothing scraped yet".to_owned())
    } else if n.failing > 0 {
        let text = plural(n.failing, "rule fails", "rules fail");
        ("bad", "cannot be judged fully", text)
    } else if n.pending > 0 {
        let text = plural(n.pending, "alert is pending", "alerts are pending");
        ("wait", "may be unhealthy", text)
    } else if n.anomalous > 0 {
        let text = plural(n.anomalous, "signal is anomalous", "signals are anomalous");
        ("wait", "may be unhealthy", text)
    } else if n.unknown > 0 {
        let (one, many) = ("signal is not known yet", "signals are not known yet");
        let text = plural(n.unknown, one, many);
        ("wait", "is not known fully", text)
    } else if n.idle > 0 {
        let text = plural(n.idle, "signal has no traffic", "signals have no traffic");
        ("wait", "is idle", text)
    } else if n.judged == 0 {
        let text = "no alert fires, and no signal has been judged".to_owned();
        ("wait", "is not known yet", text)
    } else {
        let text = "all signals are normal".to_owned();
        ("good", "is healthy", text)
    };
    Headline {
        class,
        verdict,
        text,
    }
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
    let (class, text) = match (n.judged, n.anomalous, n.unknown + n.idle) {
        (0, ..) => ("wait", "none judged".to_owned()),
        (judged, 0, 0) => ("good", format!("{judged} normal")),
        (judged, 0, unknown) => ("wait", format!("{unknown} of {judged} not known yet")),
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
