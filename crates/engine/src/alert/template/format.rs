//! `printf` as Go prints it.

use super::numbers::{exponential, fixed, general};
use super::value::Value;

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
