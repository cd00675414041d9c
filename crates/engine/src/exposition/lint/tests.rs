use super::{Lint, lint};
use crate::exposition::Exposition;
use crate::metric::Timestamp;

fn found(body: &str) -> Vec<(Lint, usize)> {
    let body = format!("{body}# EOF\n");
    let findings = lint(&Exposition::openmetrics(body, Timestamp::default())).unwrap();
    findings
        .iter()
        .map(|finding| (finding.lint, finding.line))
        .collect()
}

#[test]
fn a_good_body_has_no_findings() {
    let body = "# TYPE a counter\n# HELP a text\na_total{x=\"1\"} 1 # {t=\"1\"} 1\na_created{x=\"1\"} 1\na_total{x=\"2\"} 1\n\
        # TYPE h histogram\nh_bucket{le=\"1.0\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_count 2\nh_sum 1.5\n\
        # TYPE g gauge\ng -1\n# TYPE s summary\ns{quantile=\"0.5\"} NaN\ns_count 1\ns_sum 1\n\
        # TYPE i info\ni_info{v=\"1\"} 1\n# TYPE e stateset\ne{e=\"on\"} 1\ne{e=\"off\"} 0\nplain 1\n";
    assert_eq!(found(body), []);
}

/// Bodies, the rule each one violates, and the line of the finding.
const VIOLATIONS: &[(&str, Lint, usize)] = &[
    (
        "# TYPE a gauge\n# TYPE a gauge\na 1\n",
        Lint::RepeatedMetadata,
        2,
    ),
    ("a 1\n# HELP a text\n", Lint::MetadataAfterSamples, 2),
    ("a 1\nb 1\na{x=\"1\"} 1\n", Lint::Interleaved, 3),
    (
        "# TYPE a gauge\na{x=\"1\"} 1 1\na{x=\"2\"} 1\na{x=\"1\"} 2 2\n",
        Lint::Interleaved,
        4,
    ),
    ("# TYPE a counter\na 1\n", Lint::WrongSuffix, 2),
    ("# TYPE a info\n# UNIT a \n", Lint::UnitNotAllowed, 2),
    ("# TYPE a counter\na_total NaN\n", Lint::BadCount, 2),
    ("# TYPE a counter\na_total -1\n", Lint::BadCount, 2),
    (
        "# TYPE a summary\na_count 1.5\na_sum 1\n",
        Lint::BadCount,
        2,
    ),
    (
        "# TYPE a summary\na{quantile=\"1.5\"} 1\n",
        Lint::BadLabel,
        2,
    ),
    ("# TYPE a stateset\na 1\n", Lint::BadLabel, 2),
    (
        "# TYPE a histogram\na_bucket{le=\"1.0\"} 1\n",
        Lint::BadBuckets,
        2,
    ),
    (
        "# TYPE a histogram\na_bucket{le=\"1.0\"} 2\na_bucket{le=\"+Inf\"} 1\n",
        Lint::BadBuckets,
        3,
    ),
    (
        "# TYPE a histogram\na_bucket{le=\"+Inf\"} 1\na_sum 1\n",
        Lint::SumWithoutCount,
        3,
    ),
    (
        "# TYPE a gaugehistogram\na_bucket{le=\"+Inf\"} 1\na_gcount 1\na_gsum -1\n",
        Lint::BadCount,
        4,
    ),
    (
        "# TYPE a histogram\na_bucket{le=\"Inf\"} 1\n",
        Lint::BadLabel,
        2,
    ),
    (
        "# TYPE a counter\na_total 1\n# TYPE a_created gauge\n",
        Lint::ClashingName,
        3,
    ),
    (
        "a_total 1\n# TYPE a counter\na_total 1\n",
        Lint::ClashingName,
        3,
    ),
    ("a_total 1 # {x=\"1\"} 1\n", Lint::MisplacedExemplar, 1),
    ("a{x=\"1\"} 1\na{x=\"1\"} 1 1\n", Lint::Repeated, 2),
    ("# TYPE a info\na_info 2\n", Lint::BadState, 2),
    ("# TYPE a stateset\na{a=\"on\"} 0.5\n", Lint::BadState, 2),
    ("a 1\na 2\n", Lint::Repeated, 2),
    ("a 1 5\na 2 4\n", Lint::Repeated, 2),
];

#[test]
fn each_violation_is_found_at_its_line() {
    for (body, lint, line) in VIOLATIONS {
        assert_eq!(found(body), [(*lint, *line)], "{body}");
    }
    let exemplar = format!(
        "# TYPE a counter\na_total 1 # {{x=\"{}\"}} 1\n",
        "y".repeat(128)
    );
    assert_eq!(found(&exemplar), [(Lint::LongExemplar, 2)]);
}

#[test]
fn the_text_format_has_no_findings() {
    let body = Exposition::text("a 1\nb 1\na{x=\"1\"} 1\n", Timestamp::default());
    assert_eq!(lint(&body), Ok(Vec::new()));
}
