//! The language of the scripts.

use sidewatch_engine::metric::{Labels, parse_duration};
use sidewatch_engine::promql::notation::{parse_series, parse_values, unquote};

/// A command of a script.
#[derive(Debug)]
pub(crate) enum Command {
    Clear,
    Load(Vec<Loaded>),
    Eval(Box<Eval>),
}

/// A series of a `load`, or an expected one: values by step.
#[derive(Debug, Clone)]
pub(crate) struct Loaded {
    pub(crate) labels: Labels,
    /// One per step; [`sidewatch_engine::series::ABSENT`] for a gap.
    pub(crate) values: Vec<f64>,
    /// Milliseconds.
    pub(crate) step: i64,
    /// Native histograms or start timestamps are part of it.
    pub(crate) foreign: bool,
}

/// When an expression is evaluated; milliseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) enum When {
    At(i64),
    Range(i64, i64, i64),
}

/// How an expected text is compared.
#[derive(Debug, Clone)]
pub(crate) enum Text {
    Any,
    Exact(String),
    Regex(String),
}

/// An evaluation and what is expected of it.
#[derive(Debug)]
pub(crate) struct Eval {
    pub(crate) line: usize,
    pub(crate) upstream: Option<(String, usize)>,
    pub(crate) when: When,
    pub(crate) expr: String,
    pub(crate) fail: Vec<Text>,
    pub(crate) warn: Vec<Text>,
    pub(crate) info: Vec<Text>,
    pub(crate) no_warn: bool,
    pub(crate) no_info: bool,
    pub(crate) ordered: bool,
    pub(crate) string: Option<String>,
    pub(crate) range_vector: Option<(i64, i64)>,
    pub(crate) scalar: Option<f64>,
    pub(crate) series: Vec<Loaded>,
}

/// Reads a script.
pub(crate) fn parse(text: &str) -> Result<Vec<Command>, String> {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let mut commands = Vec::new();
    let mut upstream = None;
    let mut at = 0;
    while let Some(line) = lines.get(at).copied() {
        let number = at + 1;
        at += 1;
        if let Some(origin) = line.strip_prefix("# upstream ") {
            upstream = origin
                .rsplit_once(':')
                .and_then(|(f, n)| Some((f.to_owned(), n.trim().parse().ok()?)));
        }
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let rest = lines.get(at..).unwrap_or_default();
        let body: Vec<&str> = rest
            .iter()
            .copied()
            .take_while(|l| !l.is_empty() && !l.starts_with('#'))
            .collect();
        let fail = |why: String| format!("line {number}: {why}");
        if line == "clear" {
            commands.push(Command::Clear);
            continue;
        }
        at += body.len();
        if let Some(load) = line.strip_prefix("load") {
            commands.push(Command::Load(self::load(load, &body).map_err(fail)?));
        } else if line.starts_with("eval") {
            let mut eval = eval(line, number).map_err(fail)?;
            eval.upstream = upstream.take();
            expectations(&mut eval, &body).map_err(fail)?;
            commands.push(Command::Eval(Box::new(eval)));
        } else {
            return Err(fail(format!("unknown command {line:?}")));
        }
    }
    Ok(commands)
}

fn millis(text: &str) -> Result<i64, String> {
    let (sign, text) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    if let Ok(seconds) = text.parse::<i64>() {
        return Ok(sign * seconds * 1000);
    }
    let duration = parse_duration(text)?;
    i64::try_from(duration.as_millis())
        .map(|ms| sign * ms)
        .map_err(|e| e.to_string())
}

fn load(arguments: &str, body: &[&str]) -> Result<Vec<Loaded>, String> {
    let with_histograms = arguments.trim_start().starts_with("_with_nhcb");
    let step = arguments.split_whitespace().last().ok_or("no step")?;
    let step = millis(step)?;
    let mut loaded = Vec::new();
    for line in body {
        let series = series(line, step)?;
        let histogram = series
            .labels
            .name()
            .and_then(|name| name.strip_suffix("_bucket"));
        if let Some(name) = histogram.filter(|_| with_histograms) {
            let labels = series.labels.with(Labels::NAME, name).with("le", "");
            loaded.push(Loaded {
                labels,
                values: Vec::new(),
                step,
                foreign: true,
            });
        }
        loaded.push(series);
    }
    Ok(loaded)
}

