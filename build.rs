//! Tells cargo which files change the binary though no Rust names them: the migrations and the console's bundle.

use std::{fs, io};

/// What `scripts/console` bundles. A build without node has none, and `rust-embed` wants the folder all the same.
const CONSOLE: &str = "console/dist";

fn main() -> io::Result<()> {
    fs::create_dir_all(CONSOLE)?;
    println!("cargo:rerun-if-changed=migrations");
    println!("cargo:rerun-if-changed={CONSOLE}");
    Ok(())
}
