//! Answers to `query` in the templates of alerts.

use std::sync::Arc;
use std::time::Duration;

use super::asker::Asker;
use super::rule::Pass;
use crate::alert::{self, template};
use crate::config::Config;
use crate::metric::{Matcher, Selector, Timestamp};
use crate::promql::{Expr, Query};
use crate::rules::Rule;
use crate::series::{Limits, Window};

/// Lends the window, and the source where there is one, to the templates of a rule while `act` runs.
pub(super) fn answering<T>(pass: &mut Pass<'_>, act: impl FnOnce(&mut Pass<'_>) -> T) -> T {
    let lent = std::mem::replace(pass.window, Window::new(Limits::default()));
    let lent = Arc::new(lent);
    let asker = pass.results.and_then(|results| results.asker.clone());
    let context = alert::Context {
        query: Some(answers(Arc::clone(&lent), asker, pass.at)),
        ..pass.context.clone()
    };
    let mut inner = Pass {
        window: &mut *pass.window,
        context: &context,
        rollout: pass.rollout,
        at: pass.at,
        evidence: &mut *pass.evidence,
        results: pass.results,
        alert_series: pass.alert_series,
        changes: std::mem::take(&mut pass.changes),
    };
    let result = act(&mut inner);
    pass.changes = inner.changes;
    drop(context);
    // Nobody keeps a context, so the window comes back.
    if let Some(window) = Arc::into_inner(lent) {
        *pass.window = window;
    }
    result
}

fn answers(window: Arc<Window>, asker: Option<Arc<Asker>>, at: Timestamp) -> template::Query {
    Arc::new(move |text| {
        let expr = Expr::parse(text).map_err(|error| error.to_string())?;
        if let Some(answer) = asker.as_ref().and_then(|asker| asker.answer(&expr)) {
            return answer;
        }
        let evaluation = Query::new(expr).eval(&*window, at);
        let values = evaluation
            .and_then(|evaluation| evaluation.value.into_vector(at))
            .map_err(|error| error.to_string())?;
        let values = values.into_iter();
        Ok(values.map(|sample| (sample.labels, sample.value)).collect())
    })
}

/// What templates may ask for: the selectors, and how far back they look.
///
/// Of a text that `printf` makes only the names are known.
pub(super) fn asked(config: &Config) -> (Vec<Selector>, Duration) {
    let rules = config.rules.rules();
    let texts = rules.flat_map(|rule| match rule {
        Rule::Record(_) => Vec::new(),
        Rule::Alert { alert, .. } => alert.queries(),
        Rule::Watch(watch) => watch.alert.queries(),
    });
    let mut selectors = Vec::new();
    let mut reach = Duration::ZERO;
    for text in texts {
        let is_made = text.contains('%');
        let text = text.replace("%q", "\"\"").replace(['%'], "");
        // What cannot be parsed is told where it is rendered.
        let Ok(expr) = Expr::parse(&text) else {
            continue;
        };
        reach = reach.max(expr.reach());
        selectors.extend(expr.selectors().into_iter().filter_map(|selector| {
            if !is_made {
                return Some(selector);
            }
            let name = selector.metric_name()?;
            Some(Selector::new(vec![Matcher::equal(
                crate::metric::Labels::NAME,
                name,
            )]))
        }));
    }
    (selectors, reach.min(config.settings.storage.retention))
}
