//! Decides when a firing watch requests retraining: N of M, cool-down, one at a time, veto, dry
//! run.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::metric::{Direction, Labels, Timestamp};

use super::key::GateKey;
use super::summary::Comparison;
use super::verdicts::Verdicts;
use super::verification::{Seen, Unverified, Verification, Verify};
use super::{idempotency_key, pairs};

/// The time that the limit on requests counts over.
pub(super) const HOUR: Duration = Duration::from_secs(3600);

/// The rule's `retrain` settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Shortest time between two requests of one series, and the length of an epoch of the
    /// idempotency key.
    pub cooldown: Duration,
    /// `3/5`: at least 3 of the last 5 verdicts were anomalous; `(1, 1)` requests at once.
    pub after: (u32, u32),
    /// How long a request counts as under way unless it is reported done.
    pub in_flight_timeout: Duration,
    /// Decide and log, but send nothing.
    pub dry_run: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            cooldown: Duration::from_secs(6 * 3600),
            after: (1, 1),
            in_flight_timeout: Duration::from_secs(24 * 3600),
            dry_run: false,
        }
    }
}

/// Why no request goes out now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hold {
    /// The alert does not fire.
    NotFiring,
    /// Fewer than N of the last M verdicts were anomalous.
    TooFew {
        /// Anomalous verdicts among the last M.
        anomalous: u32,
        /// N.
        needed: u32,
        /// M.
        of: u32,
    },
    /// The last request is too recent.
    CoolingDown {
        /// When the cool-down ends.
        until: Timestamp,
    },
    /// An earlier request is not done.
    InFlight {
        /// Its key.
        id: String,
        /// When it stops counting as under way.
        until: Timestamp,
    },
    /// As many other series as may request within an hour have requested.
    Limited {
        /// How many may.
        limit: usize,
    },
    /// The rule's `unless` returned a result, or its evaluation failed.
    Vetoed(String),
    /// `retraining.enabled` is false.
    Disabled,
}

impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFiring => f.write_str("the alert does not fire"),
            Self::TooFew {
                anomalous,
                needed,
                of,
            } => {
                write!(
                    f,
                    "{anomalous} of the last {of} verdicts were anomalous, {needed} are needed"
                )
            }
            Self::CoolingDown { until } => write!(f, "cooling down until {until}"),
            Self::InFlight { id, until } => {
                write!(f, "request {id} is under way, at most until {until}")
            }
            Self::Limited { limit } => {
                write!(f, "{limit} other series requested within the last hour")
            }
            Self::Vetoed(why) => write!(f, "vetoed: {why}"),
            Self::Disabled => f.write_str("retraining.enabled is false"),
        }
    }
}

/// The decision of a gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Send a request with this key.
    Request {
        /// The idempotency key.
        id: String,
    },
    /// Every check passed, but it is a dry run; the cool-down starts nevertheless.
    DryRun {
        /// The idempotency key.
        id: String,
    },
    /// Not now.
    Hold(Hold),
}

/// The state of one rule and one series without the pod's identity: the cool-down and the request
/// under way, which its replicas share, and the verdicts on each replica.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Gate {
    /// The latest verdicts on each series.
    #[serde(default)]
    replicas: Verdicts,
    pub(super) last_request: Option<Timestamp>,
    /// Its epoch, and the cool-down in milliseconds that it was counted in.
    #[serde(default)]
    last_epoch: Option<(i64, i64)>,
    pub(super) in_flight: Option<InFlight>,
    /// The series without a new observation since the last request, and the bits of their values
    /// then.
    #[serde(default, with = "pairs", skip_serializing_if = "BTreeMap::is_empty")]
    spent: BTreeMap<Labels, u64>,
    /// The versions since the last request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) verification: Option<Verification>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct InFlight {
    pub(super) id: String,
    pub(super) since: Timestamp,
}

