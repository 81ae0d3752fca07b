//! What is told of a run while it runs: a line for each round, on standard error.

use std::{
    io::{IsTerminal as _, stderr},
    time::{Duration, Instant},
};

use crate::{ledger::Ledger, plan::Part};

/// The lines of one part, each with its name and the time since it began.
pub struct Progress {
    name: String,
    begun: Instant,
}

impl Progress {
    pub fn new(name: String) -> Progress {
        Progress { name, begun: Instant::now() }
    }

    pub fn round(&self, part: &Part, round: u64, ledger: &Ledger, took: Duration) {
        let (rounds, count, took) = (part.strikes.len(), ledger.acknowledged(), took.as_secs_f64());
        self.line(&format!("round {round} of {rounds}: {count} acknowledged, recovered in {took:.2} s"));
    }

    pub fn line(&self, text: &str) {
        self.write(text, None);
    }

    pub fn good(&self, text: &str) {
        self.write(text, Some("32"));
    }

    pub fn bad(&self, text: &str) {
        self.write(text, Some("31"));
    }

    pub fn skipped(&self, why: &str) {
        self.write(&format!("skipped: {why}"), Some("33"));
    }

    fn write(&self, text: &str, colour: Option<&str>) {
        let plain = !stderr().is_terminal() || std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let text = match colour {
            Some(code) if !plain => format!("\x1b[{code}m{text}\x1b[0m"),
            _ => text.to_string(),
        };
        eprintln!("{:<32} {:>6.1} s  {text}", self.name, self.begun.elapsed().as_secs_f64());
    }
}
