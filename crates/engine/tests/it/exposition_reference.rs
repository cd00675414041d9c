//! A slow, simple parser of expositions, and the check that the real one agrees with it.
//!
//! It copies freely, works byte by byte and remembers nothing. The fuzz targets include this file
//! too.

use std::collections::BTreeMap;
use std::collections::HashSet;
use std::sync::Arc;

use sidewatch_engine::exposition::{Exposition, Format, Ingester, ScrapeLimits};
use sidewatch_engine::metric::{Appender, Labels, SeriesFilter, SeriesRef, Timestamp};

/// When the scrapes happen.
const NOW: i64 = 1_700_000_000_000;

/// Labels with the name among them, timestamp, and the value's bits.
pub(crate) type Sample = (BTreeMap<String, String>, Option<i64>, u64);

/// Reads a body; `None` when it is no exposition.
pub(crate) fn read(body: &[u8], format: Format) -> Option<Vec<Sample>> {
    if body.is_empty() {
        return Some(Vec::new());
    }
    let mut reader = Reader {
        bytes: body.to_vec(),
        at: 0,
        open: format == Format::OpenMetrics,
        family: (Vec::new(), "untyped".to_owned()),
    };
    if !reader.open && reader.bytes.last() != Some(&b'\n') {
        reader.bytes.push(b'\n');
    }
    let mut samples = Vec::new();
    while !reader.line(&mut samples)? {}
    Some(without_repeats(samples))
}

/// Drops what is not stored: further samples without a time of their own, and samples from the
/// future.
fn without_repeats(samples: Vec<Sample>) -> Vec<Sample> {
    let mut seen = HashSet::new();
    let mut kept = Vec::new();
    for sample in samples {
        let first = seen.insert(sample.0.clone());
        let timely = sample.1.is_none_or(|at| at <= NOW + 600_000);
        if (first || sample.1.is_some()) && timely {
            kept.push(sample);
        }
    }
    kept
}

/// A label as written.
type Raw = (Vec<u8>, Vec<u8>);

struct Reader {
    bytes: Vec<u8>,
    at: usize,
    open: bool,
    family: (Vec<u8>, String),
}

fn is_letter(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_'
}

impl Reader {
    fn here(&self) -> u8 {
        // No byte is NUL where NUL would be taken for something.
        self.bytes.get(self.at).copied().unwrap_or(0)
    }

    fn done(&self) -> bool {
        self.at >= self.bytes.len()
    }

    fn take(&mut self, word: &str) -> bool {
        let found = self.bytes[self.at.min(self.bytes.len())..].starts_with(word.as_bytes());
        if found {
            self.at += word.len();
        }
        found
    }

    fn while_byte(&mut self, good: impl Fn(u8) -> bool) -> Vec<u8> {
        let start = self.at;
        while !self.done() && good(self.here()) {
            self.at += 1;
        }
        self.bytes[start..self.at].to_vec()
    }

    fn blanks(&mut self) -> usize {
        if self.open {
            return 0;
        }
        self.while_byte(|byte| byte == b' ' || byte == b'\t').len()
    }

    fn name(&mut self, colon: bool) -> Option<Vec<u8>> {
        let first = self.here();
        if self.done() || !(is_letter(first) || colon && first == b':') {
            return None;
        }
        Some(
            self.while_byte(|byte| {
                is_letter(byte) || byte.is_ascii_digit() || colon && byte == b':'
            }),
        )
    }

    /// The inside of a quoted string, escapes untouched.
    fn quoted(&mut self, newlines: bool) -> Option<Vec<u8>> {
        if !self.take("\"") {
            return None;
        }
        let start = self.at;
        loop {
            if self.done() {
                return None;
            }
            match self.here() {
                b'"' => break,
                b'\\' => {
                    self.at += 1;
                    if self.done() || self.here() == b'\n' {
                        return None;
                    }
                    self.at += 1;
                }
                b'\n' if !newlines => return None,
                _ => self.at += 1,
            }
        }
        self.at += 1;
        Some(self.bytes[start..self.at - 1].to_vec())
    }

    /// One line; `Some(true)` at the end of the body.
    fn line(&mut self, samples: &mut Vec<Sample>) -> Option<bool> {
        self.blanks();
        if self.done() {
            return if self.open { None } else { Some(true) };
        }
        if self.here() == b'\n' {
            self.at += 1;
            return if self.open { None } else { Some(false) };
        }
        if self.here() == b'#' {
            return if self.open {
                self.open_comment()
            } else {
                self.text_comment()
            };
        }
        samples.extend(self.sample()?);
        Some(false)
    }

    fn rest_of_line(&mut self) -> Vec<u8> {
        let text = self.while_byte(|byte| byte != b'\n');
        self.at += 1;
        text
    }

    fn metadata_name(&mut self) -> Option<Vec<u8>> {
        let name = if self.here() == b'"' {
            self.quoted(true)?
        } else {
            self.name(true)?
        };
        String::from_utf8(name.clone()).ok()?;
        Some(name)
    }

