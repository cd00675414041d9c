//! `sidewatch schema`: prints the JSON Schema of a kind of file.

use std::io::Write;
use std::process::ExitCode;

use clap::ValueEnum;

use super::error::Error;
use crate::config::schema;

/// Print the JSON Schema of a kind of file, for editors
#[derive(Debug, clap::Args)]
pub(super) struct Schema {
    /// Kind of file
    #[arg(value_enum)]
    kind: FileKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FileKind {
    /// Configuration files
    Config,
    /// Rule files
    Rules,
    /// Configuration files of sidewatch relay
    Relay,
}

impl Schema {
    /// Prints the schema.
    pub(super) fn run(&self, out: &mut dyn Write) -> Result<ExitCode, Error> {
        let schema = match self.kind {
            FileKind::Config => schema::config(),
            FileKind::Rules => schema::rules(),
            FileKind::Relay => schema::relay(),
        };
        serde_json::to_writer_pretty(&mut *out, &schema)
            .map_err(std::io::Error::from)
            .and_then(|()| writeln!(out))
            .map_err(|error| Error::unprintable(&error))?;
        Ok(ExitCode::SUCCESS)
    }
}
