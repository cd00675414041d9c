//! A folder of saved scrapes: `snap_0001.txt`, `snap_0002.txt`, …, perhaps with an `index.csv`.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Error;
use crate::metric::Timestamp;
use crate::scrape::{Exposition, Format, format_of};

/// The distance of scrapes when neither a step nor an index says it.
const DEFAULT_STEP: Duration = Duration::from_secs(15);

/// One saved scrape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// When it was taken.
    pub at: Timestamp,
    /// The saved body.
    pub path: PathBuf,
    /// What the index says about the body's syntax.
    format: Option<Format>,
}

impl Snapshot {
    /// Reads the body.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read(&self) -> Result<Exposition, Error> {
        let body = fs::read(&self.path).map_err(|error| unreadable(&self.path, &error))?;
        let is_openmetrics = body.trim_ascii_end().ends_with(b"# EOF");
        let found = if is_openmetrics {
            Format::OpenMetrics
        } else {
            Format::Text
        };
        Ok(Exposition::new(body, self.format.unwrap_or(found), self.at))
    }
}

/// The snapshots of a folder in the order of their numbers; other files are ignored.
///
/// With a step the first scrape is at 0 and a missing number is a missing scrape. Without one the times are those of
/// `index.csv` (columns `n` and `unix_ts`) or, when there is none, 15 seconds apart from 0.
///
/// # Errors
/// When the folder or its index cannot be read, has no snapshots, or the index lacks one.
pub fn snapshots(dir: &Path, step: Option<Duration>) -> Result<Vec<Snapshot>, Error> {
    let mut numbered: Vec<(u32, PathBuf)> = Vec::new();
    for entry in fs::read_dir(dir).map_err(|error| unreadable(dir, &error))? {
        let path = entry.map_err(|error| unreadable(dir, &error))?.path();
        if let Some(number) = number(&path) {
            numbered.push((number, path));
        }
    }
    numbered.sort();
    let Some((first, _)) = numbered.first() else {
        let message = format!(
            "{}: no snapshots: expected files named snap_0001.txt, snap_0002.txt, …",
            dir.display()
        );
        return Err(Error::new(message));
    };
    let first = *first;
    let index_path = dir.join("index.csv");
    let index = if index_path.is_file() {
        Some(read_index(&index_path)?)
    } else {
        None
    };
    let snapshot = |(number, path): (u32, PathBuf)| {
        let row = index.as_ref().map(|index| index.get(&number));
        let format = row.flatten().and_then(|row| row.format);
        let at = match (step, row) {
            (Some(step), _) => Timestamp::default() + step * (number - first),
            (None, Some(Some(row))) => row.at,
            (None, Some(None)) => {
                let message = format!(
                    "{}: no row for snapshot {number}: give --step instead",
                    index_path.display()
                );
                return Err(Error::new(message));
            }
            (None, None) => Timestamp::default() + DEFAULT_STEP * (number - first),
        };
        Ok(Snapshot { at, path, format })
    };
    numbered.into_iter().map(snapshot).collect()
}

/// The distance of the first two scrapes.
#[must_use]
pub fn interval(scrapes: &[Snapshot]) -> Option<Duration> {
    let (first, second) = (scrapes.first()?, scrapes.get(1)?);
    Some(second.at.since(first.at)).filter(|distance| !distance.is_zero())
}

/// The number in `snap_0001.txt`.
fn number(path: &Path) -> Option<u32> {
    let name = path.file_name()?.to_str()?;
    name.strip_prefix("snap_")?
        .strip_suffix(".txt")?
        .parse()
        .ok()
}

/// What the index says about a snapshot.
struct Row {
    at: Timestamp,
    format: Option<Format>,
}

fn read_index(path: &Path) -> Result<HashMap<u32, Row>, Error> {
    let text = fs::read_to_string(path).map_err(|error| unreadable(path, &error))?;
    let mut lines = text.lines();
    let header: Vec<&str> = lines
        .next()
        .unwrap_or("")
        .split(',')
        .map(str::trim)
        .collect();
    let column = |name: &str| header.iter().position(|found| *found == name);
    let (Some(n), Some(unix_ts)) = (column("n"), column("unix_ts")) else {
        let message = format!(
            "{}: the first line must name the columns n and unix_ts",
            path.display()
        );
        return Err(Error::new(message));
    };
    let content_type = column("content_type");
    let mut rows = HashMap::new();
    for (line, text) in lines
        .enumerate()
        .filter(|(_, text)| !text.trim().is_empty())
    {
        let cells: Vec<&str> = text.split(',').map(str::trim).collect();
        let cell = |index: usize| cells.get(index).copied().unwrap_or("");
        let (Ok(number), Ok(seconds)) = (cell(n).parse::<u32>(), cell(unix_ts).parse::<f64>())
        else {
            let message = format!(
                "{}:{}: no number and time: {text:?}",
                path.display(),
                line + 2
            );
            return Err(Error::new(message));
        };
        let row = Row {
            at: Timestamp::from_secs_f64(seconds),
            format: content_type.and_then(|index| format_of(Some(cell(index)), None).ok()),
        };
        rows.insert(number, row);
    }
    Ok(rows)
}

fn unreadable(path: &Path, error: &std::io::Error) -> Error {
    Error::new(format!("{}: cannot be read: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use super::snapshots;

    fn folder(names: &[&str], index: Option<&str>) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for name in names {
            fs::write(dir.path().join(name), "x 1\n").unwrap();
        }
        if let Some(index) = index {
            fs::write(dir.path().join("index.csv"), index).unwrap();
        }
        dir
    }

    fn times(dir: &tempfile::TempDir, step: Option<u64>) -> Vec<i64> {
        let found = snapshots(dir.path(), step.map(Duration::from_secs)).unwrap();
        found
            .iter()
            .map(|snapshot| snapshot.at.as_millis())
            .collect()
    }

    #[test]
    fn a_missing_number_is_a_missing_scrape_and_other_files_are_ignored() {
        let names = [
            "snap_0004.txt",
            "snap_0002.txt",
            "snap_0003.txt.headers",
            "idle_0001.txt",
            "snap_0005.txt",
        ];
        let dir = folder(&names, None);
        assert_eq!(times(&dir, Some(10)), [0, 20_000, 30_000]);
        assert_eq!(times(&dir, None), [0, 30_000, 45_000]);
    }

    #[test]
    fn the_index_gives_the_times_unless_there_is_a_step() {
        let index = "n,unix_ts,content_type\n1,100.5,text/plain\n2,101.25,text/plain\n";
        let dir = folder(&["snap_0001.txt", "snap_0002.txt"], Some(index));
        assert_eq!(times(&dir, None), [100_500, 101_250]);
        assert_eq!(times(&dir, Some(15)), [0, 15_000]);
    }

    #[test]
    fn what_is_wrong_with_a_folder_is_said_with_its_path() {
        let empty = folder(&[], None);
        let error = snapshots(empty.path(), None).unwrap_err().to_string();
        assert!(
            error.ends_with("no snapshots: expected files named snap_0001.txt, snap_0002.txt, …"),
            "{error}"
        );
        let dir = folder(&["snap_0001.txt"], Some("n,unix_ts\none,2\n"));
        let error = snapshots(dir.path(), None).unwrap_err().to_string();
        assert!(error.contains("index.csv:2: no number and time"), "{error}");
    }
}
