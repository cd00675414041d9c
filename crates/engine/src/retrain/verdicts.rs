//! The latest verdicts on each series of a gate.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use crate::metric::Labels;

use super::pairs;

/// The latest verdicts on each series, newest last: whether it was anomalous.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Verdicts {
    #[serde(with = "pairs")]
    latest: BTreeMap<Labels, VecDeque<bool>>,
}

impl Verdicts {
    /// Adds a verdict on a series and keeps the last `of`.
    pub(super) fn add(&mut self, series: &Labels, anomalous: bool, of: u32) {
        if !self.latest.contains_key(series) {
            self.latest.insert(series.clone(), VecDeque::new());
        }
        let Some(latest) = self.latest.get_mut(series) else {
            return;
        };
        latest.push_back(anomalous);
        while latest.len() > of as usize {
            latest.pop_front();
        }
    }

    /// How many of the last `of` verdicts on a series were anomalous.
    pub(super) fn anomalous(&self, series: &Labels, of: u32) -> u32 {
        let latest = self.latest.get(series).into_iter().flatten().rev();
        let anomalous = latest.take(of as usize).filter(|anomalous| **anomalous);
        u32::try_from(anomalous.count()).unwrap_or(u32::MAX)
    }

    /// The series, in order.
    pub(super) fn series(&self) -> impl Iterator<Item = &Labels> {
        self.latest.keys()
    }

    /// Drops the verdicts on these series.
    pub(super) fn forget(&mut self, is_gone: impl Fn(&Labels) -> bool) {
        self.latest.retain(|series, _| !is_gone(series));
    }
}
