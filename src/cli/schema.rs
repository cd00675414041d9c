//! `sidewatch schema`: what editors need to know of our files.

use std::io::Write;
use std::process::ExitCode;

use clap::ValueEnum;

use super::Error;
use crate::config::schema;

/// Print the JSON Schema of a kind of file, for editors
#[derive(Debug, clap::Args)]
pub(super) struct Schema {
    /// Kind of file
    #[arg(value_enum)]
    what: What,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// Configuration files
    Config,
    /// Rule files
    Rules,
    /// Configuration files of sidewatch relay
    Relay,
}

impl Schema {
    /// Prints the schema.
    ///
    /// # Errors
    /// When nothing can be printed.
    pub(super) fn run(&self, out: &mut dyn Write) -> Result<ExitCode, Error> {
        let schema = match self.what {
            What::Config => schema::config(),
            What::Rules => schema::rules(),
            What::Relay => schema::relay(),
        };
        let wrong = |error: &dyn std::fmt::Display| Error::new(format!("cannot print: {error}"));
        let text = serde_json::to_string_pretty(&schema).map_err(|error| wrong(&error))?;
        writeln!(out, "{text}").map_err(|error| wrong(&error))?;
        Ok(ExitCode::SUCCESS)
    }
}
