//! `sidewatch score`: anomaly scores for a tree of CSV files, to be measured by a benchmark's own scorer.

use std::collections::VecDeque;
use std::fs;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use crate::judge::{Context, Registry, StrategyConfig, ThresholdStrategy};
use crate::metric::{Direction, Labels, Metric, MetricSample, Timestamp};

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
    let context = Context {
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
    let at = read_time(time).ok_or_else(|| {
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

/// Unix seconds, or a date and a time of day with or without a zone; UTC where there is none.
pub(super) fn read_time(text: &str) -> Option<Timestamp> {
    if let Ok(seconds) = text.parse::<f64>() {
        return seconds
            .is_finite()
            .then(|| Timestamp::from_secs_f64(seconds));
    }
    let (date, clock) = text.split_once([' ', 'T', 't'])?;
    let mut parts = date.splitn(3, '-').map(|part| part.parse::<i64>().ok());
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || !(0..=9999).contains(&year) {
        return None;
    }
    let (clock, offset) = match clock.find(['Z', 'z', '+', '-']) {
        Some(at) => (clock.get(..at)?, zone(clock.get(at..)?)?),
        None => (clock, 0),
    };
    let mut parts = clock.splitn(3, ':');
    let hours: f64 = parts.next()?.parse().ok()?;
    let minutes: f64 = parts.next()?.parse().ok()?;
    let seconds: f64 = parts.next().unwrap_or("0").parse().ok()?;
    let in_day = hours * 3600.0 + minutes * 60.0 + seconds;
    let valid = (0.0..24.0).contains(&hours)
        && (0.0..60.0).contains(&minutes)
        && (0.0..61.0).contains(&seconds);
    let start = Timestamp::from_millis((days(year, month, day) * 86_400 - offset) * 1000);
    valid.then(|| start + Duration::from_secs_f64(in_day))
}

/// Seconds east of UTC.
fn zone(text: &str) -> Option<i64> {
    if text.eq_ignore_ascii_case("z") {
        return Some(0);
    }
    let sign = if text.starts_with('-') { -1 } else { 1 };
    let (hours, minutes) = text.get(1..)?.split_once(':')?;
    Some(
        sign * (hours.parse::<u16>().ok().map(i64::from)? * 3600
            + minutes.parse::<u16>().ok().map(i64::from)? * 60),
    )
}

/// Days since the epoch (Hinnant, "chrono-compatible low-level date algorithms").
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let yoe = year.rem_euclid(400);
    let doy = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719_468
}

#[cfg(test)]
mod tests {
    use super::{Suppressed, read_row, read_time};

    #[test]
    fn times_are_read_in_three_ways() {
        let ms = |text| read_time(text).map(crate::metric::Timestamp::as_millis);
        assert_eq!(ms("1709210096"), Some(1_709_210_096_000));
        assert_eq!(ms("2024-02-29 12:34:56"), Some(1_709_210_096_000));
        assert_eq!(ms("2024-02-29T12:34:56.789Z"), Some(1_709_210_096_789));
        assert_eq!(ms("2024-02-29T14:34:56+02:00"), Some(1_709_210_096_000));
        for bad in [
            "",
            "today",
            "2024-13-01 00:00:00",
            "2024-01-01 25:00:00",
            "NaN",
        ] {
            assert_eq!(ms(bad), None, "{bad}");
        }
    }

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
