//! What drift rules are worth on simulated traffic: false alerts while nothing changes, and how soon
//! a change is found. `scripts/deep drift` simulates four weeks a cell and prints the tables of
//! docs/DETECTION.md.

use std::time::Duration;

use sidewatch_engine::judge::{Registry, StrategyConfig, StrategyContext, ThresholdStrategy};
use sidewatch_engine::map::drift::{Detector, DriftParams, DriftRule, Learn, Reference, Season};
use sidewatch_engine::metric::{Labels, Metric, MetricSample, SplitMix64, Timestamp};
use sidewatch_engine::promql::{Expr, InstantSample};

const MINUTE: Duration = Duration::from_secs(60);
const DAY: u32 = 1440;
const BUCKETS: usize = 10;
/// `for` and `keep_firing_for` of the pack, in minutes.
const HOLD: u32 = 15;

/// Traffic: observations come in sessions, most of whose observations are in one bucket.
#[derive(Debug, Clone)]
struct Traffic {
    name: &'static str,
    /// Observations a minute.
    rate: f64,
    session: u32,
    /// How many points the mix swings to each side over the day.
    daily: f64,
    /// How many points it differs on two days of seven.
    weekend: f64,
    /// The shares of the buckets.
    shares: Vec<f64>,
    /// From this minute on, these are the shares.
    change: Option<(u32, Vec<f64>)>,
}

impl Traffic {
    fn even(name: &'static str, session: u32) -> Self {
        Self {
            name,
            rate: 120.0,
            session,
            daily: 0.0,
            weekend: 0.0,
            shares: vec![1.0 / BUCKETS as f64; BUCKETS],
            change: None,
        }
    }

    fn at(&self, minute: u32) -> Vec<f64> {
        let shares = match &self.change {
            Some((since, shares)) if minute >= *since => shares,
            _ => &self.shares,
        };
        let time = f64::from(minute % DAY) / f64::from(DAY);
        let mut points = self.daily * (std::f64::consts::TAU * time).sin();
        if (minute / DAY) % 7 >= 5 {
            points += self.weekend;
        }
        tilted(shares, points)
    }
}

fn tilted(shares: &[f64], points: f64) -> Vec<f64> {
    let half = shares.len() / 2;
    let each = points / half as f64;
    let tilt = |(index, share): (usize, &f64)| share + if index < half { each } else { -each };
    shares.iter().enumerate().map(tilt).collect()
}

/// The counters of one distribution.
struct Counters {
    random: SplitMix64,
    counts: Vec<f64>,
}

impl Counters {
    fn pick(&mut self, shares: &[f64]) -> usize {
        let mut left = self.random.next_unit() * shares.iter().sum::<f64>();
        let found = shares.iter().position(|share| {
            left -= share;
            left < 0.0
        });
        found.unwrap_or(shares.len() - 1)
    }

    /// Knuth (1969), in parts that do not underflow.
    fn poisson(&mut self, mean: f64) -> u32 {
        let parts = (mean / 20.0).ceil().max(1.0);
        let least = (-mean / parts).exp();
        let mut count = 0;
        for _ in 0..parts as u32 {
            let mut product = self.random.next_unit();
            while product > least {
                count += 1;
                product *= self.random.next_unit();
            }
        }
        count
    }

    fn pass(&mut self, traffic: &Traffic, minute: u32) {
        let shares = traffic.at(minute);
        for _ in 0..self.poisson(traffic.rate / f64::from(traffic.session)) {
            let main = self.pick(&shares);
            self.counts[main] += 1.0;
            for _ in 1..traffic.session {
                let other = self.random.next_unit() >= 0.7;
                let bucket = if other { self.pick(&shares) } else { main };
                self.counts[bucket] += 1.0;
            }
        }
    }

    /// As a server exposes them: one counter for each class.
    fn expose(&self, feature: usize, at: Timestamp) -> impl Iterator<Item = InstantSample> {
        let feature = feature.to_string();
        self.counts.iter().enumerate().map(move |(class, count)| {
            let class = class.to_string();
            let labels = [("feature", feature.as_str()), ("class", class.as_str())];
            InstantSample::new(Labels::named("classes_total", labels), *count, at)
        })
    }
}

/// `for` and `keep_firing_for`.
#[derive(Debug, Clone, Default)]
struct Alert {
    beyond_since: Option<u32>,
    normal_since: Option<u32>,
    firing_since: Option<u32>,
    spans: Vec<(u32, u32)>,
}

impl Alert {
    fn pass(&mut self, is_beyond: bool, minute: u32) {
        let beyond = self.beyond_since.get_or_insert(minute);
        let normal = self.normal_since.get_or_insert(minute);
        if is_beyond {
            *normal = minute;
            if minute - *beyond >= HOLD {
                self.firing_since.get_or_insert(minute);
            }
        } else {
            *beyond = minute + 1;
            if minute - *normal >= HOLD
                && let Some(since) = self.firing_since.take()
            {
                self.spans.push((since, minute));
            }
        }
    }

