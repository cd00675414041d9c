//! Families → text 0.0.4 or OpenMetrics 1.0.

use std::fmt::Write as _;

use super::families::{Family, Kind};
use crate::metric::Labels;

/// A format of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exposition {
    /// Prometheus text 0.0.4.
    Text,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

impl Exposition {
    /// What the client asked for: OpenMetrics where it ranks at least as high as text, text otherwise.
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

/// Writes the families as one page.
#[must_use]
pub fn encode(families: &[Family], format: Exposition) -> String {
    let samples: usize = families.iter().map(|family| family.samples.len()).sum();
    let mut out = String::with_capacity(families.len() * 128 + samples * 160);
    for family in families {
        head(family, format, &mut out);
        for sample in &family.samples {
            out.push_str(family.name);
            labels(&sample.labels, &mut out);
            out.push(' ');
            number(sample.value, &mut out);
            out.push('\n');
        }
    }
    if format == Exposition::OpenMetrics {
        out.push_str("# EOF\n");
    }
    out
}

fn head(family: &Family, format: Exposition, out: &mut String) {
    // OpenMetrics names a counter's family without the suffix of its samples.
    let name = match format {
        Exposition::OpenMetrics => family.name.strip_suffix("_total").unwrap_or(family.name),
        Exposition::Text => family.name,
    };
    let kind = match family.kind {
        Kind::Gauge => "gauge",
        Kind::Counter => "counter",
    };
    for part in [
        "# HELP ",
        name,
        " ",
        family.help,
        "\n# TYPE ",
        name,
        " ",
        kind,
        "\n",
    ] {
        out.push_str(part);
    }
}

fn labels(labels: &Labels, out: &mut String) {
    if labels.is_empty() {
        return;
    }
    let mut separator = '{';
    for (name, value) in labels.iter() {
        out.push(separator);
        separator = ',';
        label_name(name, out);
        out.push_str("=\"");
        label_value(value, out);
        out.push('"');
    }
    out.push('}');
}

/// Both formats know only the classic alphabet, so other characters become `_`, as `escaping=underscores` says.
fn label_name(name: &str, out: &mut String) {
    for (index, c) in name.chars().enumerate() {
        let fits = c == '_' || c.is_ascii_alphabetic() || (index > 0 && c.is_ascii_digit());
        out.push(if fits { c } else { '_' });
    }
}

fn label_value(value: &str, out: &mut String) {
    if !value.contains(['\\', '"', '\n']) {
        out.push_str(value);
        return;
    }
    for c in value.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            other => out.push(other),
        }
    }
}

fn number(value: f64, out: &mut String) {
    if value.is_nan() {
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
    use super::super::families::{Family, Kind, Sample};
    use super::{Exposition, encode};
    use crate::metric::Labels;

    fn family() -> Family {
        let mut family = Family::new(Kind::Counter, "x_total", "Xs.");
        family.samples.push(Sample {
            labels: Labels::new([("a.b", "c\"d\n")]),
            value: 1e-9,
        });
        family
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
