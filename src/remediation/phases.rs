//! The phases: when each ran, how long, which share of the whole it took, and which of them was the bottleneck.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};

use super::{
    approvals::Approvals,
    model::{Contradiction, Interval, Phase, PhaseName, RemediationPhase},
    runs::{End, Piece, Run, What, runs},
    story::Story,
};
use crate::audit::facts::{Sureness, Teller, Tells};

/// The phases of a remediation, and what follows from them.
pub struct Phases {
    /// In the order of `PhaseName`; only those that took place.
    pub phases: Vec<Phase>,
    pub bottleneck: Option<PhaseName>,
    pub duration_ms: f64,
    pub unaccounted_ms: f64,
    /// Whether the phase's own service tells of it.
    pub own: [bool; 7],
    pub contradictions: Vec<Contradiction>,
}

type Span = (DateTime<Utc>, Option<DateTime<Utc>>);

/// Finds the phases among the facts. `completed_at` is when the remediation ended.
pub fn find(story: &Story<'_>, approvals: &Approvals, completed_at: Option<DateTime<Utc>>) -> Phases {
    let mut told = told_runs(story);
    let contradictions = std::mem::take(&mut told.contradictions);
    let mut spans: BTreeMap<PhaseName, Vec<Span>> = BTreeMap::new();
    let mut own = [false; 7];
    for phase in PhaseName::ALL {
        let mine = told.of(phase, Teller::Own);
        let seen = told.of(phase, Teller::Onlooker);
        own[phase as usize] = !mine.is_empty();
        let found: Vec<Span> = match (phase, mine.is_empty(), seen.is_empty()) {
            (PhaseName::ApprovalWait, ..) => approvals.waits.clone(),
            (_, false, _) => {
                mine.iter().map(|run| (run.start, run.end.or_else(|| seen_end(run, phase, &seen, story)))).collect()
            }
            (_, true, false) => {
                seen.iter().map(|run| (run.start, run.end.or_else(|| seen_end(run, phase, &[], story)))).collect()
            }
            (_, true, true) => staged(phase, story, completed_at),
        };
        if !found.is_empty() {
            spans.insert(phase, merged(found));
        }
    }
    own[PhaseName::ApprovalWait as usize] = !approvals.approvals.is_empty();
    if let Some(intake) = intake(&spans, story, completed_at) {
        spans.insert(PhaseName::Intake, vec![intake]);
    }
    let measure = Measure { story, completed_at };
    let planned = planned(story);
    let mut phases = Vec::with_capacity(spans.len());
    let mut bottleneck: Option<(i64, DateTime<Utc>, PhaseName)> = None;
    for (name, spans) in &spans {
        let intervals = intervals(*name, spans, &planned, story);
        let phase = measure.phase(*name, intervals);
        let work = measure.work(&phase);
        // Ties go to the earlier.
        let before = bottleneck
            .is_none_or(|(most, started_at, _)| work > most || (work == most && phase.started_at < started_at));
        if work > 0 && before {
            bottleneck = Some((work, phase.started_at, *name));
        }
        phases.push(phase);
    }
    let all = merged(spans.into_iter().flat_map(|(name, spans)| measure.ended(name, spans)).collect());
    let accounted: i64 = all.iter().map(|span| measure.within(span.0, span.1.unwrap_or(measure.until()))).sum();
    let duration = micros(story.started_at, measure.until()).max(0);
    Phases {
        phases,
        bottleneck: bottleneck.map(|(.., name)| name),
        duration_ms: ms(duration),
        unaccounted_ms: ms((duration - accounted).max(0)),
        own,
        contradictions,
    }
}

/// The runs that are told of each phase, by its own service and by onlookers.
struct ToldRuns {
    runs: HashMap<(PhaseName, Teller), Vec<Run>>,
    contradictions: Vec<Contradiction>,
}

impl ToldRuns {
    fn of(&mut self, phase: PhaseName, teller: Teller) -> Vec<Run> {
        self.runs.remove(&(phase, teller)).unwrap_or_default()
    }
}

fn told_runs(story: &Story<'_>) -> ToldRuns {
    let mut pieces: BTreeMap<(PhaseName, Teller, usize), Vec<Piece>> = BTreeMap::new();
    for (told, known) in story.facts.iter().enumerate() {
        let fact = &known.fact;
        let (phase, teller, what) = match fact.tells {
            Tells::Ran { phase, part, teller } => {
                let end = match (fact.until, fact.unfinished) {
                    (_, true) => End::Later,
                    (Some(until), false) => End::At(until),
                    (None, false) => End::Untold,
                };
                (phase, teller, What::Start { sureness: Sureness::Told, part, end })
            }
            Tells::Began { phase, part, teller } => {
                (phase, teller, What::Start { sureness: Sureness::Implied, part, end: End::Untold })
            }
            Tells::Stopped { phase, sureness, teller } => (phase, teller, What::Stop { sureness }),
            _ => continue,
        };
        pieces.entry((phase, teller, known.entity)).or_default().push(Piece { at: fact.at, told, what });
    }
    let mut told = ToldRuns { runs: HashMap::new(), contradictions: Vec::new() };
    for ((phase, teller, _), pieces) in pieces {
        let (found, backwards) = runs(pieces);
        told.runs.entry((phase, teller)).or_default().extend(found);
        if let Some(fact) = backwards {
            let what = format!("{} ended before it began", phase.in_words());
            told.contradictions.push(Contradiction { what, event_ids: vec![story.entry_of(fact).event.event_id] });
        }
    }
    told
}

