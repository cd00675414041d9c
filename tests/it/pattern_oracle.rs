//! Regular expressions beside promtool: random patterns mean the same in matchers and in
//! `label_replace`, and both refuse the same ones.
//!
//! In Prometheus 2.42 `.` matches no newline and a group is named by `(?P<…>` alone: no text has a
//! newline, and the generator does not use the other form. Prometheus accepts `a)(b` in `label_replace`,
//! where it puts the pattern into a group before it reads it; we refuse it there as in a matcher.
//! For the same reason 2.42 refuses `\Q` without `\E`, which is not generated.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use sidewatch_engine::metric::{Labels, Timestamp};
use sidewatch_engine::promql::{Batch, Expr, Query};

use super::promql_random::Random;
use super::support::tool;

/// Another seed or number is another test: `SIDEWATCH_SEED=7 SIDEWATCH_PATTERNS=10000`.
fn given(name: &str, default: u64) -> u64 {
    let given = std::env::var(name).ok();
    given.map_or(default, |given| given.parse().unwrap())
}

/// Pieces of patterns.
const PIECES: [&str; 40] = [
    "a",
    "b",
    "B",
    "k",
    "1",
    "0",
    "_",
    "-",
    "/",
    "é",
    "α",
    " ",
    ".",
    ".*",
    ".+",
    "^",
    "$",
    "|",
    "(?i)",
    "(?-i)",
    "(?s)",
    "(?U)",
    "{a}",
    "{,2}",
    "{",
    "}",
    "]",
    r"\d",
    r"\D",
    r"\w",
    r"\W",
    r"\s",
    r"\b",
    r"\B",
    r"\pL",
    r"\PL",
    r"\p{Lu}",
    r"\p{^Greek}",
    r"\QA.b\E",
    r"\x41",
];

/// Pieces that mostly are a mistake.
const BROKEN: [&str; 20] = [
    "(", ")", "(?:", "(?i:", "(?im-s:", "(?P<n>", "(?x)", "(?i-)", "(?", "*", "+?", "??", "{2}",
    "{1,}", "{2,1}", "[", r"\Q]\E", r"\060", r"\8", r"\E",
];

/// Items of classes, valid and not.
const ITEMS: [&str; 28] = [
    "a",
    "b",
    "k",
    "a-c",
    "A-Z",
    "0-9",
    "-",
    "&&",
    "--",
    "~~",
    "[",
    "[:alpha:]",
    "[:^digit:]",
    "[:no:]",
    r"\d",
    r"\W",
    r"\S",
    r"\pL",
    r"\P{Lu}",
    r"\.",
    r"\]",
    r"\-",
    "^",
    ".",
    "é",
    "α",
    r"\x{3b1}-\x{3c9}",
    r"\b",
];

fn class(random: &mut Random) -> String {
    let mut out = String::from(random.pick(&["[", "[", "[^"]));
    for _ in 0..=random.below(3) {
        out.push_str(random.pick(&ITEMS));
    }
    out + "]"
}

/// What mostly is a regular expression: balanced, every repetition behind something.
fn pattern(random: &mut Random, depth: usize) -> String {
    let mut out = String::new();
    for _ in 0..=random.below(4) {
        let piece = match random.below(if depth == 0 { 6 } else { 9 }) {
            0..=3 if random.chance(6) => random.pick(&BROKEN).to_owned(),
            0..=3 => random.pick(&PIECES).to_owned(),
            4 | 5 => class(random),
            6 => format!("({})", pattern(random, depth - 1)),
            7 => format!("(?i:{})", pattern(random, depth - 1)),
            _ => format!(
                "{}|{}",
                pattern(random, depth - 1),
                pattern(random, depth - 1)
            ),
        };
        out.push_str(&piece);
        if random.chance(25) {
            out.push_str(random.pick(&["*", "+", "?", "*?", "{2}", "{1,2}", "{0}"]));
        }
    }
    out
}

/// The texts that patterns meet: short ones of what patterns are made of, and real ones.
fn texts(random: &mut Random) -> Vec<String> {
    let mut texts: Vec<String> = [
        "",
        "a",
        "A",
        "b",
        "k",
        "\u{212a}",
        "1",
        "0",
        "_",
        "-",
        "/",
        "é",
        "É",
        "α",
        "Ω",
        " ",
        ".",
        "{",
        "}",
        "{a}",
        "{2}",
        "a{,2}",
        "[",
        "]",
        "&",
        "a&b",
        "~",
        "^",
        "A.b",
        "ab",
        "aab",
        "Ab1",
        "a b",
        "a-b",
        "/v1/models/{name}",
        "llama-3.1",
        "10.0.0.1:9090",
        "bé1",
        "kK",
    ]
    .map(str::to_owned)
    .into();
    for _ in 0..8 {
        let letters = (0..2 + random.below(4))
            .map(|_| random.pick(&["a", "b", "B", "k", "1", "é", "-", "{", " "]));
        texts.push(letters.collect());
    }
    texts.sort();
    texts.dedup();
    texts
}