    fn text_comment(&mut self) -> Option<bool> {
        let start = self.at;
        self.take("#");
        let spaced = self.blanks() > 0;
        let help = self.take("HELP");
        let metadata = (help || self.take("TYPE")) && self.blanks() > 0;
        if !spaced || !metadata {
            self.at = start;
            self.rest_of_line();
            return Some(false);
        }
        let name = self.metadata_name()?;
        let text = self.rest_of_line();
        let text = String::from_utf8(text.get(1..).unwrap_or_default().to_vec());
        if help {
            text.ok()?;
            return Some(false);
        }
        let word = text.ok()?;
        let known = ["counter", "gauge", "histogram", "summary", "untyped"];
        known.contains(&word.as_str()).then_some(())?;
        self.family = (name, word);
        Some(false)
    }

    fn open_comment(&mut self) -> Option<bool> {
        if self.take("# EOF") {
            self.take("\n");
            return if self.done() { Some(true) } else { None };
        }
        let keyword = ["# HELP ", "# TYPE ", "# UNIT "]
            .into_iter()
            .find(|word| self.take(word))?;
        let name = self.metadata_name()?;
        self.take(" ").then_some(())?;
        let text = self.while_byte(|byte| byte != b'\n');
        self.take("\n").then_some(())?;
        if keyword == "# HELP " {
            String::from_utf8(text).ok()?;
        } else if keyword == "# TYPE " {
            let word = String::from_utf8(text).ok()?;
            let known = [
                "counter",
                "gauge",
                "histogram",
                "gaugehistogram",
                "summary",
                "info",
                "stateset",
                "unknown",
            ];
            known.contains(&word.as_str()).then_some(())?;
            self.family = (name, word);
        } else if !text.is_empty() {
            let suffix = [b"_".to_vec(), text].concat();
            name.ends_with(&suffix).then_some(())?;
        }
        Some(false)
    }

    /// Name and labels in the order written, still escaped.
    fn labels(&mut self, name: &mut Option<Vec<u8>>) -> Option<Vec<Raw>> {
        let mut labels = Vec::new();
        loop {
            self.blanks();
            if self.take("}") {
                return Some(labels);
            }
            let quoted = self.here() == b'"';
            let label = if quoted {
                self.quoted(true)?
            } else {
                self.name(false)?
            };
            self.blanks();
            if quoted && (self.here() == b',' || self.here() == b'}') {
                if name.is_some() {
                    return None;
                }
                *name = Some(label);
                self.take(",");
                continue;
            }
            self.take("=").then_some(())?;
            self.blanks();
            let value = self.quoted(!self.open)?;
            labels.push((label, value));
            self.blanks();
            let comma = self.take(",");
            if self.open && !comma && self.here() != b'}' {
                return None;
            }
        }
    }

    fn number(&mut self) -> Option<f64> {
        if self.open {
            self.take(" ").then_some(())?;
        } else {
            self.blanks();
        }
        let open = self.open;
        let text = self.while_byte(|byte| {
            !(byte == b' ' || byte == b'\n' || !open && (byte == b'\t' || byte == b'{'))
        });
        number(&String::from_utf8(text).ok()?)
    }

    fn sample(&mut self) -> Option<Option<Sample>> {
        let mut name = self.name(true);
        let behind = self.at;
        self.blanks();
        let mut labels = Vec::new();
        if self.take("{") {
            labels = self.labels(&mut name)?;
        } else {
            self.at = behind;
        }
        let name = text(&name?)?;
        let mut found = BTreeMap::new();
        for (label, value) in labels {
            let (label, value) = (text(&label)?, text(&value)?);
            if label.is_empty() || label == "__name__" || found.contains_key(&label) {
                return None;
            }
            found.insert(label, value);
        }
        if name.is_empty() {
            return None;
        }
        let value = self.number()?;
        let at = self.time_and_end(&name)?;
        let kind = self.kind_of(&name);
        let created = self.open
            && name.ends_with("_created")
            && ["counter", "histogram", "summary"].contains(&&*kind);
        if created && name.as_bytes() != self.family.0 {
            return Some(None);
        }
        for (label, kind_with_bound) in [("le", "histogram"), ("quantile", "summary")] {
            if kind == kind_with_bound
                && let Some(bound) = found.get_mut(label)
            {
                *bound = number(bound).map_or_else(|| bound.clone(), go_format);
            }
        }
        found.retain(|_, value| !value.is_empty());
        found.insert("__name__".to_owned(), name);
        Some(Some((found, at, value.to_bits())))
    }

    /// The timestamp, the exemplar and the newline.
    fn time_and_end(&mut self, name: &str) -> Option<Option<i64>> {
        let mut at = None;
        if !self.open {
            self.blanks();
            if self.here() != b'\n' {
                let digits = self.while_byte(|byte| byte.is_ascii_digit());
                at = Some(String::from_utf8(digits).ok()?.parse::<i64>().ok()?);
                self.blanks();
            }
            return self.take("\n").then_some(at);
        }
        let exemplar =
            |reader: &Self| reader.bytes[reader.at.min(reader.bytes.len())..].starts_with(b" # {");
        if self.here() == b' ' && !exemplar(self) {
            at = Some(self.seconds()?);
        }
        if exemplar(self) {
            if !name.ends_with("_total") && !name.ends_with("_bucket") {
                return None;
            }
            self.at += 4;
            for (label, value) in self.labels(&mut Some(Vec::new()))? {
                String::from_utf8(label).ok()?;
                String::from_utf8(value).ok()?;
            }
            self.number()?;
            if self.here() == b' ' {
                self.seconds()?;
            }
        }
        self.take("\n").then_some(at)
    }

