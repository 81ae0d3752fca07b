//! The binary: hands the command line to `cli`.

use std::process::ExitCode;

fn main() -> ExitCode {
    binnacle::cli::main()
}
