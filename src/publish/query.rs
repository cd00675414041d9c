//! The query string of a URL.

/// Names and values, decoded, in the order written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Reads `a=1&b=2`. An invalid escape is kept as it is.
    #[must_use]
    pub fn parse(text: Option<&str>) -> Self {
        let pairs = text
            .unwrap_or("")
            .split('&')
            .filter(|pair| !pair.is_empty());
        let pair = |pair: &str| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(name), decoded(value))
        };
        Self(pairs.map(pair).collect())
    }

    /// These parameters, then those of another.
    #[must_use]
    pub fn and(mut self, other: &Self) -> Self {
        self.0.extend_from_slice(&other.0);
        self
    }

    /// The first value of a name.
    #[must_use]
    pub fn first(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// Every value of a name.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        let found = self.0.iter().filter(move |(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Whether the parameter is absent or has this value, which is how Prometheus filters.
    #[must_use]
    pub fn admits(&self, name: &str, value: &str) -> bool {
        let mut wanted = self.all(name).peekable();
        wanted.peek().is_none() || wanted.any(|wanted| wanted == value)
    }
}

/// Decodes a part of a path, in which a plus is a plus.
#[must_use]
pub(crate) fn decoded_segment(text: &str) -> String {
    decoded(&text.replace('+', "%2B"))
}

/// Decodes `+` to a space and `%41` to `A`.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let escape = match (first, tail) {
            (b'%', [high, low, after @ ..]) => {
                hex(*high).zip(hex(*low)).map(|(h, l)| (h * 16 + l, after))
            }
            _ => None,
        };
        if let Some((byte, after)) = escape {
            bytes.push(byte);
            rest = after;
        } else {
            bytes.push(if *first == b'+' { b' ' } else { *first });
            rest = tail;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn hex(digit: u8) -> Option<u8> {
    let value = char::from(digit).to_digit(16)?;
    u8::try_from(value).ok()
}

#[cfg(test)]
mod tests {
    use super::Query;

    #[test]
    fn names_and_values_are_decoded() {
        let query = Query::parse(Some(
            "rule_name[]=A%20b&rule_name%5B%5D=c+d&x=%zz&y&=%e2%82%ac",
        ));
        let names: Vec<&str> = query.all("rule_name[]").collect();
        assert_eq!(names, ["A b", "c d"]);
        assert_eq!(query.first("x"), Some("%zz"));
        assert_eq!(query.first("y"), Some(""));
        assert_eq!(query.first(""), Some("€"));
        assert!(query.admits("rule_name[]", "c d") && !query.admits("rule_name[]", "e"));
        assert!(query.admits("file[]", "any"));
    }
}