    fn end(mut self, minute: u32) -> Vec<(u32, u32)> {
        self.spans
            .extend(self.firing_since.map(|since| (since, minute)));
        self.spans
    }
}

#[derive(Debug, Clone, Copy)]
struct Simulation {
    learn: Learn,
    min_effect: f64,
    features: usize,
    /// Minutes between evaluations.
    step: u32,
    seed: u64,
}

impl Simulation {
    fn learning(days: u32) -> Self {
        Self {
            learn: Learn {
                time: MINUTE * DAY * days,
                ..Learn::default()
            },
            min_effect: 0.02,
            features: 1,
            step: 1,
            seed: 1,
        }
    }

    /// The alerts until a minute, each with its first and last minute.
    fn run(&self, traffic: &Traffic, until: u32) -> Vec<(u32, u32)> {
        let rule = DriftRule {
            counters: Expr::parse("classes_total").unwrap(),
            bucket: "class".to_owned(),
            by: vec!["feature".to_owned()],
            window: 30 * MINUTE,
            at_least: None,
            reference: Reference::Learn(self.learn),
            params: DriftParams {
                ordered: false,
                min_effect: self.min_effect,
                ..DriftParams::default()
            },
        };
        let mut detector = Detector::new(&rule);
        let context = StrategyContext {
            direction: Metric::PredictionDrift.direction(),
            interval: MINUTE * self.step,
        };
        let registry = Registry::built_in();
        let config = StrategyConfig::new("drift");
        let mut strategy: Box<dyn ThresholdStrategy> = registry.build(&config, &context).unwrap();
        let mut counters: Vec<Counters> = (0..self.features as u64)
            .map(|feature| Counters {
                random: SplitMix64::new(self.seed << 32 | feature),
                counts: vec![0.0; traffic.shares.len()],
            })
            .collect();
        let mut alerts = vec![Alert::default(); self.features];
        for minute in 0..until {
            for one in &mut counters {
                one.pass(traffic, minute);
            }
            if minute % self.step != 0 {
                continue;
            }
            let at = Timestamp::default() + MINUTE * minute;
            let exposed = counters.iter().enumerate();
            let exposed: Vec<InstantSample> = exposed
                .flat_map(|(feature, one)| one.expose(feature, at))
                .collect();
            for drifted in detector.observe(&rule, &exposed, at).unwrap() {
                let feature: usize = drifted.labels.get("feature").unwrap().parse().unwrap();
                let value = drifted.value.unwrap_or(f64::NAN);
                let mut sample =
                    MetricSample::new(Metric::PredictionDrift, drifted.labels, value, at);
                sample.evidence = Some(drifted.evidence);
                let verdict = strategy.judge(&sample);
                alerts[feature].pass(verdict.is_anomalous(), minute);
            }
        }
        alerts
            .into_iter()
            .flat_map(|alert| alert.end(until))
            .collect()
    }
}

/// Weeks to simulate for each cell; with one or more, the tables are printed.
fn weeks() -> Option<u32> {
    std::env::var("SIDEWATCH_WEEKS")
        .ok()
        .map(|text| text.parse().unwrap())
}

fn daily(points: f64) -> Traffic {
    Traffic {
        name: "daily mix of 5 points",
        daily: points,
        ..Traffic::even("", 1)
    }
}

fn weekend() -> Traffic {
    Traffic {
        name: "weekend of 4 points",
        weekend: 0.04,
        ..Traffic::even("", 1)
    }
}

