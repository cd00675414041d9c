use std::time::Duration;

use super::{Block, ScrapeStats};
use crate::metric::{Appender, Labels, Matcher, Selector, Timestamp};
use crate::series::{is_absent, is_stale};

fn block() -> Block {
    let target = Labels::new([("instance", "a:1")]);
    Block::new(target, Duration::from_secs(60), Duration::from_secs(15), 8)
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(seconds * 1000)
}

fn scrape(block: &mut Block, seconds: i64, samples: &[(&str, f64)]) {
    block.begin(at(seconds));
    for (name, value) in samples {
        let labels = Labels::named::<&str, &str>(name, []);
        if let Some(series) = block.resolve(&labels) {
            assert!(block.append(series, None, *value));
        }
    }
    block.commit(&ScrapeStats::default());
}

/// `time:value` for each sample of a series, times in seconds; "stale" for a stale marker.
fn samples(block: &Block, name: &str) -> Vec<String> {
    let mut found = Vec::new();
    let selector = Selector::new(vec![Matcher::equal(Labels::NAME, name)]);
    let range = block.range(at(-1000), at(1_000_000));
    block.select(&selector, &mut |row, _| {
        let row = block.row(row, range);
        for (times, values) in row.times.iter().zip(row.values) {
            for (time, value) in times.iter().zip(values).filter(|(_, v)| !is_absent(**v)) {
                let shown = if is_stale(*value) {
                    "stale".into()
                } else {
                    value.to_string()
                };
                found.push(format!("{}:{shown}", time / 1000));
            }
        }
    });
    found
}

#[test]
fn a_series_that_disappears_gets_one_stale_marker() {
    let mut block = block();
    scrape(&mut block, 0, &[("a", 1.0), ("b", 1.0)]);
    scrape(&mut block, 15, &[("a", 2.0)]);
    scrape(&mut block, 30, &[("a", 3.0)]);
    assert_eq!(samples(&block, "b"), ["0:1", "15:stale"]);
    assert_eq!(samples(&block, "a"), ["0:1", "15:2", "30:3"]);
}

#[test]
fn a_failed_scrape_marks_all_stale_and_up_is_zero() {
    let mut block = block();
    scrape(&mut block, 0, &[("a", 1.0)]);
    block.fail(at(15), Duration::from_secs(5));
    assert_eq!(samples(&block, "a"), ["0:1", "15:stale"]);
    assert_eq!(samples(&block, "up"), ["0:1", "15:0"]);
    assert_eq!(samples(&block, "scrape_duration_seconds"), ["0:0", "15:5"]);
}

#[test]
fn the_end_of_a_target_marks_up_stale_too() {
    let mut block = block();
    scrape(&mut block, 0, &[("a", 1.0)]);
    block.end(at(15));
    assert_eq!(samples(&block, "up"), ["0:1", "15:stale"]);
    assert!(!block.is_over(at(70)));
    assert!(block.is_over(at(75)));
}

#[test]
fn a_rollback_leaves_no_trace() {
    let mut block = block();
    scrape(&mut block, 0, &[("a", 1.0)]);
    let before = block.series();
    block.begin(at(15));
    let new = block
        .resolve(&Labels::named::<&str, &str>("new", []))
        .unwrap();
    assert!(block.append(new, None, 5.0));
    block.rollback();
    assert_eq!(block.series(), before);
    block.begin(at(15));
    assert!(
        !block.append(new, None, 5.0),
        "the handle outlived its series"
    );
    block.rollback();
    scrape(&mut block, 30, &[("a", 2.0)]);
    assert_eq!(samples(&block, "a"), ["0:1", "30:2"]);
}

#[test]
fn samples_in_the_future_are_dropped_when_the_clock_is_set_back() {
    let mut block = block();
    for seconds in [0, 15, 30, 45] {
        scrape(&mut block, seconds, &[("a", seconds as f64)]);
    }
    scrape(&mut block, 20, &[("a", 99.0)]);
    assert_eq!(samples(&block, "a"), ["0:0", "15:15", "20:99"]);
    scrape(&mut block, 20, &[("a", 98.0)]);
    assert_eq!(samples(&block, "a"), ["0:0", "15:15", "20:98"]);
}

