//! Takes a notification apart while it arrives, so that one of many megabytes needs little memory
//! and an alert that is too large costs only itself.

/// Largest text of one alert, in bytes.
pub(super) const MAX_ALERT: usize = 256 * 1024;
/// Largest text outside of the alerts, in bytes, without what stands within maps and lists.
const MAX_OUTSIDE: usize = 64 * 1024;
/// The key of the list of alerts, as it is written.
const ALERTS: &[u8] = b"\"alerts\"";

/// Takes the text of an alert, or `None` for one that is too large.
pub(super) type OnAlert<'a> = dyn FnMut(Option<&[u8]>) + 'a;

/// A notification of which any number of bytes has arrived.
///
/// It finds the ends of texts, maps and lists, and nothing else: whether an alert and what stands
/// outside of the alerts is valid JSON shows when it is parsed.
#[derive(Debug, Default)]
pub(super) struct Split {
    /// What stands outside of the alerts: the outermost map. Of maps and lists in it, only the
    /// brackets are kept; the list of alerts has the number 1 instead of its alerts.
    outside: Vec<u8>,
    /// The beginning of the current alert.
    alert: Vec<u8>,
    is_too_large: bool,
    /// How many maps and lists are open.
    depth: usize,
    in_text: bool,
    is_escaped: bool,
    place: Place,
}

/// Where the next byte belongs.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Place {
    #[default]
    Outside,
    /// In the list of alerts, of which there are none so far.
    FirstAlert,
    /// In the list of alerts, behind a comma.
    NextAlert,
}

impl Split {
    /// Takes the next bytes. Passes the text of every alert that ends in them on, or `None` for one
    /// that is too large.
    ///
    /// # Errors
    /// Too much stands outside of the alerts.
    pub(super) fn push(&mut self, bytes: &[u8], on_alert: &mut OnAlert<'_>) -> Result<(), String> {
        for &byte in bytes {
            if self.in_text {
                self.text_byte(byte);
            } else if self.place == Place::Outside {
                self.outside_byte(byte);
            } else {
                self.alerts_byte(byte, on_alert);
            }
            if self.outside.len() > MAX_OUTSIDE {
                let most = MAX_OUTSIDE;
                return Err(format!(
                    "more than {most} bytes stand outside of the alerts"
                ));
            }
        }
        Ok(())
    }

    /// Bytes that are held in memory.
    pub(super) fn held(&self) -> usize {
        self.outside.len() + self.alert.len()
    }

    /// What stands outside of the alerts.
    pub(super) fn outside(&self) -> &[u8] {
        &self.outside
    }

    fn text_byte(&mut self, byte: u8) {
        self.keep(byte);
        if self.is_escaped {
            self.is_escaped = false;
        } else {
            self.is_escaped = byte == b'\\';
            self.in_text = byte != b'"';
        }
    }

    fn outside_byte(&mut self, byte: u8) {
        match byte {
            b'[' if self.depth == 1 && ends_with_alerts(&self.outside) => {
                self.keep(byte);
                self.depth = 2;
                self.place = Place::FirstAlert;
            }
            b'{' | b'[' => {
                self.keep(byte);
                self.depth += 1;
            }
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                self.keep(byte);
            }
            _ => {
                self.in_text = byte == b'"';
                self.keep(byte);
            }
        }
    }

    /// A byte between the brackets of the list of alerts, or the closing one.
    fn alerts_byte(&mut self, byte: u8, on_alert: &mut OnAlert<'_>) {
        match byte {
            b',' if self.depth == 2 => {
                self.end_alert(on_alert);
                self.place = Place::NextAlert;
            }
            b']' if self.depth == 2 => {
                let is_blank = !self.is_too_large && self.alert.trim_ascii().is_empty();
                if !is_blank || self.place == Place::NextAlert {
                    self.end_alert(on_alert);
                }
                self.alert = Vec::new();
                self.place = Place::Outside;
                self.depth = 1;
                self.outside.extend(b"1]");
            }
            b'{' | b'[' => {
                self.depth += 1;
                self.keep(byte);
            }
            // An alert that closes more than it opened is invalid, and ends at the comma.
            b'}' | b']' => {
                self.depth = (self.depth - 1).max(2);
                self.keep(byte);
            }
            _ => {
                self.in_text = byte == b'"';
                self.keep(byte);
            }
        }
    }

    fn end_alert(&mut self, on_alert: &mut OnAlert<'_>) {
        on_alert((!self.is_too_large).then_some(&self.alert));
        self.alert.clear();
        self.is_too_large = false;
    }

    fn keep(&mut self, byte: u8) {
        if self.place == Place::Outside {
            if self.depth <= 1 {
                self.outside.push(byte);
            }
        } else if self.alert.len() < MAX_ALERT {
            self.alert.push(byte);
        } else {
            self.is_too_large = true;
        }
    }
}

