//! A simple window for tests of the ingester.

use std::collections::HashMap;
use std::sync::Arc;

use sidewatch_engine::exposition::{Exposition, ExpositionError, Ingested, Ingester, ScrapeLimits};
use sidewatch_engine::metric::{Appender, Labels, SeriesFilter, SeriesRef, Timestamp};

/// When every test scrape happens.
pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

/// Index, own timestamp and value.
type Sample = (u32, Option<Timestamp>, f64);

/// Stores the samples of the last scrape and counts how often it was asked.
#[derive(Debug, Default)]
pub(crate) struct Window {
    places: HashMap<Labels, SeriesRef>,
    labels: Vec<Labels>,
    generation: u32,
    /// Index, own timestamp and value of each sample.
    pub(crate) samples: Vec<Sample>,
    /// How many series may be stored; 0 is unlimited.
    pub(crate) cap: usize,
    /// How often labels were resolved, that is tokenised.
    pub(crate) resolved: usize,
}

impl Appender for Window {
    fn resolve(&mut self, labels: &Labels) -> Option<SeriesRef> {
        self.resolved += 1;
        if let Some(place) = self.places.get(labels) {
            return Some(*place);
        }
        if self.cap != 0 && self.places.len() >= self.cap {
            return None;
        }
        let place = SeriesRef {
            index: u32::try_from(self.labels.len()).expect("few series"),
            generation: self.generation,
        };
        self.labels.push(labels.clone());
        self.places.insert(labels.clone(), place);
        Some(place)
    }

    fn append(&mut self, series: SeriesRef, at: Option<Timestamp>, value: f64) -> bool {
        if series.generation != self.generation || self.labels.len() <= series.index as usize {
            return false;
        }
        self.samples.push((series.index, at, value));
        true
    }
}

impl Window {
    /// Forgets every series: all handles given out become invalid.
    pub(crate) fn evict_all(&mut self) {
        *self = Self {
            generation: self.generation + 1,
            cap: self.cap,
            ..Self::default()
        };
    }

    /// One scrape; afterwards the window holds its samples only.
    pub(crate) fn scrape(
        &mut self,
        ingester: &mut Ingester,
        exposition: &Exposition,
    ) -> Result<Ingested, ExpositionError> {
        self.samples.clear();
        self.resolved = 0;
        ingester.ingest(exposition, self)
    }

    /// One scrape of a text body that must be good.
    pub(crate) fn text(&mut self, ingester: &mut Ingester, body: &str) -> Ingested {
        self.scrape(ingester, &Exposition::text(body, NOW))
            .expect("a good body")
    }

    /// The samples as `series value` or `series value @time`, in order of arrival.
    pub(crate) fn lines(&self) -> Vec<String> {
        let line = |(index, at, value): &Sample| {
            let labels = &self.labels[*index as usize];
            match at {
                Some(at) => format!("{labels} {value} @{}", at.as_millis()),
                None => format!("{labels} {value}"),
            }
        };
        self.samples.iter().map(line).collect()
    }
}

/// An ingester without limits and target labels that wants everything.
pub(crate) fn ingester() -> Ingester {
    with(ScrapeLimits::default(), Labels::empty())
}

/// An ingester that wants everything.
pub(crate) fn with(limits: ScrapeLimits, target: Labels) -> Ingester {
    Ingester::new(
        limits,
        target,
        false,
        true,
        Arc::new(SeriesFilter::everything()),
    )
}

/// The samples of one text body, in order.
pub(crate) fn samples_of(body: &str) -> Result<Vec<String>, ExpositionError> {
    let mut window = Window::default();
    window.scrape(&mut ingester(), &Exposition::text(body, NOW))?;
    Ok(window.lines())
}