/// One evaluation of a watch, as the gate needs it.
#[derive(Debug, Clone, Copy)]
pub struct Attempt<'a> {
    /// `model.id` and `model.version`.
    pub model: (&'a str, &'a str),
    /// The series of the alert, with the pod's identity.
    pub series: &'a Labels,
    /// The evaluation's time.
    pub at: Timestamp,
    /// Since when the alert fires, `None` when it does not.
    pub fired_at: Option<Timestamp>,
    /// `retraining.enabled`.
    pub enabled: bool,
    /// A limit beside that of the rule and model, where it admits no further series; `None` where it
    /// does.
    pub limit: Option<usize>,
}

impl Gate {
    /// Adds a verdict: whether the series was anomalous at this evaluation. Leave out unknown
    /// verdicts.
    pub fn verdict(&mut self, policy: &Policy, series: &Labels, anomalous: bool) {
        self.replicas.add(series, anomalous, policy.after.1);
    }

    /// Whether a series has had no new observation since the last request: none was `observed`, or
    /// its value is the same if that cannot be told.
    pub fn is_spent(
        &mut self,
        series: &Labels,
        value: f64,
        observed: impl FnOnce() -> Option<bool>,
    ) -> bool {
        let Some(bits) = self.spent.get(series) else {
            return false;
        };
        let is_new = observed().unwrap_or(*bits != value.to_bits());
        if is_new {
            self.spent.remove(series);
        }
        !is_new
    }

    /// Drops the verdicts on a series, since what they rest on is no evidence.
    pub fn drop_verdicts(&mut self, series: &Labels) {
        self.replicas.forget(|known| known == series);
    }

    /// A request was made for a series of this version: the `values` that its series have are no
    /// evidence for another one, and the next version is compared with this one.
    pub fn spend(
        &mut self,
        values: impl Iterator<Item = (Labels, f64)>,
        version: Option<&str>,
        at: Timestamp,
    ) {
        self.spent = values
            .map(|(series, value)| (series, value.to_bits()))
            .collect();
        self.replicas = Verdicts::default();
        let Some(version) = version else {
            return;
        };
        match &mut self.verification {
            Some(verification) => verification.requested(at),
            None => self.verification = Some(Verification::new(version, at)),
        }
    }

    /// Takes a value of a version in. Returns whether the incident is over: the version that runs
    /// now has been normal for an hour.
    pub fn see(&mut self, seen: Seen<'_>) -> bool {
        let verification = self.verification.as_mut();
        let is_over = verification.is_some_and(|verification| verification.see(seen));
        if is_over {
            self.verification = None;
        }
        is_over
    }

    /// Compares the version that runs now, whose alert fires, with the one before it. Returns a
    /// result that is new.
    pub fn compare(
        &mut self,
        version: &str,
        direction: Direction,
        verify: Verify,
        at: Timestamp,
    ) -> Option<Comparison> {
        let verification = self.verification.as_mut()?;
        let result = verification.compare(version, direction, verify, at);
        if result == Some(Comparison::Better) {
            self.verification = None;
        }
        result
    }

    /// Why no request may be made for this version now; `None` if one may.
    #[must_use]
    pub fn unverified(&self, version: &str, verify: Verify, at: Timestamp) -> Option<Unverified> {
        self.verification.as_ref()?.holds(version, verify, at)
    }

    /// The versions since the last request.
    #[must_use]
    pub fn verification(&self) -> Option<&Verification> {
        self.verification.as_ref()
    }

    /// Decides. `veto` is only called if every other check passed: `Ok(true)` vetoes, and so does
    /// an error.
    pub fn decide(
        &mut self,
        policy: &Policy,
        key: &GateKey,
        attempt: &Attempt<'_>,
        veto: impl FnOnce() -> Result<bool, String>,
    ) -> Decision {
        let fired_at = match self.holds(policy, attempt) {
            Ok(fired_at) => fired_at,
            Err(hold) => return Decision::Hold(hold),
        };
        match veto() {
            Ok(false) => {}
            Ok(true) => return Decision::Hold(Hold::Vetoed("unless holds".to_owned())),
            Err(error) => return Decision::Hold(Hold::Vetoed(format!("unless failed: {error}"))),
        }
        let length = millis(policy.cooldown);
        let mut epoch = epoch(fired_at, attempt.at, length);
        // An alert that fires again late in the epoch of the last request may be a full cool-down
        // after that request and still fall into its epoch.
        if let Some((last, _)) = self.last_epoch.filter(|(_, unit)| *unit == length) {
            epoch = epoch.max(last + 1);
        }
        self.last_epoch = Some((epoch, length));
        let id = idempotency_key(attempt.model, &key.rule, &key.series, epoch);
        self.last_request = Some(attempt.at);
        if policy.dry_run {
            return Decision::DryRun { id };
        }
        self.in_flight = Some(InFlight {
            id: id.clone(),
            since: attempt.at,
        });
        Decision::Request { id }
    }

