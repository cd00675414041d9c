//! Templates and alert states against Prometheus itself: promtool must agree.

use std::fmt::Write as _;
use std::fs;
use std::process::Command;
use std::time::Duration;

use sidewatch_engine::alert::template::Scope;
use sidewatch_engine::alert::{AlertRule, Context, Observation, Outcome, Template, Tracker};
use sidewatch_engine::metric::{Labels, Timestamp};

use super::support::tool;

/// Runs `promtool test rules` over a rule file and a test file; the test fails with promtool's
/// words.
fn promtool_agrees(rules: &str, tests: &str) {
    let Some(promtool) = tool("promtool") else {
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("rules.yaml"), rules).unwrap();
    fs::write(directory.path().join("tests.yaml"), tests).unwrap();
    let output = Command::new(promtool)
        .args(["test", "rules", "tests.yaml"])
        .current_dir(directory.path())
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&said)
    );
}

/// A YAML scalar in double quotes, which is what JSON writes.
fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}

/// Templates as people write them, and the corners of Go's formatting.
const TEMPLATES: [&str; 62] = [
    "{{ $labels.job }} on {{ $labels.instance }} is {{ $value }}",
    "{{ $labels }}",
    "{{ .Labels.job }}/{{ .Value }}",
    "{{ $labels.missing }}|",
    "{{ $value | humanize }}",
    "{{ $value | humanize1024 }}",
    "{{ $value | humanizeDuration }}",
    "{{ $value | humanizePercentage }}",
    "{{ $value | humanizeTimestamp }}",
    "{{ humanize \"123456.789\" }}",
    "{{ printf \"%.2f\" $value }}",
    "{{ $value | printf \"%.0f\" }}",
    "{{ printf \"%e %E %g %G\" $value $value $value $value }}",
    "{{ printf \"%8.3f|%-10.1f|%+.1f|%010.2f\" $value $value $value $value }}",
    "{{ printf \"%d\" $value }}",
    "{{ printf \"%s\" $value }}",
    "{{ printf \"%v %v\" $value }}",
    "{{ printf \"%v\" $value $labels.job }}",
    "{{ printf \"%q %s %10s|%-10s|\" $labels.job $labels.job $labels.job $labels.job }}",
    "{{ printf \"%t %v\" true false }}",
    "{{ printf \"%x %X %o %b %c\" 255 255 8 5 65 }}",
    "{{ printf \"%5d|%-5d|%05d|%+d\" 42 42 42 42 }}",
    "{{ printf \"%.3g %.10g\" $value $value }}",
    "{{ printf \"100%%\" }}",
    "{{ printf \"%.2s\" $labels.job }}",
    "{{ print 1 2 \"a\" \"b\" 3 }}",
    "{{ println \"a\" 1 }}",
    "{{ if gt $value 1.0 }}high{{ else }}low{{ end }}",
    "{{ if lt $value 0.5 }}a{{ else if eq $labels.job \"api\" }}b{{ else }}c{{ end }}",
    "{{ if and (ge $value 0.0) (ne $labels.job \"x\") }}yes{{ end }}",
    "{{ or $labels.none $labels.job }}",
    "{{ and $labels.job $labels.none }}|",
    "{{ not $labels.none }}",
    "{{ eq $labels.job \"a\" \"b\" \"api\" }}",
    "{{ with $labels.job }}[{{ . }}]{{ end }}",
    "{{ with $labels.none }}x{{ else }}none{{ end }}",
    "{{ $x := 1 }}{{ if true }}{{ $x = 2 }}{{ end }}{{ $x }}",
    "{{ range $k, $v := $labels }}{{ $k }}={{ $v }};{{ end }}",
    "{{ len $labels }} {{ len $labels.job }}",
    "{{ index $labels \"job\" }}",
    "{{ slice $labels.job 1 }} {{ slice $labels.job 0 2 }}",
    "{{ define \"t\" }}<{{ . }}>{{ end }}{{ template \"t\" $labels.job }}",
    "{{ toUpper $labels.job }} {{ toLower \"ABC\" }} {{ title \"some words here\" }}",
    "{{ reReplaceAll \"(.*):(.*)\" \"$2-$1\" $labels.instance }}",
    "{{ $labels.job | reReplaceAll \"p\" \"PP\" }}",
    "{{ match \"a.*\" $labels.job }} {{ match \"^z\" $labels.job }}",
    "{{ stripPort $labels.instance }}",
    "{{ parseDuration \"2h10m15s\" }}",
    "{{ graphLink \"up == 0\" }} {{ tableLink \"up{job='a b'}\" }}",
    "{{ \"raw\\ttab \\u00e9 \\x41\" }} {{ `back\\tquote` }}",
    "a {{- \" b \" -}} c",
    "x {{/* a comment */}} y",
    "x {{- /* a comment */ -}} y",
    "{{ 1 }} {{ 1.5 }} {{ 1e3 }} {{ 0x1f }} {{ 'a' }} {{ -3 }}",
    "{{ true }} {{ false }}",
    "{{ html \"<a href='x'>&\" }} {{ urlquery \"a b&c\" }}",
    "{{ js \"it's <b>\" }}",
    "{{ ($labels.job | printf \"%s!\") }}",
    "{{ printf \"%s\" ($labels.job | toUpper) | printf \"%q\" }}",
    "{{ $labels.job | len | printf \"%03d\" }}",
    "{{ range $i, $e := query \"metric\" }}{{ $i }}:{{ $e.Labels.job }}={{ $e.Value }} {{ end }}",
    "{{ query \"metric\" | first | value }} {{ query \"metric\" | sortByLabel \"job\" | first | label \"job\" }}",
];

