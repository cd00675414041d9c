//! CSV files: a row for each time, a column for each series.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use super::time::parse_time;
use super::{Error, Recording};
use crate::metric::{Labels, SeriesFilter};
use crate::scrape::Format;
use crate::scrape::parse::{Parser, Series};

/// Reads a CSV file. The first line names the columns: `timestamp`, then one series each, as in
/// PromQL (`requests_total` or `requests_total{code="500"}`; quoted or not, a comma within braces
/// does not end a column). A row is a time (Unix seconds, RFC 3339 or `YYYY-MM-DD hh:mm:ss`) and a
/// number for each series; the series has no sample where the cell is blank.
///
/// `progress` receives the number of bytes read so far.
///
/// # Errors
/// When the file cannot be read, or a line is invalid.
pub(crate) fn read_csv(
    path: &Path,
    wanted: &SeriesFilter,
    progress: &mut dyn FnMut(u64),
) -> Result<Recording, Error> {
    let unreadable = |source: io::Error| Error::File {
        path: path.display().to_string(),
        source,
    };
    let invalid = |line: usize, message: String| Error::Content {
        path: path.display().to_string(),
        line,
        message,
    };
    let file = BufReader::new(File::open(path).map_err(unreadable)?);
    let mut recording = Recording::default();
    let mut columns: Option<Vec<Option<usize>>> = None;
    let mut read = 0;
    for (index, line) in file.lines().enumerate() {
        let line = line.map_err(unreadable)?;
        read += line.len() as u64 + 1;
        if index % 1000 == 0 {
            progress(read);
        }
        if line.trim().is_empty() {
            continue;
        }
        let fail = |message| invalid(index + 1, message);
        match &columns {
            None => {
                let header = line.trim_start_matches('\u{feff}').trim_end();
                columns = Some(header_columns(header, wanted, &mut recording).map_err(fail)?);
            }
            Some(columns) => row(&line, columns, &mut recording).map_err(fail)?,
        }
    }
    Ok(recording)
}

fn header_columns(
    line: &str,
    wanted: &SeriesFilter,
    recording: &mut Recording,
) -> Result<Vec<Option<usize>>, String> {
    let all_cells = header_cells(line);
    let mut cells = all_cells.iter();
    let first = cells.next().map(|cell| cell.trim().to_ascii_lowercase());
    if !matches!(first.as_deref(), Some("timestamp" | "time")) || cells.len() == 0 {
        return Err(format!(
            "expected a first line such as timestamp,accuracy or timestamp,requests_total{{code=\"500\"}}, got {line:?}"
        ));
    }
    let mut columns: Vec<Option<usize>> = Vec::new();
    for cell in cells {
        let labels = series(cell.trim())
            .map_err(|message| format!("the column {cell:?} is not a series: {message}"))?;
        let column = wanted.wants(&labels).then(|| recording.column(&labels));
        if column.is_some() && columns.contains(&column) {
            return Err(format!("the column {cell:?} appears twice"));
        }
        columns.push(column);
    }
    Ok(columns)
}

/// Splits at commas outside quotes and braces, and removes the quotes of quoted cells.
fn header_cells(line: &str) -> Vec<String> {
    let mut cells = vec![String::new()];
    let (mut quoted, mut braces, mut in_value) = (false, false, false);
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        let Some(cell) = cells.last_mut() else { break };
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                cell.push('"');
            }
            '"' if quoted => quoted = false,
            '"' if cell.trim().is_empty() => {
                cell.clear();
                quoted = true;
            }
            '\\' if in_value => {
                cell.push(c);
                cell.extend(chars.next());
            }
            '"' => {
                in_value = braces && !in_value;
                cell.push(c);
            }
            ',' if !quoted && !braces => cells.push(String::new()),
            '{' | '}' if !quoted && !in_value => {
                braces = c == '{';
                cell.push(c);
            }
            _ => cell.push(c),
        }
    }
    cells
}

/// The labels of `name{a="b"}`.
fn series(text: &str) -> Result<Labels, String> {
    let body = format!("{text} 0\n");
    let body = body.as_bytes();
    let mut parser = Parser::new(body, Format::Text);
    let mut series = Series::default();
    match parser.next_sample(&mut series) {
        Ok(Some(_)) if series.range == (0..text.len()) => {}
        Ok(_) => return Err("expected a name, optionally with labels in braces".to_owned()),
        Err(error) => return Err(error.message.into_owned()),
    }
    let pairs = series
        .labels
        .iter()
        .map(|(name, value)| (name.text(body).into_owned(), value.text(body).into_owned()));
    Ok(Labels::named(&series.name.text(body), pairs))
}

fn row(line: &str, columns: &[Option<usize>], recording: &mut Recording) -> Result<(), String> {
    let mut cells = line.split(',').map(|cell| cell.trim().trim_matches('"'));
    let time = cells.next().unwrap_or_default();
    let at = parse_time(time).ok_or_else(|| {
        format!("not a time: {time:?}; write Unix seconds, RFC 3339 or YYYY-MM-DD hh:mm:ss")
    })?;
    for (index, cell) in cells.enumerate() {
        let Some(column) = columns.get(index) else {
            let count = columns.len() + 1;
            return Err(format!(
                "more cells than the {count} columns of the first line"
            ));
        };
        if cell.is_empty() {
            continue;
        }
        let value: f64 = cell.parse().map_err(|_| {
            format!("not a number: {cell:?}; leave it blank where there is no value")
        })?;
        if let Some(column) = column {
            recording.push(*column, at, value);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{header_cells, read_csv};
    use crate::metric::SeriesFilter;

    fn read(text: &str) -> Result<usize, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("h.csv");
        std::fs::write(&path, text).unwrap();
        let recording = read_csv(&path, &SeriesFilter::everything(), &mut |_| {});
        recording.map(|r| r.series()).map_err(|error| {
            let text = error.to_string();
            text.rsplit('/').next().unwrap().to_owned()
        })
    }

    #[test]
    fn a_column_is_a_series_with_its_labels_quoted_or_not() {
        let cells = header_cells(r#"timestamp,x,y{a="b,}",c="d"},"z{a=""b"",c=""d""}""#);
        let expected = ["timestamp", "x", r#"y{a="b,}",c="d"}"#, r#"z{a="b",c="d"}"#];
        assert_eq!(cells, expected);
        assert_eq!(
            read("timestamp,value,x{a=\"b\"}\n2026-01-02T03:04:05Z,1,\n15,2,3\n"),
            Ok(2)
        );
    }

    #[test]
    fn errors_name_their_line() {
        let cases = [
            (
                "a,b\n",
                "h.csv:1: expected a first line such as timestamp,accuracy",
            ),
            (
                "timestamp,x{\n",
                "h.csv:1: the column \"x{\" is not a series",
            ),
            ("timestamp,x,x\n", "h.csv:1: the column \"x\" appears twice"),
            ("timestamp,x\n1,2\nnow,2\n", "h.csv:3: not a time: \"now\""),
            ("timestamp,x\n1,two\n", "h.csv:2: not a number: \"two\""),
            (
                "timestamp,x\n1,2,3\n",
                "h.csv:2: more cells than the 2 columns",
            ),
        ];
        for (text, expected) in cases {
            let error = read(text).unwrap_err();
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
