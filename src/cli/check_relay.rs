//! `sidewatch check relay`: is the configuration of a relay valid, and does it keep what it promises?

use std::io::Write;
use std::path::Path;

use super::Error;
use super::check::LINT;
use crate::config::relay::{Relay, load_relay};

/// Checks one file and prints every problem or every remark; the exit code is returned.
pub(super) fn check(out: &mut dyn Write, file: &Path) -> Result<u8, Error> {
    let name = file.display();
    let (code, text) = match load_relay(file) {
        Err(problems) => (1, format!("{problems}\n")),
        Ok(relay) => {
            let remarks = remarks(&relay);
            let lines = remarks.iter().map(|remark| format!("{name}: {remark}\n"));
            let code = if remarks.is_empty() { 0 } else { LINT };
            let lines: String = lines.collect();
            let valid = "the configuration of a relay is valid";
            (code, format!("{lines}{name}: {valid}\n"))
        }
    };
    write!(out, "{text}").map_err(|error| Error::new(format!("cannot print: {error}")))?;
    Ok(code)
}

/// What is valid and probably not meant.
fn remarks(relay: &Relay) -> Vec<String> {
    let mut remarks = Vec::new();
    match &relay.token {
        None => remarks.push(
            "authorization: is missing, so that whoever reaches the relay can ask for a new model; name a credentials_file, \
             or give sidewatch relay a --web.config.file"
                .to_owned(),
        ),
        Some(path) => match std::fs::read_to_string(path) {
            Ok(token) if token.trim().is_empty() => remarks.push(format!(
                "authorization.credentials_file: {} is empty, so that nobody is let in",
                path.display()
            )),
            Ok(_) => {}
            Err(error) => remarks.push(format!(
                "authorization.credentials_file: {} cannot be read here: {error}",
                path.display()
            )),
        },
    }
    if relay.storage.is_none() {
        remarks.push(
            "storage: is missing, so that a restart forgets cool-downs and requests; set path, or give sidewatch relay \
             --storage.path"
                .to_owned(),
        );
    }
    for (index, ask) in relay.asks.iter().enumerate() {
        let (earlier, _) = relay.asks.split_at(index);
        let wider = |other: &&crate::config::relay::Ask| {
            let mut needed = other.matchers.iter();
            needed.all(|matcher| ask.matchers.contains(matcher))
        };
        if earlier.iter().any(|other| wider(&other)) {
            remarks.push(format!(
                "retrain[{index}]: is never reached, since an entry before it takes every alert that this one would"
            ));
        }
    }
    remarks
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::check;

    fn said(text: &str) -> (u8, String) {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("relay.yaml");
        fs::write(&file, text).unwrap();
        fs::write(dir.path().join("token"), "opensesame\n").unwrap();
        fs::write(dir.path().join("empty"), "\n").unwrap();
        let mut out = Vec::new();
        let code = check(&mut out, &file).unwrap();
        let text = String::from_utf8(out).unwrap();
        let folder = format!("{}/", dir.path().display());
        (code, text.replace(&folder, ""))
    }

    const WEBHOOK: &str = "retraining: {webhooks: [{url: 'http://argo:12000'}]}\n";

    #[test]
    fn what_is_complete_is_valid_and_mistakes_are_told_by_line() {
        let whole = format!(
            "retrain: [{{matchers: ['retrain=\"true\"']}}]\n{WEBHOOK}storage: {{path: /var/lib/sidewatch}}\nauthorization: {{credentials_file: token}}\n"
        );
        let valid = "relay.yaml: the configuration of a relay is valid\n";
        assert_eq!(said(&whole), (0, valid.to_owned()));
        let (code, text) = said(&whole.replace("matchers", "matcher"));
        assert_eq!(code, 1);
        assert!(
            text.contains("relay.yaml:1: retrain[0].matcher: unknown key"),
            "{text}"
        );
    }

    #[test]
    fn what_is_open_forgetful_or_never_reached_is_remarked() {
        let asks = "retrain:\n- matchers: [severity=page]\n- matchers: [team=ml, severity=page]\n- matchers: [team=ml]\n";
        let (code, text) = said(&format!("{asks}{WEBHOOK}"));
        assert_eq!(code, 3);
        let starts: Vec<&str> = text
            .lines()
            .filter_map(|line| line.split_whitespace().nth(1))
            .collect();
        assert_eq!(starts, ["authorization:", "storage:", "retrain[1]:", "the"]);
        for (file, why) in [("empty", "is empty"), ("none", "cannot be read here")] {
            let token = format!("authorization: {{credentials_file: {file}}}\n");
            let (code, text) = said(&format!("{asks}{WEBHOOK}{token}"));
            assert_eq!(code, 3);
            assert!(text.contains(why), "{text}");
        }
    }
}
