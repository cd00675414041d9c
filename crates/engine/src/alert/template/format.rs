//! Numbers, times and `printf` as Go prints them.

use crate::metric::Timestamp;

use super::value::Value;

/// Go's `%v` of a float64: shortest digits, exponent form below 1e-4 and from 1e6 on.
pub(crate) fn float(value: f64) -> String {
    general(value, None)
}

/// Go's `%g`, with a precision or with as many digits as identify the number.
pub(super) fn general(value: f64, precision: Option<usize>) -> String {
    if let Some(text) = special(value) {
        return text;
    }
    let precision = precision.map(|p| p.max(1));
    let scientific = match precision {
        Some(p) => format!("{:.*e}", p - 1, value),
        None => format!("{value:e}"),
    };
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let mantissa = if mantissa.contains('.') {
        mantissa.trim_end_matches('0').trim_end_matches('.')
    } else {
        mantissa
    };
    let limit = precision.map_or(SHORTEST_EXPONENT, |p| i32::try_from(p).unwrap_or(i32::MAX));
    if exponent < -4 || exponent >= limit {
        return format!("{mantissa}e{}", exponent_text(exponent));
    }
    let digits = mantissa.bytes().filter(u8::is_ascii_digit).count();
    let digits = i32::try_from(digits).unwrap_or(i32::MAX);
    let decimals = usize::try_from(digits - 1 - exponent).unwrap_or(0);
    format!("{value:.decimals$}")
}

/// From this exponent on `%v` and `%g` without precision use the exponent form (`strconv.FormatFloat`).
const SHORTEST_EXPONENT: i32 = 6;

fn exponent_text(exponent: i32) -> String {
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{sign}{:02}", exponent.abs())
}

fn special(value: f64) -> Option<String> {
    if value.is_nan() {
        return Some("NaN".to_owned());
    }
    value
        .is_infinite()
        .then(|| if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned())
}

/// Go's `%e`.
fn exponential(value: f64, precision: usize) -> String {
    special(value).unwrap_or_else(|| {
        let text = format!("{value:.precision$e}");
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        format!(
            "{mantissa}e{}",
            exponent_text(exponent.parse().unwrap_or(0))
        )
    })
}

fn fixed(value: f64, precision: usize) -> String {
    special(value).unwrap_or_else(|| format!("{value:.precision$}"))
}

/// Go's `time.Time.String` in UTC, with milliseconds as Prometheus keeps them.
pub(super) fn time(seconds: f64) -> String {
    let text = Timestamp::from_secs_f64(seconds).to_string();
    let text = text.trim_end_matches('Z').replace('T', " ");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    // Trimming may have eaten zeros of the seconds when there is no fraction.
    let whole = "2006-01-02 15:04:05".len();
    let padding = "0".repeat(whole.saturating_sub(text.len()));
    format!("{text}{padding} +0000 UTC")
}

/// Go's `time.Duration.String`: `2h10m15s`, `1.5s`, `300ms`, `0s`.
pub(super) fn duration(seconds: f64) -> String {
    let sign = if seconds < 0.0 { "-" } else { "" };
    let seconds = seconds.abs();
    if seconds < f64::MIN_POSITIVE {
        return "0s".to_owned();
    }
    if seconds < 1.0 {
        let (unit, scale) = match seconds {
            s if s < 1e-6 => ("ns", 1e9),
            s if s < 1e-3 => ("µs", 1e6),
            _ => ("ms", 1e3),
        };
        return format!("{sign}{}{unit}", trimmed(seconds * scale, 6));
    }
    let hours = (seconds / 3600.0).floor();
    let minutes = ((seconds - hours * 3600.0) / 60.0).floor();
    let rest = trimmed(seconds - hours * 3600.0 - minutes * 60.0, 9);
    if hours > 0.0 {
        format!("{sign}{hours}h{minutes}m{rest}s")
    } else if minutes > 0.0 {
        format!("{sign}{minutes}m{rest}s")
    } else {
        format!("{sign}{rest}s")
    }
}

fn trimmed(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The flags, width and precision between `%` and the verb.
#[derive(Default)]
struct Spec {
    minus: bool,
    plus: bool,
    zero: bool,
    space: bool,
    sharp: bool,
    width: usize,
    precision: Option<usize>,
}

/// Widest field `printf` makes, so that a template cannot ask for gigabytes.
const MAX_WIDTH: usize = 1000;

/// Go's `fmt.Sprintf`, for the values templates have.
pub(super) fn sprintf(pattern: &str, arguments: &[Value]) -> String {
    let mut out = String::with_capacity(pattern.len() + 16);
    let mut chars = pattern.chars().peekable();
    let mut next = arguments.iter();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let spec = read_spec(&mut chars);
        match chars.next() {
            None => out.push_str("%!(NOVERB)"),
            Some('%') => out.push('%'),
            Some(verb) => match next.next() {
                None => out.push_str(&format!("%!{verb}(MISSING)")),
                Some(value) => out.push_str(&spec.pad(&verb_text(verb, &spec, value), value)),
            },
        }
    }
    let extra: Vec<String> = next
        .map(|value| format!("{}={}", value.type_name(), value.print("<nil>")))
        .collect();
    if !extra.is_empty() {
        out.push_str(&format!("%!(EXTRA {})", extra.join(", ")));
    }
    out
}

