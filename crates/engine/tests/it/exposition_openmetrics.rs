//! OpenMetrics text, input by input: what is accepted, what it becomes, and what is refused.
//!
//! Where the official corpus refuses a body and Prometheus takes it (values, grouping, histograms
//! that make no sense), it is taken: those rows say so.

use sidewatch_engine::exposition::{Exposition, ExpositionError};

use crate::scrape_window::{NOW, Window, ingester};

/// The samples of a body, as printed.
fn accepted(body: &str) -> Vec<String> {
    let mut window = Window::default();
    let exposition = Exposition::openmetrics(body, NOW);
    window
        .scrape(&mut ingester(), &exposition)
        .unwrap_or_else(|error| panic!("{body:?} was refused: {error}"));
    window.lines()
}

/// The message for a body that must be refused.
fn refused(body: &[u8]) -> String {
    let exposition = Exposition::openmetrics(body.to_vec(), NOW);
    match Window::default().scrape(&mut ingester(), &exposition) {
        Ok(_) => panic!("{:?} was accepted", String::from_utf8_lossy(body)),
        Err(ExpositionError::Syntax(error)) => error.to_string(),
        Err(other) => panic!("not a syntax error: {other}"),
    }
}

macro_rules! accepts {
    ($($name:ident: $body:expr => [$($sample:expr),*];)*) => {$(
        #[test]
        fn $name() {
            let expected: Vec<&str> = vec![$($sample),*];
            assert_eq!(accepted($body), expected);
        }
    )*};
}

macro_rules! refuses {
    ($($name:ident: $body:expr => $message:expr;)*) => {$(
        #[test]
        fn $name() {
            let message = refused($body.as_ref());
            assert!(message.contains($message), "{message}");
        }
    )*};
}

