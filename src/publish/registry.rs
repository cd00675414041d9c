//! Counters and gauges of the `prometheus` crate, made from their descriptions.

use std::collections::HashMap;

use prometheus::core::Collector;
use prometheus::proto::MetricFamily;
use prometheus::{IntCounterVec, IntGaugeVec, Opts, Registry};

use super::family::Description;
use crate::metric::Labels;

/// A registry whose families carry the labels of the model; clones share their values.
#[derive(Debug, Clone)]
pub(super) struct Counted {
    registry: Registry,
    model: HashMap<String, String>,
}

impl Counted {
    /// An empty registry for this model.
    pub(super) fn new(model: &Labels) -> Self {
        let labels = model
            .iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        Self {
            registry: Registry::new(),
            model: labels.collect(),
        }
    }

    /// A counter for each combination of the family's labels.
    pub(super) fn counter(&self, family: &Description) -> IntCounterVec {
        let (opts, labels) = self.opts(family);
        let counter = IntCounterVec::new(opts, &labels).expect("the table has valid names");
        self.register(counter.clone());
        counter
    }

    /// A gauge for each combination of the family's labels.
    pub(super) fn gauge(&self, family: &Description) -> IntGaugeVec {
        let (opts, labels) = self.opts(family);
        let gauge = IntGaugeVec::new(opts, &labels).expect("the table has valid names");
        self.register(gauge.clone());
        gauge
    }

    /// Every family that has a sample, sorted by name.
    pub(super) fn gather(&self) -> Vec<MetricFamily> {
        self.registry.gather()
    }

    fn opts(&self, family: &Description) -> (Opts, Vec<&'static str>) {
        let opts = Opts::new(family.name, family.help).const_labels(self.model.clone());
        (opts, family.labels.iter().map(|label| label.name).collect())
    }

    fn register(&self, collector: impl Collector + 'static) {
        let registered = self.registry.register(Box::new(collector));
        debug_assert!(registered.is_ok(), "every family is registered once");
    }
}