    fn holds(&self, policy: &Policy, attempt: &Attempt<'_>) -> Result<Timestamp, Hold> {
        if !attempt.enabled {
            return Err(Hold::Disabled);
        }
        let fired_at = attempt.fired_at.ok_or(Hold::NotFiring)?;
        let (needed, of) = policy.after;
        let anomalous = self.replicas.anomalous(attempt.series, of);
        if anomalous < needed {
            return Err(Hold::TooFew {
                anomalous,
                needed,
                of,
            });
        }
        if let Some(until) = self.last_request.map(|last| last + policy.cooldown)
            && attempt.at < until
        {
            return Err(Hold::CoolingDown { until });
        }
        if let Some(flight) = &self.in_flight {
            let until = flight.since + policy.in_flight_timeout;
            if attempt.at < until {
                let id = flight.id.clone();
                return Err(Hold::InFlight { id, until });
            }
        }
        if let Some(limit) = attempt.limit {
            return Err(Hold::Limited { limit });
        }
        Ok(fired_at)
    }

    /// Whether it requested within the hour before `at`.
    #[must_use]
    pub fn asked_within_hour(&self, at: Timestamp) -> bool {
        self.last_request.is_some_and(|last| at < last + HOUR)
    }

    /// Until when the gate may hold a request back, counts for the hourly limit, or a new alert may
    /// fall into its last epoch: at most an hour or two cool-downs after a request.
    pub(super) fn busy_until(
        &self,
        cooldown: Duration,
        in_flight_timeout: Duration,
    ) -> Option<Timestamp> {
        let cooling = self.last_request.map(|last| last + HOUR.max(cooldown * 2));
        let flight = self.in_flight.as_ref();
        let flying = flight.map(|flight| flight.since + in_flight_timeout);
        let verified = self.verification.as_ref().map(Verification::kept_until);
        cooling.max(flying).max(verified)
    }

    /// Whether the gate may still hold a request back if its rule was removed and returns.
    pub(super) fn is_cooling(&self, at: Timestamp) -> bool {
        let last = self.last_request.zip(self.last_epoch);
        last.is_some_and(|(last, (_, length))| {
            let length = Duration::from_millis(u64::try_from(length).unwrap_or(0));
            at < last + length
        })
    }

    /// The series with verdicts, and those without a new observation since the last request.
    pub(super) fn series(&self) -> impl Iterator<Item = &Labels> {
        self.replicas.series().chain(self.spent.keys())
    }

    /// Drops the verdicts on these series.
    pub(super) fn drop_replicas(&mut self, is_gone: impl Fn(&Labels) -> bool) {
        self.spent.retain(|series, _| !is_gone(series));
        self.replicas.forget(is_gone);
    }

    /// The time of the last request.
    #[must_use]
    pub fn last_request(&self) -> Option<Timestamp> {
        self.last_request
    }

    /// The key of the request that is under way.
    #[must_use]
    pub fn in_flight(&self) -> Option<&str> {
        self.in_flight.as_ref().map(|flight| flight.id.as_str())
    }
}

/// The cool-down epoch: of the firing, and of each further cool-down it lasts. Replicas whose
/// alerts fired in the same epoch agree on it whenever they decide.
fn epoch(fired_at: Timestamp, at: Timestamp, length: i64) -> i64 {
    let lasted = i64::try_from(at.since(fired_at).as_millis()).unwrap_or(i64::MAX);
    fired_at.as_millis().div_euclid(length) + lasted / length
}

fn millis(cooldown: Duration) -> i64 {
    i64::try_from(cooldown.as_millis())
        .unwrap_or(i64::MAX)
        .max(1)
}
