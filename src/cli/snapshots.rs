//! A folder of saved scrapes: `snap_0001.txt`, `snap_0002.txt`, … and optionally an `index.csv`.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::error::Error;
use crate::metric::Timestamp;
use crate::scrape::{Exposition, Format, format_of};

/// The time between two scrapes when neither a step nor an index gives it.
pub(crate) const DEFAULT_STEP: Duration = Duration::from_secs(15);

/// One saved scrape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Snapshot {
    /// When it was taken.
    pub(crate) at: Timestamp,
    /// The file with the body.
    pub(crate) path: PathBuf,
    /// The format of the body according to the index.
    format: Option<Format>,
}

impl Snapshot {
    /// Reads the body. Without a format in the index, `# EOF` at its end means OpenMetrics.
    pub(crate) fn read(&self) -> Result<Exposition, Error> {
        let body = fs::read(&self.path).map_err(|error| Error::unreadable(&self.path, &error))?;
        let format = self.format.unwrap_or_else(|| {
            if body.trim_ascii_end().ends_with(b"# EOF") {
                Format::OpenMetrics
            } else {
                Format::Text
            }
        });
        Ok(Exposition::new(body, format, self.at))
    }
}

/// The snapshots of a folder in the order of their numbers. Other files are ignored.
///
/// With a step, the first scrape is at 0 and a missing number is a missing scrape. Without a step,
/// the times come from `index.csv` (columns `n` and `unix_ts`); without an index, scrapes are 15
/// seconds apart and begin at 0.
///
/// # Errors
/// The folder or its index cannot be read, there are no snapshots, or the index lacks one.
pub(crate) fn snapshots(dir: &Path, step: Option<Duration>) -> Result<Vec<Snapshot>, Error> {
    let mut numbered: Vec<(u32, PathBuf)> = Vec::new();
    for entry in fs::read_dir(dir).map_err(|error| Error::unreadable(dir, &error))? {
        let path = entry
            .map_err(|error| Error::unreadable(dir, &error))?
            .path();
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

/// The time between the first two scrapes, unless it is zero.
pub(crate) fn interval(scrapes: &[Snapshot]) -> Option<Duration> {
    let (first, second) = (scrapes.first()?, scrapes.get(1)?);
    Some(second.at.since(first.at)).filter(|interval| !interval.is_zero())
}

/// The number in `snap_0001.txt`.
fn number(path: &Path) -> Option<u32> {
    let name = path.file_name()?.to_str()?;
    name.strip_prefix("snap_")?
        .strip_suffix(".txt")?
        .parse()
        .ok()
}

/// The row of a snapshot in the index.
struct IndexRow {
    at: Timestamp,
    format: Option<Format>,
}

/// Reads an `index.csv`, by the numbers of the snapshots.
fn read_index(path: &Path) -> Result<HashMap<u32, IndexRow>, Error> {
    let text = fs::read_to_string(path).map_err(|error| Error::unreadable(path, &error))?;
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
        let row = IndexRow {
            at: Timestamp::from_secs_f64(seconds),
            format: content_type.and_then(|index| format_of(Some(cell(index)), None).ok()),
        };
        rows.insert(number, row);
    }
    Ok(rows)
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
    fn the_times_come_from_the_index_unless_a_step_is_given() {
        let index = "n,unix_ts,content_type\n1,100.5,text/plain\n2,101.25,text/plain\n";
        let dir = folder(&["snap_0001.txt", "snap_0002.txt"], Some(index));
        assert_eq!(times(&dir, None), [100_500, 101_250]);
        assert_eq!(times(&dir, Some(15)), [0, 15_000]);
    }

    #[test]
    fn errors_about_a_folder_contain_its_path() {
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
