//! A file of OpenMetrics text with timestamps, as `promtool tsdb create-blocks-from openmetrics` takes it.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::{Error, Recording};
use crate::metric::{Labels, SeriesFilter, Timestamp};
use crate::scrape::Format;
use crate::scrape::parse::{FamilyType, Parser, Series};

/// Bytes that are read at once; a line must fit.
const BLOCK: usize = 4 << 20;
/// What ends the text.
const EOF: &[u8] = b"# EOF\n";

/// Reads the samples that `wanted` lets pass, in any order; the file itself is never in memory as a whole.
///
/// `progress` hears how many bytes have been read.
///
/// # Errors
/// When the file cannot be read, is no OpenMetrics text, or a sample has no timestamp.
pub fn read_openmetrics(
    path: &Path,
    wanted: &SeriesFilter,
    progress: &mut dyn FnMut(u64),
) -> Result<Recording, Error> {
    let unreadable = |source: io::Error| Error::File {
        path: path.display().to_string(),
        source,
    };
    let mut file = File::open(path).map_err(unreadable)?;
    let mut reader = Reader::new(path, wanted);
    let mut block = Vec::with_capacity(BLOCK + EOF.len());
    let mut read = 0;
    loop {
        let room = BLOCK.saturating_sub(block.len());
        let mut chunk = Read::by_ref(&mut file).take(room as u64);
        let got = chunk.read_to_end(&mut block).map_err(unreadable)?;
        if got == 0 {
            // What is left has no newline, or no room for one.
            reader.last(&block)?;
            break;
        }
        read += got as u64;
        progress(read);
        let Some(end) = memchr::memrchr(b'\n', &block) else {
            continue;
        };
        let rest = block.split_off(end + 1);
        reader.block(&mut block)?;
        block = rest;
    }
    Ok(reader.recording)
}

/// What is known of a series from its bytes.
#[derive(Debug, Clone, Copy)]
enum Known {
    Column(usize),
    Unwanted,
}

struct Reader<'a> {
    path: &'a Path,
    wanted: &'a SeriesFilter,
    recording: Recording,
    known: HashMap<Box<[u8]>, Known>,
    /// Lines of the blocks before.
    lines: usize,
    ended: bool,
    /// Name and type of the family that was open at the end of the last block.
    family: (String, FamilyType),
}

impl<'a> Reader<'a> {
    fn new(path: &'a Path, wanted: &'a SeriesFilter) -> Self {
        Self {
            path,
            wanted,
            recording: Recording::default(),
            known: HashMap::new(),
            lines: 0,
            ended: false,
            family: (String::new(), FamilyType::Unknown),
        }
    }

    fn wrong(&self, line: usize, message: impl Into<String>) -> Error {
        Error::Content {
            path: self.path.display().to_string(),
            line: self.lines + line,
            message: message.into(),
        }
    }

    /// Whole lines; each block is read as a text of its own.
    fn block(&mut self, block: &mut Vec<u8>) -> Result<(), Error> {
        if self.ended {
            return Err(self.wrong(1, "data after # EOF"));
        }
        self.ended = block.ends_with(EOF) && is_line(block, block.len() - EOF.len());
        let own = block.len();
        if !self.ended {
            block.extend_from_slice(EOF);
        }
        self.samples(block)?;
        self.lines += memchr::memchr_iter(b'\n', &block[..own]).count();
        Ok(())
    }

    /// What remained without a newline: nothing, or the end.
    fn last(&mut self, rest: &[u8]) -> Result<(), Error> {
        if *rest == EOF[..EOF.len() - 1] && !self.ended {
            self.ended = true;
        } else if !rest.is_empty() {
            return Err(self.wrong(1, "a line without its end; the file may be cut"));
        }
        if self.ended {
            return Ok(());
        }
        Err(self.wrong(1, "the text does not end with # EOF; the file may be cut"))
    }

