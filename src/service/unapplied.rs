//! What a reload does not apply: settings that are used when the process starts.

use std::fmt;
use std::path::Path;

use crate::config::settings::Settings;
use crate::describe::Reload;

/// A changed setting that needs a restart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unapplied {
    /// The path of the key in the configuration file.
    pub(crate) key: &'static str,
    /// What becomes of the reload; as the description of the key says.
    pub(crate) effect: Reload,
    /// How the value has changed, without secrets.
    change: String,
}

impl fmt::Display for Unapplied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; restart to apply it", self.key, self.change)
    }
}

/// Every such setting that differs.
pub(super) fn unapplied(was: &Settings, is: &Settings) -> Vec<Unapplied> {
    let version = |settings: &Settings| settings.model.version.clone();
    let path = |settings: &Settings| settings.storage.path.as_deref().map(shown);
    let refused = [
        (
            "model.id",
            Some(was.model.id.clone()),
            Some(is.model.id.clone()),
        ),
        ("model.version", version(was), version(is)),
        ("storage.path", path(was), path(is)),
    ];
    let refused = refused
        .into_iter()
        .filter_map(|(key, was, is)| changed(key, was.as_deref(), is.as_deref()));
    let backfill = match (&was.backfill, &is.backfill) {
        (was, is) if was == is => None,
        (None, _) => Some("added"),
        (_, None) => Some("removed"),
        // The URL may contain a password.
        (Some(_), Some(_)) => Some("changed"),
    };
    let backfill = backfill.map(|change| Unapplied {
        key: "backfill",
        effect: Reload::NextStart,
        change: change.to_owned(),
    });
    refused.chain(backfill).collect()
}

/// A setting whose change a reload refuses, if the values differ.
pub(crate) fn changed(key: &'static str, was: Option<&str>, is: Option<&str>) -> Option<Unapplied> {
    let text = |value: Option<&str>| value.map_or_else(|| "none".to_owned(), |v| format!("{v:?}"));
    (was != is).then(|| Unapplied {
        key,
        effect: Reload::Refused,
        change: format!("changed from {} to {}", text(was), text(is)),
    })
}

/// A path as text.
pub(crate) fn shown(path: &Path) -> String {
    path.display().to_string()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::unapplied;
    use crate::config::relay::Relay;
    use crate::config::settings::{Backfill, Settings};
    use crate::describe::{Keys, Kind, Reload};

    /// Adds every key below a kind: its path, and what a reload does with a change.
    fn collect(path: &str, kind: &Kind, above: Reload, found: &mut BTreeMap<String, Reload>) {
        match kind {
            Kind::List(item) => collect(&format!("{path}[]"), item, above, found),
            Kind::Map(value) => collect(&format!("{path}.<name>"), value, above, found),
            Kind::Section(describe) => {
                // Keys that another section lends, such as those of HTTP clients, count as those
                // of the section.
                for key in describe().keys {
                    let path = format!("{path}.{}", key.name);
                    let effect = above.or(key.limits.reload);
                    found.insert(path.trim_start_matches('.').to_owned(), effect);
                    collect(&path, &key.kind, effect, found);
                }
            }
            Kind::Choice(_) | Kind::Scalar(_) | Kind::Words(_) | Kind::Anything => {}
        }
    }

    fn keys<S: Keys>() -> BTreeMap<String, Reload> {
        let mut found = BTreeMap::new();
        collect(
            "",
            &Kind::Section(S::description),
            Reload::Applied,
            &mut found,
        );
        found
    }

    fn table(text: &str) -> BTreeMap<String, Reload> {
        let rows = text.lines().filter_map(|line| line.split_once(": "));
        let effects = |word: &str| match word {
            "refused" => Reload::Refused,
            "next start" => Reload::NextStart,
            _ => Reload::Applied,
        };
        rows.map(|(key, word)| (key.trim().to_owned(), effects(word)))
            .collect()
    }

    /// A new key has to be added to the table, once it is known that a reload applies it: see
    /// `TickLoop::apply`, and `unapplied` for keys that it cannot apply.
    #[test]
    fn it_is_known_of_every_key_what_a_reload_does_with_it() {
        let found = keys::<Settings>();
        let known = table(include_str!("../../tests/fixtures/reload/run.txt"));
        assert_eq!(found, known);
        let found = keys::<Relay>();
        let known = table(include_str!("../../tests/fixtures/reload/relay.txt"));
        assert_eq!(found, known);
    }

    #[test]
    fn every_key_that_is_described_so_is_named_when_it_changes() {
        let was = Settings::default();
        let mut is = Settings::default();
        is.model.id = "other".to_owned();
        is.model.version = Some("8".to_owned());
        is.storage.path = Some("/data".into());
        is.backfill = Some(Backfill::new("http://me:secret@prometheus:9090"));
        let mut changes: Vec<(String, Reload)> = unapplied(&was, &is)
            .iter()
            .map(|change| (change.key.to_owned(), change.effect))
            .collect();
        changes.sort_by(|(a, _), (b, _)| a.cmp(b));
        let described = keys::<Settings>().into_iter();
        let described = described
            .filter(|(key, effect)| *effect != Reload::Applied && !key.starts_with("backfill."));
        assert_eq!(changes, described.collect::<Vec<_>>());

        let mut lines: Vec<String> = unapplied(&was, &is)
            .iter()
            .map(ToString::to_string)
            .collect();
        lines.extend(unapplied(&is, &was).iter().map(ToString::to_string));
        assert_eq!(
            lines,
            [
                "model.id: changed from \"default\" to \"other\"; restart to apply it",
                "model.version: changed from none to \"8\"; restart to apply it",
                "storage.path: changed from none to \"/data\"; restart to apply it",
                "backfill: added; restart to apply it",
                "model.id: changed from \"other\" to \"default\"; restart to apply it",
                "model.version: changed from \"8\" to none; restart to apply it",
                "storage.path: changed from \"/data\" to none; restart to apply it",
                "backfill: removed; restart to apply it",
            ]
        );
        assert!(unapplied(&is, &is.clone()).is_empty());
    }
}
