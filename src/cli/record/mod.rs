//! `binnacle record`: reads audits from a file of JSON lines, records them batch by batch, and sums up.

mod lines;
mod summary;

use std::{path::Path, time::Duration};

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::{
    fs::File,
    io::{AsyncBufRead, BufReader, stdin},
    time::timeout,
};

use crate::{
    audit::{Problem, Submission, limits::BATCH_BYTES_MAX, limits::BATCH_MAX},
    worker::Shutdown,
};
use lines::Lines;

pub use summary::Summary;

/// Most bytes of lines in one batch; a canonical text is at most about twice as long as a terse line.
const LINES_BYTES_MAX: usize = BATCH_BYTES_MAX / 2;
/// How long a batch waits for its next line, where somebody writes the lines while we read.
const NEXT_LINE_WAIT: Duration = Duration::from_millis(200);
const READ_BUFFER_BYTES: usize = 256 * 1024;

/// What became of one submission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Recorded,
    Duplicate,
    /// With the code of the rejection, such as `CONFLICT`.
    Rejected {
        code: &'static str,
        problems: Vec<Problem>,
    },
}

/// The file to read, and how many bytes it has, where that can be known.
pub async fn open(file: &Path) -> anyhow::Result<(Box<dyn AsyncBufRead + Unpin + Send>, Option<u64>)> {
    if file.as_os_str() == "-" {
        return Ok((Box::new(BufReader::with_capacity(READ_BUFFER_BYTES, stdin())), None));
    }
    let context = || format!("cannot read `{}`", file.display());
    let opened = File::open(file).await.with_context(context)?;
    let meta = opened.metadata().await.with_context(context)?;
    anyhow::ensure!(!meta.is_dir(), "cannot read `{}`: it is a folder", file.display());
    let bytes = meta.is_file().then_some(meta.len());
    Ok((Box::new(BufReader::with_capacity(READ_BUFFER_BYTES, opened)), bytes))
}

/// A bar on standard error, hidden where that is no terminal.
pub fn bar(bytes: Option<u64>) -> ProgressBar {
    let (bar, template) = match bytes {
        Some(bytes) => (ProgressBar::new(bytes), "{bar:30} {percent}% · {binary_bytes_per_sec} · {msg} · {eta} left"),
        None => (ProgressBar::new_spinner(), "{spinner} {binary_bytes} read · {msg}"),
    };
    bar.set_draw_target(ProgressDrawTarget::stderr());
    bar.with_style(ProgressStyle::with_template(template).expect("the template is well formed"))
}

/// Records the audits of `reader` through `send`, which answers each submission of a batch in the order given. It ends
/// at the end of the lines, with the word to stop, or when `send` fails; the summary says which.
pub async fn record<R, Send>(
    reader: R,
    bar: &ProgressBar,
    problems_max: usize,
    mut shutdown: Shutdown,
    mut send: Send,
) -> anyhow::Result<Summary>
where
    R: AsyncBufRead + Unpin,
    Send: AsyncFnMut(Vec<Submission>) -> anyhow::Result<Vec<Outcome>>,
{
    let mut lines = Lines::new(reader);
    let mut summary = Summary::new(problems_max);
    let mut batch = Batch::default();
    let mut more = true;
    while more {
        let next = tokio::select! {
            next = timeout(NEXT_LINE_WAIT, lines.next()) => next,
            () = shutdown.wait() => {
                // What was read but not sent is not recorded: the summary names the first such line.
                summary.interrupted(batch.numbers.first().copied());
                break;
            }
        };
        match next {
            Ok(line) => match line.context("cannot read the next line")? {
                Some(line) => {
                    bar.inc(line.bytes as u64);
                    summary.line(line.number);
                    match line.submission {
                        Ok(submission) => batch.add(line.number, line.bytes, submission),
                        Err(problems) => summary.rejected(line.number, "INVALID", problems),
                    }
                }
                None => more = false,
            },
            Err(_) if batch.submissions.is_empty() => continue,
            Err(_) => batch.full = true, // nobody writes just now, so what has come is sent
        }
        if (batch.full || !more) && !batch.submissions.is_empty() {
            let Batch { numbers, submissions, .. } = std::mem::take(&mut batch);
            match send(submissions).await {
                Ok(outcomes) => summary.answered(&numbers, outcomes)?,
                Err(error) => {
                    summary.failed(numbers[0], &error);
                    break;
                }
            }
            bar.set_message(summary.counts());
        }
    }
    bar.finish_and_clear();
    summary.sort();
    Ok(summary)
}

#[derive(Default)]
struct Batch {
    numbers: Vec<u64>,
    submissions: Vec<Submission>,
    bytes: usize,
    full: bool,
}

