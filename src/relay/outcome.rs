//! What came of an alert that the relay received.

/// The outcome of one alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub(crate) enum Outcome {
    /// Retraining was requested.
    Requested,
    /// Retraining would have been requested, but `retraining.dry_run` is true.
    DryRun,
    /// The cool-down after the last request for its series has not ended.
    CoolingDown,
    /// An earlier request for its series is still in flight.
    InFlight,
    /// A limit on its model holds it back: the hourly one, or that on series with recent requests.
    Limited,
    /// The hourly limit over all models holds it back.
    TotalLimited,
    /// `retraining.enabled` is false.
    Disabled,
    /// No entry of `retrain` matches.
    Unmatched,
    /// It has no model label.
    NoModel,
    /// It is resolved.
    Resolved,
    /// It is not valid: its labels are too long, or it has no time.
    Refused,
}

impl Outcome {
    /// All outcomes with their values of the label `outcome`.
    pub(crate) const ALL: [(Self, &'static str); 11] = [
        (Self::Requested, "requested"),
        (Self::DryRun, "dry_run"),
        (Self::CoolingDown, "cooling_down"),
        (Self::InFlight, "in_flight"),
        (Self::Limited, "limited"),
        (Self::TotalLimited, "total_limited"),
        (Self::Disabled, "disabled"),
        (Self::Unmatched, "unmatched"),
        (Self::NoModel, "no_model"),
        (Self::Resolved, "resolved"),
        (Self::Refused, "refused"),
    ];
}
