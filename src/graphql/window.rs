//! How far back a question looks: an ISO-8601 duration such as `P90D`, or short, `90d`.

use chrono::{DateTime, Months, TimeDelta, Utc};

use super::Result;
use crate::error::ClientError;

/// The longest window, in years.
const YEARS_MAX: u32 = 10;

/// A stretch of time; years and months are the calendar's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    months: u32,
    rest: TimeDelta,
}

impl Window {
    /// Reads the argument `name`.
    pub fn parse(name: &str, text: &str) -> Result<Window> {
        let window = read(text).ok_or_else(|| {
            ClientError::bad_input(format!(
                "`{name}` is `{text}`; give an ISO-8601 duration such as `P90D`, `P2W`, `PT24H` or `P1Y6M`, or `90d`, `24h`"
            ))
        })?;
        let days_max = i64::from(YEARS_MAX) * 366;
        if window.months > YEARS_MAX * 12 || window.rest > TimeDelta::days(days_max) {
            let message = format!("`{name}` is `{text}`; the longest is {YEARS_MAX} years, such as `P{YEARS_MAX}Y`");
            return Err(ClientError::bad_input(message));
        }
        Ok(window)
    }

    /// Where a window that ends at `end` begins.
    pub fn before(self, end: DateTime<Utc>) -> DateTime<Utc> {
        let begin = end.checked_sub_months(Months::new(self.months));
        begin.and_then(|begin| begin.checked_sub_signed(self.rest)).unwrap_or(DateTime::<Utc>::MIN_UTC)
    }
}

fn read(text: &str) -> Option<Window> {
    match text.strip_prefix('P') {
        Some(rest) => iso(rest),
        None => short(text),
    }
    .filter(|window| window.months > 0 || window.rest > TimeDelta::zero())
}

/// What comes behind the `P`: parts in their order, each at most once, those of a day behind a `T`.
fn iso(text: &str) -> Option<Window> {
    let (date, time) = match text.split_once('T') {
        Some((date, time)) if !time.is_empty() => (date, time),
        Some(_) => return None,
        None => (text, ""),
    };
    let [years, months, weeks, days] = parts(date, ['Y', 'M', 'W', 'D'])?;
    let [hours, minutes, seconds] = parts(time, ['H', 'M', 'S'])?;
    let units = [(weeks, 7 * 86_400), (days, 86_400), (hours, 3_600), (minutes, 60), (seconds, 1)];
    let rest = units.iter().map(|(count, unit)| i64::from(*count) * unit).sum();
    Some(Window { months: years.checked_mul(12)?.checked_add(months)?, rest: TimeDelta::try_seconds(rest)? })
}

/// The numbers before these letters, in this order; 0 where one is left out.
fn parts<const N: usize>(mut text: &str, letters: [char; N]) -> Option<[u32; N]> {
    let mut counts = [0; N];
    for (count, letter) in counts.iter_mut().zip(letters) {
        if let Some((number, rest)) = text.split_once(letter) {
            *count = whole(number)?;
            text = rest;
        }
    }
    text.is_empty().then_some(counts)
}

fn short(text: &str) -> Option<Window> {
    let unit = match text.chars().last()? {
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        'w' => 7 * 86_400,
        _ => return None,
    };
    // The letter is one byte.
    let count = whole(&text[..text.len() - 1])?;
    Some(Window { months: 0, rest: TimeDelta::try_seconds(i64::from(count) * unit)? })
}

/// Digits only: no sign, and no fraction.
fn whole(text: &str) -> Option<u32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begins(text: &str) -> String {
        let end: DateTime<Utc> = "2026-05-31T12:00:00Z".parse().unwrap();
        Window::parse("window", text).unwrap().before(end).format("%F %T").to_string()
    }

    #[test]
    fn a_window_is_read_in_iso_and_short() {
        assert_eq!(begins("P90D"), "2026-03-02 12:00:00");
        assert_eq!(begins("90d"), begins("P90D"));
        assert_eq!(begins("PT24H"), "2026-05-30 12:00:00");
        assert_eq!(begins("24h"), begins("P1D"));
        assert_eq!(begins("P2W"), begins("2w"));
        assert_eq!(begins("P3M"), "2026-02-28 12:00:00");
        assert_eq!(begins("P1Y2M3DT4H5M6S"), "2025-03-28 07:54:54");
        assert_eq!(begins("P10Y"), "2016-05-31 12:00:00");
    }

    #[test]
    fn what_is_no_window_is_refused_with_an_example() {
        for text in
            ["", "P", "PT", "P1DT", "90", "d", "-1d", "+1d", "P-1D", "P0D", "1.5h", "P1D2W", "7 d", "P1H", "９d", "dé"]
        {
            let refused = Window::parse("window", text).unwrap_err().message;
            assert!(refused.contains("such as `P90D`"), "{text}: {refused}");
        }
        for text in ["P11Y", "P3661D", "999999999d", "P4294967295Y", "P99999999999D"] {
            assert!(Window::parse("window", text).is_err(), "{text}");
        }
    }
}
