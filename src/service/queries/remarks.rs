//! What a query cannot see: series that are not stored, and samples from before the window.

use std::time::Duration;

use super::json::Notes;
use super::params::When;
use crate::config::Config;
use crate::metric::{Labels, Selector, Timestamp, format_duration};
use crate::monitor::selectors;
use crate::promql::Expr;
use crate::publish::OWN_SERIES;
use crate::rules::Rule;
use crate::series::SYNTHETIC;

/// Which of the target's series are stored.
#[derive(Debug)]
pub(super) struct Stored {
    /// What the rules read; nothing else of a scrape is stored.
    read: Vec<Selector>,
    records: Vec<String>,
    /// The series of the rules are at a server.
    is_remote: bool,
}

impl Stored {
    /// Under this configuration.
    pub(super) fn of(config: &Config) -> Self {
        let records = config.rules.rules();
        let records = records.filter(|rule| matches!(rule, Rule::Record(_)));
        Self {
            read: selectors(&config.rules),
            records: records.map(|rule| rule.name().to_owned()).collect(),
            is_remote: config.settings.scrape.source.is_some(),
        }
    }

    /// Notes on the selectors that find less here than at a Prometheus with the same targets.
    pub(super) fn notes(&self, asked: &[Selector]) -> Notes {
        let mut notes = Notes::default();
        for selector in asked {
            let (texts, text) = match selector.metric_name() {
                Some(name) if self.is_ours(name) => continue,
                Some(name) => match self.note(selector, name) {
                    Some(Found::Nothing(text)) => (&mut notes.warnings, text),
                    Some(Found::Part(text)) => (&mut notes.infos, text),
                    None => continue,
                },
                None => (
                    &mut notes.infos,
                    "of the targets' series, only those that a rule selects are stored".to_owned(),
                ),
            };
            if !texts.contains(&text) {
                texts.push(text);
            }
        }
        notes
    }

    /// Whether series of this name are made here, so that all of them are stored.
    fn is_ours(&self, name: &str) -> bool {
        OWN_SERIES.contains(&name)
            || (SYNTHETIC.contains(&name) && !self.is_remote)
            || self.records.iter().any(|record| record == name)
    }

    fn note(&self, selector: &Selector, name: &str) -> Option<Found> {
        if self.is_remote {
            let text = format!(
                "the series of {name} are at the source of scrape.source, not here; ask it"
            );
            return Some(Found::Nothing(text));
        }
        let readers = self.read.iter().filter(|read| read.may_match_name(name));
        let readers: Vec<&Selector> = readers.collect();
        if readers.is_empty() {
            let text = format!("no rule selects {name}, so its series are not stored");
            return Some(Found::Nothing(text));
        }
        let others = |read: &&Selector| {
            let matchers = read.matchers().iter();
            let mut others = matchers.filter(|matcher| matcher.name() != Labels::NAME);
            // A selector with all of the reader's matchers finds a part of what the reader finds.
            others.all(|matcher| selector.matchers().contains(matcher))
        };
        if readers.iter().any(others) {
            return None;
        }
        let texts: Vec<String> = readers.iter().take(3).map(ToString::to_string).collect();
        let more = if readers.len() > 3 { ", …" } else { "" };
        let text = format!(
            "of {name}, only the series that rules select are stored: {}{more}",
            texts.join(", ")
        );
        Some(Found::Part(text))
    }
}

/// How much of what is asked for is stored.
enum Found {
    Nothing(String),
    Part(String),
}

/// The note that a query reads samples from before the window, which keeps them for `kept`.
pub(super) fn before_window(
    expr: &Expr,
    when: When,
    (now, kept): (Timestamp, Duration),
) -> Option<String> {
    let oldest = now - kept;
    let needed = expr.selected(Duration::ZERO).into_iter();
    let needed = needed.filter(|read| {
        let name = read.selector.metric_name();
        !read.fixed && !name.is_some_and(|name| OWN_SERIES.contains(&name))
    });
    let first = needed.map(|read| when.bounds().0 - read.reach).min()?;
    (first < oldest).then(|| {
        format!(
            "samples from before {oldest} are not stored: the window is as long as the rules look back, here {}",
            format_duration(kept)
        )
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Stored, before_window};
    use crate::config::Config;
    use crate::judge::Registry;
    use crate::metric::Timestamp;
    use crate::promql::Expr;
    use crate::service::queries::params::When;

    fn stored() -> Stored {
        let rules = "groups: [{name: g, rules: [{record: r, expr: 'sum(a)'}, {alert: A, expr: 'b{x=\"1\"} > 0'}]}]";
        let config = Config::default().with_rules("r", rules, &Registry::built_in());
        Stored::of(&config.unwrap())
    }

    #[test]
    fn what_no_rule_selects_is_said_not_to_be_stored() {
        let notes = |text: &str| stored().notes(&Expr::parse(text).unwrap().selectors());
        for complete in [
            "a",
            "a{x=\"1\"}",
            "b{x=\"1\", y=\"2\"}",
            "r",
            "up",
            "ALERTS",
            "1",
            "sidewatch_metric_value",
        ] {
            assert_eq!(notes(complete), super::Notes::default(), "{complete}");
        }
        let found = notes("c + c");
        assert_eq!(
            found.warnings,
            ["no rule selects c, so its series are not stored"]
        );
        let found = notes("b");
        assert_eq!(
            found.infos,
            [r#"of b, only the series that rules select are stored: b{x="1"}"#]
        );
        assert_eq!(notes("{x=\"1\"}").infos.len(), 1);
    }

    #[test]
    fn a_range_that_begins_before_the_window_is_noted() {
        let minutes = |n: u64| Duration::from_secs(60 * n);
        let now = Timestamp::from_millis(0) + minutes(100);
        let noted = |text: &str, at: Timestamp| {
            let expr = Expr::parse(text).unwrap();
            before_window(&expr, When::At(at), (now, minutes(10))).is_some()
        };
        assert!(!noted("x", now));
        assert!(!noted("rate(x[10m])", now));
        assert!(noted("rate(x[11m])", now));
        assert!(noted("x offset 11m", now));
        assert!(noted("x", now - minutes(11)));
        assert!(!noted("1", now - minutes(11)));
    }
}
