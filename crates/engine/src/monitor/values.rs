//! The values of a rule's expression at a tick, and the observations behind them.

use super::pass::Pass;
use crate::promql::{Counts, InstantSample, Query};

/// The values of a rule's expression, and whether the windows behind them are filled.
pub(super) fn values(
    query: &mut Query,
    samples: &mut Option<Query>,
    pass: &Pass<'_>,
) -> Result<(Vec<InstantSample>, bool), String> {
    let counts = match samples {
        Some(samples) => Some(counts(samples, pass)?),
        None => None,
    };
    let (mut values, is_filled) = evaluate(query, counts.as_ref(), pass)?;
    if let Some(counts) = &counts {
        query.add_counts(&mut values, counts);
    }
    Ok((values, is_filled))
}

/// The values of an expression without observations, and whether the windows behind them are filled.
pub(super) fn plain_values(
    query: &mut Query,
    pass: &Pass<'_>,
) -> Result<(Vec<InstantSample>, bool), String> {
    evaluate(query, None, pass)
}

/// The numbers of observations that a rule names.
fn counts(samples: &mut Query, pass: &Pass<'_>) -> Result<Counts, String> {
    let (values, _) = evaluate(samples, None, pass).map_err(|error| format!("samples: {error}"))?;
    let known = values.into_iter().filter(|sample| sample.value.is_finite());
    Ok(Counts::new(
        known.map(|sample| (sample.labels, sample.value)),
    ))
}

/// The values of an expression, and whether the windows behind them are filled. A server's answer
/// wins over the window.
fn evaluate(
    query: &mut Query,
    counts: Option<&Counts>,
    pass: &Pass<'_>,
) -> Result<(Vec<InstantSample>, bool), String> {
    if let Some(answer) = pass.results.get(query.expr()) {
        return answer.clone().map(|values| (values, true));
    }
    let evaluation = query
        .eval_counted(&*pass.window, pass.at, counts)
        .map_err(|error| error.to_string())?;
    let complete = evaluation.coverage.is_sufficient();
    let values = evaluation.value.into_vector(pass.at);
    Ok((values.map_err(|error| error.to_string())?, complete))
}
