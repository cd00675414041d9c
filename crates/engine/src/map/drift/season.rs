//! What repeats itself in a reference.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::describe::worded;

/// What repeats itself in a reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Season {
    /// Nothing.
    #[default]
    None,
    /// The time of the day.
    Day,
    /// The time of the week.
    Week,
}

worded! {
    Season {
        "none" => Self::None, "One reference for all times.";
        "day" => Self::Day, "A window is compared with the same time of other days.";
        "week" => Self::Week, "A window is compared with the same time of other weeks.";
    }
}

impl Season {
    /// The time after which it repeats itself.
    #[must_use]
    pub fn period(self) -> Option<Duration> {
        let day = Duration::from_secs(86_400);
        match self {
            Self::None => None,
            Self::Day => Some(day),
            Self::Week => Some(7 * day),
        }
    }
}
