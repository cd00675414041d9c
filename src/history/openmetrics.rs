//! OpenMetrics files with timestamps, as for `promtool tsdb create-blocks-from openmetrics`.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::{Error, Recording};
use crate::metric::{Labels, SeriesFilter, Timestamp};
use crate::scrape::Format;
use crate::scrape::parse::{FamilyType, Parser, Series};

/// Size of a block in bytes; a line must fit into one.
const BLOCK_BYTES: usize = 4 << 20;
/// The end of the text.
const EOF: &[u8] = b"# EOF\n";

/// Reads the samples of the series that `wanted` selects, in any order and block by block.
///
/// `progress` receives the number of bytes read so far.
///
/// # Errors
/// When the file cannot be read, is not OpenMetrics text, or a sample has no timestamp.
pub(crate) fn read_openmetrics(
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
    let mut block = Vec::with_capacity(BLOCK_BYTES + EOF.len());
    let mut read = 0;
    loop {
        let room = BLOCK_BYTES.saturating_sub(block.len());
        let mut chunk = Read::by_ref(&mut file).take(room as u64);
        let got = chunk.read_to_end(&mut block).map_err(unreadable)?;
        if got == 0 {
            // The rest has no newline, or the line does not fit into a block.
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

/// Where the samples of a series go.
#[derive(Debug, Clone, Copy)]
enum Destination {
    Column(usize),
    Unwanted,
}

struct Reader<'a> {
    path: &'a Path,
    wanted: &'a SeriesFilter,
    recording: Recording,
    /// By the bytes of name and labels.
    destinations: HashMap<Box<[u8]>, Destination>,
    /// Number of lines of the earlier blocks.
    lines: usize,
    ended: bool,
    /// Name and type of the family at the end of the last block.
    family: (String, FamilyType),
}

impl<'a> Reader<'a> {
    fn new(path: &'a Path, wanted: &'a SeriesFilter) -> Self {
        Self {
            path,
            wanted,
            recording: Recording::default(),
            destinations: HashMap::new(),
            lines: 0,
            ended: false,
            family: (String::new(), FamilyType::Unknown),
        }
    }

    fn error(&self, line: usize, message: impl Into<String>) -> Error {
        Error::Content {
            path: self.path.display().to_string(),
            line: self.lines + line,
            message: message.into(),
        }
    }

    /// Reads a block of whole lines as a text of its own.
    fn block(&mut self, block: &mut Vec<u8>) -> Result<(), Error> {
        if self.ended {
            return Err(self.error(1, "data after # EOF"));
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

    /// Reads the rest without a newline: nothing, or the end of the text.
    fn last(&mut self, rest: &[u8]) -> Result<(), Error> {
        if *rest == EOF[..EOF.len() - 1] && !self.ended {
            self.ended = true;
        } else if !rest.is_empty() {
            return Err(self.error(1, "a line without its end; the file may be truncated"));
        }
        if self.ended {
            return Ok(());
        }
        Err(self.error(
            1,
            "the text does not end with # EOF; the file may be truncated",
        ))
    }

    fn samples(&mut self, block: &[u8]) -> Result<(), Error> {
        let mut parser = Parser::new(block, Format::OpenMetrics);
        let mut series = Series::default();
        let mut previous: Option<(std::ops::Range<usize>, Destination)> = None;
        loop {
            let sample = parser.next_sample(&mut series).map_err(|error| {
                let message = format!(
                    "column {}: {} at {:?}",
                    error.column, error.message, error.excerpt
                );
                self.error(error.line, message)
            })?;
            let family = parser.family();
            if !family.name.is_empty() {
                let current = (self.family.0.as_str(), self.family.1);
                if current != (family.name, family.kind) {
                    self.family = (family.name.to_owned(), family.kind);
                }
            }
            let Some(sample) = sample else { return Ok(()) };
            let bytes = &block[series.range.clone()];
            let destination = match &previous {
                Some((range, destination)) if block[range.clone()] == *bytes => *destination,
                _ => self.destination(bytes, &series, block),
            };
            previous = Some((series.range.clone(), destination));
            let Some(at) = sample.at else {
                let line = memchr::memchr_iter(b'\n', &block[..series.range.start]).count() + 1;
                let message = "a sample without a timestamp; write it after the value, in seconds";
                return Err(self.error(line, message));
            };
            if let Destination::Column(column) = destination {
                self.recording
                    .push(column, Timestamp::from_millis(at), sample.value);
            }
        }
    }

    fn destination(&mut self, bytes: &[u8], series: &Series, block: &[u8]) -> Destination {
        if let Some(destination) = self.destinations.get(bytes) {
            return *destination;
        }
        let pairs = series.labels.iter().map(|(name, value)| {
            let (name, value) = (name.text(block), value.text(block));
            (name.into_owned(), value.into_owned())
        });
        let labels = Labels::named(&series.name.text(block), pairs);
        let wanted = !self.is_creation_time(&labels) && self.wanted.wants(&labels);
        let destination = if wanted {
            Destination::Column(self.recording.column(&labels))
        } else {
            Destination::Unwanted
        };
        self.destinations.insert(bytes.into(), destination);
        destination
    }

    /// Whether a live scrape would ignore the series too: `_created` of a family.
    fn is_creation_time(&self, labels: &Labels) -> bool {
        let (family, kind) = &self.family;
        let has_created = matches!(
            kind,
            FamilyType::Counter | FamilyType::Histogram | FamilyType::Summary
        );
        let name = labels.name().unwrap_or_default();
        has_created && name.strip_suffix("_created") == Some(family)
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
    fn errors_name_their_line() {
        assert_eq!(
            read("g 1 10\ng 2\n# EOF\n").unwrap_err(),
            "h.om:2: a sample without a timestamp; write it after the value, in seconds"
        );
        assert_eq!(
            read("g 1 10\n").unwrap_err(),
            "h.om:2: the text does not end with # EOF; the file may be truncated"
        );
        let error = read("g 1 10\ng{ 2 20\n# EOF\n").unwrap_err();
        assert!(error.starts_with("h.om:2: column "), "{error}");
        assert_eq!(read("g 1 10\n# EOF"), Ok(1));
        let error = read("g 1 10\n# EOF\ng 1 20\n").unwrap_err();
        assert!(error.contains("data after # EOF"), "{error}");
    }
}
