//! Tests that no problem of a configuration repeats a secret that was written in a wrong place.

use std::path::Path;

use super::relay::{Relay, read_relay};
use super::settings::Settings;
use super::web::{WebConfiguration, read_web};
use super::{Problems, read_settings};
use crate::describe::{Description, Keys, Kind};

/// A text that no message contains by chance.
const SECRET: &str = "hunter2SECRET";

/// A place in a file: what is written before a value and behind it, whether the value may be secret,
/// and whether it is a map of names.
#[derive(Clone)]
struct Place {
    before: String,
    after: String,
    is_secret: bool,
    is_map: bool,
}

impl Place {
    fn below(&self, before: &str, after: &str, is_secret: bool) -> Self {
        Self {
            before: format!("{}{before}", self.before),
            after: format!("{after}{}", self.after),
            is_secret,
            is_map: false,
        }
    }
}

/// Every place of a section and of those below it.
fn places(section: &Description, here: &Place, found: &mut Vec<Place>) {
    own_places(section, here, found);
    for flattened in &section.flattened {
        places(flattened, here, found);
    }
}

fn own_places(section: &Description, here: &Place, found: &mut Vec<Place>) {
    let owns_secrets = section.keys.iter().any(|key| key.limits.is_secret);
    for key in &section.keys {
        let is_secret = here.is_secret || owns_secrets || key.hides_value();
        let place = here.below(&format!("{{{}: ", key.name), "}", is_secret);
        in_kind(&key.kind, &place, found);
    }
}

fn in_kind(kind: &Kind, place: &Place, found: &mut Vec<Place>) {
    let here = Place {
        is_secret: place.is_secret || kind.holds_secrets(),
        is_map: matches!(kind, Kind::Map(_)),
        ..place.clone()
    };
    found.push(here);
    match kind {
        Kind::List(item) => in_kind(item, &place.below("[", "]", place.is_secret), found),
        Kind::Map(value) => {
            in_kind(
                value,
                &place.below("{X-Name: ", "}", place.is_secret),
                found,
            );
        }
        Kind::Section(describe) => places(&describe(), place, found),
        Kind::Scalar(_) | Kind::Words(_) | Kind::Choice(_) | Kind::Anything => {}
    }
}

fn all_places(section: &Description) -> Vec<Place> {
    let root = Place {
        before: String::new(),
        after: String::new(),
        is_secret: false,
        is_map: false,
    };
    let mut found = Vec::new();
    in_kind_of_root(section, &root, &mut found);
    found
}

fn in_kind_of_root(section: &Description, root: &Place, found: &mut Vec<Place>) {
    found.push(Place {
        is_secret: true,
        ..root.clone()
    });
    places(section, root, found);
}

/// Every way in which a secret may be written where it does not belong.
fn ways() -> Vec<String> {
    vec![
        SECRET.to_owned(),
        format!("\"Bearer {SECRET}\""),
        format!("\"me:{SECRET}@host/x\""),
        format!("\"htp://me:{SECRET}@host\""),
        format!("!{SECRET}"),
        format!("!!int {SECRET}"),
        format!("*{SECRET}"),
        format!("[{SECRET}]"),
        format!("{{{SECRET}}}"),
        format!("{{me:{SECRET}}}"),
        format!("{{Bearer {SECRET}}}"),
        format!("\"{SECRET}"),
        format!("\"{SECRET}\\q\""),
        format!("{{a: [{SECRET}], a: {SECRET}}}"),
    ]
}

/// The same in the place of a key, which may be anything in a map of names.
fn ways_of_keys() -> Vec<String> {
    vec![
        format!("{{{SECRET}: 1}}"),
        format!("{{{SECRET}: {{a: 1}}}}"),
        format!("{{? {SECRET} : [1]}}"),
    ]
}

fn assert_hidden(section: &Description, read: impl Fn(&str) -> Result<(), Problems>) {
    let places = all_places(section);
    assert!(places.iter().filter(|place| place.is_secret).count() > 5);
    for place in places.iter().filter(|place| place.is_secret) {
        let of_keys = ways_of_keys().into_iter().filter(|_| !place.is_map);
        for way in ways().into_iter().chain(of_keys) {
            let text = format!("{}{way}{}", place.before, place.after);
            if let Err(problems) = read(&text) {
                let problems = problems.to_string();
                assert!(!problems.contains(SECRET), "{text}\n{problems}");
            }
        }
    }
}

#[test]
fn no_problem_of_a_configuration_repeats_a_misplaced_secret() {
    assert_hidden(&Settings::description(), |text| {
        read_settings("c.yaml", text, &|_| None).map(|_| ())
    });
}

#[test]
fn no_problem_of_a_relays_configuration_repeats_a_misplaced_secret() {
    assert_hidden(&Relay::description(), |text| {
        read_relay("relay.yaml", text, &|_| None).map(|_| ())
    });
}

#[test]
fn no_problem_of_a_web_configuration_repeats_a_misplaced_secret() {
    assert_hidden(&WebConfiguration::description(), |text| {
        read_web("web.yaml", text, Path::new("")).map(|_| ())
    });
}

#[test]
fn no_url_with_credentials_is_repeated_wherever_it_stands() {
    let url = [
        format!("u:{SECRET}@host/x"),
        format!("htp://u:{SECRET}@host"),
        format!("http://u:{SECRET}@h h/x"),
        format!("http://u:{SECRET}/x@host"),
        format!("ftp://host/x?token={SECRET}"),
    ];
    for place in all_places(&Settings::description()) {
        for url in &url {
            let text = format!("{}\"{url}\"{}", place.before, place.after);
            if let Err(problems) = read_settings("c.yaml", &text, &|_| None) {
                let problems = problems.to_string();
                assert!(!problems.contains(SECRET), "{text}\n{problems}");
            }
        }
    }
}

#[test]
fn a_part_of_a_password_is_no_name_of_a_variable() {
    let text = format!("scrape: {{targets: [{{url: \"http://u:a${{{SECRET} x}}@host\"}}]}}");
    let problems = read_settings("c.yaml", &text, &|_| None).unwrap_err();
    assert!(!problems.to_string().contains(SECRET), "{problems}");
}

#[test]
fn a_harmless_value_is_repeated() {
    let text = "global: {scrape_interval: soon}\nstorage: {retention: 1}\nalerting: {mode: push}\nscrape: {honor_labels: maybe}\nretraining:\n  webhooks: [{url: http://a, format: xml}]\n";
    let problems = read_settings("c.yaml", text, &|_| None)
        .unwrap_err()
        .to_string();
    for part in [
        "\"soon\"",
        "\"1\"",
        "got \"push\"",
        "got \"maybe\"",
        "got \"xml\"",
    ] {
        assert!(problems.contains(part), "{part} in\n{problems}");
    }
}
