//! Pieces of Markdown that the pages share.

/// A table. Cells are Markdown; a `|` in a cell is escaped and a line break becomes a blank.
pub(super) fn table<const N: usize>(
    head: [&str; N],
    rows: impl Iterator<Item = [String; N]>,
) -> String {
    let mut out = line(&head.map(str::to_owned));
    out.push_str(&line(&[(); N].map(|()| "---".to_owned())));
    for row in rows {
        out.push_str(&line(&row));
    }
    out
}

fn line(cells: &[String]) -> String {
    let cells: Vec<String> = cells
        .iter()
        .map(|cell| cell.replace('|', "\\|").replace('\n', " "))
        .collect();
    format!("| {} |\n", cells.join(" | "))
}

/// A fenced block.
pub(super) fn block(language: &str, text: &str) -> String {
    format!("```{language}\n{}\n```\n", text.trim_end())
}

/// Text in code font.
pub(super) fn code(text: &str) -> String {
    format!("`{text}`")
}

/// The anchor that GitHub gives a heading.
pub(super) fn anchor(heading: &str) -> String {
    heading
        .to_lowercase()
        .chars()
        .filter_map(|c| match c {
            ' ' => Some('-'),
            c if c.is_alphanumeric() || c == '-' || c == '_' => Some(c),
            _ => None,
        })
        .collect()
}
