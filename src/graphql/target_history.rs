//! What happened to a target before: the query `targetHistory` and what it shows.

use async_graphql::{Context, Enum, Object, SimpleObject};
use chrono::Utc;

use super::{
    Result, app,
    described::TargetInput,
    enums::RemediationOutcome,
    outcomes::Outcomes,
    paging::PAGE_MAX,
    parts::Target,
    query::caught_up,
    readable,
    remediation::{RemediationNode, RemediationNodes},
    scalars::{DateTime, Watermark},
    window::Window,
};
use crate::{
    error::ClientError,
    journal::read,
    projection::{
        Projection,
        remediations::Filter,
        target_history::{Question, find, latest},
    },
    remediation::{history, model},
    search::similar::Match,
};

/// How long back a question looks when it does not say.
const WINDOW_DEFAULT: &str = "P90D";
const FIRST_DEFAULT: i32 = 20;

/// Why a remediation is part of a target's history, the closest first.
#[derive(Enum, Copy, Clone, Eq, PartialEq, Debug)]
#[graphql(remote = "history::Match")]
pub enum HistoryMatch {
    /// The same target, and its spec is now what it was before this remediation.
    SpecHashBefore,
    /// The same target, and its spec is now what this remediation left.
    SpecHashAfter,
    /// The same target.
    Target,
    /// A signal of the same fingerprint as one of the target's: the same workload under another name.
    Fingerprint,
    /// A signal of the same name as one of the target's, about something else.
    Signal,
    /// Its texts mean the same.
    Meaning,
}

/// How the target's spec, by its hash, stands to that of a remediation.
#[derive(Enum, Copy, Clone, Eq, PartialEq, Debug)]
#[graphql(remote = "history::HashMatch")]
pub enum HashMatch {
    /// It is what it was before the remediation; also where that left it as it was.
    PreRemediation,
    /// It is what the remediation left.
    PostRemediation,
    /// Neither, or one of the hashes is not known.
    None,
}

/// How something that had been dealt with came back.
#[derive(Enum, Copy, Clone, Eq, PartialEq, Debug)]
#[graphql(remote = "history::RegressionKind")]
pub enum RegressionKind {
    /// The target's spec is again what it was before a remediation that had been successful.
    SpecUndone,
    /// The signal came again on the same target after a remediation that had been successful.
    SignalReturned,
}

/// A success that did not last.
#[derive(SimpleObject)]
pub struct Regression {
    /// How it came back.
    kind: RegressionKind,
    /// The remediation that had been successful.
    remediation: RemediationNode,
    /// The remediation in which the signal came again; null where the spec was undone.
    by: Option<RemediationNode>,
    /// What happened, in words.
    explanation: String,
}

pub struct TargetHistoryEntry {
    node: RemediationNode,
    by: history::Match,
    hash_match: history::HashMatch,
}

/// An earlier remediation of a target, or one that is like those. What was measured afterwards, such as health checks and
/// metrics, is in its remediation's `effectiveness`.
#[Object]
impl TargetHistoryEntry {
    /// The remediation that the entry tells of.
    #[graphql(complexity = "child_complexity.saturating_add(1)")]
    async fn remediation(&self) -> RemediationNode {
        self.node.clone()
    }

    /// Why it is listed.
    #[graphql(name = "match")]
    async fn by(&self) -> HistoryMatch {
        self.by.into()
    }

    /// The hash of its target's spec before anything was done.
    async fn spec_hash_before(&self) -> Option<&str> {
        self.node.summary.spec_hash_before.as_deref()
    }

    /// The hash of its target's spec afterwards.
    async fn spec_hash_after(&self) -> Option<&str> {
        self.node.summary.spec_hash_after.as_deref()
    }

    /// How `currentSpecHash` stands to these two.
    async fn hash_match(&self) -> HashMatch {
        self.hash_match.into()
    }

    /// What was chosen or done last; null where nothing was, as when people took over.
    async fn action_type(&self) -> Option<&str> {
        self.node.summary.action_types.last().map(String::as_str)
    }

    /// What came of it; null while it runs.
    async fn outcome(&self) -> Option<RemediationOutcome> {
        self.node.summary.outcome.map(RemediationOutcome::from)
    }

    /// Whether an assessment found that it worked; null when none was made.
    async fn effective(&self) -> Option<bool> {
        self.node.summary.effective
    }

    /// The latest assessment's score, 0 to 1.
    async fn effectiveness_score(&self) -> Option<f64> {
        self.node.summary.effectiveness
    }

    /// When the remediation began.
    async fn started_at(&self) -> DateTime {
        self.node.summary.started_at.into()
    }

    /// When the remediation ended; null while it runs.
    async fn completed_at(&self) -> Option<DateTime> {
        self.node.summary.completed_at.map(DateTime)
    }
}

/// What happened to a target before.
#[derive(SimpleObject)]
pub struct TargetHistory {
    /// The target, as it was asked for.
    target: Target,
    /// The window, as it was asked for.
    window: String,
    /// When the window begins.
    from: DateTime,
    /// When the window ends: now, or when the last audit up to `at` was recorded.
    to: DateTime,
    /// Whether a success of the target did not last.
    regression_detected: bool,
    /// The latest success that did not last; null where there is none.
    regression: Option<Regression>,
    /// The target's own remediations, by target or fingerprint, the latest first; behind them what happened elsewhere, the
    /// closest match first, then the latest.
    entries: Vec<TargetHistoryEntry>,
    /// What came of the target's own, also of those beyond `entries`: of the latest 500.
    outcomes: Outcomes,
    /// Whether the window holds no more than `entries`.
    exhausted: bool,
}

