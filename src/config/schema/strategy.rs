//! Strategies of a watch.

use schemars::JsonSchema;

/// The bad side.
#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub(super) enum Direction {
    /// Too high is bad.
    Above,
    /// Too low is bad.
    Below,
    /// Either side is bad.
    Both,
}

/// What is normal, by type.
#[derive(JsonSchema)]
#[schemars(tag = "type", rename_all = "snake_case")]
pub(super) enum Strategy {
    Static(Static),
    Ewma(Ewma),
    Mad(Mad),
    Seasonal(Seasonal),
    Novelty(Novelty),
    Auto(Auto),
    Shift(Shift),
    PageHinkley(PageHinkley),
    Adwin(Adwin),
    Drift(Drift),
    /// Anomalous when one part is.
    AnyOf(Composition),
    /// Anomalous when every part is.
    AllOf(Composition),
}

/// Fixed bounds.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, extend("anyOf" = [{"required": ["bound"]}, {"required": ["lower"]}, {"required": ["upper"]}]))]
pub(super) struct Static {
    /// Anomalous beyond it, on the bad side.
    #[schemars(example = 0.9)]
    bound: Option<f64>,
    /// Anomalous below it.
    lower: Option<f64>,
    /// Anomalous above it.
    upper: Option<f64>,
    /// What the score is relative to when the bound is near 0; 1e-9 by default.
    #[schemars(extend("exclusiveMinimum" = 0))]
    min_deviation: Option<f64>,
    /// The bad side; that of the rule by default.
    direction: Option<Direction>,
}

/// An adaptive band: exponentially weighted mean and variance.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Ewma {
    /// Weight of a new value; 0.005 by default.
    #[schemars(extend("exclusiveMinimum" = 0, "exclusiveMaximum" = 1))]
    alpha: Option<f64>,
    /// Half the width of the band in standard deviations; 5 by default.
    #[schemars(extend("exclusiveMinimum" = 0))]
    k_sigma: Option<f64>,
    /// Values before the first judgement; 50 by default.
    #[schemars(range(min = 2, max = 1_000_000))]
    warm_up: Option<u32>,
    /// Least standard deviation in the unit of the value; 1e-9 by default.
    #[schemars(extend("exclusiveMinimum" = 0))]
    min_deviation: Option<f64>,
    /// Least standard deviation as a share of the mean, added to the former; 0.001 by default.
    #[schemars(range(min = 0))]
    min_relative_deviation: Option<f64>,
    /// A value teaches no more than this many standard deviations; 6 by default.
    #[schemars(extend("exclusiveMinimum" = 0))]
    clip_sigma: Option<f64>,
    /// Anomalous values in a row on one side after which the level is learnt anew; 50 by default.
    #[schemars(range(min = 1, max = 1_000_000))]
    relearn_after: Option<u32>,
    /// Values after an anomaly in which another is not reported; 0 by default.
    #[schemars(range(min = 0, max = 100_000))]
    cooldown: Option<u32>,
    /// The bad side; that of the rule by default.
    direction: Option<Direction>,
}

/// Rolling median and median absolute deviation.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Mad {
    /// Values that are remembered; 300 by default.
    #[schemars(range(min = 5, max = 100_000))]
    window: Option<u32>,
    /// Values before the first judgement, at most the window; 50 by default.
    #[schemars(range(min = 3, max = 100_000))]
    warm_up: Option<u32>,
    /// Half the width of the band in standard deviations; 6 by default.
    #[schemars(extend("exclusiveMinimum" = 0))]
    k_sigma: Option<f64>,
    /// Least standard deviation in the unit of the value; 1e-9 by default.
    #[schemars(extend("exclusiveMinimum" = 0))]
    min_deviation: Option<f64>,
    /// Least standard deviation as a share of the median, added to the former; 0.001 by default.
    #[schemars(range(min = 0))]
    min_relative_deviation: Option<f64>,
    /// Values after an anomaly in which another is not reported; 5 by default.
    #[schemars(range(min = 0, max = 100_000))]
    cooldown: Option<u32>,
    /// The bad side; that of the rule by default.
    direction: Option<Direction>,
}

