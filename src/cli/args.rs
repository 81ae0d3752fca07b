//! The tree of commands, their arguments and help texts.

use std::path::PathBuf;

use chrono::{DateTime, Utc};
use clap::{Args, Parser, Subcommand, ValueHint};

use crate::{administration::LetterId, bench::Group, config::Flags, search::HITS_MAX};

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  done, and something needs a look: lines were rejected, the journal is not whole, nothing was found
  2  the command line, a setting or a file of settings is wrong
  3  something that is needed cannot be reached, such as the database; try again
  4  anything else";

/// The flight recorder of autonomous remediation: an event-sourced audit store with a GraphQL query surface.
#[derive(Parser)]
#[command(name = "binnacle", version, max_term_width = 110, after_help = EXIT_CODES)]
#[command(arg_required_else_help = true, subcommand_required = true)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
    #[command(flatten)]
    pub flags: Flags,
}

#[derive(Subcommand)]
pub enum Command {
    /// Take audits and answer queries over HTTP.
    #[command(after_help = "\
Examples:
  binnacle serve
      with an embedded Postgres, on 127.0.0.1:8080
  binnacle serve --database-url postgres://binnacle_service:…@db/binnacle --owner-url postgres://binnacle_owner:…@db/binnacle
      with a Postgres of yours
  binnacle serve --listen 0.0.0.0:8080 --tokens-file callers.txt
      for others too, who each have a token")]
    Serve,

    /// Serve a store that is filled with a believable history.
    #[command(after_help = "\
Examples:
  binnacle demo
      a store that is gone afterwards
  binnacle demo --remediations 50 --data-dir ./demo --exit-after-seed
      fills a store that stays, and ends")]
    Demo(DemoArgs),

    /// Bring the database's tables up to date.
    #[command(after_help = "\
`serve` does this at its start too. Use this command where the server may not own the tables.

Example:
  binnacle migrate --database-url postgres://binnacle_service:…@db/binnacle --owner-url postgres://binnacle_owner:…@db/binnacle")]
    Migrate,

    /// Build projections anew from the journal, beside the old ones, and swap.
    #[command(after_help = "Examples:\n  binnacle rebuild remediations\n  binnacle rebuild --all")]
    Rebuild(RebuildArgs),

    /// Walk the journal and recompute every digest, position and version; exit 1 at the first that is wrong.
    #[command(after_help = "Examples:\n  binnacle verify\n  binnacle verify --json")]
    Verify(VerifyArgs),

    /// Print the GraphQL schema.
    #[command(after_help = "Example:\n  binnacle schema > schema.graphql")]
    Schema,

    /// Print the OpenAPI document of REST.
    #[command(after_help = "Example:\n  binnacle openapi > openapi.json")]
    Openapi,

    /// Print one remediation: phases, bottleneck, approvals and every fact in order.
    #[command(after_help = "\
Examples:
  binnacle timeline rr-7d1f0c9ab3e2-4be09c11
  binnacle timeline rr-7d1f0c9ab3e2-4be09c11 --cluster eu-prod-1 --as-of 2026-05-04T10:03:00Z
  binnacle timeline rr-7d1f0c9ab3e2-4be09c11 --json | jq .bottleneck")]
    Timeline(TimelineArgs),

    /// Write the report of a remediation: what happened, why, what it cost and what follows, each statement with its evidence.
    #[command(after_help = "\
Examples:
  binnacle report rr-7d1f0c9ab3e2-4be09c11
  binnacle report rr-7d1f0c9ab3e2-4be09c11 --format html > report.html
  binnacle report rr-7d1f0c9ab3e2-4be09c11 --format json --at \"$WATERMARK\" | jq .provenance")]
    Report(ReportArgs),

    /// Find remediations that speak of what you look for, in your own words; exit 1 if nothing does.
    #[command(after_help = "\
