//! The coverage of windows, as the judge receives it: windows that are still filling, and
//! targets that died.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::time::Duration;

use sidewatch_engine::metric::{Appender, Labels, Timestamp};
use sidewatch_engine::promql::{Coverage, Expr, Query};
use sidewatch_engine::series::{ScrapeStats, TargetId, Window, WindowLimits};

fn at(seconds: u64) -> Timestamp {
    Timestamp::default() + Duration::from_secs(seconds)
}

fn window() -> (Window, TargetId) {
    let mut window = Window::new(WindowLimits::default());
    let target = window.add_target(Labels::empty());
    (window, target)
}

fn scrape(window: &mut Window, target: TargetId, seconds: u64) {
    let block = window.target_mut(target).unwrap();
    block.begin(at(seconds));
    let series = block
        .resolve(&Labels::named::<&str, &str>("x_total", []))
        .unwrap();
    assert!(block.append(series, None, seconds as f64));
    block.commit(&ScrapeStats::default());
}

fn coverage(window: &Window, text: &str, seconds: u64) -> Coverage {
    let mut query = Query::new(Expr::parse(text).unwrap());
    query.eval(window, at(seconds)).unwrap().coverage
}

fn values(window: &Window, text: &str, seconds: u64) -> Vec<f64> {
    let mut query = Query::new(Expr::parse(text).unwrap());
    let value = query.eval(window, at(seconds)).unwrap().value;
    value
        .into_vector(at(seconds))
        .unwrap()
        .into_iter()
        .map(|sample| sample.value)
        .collect()
}

#[test]
fn a_window_that_fills_is_insufficient_until_a_fifth_of_it_is_covered() {
    let (mut window, target) = window();
    scrape(&mut window, target, 0);
    assert!(!coverage(&window, "rate(x_total[5m])", 0).is_sufficient());
    for seconds in [15, 30, 45] {
        scrape(&mut window, target, seconds);
        assert!(
            !coverage(&window, "rate(x_total[5m])", seconds).is_sufficient(),
            "at {seconds}"
        );
    }
    scrape(&mut window, target, 60);
    assert!(coverage(&window, "rate(x_total[5m])", 60).is_sufficient());
    // A short window is full after two scrapes.
    assert!(coverage(&window, "rate(x_total[1m])", 60).is_sufficient());
    assert!(!coverage(&window, "rate(x_total[1m]) / rate(x_total[10m])", 60).is_sufficient());
    assert!(!coverage(&window, "max_over_time(x_total[10m:15s])", 60).is_sufficient());
}

#[test]
fn an_expression_without_a_range_is_covered() {
    let (mut window, target) = window();
    scrape(&mut window, target, 0);
    assert_eq!(coverage(&window, "x_total + 1", 0), Coverage::FULL);
    assert_eq!(
        coverage(&window, "rate(missing_total[5m])", 0),
        Coverage::FULL
    );
}

#[test]
fn failed_scrapes_are_no_points() {
    let (mut window, target) = window();
    scrape(&mut window, target, 0);
    for seconds in (15..=300).step_by(15) {
        window
            .target_mut(target)
            .unwrap()
            .fail(at(seconds), Duration::from_secs(5));
    }
    assert_eq!(
        coverage(&window, "avg_over_time(x_total[10m])", 300).points,
        1
    );
    assert!(coverage(&window, "avg_over_time(up[10m])", 300).is_sufficient());
}

#[test]
fn a_dead_target_goes_stale_at_once_and_up_says_why() {
    let (mut window, target) = window();
    scrape(&mut window, target, 0);
    assert_eq!(values(&window, "x_total", 14).len(), 1);
    window
        .target_mut(target)
        .unwrap()
        .fail(at(15), Duration::from_secs(5));
    assert!(values(&window, "x_total", 15).is_empty());
    assert_eq!(values(&window, "up == 0", 15), [0.0]);
    assert_eq!(values(&window, "scrape_duration_seconds", 15), [5.0]);
    // A target that is no longer scraped has no up at all.
    window.remove_target(target, at(30));
    assert!(values(&window, "up", 30).is_empty());
    window.sweep(at(3600));
    assert_eq!(window.series(), 0);
}

#[test]
fn a_recorded_value_is_seen_by_the_next_rule_and_goes_stale_when_it_is_gone() {
    let (mut window, target) = window();
    scrape(&mut window, target, 0);
    let name = Labels::named("job:x", [("job", "a")]);
    assert!(window.record(1, at(0), &name, 5.0));
    assert_eq!(values(&window, "job:x * 2", 0), [10.0]);
    window.end_records(1, at(0));
    assert!(window.record(2, at(15), &Labels::named::<&str, &str>("other", []), 1.0));
    assert_eq!(
        values(&window, "job:x", 15),
        [5.0],
        "another rule's evaluation says nothing about this one"
    );
    window.end_records(1, at(15));
    assert!(values(&window, "job:x", 15).is_empty());
}
