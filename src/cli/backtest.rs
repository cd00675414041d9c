//! `sidewatch backtest`: which alerts rules would have raised on saved scrapes.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::ValueEnum;
use serde_json::{Value as Json, json};

use super::Error;
use super::replay::{Fired, Judged, Replay, replay};
use crate::metric::{Timestamp, parse_duration};
use crate::promql::format_value;

/// The shape of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// One line an alert.
    Text,
    /// One object with every alert and every judged value.
    Json,
}

/// Replay saved scrapes through rules.
#[derive(Debug, clap::Args)]
pub struct Backtest {
    /// Rule file or name of a pack; may be repeated
    #[arg(long, value_name = "PACK|FILE", required = true)]
    pub rules: Vec<String>,
    /// Folder with the scrapes snap_0001.txt, snap_0002.txt, …
    #[arg(long, value_name = "DIR")]
    pub snapshots: PathBuf,
    /// Time between two scrapes, the first at 0; default: the times of index.csv, or 15s
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub step: Option<Duration>,
    /// Shape of the answer
    #[arg(long, value_enum, default_value = "text")]
    pub format: Format,
}

impl Backtest {
    /// Replays and prints.
    ///
    /// # Errors
    /// What is wrong with a rule file, the folder or a scrape.
    pub fn run(&self, out: &mut dyn Write) -> Result<ExitCode, Error> {
        let replay = replay(&self.rules, &self.snapshots, self.step)?;
        let printed = match self.format {
            Format::Text => print_text(out, &replay),
            Format::Json => writeln!(out, "{}", as_json(&replay)),
        };
        printed.map_err(|error| Error::new(format!("cannot print the answer: {error}")))?;
        Ok(ExitCode::SUCCESS)
    }
}

fn print_text(out: &mut dyn Write, replay: &Replay) -> io::Result<()> {
    for fired in &replay.fired {
        let alert = &fired.alert;
        let at = |time: Timestamp| format!("{}s", format_value(time.as_secs_f64()));
        let end = fired.resolved_at.map_or("still firing".to_owned(), |end| {
            format!("resolved at {}", at(end))
        });
        writeln!(
            out,
            "{} fired at {}, {end}: {}",
            alert.labels,
            alert.fired_at.map(at).unwrap_or_default(),
            alert.summary()
        )?;
    }
    let signals = by_signal(replay).len();
    let alerts = replay.fired.len();
    writeln!(
        out,
        "{} scrapes, {signals} signals, {alerts} alerts",
        replay.scrapes
    )
}

fn as_json(replay: &Replay) -> Json {
    let alerts: Vec<Json> = replay.fired.iter().map(alert).collect();
    let signals: Vec<Json> = by_signal(replay)
        .values()
        .map(|points| signal(points))
        .collect();
    json!({"alerts": alerts, "signals": signals})
}

fn alert(fired: &Fired) -> Json {
    let alert = &fired.alert;
    let explanation = alert.explanation.as_ref();
    json!({
        "rule": &*alert.rule,
        "labels": alert.labels,
        "pending_at": alert.active_at.as_secs_f64(),
        "fired_at": alert.fired_at.map(Timestamp::as_secs_f64),
        "resolved_at": fired.resolved_at.map(Timestamp::as_secs_f64),
        "value": finite(alert.value),
        "score": explanation.and_then(|explanation| explanation.score).and_then(finite),
        "why": explanation.map_or_else(|| alert.summary(), |explanation| explanation.why.clone()),
    })
}

/// Verdicts by watch and labels, each in the order of time.
fn by_signal(replay: &Replay) -> BTreeMap<(&str, String), Vec<&Judged>> {
    let mut signals: BTreeMap<(&str, String), Vec<&Judged>> = BTreeMap::new();
    for judged in &replay.judged {
        let labels = judged.sample.labels.without_name().to_string();
        signals
            .entry((&judged.rule, labels))
            .or_default()
            .push(judged);
    }
    signals
}

fn signal(points: &[&Judged]) -> Json {
    let rows: Vec<Json> = points.iter().map(|judged| point(judged)).collect();
    let first = points.first();
    json!({
        "rule": first.map(|judged| judged.rule.as_str()),
        "metric": first.map(|judged| judged.sample.metric.to_string()),
        "labels": first.map(|judged| judged.sample.labels.without_name()),
        "points": rows,
    })
}

fn point(judged: &Judged) -> Json {
    let Judged {
        sample, verdict, ..
    } = judged;
    json!({
        "t": sample.at.as_secs_f64(),
        "value": finite(sample.value),
        "lower": verdict.expected.lower.and_then(finite),
        "upper": verdict.expected.upper.and_then(finite),
        "score": verdict.score.and_then(finite),
        "state": verdict.state.as_str(),
    })
}

/// JSON has no NaN.
fn finite(value: f64) -> Option<f64> {
    Some(value).filter(|value| value.is_finite())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use serde_json::Value as Json;

    use super::{Backtest, Format};

    const RULES: &str = "groups:\n  - name: g\n    rules:\n      - watch: High\n        expr: g\n        strategy: {type: static, bound: 1}\n        for: 15s\n        annotations: {summary: 'g is {{ $value }}'}\n";

    fn backtest(values: &[&str], format: Format) -> String {
        let dir = tempfile::tempdir().unwrap();
        for (n, value) in (1..).zip(values) {
            fs::write(
                dir.path().join(format!("snap_{n:04}.txt")),
                format!("g{{a=\"b\"}} {value}\n"),
            )
            .unwrap();
        }
        let rules = dir.path().join("g.yaml");
        fs::write(&rules, RULES).unwrap();
        let command = Backtest {
            rules: vec![rules.display().to_string()],
            snapshots: dir.path().to_owned(),
            step: Some(Duration::from_secs(15)),
            format,
        };
        let mut out = Vec::new();
        command.run(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn an_alert_has_its_times_its_score_and_its_reason() {
        let text = backtest(&["0.5", "2", "2", "0.5", "NaN"], Format::Json);
        let answer: Json = serde_json::from_str(&text).unwrap();
        let alert = &answer["alerts"][0];
        assert_eq!(alert["rule"], "High");
        assert_eq!(alert["labels"]["a"], "b");
        assert_eq!(alert["pending_at"], 15.0);
        assert_eq!(alert["fired_at"], 30.0);
        assert_eq!(alert["resolved_at"], 45.0);
        assert_eq!(alert["value"], 2.0);
        assert_eq!(alert["score"], 2.0);
        assert_eq!(alert["why"], "2 is above the bound 1");
        assert_eq!(answer["alerts"].as_array().unwrap().len(), 1);
        let signal = &answer["signals"][0];
        assert_eq!(signal["metric"], "custom");
        assert_eq!(signal["labels"]["a"], "b");
        assert_eq!(signal["points"].as_array().unwrap().len(), 5);
        assert_eq!(signal["points"][1]["t"], 15.0);
        assert_eq!(signal["points"][1]["state"], "anomalous");
        assert_eq!(signal["points"][1]["upper"], 1.0);
        assert_eq!(signal["points"][4]["value"], Json::Null);
        assert_eq!(signal["points"][4]["score"], Json::Null);
    }

    #[test]
    fn a_quiet_hour_says_so() {
        let text = backtest(&["0.5", "2", "0.5"], Format::Text);
        assert_eq!(text, "3 scrapes, 1 signals, 0 alerts\n");
    }
}