/// Values that promtool's series notation can write.
const VALUES: [&str; 14] = [
    "0.959",
    "1",
    "90.5",
    "1048576",
    "123456",
    "1234567",
    "0.0001",
    "0.00001",
    "135.3563",
    "86461",
    "-12.5",
    "9000000000",
    "0.30000000000000004",
    "1435065584.128",
];

#[test]
fn promtool_expands_templates_to_the_same_text() {
    let labels = [("instance", "host:9100"), ("job", "api")];
    let series = Labels::named("metric", labels);
    for value in VALUES {
        let number: f64 = value.parse().unwrap();
        let answer = |_: &str, _: Timestamp| Ok(vec![(series.clone(), number)]);
        let context = Context::default();
        let mut annotations = String::new();
        let mut expected = String::new();
        for (n, source) in TEMPLATES.iter().enumerate() {
            let template = Template::parse(source).unwrap();
            let text = template.expand(&Scope {
                labels: &series,
                value: number,
                at: Timestamp::from_millis(0),
                context: &context,
                query: Some(&answer),
            });
            writeln!(annotations, "      a{n}: {}", quoted(source)).unwrap();
            writeln!(expected, "        a{n}: {}", quoted(&text)).unwrap();
        }
        let rules = format!(
            "groups:\n- name: g\n  rules:\n  - alert: A\n    expr: metric > -1e300\n    annotations:\n{annotations}"
        );
        let tests = format!(
            "rule_files: [rules.yaml]\ntests:\n- interval: 1m\n  input_series:\n  \
             - {{series: 'metric{{instance=\"host:9100\",job=\"api\"}}', values: '{value}'}}\n  alert_rule_test:\n  \
             - eval_time: 0m\n    alertname: A\n    exp_alerts:\n    - exp_labels: {{instance: 'host:9100', job: api}}\n      \
             exp_annotations:\n{expected}"
        );
        promtool_agrees(&rules, &tests);
    }
}

/// Presence of two series over time, as promtool writes it: `1` present above the bound, `0` below,
/// `_` absent.
fn pattern(seed: u64, length: usize) -> Vec<char> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut current = '0';
    (0..length)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            // Runs are long enough to fire and short enough to resolve.
            if state.is_multiple_of(3) {
                current = if current == '1' { '0' } else { '1' };
            }
            current
        })
        .collect()
}

/// Drives our tracker over the patterns; gives promtool's expectations and how many alerts fired.
fn fired(rule: &AlertRule, pods: [&str; 2], patterns: &[Vec<char>]) -> (String, usize) {
    let context = Context::default();
    let mut tracker = Tracker::new();
    let (mut tests, mut count) = (String::new(), 0);
    for step in 0..STEPS {
        let at = Timestamp::from_millis(i64::try_from(step).unwrap() * 60_000);
        let active = pods
            .iter()
            .zip(patterns)
            .filter(|(_, pattern)| pattern[step] == '1');
        let vector =
            active.map(|(pod, _)| Observation::active(Labels::named("x", [("pod", *pod)]), 1.0));
        tracker.evaluate(rule, at, Outcome::Observed(vector.collect()), &context);
        writeln!(
            tests,
            "  - eval_time: {step}m\n    alertname: A\n    exp_alerts:"
        )
        .unwrap();
        for alert in tracker.firing(rule, &context) {
            count += 1;
            let pod = alert.labels.get("pod").unwrap();
            writeln!(tests, "    - exp_labels: {{pod: {pod}}}").unwrap();
        }
    }
    (tests, count)
}

const STEPS: usize = 60;

#[test]
fn promtool_fires_at_the_same_times() {
    let cases = [(0, 0), (2, 0), (0, 3), (2, 3), (3, 1), (5, 4)];
    for (case, (hold, keep)) in cases.into_iter().enumerate() {
        let minutes = |n: u64| Duration::from_secs(n * 60);
        let rule = AlertRule {
            name: "A".into(),
            hold: minutes(hold),
            keep_firing_for: minutes(keep),
            interval: minutes(1),
            ..AlertRule::default()
        };
        let pods = ["a", "b"];
        let patterns: Vec<Vec<char>> = (0..2)
            .map(|n| pattern(case as u64 * 2 + n + 1, STEPS))
            .collect();
        let (tests, count) = fired(&rule, pods, &patterns);
        assert!(
            count > 5,
            "the pattern of case {case} fires too rarely to say anything"
        );
        let series = pods
            .iter()
            .zip(&patterns)
            .fold(String::new(), |mut out, (pod, pattern)| {
                let values: Vec<String> = pattern.iter().map(char::to_string).collect();
                writeln!(
                    out,
                    "  - {{series: 'x{{pod=\"{pod}\"}}', values: '{}'}}",
                    values.join(" ")
                )
                .unwrap();
                out
            });
        let rules = format!(
            "groups:\n- name: g\n  rules:\n  - alert: A\n    expr: x > 0\n    for: {hold}m\n    keep_firing_for: {keep}m\n"
        );
        let tests = format!(
            "rule_files: [rules.yaml]\nevaluation_interval: 1m\ntests:\n- interval: 1m\n  input_series:\n{series}  alert_rule_test:\n{tests}"
        );
        promtool_agrees(&rules, &tests);
    }
}
