//! YAML text → a tree and the line of every place in it. The only file that imports the YAML
//! libraries.
//!
//! `serde_yaml` decides what the text means; it keeps no positions, so the events of
//! `saphyr-parser` give the line of each path.

use saphyr_parser::{Event, Parser};

use super::problem::{Problem, Problems};
use super::text::MAX_FILE_BYTES;
use crate::describe::{Fault, Lines, ReadContext, Reader, Value};

/// Deepest nesting, as `serde_yaml` has it; it takes time, and the paths memory, that grow with the
/// square of the depth.
const MAX_DEPTH: usize = 128;

/// One parsed file.
#[derive(Debug, Clone)]
pub(crate) struct Document {
    /// The file as the user named it.
    pub(crate) file: String,
    /// Its content.
    pub(crate) root: Value,
    lines: Lines,
}

impl Document {
    /// Parses the first document of a text.
    ///
    /// # Errors
    /// A problem with the line where the text stops being YAML, repeats a key, or is empty or too
    /// large.
    pub(crate) fn parse(file: &str, text: &str) -> Result<Self, Problem> {
        let first = Self::read(file, text, 1)?.into_iter().next();
        first.ok_or_else(|| empty(file))
    }

    /// Parses every document of a text; empty ones are left out.
    ///
    /// # Errors
    /// A problem with the line where the text stops being YAML, repeats a key, or is empty or too
    /// large.
    pub(crate) fn parse_all(file: &str, text: &str) -> Result<Vec<Self>, Problem> {
        let all = Self::read(file, text, usize::MAX)?;
        if all.is_empty() {
            return Err(empty(file));
        }
        Ok(all)
    }

    fn read(file: &str, text: &str, most: usize) -> Result<Vec<Self>, Problem> {
        let problem = |line: usize, message: String| Problem {
            file: file.to_owned(),
            line,
            path: String::new(),
            message,
        };
        if text.len() > MAX_FILE_BYTES {
            let message = format!(
                "the file has {} bytes, more than the {MAX_FILE_BYTES} that are read",
                text.len()
            );
            return Err(problem(0, message));
        }
        let places = lines(text)
            .map_err(|line| problem(line, format!("nested more than {MAX_DEPTH} levels deep")))?;
        let mut places = places.into_iter();
        let mut documents = Vec::new();
        for document in serde_yaml::Deserializer::from_str(text).take(most) {
            let value: serde_yaml::Value =
                serde::Deserialize::deserialize(document).map_err(|error: serde_yaml::Error| {
                    let line = error.location().map_or(0, |at| at.line());
                    let message = error.to_string();
                    problem(line, format!("not valid YAML: {}", without_place(&message)))
                })?;
            let lines = places.next().unwrap_or_default();
            let root = convert(value).map_err(|message| problem(0, message))?;
            if root != Value::Null {
                documents.push(Self {
                    file: file.to_owned(),
                    root,
                    lines,
                });
            }
        }
        Ok(documents)
    }

    /// The line of a path, or of the nearest enclosing place that has one; 0 when unknown.
    #[must_use]
    pub(crate) fn line(&self, path: &str) -> usize {
        self.lines.line(path)
    }

    /// Reads the document without a context: `${VAR}` and relative paths have no meaning.
    #[must_use]
    pub(crate) fn reader(&self) -> Reader<'_> {
        self.reader_in(ReadContext::empty())
    }

    /// Reads the document in a context.
    #[must_use]
    pub(crate) fn reader_in<'a>(&'a self, context: ReadContext<'a>) -> Reader<'a> {
        Reader::new(&self.root, context).with_lines(&self.lines)
    }

    /// The problems that a reader found, with file and line.
    #[must_use]
    pub(crate) fn problems(&self, faults: Vec<Fault>) -> Problems {
        let mut problems = Problems::default();
        for fault in faults {
            problems.push(self.problem(&fault.path, fault.message));
        }
        problems
    }

    /// A problem at a path of this document.
    #[must_use]
    pub(crate) fn problem(&self, path: &str, message: impl Into<String>) -> Problem {
        Problem {
            file: self.file.clone(),
            line: self.line(path),
            path: path.to_owned(),
            message: message.into(),
        }
    }
}

fn empty(file: &str) -> Problem {
    Problem {
        file: file.to_owned(),
        line: 0,
        path: String::new(),
        message: "the file is empty".to_owned(),
    }
}

/// Drops the place from serde_yaml's message, since the problem already names it.
fn without_place(message: &str) -> &str {
    message.split(" at line ").next().unwrap_or(message)
}

