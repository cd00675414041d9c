//! A YAML document with the line of every place in it.

use super::places::lines;
use super::tree::{Broken, merged, trees};
use crate::config::problem::{Problem, Problems};
use crate::config::text::MAX_FILE_BYTES;
use crate::describe::{Fault, Lines, ReadContext, Reader, Value};

/// Deepest nesting, as `serde_yaml` has it; it takes time, and the paths memory, that grow with the
/// square of the depth.
pub(super) const MAX_DEPTH: usize = 128;

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

    /// Parses every document of a text of rules, with the merge keys `<<` replaced by what they
    /// stand for; empty documents are left out.
    ///
    /// # Errors
    /// A problem with the line where the text stops being YAML, repeats a key, or is too large.
    pub(crate) fn parse_all(file: &str, text: &str) -> Result<Vec<Self>, Problem> {
        let documents = Self::read(file, text, usize::MAX)?;
        let documents = documents.into_iter().map(|document| Self {
            root: merged(document.root),
            ..document
        });
        Ok(documents.collect())
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
        // Editors on Windows begin a file with a byte order mark.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let places = lines(text)
            .map_err(|line| problem(line, format!("nested more than {MAX_DEPTH} levels deep")))?;
        let mut places = places.into_iter();
        let mut documents = Vec::new();
        for tree in trees(text).take(most) {
            let root = tree.map_err(|Broken { line, message }| {
                problem(line, format!("not valid YAML: {message}"))
            })?;
            let lines = places.next().unwrap_or_default();
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
            assert!(Document::parse_all("r.yaml", text).unwrap().is_empty());
        }
    }

    #[test]
    fn a_byte_order_mark_is_no_content() {
        let document = Document::parse("r.yaml", "\u{feff}a: 1\nb: 2\n").unwrap();
        assert_eq!((document.line("a"), document.line("b")), (1, 2));
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
