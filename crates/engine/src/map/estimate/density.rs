//! The mean score within each bucket of a histogram.
//!
//! A bucket says how many scores it holds, not where in it they lie. The beta distribution that
//! fits the buckets best says it, since scores of a classifier usually follow one. If it does not
//! fit, the density within a bucket is taken for an exponential whose slope is that between the
//! bucket's neighbours.

/// One bucket of scores.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Bucket {
    /// Its bounds, 0 to 1.
    pub(super) lower: f64,
    pub(super) upper: f64,
    /// Its scores.
    pub(super) count: f64,
}

/// The scores of a bucket on one side of the threshold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Piece {
    /// The upper bound of its bucket.
    pub(super) bound: f64,
    /// How many there are.
    pub(super) count: f64,
    /// Their mean.
    pub(super) mean: f64,
    /// Whether they are at or above the threshold.
    pub(super) is_above: bool,
}

/// Points of a numerical integral: within 0 and 1, and next to them, where densities are steep.
const POINTS: u32 = 8;
const POINTS_AT_END: u32 = 32;
/// The parameters of a beta distribution are sought within these bounds.
const PARAMETERS: (f64, f64) = (0.02, 500.0);
/// A distribution fits if no bucket's share differs by more than this and its standard error.
const FITS: f64 = 0.01;

/// Integrals of a density over an interval: of the density, and of the density times the score.
#[derive(Debug, Clone, Copy, Default)]
struct Integral {
    mass: f64,
    moment: f64,
}

impl Integral {
    fn add(&mut self, other: Self) {
        self.mass += other.mass;
        self.moment += other.moment;
    }

    /// The mean score; the middle of the interval if there is no mass.
    fn mean(self, (lower, upper): (f64, f64)) -> f64 {
        let mean = self.moment / self.mass;
        if mean.is_finite() {
            mean.clamp(lower, upper)
        } else {
            f64::midpoint(lower, upper)
        }
    }
}

/// The middle points of equal parts of an interval, and the length of a part.
fn points((lower, upper): (f64, f64), count: u32) -> (impl Iterator<Item = f64>, f64) {
    let step = (upper - lower) / f64::from(count);
    let at = move |n: u32| lower + step * (f64::from(n) + 0.5);
    ((0..count).map(at), step)
}

/// A density of scores.
#[derive(Debug, Clone)]
enum Density {
    /// The beta distribution with these parameters.
    Beta(f64, f64),
    /// An exponential in each bucket, with these slopes.
    Exponential(Vec<f64>),
}

impl Density {
    /// The density that describes the buckets best.
    fn of(buckets: &[Bucket]) -> Self {
        let (a, b) = fit(buckets);
        let total: f64 = buckets.iter().map(|bucket| bucket.count).sum();
        let masses: Vec<f64> = buckets
            .iter()
            .map(|bucket| beta(a, b, bucket.span()).mass)
            .collect();
        let mass: f64 = masses.iter().sum();
        let fits = buckets.iter().zip(&masses).all(|(bucket, own)| {
            let share = bucket.count / total;
            let error = (share * (1.0 - share) / total).sqrt();
            (own / mass - share).abs() <= FITS + error
        });
        if fits {
            Self::Beta(a, b)
        } else {
            Self::Exponential(slopes(buckets))
        }
    }

    fn integral(&self, bucket: usize, span: (f64, f64)) -> Integral {
        match self {
            Self::Beta(a, b) => beta(*a, *b, span),
            Self::Exponential(slopes) => {
                let slope = slopes.get(bucket).copied().unwrap_or(0.0);
                exponential(slope, span)
            }
        }
    }
}

impl Bucket {
    fn span(&self) -> (f64, f64) {
        (self.lower, self.upper)
    }
}

/// The scores of each bucket, in order; a bucket that the threshold cuts is two pieces.
pub(super) fn pieces(buckets: &[Bucket], threshold: f64) -> Vec<Piece> {
    let density = Density::of(buckets);
    let mut pieces = Vec::with_capacity(buckets.len() + 1);
    for (n, bucket) in buckets
        .iter()
        .enumerate()
        .filter(|(_, bucket)| bucket.count > 0.0)
    {
        let piece = |span: (f64, f64), share: f64, integral: Integral| Piece {
            bound: bucket.upper,
            count: bucket.count * share,
            mean: integral.mean(span),
            is_above: span.0 >= threshold,
        };
        let is_cut = bucket.lower < threshold && threshold < bucket.upper;
        if !is_cut {
            pieces.push(piece(
                bucket.span(),
                1.0,
                density.integral(n, bucket.span()),
            ));
            continue;
        }
        let spans = [(bucket.lower, threshold), (threshold, bucket.upper)];
        let integrals = spans.map(|span| density.integral(n, span));
        let mass = integrals[0].mass + integrals[1].mass;
        for (span, integral) in spans.into_iter().zip(integrals) {
            let share = if mass > 0.0 {
                integral.mass / mass
            } else {
                0.5
            };
            pieces.push(piece(span, share, integral));
        }
    }
    pieces
}

