//! One budget of false alarms for all distributions of a rule.

/// The level at which each of several p-values is judged, so that among those at or below it the
/// expected share of false ones is at most `alpha` (Benjamini and Hochberg 1995).
///
/// With one p-value it is `alpha`.
#[expect(clippy::cast_precision_loss, reason = "a count")]
pub(super) fn level(mut p_values: Vec<f64>, alpha: f64) -> f64 {
    p_values.sort_by(f64::total_cmp);
    let all = p_values.len().max(1) as f64;
    let steps = p_values.iter().zip(1_u32..);
    let passed = steps.filter(|(p, rank)| **p <= alpha * f64::from(*rank) / all);
    let last = passed.map(|(_, rank)| rank).last().unwrap_or(1);
    alpha * f64::from(last) / all
}

#[cfg(test)]
mod tests {
    use super::level;

    /// The example of Benjamini and Hochberg (1995), section 4: at 5 %, four of fifteen hypotheses
    /// are rejected.
    #[test]
    fn the_level_rejects_what_the_original_paper_rejects() {
        let p = [
            0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262,
            0.5719, 0.6528, 0.7590, 1.0,
        ];
        let level = level(p.to_vec(), 0.05);
        assert_eq!(p.iter().filter(|p| **p <= level).count(), 4);
    }

    #[test]
    fn the_level_of_one_distribution_is_alpha_and_of_many_without_a_change_alpha_over_all() {
        assert!((level(vec![0.3], 0.01) - 0.01).abs() < 1e-12);
        assert!((level(vec![0.3; 200], 0.01) - 5e-5).abs() < 1e-12);
        assert!((level(vec![1e-6; 200], 0.01) - 0.01).abs() < 1e-12);
        assert!((level(Vec::new(), 0.01) - 0.01).abs() < 1e-12);
    }
}
