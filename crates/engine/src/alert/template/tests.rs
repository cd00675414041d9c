use super::{Context, QueryAnswer, Scope, Template};
use crate::metric::{Labels, Timestamp};

fn context() -> Context {
    Context {
        external_labels: Labels::new([("cluster", "eu1")]),
        external_url: "https://side.example/watch/".to_owned(),
        ..Context::default()
    }
}

fn answer(expression: &str, _at: Timestamp) -> QueryAnswer {
    match expression {
        "up" => Ok(vec![
            (Labels::named("up", [("job", "b")]), 1.0),
            (Labels::named("up", [("job", "a")]), 0.0),
        ]),
        "none" => Ok(Vec::new()),
        other => Err(format!("no such series: {other}")),
    }
}

fn render_with(text: &str, value: f64) -> Result<String, String> {
    let template = Template::parse(text).map_err(|error| error.to_string())?;
    let labels = Labels::named("up", [("job", "api"), ("instance", "[::1]:9100")]);
    template.render(&Scope {
        labels: &labels,
        value,
        at: Timestamp::from_millis(1_500_000_000_250),
        context: &context(),
        query: Some(&answer),
    })
}

fn render(text: &str) -> String {
    render_with(text, 0.959).unwrap_or_else(|error| format!("ERROR {error}"))
}

fn all(cases: &[(&str, &str)]) {
    for (text, expected) in cases {
        assert_eq!(render(text), *expected, "{text}");
    }
}

