//! Random series and random expressions, the same for the same seed.

use sidewatch_engine::metric::{Labels, SplitMix64, Timestamp};

/// Random choices from a seed.
pub(crate) struct Random(SplitMix64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(SplitMix64::new(seed))
    }

    /// 0 up to, not including, the limit.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        (self.0.next_u64() % limit as u64) as usize
    }

    pub(crate) fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// 0 to 1.
    pub(crate) fn unit(&mut self) -> f64 {
        self.0.next_unit()
    }

    pub(crate) fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }
}

/// What a series does over time.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Counter,
    Gauge,
}

/// A series that lives through scrapes.
struct Alive {
    labels: Labels,
    kind: Kind,
    value: f64,
    /// Left out of this many scrapes from now on.
    gone: usize,
}

/// A target whose series grow, reset, become NaN, vanish and come back.
pub(crate) struct Target {
    random: Random,
    alive: Vec<Alive>,
}

impl Target {
    pub(crate) fn new(seed: u64, instance: &str) -> Self {
        let mut labels = Vec::new();
        for a in ["x", "y", "z"] {
            for b in ["1", "2"] {
                let pairs = || [("a", a), ("b", b), ("instance", instance)];
                labels.push((Labels::named("c_total", pairs()), Kind::Counter));
                labels.push((Labels::named("d_total", pairs()), Kind::Counter));
                labels.push((Labels::named("g", pairs()), Kind::Gauge));
                labels.push((Labels::named("k", pairs()), Kind::Gauge));
            }
            for le in ["0.1", "0.5", "1", "5", "+Inf"] {
                let pairs = [("a", a), ("le", le), ("instance", instance)];
                labels.push((Labels::named("h_bucket", pairs), Kind::Counter));
            }
            labels.push((
                Labels::named(
                    "info",
                    [("a", a), ("version", "v1"), ("instance", instance)],
                ),
                Kind::Gauge,
            ));
        }
        let mut random = Random::new(seed);
        let alive = labels
            .into_iter()
            .map(|(labels, kind)| Alive {
                value: if kind == Kind::Counter {
                    1e5 + random.unit() * 1e5
                } else {
                    random.unit()
                },
                labels,
                kind,
                gone: if random.chance(15) {
                    random.below(30)
                } else {
                    0
                },
            })
            .collect();
        Self { random, alive }
    }

    /// The samples of the next scrape.
    pub(crate) fn scrape(&mut self) -> Vec<(Labels, f64)> {
        let mut samples = Vec::new();
        // The buckets of a histogram rise with the bound, so they grow together.
        let mut growth = 0.0;
        let random = &mut self.random;
        for series in &mut self.alive {
            growth = match series.labels.get("le") {
                Some("0.1") => random.below(5) as f64,
                Some(_) => growth + random.below(4) as f64,
                None => random.below(20) as f64,
            };
            match series.kind {
                // A reset goes back to a large number: near zero 2.42 and 3 extrapolate
                // differently.
                Kind::Counter if series.labels.get("le").is_none() && random.chance(2) => {
                    series.value = 5e4 + random.unit() * 1e4;
                }
                Kind::Counter => series.value += growth,
                Kind::Gauge => series.value = (random.unit() - 0.3) * 100.0,
            }
            if series.gone > 0 {
                series.gone -= 1;
                continue;
            }
            if series.labels.get("le").is_none() && random.chance(1) {
                series.gone = 1 + random.below(40);
            }
            let is_nan = series.kind == Kind::Gauge && random.chance(1);
            samples.push((
                series.labels.clone(),
                if is_nan { f64::NAN } else { series.value },
            ));
        }
        samples
    }
}

/// The times of scrapes: about every 15 s, never on a whole or half second.
pub(crate) fn scrape_time(start: i64, number: usize, random: &mut Random) -> Timestamp {
    Timestamp::from_millis(start + number as i64 * 15_000 + 137 + random.below(50) as i64)
}

/// Expressions whose value is a vector.
pub(crate) fn expression(random: &mut Random, depth: usize) -> String {
    if depth == 0 {
        return leaf(random);
    }
    let inner = |random: &mut Random| expression(random, depth - 1);
    match random.below(12) {
        0 => {
            let op = random.pick(&["sum", "avg", "min", "max", "count", "group"]);
            format!("{op}{}({})", grouping(random), inner(random))
        }
        1 => {
            // To 2.42 the variance of one NaN is 0: no NaN comes in.
            let op = random.pick(&["stddev", "stdvar", "sum", "avg"]);
            format!(
                "{op}{}(rate(c_total{}[5m]))",
                grouping(random),
                matchers(random)
            )
        }
        2 => {
            let op = random.pick(&["+", "-", "*", "/"]);
            format!("({} {op} {})", inner(random), random.below(9) + 1)
        }
        3 => {
            let op = random.pick(&["+", "-", "*", "/", ">", "<", "!=", ">= bool", "< bool"]);
            format!(
                "(sum by (a) ({}) {op} sum by (a) ({}))",
                inner(random),
                inner(random)
            )
        }
        _ => wrapped(random, depth),
    }
}