/// Residuals by hour of the day or of the week, UTC.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Seasonal {
    /// What repeats itself; day by default.
    period: Option<Period>,
    /// Half the width of the band in standard deviations; 5 by default.
    #[schemars(extend("exclusiveMinimum" = 0))]
    k_sigma: Option<f64>,
    /// Values before the first judgement; 200 by default.
    #[schemars(range(min = 2, max = 1_000_000))]
    warm_up: Option<u32>,
    /// Least standard deviation in the unit of the value; 1e-9 by default.
    #[schemars(extend("exclusiveMinimum" = 0))]
    min_deviation: Option<f64>,
    /// Least standard deviation as a share of the expected value, added to the former; 0.001 by default.
    #[schemars(range(min = 0))]
    min_relative_deviation: Option<f64>,
    /// Anomalous values in a row on one side after which the level is learnt anew; 50 by default.
    #[schemars(range(min = 1, max = 1_000_000))]
    relearn_after: Option<u32>,
    /// Values after an anomaly in which another is not reported; 5 by default.
    #[schemars(range(min = 0, max = 100_000))]
    cooldown: Option<u32>,
    /// The bad side; that of the rule by default.
    direction: Option<Direction>,
}

/// What repeats itself.
#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum Period {
    Day,
    Week,
}

/// Novelty of records, of residuals and of shapes.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Novelty {
    /// Score that is anomalous.
    #[schemars(extend("exclusiveMinimum" = 0))]
    threshold: Option<f64>,
    /// Values before the first judgement.
    #[schemars(range(min = 10, max = 1_000_000))]
    warm_up: Option<u32>,
    /// Values after an anomaly in which another is not reported; 60 by default.
    #[schemars(range(min = 0, max = 100_000))]
    cooldown: Option<u32>,
    /// The bad side; that of the rule by default.
    direction: Option<Direction>,
}

/// Chooses by what it sees.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Auto {
    /// The bad side; that of the rule by default.
    direction: Option<Direction>,
}

/// Small lasting shifts, with a guaranteed average time between false alarms.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Shift {
    /// Values between two false alarms on average; 40320 by default.
    #[schemars(range(min = 10))]
    budget: Option<f64>,
    /// Values before the first judgement; 200 by default.
    #[schemars(range(min = 20, max = 100_000))]
    warm_up: Option<u32>,
    /// Whether the dependence of a value on the one before is removed; true by default.
    whiten: Option<bool>,
    /// Values after an anomaly in which another is not reported; 0 by default.
    #[schemars(range(min = 0, max = 100_000))]
    cooldown: Option<u32>,
    /// The bad side; that of the rule by default.
    direction: Option<Direction>,
}

/// The Page-Hinkley test.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct PageHinkley {
    /// Change that is tolerated; 0.005 by default.
    #[schemars(range(min = 0))]
    delta: Option<f64>,
    /// Sum of deviations that is anomalous; 50 by default.
    #[schemars(extend("exclusiveMinimum" = 0))]
    threshold: Option<f64>,
    /// Forgetting factor; 0.9999 by default.
    #[schemars(extend("exclusiveMinimum" = 0, "exclusiveMaximum" = 1))]
    alpha: Option<f64>,
    /// Values before the first judgement; 30 by default.
    #[schemars(range(min = 1, max = 1_000_000))]
    warm_up: Option<u32>,
    /// Values after an anomaly in which another is not reported; 0 by default.
    #[schemars(range(min = 0, max = 100_000))]
    cooldown: Option<u32>,
    /// The bad side; that of the rule by default.
    direction: Option<Direction>,
}

/// Adaptive windowing.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Adwin {
    /// Confidence of a cut; 0.002 by default.
    #[schemars(extend("exclusiveMinimum" = 0, "exclusiveMaximum" = 1))]
    delta: Option<f64>,
    /// Values between two looks for a cut; 32 by default.
    #[schemars(range(min = 1, max = 100_000))]
    clock: Option<u32>,
    /// Values before the first look; 10 by default.
    #[schemars(range(min = 2, max = 100_000))]
    grace_period: Option<u32>,
    /// Least values on either side of a cut; 5 by default.
    #[schemars(range(min = 1, max = 100_000))]
    min_window: Option<u32>,
    /// Values after an anomaly in which another is not reported; 0 by default.
    #[schemars(range(min = 0, max = 100_000))]
    cooldown: Option<u32>,
    /// The bad side; that of the rule by default.
    direction: Option<Direction>,
}

/// The calibrated limit of a drift record.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Drift {}

/// Strategies together.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Composition {
    #[schemars(length(min = 1, max = 16))]
    strategies: Vec<Strategy>,
    /// The bad side; that of the rule by default.
    direction: Option<Direction>,
}
