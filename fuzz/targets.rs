//! What the fuzz targets do with their bytes: no panic, and whatever else has to hold for any
//! input.
//!
//! `tests/it/fuzz_smoke.rs` includes this file too, so that the same functions are fed in an
//! ordinary test.

use std::fmt::Write as _;
use std::io::Read as _;
use std::num::NonZero;
use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

use sidewatch::internals::config::{RuleReader, read_settings, read_web};
use sidewatch::internals::notify::retrain::Entry;
use sidewatch::internals::relay::notified;
use sidewatch::internals::runtime::http::inflate;
use sidewatch::internals::service::fuzz_params;
use sidewatch_engine::alert::template::Scope;
use sidewatch_engine::alert::{
    AlertRule, Context, NoData, Observation, Outcome, Template, Tracker,
};
use sidewatch_engine::exposition::Format;
use sidewatch_engine::judge::{self, Registry, StrategyConfig, Verdict};
use sidewatch_engine::metric::{Direction, Labels, Metric, MetricSample, Timestamp};
use sidewatch_engine::promql::{Batch, Expr, ExprValue, Options, Query, notation};
use sidewatch_engine::retrain::Gates;
use sidewatch_engine::series::{ABSENT, STALE};

use crate::exposition_reference;

/// A target: its name, and what it does.
pub(crate) type Target = (&'static str, fn(&[u8]));

/// Every target.
pub(crate) const TARGETS: [Target; 12] = [
    ("exposition_text", exposition_text),
    ("exposition_openmetrics", exposition_openmetrics),
    ("promql", promql),
    ("rules_yaml", rules_yaml),
    ("config_yaml", config_yaml),
    ("web_config", web_config),
    ("template", template),
    ("store_record", store_record),
    ("series_notation", series_notation),
    ("gzip_body", gzip_body),
    ("relay_message", relay_message),
    ("query_params", query_params),
];

const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);
const STEP: Duration = Duration::from_secs(15);

/// A folder that is not there, so that nothing outside is read.
const NOWHERE: &str = "fuzz-reads-no-files";

/// Scrapes of any bytes are read as the slow reference reads them; 0xff separates consecutive
/// scrapes.
pub(crate) fn exposition_text(data: &[u8]) {
    let bodies: Vec<&[u8]> = data.split(|&byte| byte == 0xff).collect();
    exposition_reference::check(&bodies, Format::Text);
}

/// The same for OpenMetrics.
pub(crate) fn exposition_openmetrics(data: &[u8]) {
    let bodies: Vec<&[u8]> = data.split(|&byte| byte == 0xff).collect();
    exposition_reference::check(&bodies, Format::OpenMetrics);
}

static BATCH: LazyLock<Batch> = LazyLock::new(|| {
    let samples = |values: [f64; 8]| {
        let timed = |(i, v): (usize, f64)| (Timestamp::from_millis(i as i64 * 15_000), v);
        values.into_iter().enumerate().map(timed).collect()
    };
    let odd = [
        0.0,
        -1.0,
        f64::NAN,
        f64::INFINITY,
        STALE,
        f64::MAX,
        ABSENT,
        f64::MIN_POSITIVE,
    ];
    let rising = [1.0, 2.0, 4.0, 8.0, 1.0, 2.0, 4.0, 8.0];
    let mut series = vec![
        (Labels::named("a", [("l", "1")]), samples(odd)),
        (Labels::named("a", [("l", "2")]), samples(rising)),
        (
            Labels::named("b", [("l", "1"), ("m", "x")]),
            samples(rising),
        ),
    ];
    for le in ["0.1", "1", "+Inf", "nonsense"] {
        series.push((Labels::named("h", [("le", le)]), samples(rising)));
    }
    Batch::new(series)
});

const OPTIONS: Options = Options {
    lookback: Duration::from_secs(60),
    default_subquery_step: STEP,
    delayed_name_removal: false,
    max_result_series: 100,
    max_result_points: 100_000,
    max_samples: 20_000,
};

