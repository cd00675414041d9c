//! `sidewatch query`: evaluates an expression over saved scrapes.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::ValueEnum;

use super::error::Error;
use super::scrape_window::ScrapeWindow;
use super::snapshots::{Snapshot, snapshots};
use crate::metric::{Timestamp, parse_duration};
use crate::promql::{self, Evaluation, Expr, ExprValue, InstantSample, SeriesPoints, format_value};
use crate::series::{self, Window};
use crate::service::{Notes, evaluation_json};

/// The output format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// As promtool query instant prints it
    Text,
    /// As the HTTP API of Prometheus returns it
    Json,
}

/// Evaluate an expression over saved scrapes
#[derive(Debug, clap::Args)]
pub(crate) struct Query {
    /// The PromQL expression
    expr: String,
    /// Folder with the scrapes snap_0001.txt, snap_0002.txt, …
    #[arg(long, value_name = "DIR")]
    snapshots: PathBuf,
    /// Time between two scrapes, the first at 0 [default: the times of index.csv, or 15s]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    step: Option<Duration>,
    /// When to evaluate, in seconds [default: at the last scrape]
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    at: Option<f64>,
    /// Output format
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

impl Query {
    /// Reads the scrapes up to the evaluation time and prints the value.
    pub(super) fn run(&self, out: &mut dyn Write) -> Result<ExitCode, Error> {
        let expr = Expr::parse(&self.expr).map_err(|error| Error::new(error.to_string()))?;
        let scrapes = snapshots(&self.snapshots, self.step)?;
        let last = scrapes.last().map(|scrape| scrape.at).unwrap_or_default();
        let at = self.at.map_or(last, Timestamp::from_secs_f64);
        let window = load(&expr, &scrapes, at)?;
        let mut query = promql::Query::new(expr);
        let evaluation = query
            .eval(&window, at)
            .map_err(|error| Error::new(error.to_string()))?;
        let printed = match self.format {
            Format::Text => print_text(out, &evaluation, at),
            Format::Json => print_json(out, &evaluation, at),
        };
        printed.map_err(|error| Error::unprintable(&error))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// A window with the scrapes up to a time.
fn load(expr: &Expr, scrapes: &[Snapshot], at: Timestamp) -> Result<Window, Error> {
    let span = match (scrapes.first(), scrapes.last()) {
        (Some(first), Some(last)) => last.at.since(first.at),
        _ => Duration::ZERO,
    };
    let steps = u32::try_from(scrapes.len()).unwrap_or(u32::MAX).max(2) - 1;
    let limits = series::WindowLimits {
        // Nothing is evicted: an @ modifier may select any time.
        retention: span + Duration::from_secs(1),
        interval: span / steps,
        max_series: usize::MAX,
    };
    let mut scrape_window = ScrapeWindow::new(limits, expr.selectors());
    for scrape in scrapes.iter().filter(|scrape| scrape.at <= at) {
        scrape_window
            .ingest(&scrape.read()?, scrape.at)
            .map_err(|error| Error::new(format!("{}: {error}", scrape.path.display())))?;
    }
    Ok(scrape_window.window)
}

fn seconds(at: Timestamp) -> String {
    format_value(at.as_secs_f64())
}

/// Warnings go to standard error, so that standard output is only the value.
fn print_text(out: &mut dyn Write, evaluation: &Evaluation, at: Timestamp) -> io::Result<()> {
    for note in evaluation.warnings.iter().chain(&evaluation.infos) {
        writeln!(io::stderr().lock(), "sidewatch: {note}")?;
    }
    let lines: Vec<String> = match &evaluation.value {
        ExprValue::Scalar(value) => vec![format!(
            "scalar: {} @[{}]",
            format_value(*value),
            seconds(at)
        )],
        ExprValue::Text(text) => vec![text.clone()],
        ExprValue::Vector(samples) => {
            let line = |s: &InstantSample| {
                format!(
                    "{} => {} @[{}]",
                    s.labels,
                    format_value(s.value),
                    seconds(s.at)
                )
            };
            samples.iter().map(line).collect()
        }
        ExprValue::Matrix(series) => series.iter().flat_map(matrix_lines).collect(),
    };
    // An empty vector is an empty line, as promtool prints it.
    writeln!(out, "{}", lines.join("\n"))
}

fn matrix_lines(series: &SeriesPoints) -> Vec<String> {
    let point =
        |(at, value): &(Timestamp, f64)| format!("{} @[{}]", format_value(*value), seconds(*at));
    std::iter::once(format!("{} =>", series.labels))
        .chain(series.points.iter().map(point))
        .collect()
}

fn print_json(out: &mut dyn Write, evaluation: &Evaluation, at: Timestamp) -> io::Result<()> {
    let notes = Notes::of(evaluation);
    writeln!(out, "{}", evaluation_json(&evaluation.value, at, &notes))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use super::{Format, Query};

    fn answer(expr: &str, at: Option<f64>, format: Format) -> Result<String, String> {
        let dir = tempfile::tempdir().unwrap();
        for n in 1..=5 {
            let body = format!(
                "# TYPE c_total counter\nc_total{{a=\"b\"}} {}\ng 0.5\n",
                n * 15
            );
            fs::write(dir.path().join(format!("snap_000{n}.txt")), body).unwrap();
        }
        let query = Query {
            expr: expr.to_owned(),
            snapshots: dir.path().to_owned(),
            step: Some(Duration::from_secs(15)),
            at,
            format,
        };
        let mut out = Vec::new();
        query.run(&mut out).map_err(|error| error.to_string())?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn text_output_is_that_of_promtool() {
        let text = |expr| answer(expr, None, Format::Text).unwrap();
        assert_eq!(text("c_total"), "c_total{a=\"b\"} => 75 @[60]\n");
        assert_eq!(text("rate(c_total[30s])"), "{a=\"b\"} => 1 @[60]\n");
        assert_eq!(text("1 + 0.5"), "scalar: 1.5 @[60]\n");
        assert_eq!(text("g[30s]"), "g =>\n0.5 @[45]\n0.5 @[60]\n");
        assert_eq!(text("up + 1"), "{} => 2 @[60]\n");
        assert_eq!(text("missing"), "\n");
    }

    #[test]
    fn json_output_is_that_of_the_http_api() {
        let json = answer("c_total", Some(31.5), Format::Json).unwrap();
        let expected = r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{"__name__":"c_total","a":"b"},"value":[31.5,"45"]}]}}"#;
        assert_eq!(json.trim_end(), expected);
    }

    #[test]
    fn before_the_first_scrape_the_result_is_empty_and_errors_are_reported() {
        assert_eq!(answer("c_total", Some(-1.0), Format::Text).unwrap(), "\n");
        let error = answer("rate(c_total)", None, Format::Text).unwrap_err();
        assert!(
            error.starts_with("argument 1 of rate must be a range vector"),
            "{error}"
        );
    }
}
