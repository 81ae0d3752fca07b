//! The one fold: a stream of entries becomes a remediation, whole, as of a time, or as known at a time.

mod approvals;
mod assessments;
mod completeness;
mod context;
mod folded;
pub mod history;
mod keys;
pub mod model;
mod once;
pub mod outcomes;
mod phases;
mod runs;
mod story;
mod timeline;
mod views;

#[cfg(test)]
pub(crate) mod tests;

use std::{collections::HashMap, mem::take};

use chrono::{DateTime, Utc};

use crate::audit::{
    Entry,
    facts::{Ending, Tells},
};

use approvals::Approvals;
use completeness::{Found, LATE_MS};
use model::{Phase, PhaseName, Remediation, RootCause, Summary, TimelineEntry, ViewRow};
use story::Story;
use views::RowSource;

pub use folded::Folded;
pub use story::NARRATIVE;

/// Folds the entries of one stream into a remediation.
///
/// With `as_of` only what had happened by then counts: facts whose own time is not after it, whenever they were told.
/// What went on at that moment is open. `None` without entries, and where `as_of` is before the remediation's start or
/// before anything that is told of it.
///
/// The result does not depend on the order of the entries, except where it says so: what came late, and which of two
/// values that are told of one time is the last.
pub fn fold<'e>(entries: impl IntoIterator<Item = &'e Entry>, as_of: Option<DateTime<Utc>>) -> Option<Remediation> {
    let mut fold = Fold::of(entries, as_of)?;
    let timeline = fold.take_timeline();
    let assessment = fold.story.assessments.latest(&fold.story.keys);
    let (summary, views) = fold.summary_and_views();
    Some(Remediation { summary, timeline, views, assessment })
}

/// What lists are made of: the summary, and the services' rows.
pub fn summary_and_views<'e>(entries: impl IntoIterator<Item = &'e Entry>) -> Option<(Summary, Vec<ViewRow>)> {
    Fold::of(entries, None).map(Fold::summary_and_views)
}

/// The summary alone.
pub fn summary<'e>(entries: impl IntoIterator<Item = &'e Entry>) -> Option<Summary> {
    Fold::of(entries, None).map(|fold| fold.summary)
}

/// A fold that has come to its summary; the timeline and the services' rows are still to be made of it.
struct Fold<'e> {
    story: Story<'e>,
    summary: Summary,
    /// Of which phases their own service tells.
    own: [bool; 7],
    /// Facts of approvals that others say better.
    echoes: HashMap<usize, usize>,
    /// The entries that came late.
    late: HashMap<usize, f64>,
}

impl<'e> Fold<'e> {
    fn of(entries: impl IntoIterator<Item = &'e Entry>, as_of: Option<DateTime<Utc>>) -> Option<Fold<'e>> {
        let story = Story::gather(entries, as_of)?;
        if story.entries.first()?.event.stream.is_administration() {
            return None; // what was done to the store itself is no remediation
        }
        let approvals = approvals::find(&story);
        let ending = ending(&story);
        let completed_at = ending.map(|(_, at, _)| at);
        let mut phases = phases::find(&story, &approvals, completed_at);
        let outcome = ending.and_then(|(_, _, ending)| ending.outcome(refused(&approvals, &phases.phases)));
        let verdict = verdict(&story);

        let late = story::late(&story, LATE_MS);
        let contradictions = take(&mut phases.contradictions);
        let found = Found {
            story: &story,
            phases: &phases.phases,
            approvals: &approvals,
            ending,
            outcome,
            duration_ms: phases.duration_ms,
            valid_until: verdict.valid_until,
        };
        let completeness = completeness::judge(&found, &late, contradictions);
        let context = context::find(&story);
        let phase = phases::standing(&story, &phases.phases, ending.map(|(_, _, ending)| ending.phase));
        let settled_at = settled_at(completed_at, &verdict, &phases.phases);
        let known = || story.entries.iter().zip(&story.known).filter(|(_, known)| **known).map(|(entry, _)| *entry);
        let last = known().next_back()?;

        let summary = Summary {
            stream: last.event.stream.clone(),
            phase,
            outcome,
            effective: verdict.effective,
            effectiveness: verdict.score,
            signal: context.signal,
            environment: context.environment,
            severity: context.severity,
            target: context.target,
            root_cause: root_cause(&story),
            model: context.model,
            confidence: context.confidence,
            spec_hash_before: context.spec_hash_before,
            spec_hash_after: context.spec_hash_after,
            action_types: context.action_types,
            workflow_names: context.workflow_names,
            started_at: story.started_at,
            completed_at,
            settled_at,
            duration_ms: phases.duration_ms,
            unaccounted_ms: phases.unaccounted_ms,
            phases: phases.phases,
            bottleneck: phases.bottleneck,
            approvals: approvals.approvals,
            completeness,
            events: known().count(),
            last_position: last.position,
            last_version: last.version,
        };
        Some(Fold { own: phases.own, echoes: approvals.echoes, summary, late, story })
    }

    fn summary_and_views(mut self) -> (Summary, Vec<ViewRow>) {
        let entries = take(&mut self.story.entries);
        (self.summary, RowSource::of(self.story).rows(&entries))
    }

    /// The timeline; the facts are gone with it.
    fn take_timeline(&mut self) -> Vec<TimelineEntry> {
        let mut echoes = once::echoes(&self.story);
        echoes.extend(take(&mut self.echoes));
        timeline::build(&mut self.story, self.own, &echoes, &self.late)
    }
}

/// The entries that had been recorded at `at`; `entries` are in the order of the journal.
pub fn known_at(entries: &[Entry], at: DateTime<Utc>) -> &[Entry] {
    &entries[..entries.partition_point(|entry| entry.recorded_at <= at)]
}

/// The last final fact of the orchestrator that is told, and when the remediation ended by it.
fn ending<'s>(story: &'s Story<'_>) -> Option<(usize, DateTime<Utc>, &'s Ending)> {
    story.facts.iter().enumerate().rev().find_map(|(index, known)| match &known.fact.tells {
        Tells::Ended(ending) => Some((index, known.fact.at, ending)),
        _ => None,
    })
}

