//! What is said of a key: its kind, default, limits, sentence and example.

use serde_json::Value as Json;

/// One key of a section.
#[derive(Debug, Clone)]
pub struct Key {
    /// The name as written in the file.
    pub name: &'static str,
    /// What it is, in a sentence or two.
    pub doc: String,
    /// What may be written behind it.
    pub kind: Kind,
    /// Whether it must be there.
    pub is_required: bool,
    /// What is meant when it is absent, as it would be written.
    pub default: Option<String>,
    /// Limits and remarks.
    pub limits: Limits,
}

/// Limits of a key's value, and remarks about it: everything a declaration says behind the default.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Limits {
    /// Least value; seconds for a duration, items for a list.
    pub at_least: Option<f64>,
    /// Exclusive lower limit.
    pub above: Option<f64>,
    /// Greatest value.
    pub at_most: Option<f64>,
    /// Exclusive upper limit.
    pub below: Option<f64>,
    /// Added to the message when a limit or a word is missed.
    pub hint: &'static str,
    /// The default where it depends on something else.
    pub default_text: &'static str,
    /// A value as it would be written.
    pub example: &'static str,
    /// Whether the value must never be shown.
    pub is_secret: bool,
    /// Whether a problem must not repeat the value, since a secret may stand there by mistake.
    pub is_private: bool,
    /// Whether absence is a problem although there is a value to go on with.
    pub must_be_set: bool,
    /// When a change takes effect.
    pub reload: Reload,
}

/// When a change of a key takes effect in a process that reloads its files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reload {
    /// At the reload.
    #[default]
    Applied,
    /// When the process starts the next time; the other changes of a reload are applied.
    NextStart,
    /// Not without a restart; a reload that changes it is refused as a whole.
    Refused,
}

impl Reload {
    /// The effect of a change in a section: that of the section, or of the key.
    #[must_use]
    pub fn or(self, key: Self) -> Self {
        if self == Self::Applied { key } else { self }
    }

    /// The effect in a table.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::NextStart => "needs a restart",
            Self::Refused => "refused, needs a restart",
        }
    }
}

impl Limits {
    /// No limits.
    pub const NONE: Self = Self {
        at_least: None,
        above: None,
        at_most: None,
        below: None,
        hint: "",
        default_text: "",
        example: "",
        is_secret: false,
        is_private: false,
        must_be_set: false,
        reload: Reload::Applied,
    };

    /// At least this; seconds for a duration, items for a list.
    #[must_use]
    pub const fn at_least(self, least: f64) -> Self {
        Self {
            at_least: Some(least),
            ..self
        }
    }

    /// More than this.
    #[must_use]
    pub const fn above(self, limit: f64) -> Self {
        Self {
            above: Some(limit),
            ..self
        }
    }

    /// At most this.
    #[must_use]
    pub const fn at_most(self, most: f64) -> Self {
        Self {
            at_most: Some(most),
            ..self
        }
    }

    /// Less than this.
    #[must_use]
    pub const fn below(self, limit: f64) -> Self {
        Self {
            below: Some(limit),
            ..self
        }
    }

    /// From `low` to `high`, both included.
    #[must_use]
    pub const fn within(self, low: f64, high: f64) -> Self {
        self.at_least(low).at_most(high)
    }

    /// Between `low` and `high`, both excluded.
    #[must_use]
    pub const fn between(self, low: f64, high: f64) -> Self {
        self.above(low).below(high)
    }

    /// Adds to the message when a limit or a word is missed.
    #[must_use]
    pub const fn hint(self, hint: &'static str) -> Self {
        Self { hint, ..self }
    }

    /// Says what the default is, where it depends on something else.
    #[must_use]
    pub const fn default_text(self, default_text: &'static str) -> Self {
        Self {
            default_text,
            ..self
        }
    }

    /// A value as it would be written.
    #[must_use]
    pub const fn example(self, example: &'static str) -> Self {
        Self { example, ..self }
    }

    /// The value must never be shown.
    #[must_use]
    pub const fn secret(self) -> Self {
        Self {
            is_secret: true,
            ..self
        }
    }

    /// A problem does not repeat the value: a secret may stand there by mistake.
    #[must_use]
    pub const fn private(self) -> Self {
        Self {
            is_private: true,
            ..self
        }
    }

    /// Whether a problem must not repeat the value.
    #[must_use]
    pub const fn hides_value(&self) -> bool {
        self.is_secret || self.is_private
    }

