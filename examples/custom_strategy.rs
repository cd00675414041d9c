//! A strategy of your own: anomalous when a value jumps by more than a factor from one sample to the next.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::borrow::Cow;
use std::error::Error as StdError;
use std::time::Duration;

use serde_json::{Map, Value, json};
use sidewatch::{
    Band, Direction, Labels, Metric, MetricSample, ParamProblem, Registry, Side, Snapshot,
    StrategyConfig, StrategyContext, StrategyError, StrategyFactory, Table, ThresholdStrategy,
    Timestamp, Verdict, read_params, section,
};

/// Remembers the last value.
#[derive(Debug)]
struct Jump {
    factor: f64,
    last: Option<f64>,
}

impl ThresholdStrategy for Jump {
    fn judge(&mut self, sample: &MetricSample) -> Verdict {
        // Judge by what was known before the sample, then learn.
        let Some(last) = self.last.replace(sample.value) else {
            return Verdict::warming_up("no sample before this one");
        };
        let limit = last * self.factor;
        let band = Band {
            lower: None,
            centre: Some(last),
            upper: Some(limit),
        };
        let value = sample.value;
        Verdict::judged(value / limit, Some(Side::Above), band, || {
            Cow::Owned(format!(
                "{value} is more than {} times {last}",
                limit / last
            ))
        })
    }

    fn snapshot(&self) -> Snapshot {
        Snapshot::of("jump", 1, &self.last)
    }

    fn restore(&mut self, snapshot: &Snapshot) -> Result<(), StrategyError> {
        self.last = snapshot.open("jump", 1)?;
        Ok(())
    }
}

section! {
    /// Anomalous when a value is more than a multiple of the one before it.
    struct JumpParams {
        /// The multiple.
        factor: f64 = 2.0, above(1.0);
    }
}

/// Makes `{type: jump, factor: 3}` mean something in a rule file.
struct Jumps;

impl StrategyFactory for Jumps {
    fn kind(&self) -> &'static str {
        "jump"
    }

    fn build(
        &self,
        params: &Map<String, Value>,
        _: &StrategyContext,
        _: &Registry,
    ) -> Result<Box<dyn ThresholdStrategy>, Vec<ParamProblem>> {
        read_params::<JumpParams, _>(params, |JumpParams { factor }, _| {
            Box::new(Jump { factor, last: None }) as Box<dyn ThresholdStrategy>
        })
    }
}

fn main() -> Result<(), Box<dyn StdError>> {
    let mut registry = Registry::built_in();
    registry.register(Jumps);
    let config: StrategyConfig = serde_json::from_value(json!({"type": "jump", "factor": 3}))?;
    let context = StrategyContext {
        direction: Direction::Above,
        interval: Duration::from_secs(15),
    };
    let mut table = Table::new(&registry, &config, &context);
    let labels = Labels::named("latency", [("model_name", "fraud")]);
    let mut states = Vec::new();
    for (second, value) in [(0, 10.0), (15, 12.0), (30, 50.0), (45, 51.0)] {
        let at = Timestamp::from_secs_f64(f64::from(second));
        let verdict = table.judge(&MetricSample::new(
            Metric::Custom,
            labels.clone(),
            value,
            at,
        ));
        println!(
            "{second:>3}s  {value:>5}  {:<10}  {}",
            verdict.state.as_str(),
            verdict.why
        );
        states.push(verdict.state.as_str());
    }
    assert_eq!(states, ["warming_up", "ok", "anomalous", "ok"]);
    Ok(())
}
