//! The memo of the last scrape saves work and never changes what is ingested.

use std::fmt::Write as _;
use std::sync::Arc;

use sidewatch_engine::exposition::{Exposition, ExpositionError, Ingester, Limit, ScrapeLimits};
use sidewatch_engine::metric::{Labels, MatchOp, Matcher, Selector, SeriesFilter};

use crate::scrape_window::{NOW, Window, ingester, with};

fn body(series: impl IntoIterator<Item = u32>, value: u32) -> String {
    let mut body = String::from("# TYPE m gauge\n");
    for n in series {
        writeln!(body, "m{{n=\"{n}\",pod=\"a\"}} {}", n * 1000 + value).expect("memory");
    }
    body
}

#[test]
fn series_seen_before_are_not_tokenised_again() {
    let (mut window, mut ingester) = (Window::default(), ingester());
    let first = window.text(&mut ingester, &body(0..50, 1));
    assert_eq!((first.samples, first.added, window.resolved), (50, 50, 50));
    let second = window.text(&mut ingester, &body(0..50, 2));
    assert_eq!((second.samples, second.added, window.resolved), (50, 0, 0));
    assert_eq!(window.lines()[7], r#"m{n="7", pod="a"} 7002"#);
}

#[test]
fn lines_that_went_or_moved_keep_their_series() {
    let (mut window, mut ingester) = (Window::default(), ingester());
    window.text(&mut ingester, &body(0..50, 1));
    let orders: [Vec<u32>; 5] = [
        (0..50).filter(|n| n % 7 != 3).collect(),
        (0..50).rev().collect(),
        (25..50).chain(0..25).collect(),
        (0..50).filter(|n| *n != 0).chain([0]).collect(),
        (40..50).collect(),
    ];
    for (value, order) in (2..).zip(orders) {
        let back = window.text(&mut ingester, &body(0..50, value));
        assert_eq!(back.samples, 50);
        let counts = window.text(&mut ingester, &body(order.clone(), value));
        let expected: Vec<String> = order
            .iter()
            .map(|n| format!("m{{n=\"{n}\", pod=\"a\"}} {}", n * 1000 + value))
            .collect();
        assert_eq!(window.lines(), expected);
        assert_eq!((counts.added, window.resolved), (0, 0), "{order:?}");
    }
}

#[test]
fn only_inserted_lines_are_tokenised() {
    let (mut window, mut ingester) = (Window::default(), ingester());
    window.text(&mut ingester, &body((0..50).filter(|n| n % 10 != 5), 1));
    let counts = window.text(&mut ingester, &body(0..50, 2));
    assert_eq!((counts.samples, counts.added, window.resolved), (50, 5, 5));
    let again = window.text(&mut ingester, &body(0..50, 3));
    assert_eq!((again.added, window.resolved), (0, 0));
}

#[test]
fn a_failed_scrape_leaves_the_memo_as_it_was() {
    let (mut window, mut ingester) = (Window::default(), ingester());
    window.text(&mut ingester, &body(0..50, 1));
    let broken = format!("{}m{{n=\"x\"}} bad\n", body(10..40, 2));
    let error = window.scrape(&mut ingester, &Exposition::text(broken, NOW));
    assert!(
        matches!(error, Err(ExpositionError::Syntax(_))),
        "{error:?}"
    );
    assert_eq!(ingester.last().samples, 30);
    let counts = window.text(&mut ingester, &body(0..50, 3));
    assert_eq!((counts.samples, counts.added, window.resolved), (50, 0, 0));
}

#[test]
fn a_lost_handle_is_resolved_again() {
    let (mut window, mut ingester) = (Window::default(), ingester());
    window.text(&mut ingester, &body(0..5, 1));
    window.evict_all();
    let counts = window.text(&mut ingester, &body(0..5, 2));
    assert_eq!((counts.stored, counts.added, window.resolved), (5, 0, 5));
    window.text(&mut ingester, &body(0..5, 3));
    assert_eq!((window.samples.len(), window.resolved), (5, 0));
}

#[test]
fn series_that_no_rule_reads_are_checked_and_not_stored() {
    let only = |name: &str| {
        let matcher = Matcher::equal(Labels::NAME, name);
        Arc::new(SeriesFilter::new(vec![Selector::new(vec![matcher])]))
    };
    let mut window = Window::default();
    let limits = ScrapeLimits::default();
    let mut ingester = Ingester::new(limits, Labels::empty(), false, true, only("a"));
    for round in 0..2 {
        let counts = window.text(&mut ingester, "a 1\nb 2\nc{x=\"1\"} 3\n");
        assert_eq!(
            (counts.samples, counts.stored, counts.unselected),
            (3, 1, 2)
        );
        assert_eq!(
            (counts.post_relabeling, window.lines()),
            (3, vec!["a 1".to_owned()])
        );
        assert_eq!(window.resolved, usize::from(round == 0));
    }
    let wrong = Exposition::text("a 1\nb x\n", NOW);
    assert!(window.scrape(&mut ingester, &wrong).is_err());
    ingester.set_filter(only("b"));
    let counts = window.text(&mut ingester, "a 1\nb 2\nc{x=\"1\"} 3\n");
    assert_eq!((counts.added, window.lines()), (0, vec!["b 2".to_owned()]));
}

#[test]
fn a_selector_of_another_label_decides_too() {
    let matchers = vec![
        Matcher::equal(Labels::NAME, "m"),
        Matcher::try_new("n", MatchOp::Regex, "1|2").unwrap(),
        Matcher::equal("job", "model"),
    ];
    let filter = Arc::new(SeriesFilter::new(vec![Selector::new(matchers)]));
    let target = Labels::new([("job", "model")]);
    let mut ingester = Ingester::new(ScrapeLimits::default(), target, false, true, filter);
    let mut window = Window::default();
    window.text(&mut ingester, &body(0..4, 0));
    let expected = [
        r#"m{job="model", n="1", pod="a"} 1000"#,
        r#"m{job="model", n="2", pod="a"} 2000"#,
    ];
    assert_eq!(window.lines(), expected);
}

#[test]
fn the_first_of_two_samples_of_a_series_counts() {
    let (mut window, mut ingester) = (Window::default(), ingester());
    let twice = "a{x=\"1\",y=\"2\"} 1\na{y=\"2\",x=\"1\"} 2\nb 3\nb 4\n";
    for _ in 0..3 {
        let counts = window.text(&mut ingester, twice);
        assert_eq!(
            (counts.samples, counts.duplicates, counts.stored),
            (4, 2, 2)
        );
        assert_eq!(window.lines(), [r#"a{x="1", y="2"} 1"#, "b 3"]);
    }
    let counts = window.text(&mut ingester, "a{y=\"2\",x=\"1\"} 2\nb 3\n");
    assert_eq!((counts.duplicates, window.samples.len()), (0, 2));
    let timed = window.text(&mut ingester, "b 3 1000\nb 4 2000\n");
    assert_eq!((timed.duplicates, timed.stored), (0, 2));
    assert_eq!(window.lines(), ["b 3 @1000", "b 4 @2000"]);
}

#[test]
fn a_series_that_a_cap_refused_is_tried_again() {
    let mut window = Window::default();
    window.cap = 2;
    let mut ingester = ingester();
    for _ in 0..2 {
        let counts = window.text(&mut ingester, &body(0..5, 1));
        assert_eq!((counts.stored, counts.refused), (2, 3));
    }
    assert_eq!(window.resolved, 1, "one refusal stands for all in a scrape");
    window.cap = 0;
    let counts = window.text(&mut ingester, &body(0..5, 1));
    assert_eq!((counts.stored, counts.refused, counts.added), (5, 0, 0));
    window.text(&mut ingester, &body(0..5, 2));
    assert_eq!((window.samples.len(), window.resolved), (5, 0));
}

#[test]
fn a_changed_type_changes_the_spelling_of_a_bound() {
    let (mut window, mut ingester) = (Window::default(), ingester());
    let histogram = "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_sum 2\n";
    let gauge = "# TYPE h gauge\nh_bucket{le=\"1\"} 1\nh_sum 2\n";
    for _ in 0..2 {
        window.text(&mut ingester, histogram);
        assert_eq!(window.lines(), [r#"h_bucket{le="1.0"} 1"#, "h_sum 2"]);
        window.text(&mut ingester, gauge);
        assert_eq!(window.lines(), [r#"h_bucket{le="1"} 1"#, "h_sum 2"]);
    }
}

#[test]
fn equal_lines_around_a_new_type_become_two_series() {
    let (mut window, mut ingester) = (Window::default(), ingester());
    window.text(
        &mut ingester,
        "h_bucket{le=\"1\"} 1\nh_bucket{le=\"1\"} 2\n",
    );
    assert_eq!(window.lines(), [r#"h_bucket{le="1"} 1"#]);
    let typed = "h_bucket{le=\"1\"} 1\n# TYPE h histogram\nh_bucket{le=\"1\"} 2\n";
    for _ in 0..2 {
        window.text(&mut ingester, typed);
        let expected = [r#"h_bucket{le="1"} 1"#, r#"h_bucket{le="1.0"} 2"#];
        assert_eq!(window.lines(), expected);
    }
}

#[test]
fn a_further_sample_is_dropped_once_it_has_no_time_of_its_own() {
    let (mut window, mut ingester) = (Window::default(), ingester());
    window.text(&mut ingester, "b 3\nb 4 2000\n");
    assert_eq!(window.lines(), ["b 3", "b 4 @2000"]);
    for _ in 0..2 {
        let counts = window.text(&mut ingester, "b 5\nb 6\n");
        assert_eq!(
            (counts.duplicates, window.lines()),
            (1, vec!["b 5".to_owned()])
        );
    }
}

#[test]
fn too_many_samples_fail_the_scrape_and_are_counted_to_the_end() {
    let limits = ScrapeLimits {
        samples: 10,
        ..ScrapeLimits::default()
    };
    let mut ingester = with(limits, Labels::empty());
    let mut window = Window::default();
    window.text(&mut ingester, &body(0..10, 1));
    let error = window
        .scrape(&mut ingester, &Exposition::text(body(0..25, 2), NOW))
        .unwrap_err();
    let ExpositionError::Limit {
        setting,
        limit,
        found,
        ..
    } = &error
    else {
        panic!("{error}");
    };
    assert_eq!((*setting, *limit, *found), (Limit::Samples, 10, 25));
    assert!(error.to_string().contains("sample_limit 10"), "{error}");
    assert_eq!(ingester.last().samples, 25);
}

#[test]
fn the_same_body_in_the_other_format_starts_over() {
    let (mut window, mut ingester) = (Window::default(), ingester());
    window.text(&mut ingester, "# TYPE a counter\na_total 1\na_created 5\n");
    assert_eq!(window.lines(), ["a_total 1", "a_created 5"]);
    let open = Exposition::openmetrics("# TYPE a counter\na_total 2\na_created 5\n# EOF\n", NOW);
    for _ in 0..2 {
        window.scrape(&mut ingester, &open).unwrap();
        assert_eq!(
            window.lines(),
            ["a_total 2"],
            "a creation time is no signal"
        );
    }
}
