//! Descriptions as a reference page in Markdown.

use std::collections::{BTreeMap, BTreeSet};

use super::key::{Choice, Description, Key, Kind, Reload, Scalar, Word};

/// A page that grows section by section; each section is explained once and linked afterwards.
#[derive(Debug)]
pub struct Markdown {
    text: String,
    /// Which part of the page this is: the beginning of every anchor.
    part: String,
    /// The link to each section.
    links: BTreeMap<&'static str, String>,
    explained: BTreeSet<&'static str>,
    /// The sets of words that were explained.
    words: BTreeSet<Vec<&'static str>>,
    scalars: BTreeMap<&'static str, &'static Scalar>,
    /// Whether the tables say when a change takes effect.
    with_reload: bool,
    /// When a change of what is described now takes effect, where the section says so.
    reload: Reload,
}

impl Markdown {
    /// A page that begins with a paragraph; its title stands above.
    #[must_use]
    pub fn new(about: &str) -> Self {
        Self {
            text: format!("{about}\n"),
            part: String::new(),
            links: BTreeMap::new(),
            explained: BTreeSet::new(),
            words: BTreeSet::new(),
            scalars: BTreeMap::new(),
            with_reload: false,
            reload: Reload::Applied,
        }
    }

    /// The page with a column that says what a reload does with a change.
    #[must_use]
    pub fn with_reload(self) -> Self {
        Self {
            with_reload: true,
            ..self
        }
    }

    /// Begins a part of the page: the description of another file, whose keys may have the same
    /// names.
    pub fn part(&mut self, heading: &str, section: &Description) {
        self.part = format!("{}-", anchor(heading));
        self.section(heading, "", section);
    }

    /// Adds a section and everything below it; `path` is where it stands in the file, and
    /// `heading` what it is called.
    fn section(&mut self, heading: &str, path: &str, section: &Description) {
        if !self.explained.insert(section.name) {
            return;
        }
        self.heading(heading, section.name);
        self.text.push_str(&format!("\n{}\n", section.doc));
        self.table(&section.keys, &section.flattened);
        let above = self.reload;
        for key in &section.keys {
            self.reload = above.or(key.limits.reload);
            self.kind(&join(path, key.name), &key.kind);
        }
        self.reload = above;
        for flattened in &section.flattened {
            let heading = words_of(flattened.name);
            self.section(&heading, "", flattened);
        }
    }

    /// Writes a heading with an anchor that is unique on the page.
    fn heading(&mut self, heading: &str, section: &'static str) {
        let id = format!("{}{}", self.part, anchor(heading));
        self.text
            .push_str(&format!("\n<a id=\"{id}\"></a>\n\n## {heading}\n"));
        self.links.insert(section, format!("[{heading}](#{id})"));
    }

    /// A section that is explained on another page.
    pub fn link_to(&mut self, name: &'static str, page: &str) {
        self.explained.insert(name);
        let link = format!("[{}]({page})", words_of(name).to_lowercase());
        self.links.insert(name, link);
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
        self.resolve_links();
        self.text.push_str("\n## Types\n\n");
        for scalar in self.scalars.values() {
            self.text
                .push_str(&format!("- **{}**: {}\n", scalar.name, scalar.doc));
        }
        self.text
    }

    fn table(&mut self, keys: &[Key], flattened: &[Description]) {
        if keys.is_empty() && flattened.is_empty() {
            return;
        }
        let [head, line, empty] = if self.with_reload {
            ["| Reload ", "|---", "| "]
        } else {
            [""; 3]
        };
        self.text.push_str(&format!(
            "\n| Key | Type | Default {head}| Meaning |\n|---|---|---{line}|---|\n"
        ));
        for key in keys {
            let kind = self.type_of(&key.kind);
            let default = default_of(key);
            let meaning = meaning(key);
            let reload = if self.with_reload {
                format!("| {} ", self.reload.or(key.limits.reload).as_str())
            } else {
                String::new()
            };
            self.text.push_str(&format!(
                "| `{}` | {kind} | {default} {reload}| {meaning} |\n",
                key.name
            ));
        }
        for section in flattened {
            let link = placeholder(section.name);
            self.text
                .push_str(&format!("| … | | {empty}| The keys of {link} as well. |\n"));
        }
        for key in keys {
            if let Kind::Words(words) = &key.kind
                && words.iter().any(|word| !word.doc.is_empty())
                && self
                    .words
                    .insert(words.iter().map(|word| word.word).collect())
            {
                self.explain_words(key.name, words);
            }
        }
    }

    fn explain_words(&mut self, key: &str, words: &[Word]) {
        self.text.push_str(&format!("\nValues of `{key}`:\n\n"));
        for word in words {
            self.text
                .push_str(&format!("- `{}`: {}\n", word.word, word.doc));
        }
    }

    fn choice(&mut self, path: &str, choice: &Choice) {
        if !self.explained.insert(choice.name) {
            return;
        }
        if path.is_empty() {
            let (id, name) = (anchor(choice.name), words_of(choice.name).to_lowercase());
            self.text
                .push_str(&format!("\n<a id=\"{id}\"></a>\n\n{}\n", choice.doc));
            self.links.insert(choice.name, format!("[{name}](#{id})"));
        } else {
            self.heading(&format!("`{path}`"), choice.name);
            self.text.push_str(&format!("\n{}\n", choice.doc));
        }
        let sections = (choice.sections)();
        for (word, section) in &sections {
            self.section(&format!("`{word}`"), path, section);
        }
    }

    /// The type in a table.
    fn type_of(&mut self, kind: &Kind) -> String {
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
            Kind::List(item) => format!("list of {}", self.type_of(item)),
            Kind::Map(value) => {
                format!("map of {}", self.type_of(value))
            }
            Kind::Section(describe) => placeholder(describe().name),
            Kind::Choice(choice) => placeholder(choice.name),
            Kind::Anything => "anything".to_owned(),
        }
    }

    /// Adds the links that stand for sections; all anchors are known by now.
    fn resolve_links(&mut self) {
        for (section, link) in &self.links {
            self.text = self.text.replace(&placeholder(section), link);
        }
    }
}

/// Stands for the link to a section, which may be explained further down.
fn placeholder(section: &str) -> String {
    format!("\u{1}{section}\u{1}")
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
    let is_list = matches!(key.kind, Kind::List(_));
    let show = |number: f64| {
        if let Kind::Scalar(scalar) = &key.kind {
            (scalar.show)(number)
        } else {
            number.to_string()
        }
    };
    let limits = key.limits.words(&show);
    if !limits.is_empty() {
        let limits = match (is_list, key.limits.at_most) {
            (false, _) => capital(&limits),
            (true, None) => "Not empty".to_owned(),
            (true, Some(_)) => format!("{} entries", capital(&limits)),
        };
        text.push_str(&format!(" {limits}."));
    }
    if key.limits.is_secret {
        text.push_str(" Secret: it is never shown.");
    }
    if !key.limits.example.is_empty() {
        text.push_str(&format!(" Example: `{}`.", cell(key.limits.example)));
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

/// The anchor of a heading: `scrape.targets[]` → `scrape-targets-item`.
fn anchor(heading: &str) -> String {
    let text = heading.replace("[]", ".item").replace(['.', ' '], "-");
    let kept = text
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_'));
    kept.flat_map(char::to_lowercase).collect()
}
