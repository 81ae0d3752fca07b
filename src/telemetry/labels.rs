//! The bound on labels whose values clients choose: each new value is a new time series, and those cost memory for ever.

use std::{collections::BTreeSet, sync::Mutex};

/// Most distinct names that clients may bring.
const NAMES_MAX: usize = 200;
/// Longest name that is told apart, in characters.
const NAME_CHARS_MAX: usize = 64;

/// What stands for every name that is not told apart.
pub const OTHER: &str = "other";
/// What stands for an operation without a name.
pub const ANONYMOUS: &str = "anonymous";

/// The names that have been seen, up to a bound.
#[derive(Debug, Default)]
pub struct Labels {
    seen: Mutex<BTreeSet<String>>,
}

impl Labels {
    /// The label for `name`: itself when it is a plain name and there is room, else `other`.
    pub fn of<'a>(&self, name: Option<&'a str>) -> &'a str {
        let Some(name) = name else { return ANONYMOUS };
        if !plain(name) {
            return OTHER;
        }
        let mut seen = self.seen.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if seen.contains(name) {
            return name;
        }
        if seen.len() >= NAMES_MAX {
            return OTHER;
        }
        seen.insert(name.to_string());
        name
    }
}

fn plain(name: &str) -> bool {
    name.len() <= NAME_CHARS_MAX
        && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_apart_up_to_a_bound_and_known_ones_stay() {
        let labels = Labels::default();
        for n in 0..NAMES_MAX {
            let name = format!("Query{n}");
            assert_eq!(labels.of(Some(&name)), name);
        }
        assert_eq!(labels.of(Some("OneMore")), OTHER);
        assert_eq!(labels.of(Some("Query7")), "Query7");
    }

    #[test]
    fn a_name_that_is_not_plain_is_other() {
        let labels = Labels::default();
        for name in ["", "7up", "a b", "a-b", "ä", &"x".repeat(NAME_CHARS_MAX + 1)] {
            assert_eq!(labels.of(Some(name)), OTHER, "{name}");
        }
        assert_eq!(labels.of(None), ANONYMOUS);
    }
}