#[test]
fn labels_and_values_are_those_of_the_alert() {
    all(&[
        ("no action", "no action"),
        ("{{ $labels.job }} at {{ $value }}", "api at 0.959"),
        (
            "{{ .Labels.job }} {{ .Value }} {{ $.Labels.job }}",
            "api 0.959 api",
        ),
        ("{{ $labels.missing }}|", "|"),
        (
            "{{ $labels }}",
            "map[__name__:up instance:[::1]:9100 job:api]",
        ),
        (
            "{{ $externalLabels.cluster }} {{ $externalURL }}",
            "eu1 https://side.example/watch/",
        ),
        (r#"{{ index $labels "job" }}"#, "api"),
        ("{{ $labels.job | toUpper | printf `%s!` }}", "API!"),
    ]);
}

#[test]
fn numbers_print_as_go_prints_them() {
    for (value, expected) in [
        (0.0, "0"),
        (-0.0, "-0"),
        (1.0, "1"),
        (90.5, "90.5"),
        (123_456.0, "123456"),
        (1_048_576.0, "1.048576e+06"),
        (0.0001, "0.0001"),
        (0.000_01, "1e-05"),
        (1e100, "1e+100"),
        (0.1 + 0.2, "0.30000000000000004"),
        (f64::NAN, "NaN"),
        (f64::INFINITY, "+Inf"),
        (f64::NEG_INFINITY, "-Inf"),
    ] {
        assert_eq!(render_with("{{ $value }}", value).as_deref(), Ok(expected));
    }
}

#[test]
fn printf_is_gos() {
    for (pattern, value, expected) in [
        ("%.2f", 1.0 / 3.0, "0.33"),
        ("%f", 2.5, "2.500000"),
        ("%.0f", 2.5, "2"),
        ("%e", 123_456.789, "1.234568e+05"),
        ("%g", 1e21, "1e+21"),
        ("%.3g", 1234.5, "1.23e+03"),
        ("%8.2f|", 1.5, "    1.50|"),
        ("%-8.2f|", 1.5, "1.50    |"),
        ("%08.2f", -1.5, "-0001.50"),
        ("%+v", 1.5, "+1.5"),
        ("%d", 1.5, "%!d(float64=1.5)"),
        ("%s", 1.5, "%!s(float64=1.5)"),
        ("%v%%", 50.0, "50%"),
        ("%v %v", 1.0, "1 %!v(MISSING)"),
        ("none", 1.0, "none%!(EXTRA float64=1)"),
    ] {
        let text = format!("{{{{ $value | printf {pattern:?} }}}}");
        assert_eq!(
            render_with(&text, value).as_deref(),
            Ok(expected),
            "{pattern}"
        );
    }
    all(&[
        (
            r#"{{ printf "%5s|%-5s|%q" "ab" "cd" "e\"f" }}"#,
            r#"   ab|cd   |"e\"f""#,
        ),
        (
            r#"{{ printf "%d %05d %x %c" 42 42 255 'A' }}"#,
            "42 00042 ff A",
        ),
        (r#"{{ printf "%.2s" "héllo" }}"#, "hé"),
        (r#"{{ printf "%t %v" true nil }}"#, "true <nil>"),
        (r#"{{ print 1 2 "x" 3 }}"#, "1 2x3"),
        (r#"{{ println "x" 1 "y" }}|"#, "x 1 y\n|"),
    ]);
}

#[test]
fn the_compliance_suite_gets_its_expected_strings() {
    // prometheus/compliance, alert_generator/rules.yaml
    for (text, value, expected) in [
        ("{{ $value | humanize }}", 1_048_576.0, "1.049M"),
        ("{{ $value | humanize1024 }}", 1_048_576.0, "1Mi"),
        ("{{ $value | humanizeDuration }}", 135.3563, "2m 15s"),
        ("{{ $value | humanizePercentage }}", 0.959, "95.9%"),
        (
            "{{ $value | humanizeTimestamp }}",
            1_435_065_584.128,
            "2015-06-23 13:19:44.128 +0000 UTC",
        ),
        ("{{ \"2h10m15s\" | parseDuration }}", 0.0, "7815"),
        ("{{ \"testing\" | title }}", 0.0, "Testing"),
        ("{{ (toTime $value).Year }}", 1_643_114_203.0, "2022"),
        (
            "{{ with toTime $value }}{{ .Weekday }} {{ .Day }} {{ .Month }} {{ .YearDay }} {{ .UTC.Hour }}:{{ .Minute }}:{{ .Second }} {{ .Unix }}{{ end }}",
            1_643_114_203.9,
            "Tuesday 25 January 25 12:36:43 1643114203",
        ),
        ("{{ (toDuration $value).Minutes }}", 90.0, "1.5"),
        ("{{ $labels.instance | stripPort }}", 0.0, "::1"),
    ] {
        assert_eq!(render_with(text, value).as_deref(), Ok(expected), "{text}");
    }
}

#[test]
fn humanized_numbers_are_prometheus() {
    // The cases of prometheus/template_test.go, written anew.
    for (function, value, expected) in [
        ("humanize", 0.0, "0"),
        ("humanize", 1.0, "1"),
        ("humanize", 1_234_567.0, "1.235M"),
        ("humanize", 0.12, "120m"),
        ("humanize", 0.001, "1m"),
        ("humanize", -0.12, "-120m"),
        ("humanize", f64::INFINITY, "+Inf"),
        ("humanize", f64::NAN, "NaN"),
        ("humanize1024", 0.0, "0"),
        ("humanize1024", 1.0, "1"),
        ("humanize1024", 1024.0, "1ki"),
        ("humanize1024", 1536.0, "1.5ki"),
        ("humanizeDuration", 0.0, "0s"),
        ("humanizeDuration", 1.0, "1s"),
        ("humanizeDuration", 60.0, "1m 0s"),
        ("humanizeDuration", 3600.0, "1h 0m 0s"),
        ("humanizeDuration", 86_400.0, "1d 0h 0m 0s"),
        ("humanizeDuration", 86_400.0 + 3600.0, "1d 1h 0m 0s"),
        (
            "humanizeDuration",
            -(86_400.0 * 2.0 + 3600.0 * 3.0 + 60.0 * 4.0 + 5.0),
            "-2d 3h 4m 5s",
        ),
        ("humanizeDuration", 899.99, "14m 59s"),
        ("humanizeDuration", 0.1, "100ms"),
        ("humanizeDuration", 0.0001, "100us"),
        ("humanizeDuration", 0.12345, "123.5ms"),
        ("humanizeDuration", 1.2345, "1.234s"),
        ("humanizeDuration", 12.345, "12.35s"),
        ("humanizePercentage", -0.228_7, "-22.87%"),
        ("humanizePercentage", 1.0, "100%"),
        ("humanizePercentage", 123.0, "1.23e+04%"),
        ("humanizeTimestamp", 0.0, "1970-01-01 00:00:00 +0000 UTC"),
        ("humanizeTimestamp", f64::INFINITY, "+Inf"),
        ("toDuration", 7815.5, "2h10m15.5s"),
        ("toTime", 1_435_065_580.0, "2015-06-23 13:19:40 +0000 UTC"),
    ] {
        let text = format!("{{{{ {function} $value }}}}");
        assert_eq!(
            render_with(&text, value).as_deref(),
            Ok(expected),
            "{function} {value}"
        );
    }
    all(&[
        (r#"{{ humanize "1234567.0" }}"#, "1.235M"),
        (
            "{{ humanizeTimestamp 1e10 }}",
            "ERROR error calling humanizeTimestamp: 1e+10 cannot be represented as a nanoseconds timestamp since it overflows int64",
        ),
        (
            r#"{{ humanize "one" }}"#,
            r#"ERROR error calling humanize: can't convert "one" to a number"#,
        ),
    ]);
}

#[test]
fn conditions_follow_go() {
    all(&[
        ("{{ if gt $value 0.9 }}high{{ else }}low{{ end }}", "high"),
        (
            "{{ if lt $value 0.9 }}a{{ else if eq $labels.job `api` }}b{{ else }}c{{ end }}",
            "b",
        ),
        (
            "{{ if and (ge $value 0.9) (ne $labels.job `x`) }}yes{{ end }}",
            "yes",
        ),
        (
            "{{ or $labels.none $labels.job }} {{ and $labels.none $labels.job }}|",
            "api |",
        ),
        ("{{ if not $labels.none }}absent{{ end }}", "absent"),
        (
            "{{ not 0 }} {{ not 2 }} {{ not 0.0 }} {{ not 0.5 }} {{ not `` }} {{ not `a` }}",
            "true false true false true false",
        ),
        (
            "{{ not nil }} {{ if and nil 1 }}x{{ else }}nothing{{ end }}",
            "true nothing",
        ),
        (
            "{{ eq 1 1 }} {{ eq 1 2 }} {{ eq 3 1 2 3 }} {{ ne 1 2 }} {{ eq nil nil }}",
            "true false true true true",
        ),
        (
            "{{ if eq $labels.job `a` `b` `api` }}one of{{ end }}",
            "one of",
        ),
        (
            "{{ with $labels.job }}[{{ . }}]{{ end }}{{ with $labels.none }}x{{ else }}-{{ end }}",
            "[api]-",
        ),
        ("{{ with $x := `v` }}{{ $x }}{{ . }}{{ end }}", "vv"),
        (
            "{{ $x := 1 }}{{ if true }}{{ $x = 2 }}{{ end }}{{ $x }}",
            "2",
        ),
        (
            "{{ range $k, $v := $labels }}{{ $k }}={{ $v }};{{ end }}",
            "__name__=up;instance=[::1]:9100;job=api;",
        ),
        ("{{ range $labels }}{{ . }}{{ break }}{{ end }}", "up"),
        (
            "{{ define `t` }}<{{ . }}>{{ end }}{{ template `t` $labels.job }}{{ tmpl `t` 1 }}",
            "<api><1>",
        ),
        (
            "{{ len $labels }} {{ len `abc` }} {{ slice `abcdef` 1 3 }}",
            "3 3 bc",
        ),
    ]);
    let strict = render("{{ if gt $value 1 }}x{{ end }}");
    assert!(
        strict.contains("incompatible types for comparison"),
        "{strict}"
    );
}

#[test]
fn white_space_and_comments_are_trimmed_as_in_go() {
    all(&[
        ("a {{- ` b ` -}} c", "a b c"),
        ("a {{/* gone */}} b", "a  b"),
        ("a {{- /* gone */ -}} b", "ab"),
        ("{{ `{{` }}", "{{"),
        ("{{ \"a\\tb\\u00e9\\x41\" }}", "a\tbéA"),
        ("{{-3}} {{- 3}}", "-33"),
    ]);
}

#[test]
fn strings_are_handled_as_prometheus_does() {
    all(&[
        (r#"{{ reReplaceAll "(.*):.*" "$1" "host:80" }}"#, "host"),
        (r#"{{ $labels.job | reReplaceAll "a(p)" "${1}x" }}"#, "pxi"),
        (
            r#"{{ match "a.*" "abc" }} {{ match "^b" "abc" }}"#,
            "true false",
        ),
        (
            r#"{{ stripPort "host:80" }} {{ stripPort "host" }} {{ stripPort "a:b:c" }}"#,
            "host host a:b:c",
        ),
        (
            r#"{{ stripDomain "a.b.c:80" }} {{ stripDomain "a.b.c" }} {{ stripDomain "10.0.0.1:80" }}"#,
            "a:80 a 10.0.0.1:80",
        ),
        (
            r#"{{ title "aa bb CC" }} {{ toLower "ÄB" }}"#,
            "Aa Bb CC äb",
        ),
        (r#"{{ urlQueryEscape "a b&c/ü" }}"#, "a+b%26c%2F%C3%BC"),
        (r#"{{ html "<a b='c'>" }}"#, "&lt;a b=&#39;c&#39;&gt;"),
        (
            r#"{{ graphLink "up == 0" }}"#,
            "/graph?g0.expr=up+%3D%3D+0&g0.tab=0",
        ),
        (
            r#"{{ tableLink "up" }} {{ pathPrefix }} {{ externalURL }}"#,
            "/graph?g0.expr=up&g0.tab=1 /watch https://side.example/watch/",
        ),
        ("{{ now }}", "1.50000000025e+09"),
    ]);
}

#[test]
fn queries_are_answered_by_the_monitor() {
    all(&[
        (
            "{{ range query `up` }}{{ .Labels.job }}={{ .Value }} {{ end }}",
            "b=1 a=0 ",
        ),
        ("{{ with query `up` }}{{ . | first | value }}{{ end }}", "1"),
        (
            "{{ query `up` | sortByLabel `job` | first | label `job` }}",
            "a",
        ),
        (
            "{{ with query `none` }}x{{ else }}nothing{{ end }}",
            "nothing",
        ),
        (
            "{{ query `none` | first }}",
            "ERROR error calling first: first() called on vector with no elements",
        ),
        (
            "{{ query `bad` }}",
            "ERROR error calling query: no such series: bad",
        ),
        (
            "{{ define `t` }}{{ .arg0 }}-{{ .arg1 }}{{ end }}{{ template `t` (args 1 `b`) }}",
            "1-b",
        ),
    ]);
}

#[test]
fn a_bad_template_is_refused_with_its_place() {
    for (text, place, word) in [
        (
            "a\nb {{ $nope }}",
            "line 2, column 6",
            "undefined variable $nope",
        ),
        (
            "{{ nosuch 1 }}",
            "line 1, column 4",
            "function \"nosuch\" is not defined",
        ),
        ("{{ $labels.job ", "line 1, column 1", "not closed"),
        ("{{ if true }}x", "line 1, column 1", "if is not closed"),
        ("x{{ end }}", "line 1, column 11", "without its if"),
        ("{{ \"abc }}", "line 1, column 4", "string is not closed"),
        ("{{ }}", "line 1, column 1", "value is missing"),
        ("{{ 1 | 2 }}", "line 1, column 1", "piped into a constant"),
        ("{{ (1 }}", "line 1, column 7", ") is missing"),
        ("{{ break }}", "line 1, column 1", "outside a range"),
        ("{{ template `x` }}", "line 1, column 1", "not defined here"),
        ("{{ 1 ; 2 }}", "line 1, column 6", "unexpected ';'"),
        ("{{ $x = 1 }}", "line 1, column 1", "undefined variable $x"),
    ] {
        let error = Template::parse(text).map(|_| ()).map_err(|e| e.to_string());
        let error = error.expect_err(text);
        assert!(
            error.starts_with(place) && error.contains(word),
            "{text}: {error}"
        );
    }
}

#[test]
fn deep_or_endless_templates_fail() {
    let deep = format!(
        "{}1{}",
        "{{ if true }}".repeat(100),
        "{{ end }}".repeat(100)
    );
    assert!(Template::parse(&deep).is_err());
    let parens = format!("{{{{ {}1{} }}}}", "(".repeat(5000), ")".repeat(5000));
    assert!(Template::parse(&parens).is_err());
    let recursive = "{{ define `t` }}{{ template `t` }}{{ end }}{{ template `t` }}";
    assert!(render(recursive).contains("deeper than 100"));
    let wide = "{{ range 200000 }}{{ end }}{{ range $i := 99999 }}xxxxxxxxxxxxxxxxxxxx{{ end }}";
    assert!(render(wide).starts_with("ERROR"));
    let empty_ranges = "{{ range 99999 }}{{ range 99999 }}{{ end }}{{ end }}";
    assert!(render(empty_ranges).contains("more than 100000 steps"));
    let broken_ranges = "{{ range 40000 }}{{ range 9999999 }}{{ break }}{{ end }}{{ end }}";
    assert!(render(broken_ranges).contains("more than 100000 steps"));
    let deep_calls = format!(
        "{{{{ define `t` }}}}{}{{{{ template `t` }}}}{}{{{{ end }}}}{{{{ template `t` }}}}",
        "{{ if true }}".repeat(60),
        "{{ end }}".repeat(60)
    );
    assert!(render(&deep_calls).contains("nested deeper than 300"));
    let deep_values = format!(
        "{{{{ define `t` }}}}{{{{ {}tmpl `t` 1{} }}}}{{{{ end }}}}{{{{ template `t` }}}}",
        "(".repeat(60),
        ")".repeat(60)
    );
    assert!(render(&deep_values).contains("nested deeper than 300"));
    // Quadratic work would take minutes here.
    let long = "{{ $x := 1 }}{{ range $i, $s := 2 }}{{ end }}".repeat(20_000);
    assert!(Template::parse(&long).is_ok());
}

#[test]
fn text_that_grows_with_every_step_fails() {
    let doubled = |first: &str, step: &str| format!("{{{{ $x := {first} }}}}{}", step.repeat(60));
    for (template, limit) in [
        (
            doubled("`ab`", "{{ $x = print $x $x }}"),
            "longer than 65536",
        ),
        (
            doubled("`ab`", "{{ $x = toUpper (printf `%s%s` $x $x) }}"),
            "longer than 65536",
        ),
        (
            doubled("`ab`", "{{ $x = reReplaceAll `.` `$0$0` $x }}"),
            "longer than 65536",
        ),
        (
            doubled("args 1", "{{ $x = args $x $x }}"),
            "more than 1048576 bytes",
        ),
    ] {
        assert!(
            render(&template).contains(limit),
            "{template}: {}",
            render(&template)
        );
    }
    assert_eq!(
        render("{{ reReplaceAll `b(.)` `<$1$1>` `abcabd` }}"),
        "a<cc>a<dd>"
    );
    assert_eq!(render("{{ reReplaceAll `` `-` `aé` }}"), "-a-é-");
}

#[test]
fn a_failure_becomes_text_and_stops_no_alert() {
    let template = Template::parse("{{ reReplaceAll `(` `` `x` }}").unwrap();
    let text = template.expand(&Scope {
        labels: &Labels::empty(),
        value: 1.0,
        at: Timestamp::default(),
        context: &Context::default(),
        query: None,
    });
    assert!(
        text.starts_with("<error expanding template: error calling reReplaceAll"),
        "{text}"
    );
}

#[test]
fn a_template_knows_whether_it_depends_on_the_value() {
    let uses = |text| Template::parse(text).map(|t| t.uses_value());
    assert_eq!(uses("{{ $value }}"), Ok(true));
    assert_eq!(uses("{{ if gt .Value 1.0 }}x{{ end }}"), Ok(true));
    assert_eq!(uses("{{ $labels.value }}"), Ok(false));
}

#[test]
fn a_body_template_writes_json() {
    let data =
        serde_json::json!({"a": "x\"y", "n": 1.5, "l": ["p", "q"], "m": {"k": "v"}, "none": null});
    let template = Template::parse_data("{{ .a | toJson }} {{ .n }} {{ range .l }}{{ . }}{{ end }} {{ .m.k }} {{ toJson .m }} {{ .none }} {{ .missing }}").unwrap();
    assert_eq!(
        template.render_data(&data).as_deref(),
        Ok(r#""x\"y" 1.5 pq v {"k":"v"} <no value> <no value>"#)
    );
    assert!(Template::parse_data("{{ $labels.x }}").is_err());
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_engine_panic(text in "[{}$.|\"`a-z0-9 ()\\-=:,/*\n]{0,60}") {
        if let Ok(template) = Template::parse(&text) {
            let rendered = template.render(&Scope {
                labels: &Labels::empty(),
                value: 1.0,
                at: Timestamp::default(),
                context: &Context::default(),
                query: None,
            });
            proptest::prop_assert!(rendered.map_or(true, |text| text.len() <= 64 * 1024));
        }
    }
}

/// The words are those of Prometheus 3.12.
#[test]
fn a_title_has_the_words_that_unicode_has() {
    for (text, expected) in [
        ("host-01.example.com:443", "Host-01.Example.com:443"),
        ("my.model.v2", "My.model.v2"),
        ("UPPER.xy a.bc", "UPPER.xy A.bc"),
        ("1.2.3.4 a1.b2 a.1b", "1.2.3.4 A1.b2 A.1b"),
        ("http://a.b/c a..b", "Http://A.b/C A..B"),
        (
            "foo'bar foo_bar foo:bar kube-system",
            "Foo'bar Foo_bar Foo:bar Kube-System",
        ),
        (
            "foo·bar foo\u{2019}bar foo\u{2024}bar é.è",
            "Foo·bar Foo\u{2019}bar Foo\u{2024}bar É.è",
        ),
    ] {
        let template = format!("{{{{ title {text:?} }}}}");
        assert_eq!(render_with(&template, 0.0).as_deref(), Ok(expected));
    }
}