/// Whether a text ends with the key of the alerts and a colon.
fn ends_with_alerts(outside: &[u8]) -> bool {
    let key = outside.trim_ascii_end().strip_suffix(b":");
    let before = key.and_then(|key| key.trim_ascii_end().strip_suffix(ALERTS));
    // Within a text, a backslash would stand before the quote.
    before.is_some_and(|before| matches!(before.trim_ascii_end().last(), Some(b'{' | b',')))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::{MAX_ALERT, MAX_OUTSIDE, Split};

    /// The texts of alerts, and what stands outside of them.
    type Found = (Vec<Option<Vec<u8>>>, Vec<u8>);

    /// The alerts of a body that arrives in pieces of a size, and what stands outside of them.
    fn split(body: &[u8], piece: usize) -> Result<Found, String> {
        let (mut split, mut alerts) = (Split::default(), Vec::new());
        for piece in body.chunks(piece) {
            split.push(piece, &mut |alert| alerts.push(alert.map(<[u8]>::to_vec)))?;
            assert!(split.held() <= MAX_ALERT + MAX_OUTSIDE + 2);
        }
        Ok((alerts, split.outside))
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            "[a\"\\\\\\[\\]{},: é\n]{0,8}".prop_map(Value::from),
            Just(json!("alerts")),
            Just(Value::Null),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            let key = prop_oneof![Just("alerts".to_owned()), "[a\"\\\\\\]{},:]{0,6}"];
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(key, inner, 0..4).prop_map(Value::from_iter),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_list_of_alerts_is_found_and_split_as_a_parser_of_json_does(
            alerts in prop::collection::vec(any_json(), 0..5),
            more in prop::collection::btree_map("[a-c\"\\\\\\]{},:]{0,6}", any_json(), 0..5),
            is_pretty: bool,
            piece in 1_usize..50,
        ) {
            let mut body = Value::from_iter(more.clone());
            body["alerts"] = Value::from(alerts.clone());
            let text = match is_pretty {
                true => serde_json::to_vec_pretty(&body).unwrap(),
                false => serde_json::to_vec(&body).unwrap(),
            };
            let (found, outside) = split(&text, piece).unwrap();
            let parsed = found.iter().map(|alert| serde_json::from_slice(alert.as_deref().unwrap()));
            let parsed: Vec<Value> = parsed.map(Result::unwrap).collect();
            prop_assert_eq!(parsed, alerts);
            let outside: Value = serde_json::from_slice(&outside).unwrap();
            prop_assert_eq!(&outside["alerts"], &json!([1]));
            for (key, value) in &more {
                let kept = match value {
                    Value::Array(_) => json!([]),
                    Value::Object(_) => json!({}),
                    Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
                };
                prop_assert_eq!(&outside[key], &kept);
            }
        }

        #[test]
        fn no_bytes_are_held_beyond_the_limits_or_panic(
            body in "[a\"\\\\\\[\\]{},: ]{0,40}",
            piece in 1_usize..9,
        ) {
            let whole = split(body.as_bytes(), 100);
            let body = format!("{{\"alerts\":[{body}");
            prop_assert_eq!(split(body.as_bytes(), piece), split(body.as_bytes(), 100));
            prop_assert!(whole.is_ok());
        }
    }

    #[test]
    fn an_alert_that_is_too_large_is_left_out_alone() {
        let long = "x".repeat(3 * MAX_ALERT);
        let body =
            json!({"alerts": [1, {"a": long}, [long, long], 2], "commonLabels": {"a": long}});
        let (alerts, outside) = split(body.to_string().as_bytes(), 10_000).unwrap();
        assert_eq!(
            alerts,
            [Some(b"1".to_vec()), None, None, Some(b"2".to_vec())]
        );
        assert_eq!(outside, br#"{"alerts":[1],"commonLabels":{}}"#);
    }

    #[test]
    fn what_stands_outside_of_the_alerts_is_limited() {
        let body = json!({"alerts": [], "groupKey": "x".repeat(MAX_OUTSIDE)});
        let error = split(body.to_string().as_bytes(), 10_000).unwrap_err();
        assert!(error.contains("outside of the alerts"), "{error}");
    }

    #[test]
    fn empty_places_in_the_list_are_no_alerts_but_mistakes() {
        let count = |list: &str| {
            let body = format!("{{\"alerts\":{list}}}");
            split(body.as_bytes(), 3).unwrap().0.len()
        };
        assert_eq!(
            ["[]", "[ \n]", "[1]", "[,]", "[1,]"].map(count),
            [0, 0, 1, 2, 2]
        );
    }
}
