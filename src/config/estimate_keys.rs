//! The keys of an estimate.

use std::time::Duration;

use serde_json::json;

use super::rule_shapes::{CounterSelector, CounterSelectors};
use crate::describe::section;
use crate::map::estimate::Estimated;
use crate::promql::Expr;

section! {
    /// How right a model is expected to be without labels: from a histogram of calibrated `scores`, or
    /// from a sum and a count of `confidence`. It cannot see a change of what is right for the same
    /// input (concept drift), which leaves the scores as they are.
    #[schema(json!({"oneOf": [{"required": ["scores"]}, {"required": ["confidence"]}]}))]
    #[derive(Debug, Clone)]
    pub(super) struct EstimateKeys {
        /// A selector of cumulative buckets of probabilities of class 1.
        pub(super) scores: Option<Expr> as Option<CounterSelector> = None,
            example("prediction_score_bucket");
        /// In the place of `scores`: the name, without `_sum` and `_count`, of a summary or histogram of
        /// probabilities that the prediction is right.
        pub(super) confidence: Option<Expr> as Option<CounterSelector> = None,
            example("prediction_confidence");
        /// What is estimated.
        pub(super) of: Estimated = Estimated::Accuracy;
        /// From this score on the prediction is class 1.
        pub(super) threshold: f64 = 0.5, between(0.0, 1.0);
        /// What scores mean, measured on labelled predictions.
        pub(super) calibration: Option<CalibrationKeys> = None;
        /// Counters of labelled predictions, with which the estimate is compared. While they contradict
        /// it, the estimate has no value.
        pub(super) truth: Option<TruthKeys> = None;
        /// The labels that stay: there is one estimate for each of their values.
        pub(super) by: Vec<String> = Vec::new(), example("[model_name]");
        /// How much of the past the value covers, two evaluations at least and 31d at most.
        pub(super) window: Duration = Duration::from_secs(30 * 60);
        /// Fewest predictions in the window for an estimate, and fewest labels for a comparison.
        pub(super) min_samples: u64 = 100, at_least(1.0);
    }
}

section! {
    /// What scores mean. `sidewatch baseline --labels` measures it with the two selectors.
    #[derive(Debug, Clone)]
    pub(super) struct CalibrationKeys {
        required {
            /// The file with the measured shares of class 1, relative to the rule file.
            pub(super) file: String, example("calibration.yaml");
        }
        /// A selector of cumulative buckets of the scores of labelled predictions.
        pub(super) labelled: Option<Expr> as Option<CounterSelector> = None,
            example("labeled_score_bucket");
        /// A selector of those buckets for the predictions whose label is class 1.
        pub(super) positive: Option<Expr> as Option<CounterSelector> = None,
            example("labeled_score_bucket{label=\"1\"}");
    }
}

section! {
    /// Counters of labelled predictions.
    #[derive(Debug, Clone)]
    pub(super) struct TruthKeys {
        required {
            /// Those that are right.
            pub(super) good: Vec<Expr> as CounterSelectors, example("predictions_correct_total");
            /// All of them.
            pub(super) total: Vec<Expr> as CounterSelectors, example("predictions_labeled_total");
        }
    }
}
