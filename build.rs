//! Tells cargo that a new file in `migrations` changes the binary, which holds all of them.

fn main() {
    println!("cargo:rerun-if-changed=migrations");
}
