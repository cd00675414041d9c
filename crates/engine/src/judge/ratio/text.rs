//! The reason of a verdict, in counts.

use std::time::Duration;

use super::sums::{Question, Run};
use crate::metric::{Counts, format_duration};

/// What the reason needs to know.
pub(super) struct Words<'a> {
    pub(super) counts: &'a Counts,
    pub(super) question: &'a Question,
    /// The usual share of bad observations.
    pub(super) usual: f64,
    /// The bound, as configured.
    pub(super) bound: Option<f64>,
}

/// `7 of 22 requests failed in 4m (usual 0.9 %, at most 1 of 22 by chance)`.
pub(super) fn why(run: Run, words: &Words<'_>) -> String {
    let Words {
        counts, question, ..
    } = words;
    let (bad, of) = (run.counts.bad.round(), run.counts.of.round());
    let normal = match words.bound {
        Some(bound) if counts.is_good => format!("the bound is {} right", percent(bound)),
        Some(bound) => format!("the bound is {}", percent(bound)),
        None => format!("usual {}", percent(words.usual)),
    };
    let usual = if words.bound.is_some() {
        question.usual
    } else {
        words.usual
    };
    let most = at_most(of, usual, question.dispersion);
    let delay = counts
        .delay
        .map(|delay| format!("; they are counted up to {} late", format_duration(delay)));
    format!(
        "{bad} of {of} {} in {} ({normal}, at most {most} of {of} by chance){}",
        counts.what,
        time(run.seconds),
        delay.unwrap_or_default()
    )
}

/// A share in percent, with two significant digits near its ends.
fn percent(share: f64) -> String {
    let percent = 100.0 * share;
    let digits = match percent.min(100.0 - percent) {
        small if small < 0.1 => 3,
        small if small < 1.0 => 2,
        small if small < 10.0 => 1,
        _ => 0,
    };
    let text = format!("{percent:.digits$}");
    let text = if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.')
    } else {
        &text
    };
    format!("{text} %")
}

/// Whole minutes from two minutes on.
fn time(seconds: f64) -> String {
    let whole = if seconds < 120.0 {
        seconds.round()
    } else {
        (seconds / 60.0).round() * 60.0
    };
    format_duration(Duration::try_from_secs_f64(whole).unwrap_or_default())
}

/// The count that chance exceeds in 2.5 % of cases only. Observations that vary more than by chance
/// count as fewer, larger ones.
fn at_most(of: f64, share: f64, dispersion: f64) -> f64 {
    let (n, unit) = ((of / dispersion).max(1.0), dispersion);
    let mean = n * share;
    let most = if mean > 50.0 {
        mean + 1.96 * (mean * (1.0 - share)).sqrt()
    } else {
        // The terms of the binomial distribution, one from the other.
        let mut term = (n * (1.0 - share).ln()).exp();
        let (mut sum, mut k) = (term, 0.0);
        while sum < 0.975 && k < n {
            term *= (n - k) / (k + 1.0) * share / (1.0 - share);
            sum += term;
            k += 1.0;
        }
        k
    };
    (most * unit).round().min(of)
}

#[cfg(test)]
mod tests {
    use super::{at_most, percent, time};

    #[test]
    fn chance_explains_what_the_binomial_distribution_does() {
        let rounded = |of: f64, share: f64| at_most(of, share, 1.0);
        assert!((rounded(22.0, 0.009) - 1.0).abs() < 1e-9);
        assert!((rounded(100.0, 0.5) - 60.0).abs() < 1e-9);
        assert!((rounded(10_000.0, 0.06) - 647.0).abs() < 1e-9);
        assert!(at_most(100.0, 0.05, 5.0) > rounded(100.0, 0.05));
    }

    #[test]
    fn shares_and_times_are_short() {
        let shown = [0.009, 0.0002, 0.5, 0.055, 0.9].map(percent);
        assert_eq!(shown, ["0.9 %", "0.02 %", "50 %", "5.5 %", "90 %"]);
        assert_eq!([90.0, 250.0].map(time), ["1m30s", "4m"]);
    }
}
