//! Approvals: asked for, decided, and told by up to three services each. Told twice, they are one.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use super::{
    model::{Approval, Contradiction},
    story::Story,
};
use crate::audit::{
    RemediationPhase,
    facts::{Asked, Decided, Sureness, Tells, say},
};

/// The approvals of a remediation, and what follows from them.
pub struct Approvals {
    /// In the order of time.
    pub approvals: Vec<Approval>,
    /// From when until when each was waited for; `None` while it is undecided.
    pub waits: Vec<(DateTime<Utc>, Option<DateTime<Utc>>)>,
    /// Facts that only repeat what another says better, and that other, as indexes of `Story::facts`.
    pub echoes: HashMap<usize, usize>,
    pub contradictions: Vec<Contradiction>,
}

/// Finds the approvals among the facts.
pub fn find(story: &Story<'_>) -> Approvals {
    let mut found =
        Approvals { approvals: Vec::new(), waits: Vec::new(), echoes: HashMap::new(), contradictions: Vec::new() };
    for approval in together(marks(story), story) {
        finish(approval, story, &mut found);
    }
    found
}

/// One telling of a request or of a decision.
#[derive(Clone, Copy)]
struct Mark<'s> {
    at: DateTime<Utc>,
    /// An index of `Story::facts`; the order of telling.
    fact: usize,
    what: What<'s>,
}

#[derive(Clone, Copy)]
enum What<'s> {
    Asked(&'s Asked),
    /// The orchestrator says that it waits, which it may say again and again.
    Waiting,
    Decided(&'s Decided),
}

/// All that is told of one approval.
#[derive(Default)]
struct Told<'s> {
    asked: Vec<Mark<'s>>,
    decided: Vec<Mark<'s>>,
}

fn marks<'s>(story: &'s Story<'_>) -> Vec<Mark<'s>> {
    let mut marks: Vec<Mark<'_>> = story
        .facts
        .iter()
        .enumerate()
        .filter_map(|(fact, known)| {
            let what = match &known.fact.tells {
                Tells::ApprovalAsked(asked) => What::Asked(asked),
                Tells::ApprovalDecided(decided) => What::Decided(decided),
                _ => return None,
            };
            Some(Mark { at: known.fact.at, fact, what })
        })
        .collect();
    let mut before = None;
    for stage in &story.stages {
        if stage.stage == RemediationPhase::ApprovalWait && before != Some(stage.stage) {
            marks.push(Mark { at: stage.at, fact: stage.fact, what: What::Waiting });
        }
        before = Some(stage.stage);
    }
    // A request comes before the decision that is told of the same time.
    marks.sort_by_key(|mark| (mark.at, matches!(mark.what, What::Decided(_)), mark.fact));
    marks
}

/// Puts together what is told of the same approval: a decision ends the request before it, and the next request begins
/// another approval.
fn together<'s>(marks: Vec<Mark<'s>>, story: &Story<'_>) -> Vec<Told<'s>> {
    let mut all: Vec<Told<'_>> = Vec::new();
    for mark in marks {
        match (mark.what, all.last_mut()) {
            (What::Asked(_) | What::Waiting, Some(last)) if last.decided.is_empty() => last.asked.push(mark),
            // The orchestrator learned late that it had to wait, and the wait was over.
            (What::Waiting, Some(_)) if story.beyond_approval(mark.at).is_some() => {}
            (What::Asked(_) | What::Waiting, _) => all.push(Told { asked: vec![mark], ..Told::default() }),
            (What::Decided(_), Some(last)) => last.decided.push(mark),
            (What::Decided(_), None) => all.push(Told { decided: vec![mark], ..Told::default() }),
        }
    }
    all
}