/// An expression around a smaller one, continued.
fn wrapped(random: &mut Random, depth: usize) -> String {
    let inner = |random: &mut Random| expression(random, depth - 1);
    match random.below(8) {
        0 => {
            let op = random.pick(&["and", "or", "unless"]);
            let matching = random.pick(&["", "on (a)", "ignoring (b)", "on (instance, a)"]);
            format!("({} {op} {matching} {})", inner(random), inner(random))
        }
        1 => format!("abs({})", inner(random)),
        2 => format!(
            "clamp({}, {}, {})",
            inner(random),
            random.below(50),
            50 + random.below(1000)
        ),
        3 => {
            let function = random.pick(&[
                "max_over_time",
                "avg_over_time",
                "sum_over_time",
                "count_over_time",
            ]);
            let range = random.pick(&["61s", "3m", "4m"]);
            // Two nested subqueries would meet 2.42's closed ranges.
            format!(
                "{function}({}[{range}:{}])",
                leaf(random),
                random.pick(&["10s", "30s", ""])
            )
        }
        4 => format!(
            "label_replace({}, \"a\", \"$1$1\", \"a\", \"(.*)\")",
            inner(random)
        ),
        5 => format!(
            "({} * on (a, instance) group_left (version) info)",
            leaf(random)
        ),
        6 => format!("absent({})", inner(random)),
        _ => format!("-{}", inner(random)),
    }
}

fn grouping(random: &mut Random) -> String {
    match random.below(5) {
        0 => String::new(),
        1 => " by (a)".to_owned(),
        2 => " by (a, b)".to_owned(),
        3 => " without (instance)".to_owned(),
        _ => " without (b, le)".to_owned(),
    }
}

fn matchers(random: &mut Random) -> &'static str {
    random.pick(&[
        "",
        "",
        "{a=\"x\"}",
        "{a=~\"x|y\"}",
        "{a!=\"z\"}",
        "{b!~\"2|3\"}",
        "{b=\"\"}",
    ])
}

fn leaf(random: &mut Random) -> String {
    let range = random.pick(&["31s", "1m", "2m", "5m", "10m"]);
    let offset = random.pick(&["", "", "", " offset 1m", " offset -30s"]);
    let counter = random.pick(&["c_total", "d_total"]);
    let gauge = random.pick(&["g", "k"]);
    let matchers = matchers(random);
    match random.below(13) {
        0 => format!("{gauge}{matchers}{offset}"),
        1 => format!("{counter}{matchers}{offset}"),
        2 | 3 => {
            let function = random.pick(&["rate", "increase", "irate", "resets", "changes"]);
            format!("{function}({counter}{matchers}[{range}]{offset})")
        }
        4 | 5 => {
            let functions = [
                "avg_over_time",
                "sum_over_time",
                "min_over_time",
                "max_over_time",
                "count_over_time",
                "stddev_over_time",
                "last_over_time",
                "present_over_time",
                "delta",
                "idelta",
                "deriv",
                "changes",
            ];
            format!(
                "{}({gauge}{matchers}[{range}]{offset})",
                random.pick(&functions)
            )
        }
        6 => format!(
            "quantile_over_time(0.{}, {gauge}{matchers}[{range}]{offset})",
            random.below(100)
        ),
        7 => format!("predict_linear({gauge}{matchers}[{range}]{offset}, 60)"),
        8 | 9 => {
            let by = random.pick(&["sum by (le, a)", "sum by (le)", "max by (le, instance)"]);
            format!(
                "histogram_quantile(0.{}, {by} (rate(h_bucket[{range}])))",
                random.below(100)
            )
        }
        10 => format!(
            "{}({}, {gauge}{matchers})",
            random.pick(&["topk", "bottomk"]),
            random.below(4)
        ),
        11 => format!("quantile(0.{}, {gauge}{matchers})", random.below(100)),
        _ => format!("timestamp({gauge}{matchers}{offset})"),
    }
}
