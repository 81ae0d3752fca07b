//! The folder outside of the repository in which `make setup` keeps what it fetches.

use std::{env, path::PathBuf};

use nix::unistd::Uid;

/// The names that `scripts/setup` gives to what it fetches.
pub const POSTGRES: &str = "postgres-18.4-vector-0.8.5";
pub const MODEL: &str = "all-minilm-l6-v2-53aa5117";
/// The file that says that a folder is whole.
const STAMP: &str = "ready";

/// The folder of something that was fetched; `None` where it is not there, or not whole.
pub fn fetched(name: &str) -> Option<PathBuf> {
    place(name).filter(|folder| folder.join(STAMP).exists())
}

/// Where it is, or would be after `make setup`.
pub fn place(name: &str) -> Option<PathBuf> {
    Some(folder()?.join(name))
}

/// The cache folder itself.
pub fn folder() -> Option<PathBuf> {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(named) = set("BINNACLE_CACHE_DIR") {
        return std::path::absolute(named).ok();
    }
    if Uid::effective().is_root() {
        return Some(PathBuf::from("/var/cache/binnacle"));
    }
    if cfg!(target_os = "macos") {
        return set("HOME").map(|home| home.join("Library/Caches/binnacle"));
    }
    set("XDG_CACHE_HOME")
        .filter(|cache| cache.is_absolute())
        .or_else(|| set("HOME").map(|home| home.join(".cache")))
        .map(|cache| cache.join("binnacle"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn setup_fetches_to_where_the_server_looks() {
        let script = include_str!("../scripts/setup");
        let word = |name: &str| {
            let (_, rest) = script.split_once(&format!("\n{name} = \"")).unwrap();
            rest.split_once('"').unwrap().0.to_owned()
        };
        assert_eq!(POSTGRES, format!("postgres-{}-vector-{}", word("POSTGRES_VERSION"), word("VECTOR_VERSION")));
        assert_eq!(MODEL, format!("{}-{}", word("MODEL_NAME").to_lowercase(), &word("MODEL_SHA256")[..8]));
        assert_eq!(STAMP, word("STAMP"));
    }
}
