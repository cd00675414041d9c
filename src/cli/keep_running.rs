//! `--keep-running`: a sidecar must not keep its pod from starting, so a mistake does not end the
//! process. What is wrong is left out and reported.

use std::ffi::OsString;
use std::fs;
use std::path::Path;

use clap::Parser;
use clap::error::ErrorKind;

use crate::config::{Problem, Problems};

/// The flag.
const FLAG: &str = "--keep-running";

/// Parses a command line. With `sidewatch run --keep-running`, arguments that are wrong are left
/// out, and returned as problems.
pub(super) fn parse<P: Parser>(mut arguments: Vec<OsString>) -> (P, Problems) {
    let mut left_out = Problems::default();
    loop {
        let error = match P::try_parse_from(&arguments) {
            Ok(parsed) => return (parsed, left_out),
            Err(error) => error,
        };
        let Some(index) = tolerates(&arguments)
            .then(|| wrong::<P>(&arguments))
            .flatten()
        else {
            error.exit()
        };
        let argument = arguments.remove(index).to_string_lossy().into_owned();
        let text = error.to_string();
        let why = text.lines().next().unwrap_or_default();
        let why = why.strip_prefix("error: ").unwrap_or(why);
        let is_help = matches!(
            error.kind(),
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
        );
        let message = if is_help {
            "has no use beside --keep-running"
        } else {
            why
        };
        left_out.push(Problem::of_file(&argument, message.to_owned()));
    }
}

fn tolerates(arguments: &[OsString]) -> bool {
    arguments.get(1).is_some_and(|command| command == "run")
        && arguments.iter().any(|argument| argument == FLAG)
}

/// The first argument that is wrong whatever follows: the arguments up to the one before it may
/// parse, those up to it may not, and not with the next one as its value either.
fn wrong<P: Parser>(arguments: &[OsString]) -> Option<usize> {
    let fails = |count: usize| match P::try_parse_from(arguments.iter().take(count)) {
        Ok(_) => false,
        Err(error) => error.kind() != ErrorKind::MissingRequiredArgument,
    };
    (2..arguments.len())
        .find(|&index| fails(index + 1) && (index + 1 == arguments.len() || fails(index + 2)))
}

/// Whether files can be written to a folder, which is created.
///
/// # Errors
/// What the system answers.
pub(super) fn try_folder(folder: &Path) -> std::io::Result<()> {
    fs::create_dir_all(folder)?;
    let file = folder.join(".writable");
    fs::write(&file, "")?;
    fs::remove_file(file)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::parse;

    #[derive(Debug, Parser)]
    #[command(version)]
    struct Command {
        _command: String,
        #[arg(long = "keep-running")]
        _keep_running: bool,
        #[arg(long)]
        limit: Option<u8>,
        #[arg(long)]
        name: Vec<String>,
    }

    #[test]
    fn wrong_arguments_are_left_out_and_right_ones_stay() {
        let arguments = [
            "sidewatch",
            "run",
            "--keep-running",
            "--help",
            "--limit",
            "300",
            "--limit=x",
            "--nmae=a",
            "--name",
            "b",
            "--limit=7",
            "--limit=8",
            "-V",
            "--name=c",
            "stray",
        ];
        let (parsed, left_out) = parse::<Command>(arguments.map(Into::into).to_vec());
        assert_eq!(parsed.limit, Some(7));
        assert_eq!(parsed.name, ["b", "c"]);
        let named: Vec<&str> = left_out
            .as_slice()
            .iter()
            .map(|problem| problem.file.as_str())
            .collect();
        assert_eq!(
            named,
            [
                "--help",
                "--limit",
                "300",
                "--limit=x",
                "--nmae=a",
                "--limit=8",
                "-V",
                "stray"
            ]
        );
        let told = left_out.to_string();
        assert!(
            told.contains("unexpected argument '--nmae' found"),
            "{told}"
        );
    }
}
