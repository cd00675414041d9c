//! The parser against the simple reference parser, on random bodies.

use proptest::prelude::*;
use sidewatch_engine::exposition::Format;

use crate::exposition_reference::check;

/// Pieces of expositions; nonsense comes from their order.
const PIECES: [&str; 60] = [
    "a",
    "a_total",
    "b:c",
    "h_bucket",
    "h_sum",
    "h_created",
    "{",
    "}",
    "{",
    "}",
    "x=\"1\"",
    "y=\"\\n\\\"\\\\\\q\"",
    "le=\"1\"",
    "quantile=\"0.50\"",
    "le=\"1e6\"",
    "x=\"\u{e9}\"",
    "\"q.n\"",
    "\"q.n\"=\"v\"",
    ",",
    ",",
    " ",
    " ",
    " ",
    "\t",
    "\n",
    "\n",
    "\n",
    "\n",
    " 1\n",
    " 2\n",
    " 2.5\n",
    " 1",
    " -0.25",
    " NaN",
    " 1e400",
    " 1 1000\n",
    " 1 1.5\n",
    " +Inf\n",
    " 1 99999999999999\n",
    "# TYPE ",
    "# TYPE h histogram\n",
    "# TYPE h counter\n",
    "# TYPE h summary\n",
    "# HELP ",
    "# HELP a text\n",
    "# UNIT ",
    "# UNIT a_total total\n",
    "#",
    "# EOF",
    "# EOF\n",
    "\\",
    "\"",
    "\0",
    "\r\n",
    " # {t=\"1\"} 1\n",
    " # {} 1 2\n",
    "=",
    "__name__=\"z\"",
    "x",
    "9007199254740993\n",
];

/// Lines that are valid in both formats.
const LINES: [&str; 16] = [
    "a 1\n",
    "a 2\n",
    "a{x=\"1\"} 3\n",
    "a{x=\"1\",y=\"2\"} 4.5\n",
    "a{y=\"2\",x=\"1\"} 5\n",
    "a{x=\"2\"} 6e3\n",
    "b 7 8\n",
    "b 9\n",
    "# TYPE h histogram\n",
    "# TYPE h gauge\n",
    "h_bucket{le=\"1\"} 1\n",
    "h_bucket{le=\"1.0\"} 2\n",
    "h_sum 3\n",
    "h_count 12345678901234567890\n",
    "c_total 1\n",
    "{\"q.n\",x=\"1\"} 1\n",
];

fn body(pieces: &'static [&'static str], max: usize) -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(pieces), 0..max).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn text_of_random_pieces_is_read_as_the_reference_reads_it(a in body(&PIECES, 12), b in body(&PIECES, 12)) {
        check(&[a.as_bytes(), b.as_bytes(), a.as_bytes()], Format::Text);
    }

    #[test]
    fn openmetrics_of_random_pieces_is_read_as_the_reference_reads_it(a in body(&PIECES, 12), b in body(&PIECES, 12)) {
        let (a, b) = (format!("{a}# EOF\n"), format!("{b}\n# EOF"));
        check(&[a.as_bytes(), b.as_bytes(), a.as_bytes()], Format::OpenMetrics);
    }

    #[test]
    fn scrapes_in_any_order_are_what_each_is_alone(
        bodies in prop::collection::vec(body(&LINES, 20), 1..6),
    ) {
        let texts: Vec<&[u8]> = bodies.iter().map(String::as_bytes).collect();
        check(&texts, Format::Text);
        let opens: Vec<String> = bodies.iter().map(|body| format!("{body}# EOF\n")).collect();
        let opens: Vec<&[u8]> = opens.iter().map(String::as_bytes).collect();
        check(&opens, Format::OpenMetrics);
    }
}
