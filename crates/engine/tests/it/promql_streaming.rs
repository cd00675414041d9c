//! An evaluation does not depend on how the samples arrived: scrape by scrape with a cached
//! plan, or all at once.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::{ProptestConfig, any, proptest};
use sidewatch_engine::metric::{Appender, Labels, Timestamp};
use sidewatch_engine::promql::{Batch, Expr, ExprValue, InstantSample, Query, Samples};
use sidewatch_engine::series::{STALE, ScrapeStats, TargetId, Window, WindowLimits};

use super::promql_random::{Random, Target, expression, scrape_time};

const SCRAPES: usize = 60;
const START: i64 = 1_700_000_000_000;

/// Every sample of a series with its stale markers, as a plain list.
#[derive(Default)]
struct History {
    samples: BTreeMap<Labels, Samples>,
    before: Vec<Labels>,
}

impl History {
    fn scrape(&mut self, at: Timestamp, scraped: &[(Labels, f64)]) {
        let now: Vec<Labels> = scraped.iter().map(|(labels, _)| labels.clone()).collect();
        for gone in self.before.iter().filter(|labels| !now.contains(labels)) {
            self.samples
                .entry(gone.clone())
                .or_default()
                .push((at, STALE));
        }
        for (labels, value) in scraped {
            self.samples
                .entry(labels.clone())
                .or_default()
                .push((at, *value));
        }
        self.before = now;
    }
}

fn append(window: &mut Window, target: TargetId, at: Timestamp, scraped: &[(Labels, f64)]) {
    let block = window.target_mut(target).unwrap();
    block.begin(at);
    for (labels, value) in scraped {
        let series = block.resolve(labels).unwrap();
        assert!(block.append(series, None, *value));
    }
    block.commit(&ScrapeStats::default());
}

/// Sorted, so that the order of series does not matter.
fn sorted(value: ExprValue) -> Vec<InstantSample> {
    let mut samples = value.into_vector(Timestamp::default()).unwrap();
    samples.sort_by(|a, b| a.labels.cmp(&b.labels));
    samples
}

/// Sums may differ by the order of their terms.
fn is_close(a: f64, b: f64) -> bool {
    a.to_bits() == b.to_bits()
        || (a.is_nan() && b.is_nan())
        || (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1e-3)
}

fn check(text: &str, query: &mut Query, window: &Window, batch: &Batch, at: Timestamp) {
    let streamed = query.eval(window, at);
    let whole = Query::new(Expr::parse(text).unwrap()).eval(batch, at);
    match (streamed, whole) {
        (Ok(streamed), Ok(whole)) => {
            let (streamed, whole) = (sorted(streamed.value), sorted(whole.value));
            let same = streamed.len() == whole.len()
                && streamed
                    .iter()
                    .zip(&whole)
                    .all(|(s, w)| s.labels == w.labels && is_close(s.value, w.value));
            assert!(
                same,
                "{text} at {at}\nstreamed {streamed:?}\nwhole    {whole:?}"
            );
        }
        (Err(streamed), Err(whole)) => assert_eq!(
            streamed.message().split('{').next(),
            whole.message().split('{').next()
        ),
        (streamed, whole) => panic!("{text} at {at}\nstreamed {streamed:?}\nwhole    {whole:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn streaming_equals_batch(seed in any::<u64>()) {
        let mut random = Random::new(seed);
        let texts: Vec<String> = (0..12).map(|i| expression(&mut random, i % 4)).collect();
        let reach = texts.iter().map(|text| Expr::parse(text).unwrap().reach()).max().unwrap_or_default();
        let mut window = Window::new(WindowLimits {
            retention: reach + Duration::from_secs(60),
            interval: Duration::from_secs(15),
            max_series: 10_000,
        });
        let mut targets: Vec<(TargetId, Target, History)> = (0..2)
            .map(|n| {
                let instance = format!("i{n}");
                let id = window.add_target(Labels::new([("instance", instance.as_str())]));
                (id, Target::new(seed ^ n, &instance), History::default())
            })
            .collect();
        let mut queries: Vec<Query> = texts.iter().map(|text| Query::new(Expr::parse(text).unwrap())).collect();
        for number in 0..SCRAPES {
            let at = scrape_time(START, number, &mut random);
            for (id, target, history) in &mut targets {
                let scraped = target.scrape();
                append(&mut window, *id, at, &scraped);
                history.scrape(at, &scraped);
            }
            let histories = targets.iter().flat_map(|(_, _, history)| history.samples.clone());
            let batch = Batch::new(histories);
            // At the scrape itself, and off the grid.
            let at = if random.chance(50) { at } else { at + Duration::from_millis(random.below(15_000) as u64) };
            for (text, query) in texts.iter().zip(&mut queries) {
                if random.chance(40) {
                    check(text, query, &window, &batch, at);
                }
            }
        }
    }
}

#[test]
fn a_plan_that_is_kept_gives_the_same_bits_as_one_made_anew() {
    let mut window = Window::new(WindowLimits::default());
    let target = window.add_target(Labels::empty());
    let mut source = Target::new(7, "i");
    let mut random = Random::new(7);
    let text = "sum by (a) (rate(c_total[5m])) / on (a) group_left sum by (a) (rate(d_total[5m]))";
    let mut kept = Query::new(Expr::parse(text).unwrap());
    for number in 0..SCRAPES {
        let at = scrape_time(START, number, &mut random);
        append(&mut window, target, at, &source.scrape());
        let mut fresh = Query::new(Expr::parse(text).unwrap());
        let bits = |query: &mut Query| -> Vec<(Labels, u64)> {
            let value = query
                .eval(&window, at)
                .unwrap()
                .value
                .into_vector(at)
                .unwrap();
            value
                .into_iter()
                .map(|sample| (sample.labels, sample.value.to_bits()))
                .collect()
        };
        assert_eq!(bits(&mut kept), bits(&mut fresh));
    }
}
