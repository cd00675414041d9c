//! `sidewatch score`: anomaly scores for a tree of CSV files, to be measured by a benchmark's own scorer.

use std::collections::VecDeque;
use std::fs;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use crate::history::parse_time;
use crate::judge::{Registry, StrategyConfig, StrategyContext, ThresholdStrategy};
use crate::metric::{Direction, Labels, Metric, MetricSample};

/// Add an anomaly score to every row of every CSV file below a directory
///
/// A row is `timestamp,value[,…]`; the column `anomaly_score` comes last: 1 is at the limit, 0 while warming up, where there is no
/// value, and after an event until the score is higher than in the strategy's cool-down. Every row is one step, whatever its time.
#[derive(Debug, clap::Args)]
pub struct Score {
    /// The strategy as JSON, such as '{"type":"ewma"}'
    #[arg(long)]
    strategy: String,
    /// Directory of CSV files, read with all below it
    #[arg(value_name = "IN_DIR")]
    input: PathBuf,
    /// Directory that becomes its mirror
    #[arg(value_name = "OUT_DIR")]
    output: PathBuf,
}

impl Score {
    /// Scores every file and says how many.
    ///
    /// # Errors
    /// A strategy that cannot be built, a directory that cannot be read or written, a row that is no row.
    pub fn run(&self, out: &mut dyn Write) -> Result<ExitCode, String> {
        let config: StrategyConfig =
            serde_json::from_str(&self.strategy).map_err(|error| format!("--strategy: {error}"))?;
        let mut files = Vec::new();
        find(&self.input, Path::new(""), &mut files)?;
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
            let lines = problems
                .iter()
                .map(|problem| format!("--strategy: {}: {}", problem.path, problem.message));
            lines.collect::<Vec<_>>().join("\n")
        })
}

fn find(root: &Path, below: &Path, found: &mut Vec<PathBuf>) -> Result<(), String> {
    let dir = root.join(below);
    let wrong = |error: std::io::Error| format!("{}: {error}", dir.display());
    for entry in fs::read_dir(&dir).map_err(wrong)? {
        let entry = entry.map_err(wrong)?;
        let path = below.join(entry.file_name());
        if entry.file_type().map_err(wrong)?.is_dir() {
            find(root, &path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "csv") {
            found.push(path);
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
    let wrong = |error: std::io::Error| format!("{}: {error}", to.display());
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent).map_err(wrong)?;
    }
    let mut out = BufWriter::new(fs::File::create(to).map_err(wrong)?);
    let mut lines = text
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty());
    if let Some((_, header)) = lines.next() {
        writeln!(out, "{},anomaly_score", header.trim_end()).map_err(wrong)?;
    }
    let mut suppressed = Suppressed::default();
    let mut rows = 0;
    for (at, line) in lines {
        let sample = read_row(line)
            .map_err(|message| format!("{}:{}: {message}", from.display(), at + 1))?;
        let score = strategy.judge(&sample).score.unwrap_or(0.0);
        let score = suppressed.pass(score, strategy.cooldown());
        writeln!(out, "{},{}", line.trim_end(), score).map_err(wrong)?;
        rows += 1;
    }
    out.flush().map_err(wrong)?;
    Ok(rows)
}

/// A score passes when it is higher than the last ones.
#[derive(Default)]
struct Suppressed {
    last: VecDeque<f64>,
}

impl Suppressed {
    fn pass(&mut self, score: f64, cooldown: usize) -> f64 {
        while self.last.len() > cooldown {
            self.last.pop_front();
        }
        let higher = self.last.iter().all(|before| score > *before);
        self.last.push_back(score);
        if higher { score } else { 0.0 }
    }
}

fn read_row(line: &str) -> Result<MetricSample, String> {
    let mut cells = line.split(',').map(|cell| cell.trim().trim_matches('"'));
    let time = cells.next().unwrap_or_default();
    let at = parse_time(time).ok_or_else(|| {
        format!("not a time: {time:?}; write Unix seconds, RFC 3339 or YYYY-MM-DD hh:mm:ss")
    })?;
    let word = cells.next().ok_or("a row needs a time and a value")?;
    let value = match word {
        "" => f64::NAN,
        word => word.parse().map_err(|_| {
            format!("not a number: {word:?}; leave it blank where there is no value")
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
    use super::{Suppressed, read_row};

    #[test]
    fn a_blank_value_is_a_row_without_a_value() {
        assert!(read_row("2024-02-29 12:34:56,,0").unwrap().value.is_nan());
        assert!(read_row("2024-02-29 12:34:56,x").is_err());
    }

    #[test]
    fn only_a_higher_score_passes_during_the_cooldown() {
        let mut suppressed = Suppressed::default();
        let passed: Vec<f64> = [1.0, 1.0, 2.0, 0.5, 0.4, 0.6]
            .map(|score| suppressed.pass(score, 2))
            .to_vec();
        assert_eq!(passed, [1.0, 0.0, 2.0, 0.0, 0.0, 0.6]);
    }
}