/// Series of one text each.
fn batch(texts: &[String]) -> Batch {
    let series = texts.iter().enumerate().map(|(number, text)| {
        let labels = Labels::named("x", [("i", number.to_string().as_str()), ("v", text)]);
        (labels, vec![(Timestamp::from_millis(0), 1.0)])
    });
    Batch::new(series.collect::<BTreeMap<_, _>>())
}

/// An expectation of promtool for an expression: what we find, or nothing where we refuse it.
fn assertion(expr: &str, batch: &Batch) -> (String, bool) {
    let quoted = serde_json::to_string(expr).unwrap();
    let mut out = format!("  - expr: {quoted}\n    eval_time: 0s\n    exp_samples:\n");
    let found = Expr::parse(expr).ok().and_then(|expr| {
        let evaluated = Query::new(expr)
            .eval(batch, Timestamp::from_millis(0))
            .ok()?;
        evaluated.value.into_vector(Timestamp::from_millis(0)).ok()
    });
    let is_refused = found.is_none();
    for sample in found.unwrap_or_default() {
        let labels = serde_json::to_string(&sample.labels.to_string()).unwrap();
        writeln!(out, "    - {{labels: {labels}, value: 1}}").unwrap();
    }
    (out, is_refused)
}

/// What promtool does not find as we do, and how many expressions it refuses.
fn differences(promtool: &Path, expressions: &[String], texts: &[String]) -> (Vec<String>, usize) {
    let batch = batch(texts);
    let mut file = String::from("tests:\n- interval: 1m\n  input_series:\n");
    for (number, text) in texts.iter().enumerate() {
        let labels = Labels::named("x", [("i", number.to_string().as_str()), ("v", text)]);
        let series = serde_json::to_string(&labels.to_string()).unwrap();
        writeln!(file, "  - {{series: {series}, values: '1'}}").unwrap();
    }
    file.push_str("  promql_expr_test:\n");
    let mut refused = Vec::new();
    for expression in expressions {
        let (text, is_refused) = assertion(expression, &batch);
        file.push_str(&text);
        if is_refused {
            refused.push(expression);
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.yaml");
    fs::write(&path, file).unwrap();
    let output = Command::new(promtool)
        .args(["test", "rules"])
        .arg(&path)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    let mut wrong = Vec::new();
    let mut theirs = Vec::new();
    for line in said
        .lines()
        .filter(|line| line.trim_start().starts_with("expr: "))
    {
        // `    expr: "…", time: 0s,` and then `err: …`, or the samples on lines of their own.
        match line.split_once(", time: 0s, err: ") {
            Some((expr, _)) => theirs.push(unquoted(expr)),
            None => wrong.push(format!("{line}\n{}", after(&said, line))),
        }
    }
    wrong.extend(
        theirs
            .iter()
            .filter(|expr| !refused.contains(expr))
            .map(|expr| format!("only we accept {expr}")),
    );
    wrong.extend(
        refused
            .iter()
            .filter(|expr| !theirs.contains(expr))
            .map(|expr| format!("only we refuse {expr}")),
    );
    assert!(said.contains("FAILED") || refused.is_empty(), "{said}");
    (wrong, theirs.len())
}

fn after<'s>(said: &'s str, line: &str) -> &'s str {
    let at = said.find(line).unwrap_or_default();
    let rest = said.get(at + line.len()..).unwrap_or_default();
    rest.split("expr: ").next().unwrap_or_default()
}

/// The expression of a line of promtool, which quotes it as Go does.
fn unquoted(line: &str) -> String {
    let quoted = line.trim_start().strip_prefix("expr: ").unwrap();
    serde_json::from_str(quoted).unwrap_or_else(|_| quoted.to_owned())
}

#[test]
fn random_patterns_mean_what_they_mean_in_prometheus() {
    let Some(promtool) = tool("promtool") else {
        return;
    };
    let mut random = Random::new(given("SIDEWATCH_SEED", 20_261_130));
    let texts = texts(&mut random);
    let mut expressions = Vec::new();
    for number in 0..given("SIDEWATCH_PATTERNS", 1000) {
        let pattern = serde_json::to_string(&pattern(&mut random, 2)).unwrap();
        let matcher = format!("x{{v=~{pattern}}}");
        if number % 4 == 0 && Expr::parse(&matcher).is_ok() {
            expressions.push(format!(
                "label_replace(x, \"r\", \"<$1|$n>\", \"v\", {pattern})"
            ));
        }
        expressions.push(matcher);
    }
    expressions.sort();
    expressions.dedup();
    let (wrong, refused) = differences(&promtool, &expressions, &texts);
    println!("{} expressions, {refused} refused", expressions.len());
    let shown: Vec<&String> = wrong.iter().take(8).collect();
    assert!(
        wrong.is_empty(),
        "{} of {} differ: {shown:#?}",
        wrong.len(),
        expressions.len()
    );
    let share = refused * 100 / expressions.len();
    assert!((10..60).contains(&share), "{share} % are refused");
}