Examples:
  binnacle search payment pods keep dying after the new release ate all memory
  binnacle search --mode text 'x509: certificate has expired'
  binnacle search disk full on the broker --environment production --outcome remediated --first 5
  binnacle search oom --json | jq '.totals.byAction'")]
    Search(SearchArgs),

    /// Show which texts have their vectors, and let those that failed be tried again.
    #[command(after_help = "Examples:\n  binnacle embed --status\n  binnacle embed --retry-failed")]
    Embed(EmbedArgs),

    /// Show what projections and models could not take, and try it again; what a relay was refused is `binnacle relay dead`.
    #[command(
        subcommand,
        after_help = "\
The events are safe in the journal: what lacks them is a list, a statistic or the search.

Examples:
  binnacle dead-letters list
  binnacle dead-letters retry event_index@14
  binnacle dead-letters retry --all"
    )]
    DeadLetters(DeadLettersCommand),

    /// Record audits from a file of JSON lines; exit 1 if any was rejected.
    #[command(after_help = "\
Each line is one audit: the fields of its GraphQL input, and `kind`. For example:
  {\"kind\": \"NOTIFICATION\", \"remediationId\": \"rr-1\", \"eventId\": \"0199c2f4-6f0e-7bd1-9c4e-2a5b7c3d1e0f\",
   \"occurredAt\": \"2026-05-04T10:05:40Z\", \"notificationId\": \"nt-1\", \"channel\": \"slack\", \"status\": \"delivered\"}
(in one line). A line with an `eventId` can be sent again without harm; one without may be recorded twice.

Examples:
  binnacle record audits.jsonl
  kubectl logs notifier | grep '\"kind\"' | binnacle record - --json")]
    Record(RecordArgs),

    /// Keep audits on this machine's disk for writers in any language, and bring them to the server.
    #[command(after_help = "\
A relay takes the record calls of REST, on 127.0.0.1:8085 if nothing else is said, and answers 202 and the event's id once the audit is on
disk. `/spool` tells how it stands, `/livez`, `/readyz` and `/metrics` are for those who watch.

Examples:
  binnacle relay --upstream http://binnacle:8080 --spool /var/spool/binnacle
  binnacle relay --upstream https://audit.example.org --upstream-token-file /var/run/secrets/audit/token --spool ./spool --socket ./relay.sock
  binnacle relay dead list --spool ./spool
  binnacle relay dead replay --spool ./spool --all")]
    Relay(RelayArgs),

    /// Measure how fast Binnacle is beside plain SQL, on a throw-away store; takes a while and wants a machine that rests.
    #[command(after_help = "\
Each scenario is measured in turns with its reference, so that what else the machine does harms both alike. The ratio is the
rate over that of the reference in the same round.

Examples:
  binnacle bench
  binnacle bench singles batches --rounds 3 --seconds 2
  binnacle bench --json > rounds.jsonl
  binnacle bench --write docs/benchmarks.md
  binnacle bench nested --write docs/benchmarks.md
  binnacle bench singles --rounds 3 --seconds 1 --against docs/benchmarks.json")]
    Bench(BenchArgs),

    /// Print the settings in force and where each comes from.
    #[command(after_help = "Examples:\n  binnacle config\n  BINNACLE_LISTEN='[::1]:80' binnacle config --json")]
    Config(ConfigArgs),

    /// Copy the embedded store into a folder, while it runs.
    #[command(after_help = "Example:\n  binnacle backup /backups/2026-05-04")]
    Backup(FolderArgs),

    /// Put a backup in the place of the embedded store, and verify it.
    #[command(after_help = "Example:\n  binnacle restore /backups/2026-05-04 --data-dir ./restored")]
    Restore(FolderArgs),
}

#[derive(Args)]
pub struct DemoArgs {
    /// How many remediations to make up.
    #[arg(long, value_name = "NUMBER", default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub remediations: u32,
    /// End once the store is filled.
    #[arg(long)]
    pub exit_after_seed: bool,
}