/// The query, as part of the root.
#[derive(Default)]
pub struct TargetHistories;

#[Object]
impl TargetHistories {
    /// What happened to a target before, and whether what was mended has come back. By the target itself, by the
    /// fingerprints of its signals and by their names, so that it stays when the spec moves on.
    #[graphql(complexity = "super::paging::times(shown(first).unwrap_or(1), child_complexity)")]
    #[allow(clippy::too_many_arguments)] // each is a way to ask
    async fn target_history(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The target. A namespace that is left out is any.")] target: TargetInput,
        #[graphql(desc = "The cluster, such as `eu-prod-1`; all clusters when left out.")] cluster_id: Option<String>,
        #[graphql(desc = "The hash of its spec as it is now; without it, spec hashes tell nothing.")]
        current_spec_hash: Option<String>,
        #[graphql(
            desc = "How far back: an ISO-8601 duration such as `P90D` or `PT24H`, or `90d`; 10 years at most.",
            default_with = "Some(WINDOW_DEFAULT.to_string())"
        )]
        window: Option<String>,
        #[graphql(desc = "How many entries, 1 to 100; 20 when left out.", default_with = "Some(FIRST_DEFAULT)")] first: Option<i32>,
        #[graphql(
            desc = "As of this place in the journal: only audits up to there count, and the window ends when the last of \
                    them was recorded."
        )]
        at: Option<Watermark>,
        #[graphql(desc = "Wait until the lists have come to this place in the journal, for 5 seconds at most.")]
        at_least: Option<Watermark>,
    ) -> Result<TargetHistory> {
        readable(ctx)?;
        let first = shown(first).map_err(|first| {
            ClientError::bad_input(format!("`first` is {first}; 1 to {PAGE_MAX} entries can be asked for"))
        })?;
        let window = window.unwrap_or_else(|| WINDOW_DEFAULT.to_string());
        let back = Window::parse("window", &window)?;
        for watermark in [at, at_least] {
            caught_up(ctx, Projection::Remediations, watermark).await?;
            caught_up(ctx, Projection::SearchDocuments, watermark).await?;
        }
        let db = app(ctx).journal.reader();
        let at = at.map(|watermark| watermark.position);
        let to = match at {
            Some(at) => read::recorded_at(db, at).await?.unwrap_or(chrono::DateTime::UNIX_EPOCH),
            None => Utc::now(),
        };
        let from = back.before(to);
        let target = model::Target { kind: target.kind, namespace: target.namespace, name: target.name };
        let mut question = Question {
            target: target.clone(),
            cluster_id,
            current_spec_hash,
            from,
            to,
            first,
            similar: Vec::new(),
            at,
        };
        // Only entries are found by meaning, and that costs more than all else.
        let asked = ctx.look_ahead();
        if asked.field("entries").exists() || asked.field("exhausted").exists() {
            question.similar = alike(ctx, &question).await?;
        }
        let found = find(db, question).await?;

        let shown = found.entries.iter().map(|entry| &entry.summary);
        let back = found.regression.iter().flat_map(|back| [Some(&back.remediation), back.by.as_ref()]).flatten();
        let nodes = RemediationNodes::together(ctx, shown.chain(back));
        let node = |summary: &model::Summary| nodes.node(summary.clone());
        let regression = found.regression.as_ref().map(|back| Regression {
            kind: back.kind.into(),
            remediation: node(&back.remediation),
            by: back.by.as_ref().map(node),
            explanation: back.explanation.clone(),
        });
        let entries = found.entries.iter();
        let entries = entries.map(|entry| TargetHistoryEntry {
            node: node(&entry.summary),
            by: entry.by,
            hash_match: entry.hash_match,
        });
        Ok(TargetHistory {
            target: target.into(),
            window,
            from: from.into(),
            to: to.into(),
            regression_detected: regression.is_some(),
            regression,
            entries: entries.collect(),
            outcomes: Outcomes(found.outcomes),
            exhausted: found.exhausted,
        })
    }
}

/// The remediations that mean the same as the latest of the target, the nearest first; none where there are no vectors.
async fn alike(ctx: &Context<'_>, question: &Question) -> Result<Vec<model::Summary>> {
    let search = &app(ctx).search;
    let Some(latest) = latest(&search.db, question).await? else { return Ok(Vec::new()) };
    let Some(subject) = search.subject(&latest.stream, question.at).await? else { return Ok(Vec::new()) };
    let filter = Filter {
        cluster_id: question.cluster_id.clone().map(|cluster_id| vec![cluster_id]),
        started_from: Some(question.from),
        started_to: Some(question.to),
        ..Filter::default()
    };
    let found = search.similar(&subject, &filter, question.at, question.first).await?;
    let by_meaning = found.nearest.into_iter().filter(|similar| similar.by == Match::Meaning);
    Ok(by_meaning.map(|similar| similar.summary).collect())
}

/// How many entries are asked for; null is the default, as if it were left out. What is out of range is given back.
fn shown(first: Option<i32>) -> std::result::Result<usize, i32> {
    let first = first.unwrap_or(FIRST_DEFAULT);
    usize::try_from(first).ok().filter(|first| (1..=PAGE_MAX).contains(first)).ok_or(first)
}