/// The last approval's decision, where nothing was carried out after it.
fn refused<'s>(approvals: &'s Approvals, phases: &[Phase]) -> Option<&'s str> {
    let last = approvals.approvals.last()?;
    let decided_at = last.decided_at?;
    let executed = phases.iter().filter(|phase| phase.name == PhaseName::WorkflowExecution);
    let after = executed.flat_map(|phase| &phase.intervals).any(|run| run.started_at >= decided_at);
    (!after).then_some(last.decision.as_str())
}

/// What the assessments say.
#[derive(Default)]
struct Verdict {
    effective: Option<bool>,
    score: Option<f64>,
    /// When the first assessment ended.
    assessed_at: Option<DateTime<Utc>>,
    /// Until when an assessment is worth making.
    valid_until: Option<DateTime<Utc>>,
}

fn verdict(story: &Story<'_>) -> Verdict {
    let ended = story.assessments.latest(&story.keys).filter(|assessment| assessment.standing.ended());
    let mut verdict = Verdict::default();
    if let Some(assessment) = ended {
        (verdict.score, verdict.effective) = (assessment.score, assessment.effective);
    }
    for known in &story.facts {
        match known.fact.tells {
            Tells::Assessed { .. } => {
                let at = verdict.assessed_at.map_or(known.fact.at, |before| before.min(known.fact.at));
                verdict.assessed_at = Some(at);
            }
            Tells::AssessmentScheduled { valid_until, .. } => verdict.valid_until = valid_until.or(verdict.valid_until),
            _ => {}
        }
    }
    verdict
}

/// When nothing more is to be expected: completed, and assessed or too late to be. Where nothing was carried out there
/// is nothing to assess.
fn settled_at(completed_at: Option<DateTime<Utc>>, verdict: &Verdict, phases: &[Phase]) -> Option<DateTime<Utc>> {
    let completed_at = completed_at?;
    let over = [verdict.assessed_at, verdict.valid_until].into_iter().flatten().min();
    let executed = phases.iter().any(|phase| phase.name == PhaseName::WorkflowExecution);
    let nothing_done = (!executed).then_some(completed_at);
    over.or(nothing_done).map(|over| over.max(completed_at))
}

fn root_cause(story: &Story<'_>) -> Option<RootCause> {
    story.facts.iter().enumerate().rev().find_map(|(index, known)| match &known.fact.tells {
        Tells::RootCauseFound { summary, confidence } => Some(RootCause {
            summary: summary.clone(),
            confidence: *confidence,
            event_id: story.entry_of(index).event.event_id,
        }),
        _ => None,
    })
}
