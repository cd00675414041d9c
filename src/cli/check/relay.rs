//! `sidewatch check relay`: checks the configuration of a relay.

use std::io::Write;
use std::path::Path;

use super::report::{INVALID, REMARKS};
use crate::cli::error::Error;
use crate::config::environment::unexpanded;
use crate::config::relay::{Ask, Relay, load_relay};
use crate::describe::Keys as _;

/// Checks one file, prints every problem or every remark, and returns the exit code.
pub(super) fn check(out: &mut dyn Write, file: &Path) -> Result<u8, Error> {
    let name = file.display();
    let (code, text) = match load_relay(file) {
        Err(problems) => (INVALID, format!("{problems}\n")),
        Ok(relay) => {
            let text = std::fs::read_to_string(file).unwrap_or_default();
            let remarks: Vec<String> = unexpanded(&name.to_string(), &text, &Relay::description())
                .iter()
                .map(|problem| format!("{}: {}", problem.path, problem.message))
                .chain(remarks(&relay))
                .collect();
            let code = if remarks.is_empty() { 0 } else { REMARKS };
            let lines: String = remarks
                .iter()
                .map(|remark| format!("{name}: {remark}\n"))
                .collect();
            let valid = "the configuration of a relay is valid";
            (code, format!("{lines}{name}: {valid}\n"))
        }
    };
    write!(out, "{text}").map_err(|error| Error::unprintable(&error))?;
    Ok(code)
}

/// Settings that are valid and probably not intended.
fn remarks(relay: &Relay) -> Vec<String> {
    let mut remarks = Vec::new();
    match &relay.token {
        None => remarks.push(
            "authorization: is missing, so that every client that reaches the relay can request retraining; set credentials_file, \
             or give sidewatch relay a --web.config.file"
                .to_owned(),
        ),
        Some(path) => match std::fs::read_to_string(path) {
            Ok(token) if token.trim().is_empty() => remarks.push(format!(
                "authorization.credentials_file: {} is empty, so that every request is refused",
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
            "storage: is missing, so that cool-downs and requests are lost at a restart; set path, or give sidewatch relay \
             --storage.path"
                .to_owned(),
        );
    }
    for (index, ask) in relay.asks.iter().enumerate() {
        let (earlier, _) = relay.asks.split_at(index);
        let covers = |other: &Ask| {
            other
                .matchers
                .iter()
                .all(|matcher| ask.matchers.contains(matcher))
        };
        if earlier.iter().any(covers) {
            remarks.push(format!(
                "retrain[{index}]: is never reached, since an entry before it matches every alert that this one matches"
            ));
        }
    }
    remarks
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::check;

    fn checked(text: &str) -> (u8, String) {
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
    fn a_complete_file_is_valid_and_mistakes_are_reported_by_line() {
        let complete = format!(
            "retrain: [{{matchers: ['retrain=\"true\"']}}]\n{WEBHOOK}storage: {{path: /var/lib/sidewatch}}\nauthorization: {{credentials_file: token}}\n"
        );
        let valid = "relay.yaml: the configuration of a relay is valid\n";
        assert_eq!(checked(&complete), (0, valid.to_owned()));
        let (code, text) = checked(&complete.replace("matchers", "matcher"));
        assert_eq!(code, 1);
        assert!(
            text.contains("relay.yaml:1: retrain[0].matcher: unknown key"),
            "{text}"
        );
    }

    #[test]
    fn missing_access_control_missing_storage_and_unreachable_entries_are_remarks() {
        let asks = "retrain:\n- matchers: [severity=page]\n- matchers: [team=ml, severity=page]\n- matchers: [team=ml]\n";
        let (code, text) = checked(&format!("{asks}{WEBHOOK}"));
        assert_eq!(code, 3);
        let starts: Vec<&str> = text
            .lines()
            .filter_map(|line| line.split_whitespace().nth(1))
            .collect();
        assert_eq!(starts, ["authorization:", "storage:", "retrain[1]:", "the"]);
        for (file, why) in [("empty", "is empty"), ("none", "cannot be read here")] {
            let token = format!("authorization: {{credentials_file: {file}}}\n");
            let (code, text) = checked(&format!("{asks}{WEBHOOK}{token}"));
            assert_eq!(code, 3);
            assert!(text.contains(why), "{text}");
        }
    }
}