    /// The key must be there, although reading goes on with the default.
    #[must_use]
    pub const fn must_be_set(self) -> Self {
        Self {
            must_be_set: true,
            ..self
        }
    }

    /// A change of the key takes effect at the next start.
    #[must_use]
    pub const fn next_start(self) -> Self {
        Self {
            reload: Reload::NextStart,
            ..self
        }
    }

    /// A reload that changes the key is refused.
    #[must_use]
    pub const fn refused(self) -> Self {
        Self {
            reload: Reload::Refused,
            ..self
        }
    }

    /// Whether a number keeps the limits.
    #[must_use]
    pub fn allow(&self, number: f64) -> bool {
        self.at_least.is_none_or(|least| number >= least)
            && self.above.is_none_or(|limit| number > limit)
            && self.at_most.is_none_or(|most| number <= most)
            && self.below.is_none_or(|limit| number < limit)
    }

    /// The limits in words, such as `from 1 to 10` or `more than 0`; empty without limits.
    #[must_use]
    pub fn words(&self, show: &dyn Fn(f64) -> String) -> String {
        let low = match (self.at_least, self.above) {
            (Some(least), _) if self.at_most.is_some() => format!("from {}", show(least)),
            (Some(least), _) => format!("at least {}", show(least)),
            (None, Some(limit)) if self.below.is_some() => format!("between {}", show(limit)),
            (None, Some(limit)) => format!("more than {}", show(limit)),
            (None, None) => String::new(),
        };
        let high = match (self.at_most, self.below) {
            (Some(most), _) if self.at_least.is_some() => format!("to {}", show(most)),
            (Some(most), _) => format!("at most {}", show(most)),
            (None, Some(limit)) if self.above.is_some() && self.at_least.is_none() => {
                format!("and {}", show(limit))
            }
            (None, Some(limit)) => format!("less than {}", show(limit)),
            (None, None) => String::new(),
        };
        match (low.is_empty(), high.is_empty()) {
            (false, false) => format!("{low} {high}"),
            _ => low + &high,
        }
    }
}

/// What may be written behind a key.
#[derive(Debug, Clone)]
pub enum Kind {
    /// A single value.
    Scalar(&'static Scalar),
    /// One of these words.
    Words(Vec<Word>),
    /// A list.
    List(Box<Kind>),
    /// A map whose keys are data.
    Map(Box<Kind>),
    /// A map with described keys.
    Section(fn() -> Description),
    /// A map that is one of these.
    Choice(Choice),
    /// Anything; it is not looked at.
    Anything,
}

/// The value of a tag, or the name of an alternative, and its section.
pub type Alternative = (&'static str, Description);

/// A section that is one of several.
#[derive(Debug, Clone, Copy)]
pub struct Choice {
    /// A name for all of them.
    pub name: &'static str,
    /// What they have in common.
    pub doc: &'static str,
    /// The key whose value says which one it is; empty when the keys themselves do.
    pub tag: &'static str,
    /// The value of the tag, and the section.
    pub sections: fn() -> Vec<Alternative>,
}

/// A kind of single value, such as a duration.
#[derive(Debug)]
pub struct Scalar {
    /// What it is called.
    pub name: &'static str,
    /// How it is written.
    pub doc: &'static str,
    /// Its JSON Schema.
    pub schema: fn() -> Json,
    /// How a number of this kind is shown, where it has limits.
    pub show: fn(f64) -> String,
}

/// A word and what it means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// The word as written.
    pub word: &'static str,
    /// What it means; may be empty.
    pub doc: &'static str,
}

/// A section: its keys, in the order in which they are explained.
#[derive(Debug, Clone)]
pub struct Description {
    /// A name that no other section has.
    pub name: &'static str,
    /// What the section is about.
    pub doc: String,
    /// Its own keys.
    pub keys: Vec<Key>,
    /// Sections whose keys stand among its own.
    pub flattened: Vec<Description>,
    /// JSON Schema keywords for rules between keys.
    pub schema: Option<Json>,
}

impl Description {
    /// Every key, those of flattened sections included.
    pub fn all_keys(&self) -> Vec<&Key> {
        let flattened = self.flattened.iter().flat_map(Self::all_keys);
        self.keys.iter().chain(flattened).collect()
    }
}

/// The lines of a doc comment as one text.
#[must_use]
pub fn one_text(doc: &str) -> String {
    doc.split_whitespace().collect::<Vec<_>>().join(" ")
}
