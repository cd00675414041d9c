//! What a query reads: the window, and Sidewatch's own series beside it.

use tokio::time::Instant;

use crate::metric::{Labels, Matcher, Selector, Timestamp};
use crate::promql::{Batch, SeriesSource};
use crate::series::{Found, Row, SeriesId, SlotRange, Window};

/// The first block number of the own series; the window counts its targets from 0.
const OWN: u32 = 1 << 31;
/// The series about alerts, which the window has where a rule reads them.
const ALERTS: &str = "ALERTS";

/// The series of one query, until its time is up.
pub(super) struct Source<'a> {
    window: &'a Window,
    own: Batch,
    own_blocks: u32,
    /// Whether the window has the series about alerts.
    has_alerts: bool,
    until: Instant,
}

impl<'a> Source<'a> {
    pub(super) fn new(
        window: &'a Window,
        own: Vec<(Labels, crate::promql::Samples)>,
        until: Instant,
    ) -> Self {
        let mut has_alerts = false;
        let alerts = Selector::new(vec![Matcher::equal(Labels::NAME, ALERTS)]);
        window.select(&alerts, &mut |_, _| has_alerts = true);
        Self {
            window,
            own_blocks: u32::try_from(own.len()).unwrap_or(u32::MAX),
            own: Batch::new(own),
            has_alerts,
            until,
        }
    }

    /// The block among the own series.
    fn own_block(&self, block: u32) -> Option<u32> {
        let own = block.checked_sub(OWN)?;
        (own < self.own_blocks).then_some(own)
    }
}

impl SeriesSource for Source<'_> {
    fn epoch(&self) -> u64 {
        // A query is planned for one source only, which does not change.
        0
    }

    fn select(&self, selector: &Selector, found: &mut Found<'_, SeriesId>) {
        self.window.select(selector, found);
        self.own.select(selector, &mut |id, labels| {
            let name = labels.name().unwrap_or_default();
            if self.has_alerts && name.starts_with(ALERTS) {
                return;
            }
            let block = id.block + OWN;
            found(SeriesId { block, ..id }, labels);
        });
    }

    fn range(&self, block: u32, after: Timestamp, until: Timestamp) -> SlotRange {
        match self.own_block(block) {
            Some(own) => self.own.range(own, after, until),
            None => self.window.range(block, after, until),
        }
    }

    fn row(&self, id: SeriesId, range: SlotRange) -> Row<'_> {
        match self.own_block(id.block) {
            Some(block) => self.own.row(SeriesId { block, ..id }, range),
            None => self.window.row(id, range),
        }
    }

    fn is_interrupted(&self) -> bool {
        Instant::now() >= self.until
    }
}