/// `name{label="value"} values`
fn series(line: &str, step: i64) -> Result<Loaded, String> {
    let (labels, rest) = parse_series(line)?;
    let start_timestamps = rest.starts_with('@');
    let (values, has_histograms) = if start_timestamps {
        (Vec::new(), true)
    } else {
        values(rest)?
    };
    Ok(Loaded {
        labels,
        values,
        step,
        foreign: has_histograms || start_timestamps,
    })
}

/// Values by step, and whether some are native histograms.
fn values(text: &str) -> Result<(Vec<f64>, bool), String> {
    if text.contains("{{") {
        return Ok((Vec::new(), true));
    }
    Ok((parse_values(text)?, false))
}

fn eval(line: &str, number: usize) -> Result<Eval, String> {
    let mut words = line.splitn(3, char::is_whitespace);
    let (command, kind, rest) = (
        words.next().unwrap_or(""),
        words.next().unwrap_or(""),
        words.next().unwrap_or(""),
    );
    let mut rest = rest.trim_start();
    let mut after = |keyword: &str| -> Result<i64, String> {
        let tail = rest
            .strip_prefix(keyword)
            .ok_or_else(|| format!("expected {keyword} in {rest:?}"))?;
        let (value, tail) = tail
            .trim_start()
            .split_once(char::is_whitespace)
            .ok_or("no expression")?;
        rest = tail.trim_start();
        millis(value)
    };
    let when = match kind {
        "instant" => When::At(after("at")?),
        "range" => When::Range(after("from")?, after("to")?, after("step")?),
        _ => return Err(format!("neither instant nor range: {line:?}")),
    };
    let any = |wanted: &str| {
        if command == wanted {
            vec![Text::Any]
        } else {
            Vec::new()
        }
    };
    Ok(Eval {
        line: number,
        upstream: None,
        when,
        expr: rest.to_owned(),
        fail: any("eval_fail"),
        warn: any("eval_warn"),
        info: any("eval_info"),
        no_warn: false,
        no_info: false,
        ordered: command == "eval_ordered",
        string: None,
        range_vector: None,
        scalar: None,
        series: Vec::new(),
    })
}

fn expectations(eval: &mut Eval, body: &[&str]) -> Result<(), String> {
    for line in body {
        if let Some(message) = line.strip_prefix("expected_fail_message") {
            eval.fail = vec![Text::Exact(message.trim().to_owned())];
        } else if let Some(regex) = line.strip_prefix("expected_fail_regexp") {
            eval.fail = vec![Text::Regex(regex.trim().to_owned())];
        } else if let Some(what) = line.strip_prefix("expect ") {
            expectation(eval, what.trim())?;
        } else if let Ok(value) = line.parse() {
            eval.scalar = Some(value);
        } else {
            let step = match eval.when {
                When::At(_) => 0,
                When::Range(_, _, step) => step,
            };
            eval.series.push(series(line, step)?);
        }
    }
    Ok(())
}

fn expectation(eval: &mut Eval, what: &str) -> Result<(), String> {
    let (kind, rest) = what.split_once(char::is_whitespace).unwrap_or((what, ""));
    let text = |rest: &str| {
        let rest = rest.trim();
        if let Some(exact) = rest.strip_prefix("msg:") {
            Text::Exact(exact.trim().to_owned())
        } else if let Some(regex) = rest.strip_prefix("regex:") {
            Text::Regex(regex.trim().to_owned())
        } else {
            Text::Any
        }
    };
    match kind {
        "fail" => eval.fail.push(text(rest)),
        "warn" => eval.warn.push(text(rest)),
        "info" => eval.info.push(text(rest)),
        "no_warn" => eval.no_warn = true,
        "no_info" => eval.no_info = true,
        "ordered" => eval.ordered = true,
        "string" => eval.string = Some(unquote(rest.trim())?),
        "range" => {
            let words: Vec<&str> = rest.split_whitespace().collect();
            let ["vector", "from", from, "to", _, "step", step] = words[..] else {
                return Err(format!("unknown expectation {what:?}"));
            };
            eval.range_vector = Some((millis(from)?, millis(step)?));
        }
        _ => return Err(format!("unknown expectation {what:?}")),
    }
    Ok(())
}