#[test]
fn the_ring_wraps_and_grows_without_losing_a_sample() {
    let mut block = block();
    for second in 0..200 {
        // Scrapes are far more frequent than announced: the ring grows, then wraps many times.
        scrape(&mut block, second, &[("a", second as f64)]);
    }
    let expected: Vec<String> = (140..200).map(|s| format!("{s}:{s}")).collect();
    assert_eq!(samples(&block, "a"), expected);
}

#[test]
fn a_ring_that_has_wrapped_grows_without_losing_a_sample() {
    let mut block = block();
    let slow = (0..300).step_by(15);
    let fast = 300..340;
    for seconds in slow.clone().chain(fast.clone()) {
        scrape(&mut block, seconds, &[("a", seconds as f64)]);
    }
    let expected: Vec<String> = slow
        .filter(|seconds| *seconds > 339 - 60)
        .chain(fast)
        .map(|s| format!("{s}:{s}"))
        .collect();
    assert_eq!(samples(&block, "a"), expected);
}

#[test]
fn the_limit_refuses_series_of_the_target_but_no_synthetic_ones() {
    let mut block = block();
    let names: Vec<String> = (0..20).map(|n| format!("m{n}")).collect();
    let many: Vec<(&str, f64)> = names.iter().map(|n| (n.as_str(), 1.0)).collect();
    scrape(&mut block, 0, &many);
    let refused = names.iter().filter(|name| {
        let labels = Labels::named::<&str, &str>(name, []);
        block.resolve(&labels).is_none()
    });
    assert_eq!(refused.count(), 12);
    assert_eq!(samples(&block, "up"), ["0:1"]);
    assert_eq!(block.series(), 13);
}

#[test]
fn a_series_without_samples_in_the_retention_is_evicted() {
    let mut block = block();
    scrape(&mut block, 0, &[("a", 1.0), ("b", 1.0)]);
    let epoch = block.epoch();
    for seconds in [15, 30, 45] {
        scrape(&mut block, seconds, &[("a", 1.0)]);
    }
    assert_eq!(block.epoch(), epoch, "the epoch changed without a reason");
    let before = block.series();
    scrape(&mut block, 60, &[("a", 1.0)]);
    assert_eq!(block.series(), before - 1);
    assert_ne!(block.epoch(), epoch);
    assert!(samples(&block, "b").is_empty());
}

#[test]
fn the_handle_of_an_evicted_series_is_no_longer_valid() {
    let mut block = block();
    scrape(&mut block, 0, &[("a", 1.0), ("b", 1.0)]);
    let old = block
        .resolve(&Labels::named::<&str, &str>("b", []))
        .unwrap();
    for seconds in [15, 30, 45, 60] {
        scrape(&mut block, seconds, &[("a", 1.0)]);
    }
    scrape(&mut block, 75, &[("c", 7.0)]);
    block.begin(at(90));
    assert!(!block.append(old, None, 1.0));
    block.rollback();
    assert_eq!(samples(&block, "c"), ["75:7"]);
}

#[test]
fn of_two_samples_of_a_series_in_a_scrape_the_first_is_stored() {
    let mut block = block();
    scrape(&mut block, 0, &[("a", 1.0), ("a", 2.0)]);
    assert_eq!(samples(&block, "a"), ["0:1"]);
}

#[test]
fn samples_with_old_timestamps_are_dropped_and_recent_ones_are_stored() {
    let mut block = block();
    let labels = Labels::named::<&str, &str>("a", []);
    for (seconds, own) in [(1000, 995), (1015, 700)] {
        block.begin(at(seconds));
        let series = block.resolve(&labels).unwrap();
        assert!(block.append(series, Some(at(own)), 1.0));
        block.commit(&ScrapeStats::default());
    }
    assert_eq!(samples(&block, "a"), ["1000:1", "1015:stale"]);
}