/// Any text is an expression or an error with a place in the text; whatever is accepted is
/// evaluated within its limits.
pub(crate) fn promql(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let expr = match Expr::parse(text) {
        Ok(expr) => expr,
        Err(error) => {
            let shown = error.to_string();
            assert!(!shown.is_empty());
            if let Some(span) = error.span() {
                assert!(
                    span.start <= span.end && span.start <= text.len(),
                    "{shown}"
                );
            }
            return;
        }
    };
    let _reach = expr.reach();
    for delayed in [false, true] {
        let options = Options {
            delayed_name_removal: delayed,
            ..OPTIONS
        };
        let mut query = Query::with_options(expr.clone(), options);
        let at = Timestamp::from_millis(100_000);
        let first = query.eval(&*BATCH, at);
        let again = query.eval(&*BATCH, at);
        // The plan that is kept changes nothing.
        assert_eq!(format!("{first:?}"), format!("{again:?}"));
        if let Ok(evaluation) = first
            && let ExprValue::Vector(samples) = evaluation.value
        {
            assert!(samples.len() <= OPTIONS.max_result_series);
        }
        let bounds = (Timestamp::from_millis(0), at);
        drop(query.eval_range(&*BATCH, bounds, Duration::from_secs(25)));
    }
}

static REGISTRY: LazyLock<Registry> = LazyLock::new(Registry::built_in);

/// A rule file is read, or every problem has a sentence.
pub(crate) fn rules_yaml(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    match RuleReader::new(&REGISTRY).read("rules.yaml", text) {
        Ok(groups) => {
            for rule in groups.iter().flat_map(|group| &group.rules) {
                assert!(!rule.name().is_empty());
                let _exprs = rule.expressions();
            }
        }
        Err(problems) => said(&problems.to_string()),
    }
}

/// So is a configuration file.
pub(crate) fn config_yaml(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let variable = |name: &str| (!name.is_empty()).then(|| "value".to_owned());
    let file = Path::new(NOWHERE).join("sidewatch.yaml");
    match read_settings(&file.to_string_lossy(), text, &variable) {
        Ok(settings) => assert!(!settings.global.scrape_interval.is_zero()),
        Err(problems) => said(&problems.to_string()),
    }
}

/// And a web configuration.
pub(crate) fn web_config(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    match read_web("web.yml", text, Path::new(NOWHERE)) {
        // No certificate can be read here.
        Ok(web) => assert!(web.tls.is_none() || text.contains("-----BEGIN")),
        Err(problems) => said(&problems.to_string()),
    }
}

fn said(problems: &str) {
    assert!(problems.lines().all(|line| line.len() > 10), "{problems:?}");
}

/// A template is refused with a place, or expands to the same text twice.
pub(crate) fn template(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    match Template::parse(text) {
        Ok(template) => {
            let labels = Labels::named("x", [("model_name", "iris"), ("le", "0.5")]);
            let query = |expr: &str, _: Timestamp| match expr.len() % 3 {
                0 => Err("no".to_owned()),
                1 => Ok(Vec::new()),
                _ => Ok(vec![(Labels::named("q", [("a", "b")]), 1.5); 3]),
            };
            let context = Context {
                external_url: "http://side:9755".to_owned(),
                ..Context::default()
            };
            for value in [0.0, -1234.5678, f64::NAN, f64::INFINITY, 1e300] {
                let scope = Scope {
                    labels: &labels,
                    value,
                    at: NOW,
                    context: &context,
                    query: Some(&query),
                };
                let expanded = template.expand(&scope);
                assert_eq!(expanded, template.expand(&scope));
            }
        }
        Err(error) => assert!(error.line > 0 && error.column > 0, "{error}"),
    }
    if let Ok(template) = Template::parse_data(text) {
        let data = serde_json::json!({"model": "iris", "n": 3, "list": [1, "a", null], "deep": {"a": {"b": true}}});
        drop(template.render_data(&data));
    }
}

/// Records of a version that wrote something else are refused or used, and using them does not
/// panic.
pub(crate) fn store_record(data: &[u8]) {
    if let Ok(entry) = serde_json::from_slice::<Entry>(data) {
        let retried = entry.retried(NOW);
        assert_eq!(retried.key(), entry.key());
    }
    if let Ok(mut gates) = serde_json::from_slice::<Gates>(data) {
        gates.set_back(STEP);
        let _found = gates.done("id");
    }
    if let Ok(snapshot) = serde_json::from_slice::<sidewatch_engine::alert::TrackerSnapshot>(data) {
        alerts_go_on(snapshot);
    }
    if let Ok(snapshot) = serde_json::from_slice::<judge::Snapshot>(data) {
        strategies_go_on(&snapshot);
    }
}