/// The integral of `x^(a-1) (1-x)^(b-1)`. At 0 and 1, where it may be infinite, the variable is
/// replaced by its power `a` or `b`.
fn beta(a: f64, b: f64, (lower, upper): (f64, f64)) -> Integral {
    if lower <= 0.0 && upper >= 1.0 {
        let mut both = beta(a, b, (0.0, 0.5));
        both.add(beta(a, b, (0.5, 1.0)));
        return both;
    }
    if upper >= 1.0 {
        let mirrored = beta(b, a, (0.0, 1.0 - lower));
        return Integral {
            mass: mirrored.mass,
            moment: mirrored.mass - mirrored.moment,
        };
    }
    let mut integral = Integral::default();
    if lower <= 0.0 {
        let (points, step) = points((0.0, 1.0), POINTS_AT_END);
        let scale = upper.powf(a) / a * step;
        for v in points {
            let x = upper * v.powf(a.recip());
            let mass = (1.0 - x).powf(b - 1.0) * scale;
            integral.add(Integral {
                mass,
                moment: mass * x,
            });
        }
        return integral;
    }
    let (points, step) = points((lower, upper), POINTS);
    for x in points {
        let mass = x.powf(a - 1.0) * (1.0 - x).powf(b - 1.0) * step;
        integral.add(Integral {
            mass,
            moment: mass * x,
        });
    }
    integral
}

fn exponential(slope: f64, span: (f64, f64)) -> Integral {
    let (points, step) = points(span, POINTS);
    let mut integral = Integral::default();
    for x in points {
        let mass = (slope * (x - span.0)).exp() * step;
        integral.add(Integral {
            mass,
            moment: mass * x,
        });
    }
    integral
}

/// The parameters of the beta distribution under which the buckets are likeliest: a search that
/// halves its step, from those with the mean and the variance of the buckets' middles.
fn fit(buckets: &[Bucket]) -> (f64, f64) {
    let total: f64 = buckets.iter().map(|bucket| bucket.count).sum();
    let middle = |bucket: &Bucket| f64::midpoint(bucket.lower, bucket.upper);
    let mean = buckets
        .iter()
        .map(|bucket| bucket.count * middle(bucket))
        .sum::<f64>()
        / total;
    let distance = |bucket: &Bucket| bucket.count * (middle(bucket) - mean).powi(2);
    let variance = (buckets.iter().map(distance).sum::<f64>() / total).max(1e-6);
    let size = (mean * (1.0 - mean) / variance - 1.0).max(0.1);
    let within = |x: f64| x.clamp(PARAMETERS.0, PARAMETERS.1);
    let loss = |(a, b): (f64, f64)| {
        let masses = buckets
            .iter()
            .map(|bucket| beta(a, b, bucket.span()).mass.max(1e-300));
        let masses: Vec<f64> = masses.collect();
        let all: f64 = masses.iter().sum();
        let parts = buckets.iter().zip(&masses);
        -parts
            .map(|(bucket, mass)| bucket.count * (mass / all).ln())
            .sum::<f64>()
    };
    let mut best = (within(mean * size), within((1.0 - mean) * size));
    let mut least = loss(best);
    let mut step: f64 = 2.0;
    while step > 1.005 {
        let (a, b) = best;
        let around = [
            (a * step, b),
            (a / step, b),
            (a, b * step),
            (a, b / step),
            (a * step, b * step),
            (a / step, b / step),
        ];
        let around = around.map(|(a, b)| (within(a), within(b)));
        let better = around.into_iter().map(|one| (loss(one), one));
        let better = better.min_by(|a, b| a.0.total_cmp(&b.0));
        match better.filter(|(loss, _)| *loss < least) {
            Some((loss, parameters)) => {
                least = loss;
                best = parameters;
            }
            None => step = step.sqrt(),
        }
    }
    best
}

/// The slope of the logarithm of the density in each bucket: between its neighbours, and at the
/// ends continued.
fn slopes(buckets: &[Bucket]) -> Vec<f64> {
    let known: Vec<(f64, f64)> = buckets
        .iter()
        .map(|bucket| {
            let width = (bucket.upper - bucket.lower).max(1e-9);
            let middle = f64::midpoint(bucket.lower, bucket.upper);
            (middle, (bucket.count.max(0.5) / width).ln())
        })
        .collect();
    let between: Vec<f64> = known
        .windows(2)
        .map(|pair| (pair[1].1 - pair[0].1) / (pair[1].0 - pair[0].0).max(1e-9))
        .collect();
    let last = known.len().saturating_sub(1);
    let slope = |n: usize| match between.as_slice() {
        [] => 0.0,
        [only] => *only,
        [first, second, ..] if n == 0 => first + (first - second) / 2.0,
        [.., second, first] if n == last => first + (first - second) / 2.0,
        all => f64::midpoint(all[n - 1], all[n]),
    };
    (0..known.len()).map(slope).collect()
}
