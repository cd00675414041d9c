//! `--rules=auto`: the pack of whatever server the past is of.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;

use super::Source;
use crate::cli::Error;
use crate::cli::snapshots::snapshots;
use crate::config::exposed::Exposed;
use crate::config::packs::{self, AUTO};

/// The rules with `auto` replaced by a pack; standard error says which and why.
pub(super) fn named(rules: &[String], source: &Source) -> Result<Vec<String>, Error> {
    if rules.iter().all(|name| name != AUTO) {
        return Ok(rules.to_vec());
    }
    let names = match (&source.snapshots, &source.openmetrics) {
        (Some(dir), _) => first_scrape(dir)?,
        (None, Some(path)) => families(path)?,
        (None, None) => {
            return Err(Error::new(
                "--rules=auto needs --snapshots or --openmetrics to see what the server exposes; name a pack",
            ));
        }
    };
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let pack = packs::recognise(&names).map_err(|why| Error::new(format!("auto: {why}")))?;
    // Standard output is the answer and nothing else.
    drop(writeln!(std::io::stderr().lock(), "sidewatch: {pack}"));
    let rules = rules.iter();
    Ok(rules
        .map(|name| if name == AUTO { pack.name } else { name }.to_owned())
        .collect())
}

fn first_scrape(dir: &Path) -> Result<BTreeSet<String>, Error> {
    let mut exposed = Exposed::default();
    if let Some(snapshot) = snapshots(dir, None)?.first() {
        exposed
            .add(&snapshot.read()?)
            .map_err(|error| Error::new(format!("{}: {error}", snapshot.path.display())))?;
    }
    Ok(exposed.names().map(str::to_owned).collect())
}

/// The names before the labels or the value of every sample line.
fn families(path: &Path) -> Result<BTreeSet<String>, Error> {
    let wrong = |error| Error::new(format!("{}: cannot be read: {error}", path.display()));
    let mut reader = BufReader::new(File::open(path).map_err(wrong)?);
    let mut names = BTreeSet::new();
    let mut line = String::new();
    while reader.read_line(&mut line).map_err(wrong)? > 0 {
        let name = line.split(['{', ' ', '\n']).next().unwrap_or("");
        if !name.is_empty() && name != "#" && !names.contains(name) {
            names.insert(name.to_owned());
        }
        line.clear();
    }
    Ok(names)
}