fn alerts_go_on(snapshot: sidewatch_engine::alert::TrackerSnapshot) {
    let rule = AlertRule {
        name: "Bad".into(),
        hold: STEP,
        no_data: NoData::Keep,
        interval: STEP,
        ..AlertRule::default()
    };
    let context = Context::default();
    let mut tracker = Tracker::restore(snapshot);
    drop(tracker.due(&rule, NOW, STEP, &context));
    for at in [NOW, NOW + STEP, NOW] {
        tracker.evaluate(
            &rule,
            at,
            Outcome::Observed(Vec::<Observation>::new()),
            &context,
        );
        drop(tracker.due(&rule, at, STEP, &context));
        tracker.set_back(STEP);
        tracker.skip(STEP);
    }
    let again = serde_json::to_vec(&tracker.snapshot()).map(|bytes| {
        serde_json::from_slice::<sidewatch_engine::alert::TrackerSnapshot>(&bytes).is_ok()
    });
    assert!(matches!(again, Ok(true)));
}

fn strategies_go_on(snapshot: &judge::Snapshot) {
    let context = judge::StrategyContext {
        direction: Direction::Both,
        interval: STEP,
    };
    for kind in REGISTRY.kinds() {
        let Ok(mut strategy) = REGISTRY.build(&StrategyConfig::new(kind), &context) else {
            continue;
        };
        if let Err(error) = strategy.restore(snapshot) {
            said(&error.to_string());
            continue;
        }
        for (step, value) in [1.0, 2.0, f64::NAN, 1e300, -1e300, 0.0]
            .into_iter()
            .enumerate()
        {
            let at = NOW + STEP * step as u32;
            let sample = MetricSample::new(Metric::Custom, Labels::empty(), value, at);
            let Verdict { .. } = strategy.judge(&sample);
        }
        let _again = strategy.snapshot();
    }
}

/// The notation of tests: what is read can be written and read again.
pub(crate) fn series_notation(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok((labels, rest)) = notation::parse_series(text) {
        assert!(text.ends_with(rest));
        let mut shown = String::new();
        write!(shown, "{labels}").unwrap_or_default();
        // A name that needs quotes is shown as a label.
        if let Ok(again) = notation::parse_metric(&shown) {
            assert_eq!(again, labels, "{shown}");
        }
        drop(notation::parse_values(rest));
    }
    if let Ok(values) = notation::parse_values(text) {
        assert!(values.len() <= 1_000_000);
    }
    drop(notation::unquote(text));
}

/// The limit on what comes out of a gzip body here.
const INFLATED_BYTES: u64 = 64 << 10;

/// A gzip body gives the same bytes however it arrives, and the bytes that a plain reader of gzip
/// gives, or an error. The first byte is the length of the pieces.
pub(crate) fn gzip_body(data: &[u8]) {
    let Some((length, body)) = data.split_first() else {
        return;
    };
    let whole = inflate([body], INFLATED_BYTES);
    let pieces = inflate(body.chunks(usize::from(*length).max(1)), INFLATED_BYTES);
    assert_eq!(whole.as_ref().ok(), pieces.as_ref().ok());
    let mut plain = Vec::new();
    let read = flate2::read::MultiGzDecoder::new(body)
        .take(INFLATED_BYTES)
        .read_to_end(&mut plain);
    match whole {
        Ok(bytes) => {
            assert!((bytes.len() as u64) < INFLATED_BYTES);
            assert!(body.is_empty() || read.is_ok());
            assert_eq!(bytes, plain);
        }
        Err(error) => said(&error.to_string()),
    }
}

/// A notification of any client is refused in one line, or its alerts are small and named.
pub(crate) fn relay_message(data: &[u8]) {
    let read = |piece| notified(data, NonZero::new(piece).unwrap());
    let whole = read(data.len().max(1));
    assert_eq!(
        whole,
        read(7),
        "the pieces of a notification make no difference"
    );
    let alerts = match whole {
        Ok(alerts) => alerts,
        Err(problem) => return said(&problem),
    };
    for (labels, annotations) in alerts {
        let of_labels = labels.iter().map(|(name, value)| name.len() + value.len());
        assert!(of_labels.sum::<usize>() <= 16 << 10);
        let of_annotations = annotations
            .iter()
            .map(|(name, text)| name.len() + text.len());
        assert!(of_annotations.sum::<usize>() <= 32 << 10);
    }
}

/// Any text of a URL or a form is read as the parameters of a query within their limits, or refused.
pub(crate) fn query_params(data: &[u8]) {
    fuzz_params(&String::from_utf8_lossy(data));
}
