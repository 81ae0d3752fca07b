//! A believable, deterministic history of a fleet's remediations, for demos and for trying search: the same arguments
//! give the same bytes. Pure: the present is an argument, and draws come from a seeded generator of its own.

mod cast;
mod families;
mod labels;
mod phrase;
mod plan;
mod random;
mod services;
mod story;
#[cfg(test)]
mod tests;
mod texts;
mod workflows;
mod writer;

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use crate::audit::Submission;
pub use labels::{Label, endings, labels};
use plan::Plan;
use random::Draw;
use story::Told;

/// How far the history reaches back.
const DAYS: i64 = 90;
/// How long before the present the last finished remediation begins, so that it is assessed by then.
const SETTLED: TimeDelta = TimeDelta::hours(3);

/// One audit and the time at which the journal would have recorded it.
#[derive(Clone, Debug)]
pub struct Recording {
    pub recorded_at: DateTime<Utc>,
    /// The submission's `eventId`: UUIDv5 of the remediation and the audit's ordinal.
    pub event_id: Uuid,
    pub submission: Submission,
}

/// The audits of `remediations` remediations in the 90 days before `until`, in the order in which they were recorded.
///
/// The most recent few are still running. Ids depend on the remediation's number alone, times on `until`; so a history
/// of another `until` must not go into the same journal: the same ids would bring other contents.
pub fn history(remediations: usize, until: DateTime<Utc>) -> Vec<Recording> {
    let mut recordings: Vec<Recording> = told(remediations, until)
        .into_iter()
        .flat_map(|(_, told)| told.recordings)
        // What has not been recorded yet is not history.
        .filter(|recording| recording.recorded_at <= until)
        .collect();
    recordings.sort_by_key(|recording| (recording.recorded_at, recording.event_id));
    recordings
}

/// Every remediation with its story, the oldest first; audits may lie after `until`.
fn told(remediations: usize, until: DateTime<Utc>) -> Vec<(Plan, Told)> {
    // Journals keep microseconds.
    let until = DateTime::from_timestamp_micros(until.timestamp_micros()).unwrap_or(until);
    let plans = plan::deal(remediations);
    let finished = plans.iter().filter(|plan| plan.caught_in.is_none()).count().max(1);
    let span_ms = (TimeDelta::days(DAYS) - SETTLED).num_milliseconds();
    let slot_ms = span_ms / finished as i64;

    let mut all: Vec<(Plan, Told)> = Vec::with_capacity(remediations);
    for (index, plan) in plans.into_iter().enumerate() {
        let mut draw = Draw::new(plan.index, "start");
        let told = match (plan.caught_in, all.last()) {
            (Some(stage), _) => {
                // Told once to see how long its stages take, then so that the present falls into the right one.
                let trial = story::tell(&plan, until);
                let caught = trial.stages.get(&stage).copied().unwrap_or(story::Span { start: until, end: until });
                let into =
                    TimeDelta::milliseconds((caught.end - caught.start).num_milliseconds() * draw.range(45, 90) / 100);
                story::tell(&plan, until - (caught.start - until) - into)
            }
            (None, Some((_, before))) if plan.follows.is_some() => {
                let pause = TimeDelta::seconds(draw.range(100, 1_500));
                story::tell(&plan, before.ended_at + pause)
            }
            (None, _) => {
                let at = slot_ms * index as i64 + draw.range(0, slot_ms * 9 / 10);
                story::tell(&plan, until - TimeDelta::milliseconds(span_ms - at) - SETTLED)
            }
        };
        all.push((plan, told));
    }
    all
}
