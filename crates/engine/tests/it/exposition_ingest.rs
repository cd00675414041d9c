//! Processing of parsed samples before they are stored: target labels, limits, timestamps.

use std::sync::Arc;

use sidewatch_engine::exposition::{Exposition, ExpositionError, Ingester, Limit, ScrapeLimits};
use sidewatch_engine::metric::{Labels, SeriesFilter};

use crate::scrape_window::{NOW, Window, ingester, with};

fn limit_of(limits: ScrapeLimits, body: &str) -> (Limit, String) {
    let target = Labels::new([("job", "model")]);
    match Window::default().scrape(&mut with(limits, target), &Exposition::text(body, NOW)) {
        Err(error @ ExpositionError::Limit { setting, .. }) => (setting, error.to_string()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn target_labels_are_added_and_win() {
    let target = Labels::new([("instance", "127.0.0.1:8000"), ("job", "model")]);
    let mut window = Window::default();
    window.text(
        &mut with(ScrapeLimits::default(), target),
        "up{job=\"x\",a=\"1\"} 1\n",
    );
    let expected = r#"up{a="1", exported_job="x", instance="127.0.0.1:8000", job="model"} 1"#;
    assert_eq!(window.lines(), [expected]);
}

#[test]
fn exposed_labels_win_where_they_are_honoured() {
    let target = Labels::new([("job", "model")]);
    let filter = Arc::new(SeriesFilter::everything());
    let mut ingester = Ingester::new(ScrapeLimits::default(), target, true, true, filter);
    let mut window = Window::default();
    window.text(&mut ingester, "a{job=\"x\"} 1\nb 2\n");
    assert_eq!(window.lines(), [r#"a{job="x"} 1"#, r#"b{job="model"} 2"#]);
}

#[test]
fn timestamps_are_dropped_where_they_are_not_honoured() {
    let filter = Arc::new(SeriesFilter::everything());
    let mut ingester = Ingester::new(
        ScrapeLimits::default(),
        Labels::empty(),
        false,
        false,
        filter,
    );
    let mut window = Window::default();
    for _ in 0..2 {
        let counts = window.text(&mut ingester, "a 1 1000\na 2 2000\n");
        assert_eq!(
            (counts.duplicates, window.lines()),
            (1, vec!["a 1".to_owned()])
        );
    }
}

#[test]
fn a_sample_from_the_future_is_dropped_alone() {
    let (mut window, mut ingester) = (Window::default(), ingester());
    let limit = NOW.as_millis() + 600_000;
    for _ in 0..2 {
        let counts = window.text(
            &mut ingester,
            &format!("a 1 {limit}\nb 2 {}\nc 3\n", limit + 1),
        );
        assert_eq!(
            (counts.samples, counts.stored, counts.out_of_bounds),
            (3, 2, 1)
        );
        assert_eq!(window.lines(), [format!("a 1 @{limit}"), "c 3".to_owned()]);
    }
}

#[test]
fn an_empty_body_is_a_good_scrape_without_series() {
    let (mut window, mut ingester) = (Window::default(), ingester());
    window.text(&mut ingester, "a 1\n");
    let empty = Exposition::openmetrics("", NOW);
    let counts = window.scrape(&mut ingester, &empty).unwrap();
    assert_eq!((counts.samples, window.samples.len()), (0, 0));
    assert_eq!(window.text(&mut ingester, "a 1\n").added, 1);
}

#[test]
fn a_body_of_exactly_the_limit_is_refused() {
    let limits = |body_size| ScrapeLimits {
        body_size,
        ..ScrapeLimits::default()
    };
    let (setting, message) = limit_of(limits(4), "a 1\n");
    assert_eq!(setting, Limit::BodySize);
    assert!(message.contains("body_size_limit 4"), "{message}");
    Window::default().text(&mut with(limits(5), Labels::empty()), "a 1\n");
}

#[test]
fn the_number_of_labels_counts_name_and_target_labels() {
    let limits = |labels| ScrapeLimits {
        labels,
        ..ScrapeLimits::default()
    };
    let (setting, message) = limit_of(limits(3), "a{x=\"1\",y=\"2\"} 1\n");
    assert_eq!(setting, Limit::Labels);
    assert!(
        message.contains("the number of labels of a is 4, over label_limit 3"),
        "{message}"
    );
    let body = "a{x=\"1\",y=\"2\",empty=\"\"} 1\n";
    Window::default().text(&mut with(limits(3), Labels::empty()), body);
}

#[test]
fn the_length_of_names_and_values_is_limited_in_bytes() {
    let names = ScrapeLimits {
        label_name_length: 8,
        ..ScrapeLimits::default()
    };
    Window::default().text(
        &mut with(names.clone(), Labels::empty()),
        "a{abcdefgh=\"1\"} 1\n",
    );
    let (setting, message) = limit_of(names, "a{abcdefghi=\"1\"} 1\n");
    assert_eq!(setting, Limit::LabelNameLength);
    assert!(message.contains("label_name_length_limit 8"), "{message}");
    let values = ScrapeLimits {
        label_value_length: 5,
        ..ScrapeLimits::default()
    };
    Window::default().text(
        &mut with(values.clone(), Labels::empty()),
        "a{x=\"éé1\"} 1\n",
    );
    let (setting, message) = limit_of(values, "a{x=\"ééé\"} 1\n");
    assert_eq!(setting, Limit::LabelValueLength);
    assert!(
        message.contains("label x of a is 6, over label_value_length_limit 5"),
        "{message}"
    );
}

#[test]
fn limits_hold_for_series_that_no_rule_reads() {
    let limits = ScrapeLimits {
        label_value_length: 5,
        ..ScrapeLimits::default()
    };
    let nothing = Arc::new(SeriesFilter::new(Vec::new()));
    let mut ingester = Ingester::new(limits, Labels::empty(), false, true, nothing);
    let exposition = Exposition::text("a{x=\"123456\"} 1\n", NOW);
    assert!(
        Window::default()
            .scrape(&mut ingester, &exposition)
            .is_err()
    );
}

#[test]
fn the_default_limits_leave_room_for_any_model_server_and_stop_excess() {
    let labels = |n: usize| {
        let pairs: Vec<String> = (0..n).map(|i| format!("l{i}=\"v\"")).collect();
        format!("a{{{}}} 1\n", pairs.join(","))
    };
    let defaults = || with(ScrapeLimits::default(), Labels::new([("instance", "i")]));
    let ingest = |body: String| {
        let counts = Window::default().scrape(&mut defaults(), &Exposition::text(body, NOW));
        counts.map(|counts| counts.stored)
    };
    assert_eq!(ingest(labels(126)).unwrap(), 1);
    let error = ingest(labels(127)).unwrap_err().to_string();
    assert!(error.contains("is 129, over label_limit 128"), "{error}");
    assert_eq!(
        ingest(format!("a{{l=\"{}\"}} 1\n", "v".repeat(4096))).unwrap(),
        1
    );
    let error = ingest(format!("{} 1\n", "n".repeat(1 << 20)))
        .unwrap_err()
        .to_string();
    assert!(error.contains("label_value_length_limit 4096"), "{error}");
    assert!(error.len() < 300, "{} bytes", error.len());
}

#[test]
fn every_limit_holds_for_series_that_no_rule_reads() {
    let limits = ScrapeLimits {
        labels: 4,
        label_name_length: 20,
        label_value_length: 10,
        ..ScrapeLimits::NONE
    };
    let target = Labels::new([("instance", "i")]);
    let ingest = |body: &str| {
        let unread = Arc::new(SeriesFilter::default());
        let mut ingester = Ingester::new(limits.clone(), target.clone(), false, true, unread);
        Window::default().scrape(&mut ingester, &Exposition::text(body, NOW))
    };
    assert_eq!(ingest("a{b=\"1\",c=\"2\"} 1\n").unwrap().unselected, 1);
    // An empty value is no label.
    assert_eq!(
        ingest("a{b=\"1\",c=\"2\",d=\"\"} 1\n").unwrap().unselected,
        1
    );
    for body in [
        "a{b=\"1\",c=\"2\",d=\"3\"} 1\n",
        "a{b=\"12345678901\"} 1\n",
        "a{bbbbbbbbbbbbbbbbbbbbb=\"1\"} 1\n",
        "aaaaaaaaaaa 1\n",
        // `instance` and `exported_instance` become `exported_exported_instance`.
        "a{instance=\"1\",exported_instance=\"2\"} 1\n",
    ] {
        let error = ingest(body).unwrap_err();
        assert!(
            matches!(error, ExpositionError::Limit { .. }),
            "{body}: {error}"
        );
    }
}
