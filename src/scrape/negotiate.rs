//! Content negotiation: the `Accept` header and the `Content-Type` of the response.

use sidewatch_engine::exposition::Format;

/// The protocols of Prometheus 3 by default, in their order, with what `Accept` says of each.
///
/// Without `escaping=allow-utf-8`, `prometheus_client` replaces colons by underscores.
pub(crate) const PROTOCOLS: [(&str, &str); 4] = [
    (
        "OpenMetricsText1.0.0",
        "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8",
    ),
    (
        "OpenMetricsText0.0.1",
        "application/openmetrics-text;version=0.0.1",
    ),
    (
        "PrometheusText1.0.0",
        "text/plain;version=1.0.0;escaping=allow-utf-8",
    ),
    ("PrometheusText0.0.4", "text/plain;version=0.0.4"),
];
/// The weight of the first protocol in tenths. Prometheus counts down from the number of protocols
/// that it knows, `PrometheusProto` included, plus one.
const FIRST_WEIGHT: usize = 6;

/// The `Accept` header for protocols in the order of preference, as Prometheus 3 writes it; all in
/// its order if none is named.
pub(crate) fn accept(names: &[String]) -> String {
    let named = |(name, _): &&(&str, &str)| names.is_empty() || names.iter().any(|own| own == name);
    let mut chosen: Vec<_> = PROTOCOLS.iter().filter(named).collect();
    chosen.sort_by_key(|(name, _)| names.iter().position(|own| own == name));
    let values = chosen.iter().map(|(_, value)| *value).chain(["*/*"]);
    let weighed = values
        .enumerate()
        .map(|(n, value)| format!("{value};q=0.{}", FIRST_WEIGHT - n));
    weighed.collect::<Vec<_>>().join(",")
}

/// The format for a `Content-Type`. Only the media type counts, as in Prometheus; parameters are
/// ignored.
///
/// # Errors
/// What is wrong with the header, if there is no `fallback`.
pub fn format_of(content_type: Option<&str>, fallback: Option<Format>) -> Result<Format, String> {
    let header = content_type.unwrap_or("").trim();
    let media_type = header.split(';').next().unwrap_or("").trim();
    if media_type.eq_ignore_ascii_case(Format::OpenMetrics.media_type()) {
        return Ok(Format::OpenMetrics);
    }
    if media_type.eq_ignore_ascii_case(Format::Text.media_type()) {
        return Ok(Format::Text);
    }
    fallback.ok_or_else(|| {
        if header.is_empty() {
            "the response has no Content-Type".to_owned()
        } else {
            let shown: String = header.chars().take(100).collect();
            format!("the Content-Type {shown:?} is not an exposition format")
        }
    })
}

#[cfg(test)]
mod tests {
    use super::{accept, format_of};
    use crate::scrape::Format;

    #[test]
    fn the_accept_header_is_prometheus_3s() {
        assert_eq!(
            accept(&[]),
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
        );
    }

    #[test]
    fn named_protocols_are_asked_for_in_their_order() {
        let names = ["PrometheusText0.0.4", "OpenMetricsText1.0.0"].map(str::to_owned);
        assert_eq!(
            accept(&names),
            "text/plain;version=0.0.4;q=0.6,application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,*/*;q=0.4"
        );
    }

    #[test]
    fn only_the_media_type_counts() {
        for header in [
            "text/plain",
            "text/plain; version=0.0.4; charset=utf-8; charset=utf-8",
            "Text/Plain;version=9",
        ] {
            assert_eq!(format_of(Some(header), None), Ok(Format::Text), "{header}");
        }
        let open = "application/openmetrics-text; version=1.0.0; charset=utf-8";
        assert_eq!(format_of(Some(open), None), Ok(Format::OpenMetrics));
    }

    #[test]
    fn an_unknown_type_needs_a_fallback() {
        assert!(format_of(None, None).is_err());
        assert!(
            format_of(Some("text/html"), None)
                .unwrap_err()
                .contains("text/html")
        );
        assert_eq!(format_of(Some(""), Some(Format::Text)), Ok(Format::Text));
        let json = Some("application/json");
        assert_eq!(
            format_of(json, Some(Format::OpenMetrics)),
            Ok(Format::OpenMetrics)
        );
    }
}