fn convert(value: serde_yaml::Value) -> Result<Value, String> {
    use serde_yaml::Value as Yaml;
    Ok(match value {
        Yaml::Null => Value::Null,
        Yaml::Bool(value) => Value::Bool(value),
        Yaml::Number(number) => {
            Value::Number(number.as_f64().unwrap_or(f64::NAN), number.to_string())
        }
        Yaml::String(text) => Value::String(text),
        Yaml::Sequence(items) => {
            Value::List(items.into_iter().map(convert).collect::<Result<_, _>>()?)
        }
        Yaml::Mapping(entries) => {
            let mut map = Vec::with_capacity(entries.len());
            for (key, value) in entries {
                let key = match convert(key)? {
                    Value::String(text) | Value::Number(_, text) => text,
                    Value::Bool(value) => value.to_string(),
                    other @ (Value::Null | Value::List(_) | Value::Map(_)) => {
                        return Err(format!("a key must be text, got {}", other.describe()));
                    }
                };
                map.push((key, convert(value)?));
            }
            Value::Map(map)
        }
        Yaml::Tagged(tagged) => {
            return Err(format!(
                "the tag {} means nothing here; remove it",
                tagged.tag
            ));
        }
    })
}

/// A scalar where it was written.
#[derive(Debug, Clone)]
pub(super) struct Scalar {
    /// The keys that lead to it; an item of a list is an empty key.
    pub(super) path: Vec<String>,
    /// Its text; empty for an alias.
    pub(super) value: String,
    /// Its bytes in the text.
    pub(super) range: std::ops::Range<usize>,
    /// The anchor that it defines or refers to.
    pub(super) anchor: Option<usize>,
    /// Whether it refers to an anchor.
    pub(super) is_alias: bool,
}

/// Every value of a text that is no map and no list, in the order written, keys left out; `None`
/// when it is not YAML or nested too deep.
pub(super) fn scalars(text: &str) -> Option<Vec<Scalar>> {
    let mut bytes: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
    bytes.push(text.len());
    let byte = |index: usize| bytes.get(index).copied().unwrap_or(text.len());
    // One frame per container: its current key, and whether a key comes next.
    let mut frames: Vec<(String, Option<bool>)> = Vec::new();
    let mut found = Vec::new();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.ok()?;
        let range = byte(span.start.index())..byte(span.end.index());
        if frames.len() > MAX_DEPTH {
            return None;
        }
        match event {
            Event::MappingStart(..) => frames.push((String::new(), Some(true))),
            Event::SequenceStart(..) => frames.push((String::new(), None)),
            Event::MappingEnd | Event::SequenceEnd => {
                frames.pop();
                value_is_over(&mut frames);
            }
            Event::Scalar(text, _, anchor, _) => {
                if let Some((key, Some(next @ true))) = frames.last_mut() {
                    *key = text.into_owned();
                    *next = false;
                    continue;
                }
                let path = frames.iter().map(|(key, _)| key.clone()).collect();
                found.push(Scalar {
                    path,
                    value: text.into_owned(),
                    range,
                    anchor: Some(anchor).filter(|anchor| *anchor > 0),
                    is_alias: false,
                });
                value_is_over(&mut frames);
            }
            Event::Alias(anchor) => {
                let path = frames.iter().map(|(key, _)| key.clone()).collect();
                found.push(Scalar {
                    path,
                    value: String::new(),
                    range,
                    anchor: Some(anchor),
                    is_alias: true,
                });
                value_is_over(&mut frames);
            }
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => {}
        }
    }
    Some(found)
}

/// A value of a map is followed by a key.
fn value_is_over(frames: &mut [(String, Option<bool>)]) {
    if let Some((_, Some(next))) = frames.last_mut() {
        *next = true;
    }
}

/// The position of the walk over the events inside one container.
enum Frame {
    List { path: String, next: usize },
    Map { path: String, key: Option<String> },
}

/// The line of every path of each document: of its key in a map, of its first token in a list; or
/// the first line that is too deep.
fn lines(text: &str) -> Result<Vec<Lines>, usize> {
    let mut all = Vec::new();
    let mut lines = Lines::default();
    let mut frames: Vec<Frame> = Vec::new();
    for event in Parser::new_from_str(text) {
        let (event, span) = match event {
            Ok(event) => event,
            Err(error) if open_brackets(text, error.marker().index()) > MAX_DEPTH => {
                return Err(error.marker().line());
            }
            // serde_yaml reports the mistake.
            Err(_) => break,
        };
        let line = span.start.line();
        if frames.len() > MAX_DEPTH {
            return Err(line);
        }
        match event {
            Event::MappingStart(..) => {
                let path = place(&mut frames, &mut lines, line);
                frames.push(Frame::Map { path, key: None });
            }
            Event::SequenceStart(..) => {
                let path = place(&mut frames, &mut lines, line);
                frames.push(Frame::List { path, next: 0 });
            }
            Event::MappingEnd | Event::SequenceEnd => {
                frames.pop();
            }
            Event::Scalar(text, ..) => {
                if let Some(Frame::Map {
                    path,
                    key: key @ None,
                }) = frames.last_mut()
                {
                    lines.set(join(path, &text), line);
                    *key = Some(text.into_owned());
                } else {
                    place(&mut frames, &mut lines, line);
                }
            }
            Event::Alias(_) => {
                place(&mut frames, &mut lines, line);
            }
            Event::DocumentEnd => all.push(std::mem::take(&mut lines)),
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) => {}
        }
    }
    all.push(lines);
    Ok(all)
}

