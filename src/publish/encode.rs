//! Writes families as text 0.0.4 or OpenMetrics 1.0.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt::Write as _;

use prometheus::proto::{Metric, MetricFamily, MetricType};

use super::family::{Description, Family, Kind};

/// A format of `/metrics`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exposition {
    /// Prometheus text 0.0.4.
    Text,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

impl Exposition {
    /// The format that the header `Accept` ranks highest; the first one of equals, and text if
    /// neither is named.
    #[must_use]
    pub fn negotiate(accept: &str) -> Self {
        let mut best = (Self::Text, 0.0);
        for range in accept.split(',') {
            let mut parts = range.split(';').map(str::trim);
            let format = match parts.next() {
                Some("application/openmetrics-text") => Self::OpenMetrics,
                Some("text/plain" | "text/*" | "*/*") => Self::Text,
                _ => continue,
            };
            let weight = parts
                .find_map(|part| part.strip_prefix("q="))
                .map_or(1.0, |q| q.parse().unwrap_or(0.0));
            if weight > best.1 {
                best = (format, weight);
            }
        }
        best.0
    }

    /// The `Content-Type` of a page in this format.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8; escaping=underscores",
            Self::OpenMetrics => {
                "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores"
            }
        }
    }
}

/// Writes a page.
pub(super) struct Writer {
    format: Exposition,
    out: String,
}

impl Writer {
    pub(super) fn new(format: Exposition) -> Self {
        Self {
            format,
            out: String::with_capacity(16 * 1024),
        }
    }

    /// Reserves space for this many more bytes.
    pub(super) fn reserve(&mut self, bytes: usize) {
        self.out.reserve(bytes);
    }

    /// Help and type, before the samples of a family.
    pub(super) fn head(&mut self, family: &Description) {
        self.metadata(family.kind, family.name, family.help);
    }

    fn metadata(&mut self, kind: Kind, name: &str, help: &str) {
        // OpenMetrics names a counter's family without the suffix of its samples.
        let name = match self.format {
            Exposition::OpenMetrics => name.strip_suffix("_total").unwrap_or(name),
            Exposition::Text => name,
        };
        for part in [
            "# HELP ",
            name,
            " ",
            help,
            "\n# TYPE ",
            name,
            " ",
            kind.as_str(),
            "\n",
        ] {
            self.out.push_str(part);
        }
    }

    /// One line; the labels were written by [`label`], or are empty.
    pub(super) fn sample(&mut self, name: &str, labels: &str, more: &str, value: f64) {
        let out = &mut self.out;
        out.push_str(name);
        if !(labels.is_empty() && more.is_empty()) {
            out.push('{');
            out.push_str(labels);
            if !(labels.is_empty() || more.is_empty()) {
                out.push(',');
            }
            out.push_str(more);
            out.push('}');
        }
        out.push(' ');
        number(value, out);
        out.push('\n');
    }

    /// A family with all its samples. Of two samples with equal labels the first is written, since
    /// a page with both would be invalid.
    pub(super) fn family(&mut self, family: &Family) {
        self.head(family.description);
        let mut seen = HashSet::with_capacity(family.samples.len());
        for sample in &family.samples {
            let labels = label_block(sample.labels.iter());
            if !seen.insert(labels.clone()) {
                continue;
            }
            self.sample(family.description.name, &labels, "", sample.value);
        }
    }

    /// A counter or gauge of the `prometheus` crate with all its samples.
    pub(super) fn gathered(&mut self, family: &MetricFamily) {
        let is_counter = family.get_field_type() == MetricType::COUNTER;
        let kind = if is_counter {
            Kind::Counter
        } else {
            Kind::Gauge
        };
        let value = |metric: &Metric| match kind {
            Kind::Counter => metric.get_counter().get_value(),
            Kind::Gauge => metric.get_gauge().get_value(),
        };
        self.metadata(kind, family.name(), family.help());
        for metric in family.get_metric() {
            let pairs = metric.get_label().iter();
            let labels = label_block(pairs.map(|pair| (pair.name(), pair.value())));
            self.sample(family.name(), &labels, "", value(metric));
        }
    }

