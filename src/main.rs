//! The binary: hands the command line to `cli`.

use std::process::ExitCode;

/// A request makes and drops some hundred small things; this allocator takes far less for each than the system's, and gives
/// memory back after a burst.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    binnacle::cli::main()
}
