//! `seasonal`: what is usual at this time of day, learned once a day.

use std::borrow::Cow;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::calendar::{Calendar, Date, Days, LocalTime, Zone};
use super::moments::Moments;
use super::registry::Built;
use super::streaming::{COOLDOWN, Common, Core, Step, Streaming};
use super::visits::{Slots, Visit};
use super::{
    Band, EwmaParams, Level, Problem, Registry, Side, StrategyContext, ThresholdStrategy, Verdict,
    read_params,
};
use crate::describe::section;
use crate::metric::{Direction, Timestamp, rounded};

/// A visit of a slot has at least this many values, so that its median means something.
const VALUES_A_VISIT: u32 = 10;

section! {
    /// A usual level for each time of the local day, learned once a day; what differs from it is
    /// judged. A time of day that was seen less than twice is judged like `ewma`.
    pub(super) struct SeasonalParams {
        /// Which days are alike.
        pub(super) days: Days = Days::Alike;
        /// The time zone of the users, in which the day repeats itself. Daylight saving is followed.
        pub(super) timezone: Zone = Zone::UTC, example("Europe/Berlin");
        /// Dates that are like a Sunday, with `days: weekend` or `each`.
        pub(super) holidays: Vec<Date> = Vec::new(), example("[2026-12-25, 2027-01-01]");
        /// Length of the times of day that are told apart; at least ten intervals.
        pub(super) slot: Duration = Duration::from_secs(600), within(60.0, 86_400.0);
        /// Half the width of the band, in standard deviations.
        pub(super) k_sigma: f64 = 5.0, above(0.0);
        /// How many values are learned before the first is judged.
        pub(super) warm_up: u32 = 50, within(2.0, 1_000_000.0);
        /// Least standard deviation, in the unit of the value.
        pub(super) min_deviation: f64 = 1e-9, above(0.0);
        /// Least standard deviation as a share of the expected value, added to `min_deviation`.
        pub(super) min_relative_deviation: f64 = 1e-3, at_least(0.0);
        /// In a list of events, the time after an anomaly in which only a higher score is another one.
        pub(super) cooldown: Duration = COOLDOWN;
        /// Which side is bad.
        pub(super) direction: Option<Direction> = None, default_text("that of the rule");
    }
}

/// Parameters that were removed, and what to write instead.
const REMOVED: [(&str, &str); 2] = [
    (
        "period",
        "was removed; write days: alike for a day, or days: each for a week",
    ),
    (
        "relearn_after",
        "was removed, because a slot learns one value a visit; leave it out",
    ),
];

/// The parameters, and what follows from them.
#[derive(Debug, Clone)]
pub(super) struct Setup {
    calendar: Calendar,
    /// Seconds of a slot.
    slot: i64,
    slots: usize,
    /// How times are judged that are not known yet.
    young: EwmaParams,
}

impl Setup {
    fn new(params: SeasonalParams, context: &StrategyContext) -> Self {
        let least = context.interval.saturating_mul(VALUES_A_VISIT);
        let slot = params.slot.max(least).as_secs().clamp(1, 86_400);
        Self {
            slot: slot as i64,
            slots: 86_400_u64.div_ceil(slot) as usize,
            young: EwmaParams {
                k_sigma: params.k_sigma,
                warm_up: params.warm_up,
                min_deviation: params.min_deviation,
                min_relative_deviation: params.min_relative_deviation,
                direction: params.direction.unwrap_or(context.direction),
                interval: context.interval,
                ..EwmaParams::default()
            },
            calendar: Calendar {
                zone: params.timezone,
                days: params.days,
                holidays: params.holidays,
            },
        }
    }

    /// The slot of a local time.
    fn place(&self, at: Timestamp) -> Place {
        let LocalTime { day, kind, second } = self.calendar.at(at);
        let slot = (second / self.slot) as usize;
        Place { day, kind, slot }
    }

    /// The least standard deviation around a value.
    fn floor(&self, centre: f64) -> f64 {
        self.young.min_deviation + self.young.min_relative_deviation * centre.abs()
    }
}

/// A slot of one day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Place {
    day: i64,
    kind: usize,
    slot: usize,
}

/// The normal values of a slot: so far above and below the centre.
#[derive(Debug, Clone, Copy)]
struct Range {
    centre: f64,
    below: f64,
    above: f64,
}

impl Range {
    fn band(self, direction: Direction) -> Band {
        Band {
            lower: Band::around(self.centre, self.below, direction).lower,
            ..Band::around(self.centre, self.above, direction)
        }
    }
}

/// Learns the median of each visit to a slot of the local day and keeps seven of them, so an
/// incident is one visit of seven. 4.8 KB a kind of day with slots of 10 minutes.
///
/// The band is the widest of the slot and its two neighbours, because what repeats itself daily
/// does not do so to the minute.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Seasonal {
    /// The time zone in which it was learned.
    timezone: String,
    /// The slots of each kind of day, empty before the first such day.
    kinds: Vec<Slots>,
    /// The present visit.
    place: Option<Place>,
    visit: Visit,
    /// Judges times that are not known yet.
    young: Moments,
}