#[derive(Args)]
pub struct BenchArgs {
    /// What to measure; everything, if nothing is named.
    #[arg(value_name = "SCENARIOS", value_enum)]
    pub groups: Vec<Group>,
    /// How often each variant has its turn.
    #[arg(long, value_name = "NUMBER", default_value_t = 5, value_parser = at_least_one)]
    pub rounds: usize,
    /// How long a turn is.
    #[arg(long, value_name = "SECONDS", default_value_t = 4.0, value_parser = turn_seconds)]
    pub seconds: f64,
    /// Where the throw-away stores lie, on the disk that is to be measured; among the temporary files, if nothing is named.
    #[arg(long, value_name = "FOLDER", value_hint = ValueHint::DirPath)]
    pub folder: Option<PathBuf>,
    /// Measure this binary's server instead of that of the binary that runs: one build beside another.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub program: Option<PathBuf>,
    /// How many events the projections catch up with; `growth` goes from a hundredth of them to ten times as many.
    #[arg(long, value_name = "NUMBER", default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(10_000..=10_000_000))]
    pub events: u32,
    /// How many documents are searched, about.
    #[arg(long, value_name = "NUMBER", default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1_000..=10_000_000))]
    pub documents: u32,
    /// A Python that has sentence-transformers, the reference of embedding. Without one that is measured alone, and `--write`
    /// leaves figures that had the reference.
    #[arg(long, value_name = "PROGRAM", value_hint = ValueHint::ExecutablePath)]
    pub python: Option<PathBuf>,
    /// Print one line of JSON for each turn instead of the table.
    #[arg(long)]
    pub json: bool,
    /// Also write the figures into this Markdown file, between the lines that mark their place, and the ratios into a JSON file
    /// of the same name; groups that were not measured keep theirs.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub write: Option<PathBuf>,
    /// Compare with the ratios in this JSON file, and exit 1 if one fell by more than half.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub against: Option<PathBuf>,
}

fn at_least_one(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|number| *number > 0).ok_or_else(|| "write a number from 1 on".to_string())
}

fn turn_seconds(text: &str) -> Result<f64, String> {
    let seconds = text.parse().ok().filter(|seconds: &f64| (0.1..=3_600.0).contains(seconds));
    seconds.ok_or_else(|| "write a number of seconds from 0.1 to 3600".to_string())
}