/// A reference, the traffic in which nothing changes, and the simulation.
type Quiet = (&'static str, Traffic, Simulation);

/// What CI simulates for a week.
fn quick() -> Vec<Quiet> {
    let each = |step| Simulation {
        step,
        ..Simulation::learning(1)
    };
    let few = Simulation {
        features: 20,
        ..each(15)
    };
    vec![
        ("learn: 1d", Traffic::even("sessions of 5", 5), each(5)),
        ("learn: 1d", daily(0.05), each(5)),
        (
            "learn: 1d",
            Traffic::even("20 features in sessions of 3", 3),
            few,
        ),
    ]
}

fn all() -> Vec<Quiet> {
    let mut seasonal = Simulation::learning(14);
    seasonal.learn.season = Season::Week;
    let mut by_day = Simulation::learning(7);
    by_day.learn.season = Season::Day;
    let mut rolling = Simulation::learning(1);
    rolling.learn.rolling = Some(MINUTE * DAY * 28);
    let many = Simulation {
        features: 200,
        step: 5,
        ..Simulation::learning(1)
    };
    let three = Traffic::even("200 features in sessions of 3", 3);
    vec![
        (
            "learn: 1d",
            Traffic::even("sessions of 1", 1),
            Simulation::learning(1),
        ),
        (
            "learn: 1d",
            Traffic::even("sessions of 5", 5),
            Simulation::learning(1),
        ),
        ("rolling", Traffic::even("sessions of 5", 5), rolling),
        (
            "learn: 1d",
            Traffic::even("sessions of 20", 20),
            Simulation::learning(1),
        ),
        ("learn: 1d", daily(0.05), Simulation::learning(1)),
        ("season: day", daily(0.05), by_day),
        ("learn: 7d", weekend(), Simulation::learning(7)),
        ("season: week", weekend(), seasonal),
        ("learn: 1d", three, many),
    ]
}

#[test]
fn sessions_the_daily_mix_and_the_weekend_are_not_drift() {
    let (cells, weeks) = match weeks() {
        Some(weeks) => (all(), weeks),
        None => (quick(), 1),
    };
    for (reference, traffic, simulation) in cells {
        let days = u32::try_from(simulation.learn.time.as_secs() / 86_400).unwrap();
        let spans = simulation.run(&traffic, (days + 7 * weeks) * DAY);
        let firing: u32 = spans.iter().map(|(since, until)| until - since).sum();
        println!(
            "| {} | {reference} | {} | {firing} min |",
            traffic.name,
            spans.len()
        );
        assert!(spans.len() <= 1, "{}, {reference}: {spans:?}", traffic.name);
    }
}

/// A change: what of, by how much, and how soon it must be found.
struct Change {
    name: &'static str,
    traffic: Traffic,
    changed: Vec<f64>,
    simulation: Simulation,
    /// The median delay at most, in minutes.
    within: u32,
}

fn changes() -> Vec<Change> {
    let shift = |name, traffic: Traffic, points, simulation, within| Change {
        name,
        changed: tilted(&traffic.shares, points),
        traffic,
        simulation,
        within,
    };
    let mut rare = vec![0.99 / 9.0; 9];
    rare.push(0.01);
    let mut more = vec![0.98 / 9.0; 9];
    more.push(0.02);
    let fraud = Traffic {
        rate: 2000.0,
        shares: rare,
        ..Traffic::even("2,000 a minute", 1)
    };
    let five = || Traffic::even("sessions of 5", 5);
    let mut by_day = Simulation::learning(7);
    by_day.learn.season = Season::Day;
    vec![
        shift(
            "8 points",
            Traffic::even("sessions of 1", 1),
            0.08,
            Simulation::learning(1),
            45,
        ),
        shift("8 points", five(), 0.08, Simulation::learning(1), 45),
        shift("15 points", five(), 0.15, Simulation::learning(1), 40),
        shift(
            "15 points",
            Traffic::even("sessions of 20", 20),
            0.15,
            Simulation::learning(1),
            45,
        ),
        shift("8 points", daily(0.05), 0.08, by_day, 45),
        Change {
            name: "a class 1 → 2 %, min_effect 0.5 %",
            traffic: fraud,
            changed: more,
            simulation: Simulation {
                min_effect: 0.005,
                ..Simulation::learning(1)
            },
            within: 60,
        },
    ]
}

#[test]
fn a_change_of_the_mix_is_found_within_the_hour() {
    let deep = weeks().is_some();
    let all = changes();
    let cells = if deep { &all[..] } else { &all[1..3] };
    for change in cells {
        let seeds = if deep { 1..=12 } else { 1..=2_u64 };
        let mut delays = Vec::new();
        let mut covered = Vec::new();
        for seed in seeds {
            let days = u32::try_from(change.simulation.learn.time.as_secs() / 86_400).unwrap();
            // At another time of the day for each seed.
            let since = (days + 1) * DAY + 313 * u32::try_from(seed).unwrap() % DAY;
            let until = since + DAY;
            let traffic = Traffic {
                change: Some((since, change.changed.clone())),
                ..change.traffic.clone()
            };
            let simulation = Simulation {
                seed,
                step: if deep { 1 } else { 5 },
                ..change.simulation
            };
            let spans = simulation.run(&traffic, until);
            let hits: Vec<_> = spans.iter().filter(|(_, end)| *end > since).collect();
            delays.push(
                hits.first()
                    .map_or(DAY, |(start, _)| start.max(&since) - since),
            );
            let seen: u32 = hits
                .iter()
                .map(|(start, end)| end - start.max(&since))
                .sum();
            covered.push(f64::from(seen) / f64::from(DAY));
        }
        delays.sort_unstable();
        let median = delays[delays.len() / 2];
        println!(
            "| {} | {} | {median}, {} min | {:.2} |",
            change.name,
            change.traffic.name,
            delays[delays.len() - 1],
            covered.iter().sum::<f64>() / covered.len() as f64
        );
        assert!(
            median <= change.within,
            "{} {}: {delays:?}",
            change.name,
            change.traffic.name
        );
    }
}