    fn samples(&mut self, block: &[u8]) -> Result<(), Error> {
        let mut parser = Parser::new(block, Format::OpenMetrics);
        let mut series = Series::default();
        let mut before: Option<(std::ops::Range<usize>, Known)> = None;
        loop {
            let sample = parser.next_sample(&mut series);
            let sample = sample.map_err(|error| {
                let message = format!(
                    "column {}: {} at {:?}",
                    error.column, error.message, error.excerpt
                );
                self.wrong(error.line, message)
            })?;
            let family = parser.family();
            if !family.name.is_empty() {
                let known = (self.family.0.as_str(), self.family.1);
                if known != (family.name, family.kind) {
                    self.family = (family.name.to_owned(), family.kind);
                }
            }
            let Some(sample) = sample else { return Ok(()) };
            let bytes = &block[series.range.clone()];
            let known = match &before {
                Some((range, known)) if block[range.clone()] == *bytes => *known,
                _ => self.find(bytes, &series, block),
            };
            before = Some((series.range.clone(), known));
            let Some(at) = sample.at else {
                let line = memchr::memchr_iter(b'\n', &block[..series.range.start]).count() + 1;
                let message = "a sample without a timestamp; write it behind the value, in seconds";
                return Err(self.wrong(line, message));
            };
            if let Known::Column(column) = known {
                self.recording
                    .push(column, Timestamp::from_millis(at), sample.value);
            }
        }
    }

    fn find(&mut self, bytes: &[u8], series: &Series, block: &[u8]) -> Known {
        if let Some(known) = self.known.get(bytes) {
            return *known;
        }
        let pairs = series.labels.iter();
        let pairs = pairs.map(|(name, value)| (name.text(block), value.text(block)));
        let labels = Labels::named(
            &series.name.text(block),
            pairs.map(|(name, value)| (name.into_owned(), value.into_owned())),
        );
        let wanted = !self.is_creation_time(&labels) && self.wanted.wants(&labels);
        let known = if wanted {
            Known::Column(self.recording.column(&labels))
        } else {
            Known::Unwanted
        };
        self.known.insert(bytes.into(), known);
        known
    }

    /// As a live scrape, which has no use for `_created`.
    fn is_creation_time(&self, labels: &Labels) -> bool {
        let (family, kind) = &self.family;
        let counts = matches!(
            kind,
            FamilyType::Counter | FamilyType::Histogram | FamilyType::Summary
        );
        let name = labels.name().unwrap_or_default();
        counts && name.strip_suffix("_created") == Some(family)
    }
}

fn is_line(block: &[u8], start: usize) -> bool {
    start == 0 || block.get(start - 1) == Some(&b'\n')
}

#[cfg(test)]
mod tests {
    use super::read_openmetrics;
    use crate::metric::SeriesFilter;

    fn read(text: &str) -> Result<usize, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("h.om");
        std::fs::write(&path, text).unwrap();
        let recording = read_openmetrics(&path, &SeriesFilter::everything(), &mut |_| {});
        recording.map(|r| r.series()).map_err(|error| {
            let text = error.to_string();
            text.rsplit('/').next().unwrap().to_owned()
        })
    }

    #[test]
    fn creation_times_are_no_series() {
        let text = "# TYPE c counter\nc_total{a=\"b\"} 1 10\nc_created{a=\"b\"} 5 10\n# TYPE g gauge\ng_created 1 10\n# EOF\n";
        assert_eq!(read(text), Ok(2));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        assert_eq!(
            read("g 1 10\ng 2\n# EOF\n").unwrap_err(),
            "h.om:2: a sample without a timestamp; write it behind the value, in seconds"
        );
        assert_eq!(
            read("g 1 10\n").unwrap_err(),
            "h.om:2: the text does not end with # EOF; the file may be cut"
        );
        let error = read("g 1 10\ng{ 2 20\n# EOF\n").unwrap_err();
        assert!(error.starts_with("h.om:2: column "), "{error}");
        assert_eq!(read("g 1 10\n# EOF"), Ok(1));
        let error = read("g 1 10\n# EOF\ng 1 20\n").unwrap_err();
        assert!(error.contains("data after # EOF"), "{error}");
    }
}
