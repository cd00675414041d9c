//! The lints by name.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

macro_rules! lints {
    ($($(#[doc = $doc:literal])+ $variant:ident $name:literal;)*) => {
        /// A kind of slip.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Lint { $($(#[doc = $doc])+ $variant),* }

        impl Lint {
            /// Every lint, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// Its stable name.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }
        }
    };
}

lints! {
    /// An alert without a summary tells nobody what is wrong.
    NoSummary "no-summary";
    /// `$value` in a label makes a new alert of every value.
    ValueInLabel "value-in-label";
    /// A template shows a label that the expression has aggregated away.
    LabelNotThere "label-not-there";
    /// `for` is shorter than the time between evaluations.
    ShortFor "short-for";
    /// `keep_firing_for` is shorter than the time between evaluations.
    ShortKeepFiring "short-keep-firing";
    /// `for` outlasts the strategy's `relearn_after`, so the alert cannot fire.
    ForBeyondRelearn "for-beyond-relearn";
    /// A strategy learns for more than a day before it judges.
    LongWarmUp "long-warm-up";
    /// The bad side contradicts the kind of metric.
    WrongSide "wrong-side";
    /// A bound that a metric of this kind cannot reach, or is always beyond.
    BoundOutOfRange "bound-out-of-range";
    /// Two rules of one kind, name and labels.
    DuplicateRules "duplicate-rules";
    /// A latency, accuracy or drift that no rule looks at.
    UnwatchedMetric "unwatched-metric";
    /// A watch on a comparison has a value only while something is wrong.
    FilteredWatch "filtered-watch";
    /// Matchers that exclude each other, or labels that no target has.
    NeverMatches "never-matches";
    /// A metric that no rule records and the target does not expose.
    UnknownMetric "unknown-metric";
    /// `rate` and the like of something that goes up and down.
    RateOfGauge "rate-of-gauge";
    /// A counter's total instead of its rate.
    CounterWithoutRate "counter-without-rate";
    /// A range of fewer than two scrapes.
    ShortRange "short-range";
    /// `histogram_quantile` of buckets that were added up over `le`.
    QuantileWithoutLe "quantile-without-le";
    /// An expression in another unit than milliseconds.
    LatencyUnit "latency-unit";
    /// A ratio of errors that is nothing, not 0, until the first error.
    ErrorsWithoutZero "errors-without-zero";
    /// Scrapes further apart than an instant selector looks back.
    TooLongScrapeInterval "too-long-scrape-interval";
    /// A configuration without a rule.
    NoRules "no-rules";
    /// `retrain` without a webhook to ask.
    RetrainWithoutWebhook "retrain-without-webhook";
}

impl fmt::Display for Lint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Which lints are wanted: `all`, `none`, or names with commas between them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lints(BTreeSet<Lint>);

impl Default for Lints {
    fn default() -> Self {
        Self(Lint::ALL.iter().copied().collect())
    }
}

impl Lints {
    /// Whether a lint is wanted.
    #[must_use]
    pub fn has(&self, lint: Lint) -> bool {
        self.0.contains(&lint)
    }
}

impl FromStr for Lints {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut wanted = BTreeSet::new();
        for word in text.split(',').map(str::trim) {
            match word {
                "all" => wanted.extend(Lint::ALL),
                "none" => {}
                name => match Lint::ALL.iter().find(|lint| lint.name() == name) {
                    Some(lint) => {
                        wanted.insert(*lint);
                    }
                    None => {
                        let known: Vec<&str> = Lint::ALL.iter().map(|lint| lint.name()).collect();
                        let known = known.join(", ");
                        return Err(format!(
                            "no lint {name:?}; write all, none, or some of {known}"
                        ));
                    }
                },
            }
        }
        Ok(Self(wanted))
    }
}
