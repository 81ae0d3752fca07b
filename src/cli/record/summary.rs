//! What became of a file of audits: counts, the rejected lines, and where it stopped.

use serde::Serialize;

use super::Outcome;
use crate::{
    audit::Problem,
    cli::{exit::Exit, look},
};

/// The summary of a run.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// The last line that was read.
    pub lines: u64,
    pub recorded: u64,
    pub duplicate: u64,
    pub rejected: u64,
    /// The first rejected lines.
    rejections: Vec<Rejection>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stopped: Option<Stopped>,
    #[serde(skip)]
    problems_max: usize,
}

#[derive(Debug, Serialize)]
struct Rejection {
    line: u64,
    code: &'static str,
    problems: Vec<Told>,
}

#[derive(Debug, Serialize)]
struct Told {
    path: Vec<String>,
    code: &'static str,
    message: String,
}

/// Why it ended before the last line.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Stopped {
    /// The first line of which nothing is known; lines before it were answered.
    before_line: u64,
    why: String,
}

impl Summary {
    pub fn new(problems_max: usize) -> Summary {
        let (lines, recorded, duplicate, rejected) = (0, 0, 0, 0);
        Summary { lines, recorded, duplicate, rejected, rejections: Vec::new(), stopped: None, problems_max }
    }

    pub fn line(&mut self, number: u64) {
        self.lines = number;
    }

    /// Counts the answers to a batch of lines.
    pub fn answered(&mut self, numbers: &[u64], outcomes: Vec<Outcome>) -> anyhow::Result<()> {
        let (lines, answers) = (numbers.len(), outcomes.len());
        anyhow::ensure!(lines == answers, "{lines} audits were sent and {answers} answered");
        for (number, outcome) in numbers.iter().zip(outcomes) {
            match outcome {
                Outcome::Recorded => self.recorded += 1,
                Outcome::Duplicate => self.duplicate += 1,
                Outcome::Rejected { code, problems } => self.rejected(*number, code, problems),
            }
        }
        Ok(())
    }

    pub fn rejected(&mut self, line: u64, code: &'static str, problems: Vec<Problem>) {
        self.rejected += 1;
        // Lines that cannot be read are told before their neighbours are answered; twice the bound is enough to put the
        // first ones into order at the end.
        if self.rejections.len() >= self.problems_max.saturating_mul(2) {
            self.sort();
        }
        let problems =
            problems.into_iter().map(|Problem { path, code, message }| Told { path, code, message }).collect();
        self.rejections.push(Rejection { line, code, problems });
    }

    pub fn failed(&mut self, before_line: u64, error: &anyhow::Error) {
        self.stopped = Some(Stopped { before_line, why: format!("{error:#}") });
    }

    pub fn interrupted(&mut self, first_unsent: Option<u64>) {
        let before_line = first_unsent.unwrap_or(self.lines + 1);
        self.stopped = Some(Stopped { before_line, why: "interrupted".to_string() });
    }

    /// Keeps the first rejections, by line.
    pub fn sort(&mut self) {
        self.rejections.sort_by_key(|rejection| rejection.line);
        self.rejections.truncate(self.problems_max);
    }

    pub fn exit(&self) -> Exit {
        match (&self.stopped, self.rejected) {
            (Some(_), _) => Exit::Unavailable,
            (None, 0) => Exit::Done,
            (None, _) => Exit::Findings,
        }
    }

    pub fn counts(&self) -> String {
        format!("{} recorded, {} duplicate, {} rejected", self.recorded, self.duplicate, self.rejected)
    }

    pub fn json(&self) -> String {
        // Its parts are numbers and texts, so it is JSON always.
        format!("{:#}\n", serde_json::to_value(self).unwrap_or_default())
    }

    pub fn text(&self) -> String {
        let mut text = format!("{}\n", self.counts());
        for rejection in &self.rejections {
            text.push_str(&format!("line {}: {}\n", rejection.line, rejection.code));
            for problem in &rejection.problems {
                let path =
                    if problem.path.is_empty() { String::new() } else { format!("{}: ", problem.path.join(".")) };
                text.push_str(&format!("  {}\n", look::line(&format!("{path}{}", problem.message))));
            }
        }
        let more = self.rejected.saturating_sub(self.rejections.len() as u64);
        if more > 0 {
            text.push_str(&format!("… and {more} more rejected lines\n"));
        }
        if let Some(Stopped { before_line, why }) = &self.stopped {
            text.push_str(&format!("stopped before line {before_line}: {why}\n"));
            text.push_str("lines with an `eventId` can be sent again without harm\n");
        }
        text
    }
}