accepts! {
    a_counter_with_metadata: "# TYPE a counter\n# HELP a text\na_total 1\n# EOF\n" => ["a_total 1"];
    the_end_needs_no_newline: "a 1\n# EOF" => ["a 1"];
    a_body_of_only_the_end: "# EOF\n" => [];
    help_may_have_escapes_and_empty_text: "# HELP a he\\n\\\\l\\tp\n# HELP b \na 1\n# EOF\n" => ["a 1"];
    every_type_is_known: "# TYPE a counter\n# TYPE b gauge\n# TYPE c histogram\n# TYPE d gaugehistogram\n# TYPE e summary\n# TYPE f info\n# TYPE g stateset\n# TYPE h unknown\n# EOF\n" => [];
    a_unit_is_a_suffix: "# TYPE a_seconds counter\n# UNIT a_seconds seconds\na_seconds_total 1\n# EOF\n" => ["a_seconds_total 1"];
    a_unit_may_be_empty: "# UNIT a \na 1\n# EOF\n" => ["a 1"];
    a_timestamp_is_in_seconds: "a 1 1520879607.789\nb 2 123\n# EOF\n" => ["a 1 @1520879607789", "b 2 @123000"];
    a_negative_timestamp_is_a_time: "a 1 -1.5\n# EOF\n" => ["a 1 @-1500"];
    a_timestamp_may_have_an_exponent: "a 1 1e3\n# EOF\n" => ["a 1 @1000000"];
    an_exemplar_is_skipped: "a_total 1 # {trace=\"x\"} 0.5\n# EOF\n" => ["a_total 1"];
    an_exemplar_may_have_a_timestamp: "a_bucket{le=\"1.0\"} 1 5 # {} 0.5 1520879607.1\n# EOF\n" => [r#"a_bucket{le="1.0"} 1 @5000"#];
    an_exemplar_of_a_quoted_name_is_skipped: "{\"a.b_total\",x=\"1\"} 1 # {t=\"1\"} 1\n# EOF\n" => [r#"{"a.b_total", x="1"} 1"#];
    a_hash_in_a_label_is_no_exemplar: "a{x=\"1 # {\"} 1\n# EOF\n" => [r#"a{x="1 # {"} 1"#];
    a_trailing_comma_is_allowed: "a{x=\"1\",} 1\n# EOF\n" => [r#"a{x="1"} 1"#];
    empty_braces_are_allowed: "a{} 1\n# EOF\n" => ["a 1"];
    escapes_are_resolved: "a{x=\"\\\\\\\"\\n\"} 1\n# EOF\n" => [r#"a{x="\\\"\n"} 1"#];
    a_quoted_name_stands_in_the_braces: "{\"my.metric\",\"x.y\"=\"1\"} 1\n# EOF\n" => [r#"{"my.metric", "x.y"="1"} 1"#];
    infinities_and_nan_are_values: "a NaN\nb +Inf\nc -Inf\n# EOF\n" => ["a NaN", "b inf", "c -inf"];
    bounds_are_canonical: "# TYPE a histogram\na_bucket{le=\"1\"} 1\na_bucket{le=\"+Inf\"} 2\na_count 2\na_sum 3\n# EOF\n"
        => [r#"a_bucket{le="1.0"} 1"#, r#"a_bucket{le="+Inf"} 2"#, "a_count 2", "a_sum 3"];
    creation_times_are_no_signals: "# TYPE a counter\na_total 1\na_created 1520430000.123\n# TYPE s summary\ns_count 1\ns_sum 2\ns_created 1\n# EOF\n"
        => ["a_total 1", "s_count 1", "s_sum 2"];
    a_created_gauge_is_a_gauge: "# TYPE a_created gauge\na_created 1\n# EOF\n" => ["a_created 1"];
    an_info_and_a_stateset: "# TYPE i info\ni_info{v=\"1\"} 1\n# TYPE s stateset\ns{s=\"on\"} 1\ns{s=\"off\"} 0\n# EOF\n"
        => [r#"i_info{v="1"} 1"#, r#"s{s="on"} 1"#, r#"s{s="off"} 0"#];
    prometheus_takes_a_negative_counter: "# TYPE a counter\na_total -1\n# EOF\n" => ["a_total -1"];
    prometheus_takes_a_nan_counter: "# TYPE a counter\na_total NaN\n# EOF\n" => ["a_total NaN"];
    prometheus_takes_a_counter_without_total: "# TYPE a counter\na 1\n# EOF\n" => ["a 1"];
    prometheus_takes_interleaved_families: "a 1\nb 1\na{x=\"1\"} 2\n# EOF\n" => ["a 1", "b 1", r#"a{x="1"} 2"#];
    prometheus_takes_a_second_type: "# TYPE a gauge\n# TYPE a gauge\na 1\n# EOF\n" => ["a 1"];
    prometheus_takes_metadata_after_samples: "a 1\n# TYPE a gauge\n# EOF\n" => ["a 1"];
    prometheus_takes_a_histogram_without_infinity: "# TYPE a histogram\na_bucket{le=\"1.0\"} 1\n# EOF\n" => [r#"a_bucket{le="1.0"} 1"#];
    prometheus_takes_buckets_that_fall: "# TYPE a histogram\na_bucket{le=\"1.0\"} 2\na_bucket{le=\"+Inf\"} 1\n# EOF\n"
        => [r#"a_bucket{le="1.0"} 2"#, r#"a_bucket{le="+Inf"} 1"#];
    prometheus_takes_a_long_exemplar: &format!("a_total 1 # {{x=\"{}\"}} 1\n# EOF\n", "y".repeat(200)) => ["a_total 1"];
}

refuses! {
    a_body_without_the_end_is_refused: "a 1\n" => "does not end with # EOF";
    a_body_cut_within_a_line_is_refused: "a 1\nb 1" => "does not end with # EOF";
    a_body_cut_within_metadata_is_refused: "# TYPE a gauge" => "does not end with # EOF";
    data_after_the_end_is_refused: "a 1\n# EOF\nb 1\n" => "data after # EOF";
    a_blank_line_after_the_end_is_refused: "a 1\n# EOF\n\n" => "data after # EOF";
    words_behind_the_end_are_refused: "a 1\n# EOF \n" => "data after # EOF";
    a_blank_line_is_refused: "a 1\n\n# EOF\n" => "line 2, column 1: an empty line";
    a_free_comment_is_refused: "# hello\n# EOF\n" => "expected # HELP";
    a_comment_without_a_blank_is_refused: "#EOF\n" => "expected # HELP";
    two_blanks_after_the_hash_are_refused: "#  TYPE a gauge\n# EOF\n" => "expected # HELP";
    a_tab_after_the_hash_is_refused: "#\tTYPE a gauge\n# EOF\n" => "expected # HELP";
    a_blank_before_the_hash_is_refused: " # TYPE a gauge\n# EOF\n" => "expected a metric name";
    windows_newlines_are_refused_with_a_hint: "a 1\r\n# EOF\r\n" => r"lines end with \r\n";
    a_nul_between_lines_is_refused: "a 1\n\0# EOF\n" => "a NUL byte";
    a_type_without_a_name_is_refused: "# TYPE \n# EOF\n" => "expected a metric name";
    a_type_without_a_word_is_refused: "# TYPE a\n# EOF\n" => "expected a blank and text";
    a_type_with_an_empty_word_is_refused: "# TYPE a \n# EOF\n" => "not a metric type";
    an_unknown_type_is_refused: "# TYPE a meh\n# EOF\n" => "not a metric type";
    a_blank_after_a_type_is_refused: "# TYPE a gauge \n# EOF\n" => "not a metric type";
    two_blanks_before_a_type_are_refused: "# TYPE a  gauge\n# EOF\n" => "not a metric type";
    the_type_untyped_is_refused: "# TYPE a untyped\n# EOF\n" => "not a metric type";
    help_without_text_is_refused: "# HELP a\n# EOF\n" => "expected a blank and text";
    help_without_a_name_is_refused: "# HELP \n# EOF\n" => "expected a metric name";
    invalid_utf_8_in_help_is_refused: b"# HELP a \xff\n# EOF\n" => "not valid UTF-8";
    a_unit_that_is_no_suffix_is_refused: "# UNIT a seconds\n# EOF\n" => "not a suffix";
    a_unit_without_an_underscore_is_refused: "# UNIT aseconds seconds\n# EOF\n" => "not a suffix";
    a_unit_that_is_the_whole_name_is_refused: "# UNIT seconds seconds\n# EOF\n" => "not a suffix";
    two_blanks_before_a_value_are_refused: "a  1\n# EOF\n" => "expected one blank and a value";
    a_tab_before_a_value_is_refused: "a\t1\n# EOF\n" => "expected one blank and a value";
    a_blank_after_a_value_is_refused: "a 1 \n# EOF\n" => "expected one blank and a timestamp";
    a_missing_value_is_refused: "a\n# EOF\n" => "expected one blank and a value";
    a_missing_value_after_labels_is_refused: "a{x=\"1\"}\n# EOF\n" => "expected one blank and a value";
    a_value_without_a_blank_is_refused: "a{x=\"1\"}1\n# EOF\n" => "expected one blank and a value";
    hexadecimal_is_refused: "a 0x10\n# EOF\n" => "not a number";
    underscores_in_numbers_are_refused: "a 1_0\n# EOF\n" => "not a number";
    a_word_is_no_value: "a one\n# EOF\n" => "not a number";
    a_nan_timestamp_is_refused: "a 1 NaN\n# EOF\n" => "the timestamp is not finite";
    an_infinite_timestamp_is_refused: "a 1 +Inf\n# EOF\n" => "the timestamp is not finite";
    a_word_is_no_timestamp: "a 1 x\n# EOF\n" => "the timestamp is not a number";
    two_timestamps_are_refused: "a 1 2 3\n# EOF\n" => "expected the end of the line";
    two_blanks_before_a_timestamp_are_refused: "a 1  2\n# EOF\n" => "expected one blank and a timestamp";
    blanks_in_braces_are_refused: "a{ x=\"1\"} 1\n# EOF\n" => "expected a label name";
    a_blank_before_the_brace_is_refused: "a {x=\"1\"} 1\n# EOF\n" => "the value is not a number";
    a_blank_after_a_comma_is_refused: "a{x=\"1\", y=\"2\"} 1\n# EOF\n" => "expected a label name";
    a_missing_comma_is_refused: "a{x=\"1\"y=\"2\"} 1\n# EOF\n" => "expected \",\"";
    a_single_comma_is_refused: "a{,} 1\n# EOF\n" => "expected a label name";
    two_commas_are_refused: "a{x=\"1\",,y=\"2\"} 1\n# EOF\n" => "expected a label name";
    two_trailing_commas_are_refused: "a{x=\"1\",,} 1\n# EOF\n" => "expected a label name";
    a_duplicate_label_is_refused: "a{x=\"1\",x=\"1\"} 1\n# EOF\n" => "is not unique";
    a_label_without_a_value_is_refused: "a{x} 1\n# EOF\n" => "expected \"=\"";
    a_label_without_quotes_is_refused: "a{x=1} 1\n# EOF\n" => "in double quotes";
    a_label_in_single_quotes_is_refused: "a{x='1'} 1\n# EOF\n" => "in double quotes";
    a_newline_in_a_value_is_refused: "a{x=\"1\n2\"} 1\n# EOF\n" => "without its closing quote";
    a_name_that_starts_with_a_digit_is_refused: "0a 1\n# EOF\n" => "expected a metric name";
    a_name_with_a_dash_is_refused: "a-b 1\n# EOF\n" => "expected one blank and a value";
    an_exemplar_without_a_value_is_refused: "a_total 1 # {x=\"1\"}\n# EOF\n" => "exemplar value";
    an_exemplar_without_labels_is_refused: "a_total 1 # 1\n# EOF\n" => "not a number";
    an_exemplar_without_a_blank_is_refused: "a_total 1 #{x=\"1\"} 1\n# EOF\n" => "not a number";
    an_exemplar_with_a_wrong_value_is_refused: "a_total 1 # {x=\"1\"} x\n# EOF\n" => "the exemplar value is not a number";
    an_exemplar_with_a_nan_timestamp_is_refused: "a_total 1 # {x=\"1\"} 1 NaN\n# EOF\n" => "the timestamp is not finite";
    an_exemplar_with_a_name_is_refused: "a_total 1 # {\"x\"} 1\n# EOF\n" => "second metric name";
    words_after_an_exemplar_are_refused: "a_total 1 # {x=\"1\"} 1 1 1\n# EOF\n" => "expected the end of the line";
    an_exemplar_on_a_gauge_is_refused: "# TYPE a gauge\na 1 # {x=\"1\"} 1\n# EOF\n" => "neither a _total nor a _bucket";
    an_exemplar_on_a_sum_is_refused: "# TYPE a histogram\na_sum 1 # {x=\"1\"} 1\n# EOF\n" => "neither a _total nor a _bucket";
}