#[derive(Args)]
pub struct RebuildArgs {
    /// The projections to rebuild.
    #[arg(value_name = "NAME", required_unless_present = "all", conflicts_with = "all")]
    pub names: Vec<String>,
    /// Rebuild every projection.
    #[arg(long)]
    pub all: bool,
    /// Print the result as JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
pub struct VerifyArgs {
    /// Print the result as JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
pub struct TimelineArgs {
    /// The remediation.
    #[arg(value_name = "ID")]
    pub remediation_id: String,
    /// Its cluster, where several know a remediation of this name.
    #[arg(long, value_name = "NAME")]
    pub cluster: Option<String>,
    /// As it stood at this time.
    #[arg(long, value_name = "TIME")]
    pub as_of: Option<DateTime<Utc>>,
    /// From what had been recorded by this time.
    #[arg(long, value_name = "TIME")]
    pub known_at: Option<DateTime<Utc>>,
    /// Print it as JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
pub struct ReportArgs {
    /// The remediation.
    #[arg(value_name = "ID")]
    pub remediation_id: String,
    /// Its cluster, where several know a remediation of this name.
    #[arg(long, value_name = "NAME")]
    pub cluster: Option<String>,
    /// How it is written: `md`, `html` or `json`.
    #[arg(long, value_name = "FORMAT", default_value = "md")]
    pub format: String,
    /// From what had been recorded up to this watermark: the same for ever.
    #[arg(long, value_name = "WATERMARK")]
    pub at: Option<String>,
}

#[derive(Args)]
pub struct SearchArgs {
    /// What to look for.
    #[arg(value_name = "TEXT", required = true)]
    pub text: Vec<String>,
    /// How many remediations to show, 100 at most.
    #[arg(long, value_name = "NUMBER", default_value_t = 10, value_parser = hits)]
    pub first: usize,
    /// What to compare: `hybrid` (meaning and words), `vector` (meaning) or `text` (words).
    #[arg(long, value_name = "MODE", default_value = "hybrid")]
    pub mode: String,
    /// Only in these clusters.
    #[arg(long, value_name = "NAME")]
    pub cluster: Vec<String>,
    /// Only in these environments.
    #[arg(long, value_name = "NAME")]
    pub environment: Vec<String>,
    /// Only where one of these was chosen or done.
    #[arg(long, value_name = "ACTION")]
    pub action_type: Vec<String>,
    /// Only what came to one of these, such as `remediated`.
    #[arg(long, value_name = "OUTCOME")]
    pub outcome: Vec<String>,
    /// Only what began at this time or later.
    #[arg(long, value_name = "TIME")]
    pub since: Option<DateTime<Utc>>,
    /// Print it as JSON.
    #[arg(long)]
    pub json: bool,
}

fn hits(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| (1..=HITS_MAX).contains(number));
    number.ok_or_else(|| format!("write a number from 1 to {HITS_MAX}"))
}

#[derive(Args)]
pub struct EmbedArgs {
    /// Show it; so does the command alone.
    #[arg(long)]
    pub status: bool,
    /// Let the texts that failed be tried again.
    #[arg(long)]
    pub retry_failed: bool,
    /// Print it as JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Subcommand)]
pub enum DeadLettersCommand {
    /// List dead letters, with what they mean and what to do; exit 1 if there are any.
    #[command(after_help = "Example:\n  binnacle dead-letters list --json | jq -r '.letters[].id'")]
    List(ListDeadLettersArgs),
    /// Try dead letters again, and record that in the journal; exit 1 if any is left.
    #[command(after_help = "\
Examples:
  binnacle dead-letters retry event_index@14 remediations@14
  binnacle dead-letters retry --all")]
    Retry(RetryDeadLettersArgs),
}

#[derive(Args)]
pub struct ListDeadLettersArgs {
    /// How many to show.
    #[arg(long, value_name = "NUMBER", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub first: u32,
    /// Print them as JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
pub struct RetryDeadLettersArgs {
    /// Which, as the list names them.
    #[arg(value_name = "ID", required_unless_present = "all", conflicts_with = "all")]
    pub ids: Vec<LetterId>,
    /// Try all of them.
    #[arg(long)]
    pub all: bool,
    /// Print what became of each as JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
pub struct RecordArgs {
    /// A file of JSON lines, or `-` for standard input.
    #[arg(value_name = "FILE|-", value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
    /// Most rejected lines whose problems are printed.
    #[arg(long, value_name = "NUMBER", default_value_t = 20)]
    pub problems_max: usize,
    /// Print the summary as JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
pub struct RelayArgs {
    #[command(subcommand)]
    pub command: Option<RelayCommand>,
}

#[derive(Subcommand)]
pub enum RelayCommand {
    /// Audits of this relay that the server refused for good; what a server's views lack is `binnacle dead-letters`.
    #[command(subcommand)]
    Dead(DeadCommand),
}

#[derive(Subcommand)]
pub enum DeadCommand {
    /// Show them, with the reasons; exit 1 if there are any.
    List {
        /// Print them as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Keep them again, to be brought to the server once more; a relay that runs on the folder does it itself.
    Replay {
        /// Their names, as `list` shows them.
        #[arg(value_name = "NAME", required_unless_present = "all", conflicts_with = "all")]
        names: Vec<String>,
        /// All of them.
        #[arg(long)]
        all: bool,
    },
}

#[derive(Args)]
pub struct ConfigArgs {
    /// Print them as JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
pub struct FolderArgs {
    /// The folder of the backup.
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub folder: PathBuf,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn rebuild_takes_names_or_all_but_not_neither() {
        let parse = |arguments: &str| Cli::try_parse_from(arguments.split(' ')).map(|_| ()).map_err(|e| e.exit_code());
        assert_eq!(parse("binnacle rebuild remediations"), Ok(()));
        assert_eq!(parse("binnacle rebuild --all"), Ok(()));
        assert_eq!(parse("binnacle rebuild"), Err(2));
        assert_eq!(parse("binnacle rebuild x --all"), Err(2));
    }

    #[test]
    fn a_setting_may_stand_behind_its_command() {
        let cli = Cli::try_parse_from("binnacle timeline rr-1 --as-of 2026-05-04T10:03:00Z --data-dir d".split(' '));
        let Ok(Cli { command: Command::Timeline(arguments), flags }) = cli else { panic!("should be a timeline") };
        assert_eq!(arguments.as_of.unwrap().to_rfc3339(), "2026-05-04T10:03:00+00:00");
        assert_eq!(flags.given["data-dir"], "d");
    }
}