fn read_spec(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Spec {
    let mut spec = Spec::default();
    while let Some(flag) = chars.next_if(|c| "-+0 #".contains(*c)) {
        match flag {
            '-' => spec.minus = true,
            '+' => spec.plus = true,
            '0' => spec.zero = true,
            ' ' => spec.space = true,
            _ => spec.sharp = true,
        }
    }
    spec.width = read_number(chars);
    if chars.next_if_eq(&'.').is_some() {
        spec.precision = Some(read_number(chars));
    }
    spec
}

fn read_number(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> usize {
    let mut number = 0usize;
    while let Some(digit) = chars.next_if(char::is_ascii_digit) {
        let digit = digit.to_digit(10).unwrap_or(0) as usize;
        number = number.saturating_mul(10).saturating_add(digit);
    }
    number.min(MAX_WIDTH)
}

impl Spec {
    fn pad(&self, text: &str, value: &Value) -> String {
        let missing = self.width.saturating_sub(text.chars().count());
        if missing == 0 {
            return text.to_owned();
        }
        let numeric = match value {
            Value::Int(_) => true,
            Value::Float(f) => f.is_finite(),
            Value::Nil
            | Value::Bool(_)
            | Value::Text(_)
            | Value::Labels(_)
            | Value::Map(_)
            | Value::List(_)
            | Value::Record(_)
            | Value::Time(_)
            | Value::Duration(_) => false,
        };
        if self.minus {
            return format!("{text}{}", " ".repeat(missing));
        }
        if !(self.zero && numeric) {
            return format!("{}{text}", " ".repeat(missing));
        }
        let zeros = "0".repeat(missing);
        match text.strip_prefix(['-', '+']) {
            Some(digits) => format!("{}{zeros}{digits}", text.get(..1).unwrap_or("")),
            None => format!("{zeros}{text}"),
        }
    }

    fn signed(&self, text: String) -> String {
        let bare = !text.starts_with(['-', '+', 'N']);
        match (bare, self.plus, self.space) {
            (true, true, _) => format!("+{text}"),
            (true, false, true) => format!(" {text}"),
            _ => text,
        }
    }

    fn clipped(&self, text: &str) -> String {
        match self.precision {
            Some(most) => text.chars().take(most).collect(),
            None => text.to_owned(),
        }
    }
}

fn verb_text(verb: char, spec: &Spec, value: &Value) -> String {
    let bad = || format!("%!{verb}({}={})", value.type_name(), value.print("<nil>"));
    match (verb, value) {
        ('v', Value::Float(f)) | ('g' | 'G', Value::Float(f)) => {
            let text = spec.signed(general(*f, spec.precision));
            if verb == 'G' {
                text.to_uppercase()
            } else {
                text
            }
        }
        ('f' | 'F', Value::Float(f)) => spec.signed(fixed(*f, spec.precision.unwrap_or(6))),
        ('e', Value::Float(f)) => spec.signed(exponential(*f, spec.precision.unwrap_or(6))),
        ('E', Value::Float(f)) => spec
            .signed(exponential(*f, spec.precision.unwrap_or(6)))
            .to_uppercase(),
        ('d' | 'v', Value::Int(n)) => spec.signed(n.to_string()),
        ('x', Value::Int(n)) => format!("{}{n:x}", if spec.sharp { "0x" } else { "" }),
        ('X', Value::Int(n)) => format!("{}{n:X}", if spec.sharp { "0X" } else { "" }),
        ('o', Value::Int(n)) => format!("{n:o}"),
        ('b', Value::Int(n)) => format!("{n:b}"),
        ('c', Value::Int(n)) => u32::try_from(*n)
            .ok()
            .and_then(char::from_u32)
            .unwrap_or('\u{fffd}')
            .to_string(),
        ('t' | 'v', Value::Bool(b)) => b.to_string(),
        ('s' | 'v', Value::Text(text)) => spec.clipped(text),
        ('q', Value::Text(text)) => format!("{:?}", spec.clipped(text)),
        ('x', Value::Text(text)) => text.bytes().map(|b| format!("{b:02x}")).collect(),
        ('X', Value::Text(text)) => text.bytes().map(|b| format!("{b:02X}")).collect(),
        ('T', _) => value.type_name().to_owned(),
        ('v', _) => value.print("<nil>"),
        (
            's',
            Value::Labels(_)
            | Value::Map(_)
            | Value::List(_)
            | Value::Record(_)
            | Value::Time(_)
            | Value::Duration(_),
        ) => value.print("%!s(<nil>)"),
        (_, Value::Nil) => format!("%!{verb}(<nil>)"),
        _ => bad(),
    }
}