fn finish(told: Told<'_>, story: &Story<'_>, found: &mut Approvals) {
    let asked = told.asked.iter().max_by_key(|mark| (asked_sureness(mark), std::cmp::Reverse(mark.at))).copied();
    let decided = told.decided.iter().copied().reduce(|kept, next| better(kept, next, story));
    for mark in &told.asked {
        if let Some(kept) = asked.filter(|asked| asked.fact != mark.fact && matches!(mark.what, What::Asked(_))) {
            found.echoes.insert(mark.fact, kept.fact);
        }
    }
    for mark in &told.decided {
        if let Some(kept) = decided.filter(|decided| decided.fact != mark.fact) {
            found.echoes.insert(mark.fact, kept.fact);
        }
    }

    let decisions: Vec<(&Mark<'_>, &Decided)> =
        told.decided.iter().filter_map(|mark| Some((mark, decision(mark)?))).collect();
    let word = decided.as_ref().and_then(decision).map_or("pending", |decided| decided.decision);
    if let Some((other, differing)) = decisions.iter().find(|(_, other)| opposed(other.decision, word)) {
        let what = format!("the approval is told both {} and {}", say::words(word), say::words(differing.decision));
        let facts = decided.iter().map(|mark| mark.fact).chain([other.fact]);
        let event_ids = facts.map(|fact| story.entry_of(fact).event.event_id).collect();
        found.contradictions.push(Contradiction { what, event_ids });
    }

    let requested_at = asked.map(|asked| asked.at);
    let decided_at = decided.map(|decided| decided_at(&decided, requested_at, story));
    let first = |pick: fn(&Decided) -> Option<String>| {
        let kept = decided.as_ref().and_then(decision).and_then(pick);
        kept.or_else(|| decisions.iter().find_map(|(_, decided)| pick(decided)))
    };
    let required_by = told.asked.iter().rev().find_map(|mark| match mark.what {
        What::Asked(asked) => asked.required_by,
        What::Waiting | What::Decided(_) => None,
    });
    let Some(of) = decided.or(asked) else { return };
    found.approvals.push(Approval {
        requested_at,
        required_by: required_by.or_else(|| decisions.iter().find_map(|(_, decided)| decided.required_by)),
        decided_at,
        decision: word.to_string(),
        decided_by: first(|decided| decided.by.clone()),
        via: first(|decided| decided.via.clone()),
        reason: first(|decided| decided.reason.clone()),
        wait_ms: requested_at.zip(decided_at).map(|(asked, decided)| say::millis(asked, decided)),
        event_id: story.entry_of(of.fact).event.event_id,
    });
    if let Some(asked) = requested_at {
        // Undecided, it is over all the same once the remediation has gone on.
        found.waits.push((asked, decided_at.or_else(|| story.beyond_approval(asked))));
    }
}

fn asked_sureness(mark: &Mark<'_>) -> Sureness {
    match mark.what {
        What::Asked(asked) => asked.sureness,
        What::Waiting | What::Decided(_) => Sureness::After,
    }
}

fn decision<'s>(mark: &Mark<'s>) -> Option<&'s Decided> {
    match mark.what {
        What::Decided(decided) => Some(decided),
        What::Asked(_) | What::Waiting => None,
    }
}

/// Of two tellings of one decision, the one to believe: the surer; of one teller the later telling; else the earlier
/// time, for the others only heard of it.
fn better<'s>(kept: Mark<'s>, next: Mark<'s>, story: &Story<'_>) -> Mark<'s> {
    let sureness = |mark: &Mark<'s>| decision(mark).map(|decided| decided.sureness);
    let same_teller = story.facts[kept.fact].entity == story.facts[next.fact].entity;
    let kept_is_better = match sureness(&kept).cmp(&sureness(&next)) {
        std::cmp::Ordering::Greater => true,
        std::cmp::Ordering::Less => false,
        std::cmp::Ordering::Equal if same_teller => kept.fact > next.fact,
        std::cmp::Ordering::Equal => kept.at <= next.at,
    };
    if kept_is_better { kept } else { next }
}

/// An inferred decision fell at the latest when the remediation went on.
fn decided_at(decided: &Mark<'_>, requested_at: Option<DateTime<Utc>>, story: &Story<'_>) -> DateTime<Utc> {
    let sure = decision(decided).is_some_and(|decided| decided.sureness == Sureness::Told);
    let beyond = requested_at.filter(|_| !sure).and_then(|asked| story.beyond_approval(asked));
    beyond.map_or(decided.at, |beyond| beyond.min(decided.at))
}

fn opposed(one: &str, other: &str) -> bool {
    let agrees = |word: &str| matches!(word, "approved" | "auto_approved");
    agrees(one) != agrees(other)
}
