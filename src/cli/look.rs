//! How tables, times and texts look on a terminal.

use std::io::{self, IsTerminal as _, Write as _};

use chrono::{DateTime, SecondsFormat, Utc};
use comfy_table::{ContentArrangement, Table, presets};

use crate::config::ColorMode;

/// What the reader's terminal can show.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    pub color: bool,
    /// In characters; `None` is the terminal's own, or no bound where there is no terminal.
    pub width: Option<u16>,
}

impl Look {
    /// The look of standard output.
    pub fn of_output(mode: ColorMode) -> Look {
        Look { color: mode.on(io::stdout().is_terminal()), width: None }
    }

    /// A table without lines; its rows' styles show only where colours are on.
    pub fn table(self, header: &[&str]) -> Table {
        let mut table = Table::new();
        table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
        table.set_header(header);
        if let Some(width) = self.width {
            table.set_width(width);
        }
        if self.color {
            table.enforce_styling();
        } else {
            table.force_no_tty();
        }
        table
    }

    pub fn bold(self, text: &str) -> String {
        if self.color { format!("\u{1b}[1m{text}\u{1b}[0m") } else { text.to_string() }
    }
}

/// Prints to standard output. A reader that went away, as `head` does, has had enough: that is no failure.
pub fn print(text: &str) -> io::Result<()> {
    let mut output = io::stdout().lock();
    match output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// `text` in one line, without characters that would command the terminal: what was recorded may hold any.
pub fn line(text: &str) -> String {
    let text: String = text.chars().map(|c| if commands(c) { ' ' } else { c }).collect();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn commands(c: char) -> bool {
    // The second part turns the direction of writing.
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A time in UTC, such as `2026-05-04 10:05:40Z`.
pub fn time(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::AutoSi, true).replacen('T', " ", 1)
}

/// A duration in words, such as `2 m 45 s`.
pub fn duration(ms: f64) -> String {
    if ms.abs() < 1_000.0 {
        return format!("{} ms", trimmed(ms, 1));
    }
    let sign = if ms < 0.0 { "-" } else { "" };
    let seconds = ms.abs() / 1_000.0;
    if seconds < 60.0 {
        return format!("{sign}{} s", trimmed(seconds, 1));
    }
    let seconds = seconds.round() as u64;
    let (days, hours, minutes, seconds) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    let words = match (days, hours, minutes) {
        (0, 0, minutes) => format!("{minutes} m {seconds} s"),
        (0, hours, minutes) => format!("{hours} h {minutes} m"),
        (days, hours, _) => format!("{days} d {hours} h"),
    };
    format!("{sign}{words}")
}

/// A distance from the start as a clock shows it, such as `+3:04.500` or `-0:02`.
pub fn offset(ms: f64) -> String {
    let sign = if ms < 0.0 { '-' } else { '+' };
    let ms = ms.abs().round() as u64;
    let (hours, minutes, seconds, millis) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1_000 % 60, ms % 1_000);
    let hours = if hours > 0 { format!("{hours}:{minutes:02}") } else { minutes.to_string() };
    let millis = if millis > 0 { format!(".{millis:03}") } else { String::new() };
    format!("{sign}{hours}:{seconds:02}{millis}")
}

/// A share of 1 as per cent.
pub fn percent(share: f64) -> String {
    format!("{} %", trimmed(share * 100.0, 1))
}

fn trimmed(number: f64, digits: usize) -> String {
    let text = format!("{number:.digits$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_string() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_offsets_read_like_speech_and_like_a_clock() {
        let durations = [0.0, 0.5, 820.0, 2_500.0, 59_000.0, 165_000.0, 3_900_000.0, 180_000_000.0, -2_000.0];
        let told: Vec<_> = durations.iter().map(|ms| format!("{} = {}", duration(*ms), offset(*ms))).collect();
        insta::assert_snapshot!(told.join("\n"), @r"
        0 ms = +0:00
        0.5 ms = +0:00.001
        820 ms = +0:00.820
        2.5 s = +0:02.500
        59 s = +0:59
        2 m 45 s = +2:45
        1 h 5 m = +1:05:00
        2 d 2 h = +50:00:00
        -2 s = -0:02
        ");
        assert_eq!(percent(0.485), "48.5 %");
    }

    #[test]
    fn what_was_recorded_cannot_command_the_terminal() {
        assert_eq!(line("a\u{1b}[31mred\u{7}\n b\u{202e}c\t"), "a [31mred b c");
    }
}