impl Batch {
    fn add(&mut self, number: u64, bytes: usize, submission: Submission) {
        self.numbers.push(number);
        self.submissions.push(submission);
        self.bytes += bytes;
        // The next line has to fit too, however long it is.
        self.full = self.submissions.len() >= BATCH_MAX || self.bytes + lines::LINE_BYTES_MAX > LINES_BYTES_MAX;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{audit::Kind, cli::exit::Exit, worker::Stop};

    async fn run(text: &str, send: impl AsyncFnMut(Vec<Submission>) -> anyhow::Result<Vec<Outcome>>) -> Summary {
        let (_stop, shutdown) = Stop::new();
        record(BufReader::new(text.as_bytes()), &ProgressBar::hidden(), 2, shutdown, send).await.unwrap()
    }

    fn line(id: usize) -> String {
        format!("{{\"kind\": \"OTHER\", \"eventId\": \"{id}\"}}\n")
    }

    fn conflict() -> Outcome {
        let message = "was recorded with another `status`".to_string();
        Outcome::Rejected {
            code: "CONFLICT",
            problems: vec![Problem { path: vec!["eventId".to_string()], code: "CONFLICT", message }],
        }
    }

    #[test]
    fn the_bars_are_well_formed() {
        bar(None).inc(1);
        bar(Some(1)).inc(1);
    }

    #[tokio::test]
    async fn lines_go_in_batches_and_each_is_counted() {
        let text: String = (0..2_500).map(line).collect();
        let mut sizes = Vec::new();
        let summary = run(&text, async |batch| {
            sizes.push(batch.len());
            assert!(batch.iter().all(|submission| submission.kind == Kind::Other));
            Ok(vec![Outcome::Recorded; batch.len()])
        })
        .await;
        assert_eq!(sizes, [1_000, 1_000, 500]);
        assert_eq!((summary.recorded, summary.exit()), (2_500, Exit::Done));
    }

    #[tokio::test]
    async fn what_is_rejected_is_told_with_its_line_up_to_a_bound() {
        let text = format!("{}{{}}\n\n{}{}nonsense\n", line(1), line(2), line(3));
        let summary = run(&text, async |batch| {
            assert_eq!(batch.len(), 3);
            Ok(vec![Outcome::Recorded, conflict(), Outcome::Duplicate])
        })
        .await;
        assert_eq!(summary.exit(), Exit::Findings);
        insta::assert_snapshot!(summary.text(), @r"
        1 recorded, 1 duplicate, 3 rejected
        line 2: INVALID
          kind: `kind` is missing: one of ORCHESTRATION, SIGNAL_PROCESSING, AI_ANALYSIS, WORKFLOW_EXECUTION, NOTIFICATION, EFFECTIVENESS, OTHER
        line 4: CONFLICT
          eventId: was recorded with another `status`
        … and 1 more rejected lines
        ");
        insta::assert_snapshot!(summary.json(), @r#"
        {
          "duplicate": 1,
          "lines": 6,
          "recorded": 1,
          "rejected": 3,
          "rejections": [
            {
              "code": "INVALID",
              "line": 2,
              "problems": [
                {
                  "code": "UNKNOWN_WORD",
                  "message": "`kind` is missing: one of ORCHESTRATION, SIGNAL_PROCESSING, AI_ANALYSIS, WORKFLOW_EXECUTION, NOTIFICATION, EFFECTIVENESS, OTHER",
                  "path": [
                    "kind"
                  ]
                }
              ]
            },
            {
              "code": "CONFLICT",
              "line": 4,
              "problems": [
                {
                  "code": "CONFLICT",
                  "message": "was recorded with another `status`",
                  "path": [
                    "eventId"
                  ]
                }
              ]
            }
          ]
        }
        "#);
    }

    #[tokio::test]
    async fn when_recording_fails_the_summary_says_from_which_line_on_nothing_is_known() {
        let text: String = (0..1_500).map(line).collect();
        let mut calls = 0;
        let summary = run(&text, async |batch| {
            calls += 1;
            if calls == 2 {
                anyhow::bail!("the database is away");
            }
            Ok(vec![Outcome::Recorded; batch.len()])
        })
        .await;
        assert_eq!((summary.recorded, summary.exit()), (1_000, Exit::Unavailable));
        insta::assert_snapshot!(summary.text(), @r"
        1000 recorded, 0 duplicate, 0 rejected
        stopped before line 1001: the database is away
        lines with an `eventId` can be sent again without harm
        ");
    }

    #[tokio::test]
    async fn the_word_to_stop_ends_it_before_the_next_batch() {
        let (stop, shutdown) = Stop::new();
        let (_writer, reader) = tokio::io::duplex(64); // nobody writes and nobody ends
        stop.now();
        let bar = ProgressBar::hidden();
        let summary = record(BufReader::new(reader), &bar, 2, shutdown, async |_| panic!("nothing is there to send"));
        assert_eq!(summary.await.unwrap().exit(), Exit::Unavailable);
    }

    #[tokio::test]
    async fn lines_that_come_slowly_are_not_kept_waiting_for_a_full_batch() {
        use tokio::io::AsyncWriteExt as _;
        let (_stop, shutdown) = Stop::new();
        let (mut writer, reader) = tokio::io::duplex(1_024);
        writer.write_all(line(1).as_bytes()).await.unwrap();
        let mut writer = Some(writer);
        let bar = ProgressBar::hidden();
        let summary = record(BufReader::new(reader), &bar, 2, shutdown, async |batch| {
            writer = None; // the writer only ends once its first line was recorded
            Ok(vec![Outcome::Recorded; batch.len()])
        });
        assert_eq!(summary.await.unwrap().recorded, 1);
    }
}
