//! Where everything stands in a YAML text: the line of each path, the bytes of each scalar.

use saphyr_parser::{Event, Parser};

use super::document::MAX_DEPTH;
use crate::describe::Lines;

/// A scalar where it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::config) struct Scalar {
    /// The keys that lead to it; an item of a list is an empty key.
    pub(in crate::config) path: Vec<String>,
    /// Its text; empty for an alias.
    pub(in crate::config) value: String,
    /// Its bytes in the text.
    pub(in crate::config) range: std::ops::Range<usize>,
    /// The anchor that it defines or refers to.
    pub(in crate::config) anchor: Option<usize>,
    /// Whether it refers to an anchor.
    pub(in crate::config) is_alias: bool,
    /// Whether it is the key of a map. The path of a key is that of its map.
    pub(in crate::config) is_key: bool,
}

/// The scalars of a text.
#[derive(Debug, Default)]
pub(in crate::config) struct Scalars {
    /// Every key and every value that is no map and no list, in the order written.
    pub(in crate::config) all: Vec<Scalar>,
    /// Where the first document ends, in bytes.
    pub(in crate::config) first_end: usize,
}

/// Every scalar of a text; `None` when it is not YAML or nested too deep.
pub(in crate::config) fn scalars(text: &str) -> Option<Scalars> {
    let end = text.len();
    let (text, bytes) = content(text);
    let byte = |index: usize| bytes.get(index).copied().unwrap_or(end);
    // One frame per container: its current key, and whether a key comes next.
    let mut frames: Vec<(String, Option<bool>)> = Vec::new();
    let mut found = Vec::new();
    let mut first_end = None;
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
                let value = text.into_owned();
                let is_key = next_is_key(&mut frames, &value);
                let depth = frames.len() - usize::from(is_key);
                let path = frames.iter().take(depth).map(|(key, _)| key.clone());
                found.push(Scalar {
                    path: path.collect(),
                    value,
                    range,
                    anchor: Some(anchor).filter(|anchor| *anchor > 0),
                    is_alias: false,
                    is_key,
                });
                if !is_key {
                    value_is_over(&mut frames);
                }
            }
            Event::Alias(anchor) => {
                let path = frames.iter().map(|(key, _)| key.clone()).collect();
                found.push(Scalar {
                    path,
                    value: String::new(),
                    range,
                    anchor: Some(anchor),
                    is_alias: true,
                    is_key: false,
                });
                value_is_over(&mut frames);
            }
            Event::DocumentEnd => {
                first_end.get_or_insert(range.start);
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) => {}
        }
    }
    Some(Scalars {
        all: found,
        first_end: first_end.unwrap_or(end),
    })
}

/// The text without a byte order mark, and the byte of each character in the whole text.
fn content(text: &str) -> (&str, Vec<usize>) {
    let rest = text.strip_prefix('\u{feff}').unwrap_or(text);
    let start = text.len() - rest.len();
    let bytes = rest.char_indices().map(|(at, _)| start + at);
    (rest, bytes.collect())
}

/// Takes a scalar for the key of the innermost map if a key comes next.
fn next_is_key(frames: &mut [(String, Option<bool>)], text: &str) -> bool {
    let Some((key, Some(next @ true))) = frames.last_mut() else {
        return false;
    };
    text.clone_into(key);
    *next = false;
    true
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
pub(super) fn lines(text: &str) -> Result<Vec<Lines>, usize> {
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
