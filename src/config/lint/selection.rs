//! The lints that a user asks for.

use std::collections::BTreeSet;
use std::str::FromStr;

use super::Lint;

/// The selected lints. Written as `all`, `none`, or names with commas between them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lints(BTreeSet<Lint>);

impl Default for Lints {
    fn default() -> Self {
        Self(Lint::ALL.iter().copied().collect())
    }
}

impl Lints {
    /// The lints about mistakes, which the log reports whenever a configuration is loaded.
    #[must_use]
    pub(crate) fn at_load() -> Self {
        Self([Lint::DuplicateRules, Lint::UnexpandedVariable].into())
    }

    /// Whether a lint is selected.
    #[must_use]
    pub(crate) fn has(&self, lint: Lint) -> bool {
        self.0.contains(&lint)
    }
}

impl FromStr for Lints {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut selected = BTreeSet::new();
        for word in text.split(',').map(str::trim) {
            match word {
                "all" => selected.extend(Lint::ALL),
                "none" => {}
                name => match Lint::ALL.iter().find(|lint| lint.name() == name) {
                    Some(lint) => {
                        selected.insert(*lint);
                    }
                    None => {
                        let names: Vec<&str> = Lint::ALL.iter().map(|lint| lint.name()).collect();
                        return Err(format!(
                            "no lint {name:?}; write all, none, or some of {}",
                            names.join(", ")
                        ));
                    }
                },
            }
        }
        Ok(Self(selected))
    }
}
