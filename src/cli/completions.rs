//! `sidewatch completions`: what shells need to know of our arguments.

use std::io::Write;
use std::process::ExitCode;

use clap::ValueEnum;
use clap_complete::aot::{Shell, generate};

use super::Error;

/// Print completions for a shell
#[derive(Debug, clap::Args)]
pub(super) struct Completions {
    /// The shell
    #[arg(value_enum)]
    shell: Known,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Known {
    /// source <(sidewatch completions bash)
    Bash,
    /// sidewatch completions zsh > "${fpath[1]}/_sidewatch"
    Zsh,
    /// sidewatch completions fish | source
    Fish,
}

impl Completions {
    /// Prints a script that completes the arguments of `command`.
    ///
    /// # Errors
    /// When nothing can be printed.
    pub(super) fn run(
        &self,
        mut command: clap::Command,
        out: &mut dyn Write,
    ) -> Result<ExitCode, Error> {
        let shell = match self.shell {
            Known::Bash => Shell::Bash,
            Known::Zsh => Shell::Zsh,
            Known::Fish => Shell::Fish,
        };
        // The generator panics when it cannot write, so it writes to memory.
        let mut script = Vec::new();
        generate(shell, &mut command, "sidewatch", &mut script);
        out.write_all(&script)
            .map_err(|error| Error::new(format!("cannot print: {error}")))?;
        Ok(ExitCode::SUCCESS)
    }
}
