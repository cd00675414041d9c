//! What a strategy says about one value.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::metric::Direction;

/// What is known about a value. Unknown is never `ok`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// The strategy has not seen enough to judge.
    WarmingUp,
    /// Within the limits.
    Ok,
    /// Beyond a limit: the score is above 1.
    Anomalous,
    /// There is no value to judge, or too little stands behind it.
    InsufficientData,
    /// The value is older than it should be.
    Stale,
    /// Judged by what was known before an incident; learning is suspended.
    Frozen,
    /// Nothing happens that could be judged: no traffic, or no replica at all.
    Idle,
}

impl State {
    /// Every state, in the order of the documentation.
    pub const ALL: [Self; 7] = [
        Self::WarmingUp,
        Self::Ok,
        Self::Anomalous,
        Self::InsufficientData,
        Self::Stale,
        Self::Frozen,
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
            Self::Frozen => "frozen",
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

/// What was expected before the value arrived, in its unit; a part that a strategy does not know is absent.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Band {
    /// Least value that is normal.
    pub lower: Option<f64>,
    /// The most likely value.
    pub centre: Option<f64>,
    /// Greatest value that is normal.
    pub upper: Option<f64>,
}

impl Band {
    /// `centre ± width`, only on the sides that are watched.
    #[must_use]
    pub fn around(centre: f64, width: f64, direction: Direction) -> Self {
        Self {
            lower: direction.watches_below().then_some(centre - width),
            centre: Some(centre),
            upper: direction.watches_above().then_some(centre + width),
        }
    }
}

/// A strategy's answer about one value.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// What is known.
    pub state: State,
    /// Distance from normal: 0 is normal, 1 exactly at the limit, above 1 anomalous. `None` while unknown.
    pub score: Option<f64>,
    /// On which side of the band an anomalous value lies, where there are sides.
    pub side: Option<Side>,
    /// What was expected.
    pub expected: Band,
    /// The reason in a sentence, empty when the value is normal.
    pub why: Cow<'static, str>,
}

impl Verdict {
    /// Judged: anomalous when `score` is above 1, ok otherwise. `why` is only asked when anomalous.
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
        }
    }

    /// There is nothing to judge, or too little stands behind it.
    #[must_use]
    pub fn insufficient(why: impl Into<Cow<'static, str>>) -> Self {
        Self::unknown(State::InsufficientData, why.into())
    }

    /// The value is older than it should be.
    #[must_use]
    pub fn stale(why: impl Into<Cow<'static, str>>) -> Self {
        Self::unknown(State::Stale, why.into())
    }

    /// Nothing happens that could be judged.
    #[must_use]
    pub fn idle(why: impl Into<Cow<'static, str>>) -> Self {
        Self::unknown(State::Idle, why.into())
    }

    /// The strategy has not seen enough yet.
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
        }
    }
}
