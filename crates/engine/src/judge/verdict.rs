//! The result of judging one value.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::metric::{Direction, rounded};

/// The state of a value. A value that cannot be judged is never `ok`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// The strategy has seen too few samples to judge.
    WarmingUp,
    /// Within the limits.
    Ok,
    /// Beyond a limit: the score is above 1.
    Anomalous,
    /// There is no value to judge, or it is based on too few observations.
    InsufficientData,
    /// The value is older than it should be.
    Stale,
    /// There is nothing to judge: no traffic, or no replica.
    Idle,
}

impl State {
    /// Every state, in the order of the documentation.
    pub const ALL: [Self; 6] = [
        Self::WarmingUp,
        Self::Ok,
        Self::Anomalous,
        Self::InsufficientData,
        Self::Stale,
        Self::Idle,
    ];

    /// The word for this state in labels and JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::WarmingUp => "warming_up",
            Self::Ok => "ok",
            Self::Anomalous => "anomalous",
            Self::InsufficientData => "insufficient_data",
            Self::Stale => "stale",
            Self::Idle => "idle",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The side of the expected band on which a value lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// Higher than expected.
    Above,
    /// Lower than expected.
    Below,
}

impl Side {
    /// The word for this side.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Above => "above",
            Self::Below => "below",
        }
    }

    /// The side of a deviation from the centre.
    #[must_use]
    pub fn of(deviation: f64) -> Self {
        if deviation < 0.0 {
            Self::Below
        } else {
            Self::Above
        }
    }

    /// Whether a direction watches this side.
    #[must_use]
    pub fn is_watched(self, direction: Direction) -> bool {
        match self {
            Self::Above => direction.watches_above(),
            Self::Below => direction.watches_below(),
        }
    }
}

/// The normal values, in the unit of the metric, as known before the value arrived. A strategy may
/// not know all of them.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Band {
    /// The least normal value.
    pub lower: Option<f64>,
    /// The most likely value.
    pub centre: Option<f64>,
    /// The greatest normal value.
    pub upper: Option<f64>,
}

impl Band {
    /// A most likely value without limits.
    #[must_use]
    pub(super) fn about(centre: f64) -> Self {
        Self {
            centre: Some(centre),
            ..Self::default()
        }
    }

    /// `centre ± width`, with limits only on the sides that are watched.
    #[must_use]
    pub fn around(centre: f64, width: f64, direction: Direction) -> Self {
        Self {
            lower: direction.watches_below().then_some(centre - width),
            centre: Some(centre),
            upper: direction.watches_above().then_some(centre + width),
        }
    }
}

/// The result of judging one value.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// The state of the value.
    pub state: State,
    /// The distance from normal: 0 is normal, 1 exactly at the limit, above 1 anomalous. `None` if
    /// it was not judged.
    pub score: Option<f64>,
    /// The side of the band on which an anomalous value lies, where there is one.
    pub side: Option<Side>,
    /// The normal values.
    pub expected: Band,
    /// The reason in a sentence, empty if the value is normal.
    pub why: Cow<'static, str>,
    /// An incident has recovered when the score is at most this.
    pub recovery: f64,
}

impl Verdict {
    /// The [`recovery`](Self::recovery) of a learned level: clearly inside the band, so that a value
    /// at the limit does not end an incident again and again.
    pub const RECOVERY: f64 = 0.8;

    /// A judged value: anomalous if `score` is above 1, else ok. `why` is only called for an
    /// anomalous value.
    #[must_use]
    pub fn judged(
        score: f64,
        side: Option<Side>,
        expected: Band,
        why: impl FnOnce() -> Cow<'static, str>,
    ) -> Self {
        let anomalous = score > 1.0;
        Self {
            state: if anomalous {
                State::Anomalous
            } else {
                State::Ok
            },
            score: Some(score.clamp(0.0, f64::MAX)),
            side: side.filter(|_| anomalous),
            expected,
            why: if anomalous { why() } else { Cow::Borrowed("") },
            recovery: Self::RECOVERY,
        }
    }

    /// The same verdict, recovered at the limit itself, as for a fixed limit.
    #[must_use]
    pub fn recovered_at_limit(self) -> Self {
        Self {
            recovery: 1.0,
            ..self
        }
    }

    /// An infinite value: beyond every limit on its side, and ok on a side that is not watched.
    #[must_use]
    pub fn infinite(value: f64, direction: Direction, expected: Band) -> Self {
        let side = Side::of(value);
        let score = if side.is_watched(direction) {
            f64::MAX
        } else {
            0.0
        };
        Self::judged(score, Some(side), expected, || {
            Cow::Owned(format!(
                "{} is {} every limit",
                rounded(value),
                side.as_str()
            ))
        })
    }

    /// There is no value to judge, or it is based on too few observations.
    #[must_use]
    pub fn insufficient(why: impl Into<Cow<'static, str>>) -> Self {
        Self::unknown(State::InsufficientData, why.into())
    }

    /// The value is older than it should be.
    #[must_use]
    pub fn stale(why: impl Into<Cow<'static, str>>) -> Self {
        Self::unknown(State::Stale, why.into())
    }

    /// There is nothing to judge.
    #[must_use]
    pub fn idle(why: impl Into<Cow<'static, str>>) -> Self {
        Self::unknown(State::Idle, why.into())
    }

    /// The strategy has seen too few samples.
    #[must_use]
    pub fn warming_up(why: impl Into<Cow<'static, str>>) -> Self {
        Self::unknown(State::WarmingUp, why.into())
    }

    /// Whether the value is beyond a limit.
    #[must_use]
    pub fn is_anomalous(&self) -> bool {
        self.state == State::Anomalous
    }

    fn unknown(state: State, why: Cow<'static, str>) -> Self {
        Self {
            state,
            score: None,
            side: None,
            expected: Band::default(),
            why,
            recovery: Self::RECOVERY,
        }
    }
}
