//! Durations as Go writes them, such as `1h30m`, `4m0s` and `1.5s`: Kubernaut's services are written in Go.

/// The units of Go's `time.ParseDuration`, and how many milliseconds each has.
const UNITS: &[(&str, f64)] = &[
    ("ns", 1e-6),
    ("us", 1e-3),
    ("µs", 1e-3),
    ("μs", 1e-3),
    ("ms", 1.0),
    ("s", 1_000.0),
    ("m", 60_000.0),
    ("h", 3_600_000.0),
];

/// A duration in milliseconds; `None` for what is no duration of Go, and for one below zero.
pub fn parse(text: &str) -> Option<f64> {
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Some(0.0);
    }
    let mut ms = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let letters = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        let (_, unit) = UNITS.iter().find(|(unit, _)| *unit == &rest[..letters])?;
        ms += number * unit;
        rest = &rest[letters..];
    }
    (!text.is_empty() && text != "+" && ms.is_finite()).then_some(ms)
}

/// A duration in milliseconds as Go prints it.
pub fn text(ms: f64) -> String {
    const NS_PER_S: u64 = 1_000_000_000;
    let ns = (ms * 1e6).round() as u64;
    let (hours, minutes, rest) = (ns / (3_600 * NS_PER_S), ns / (60 * NS_PER_S) % 60, ns % (60 * NS_PER_S));
    match ns {
        0 => "0s".to_string(),
        1..1_000 => format!("{ns}ns"),
        1_000..1_000_000 => format!("{}µs", ns as f64 / 1e3),
        1_000_000..NS_PER_S => format!("{}ms", ns as f64 / 1e6),
        _ if hours > 0 => format!("{hours}h{minutes}m{}s", rest as f64 / 1e9),
        _ if minutes > 0 => format!("{minutes}m{}s", rest as f64 / 1e9),
        _ => format!("{}s", rest as f64 / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_printed_as_go_prints_it() {
        let printed = ["4m0s", "1h30m0s", "44.5s", "300ms", "1h0m0s", "250µs", "90ns", "0s", "24h0m0s", "1m1.5s"];
        assert_eq!(printed.map(|go| text(parse(go).unwrap())), printed);
    }

    #[test]
    fn what_go_prints_is_read() {
        let read = ["4m0s", "1h30m0s", "44.5s", "300ms", "1.5h", "2m30s", "250µs", "90ns", "0", "0s", "+5s", "24h"];
        assert_eq!(
            read.map(|text| parse(text).unwrap()),
            [240e3, 5_400e3, 44_500.0, 300.0, 5_400e3, 150e3, 0.25, 90.0 * 1e-6, 0.0, 0.0, 5e3, 86_400e3]
        );
        for wrong in ["", "+", "5", "-5s", "5 s", "s", "1d", "7d", "1h-2m", ".", ".s", "1..5s", "5m3", "ten"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
