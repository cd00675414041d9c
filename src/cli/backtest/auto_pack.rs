//! `--rules=auto`: the pack that fits the replayed metrics.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;

use super::source::Source;
use crate::cli::error::Error;
use crate::cli::snapshots::snapshots;
use crate::config::exposed::Exposed;
use crate::config::packs::{self, AUTO};

/// Replaces `auto` by the packs that fit. Prints the pack and the reason to standard error.
pub(super) fn resolve_auto(rules: &[String], source: &Source) -> Result<Vec<String>, Error> {
    if rules.iter().all(|name| name != AUTO) {
        return Ok(rules.to_vec());
    }
    let names = match (&source.snapshots, &source.openmetrics) {
        (Some(dir), _) => names_in_first_scrape(dir)?,
        (None, Some(path)) => names_in_file(path)?,
        (None, None) => {
            return Err(Error::new(
                "--rules=auto needs --snapshots or --openmetrics to recognise the server; name a pack instead",
            ));
        }
    };
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let pack = packs::recognise(&names).map_err(|why| Error::new(format!("auto: {why}")))?;
    // Standard output is only for the result.
    drop(writeln!(std::io::stderr().lock(), "sidewatch: {pack}"));
    let resolved = rules.iter().flat_map(|name| {
        if name == AUTO {
            pack.names()
        } else {
            vec![name.as_str()]
        }
    });
    Ok(resolved.map(str::to_owned).collect())
}

fn names_in_first_scrape(dir: &Path) -> Result<BTreeSet<String>, Error> {
    let mut exposed = Exposed::default();
    if let Some(snapshot) = snapshots(dir, None)?.first() {
        exposed
            .add(&snapshot.read()?)
            .map_err(|error| Error::new(format!("{}: {error}", snapshot.path.display())))?;
    }
    Ok(exposed.names().map(str::to_owned).collect())
}

/// The metric names of all sample lines.
fn names_in_file(path: &Path) -> Result<BTreeSet<String>, Error> {
    let unreadable = |error: std::io::Error| Error::unreadable(path, &error);
    let mut reader = BufReader::new(File::open(path).map_err(unreadable)?);
    let mut names = BTreeSet::new();
    let mut line = String::new();
    while reader.read_line(&mut line).map_err(unreadable)? > 0 {
        let name = line.split(['{', ' ', '\n']).next().unwrap_or("");
        if !name.is_empty() && name != "#" && !names.contains(name) {
            names.insert(name.to_owned());
        }
        line.clear();
    }
    Ok(names)
}