    fn seconds(&mut self) -> Option<i64> {
        let seconds = self.number()?;
        #[expect(clippy::cast_possible_truncation, reason = "truncating is meant")]
        seconds.is_finite().then_some((seconds * 1000.0) as i64)
    }

    /// The type of a sample of the present family, "untyped" of any other.
    fn kind_of(&self, name: &str) -> String {
        let (family, kind) = &self.family;
        let suffixes: &[&str] = match kind.as_str() {
            "counter" => &["", "_total", "_created"],
            "histogram" => &["", "_bucket", "_sum", "_count", "_created"],
            "summary" => &["", "_sum", "_count", "_created"],
            _ => &[],
        };
        let belongs = suffixes
            .iter()
            .any(|suffix| name.as_bytes() == [family, suffix.as_bytes()].concat());
        if belongs {
            kind.clone()
        } else {
            "untyped".to_owned()
        }
    }
}

/// Resolves escapes.
fn text(raw: &[u8]) -> Option<String> {
    let raw = String::from_utf8(raw.to_vec()).ok()?;
    let mut out = String::new();
    let mut escape = false;
    for c in raw.chars() {
        match (escape, c) {
            (false, '\\') => escape = true,
            (false, other) => out.push(other),
            (true, 'n') => {
                out.push('\n');
                escape = false;
            }
            (true, '\\' | '"') => {
                out.push(c);
                escape = false;
            }
            (true, other) => {
                out.push('\\');
                out.push(other);
                escape = false;
            }
        }
    }
    Some(out)
}

fn number(text: &str) -> Option<f64> {
    let lower = text.to_lowercase();
    if lower.contains("nan") && lower != "nan" || !text.is_ascii() {
        return None;
    }
    let value: f64 = text.parse().ok()?;
    if value.is_infinite() && !lower.contains("inf") {
        return None;
    }
    Some(if value.is_nan() { f64::NAN } else { value })
}

/// Go's `%g`, with `.0` where it looks like an integer.
fn go_format(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 {
            "+Inf".to_owned()
        } else {
            "-Inf".to_owned()
        };
    }
    let size = value.abs();
    if size != 0.0 && !(1e-4..1e6).contains(&size) {
        let text = format!("{value:e}");
        let (digits, power) = text.split_once('e').unwrap_or((&text, "0"));
        let power: i32 = power.parse().unwrap_or(0);
        let sign = if power < 0 { '-' } else { '+' };
        return format!("{digits}e{sign}{:02}", power.abs());
    }
    let text = format!("{value}");
    if text.contains('.') {
        text
    } else {
        text + ".0"
    }
}

/// Collects what is ingested.
#[derive(Default)]
struct Collect {
    known: Vec<Labels>,
    samples: Vec<Sample>,
}

impl Appender for Collect {
    fn resolve(&mut self, labels: &Labels) -> Option<SeriesRef> {
        let place = self.known.iter().position(|known| known == labels);
        let index = place.unwrap_or_else(|| {
            self.known.push(labels.clone());
            self.known.len() - 1
        });
        let index = u32::try_from(index).ok()?;
        Some(SeriesRef {
            index,
            generation: 0,
        })
    }

    fn append(&mut self, series: SeriesRef, at: Option<Timestamp>, value: f64) -> bool {
        let labels = &self.known[series.index as usize];
        let labels = labels
            .iter()
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .collect();
        self.samples
            .push((labels, at.map(Timestamp::as_millis), value.to_bits()));
        true
    }
}

/// Feeds bodies to one ingester in turn and compares each scrape with the reference.
pub(crate) fn check(bodies: &[&[u8]], format: Format) {
    let filter = Arc::new(SeriesFilter::everything());
    let mut ingester = Ingester::new(
        ScrapeLimits::default(),
        Labels::empty(),
        false,
        true,
        filter,
    );
    let mut window = Collect::default();
    for body in bodies {
        window.samples.clear();
        let exposition = Exposition::new(body.to_vec(), format, Timestamp::from_millis(NOW));
        let result = ingester.ingest(&exposition, &mut window);
        let expected = read(body, format);
        let shown = String::from_utf8_lossy(body);
        match (result, expected) {
            (Ok(counts), Some(expected)) => {
                assert_eq!(window.samples, expected, "{shown:?}");
                assert_eq!(counts.stored, expected.len() as u64, "{shown:?}");
            }
            (Err(error), Some(_)) => panic!("{shown:?} was refused: {error}"),
            (Ok(_), None) => panic!("{shown:?} was accepted"),
            (Err(error), None) => assert!(!error.to_string().is_empty()),
        }
    }
}