    /// The whole page.
    pub(super) fn finish(mut self) -> String {
        if self.format == Exposition::OpenMetrics {
            self.out.push_str("# EOF\n");
        }
        self.out
    }
}

/// All labels of one sample, as they stand between the braces.
fn label_block<'a>(labels: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut out = String::new();
    for (name, value) in labels {
        label(name, value, 0, &mut out);
    }
    out
}

/// Appends a label to the block that begins at `start`.
pub(super) fn label(name: &str, value: &str, start: usize, out: &mut String) {
    if out.len() > start {
        out.push(',');
    }
    out.push_str(&valid_name(name));
    out.push_str("=\"");
    label_value(value, out);
    out.push('"');
}

/// The name as both formats can write it: characters that are not classic become `_`, as
/// `escaping=underscores` announces.
pub(super) fn valid_name(name: &str) -> Cow<'_, str> {
    let plain = |c: u8| c == b'_' || c.is_ascii_alphanumeric();
    if name.bytes().all(plain) && !name.starts_with(|c: char| c.is_ascii_digit()) {
        return name.into();
    }
    let fits = |(index, c): (usize, char)| {
        let fits = c == '_' || c.is_ascii_alphabetic() || (index > 0 && c.is_ascii_digit());
        if fits { c } else { '_' }
    };
    name.chars().enumerate().map(fits).collect()
}

fn label_value(value: &str, out: &mut String) {
    let mut rest = value;
    while let Some(at) = memchr::memchr3(b'\\', b'"', b'\n', rest.as_bytes()) {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        out.push_str(match from.as_bytes().first() {
            Some(b'\\') => "\\\\",
            Some(b'"') => "\\\"",
            _ => "\\n",
        });
        rest = from.get(1..).unwrap_or("");
    }
    out.push_str(rest);
}

fn number(value: f64, out: &mut String) {
    if value.to_bits() == 0 {
        out.push('0');
    } else if value.to_bits() == 1.0_f64.to_bits() {
        out.push('1');
    } else if value.is_nan() {
        out.push_str("NaN");
    } else if value.is_infinite() {
        out.push_str(if value > 0.0 { "+Inf" } else { "-Inf" });
    } else if value == 0.0 || (1e-4..1e15).contains(&value.abs()) {
        // Writing to a String cannot fail.
        write!(out, "{value}").ok();
    } else {
        write!(out, "{value:e}").ok();
    }
}

#[cfg(test)]
mod tests {
    use super::super::family::{Description, Family};
    use super::{Exposition, Writer};
    use crate::metric::Labels;

    fn encode(families: &[Family], format: Exposition) -> String {
        let mut page = Writer::new(format);
        families.iter().for_each(|family| page.family(family));
        page.finish()
    }

    fn family() -> Family {
        static XS: Description = Description::counter("x_total", "Xs.");
        Family::new(&XS).with(Labels::new([("a.b", "c\"d\n")]), 1e-9)
    }

    #[test]
    fn text_and_openmetrics_name_a_counter_differently() {
        let text = encode(&[family()], Exposition::Text);
        assert_eq!(
            text,
            "# HELP x_total Xs.\n# TYPE x_total counter\nx_total{a_b=\"c\\\"d\\n\"} 1e-9\n"
        );
        let open = encode(&[family()], Exposition::OpenMetrics);
        assert_eq!(
            open,
            "# HELP x Xs.\n# TYPE x counter\nx_total{a_b=\"c\\\"d\\n\"} 1e-9\n# EOF\n"
        );
    }

    #[test]
    fn the_client_decides_the_format() {
        let prometheus = "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        assert_eq!(Exposition::negotiate(prometheus), Exposition::OpenMetrics);
        assert_eq!(
            Exposition::negotiate("text/plain, application/openmetrics-text;q=0.1"),
            Exposition::Text
        );
        assert_eq!(Exposition::negotiate("image/png"), Exposition::Text);
    }
}
