//! Random steps.

use super::rules::Edit;
use super::world::PODS;
use crate::promql_random::Random;

/// When a process is killed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Moment {
    BetweenTicks,
    /// In a tick, after its state was written.
    BeforePosts,
    /// In a tick, before its state was written.
    BeforeWrite,
}

#[derive(Debug, Clone)]
pub(super) enum Step {
    /// An evaluation, with the new value of each pod whose value changes.
    Tick([Option<u8>; PODS.len()]),
    Target(usize, bool),
    /// A reload of edited files.
    Reload(Edit),
    Restart {
        /// `None` is a clean stop.
        kill: Option<Moment>,
        /// How many ticks there would have been meanwhile.
        away: u32,
        edit: Edit,
    },
    Receiver(bool),
}

impl Step {
    pub(super) fn random(random: &mut Random) -> Self {
        match random.below(100) {
            0..65 => Self::Tick(std::array::from_fn(|_| {
                random.chance(25).then(|| [1, 6, 7, 9][random.below(4)])
            })),
            65..73 => Self::Target(random.below(PODS.len()), random.chance(60)),
            73..86 => Self::Reload(Edit::random(random)),
            86..93 => Self::restart(random),
            _ => Self::Receiver(random.chance(60)),
        }
    }

    /// Whether it is a reload or restart of the same files, without a tick.
    pub(super) fn changes_nothing(&self) -> bool {
        match self {
            Self::Reload(edit) => matches!(edit, Edit::Nothing),
            Self::Restart { kill, edit, .. } => {
                let has_tick = matches!(kill, Some(Moment::BeforePosts | Moment::BeforeWrite));
                matches!(edit, Edit::Nothing) && !has_tick
            }
            Self::Tick(_) | Self::Target(..) | Self::Receiver(_) => false,
        }
    }

    fn restart(random: &mut Random) -> Self {
        let kill = [
            None,
            Some(Moment::BetweenTicks),
            Some(Moment::BeforePosts),
            Some(Moment::BeforeWrite),
        ];
        Self::Restart {
            kill: kill[random.below(4)],
            away: u32::try_from(random.below(4)).unwrap(),
            edit: if random.chance(30) {
                Edit::random(random)
            } else {
                Edit::Nothing
            },
        }
    }
}
