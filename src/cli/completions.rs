//! `sidewatch completions`: prints a shell completion script.

use std::io::Write;
use std::process::ExitCode;

use clap::ValueEnum;
use clap_complete::aot::{Shell, generate};

use super::error::Error;

/// Print a shell completion script
#[derive(Debug, clap::Args)]
pub(super) struct Completions {
    /// The shell
    #[arg(value_enum)]
    shell: ShellName,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ShellName {
    /// source <(sidewatch completions bash)
    Bash,
    /// sidewatch completions zsh > "${fpath[1]}/_sidewatch"
    Zsh,
    /// sidewatch completions fish | source
    Fish,
}

impl Completions {
    /// Prints a script that completes the arguments of `command`.
    pub(super) fn run(
        &self,
        mut command: clap::Command,
        out: &mut dyn Write,
    ) -> Result<ExitCode, Error> {
        let shell = match self.shell {
            ShellName::Bash => Shell::Bash,
            ShellName::Zsh => Shell::Zsh,
            ShellName::Fish => Shell::Fish,
        };
        // The generator panics when a write fails, so it writes to memory first.
        let mut script = Vec::new();
        generate(shell, &mut command, "sidewatch", &mut script);
        out.write_all(&script)
            .map_err(|error| Error::unprintable(&error))?;
        Ok(ExitCode::SUCCESS)
    }
}
