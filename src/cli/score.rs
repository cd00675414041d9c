//! `sidewatch score`: adds anomaly scores to CSV files, for the scorer of a detection benchmark.

use std::collections::VecDeque;
use std::fs;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use crate::history::parse_time;
use crate::judge::{Registry, StrategyConfig, StrategyContext, ThresholdStrategy};
use crate::metric::{Direction, Labels, Metric, MetricSample, Timestamp};

/// Add an anomaly score to every row of every CSV file below a directory
///
/// A row is `timestamp,value[,…]`. The column `anomaly_score` is appended: 1 is exactly at the
/// limit. The score is 0 during warm-up, for rows without a value, and during the strategy's
/// cool-down unless it exceeds the scores in it. A strategy that counts samples takes every row as
/// one step, whatever its timestamp.
#[derive(Debug, clap::Args)]
pub(crate) struct Score {
    /// The strategy as JSON, such as '{"type":"ewma"}'
    #[arg(long)]
    strategy: String,
    /// Directory of CSV files, read recursively
    #[arg(value_name = "IN_DIR")]
    input: PathBuf,
    /// Directory to write the scored files to, with the same relative paths
    #[arg(value_name = "OUT_DIR")]
    output: PathBuf,
}

impl Score {
    /// Scores every file and prints how many rows and files there were.
    pub(super) fn run(&self, out: &mut dyn Write) -> Result<ExitCode, String> {
        let config: StrategyConfig =
            serde_json::from_str(&self.strategy).map_err(|error| format!("--strategy: {error}"))?;
        let mut files = Vec::new();
        find_csv_files(&self.input, Path::new(""), &mut files)?;
        files.sort();
        let mut rows = 0;
        for file in &files {
            let strategy = build(&config)?;
            rows += score_file(strategy, &self.input.join(file), &self.output.join(file))?;
        }
        writeln!(
            out,
            "{rows} rows of {} files scored with {config}",
            files.len()
        )
        .map_err(|error| error.to_string())?;
        Ok(ExitCode::SUCCESS)
    }
}

fn build(config: &StrategyConfig) -> Result<Box<dyn ThresholdStrategy>, String> {
    let context = StrategyContext {
        direction: Direction::Both,
        interval: Duration::ZERO,
    };
    Registry::built_in()
        .build(config, &context)
        .map_err(|problems| {
            problems
                .iter()
                .map(|problem| format!("--strategy: {}: {}", problem.path, problem.message))
                .collect::<Vec<_>>()
                .join("\n")
        })
}

/// Adds the CSV files in `root`/`relative` and below it, as paths relative to `root`.
fn find_csv_files(root: &Path, relative: &Path, files: &mut Vec<PathBuf>) -> Result<(), String> {
    let dir = root.join(relative);
    let unreadable = |error: std::io::Error| format!("{}: {error}", dir.display());
    for entry in fs::read_dir(&dir).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let path = relative.join(entry.file_name());
        if entry.file_type().map_err(unreadable)?.is_dir() {
            find_csv_files(root, &path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "csv") {
            files.push(path);
        }
    }
    Ok(())
}

fn score_file(
    mut strategy: Box<dyn ThresholdStrategy>,
    from: &Path,
    to: &Path,
) -> Result<usize, String> {
    let text = fs::read_to_string(from).map_err(|error| format!("{}: {error}", from.display()))?;
    let unwritable = |error: std::io::Error| format!("{}: {error}", to.display());
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent).map_err(unwritable)?;
    }
    let mut out = BufWriter::new(fs::File::create(to).map_err(unwritable)?);
    let mut lines = text
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty());
    if let Some((_, header)) = lines.next() {
        writeln!(out, "{},anomaly_score", header.trim_end()).map_err(unwritable)?;
    }
    let mut filter = CooldownFilter::default();
    let mut rows = 0;
    for (index, line) in lines {
        let sample = read_row(line)
            .map_err(|message| format!("{}:{}: {message}", from.display(), index + 1))?;
        let score = strategy.judge(&sample).score.unwrap_or(0.0);
        let score = filter.apply(score, sample.at, strategy.cooldown());
        writeln!(out, "{},{}", line.trim_end(), score).map_err(unwritable)?;
        rows += 1;
    }
    out.flush().map_err(unwritable)?;
    Ok(rows)
}

/// Replaces a score by 0 unless it is higher than all scores within the cool-down before it.
#[derive(Default)]
struct CooldownFilter {
    /// The recent scores that no later one exceeds, highest first.
    recent: VecDeque<(Timestamp, f64)>,
}

impl CooldownFilter {
    fn apply(&mut self, score: f64, at: Timestamp, cooldown: Duration) -> f64 {
        let is_over = |(before, _): &mut (Timestamp, f64)| at.since(*before) >= cooldown;
        while self.recent.pop_front_if(is_over).is_some() {}
        while self
            .recent
            .pop_back_if(|(_, lower)| *lower < score)
            .is_some()
        {}
        let is_highest = self.recent.is_empty();
        self.recent.push_back((at, score));
        if is_highest { score } else { 0.0 }
    }
}

fn read_row(line: &str) -> Result<MetricSample, String> {
    let mut cells = line.split(',').map(|cell| cell.trim().trim_matches('"'));
    let time = cells.next().unwrap_or_default();
    let at = parse_time(time).ok_or_else(|| {
        format!("not a time: {time:?}; write Unix seconds, RFC 3339 or YYYY-MM-DD hh:mm:ss")
    })?;
    let value = match cells.next().ok_or("a row needs a time and a value")? {
        "" => f64::NAN,
        text => text.parse().map_err(|_| {
            format!("not a number: {text:?}; leave the cell blank if there is no value")
        })?,
    };
    Ok(MetricSample::new(
        Metric::Custom,
        Labels::empty(),
        value,
        at,
    ))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{CooldownFilter, read_row};
    use crate::metric::Timestamp;

    #[test]
    fn a_row_may_have_a_blank_value() {
        assert!(read_row("2024-02-29 12:34:56,,0").unwrap().value.is_nan());
        assert!(read_row("2024-02-29 12:34:56,x").is_err());
    }

    #[test]
    fn only_a_higher_score_passes_during_the_cooldown() {
        let mut filter = CooldownFilter::default();
        let rows = [(0, 1.0), (1, 1.0), (2, 2.0), (3, 0.5), (4, 0.4), (5, 0.6)];
        let passed = rows.map(|(minute, score)| {
            let at = Timestamp::from_millis(minute * 60_000);
            filter.apply(score, at, Duration::from_secs(180))
        });
        let is_event = passed.map(|score| score > 0.0);
        assert_eq!(is_event, [true, false, true, false, false, true]);
    }

    #[test]
    fn the_cooldown_is_the_same_time_at_every_interval() {
        for minutes in [1, 5, 60] {
            let mut filter = CooldownFilter::default();
            // An anomaly of an hour every ten hours.
            let passed = (0..30 * 60 / minutes).filter(|row| {
                let minute = row * minutes;
                let score = if minute % 600 < 60 { 1.0 } else { 0.0 };
                let at = Timestamp::from_millis(minute * 60_000);
                filter.apply(score, at, Duration::from_secs(8 * 3600)) > 0.0
            });
            assert_eq!(passed.count(), 3, "{minutes}");
        }
    }
}
