//! Values computed by hand, for one query evaluated at several instants.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::time::Duration;

use sidewatch_engine::metric::Timestamp;
use sidewatch_engine::promql::notation::{parse_metric, parse_values};
use sidewatch_engine::promql::{Batch, Evaluation, Expr, Options, Query, format_value};
use sidewatch_engine::series::is_absent;

fn at(seconds: u64) -> Timestamp {
    Timestamp::default() + Duration::from_secs(seconds)
}

/// Series with a value a minute from the start.
fn minutes(series: &[(&str, &str)]) -> Batch {
    Batch::new(series.iter().map(|(metric, values)| {
        let values = parse_values(values).unwrap().into_iter();
        let times = (0..).step_by(60).map(at);
        let samples = times.zip(values).filter(|(_, value)| !is_absent(*value));
        (parse_metric(metric).unwrap(), samples.collect())
    }))
}

fn evaluate(query: &mut Query, batch: &Batch, minute: u64) -> Evaluation {
    query.eval(batch, at(60 * minute)).unwrap()
}

fn query(text: &str) -> Query {
    Query::new(Expr::parse(text).unwrap())
}

/// What an expression gives at a minute, a line an element, sorted.
fn shown(query: &mut Query, batch: &Batch, minute: u64) -> Vec<String> {
    let vector = evaluate(query, batch, minute).value.into_vector(at(0));
    let line = |sample: sidewatch_engine::promql::InstantSample| {
        format!("{} {}", sample.labels, format_value(sample.value))
    };
    let mut lines: Vec<String> = vector.unwrap().into_iter().map(line).collect();
    lines.sort();
    lines
}

#[test]
fn a_line_is_continued_from_the_time_of_the_evaluation() {
    let batch = minutes(&[("x", "0+60x5")]);
    for (text, expected) in [
        ("predict_linear(x[6m], 0)", "{} 300"),
        ("predict_linear(x[6m], 60)", "{} 360"),
        ("predict_linear(x[6m] offset 2m, 60)", "{} 360"),
    ] {
        assert_eq!(shown(&mut query(text), &batch, 5), [expected], "{text}");
    }
}

#[test]
fn counted_values_follow_the_values_from_one_evaluation_to_the_next() {
    let batch = minutes(&[("x{a=\"1\"}", "1 2 2"), ("x{a=\"2\"}", "1 3 2")]);
    let mut query = query("count_values(\"v\", x)");
    let one = ["{v=\"1\"} 2"];
    assert_eq!(shown(&mut query, &batch, 0), one);
    assert_eq!(shown(&mut query, &batch, 1), ["{v=\"2\"} 1", "{v=\"3\"} 1"]);
    assert_eq!(shown(&mut query, &batch, 2), ["{v=\"2\"} 2"]);
    assert_eq!(shown(&mut query, &batch, 0), one);
}

#[test]
fn counted_values_keep_the_name_they_are_grouped_by() {
    let batch = minutes(&[("x{a=\"1\"}", "1"), ("x{a=\"2\"}", "1")]);
    let mut query = query("count_values by (__name__) (\"v\", x)");
    assert_eq!(shown(&mut query, &batch, 0), ["x{v=\"1\"} 2"]);
}

#[test]
fn a_rate_of_what_is_named_like_a_gauge_is_remarked_on() {
    let batch = minutes(&[
        ("x", "0+60x5"),
        ("x_total", "0+60x5"),
        ("x_sum", "0+60x5"),
        ("x_count", "0+60x5"),
        ("x_bucket", "0+60x5"),
    ]);
    for (name, remarks) in [
        ("x", 1),
        ("x_total", 0),
        ("x_sum", 0),
        ("x_count", 0),
        ("x_bucket", 0),
    ] {
        let infos = evaluate(&mut query(&format!("rate({name}[5m])")), &batch, 5).infos;
        assert_eq!(infos.len(), remarks, "{infos:?}");
    }
}

#[test]
fn of_two_zeros_the_first_is_the_greatest() {
    let batch = minutes(&[("x", "0 -0"), ("y", "-0 0")]);
    for (text, expected) in [
        ("1 / max_over_time(x[5m])", "{} +Inf"),
        ("1 / max_over_time(y[5m])", "{} -Inf"),
        ("1 / min_over_time(x[5m])", "{} +Inf"),
        ("1 / min_over_time(y[5m])", "{} -Inf"),
    ] {
        assert_eq!(shown(&mut query(text), &batch, 1), [expected], "{text}");
    }
}

#[test]
fn the_quantiles_at_the_ends_are_the_extremes() {
    let batch = minutes(&[("x", "3 1 2")]);
    for (text, expected) in [
        ("quantile_over_time(0, x[5m])", "{} 1"),
        ("quantile_over_time(0.25, x[5m])", "{} 1.5"),
        ("quantile_over_time(1, x[5m])", "{} 3"),
        ("quantile_over_time(-0.1, x[5m])", "{} -Inf"),
        ("quantile_over_time(1.1, x[5m])", "{} +Inf"),
    ] {
        assert_eq!(shown(&mut query(text), &batch, 2), [expected], "{text}");
    }
}

#[test]
fn only_a_quantile_beyond_its_ends_is_warned_of() {
    let batch = minutes(&[("x", "3 1 2")]);
    for (text, warnings) in [
        ("quantile_over_time(0.5, x[5m])", 0),
        ("quantile_over_time(1.5, x[5m])", 1),
        ("predict_linear(x[5m], 60)", 0),
    ] {
        let found = evaluate(&mut query(text), &batch, 2).warnings;
        assert_eq!(found.len(), warnings, "{text}: {found:?}");
    }
}

#[test]
fn the_samples_of_all_selectors_of_an_evaluation_count_towards_the_most() {
    let batch = minutes(&[("x", "3 1 2"), ("y", "3 1 2")]);
    let options = Options {
        max_samples: 5,
        ..Options::default()
    };
    let eval = |text: &str| {
        let mut query = Query::with_options(Expr::parse(text).unwrap(), options);
        query.eval(&batch, at(120)).map(|_| ())
    };
    assert_eq!(eval("sum_over_time(x[5m])"), Ok(()));
    let error = eval("sum_over_time(x[5m]) + sum_over_time(y[5m])").unwrap_err();
    assert!(error.to_string().contains("more than 5 samples"), "{error}");
}