/// The end of a run that its own service leaves open, as others saw it: the end they tell, or that the remediation went
/// on. Verification and notification go on beside everything else, so nothing ends them but themselves.
fn seen_end(run: &Run, phase: PhaseName, seen: &[Run], story: &Story<'_>) -> Option<DateTime<Utc>> {
    if run.later || phase >= PhaseName::Verification {
        return None;
    }
    let told = seen.iter().filter_map(|seen| seen.end).filter(|end| *end >= run.start).min();
    let went_on = || {
        let next = &story.stages[story.stages.partition_point(|stage| stage.at <= run.start)..];
        next.iter().find(|stage| stage.stage.spends().is_some_and(|entered| entered > phase)).map(|stage| stage.at)
    };
    told.or_else(went_on)
}

/// A phase that nobody tells of but the orchestrator, by where it says the remediation stands.
fn staged(phase: PhaseName, story: &Story<'_>, completed_at: Option<DateTime<Utc>>) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    let mut open: Option<DateTime<Utc>> = None;
    for stage in &story.stages {
        let here = stage.stage.spends() == Some(phase);
        match (open, here) {
            (None, true) => open = Some(stage.at),
            (Some(start), false) => {
                spans.push((start, Some(stage.at)));
                open = None;
            }
            (None, false) | (Some(_), true) => {}
        }
    }
    spans.extend(open.map(|start| (start, completed_at.filter(|end| *end >= start))));
    spans
}

/// Merges spans that overlap or touch; in the order of time.
fn merged(mut spans: Vec<Span>) -> Vec<Span> {
    spans.sort_by_key(|span| span.0);
    let mut merged: Vec<Span> = Vec::with_capacity(spans.len());
    for (start, end) in spans {
        match merged.last_mut() {
            Some((_, last)) if last.is_none_or(|last| start <= last) => {
                *last = last.zip(end).map(|(last, end)| last.max(end));
            }
            _ => merged.push((start, end)),
        }
    }
    merged
}

/// From the start to the first work on it. Open only where the intake itself is told: a remediation of which only its
/// orchestrator's `pending` is known has not begun.
fn intake(
    spans: &BTreeMap<PhaseName, Vec<Span>>,
    story: &Story<'_>,
    completed_at: Option<DateTime<Utc>>,
) -> Option<Span> {
    let first = spans.values().filter_map(|spans| spans.first()).map(|span| span.0).min();
    let told = || {
        story.facts.iter().any(|known| matches!(known.fact.tells, Tells::SignalReceived | Tells::RemediationCreated))
    };
    let end = match first {
        Some(first) => Some(completed_at.map_or(first, |end| end.min(first))),
        None if told() => completed_at,
        None => return None,
    };
    (end.is_none_or(|end| end > story.started_at)).then_some((story.started_at, end))
}

/// When the things were left to settle on purpose.
fn planned(story: &Story<'_>) -> Vec<Span> {
    let planned = story.facts.iter().filter_map(|known| match known.fact.tells {
        Tells::AssessmentScheduled { settles_at: Some(until), .. } => Some((known.fact.at, Some(until))),
        _ => None,
    });
    merged(planned.collect())
}

/// The intervals of a phase, those of verification split into planned stabilisation and work.
fn intervals(name: PhaseName, spans: &[Span], planned: &[Span], story: &Story<'_>) -> Vec<Interval> {
    let interval = |(started_at, ended_at): Span, waiting| Interval { started_at, ended_at, waiting };
    if name != PhaseName::Verification {
        return spans.iter().map(|span| interval(*span, name == PhaseName::ApprovalWait)).collect();
    }
    let mut split = Vec::new();
    for (start, end) in spans.iter().copied() {
        let mut from = start;
        let first = planned.partition_point(|(_, wait_end)| wait_end.is_some_and(|wait_end| wait_end <= start));
        for (wait_start, wait_end) in planned[first..].iter().copied() {
            let wait_end = wait_end.unwrap_or(wait_start);
            if end.is_some_and(|end| wait_start >= end) {
                break;
            }
            if wait_start > from {
                split.push(interval((from, Some(wait_start)), false));
                from = wait_start;
            }
            // Still settling at the moment that is looked at, or cut short by the end.
            let goes_on = end.is_none() && wait_end > story.moment;
            let until = end.map_or(wait_end, |end| end.min(wait_end));
            split.push(interval((from, (!goes_on).then_some(until)), true));
            from = until;
            if goes_on {
                break;
            }
        }
        let settled = split.last().is_some_and(|last: &Interval| last.ended_at.is_none());
        if !settled && (end.is_none_or(|end| end > from) || from == start) {
            split.push(interval((from, end), false));
        }
    }
    split
}

