//! What the filters' matching in memory shares. It says the same as their SQL: nothing matches what is not there.

use chrono::{DateTime, Utc};

/// The length of the longest list.
pub fn longest<'l>(lists: impl IntoIterator<Item = &'l Option<Vec<String>>>) -> usize {
    lists.into_iter().flatten().map(Vec::len).max().unwrap_or(0)
}

/// Whether a value is one of a list; any value is, where there is no list.
pub fn any(wanted: &Option<Vec<String>>, value: Option<&str>) -> bool {
    wanted.as_ref().is_none_or(|wanted| value.is_some_and(|value| wanted.iter().any(|one| one == value)))
}

/// Whether one of several values is one of a list.
pub fn overlaps<'v>(wanted: &Option<Vec<String>>, values: impl IntoIterator<Item = &'v str>) -> bool {
    wanted.as_ref().is_none_or(|wanted| values.into_iter().any(|value| wanted.iter().any(|one| one == value)))
}

/// Whether a time lies in [from, to).
pub fn within(time: impl Into<Option<DateTime<Utc>>>, from: Option<DateTime<Utc>>, to: Option<DateTime<Utc>>) -> bool {
    let time = time.into();
    from.is_none_or(|from| time.is_some_and(|time| time >= from))
        && to.is_none_or(|to| time.is_some_and(|time| time < to))
}

/// Whether a number lies between two others, both included.
pub fn between(number: impl Into<Option<f64>>, min: Option<f64>, max: Option<f64>) -> bool {
    let number = number.into();
    min.is_none_or(|min| number.is_some_and(|number| number >= min))
        && max.is_none_or(|max| number.is_some_and(|number| number <= max))
}
