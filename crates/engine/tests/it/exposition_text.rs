//! Prometheus text, input by input: what is accepted, what it becomes, and what is refused.
//!
//! The verdicts are those of Prometheus 3 (its parser's tests and measurements with the real
//! program); the rows that deliberately differ say so in their name.

use sidewatch_engine::exposition::ExpositionError;

use crate::scrape_window::samples_of;

/// The samples of a body, as printed.
fn accepted(body: &str) -> Vec<String> {
    samples_of(body).unwrap_or_else(|error| panic!("{body:?} was refused: {error}"))
}

/// The message for a body that must be refused.
fn refused(body: &[u8]) -> String {
    use crate::scrape_window::{NOW, Window, ingester};
    let exposition = sidewatch_engine::exposition::Exposition::text(body.to_vec(), NOW);
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
    a_last_line_needs_no_newline: "a 1\nb 2" => ["a 1", "b 2"];
    a_body_of_blank_lines_has_no_samples: "\n\n  \n" => [];
    blank_lines_are_skipped: "a 1\n\n \nb 2\n" => ["a 1", "b 2"];
    blanks_before_a_name_are_skipped_unlike_in_prometheus: "   a 1\n\tb 2\n" => ["a 1", "b 2"];
    blanks_after_a_value_are_skipped: "a 1  \t\n" => ["a 1"];
    tabs_separate_as_blanks_do: "a\t1\t1000\n" => ["a 1 @1000"];
    a_name_may_have_colons: ":a:b_c:9 1\n" => [":a:b_c:9 1"];
    a_name_may_be_one_underscore: "_ 1\n" => ["_ 1"];
    blanks_may_stand_before_the_brace: "a {x=\"1\"} 1\n" => [r#"a{x="1"} 1"#];
    no_blank_is_needed_after_the_brace: "a{x=\"1\"}1\n" => [r#"a{x="1"} 1"#];
    a_sign_may_follow_the_name_at_once: "a-1\nb+2\n" => ["a -1", "b 2"];
    every_spelling_of_nan_is_one_value: "a NaN\nb nan\nc Nan\n" => ["a NaN", "b NaN", "c NaN"];
    infinities_have_many_spellings: "a +Inf\nb -Inf\nc Inf\nd infinity\ne -INFINITY\n"
        => ["a inf", "b -inf", "c inf", "d inf", "e -inf"];
    an_exponent_may_have_leading_zeros: "a 1.5e+009\n" => ["a 1500000000"];
    a_value_too_small_for_a_float_is_zero: "a 1e-400\n" => ["a 0"];
    a_value_may_start_or_end_with_a_point: "a .5\nb 5.\n" => ["a 0.5", "b 5"];
    a_timestamp_is_in_milliseconds: "a 1 1395066363000\n" => ["a 1 @1395066363000"];
    a_type_may_come_after_the_samples: "a 1\n# TYPE a gauge\n" => ["a 1"];
    a_second_type_is_no_error: "# TYPE a gauge\n# TYPE a counter\na 1\n" => ["a 1"];
    families_may_interleave: "# TYPE a gauge\na{x=\"1\"} 1\nb 1\na{x=\"2\"} 2\n"
        => [r#"a{x="1"} 1"#, "b 1", r#"a{x="2"} 2"#];
    a_comment_needs_no_blank: "#TYPE a nonsense\n#\n# \n# anything\n# EOF\na 1\n" => ["a 1"];
    a_word_that_starts_like_help_is_a_comment: "# HELPER a\n# TYPEWRITER b\n# TYPE\n# HELP\na 1\n" => ["a 1"];
    help_may_be_empty: "# HELP a\n# HELP b \na 1\n" => ["a 1"];
    help_may_contain_anything: "# HELP a {x=\"1\"} # \\n \\q \u{e9}\na 1\n" => ["a 1"];
    blanks_may_stand_around_help: " #  HELP \t a text\na 1\n" => ["a 1"];
    a_tab_may_stand_before_a_type: "# TYPE a\tgauge\na 1\n" => ["a 1"];
    escapes_are_resolved: r#"a{x="\\\"\n"} 1"# => [r#"a{x="\\\"\n"} 1"#];
    an_unknown_escape_stays_two_characters: r#"a{x="\q\t"} 1"# => [r#"a{x="\\q\\t"} 1"#];
    a_value_may_contain_a_newline: "a{x=\"1\n2\"} 1\nb 2\n" => [r#"a{x="1\n2"} 1"#, "b 2"];
    a_value_may_contain_braces_and_hashes: "a{x=\"} 2 # {\"} 1\n" => [r#"a{x="} 2 # {"} 1"#];
    a_trailing_comma_is_allowed: "a{x=\"1\",} 1\n" => [r#"a{x="1"} 1"#];
    labels_need_no_comma_between_them: "a{x=\"1\"y=\"2\" z=\"3\"} 1\n" => [r#"a{x="1", y="2", z="3"} 1"#];
    blanks_may_stand_anywhere_in_braces: "a{ x\t= \"1\" , y =\"2\" } 1\n" => [r#"a{x="1", y="2"} 1"#];
    braces_may_be_empty: "a{} 1\nb{ } 2\n" => ["a 1", "b 2"];
    an_empty_label_value_is_no_label: "a{x=\"\",y=\"1\"} 1\n" => [r#"a{y="1"} 1"#];
    a_label_may_start_with_two_underscores: "a{__x=\"1\"} 1\n" => [r#"a{__x="1"} 1"#];
    a_label_may_hold_any_unicode: "a{x=\"\u{65e5}\u{1f600}\u{0}\"} 1\n" => ["a{x=\"\u{65e5}\u{1f600}\u{0}\"} 1"];
    a_quoted_name_stands_in_the_braces: "{\"my.metric\",a=\"b\"} 1\n" => [r#"{"my.metric", a="b"} 1"#];
    a_quoted_name_may_stand_last: "{a=\"b\",\"my.metric\"} 1\n" => [r#"{"my.metric", a="b"} 1"#];
    a_quoted_name_may_stand_alone: "{\"my.metric\"} 1\n{\"b\",} 2\n" => [r#"{"my.metric"} 1"#, "b 2"];
    a_label_name_may_be_quoted: "a{\"x.y\"=\"1\",z=\"2\"} 1\n" => [r#"a{"x.y"="1", z="2"} 1"#];
    a_quoted_name_may_have_escapes: "{\"a\\\"b\"} 1\n" => [r#"{"a\"b"} 1"#];
    metadata_may_have_a_quoted_name: "# HELP \"my.metric\" text\n# TYPE \"my.metric\" gauge\n{\"my.metric\"} 1\n"
        => [r#"{"my.metric"} 1"#];
    a_bucket_bound_is_written_as_in_openmetrics: "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"1.0\"} 9\nh_bucket{le=\"2.50\"} 2\nh_bucket{le=\"1000000\"} 3\nh_bucket{le=\"+Inf\"} 4\n"
        => [r#"h_bucket{le="1.0"} 1"#, r#"h_bucket{le="2.5"} 2"#, r#"h_bucket{le="1e+06"} 3"#, r#"h_bucket{le="+Inf"} 4"#];
    a_quantile_is_written_as_in_openmetrics: "# TYPE s summary\ns{quantile=\"1\"} 1\ns{quantile=\"0.990\"} 2\ns_sum 3\n"
        => [r#"s{quantile="1.0"} 1"#, r#"s{quantile="0.99"} 2"#, "s_sum 3"];
    a_bound_of_a_gauge_stays_as_it_is: "# TYPE g gauge\ng{le=\"1\",quantile=\"1\"} 1\n" => [r#"g{le="1", quantile="1"} 1"#];
    a_bound_that_is_no_number_stays_as_it_is: "# TYPE h histogram\nh_bucket{le=\"one\"} 1\n" => [r#"h_bucket{le="one"} 1"#];
    a_type_does_not_leak_to_the_next_family: "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nx_bucket{le=\"1\"} 2\n"
        => [r#"h_bucket{le="1.0"} 1"#, r#"x_bucket{le="1"} 2"#];
    a_created_series_of_text_is_a_series: "# TYPE a_created gauge\na_created 1.7e9\n" => ["a_created 1700000000"];
}

refuses! {
    windows_newlines_are_refused_with_a_hint: "a 1\r\nb 2\r\n" => r"lines end with \r\n";
    a_type_before_a_carriage_return_is_refused: "# TYPE a gauge\r\na 1\r\n" => r"lines end with \r\n";
    a_byte_order_mark_is_refused_with_a_hint: "\u{feff}a 1\n" => "byte order mark";
    a_nul_between_lines_is_an_error_and_not_the_end: "a 1\n\0b 2\nc 3\n" => "line 2, column 1: a NUL byte";
    a_nul_in_a_name_is_refused: "a\0 1\n" => "NUL";
    a_signed_nan_is_refused: "a +NaN\n" => "the value is not a number";
    hexadecimal_is_refused: "a 0x10\n" => "not a number";
    a_hexadecimal_float_is_refused: "a 0x1p3\n" => "not a number";
    underscores_in_numbers_are_refused: "a 1_000\n" => "not a number";
    a_value_too_large_for_a_float_is_refused: "a 1e400\n" => "too large";
    a_word_is_no_value: "a true\n" => "line 1, column 3: the value is not a number, at \"true\"";
    a_missing_value_is_refused: "a\n" => "expected a value";
    a_missing_value_at_the_end_is_refused: "a" => "expected a value";
    a_missing_value_after_labels_is_refused: "a{x=\"1\"}\n" => "expected a value";
    a_negative_timestamp_is_refused: "a 1 -3982045\n" => "timestamp in milliseconds";
    a_signed_timestamp_is_refused: "a 1 +123\n" => "timestamp in milliseconds";
    a_fractional_timestamp_is_refused: "a 1 1.5\n" => "expected the end of the line";
    a_timestamp_beyond_64_bits_is_refused: "a 1 9223372036854775808\n" => "timestamp";
    words_after_the_timestamp_are_refused: "a 1 2 3\n" => "expected the end of the line";
    an_exemplar_is_refused: "a 1 # {x=\"1\"} 1\n" => "timestamp";
    a_brace_after_a_value_is_refused: "a 1{\n" => "timestamp";
    two_blanks_before_a_type_are_refused: "# TYPE a  gauge\n" => "after exactly one blank";
    a_blank_after_a_type_is_refused: "# TYPE a gauge \n" => "expected one of counter";
    a_type_in_capitals_is_refused: "# TYPE a GAUGE\n" => "expected one of counter";
    the_type_unknown_is_refused: "# TYPE a unknown\n" => "expected one of counter";
    the_type_info_is_refused: "# TYPE a info\n" => "expected one of counter";
    the_type_gaugehistogram_is_refused: "# TYPE a gaugehistogram\n" => "expected one of counter";
    the_type_stateset_is_refused: "# TYPE a stateset\n" => "expected one of counter";
    a_type_without_a_word_is_refused: "# TYPE a\n" => "expected one of counter";
    a_type_without_a_name_is_refused: "# TYPE \n" => "expected a metric name";
    a_type_of_a_number_is_refused: "# TYPE 1a gauge\n" => "expected a metric name";
    invalid_utf_8_in_help_is_refused: b"# HELP a \xff\na 1\n" => "not valid UTF-8";
    invalid_utf_8_in_a_label_value_is_refused: b"a{x=\"\xff\"} 1\n" => "not valid UTF-8";
    invalid_utf_8_in_a_quoted_name_is_refused: b"{\"\xff\"} 1\n" => "not valid UTF-8";
    a_single_quoted_value_is_refused: "a{x='1'} 1\n" => "in double quotes";
    a_leading_comma_is_refused: "a{,x=\"1\"} 1\n" => "expected a label name";
    two_commas_are_refused: "a{x=\"1\",,y=\"2\"} 1\n" => "expected a label name";
    an_unquoted_value_is_refused: "a{x=1} 1\n" => "in double quotes";
    a_label_without_a_value_is_refused: "a{x} 1\n" => "expected \"=\"";
    a_label_without_a_name_is_refused: "a{=\"1\"} 1\n" => "expected a label name";
    a_label_name_that_starts_with_a_digit_is_refused: "a{1x=\"1\"} 1\n" => "expected a label name";
    a_label_name_with_a_colon_is_refused: "a{x:y=\"1\"} 1\n" => "expected \"=\"";
    an_empty_quoted_label_name_is_refused: "a{\"\"=\"1\"} 1\n" => "label name is empty";
    an_empty_quoted_name_is_refused: "{\"\"} 1\n" => "metric name is empty";
    an_unclosed_value_is_refused: "a{x=\"1} 1\n" => "without its closing quote";
    an_unclosed_brace_is_refused: "a{x=\"1\" 1\n" => "expected a label name";
    a_newline_between_labels_is_refused: "a{x=\"1\",\ny=\"2\"} 1\n" => "expected a label name";
    a_series_without_a_name_is_refused: "{x=\"1\"} 1\n" => "no metric name";
    a_second_name_is_refused: "a{\"b\"} 1\n" => "second metric name";
    a_third_name_is_refused: "{\"a\",\"b\"} 1\n" => "second metric name";
    a_name_given_as_a_label_is_refused: "a{__name__=\"b\"} 1\n" => "is not unique";
    a_duplicate_label_is_refused: "a{x=\"1\",x=\"2\"} 1\n" => "the label name \"x\" is not unique";
    a_name_that_starts_with_a_digit_is_refused: "1a 1\n" => "expected a metric name";
    a_name_with_a_dash_is_refused: "a-b 1\n" => "not a number";
    html_is_refused_with_a_hint: "<html><body>404</body></html>\n" => "looks like HTML";
    json_is_refused_with_a_hint: "{\"error\": \"no\",\n\"x\":1}\n" => "looks like JSON";
}

#[test]
fn an_error_shows_its_place_and_forty_characters_of_it() {
    let long = "x".repeat(100);
    let message = refused(format!("a 1\n\n# c\nabc{{l=\"v\"}} {long}\n").as_bytes());
    let excerpt = "x".repeat(40);
    assert_eq!(
        message,
        format!("line 4, column 12: the value is not a number, at \"{excerpt}\"")
    );
}

#[test]
fn control_characters_in_an_excerpt_are_escaped() {
    assert!(refused(b"a \x1b[31mred\n").contains(r#"at "\u{1b}[31mred""#));
}
