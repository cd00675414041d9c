//! Words that stand for kinds of metrics and sides.

use crate::metric::{Direction, Metric};
use crate::worded;

worded! {
    Direction {
        "above" => Self::Above, "Too high is bad.";
        "below" => Self::Below, "Too low is bad.";
        "both" => Self::Both, "Either side is bad.";
    }
}

worded! {
    Metric {
        "inference_latency_ms" => Self::InferenceLatencyMs, "Time to answer one inference, in milliseconds; above is bad.";
        "accuracy" => Self::Accuracy, "Share of predictions that were right, 0 to 1; below is bad.";
        "prediction_drift" => Self::PredictionDrift, "Distance of the predictions from a reference distribution; above is bad.";
        "custom" => Self::Custom, "Anything else; above is bad.";
    }
}
