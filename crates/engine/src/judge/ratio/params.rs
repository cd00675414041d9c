//! The parameters of `ratio`.

use serde_json::json;

use crate::describe::{Kind, Limits, Node, Scalar, Shape, section};
use crate::judge::budget::{Budget, FalseAlarms};

section! {
    /// A sequential test on the counts of a record with `ratio`: whether the share of bad
    /// observations has risen above what is usual, or above a bound.
    #[derive(Debug, Clone)]
    pub(in crate::judge) struct RatioParams {
        /// The least good share, or the greatest bad share, that is promised; without it, what is
        /// usual is learned.
        pub(super) bound: Option<f64> = None, between(0.0, 1.0), example("0.92");
        /// The least rise of the bad share that matters, as a factor.
        pub(super) at_least: Option<f64> as Option<Factor> = None,
            default_text("`1.25x`; with `bound`, `1.05x`"), example("2x");
        /// The least rise of the bad share that matters, in percentage points; the greater of the
        /// two counts.
        pub(super) points: Option<f64> = None, default_text("2; with `bound`, 0.5 or half of it"),
            between(0.0, 100.0), example("2");
        /// How many false alarms are accepted in which time.
        pub(super) false_alarms: Budget as FalseAlarms = Budget::MONTHLY, example("1/30d");
    }
}

impl RatioParams {
    /// The least rise that matters above a usual share.
    pub(super) fn least_rise(&self, usual: f64) -> f64 {
        let (factor, points) = match self.bound {
            Some(_) => (1.05, (usual * 50.0).min(0.5)),
            None => (1.25, 2.0),
        };
        let factor = self.at_least.unwrap_or(factor);
        let points = self.points.unwrap_or(points);
        (usual * (factor - 1.0)).max(points / 100.0)
    }
}

static FACTOR: Scalar = Scalar {
    name: "factor",
    doc: "A factor above 1, such as `2x` or `1.5`.",
    schema: || {
        json!({"anyOf": [
            {"type": "number", "exclusiveMinimum": 1},
            {"type": "string", "pattern": "^[0-9]+([.][0-9]+)?x?$"},
        ]})
    },
    show: |number| format!("{number}x"),
};

/// A factor above 1.
struct Factor;

impl Shape for Factor {
    type Value = f64;

    fn kind() -> Kind {
        Kind::Scalar(&FACTOR)
    }

    fn read(node: &Node<'_>, _limits: &Limits) -> Option<f64> {
        let text = node.text()?;
        let number = text.strip_suffix('x').unwrap_or(&text).trim().parse();
        let factor = number
            .ok()
            .filter(|factor| (1.0..=1000.0).contains(factor) && *factor > 1.0);
        if factor.is_none() {
            node.problem(format!("must be a factor above 1, such as 2x, got {text}"));
        }
        factor
    }

    fn show(factor: &f64) -> Option<String> {
        Some((FACTOR.show)(*factor))
    }
}