/// How many brackets are open at a character of the text. The parser has a limit of its own, and
/// counts brackets before it reports them as events.
fn open_brackets(text: &str, at: usize) -> usize {
    text.chars().take(at).fold(0, |open: usize, c| match c {
        '[' | '{' => open + 1,
        ']' | '}' => open.saturating_sub(1),
        _ => open,
    })
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

/// The path of the value that starts here.
fn place(frames: &mut [Frame], lines: &mut Lines, line: usize) -> String {
    let path = match frames.last_mut() {
        None => String::new(),
        Some(Frame::List { path, next }) => {
            let here = format!("{path}[{next}]");
            *next += 1;
            here
        }
        Some(Frame::Map { path, key }) => match key.take() {
            Some(key) => join(path, &key),
            None => path.clone(),
        },
    };
    lines.set_once(path.clone(), line);
    path
}

/// The text of a value.
pub(super) fn to_yaml<T: serde::Serialize>(value: &T) -> Result<String, String> {
    serde_yaml::to_string(value).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::Document;
    use crate::describe::Value;

    const TEXT: &str = "groups:\n- name: a\n  rules:\n  - watch: X\n    strategy:\n      type: ewma\n      alpha: 2\n  - {alert: Y,\n     expr: up}\n";

    #[test]
    fn every_place_has_its_line() {
        let document = Document::parse("r.yaml", TEXT).unwrap();
        assert_eq!(document.line("groups[0].rules[0].strategy.alpha"), 7);
        assert_eq!(document.line("groups[0].rules[1].expr"), 9);
        assert_eq!(document.line("groups[0].rules[1]"), 8);
        assert_eq!(document.line("groups[0].rules[0].strategy.k_sigma"), 5);
    }

    #[test]
    fn a_syntax_error_names_its_line() {
        let problem = Document::parse("r.yaml", "a: 1\nb: [1\nc: 2\n").unwrap_err();
        assert!(problem.line >= 2, "{problem}");
        assert!(problem.to_string().starts_with("r.yaml:"), "{problem}");
    }

    #[test]
    fn a_repeated_key_is_a_problem() {
        assert!(Document::parse("r.yaml", "a: 1\na: 2\n").is_err());
    }

    #[test]
    fn each_document_of_a_text_has_lines_of_its_own() {
        let text = "# first\na: 1\n---\n---\n# nothing\n---\nb:\n  - c: 2\n---\n";
        let documents = Document::parse_all("r.yaml", text).unwrap();
        assert_eq!(documents.len(), 2);
        assert_eq!(documents[0].line("a"), 2);
        assert_eq!(documents[1].line("b[0].c"), 8);
        let broken = Document::parse_all("r.yaml", "a: 1\n---\nb: [\n").unwrap_err();
        assert!(broken.line >= 3, "{broken}");
    }

    #[test]
    fn an_empty_file_is_a_problem() {
        for text in ["", "# nothing\n", "---\n"] {
            let problem = Document::parse("r.yaml", text).unwrap_err();
            assert_eq!(problem.to_string(), "r.yaml: the file is empty");
        }
    }

    #[test]
    fn numbers_keep_their_spelling() {
        let document = Document::parse("c.yaml", "version: 7\nx: .nan\n").unwrap();
        let Value::Map(entries) = document.root else {
            panic!("not a map")
        };
        assert_eq!(entries[0].1, Value::Number(7.0, "7".to_owned()));
    }

    #[test]
    fn deep_nesting_is_refused_quickly() {
        for deep in ["- ", "? ", "[", "{a: ", "- ? "] {
            // Also after the first document, the only one that is read.
            for before in ["", "a: 1\n---\n"] {
                let text = format!("{before}{}", deep.repeat(50_000));
                let problem = Document::parse("r.yaml", &text).unwrap_err();
                assert!(problem.message.contains("nested"), "{deep}: {problem}");
            }
        }
        let deepest = format!("{}{}", "[".repeat(100), "]".repeat(100));
        assert!(Document::parse("r.yaml", &deepest).is_ok());
    }

    #[test]
    fn billion_laughs_is_refused_quickly() {
        let mut text = String::from("a: &a [x,x,x,x,x,x,x,x,x]\n");
        for (name, of) in ["b", "c", "d", "e", "f", "g", "h"]
            .iter()
            .zip(["a", "b", "c", "d", "e", "f", "g"])
        {
            text.push_str(&format!(
                "{name}: &{name} [*{of},*{of},*{of},*{of},*{of},*{of},*{of},*{of},*{of}]\n"
            ));
        }
        assert!(Document::parse("r.yaml", &text).is_err());
    }
}
