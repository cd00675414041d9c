//! The command line of Sidewatch.

use std::process::ExitCode;

fn main() -> ExitCode {
    sidewatch::main()
}