/// Measures against the remediation's whole duration.
struct Measure<'s> {
    story: &'s Story<'s>,
    completed_at: Option<DateTime<Utc>>,
}

impl Measure<'_> {
    /// Where the remediation's own duration ends.
    fn until(&self) -> DateTime<Utc> {
        self.completed_at.unwrap_or(self.story.moment)
    }

    /// Where an open interval is cut to be measured. What may go on after the remediation is measured on.
    fn cut(&self, name: PhaseName, start: DateTime<Utc>) -> DateTime<Utc> {
        let goes_on = matches!(name, PhaseName::Verification | PhaseName::Notification) || start >= self.until();
        if goes_on { self.story.moment.max(start) } else { self.until().max(start) }
    }

    fn ended(&self, name: PhaseName, spans: Vec<Span>) -> Vec<Span> {
        spans.into_iter().map(|(start, end)| (start, Some(end.unwrap_or_else(|| self.cut(name, start))))).collect()
    }

    /// The microseconds between two times that lie within the remediation's own duration.
    fn within(&self, start: DateTime<Utc>, end: DateTime<Utc>) -> i64 {
        micros(start.max(self.story.started_at), end.min(self.until())).max(0)
    }

    fn phase(&self, name: PhaseName, intervals: Vec<Interval>) -> Phase {
        let end = |interval: &Interval| interval.ended_at.unwrap_or_else(|| self.cut(name, interval.started_at));
        let took: i64 = intervals.iter().map(|interval| micros(interval.started_at, end(interval))).sum();
        let within: i64 = intervals.iter().map(|interval| self.within(interval.started_at, end(interval))).sum();
        let started_at = intervals.first().map_or(self.story.started_at, |first| first.started_at);
        let whole = micros(self.story.started_at, self.until());
        let after = started_at >= self.until() && within == 0;
        let open = intervals.iter().any(|interval| interval.ended_at.is_none());
        Phase {
            name,
            started_at,
            ended_at: intervals.iter().filter_map(|interval| interval.ended_at).max().filter(|_| !open),
            duration_ms: ms(took),
            share: (whole > 0 && !after).then(|| (within as f64 / whole as f64 * 1_000.0).round() / 1_000.0),
            intervals,
        }
    }

    /// The microseconds before the remediation's end that count for the bottleneck: all but planned stabilisation.
    fn work(&self, phase: &Phase) -> i64 {
        let counts = |interval: &&Interval| phase.name != PhaseName::Verification || !interval.waiting;
        let end = |interval: &Interval| interval.ended_at.unwrap_or_else(|| self.cut(phase.name, interval.started_at));
        phase.intervals.iter().filter(counts).map(|interval| self.within(interval.started_at, end(interval))).sum()
    }
}

/// Where the remediation stands at the moment that is looked at. `ended` is the word of its end.
pub fn standing(story: &Story<'_>, phases: &[Phase], ended: Option<RemediationPhase>) -> RemediationPhase {
    if let Some(ended) = ended {
        return ended;
    }
    if let Some(last) = story.stages.last().filter(|last| last.stage == RemediationPhase::Blocked) {
        let cleared =
            story.facts.iter().any(|known| known.fact.tells == Tells::BlockCleared && known.fact.at >= last.at);
        if !cleared {
            return RemediationPhase::Blocked;
        }
    }
    let all = || phases.iter().flat_map(|phase| phase.intervals.iter().map(|interval| (phase.name, interval)));
    let covers = |interval: &Interval| interval.ended_at.is_none_or(|end| end > story.moment);
    let covering =
        all().filter(|(_, interval)| covers(interval)).max_by_key(|(name, interval)| (interval.started_at, *name));
    let before = || all().max_by_key(|(name, interval)| (interval.ended_at, interval.started_at, *name));
    match covering.or_else(before) {
        // The orchestrator has taken it in and says that nothing has begun.
        Some((PhaseName::Intake, interval)) if interval.ended_at.is_none() && said_pending(story) => {
            RemediationPhase::Pending
        }
        Some((name, _)) => name.into(),
        None => RemediationPhase::Pending,
    }
}

fn said_pending(story: &Story<'_>) -> bool {
    story.stages.last().is_some_and(|last| last.stage == RemediationPhase::Pending)
}

fn micros(start: DateTime<Utc>, end: DateTime<Utc>) -> i64 {
    end.timestamp_micros() - start.timestamp_micros()
}

fn ms(micros: i64) -> f64 {
    micros as f64 / 1_000.0
}
