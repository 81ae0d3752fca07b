//! The image: what the build takes into the program lies in what `.dockerignore` leaves of the repository.

use std::{
    fs,
    path::{Component, Path, PathBuf},
};

use crate::support::page::read;

#[test]
fn nothing_that_the_build_reads_is_left_out_of_the_image() {
    let ignored = read(".dockerignore");
    let made_by_the_image = "console/dist"; // the Dockerfile copies it from the stage that bundles it
    let sources = sources(Path::new("src")).into_iter().filter(|source| !of_tests(source));
    let mut read_by_the_build: Vec<String> = sources.flat_map(|source| embedded(&source)).collect();
    read_by_the_build.extend(["Cargo.toml", "Cargo.lock", "build.rs", ".sqlx", "src"].map(str::to_string));
    let manifest = read("Cargo.toml");
    read_by_the_build
        .extend(manifest.split("path = \"").skip(1).filter_map(|rest| rest.split('"').next()).map(str::to_string));

    let left_out: Vec<&String> =
        read_by_the_build.iter().filter(|path| *path != made_by_the_image && is_left_out(path, &ignored)).collect();

    for known in ["docs/problems", "migrations", "crates/bert"] {
        assert!(read_by_the_build.iter().any(|path| path == known), "{known} is not among {read_by_the_build:?}");
    }
    assert!(left_out.is_empty(), "{left_out:?} are left out by `.dockerignore`");
}

#[test]
fn the_last_line_that_fits_says_whether_a_path_is_left_out() {
    let ignored = "# a remark\ntarget\ndocs/*\n!docs/examples\n*.md\n**/node_modules\n";
    let left_out = |path: &str| is_left_out(path, ignored);
    assert!(left_out("target/debug/binnacle") && left_out("docs/problems") && left_out("README.md"));
    assert!(left_out("tests/node/node_modules/graphql"));
    assert!(!left_out("docs/examples/executions.json") && !left_out("src/README.md") && !left_out("targets"));
}

/// The files of Rust in a folder of the repository and in those within it.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).unwrap();
    let of_entry = |entry: fs::DirEntry| {
        let path = folder.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => sources(&path),
            false => vec![path],
        }
    };
    entries.flat_map(|entry| of_entry(entry.unwrap())).filter(|path| path.extension() == Some("rs".as_ref())).collect()
}

/// Whether tests alone are in the file.
fn of_tests(source: &Path) -> bool {
    source.ends_with("tests.rs") || source.iter().any(|name| name == "tests")
}

/// The files and folders that a source takes into the program, by their paths in the repository.
fn embedded(source: &Path) -> Vec<String> {
    let text = read(source.to_str().unwrap());
    let beside = source.parent().unwrap();
    let root = Path::new("");
    let marks =
        [("include_str!(\"", beside), ("include_bytes!(\"", beside), ("#[folder = \"", root), ("migrate!(\"", root)];
    let named = marks.into_iter().flat_map(|(mark, from)| {
        text.split(mark).skip(1).filter_map(|rest| rest.split('"').next()).map(move |path| plain(&from.join(path)))
    });
    named.collect()
}

/// A path without `.` and `..`.
fn plain(path: &Path) -> String {
    let mut parts = Vec::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(parts.pop()),
            Component::CurDir => {}
            part => parts.push(part.as_os_str().to_str().unwrap()),
        }
    }
    parts.join("/")
}

/// Whether a path is left out, by the kinds of patterns that the file has: a path, `*` for one name, and `**/` for any folder.
fn is_left_out(path: &str, ignored: &str) -> bool {
    let names: Vec<&str> = path.split('/').collect();
    let lines = ignored.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let told = lines.rev().find_map(|line| {
        let (keep, pattern) = line.strip_prefix('!').map_or((false, line), |pattern| (true, pattern));
        let fits = match pattern.strip_prefix("**/") {
            Some(pattern) => (0..names.len()).any(|from| begins(&names[from..], pattern)),
            None => begins(&names, pattern),
        };
        fits.then_some(!keep)
    });
    told.unwrap_or(false)
}

/// Whether the first of these names are those of the pattern.
fn begins(names: &[&str], pattern: &str) -> bool {
    let parts: Vec<&str> = pattern.split('/').collect();
    let fits = |name: &str, part: &str| match part.split_once('*') {
        Some((front, back)) => {
            name.len() >= front.len() + back.len() && name.starts_with(front) && name.ends_with(back)
        }
        None => name == part,
    };
    parts.len() <= names.len() && parts.iter().zip(names).all(|(part, name)| fits(name, part))
}