impl Core for Seasonal {
    const KIND: &'static str = "seasonal";
    const VERSION: u32 = 2;
    const LEVEL: Level = Level::Learned;
    type Params = Setup;

    fn new(setup: &Setup) -> Self {
        Self {
            timezone: setup.calendar.zone.name().to_owned(),
            kinds: vec![Slots::default(); setup.calendar.days.kinds()],
            place: None,
            visit: Visit::default(),
            young: Moments::default(),
        }
    }

    fn band(&self, setup: &Setup, at: Timestamp, direction: Direction) -> Option<Band> {
        match self.range(setup, setup.place(at)) {
            Some(range) => Some(range.band(direction)),
            None => self.young.band(&setup.young),
        }
    }

    fn assess(&mut self, setup: &Setup, step: Step) -> Verdict {
        let Some(range) = self.range(setup, setup.place(step.at)) else {
            return self.young.assess(&setup.young, &step.weighed);
        };
        let d = step.weighed.nearest(range.centre) - range.centre;
        let side = Side::of(d);
        let score = match side {
            _ if !side.is_watched(step.direction) => 0.0,
            Side::Above => d / range.above,
            Side::Below => -d / range.below,
        };
        Verdict::judged(score, Some(side), range.band(step.direction), || {
            let word = side.as_str();
            Cow::Owned(format!(
                "{} is {word} what is usual at this time of day, about {}",
                step.weighed.shown(),
                rounded(range.centre)
            ))
        })
    }

    fn learn(&mut self, setup: &Setup, step: Step) {
        let place = setup.place(step.at);
        if self.place != Some(place) {
            self.end_visit(setup);
            self.place = Some(place);
        }
        self.visit.add(step.x);
        self.young.learn(&setup.young, &step.weighed, step.steps);
    }

    fn renew(&mut self, setup: &Setup) {
        *self = Self::new(setup);
    }

    fn fits(&self, setup: &Setup) -> Result<(), &'static str> {
        let days = setup.calendar.days.kinds();
        let is_intact = |slots: &Slots| slots.is_intact(0) || slots.is_intact(setup.slots);
        let is_known = |place: &Place| place.kind < days && place.slot < setup.slots;
        if self.timezone != setup.calendar.zone.name() {
            Err("timezone")
        } else if self.kinds.len() != days {
            Err("days")
        } else if !self.kinds.iter().all(is_intact) || !self.place.as_ref().is_none_or(is_known) {
            Err("slot")
        } else {
            Ok(())
        }
    }
}

impl Seasonal {
    /// The widest of the slot and its neighbours; `None` before the slot is known.
    fn range(&self, setup: &Setup, place: Place) -> Option<Range> {
        let slots = &self.kinds[place.kind];
        if slots.is_intact(0) {
            return None;
        }
        let floor = |centre| setup.floor(centre);
        let k = setup.young.k_sigma;
        let own = slots.usual(place.slot, floor)?;
        let mut range = Range {
            centre: own.centre,
            below: k * own.sigma,
            above: k * own.sigma,
        };
        for near in [place.slot + setup.slots - 1, place.slot + 1] {
            if let Some(near) = slots.usual(near % setup.slots, floor) {
                let d = near.centre - own.centre;
                range.below = range.below.max(k * near.sigma - d);
                range.above = range.above.max(k * near.sigma + d);
            }
        }
        Some(range)
    }

    /// Learns the present visit.
    fn end_visit(&mut self, setup: &Setup) {
        let visit = std::mem::take(&mut self.visit);
        let Some(place) = self.place.take() else {
            return;
        };
        let slots = &mut self.kinds[place.kind];
        if slots.is_intact(0) {
            *slots = Slots::new(setup.slots);
        }
        slots.learn(place.slot, &visit, |centre| setup.floor(centre));
    }
}

pub(super) fn build(
    map: &Map<String, Value>,
    context: &StrategyContext,
    _registry: &Registry,
) -> Built {
    let mut map = map.clone();
    let removed = REMOVED
        .into_iter()
        .filter(|(key, _)| map.remove(*key).is_some());
    let removed: Vec<Problem> = removed
        .map(|(key, remedy)| Problem {
            path: key.to_owned(),
            message: remedy.to_owned(),
        })
        .collect();
    let built = read_params::<SeasonalParams, _>(&map, |params, _| {
        let common = Common::new(context, params.direction, params.cooldown);
        let setup = Setup::new(params, context);
        Box::new(Streaming::<Seasonal>::new(setup, common)) as Box<dyn ThresholdStrategy>
    });
    match built {
        Ok(built) if removed.is_empty() => Ok(built),
        Ok(_) => Err(removed),
        Err(mut problems) => {
            problems.extend(removed);
            Err(problems)
        }
    }
}
