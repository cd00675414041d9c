//! Descriptions as a reference page in Markdown.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::key::{Choice, Description, Key, Kind, Scalar, Word};

/// A page that grows section by section; each section is explained once and linked afterwards.
#[derive(Debug)]
pub struct Page {
    text: String,
    /// The heading under which each section is explained.
    headings: BTreeMap<&'static str, String>,
    explained: BTreeSet<&'static str>,
    /// Sections that are explained on another page.
    pages: BTreeMap<&'static str, String>,
    scalars: BTreeMap<&'static str, &'static Scalar>,
}

impl Page {
    /// A page with a title and a paragraph about it.
    #[must_use]
    pub fn new(title: &str, about: &str) -> Self {
        Self {
            text: format!("# {title}\n\n{about}\n"),
            headings: BTreeMap::new(),
            explained: BTreeSet::new(),
            pages: BTreeMap::new(),
            scalars: BTreeMap::new(),
        }
    }

    /// Adds a section and everything below it; `path` is where it stands in the file, and
    /// `heading` what it is called.
    pub fn section(&mut self, heading: &str, path: &str, section: &Description) {
        if !self.explained.insert(section.name) {
            return;
        }
        self.headings.insert(section.name, heading.to_owned());
        let _ = write!(self.text, "\n## {heading}\n\n{}\n", section.doc);
        self.table(path, &section.keys, &section.flattened);
        for key in &section.keys {
            self.kind(&join(path, key.name), &key.kind);
        }
        for flattened in &section.flattened {
            let heading = words_of(flattened.name);
            self.section(&heading, "", flattened);
        }
    }

    /// A section that is explained on another page.
    pub fn link_to(&mut self, name: &'static str, page: &str) {
        self.explained.insert(name);
        self.pages.insert(name, page.to_owned());
    }

    /// Adds the sections that a kind leads to; `path` is where it stands in the file.
    pub fn kind(&mut self, path: &str, kind: &Kind) {
        match kind {
            Kind::Section(describe) => self.section(&format!("`{path}`"), path, &describe()),
            Kind::List(item) => self.kind(&format!("{path}[]"), item),
            Kind::Map(value) => self.kind(&format!("{path}.<name>"), value),
            Kind::Choice(choice) => self.choice(path, choice),
            Kind::Scalar(_) | Kind::Words(_) | Kind::Anything => {}
        }
    }

    /// The whole page, with the types that it mentions.
    #[must_use]
    pub fn finish(mut self) -> String {
        self.text.push_str("\n## Types\n\n");
        for scalar in self.scalars.values() {
            let _ = writeln!(self.text, "- **{}**: {}", scalar.name, scalar.doc);
        }
        self.text
    }

    fn table(&mut self, path: &str, keys: &[Key], flattened: &[Description]) {
        if keys.is_empty() && flattened.is_empty() {
            return;
        }
        self.text
            .push_str("\n| Key | Type | Default | Meaning |\n|---|---|---|---|\n");
        for key in keys {
            let kind = self.type_of(&join(path, key.name), &key.kind);
            let default = default_of(key);
            let meaning = meaning(key);
            let _ = writeln!(
                self.text,
                "| `{}` | {kind} | {default} | {meaning} |",
                key.name
            );
        }
        for section in flattened {
            let heading = words_of(section.name);
            let _ = writeln!(
                self.text,
                "| … | | | The keys of [{heading}](#{}) as well. |",
                anchor(&heading)
            );
        }
        for key in keys {
            if let Kind::Words(words) = &key.kind
                && words.iter().any(|word| !word.doc.is_empty())
            {
                self.words(key.name, words);
            }
        }
    }

    fn words(&mut self, key: &str, words: &[Word]) {
        let _ = write!(self.text, "\nValues of `{key}`:\n\n");
        for word in words {
            let _ = writeln!(self.text, "- `{}`: {}", word.word, word.doc);
        }
    }

    fn choice(&mut self, path: &str, choice: &Choice) {
        if !self.explained.insert(choice.name) {
            return;
        }
        if path.is_empty() {
            let _ = write!(self.text, "\n{}\n", choice.doc);
        } else {
            self.headings.insert(choice.name, format!("`{path}`"));
            let _ = write!(self.text, "\n## `{path}`\n\n{}\n", choice.doc);
        }
        let sections = (choice.sections)();
        for (word, section) in &sections {
            // Known before the first is explained, so that all of them can be linked.
            self.headings.insert(section.name, format!("`{word}`"));
        }
        for (word, section) in &sections {
            self.section(&format!("`{word}`"), path, section);
        }
    }

    /// The type in a table.
    fn type_of(&mut self, path: &str, kind: &Kind) -> String {
        match kind {
            Kind::Scalar(scalar) => {
                self.scalars.insert(scalar.name, scalar);
                format!("[{}](#types)", scalar.name)
            }
            Kind::Words(words) => {
                let words: Vec<String> = words
                    .iter()
                    .map(|word| format!("`{}`", word.word))
                    .collect();
                words.join(", ")
            }
            Kind::List(item) => format!("list of {}", self.type_of(&format!("{path}[]"), item)),
            Kind::Map(value) => {
                format!("map of {}", self.type_of(&format!("{path}.<name>"), value))
            }
            Kind::Section(describe) => self.link(path, describe().name),
            Kind::Choice(choice) => self.link(path, choice.name),
            Kind::Anything => "anything".to_owned(),
        }
    }

    fn link(&self, path: &str, section: &'static str) -> String {
        if let Some(page) = self.pages.get(section) {
            return format!("[{}]({page})", words_of(section).to_lowercase());
        }
        let heading = self.headings.get(section);
        let heading = heading.map_or_else(|| format!("`{path}`"), Clone::clone);
        format!("[{heading}](#{})", anchor(&heading))
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

fn default_of(key: &Key) -> String {
    if key.is_required {
        return "required".to_owned();
    }
    if !key.limits.default_text.is_empty() {
        return key.limits.default_text.to_owned();
    }
    key.default
        .as_ref()
        .map_or_else(String::new, |default| format!("`{}`", cell(default)))
}

fn meaning(key: &Key) -> String {
    let mut text = cell(&key.doc);
    let show = |number: f64| match &key.kind {
        Kind::Scalar(scalar) => (scalar.show)(number),
        _ => number.to_string(),
    };
    let limits = key.limits.words(&show);
    let items = match &key.kind {
        Kind::List(_) if !limits.is_empty() => " entries",
        _ => "",
    };
    if !limits.is_empty() {
        let _ = write!(text, " {}{items}.", capital(&limits));
    }
    if key.limits.is_secret {
        text.push_str(" Secret: it is never shown.");
    }
    if !key.limits.example.is_empty() {
        let _ = write!(text, " Example: `{}`.", cell(key.limits.example));
    }
    text
}

/// Text inside a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(chars).collect()
    })
}

/// `HttpClient` → `Http client`.
fn words_of(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars() {
        if c.is_uppercase() && !out.is_empty() {
            out.push(' ');
            out.extend(c.to_lowercase());
        } else {
            out.push(c);
        }
    }
    out
}

/// The anchor that a heading has when it is rendered.
fn anchor(heading: &str) -> String {
    let kept = heading
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    let kept: String = kept.flat_map(char::to_lowercase).collect();
    kept.replace(' ', "-")
}
