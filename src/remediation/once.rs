//! Each fact once. What can be true but once until its opposite is, several services may tell: the gateway and the
//! orchestrator that a signal came, a controller and its agent that the analysis began. The best telling shows, the others
//! are its echoes.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap, HashSet},
};

use super::story::Story;
use crate::audit::{
    Kind,
    facts::{Fact, Milestone, Shown, Sureness, Teller, Tells},
};

/// The facts that only repeat what another says better, and that other, as indexes of `Story::facts`.
pub fn echoes(story: &Story<'_>) -> HashMap<usize, usize> {
    let mut echoes = HashMap::new();
    for tellings in threads(story).into_values() {
        for same in runs(story, tellings) {
            let Some(kept) = same.iter().copied().max_by_key(|fact| worth(story, *fact)) else { continue };
            echoes.extend(same.into_iter().filter(|fact| *fact != kept).map(|fact| (fact, kept)));
        }
    }
    echoes
}

/// What a telling is of, so that only an opposite of the same thing comes between two tellings.
type Thread = (&'static str, Option<usize>);

/// The tellings of each thread. Executions, assessments and notifications are told apart; an onlooker does not say which it
/// saw, so it belongs to the only one there is.
fn threads(story: &Story<'_>) -> BTreeMap<Thread, Vec<usize>> {
    let mut threads: BTreeMap<Thread, Vec<usize>> = BTreeMap::new();
    let mut seen: Vec<(&'static str, usize)> = Vec::new();
    for (fact, known) in story.facts.iter().enumerate() {
        let Some((milestone, teller)) = known.fact.milestone else { continue };
        let (family, of_entity) = family(milestone);
        match (of_entity, teller) {
            (true, Teller::Onlooker) if known_elsewhere(story, known.entity, milestone) => seen.push((family, fact)),
            (true, _) => threads.entry((family, Some(known.entity))).or_default().push(fact),
            (false, _) => threads.entry((family, None)).or_default().push(fact),
        }
    }
    for (family, fact) in seen {
        let mut of_family = threads.iter_mut().filter(|((name, _), _)| *name == family);
        match (of_family.next(), of_family.next()) {
            (Some((_, only)), None) => only.push(fact),
            _ => threads.entry((family, None)).or_default().push(fact),
        }
    }
    threads
}

/// Whether the teller is not the entity that the milestone is of.
fn known_elsewhere(story: &Story<'_>, entity: usize, milestone: Milestone) -> bool {
    let kind = story.keys.entities[entity].0;
    match milestone {
        Milestone::ExecutionStarted | Milestone::ExecutionEnded => kind != Kind::WorkflowExecution,
        Milestone::AssessmentPlanned | Milestone::Assessed => kind != Kind::Effectiveness,
        _ => false,
    }
}

/// The thread that a milestone belongs to, and whether each entity has one of its own.
fn family(milestone: Milestone) -> (&'static str, bool) {
    match milestone {
        Milestone::SignalReceived => ("signal", false),
        Milestone::RequestCreated => ("request", false),
        Milestone::StageEntered(_) => ("stage", false),
        Milestone::ProcessingEnded => ("processing", false),
        Milestone::AnalysisStarted | Milestone::AnalysisEnded => ("analysis", false),
        Milestone::CauseFound => ("cause", false),
        Milestone::ExecutionStarted | Milestone::ExecutionEnded => ("execution", true),
        Milestone::AssessmentPlanned | Milestone::Assessed => ("assessment", true),
        Milestone::NotificationSent => ("sent", true),
        Milestone::NotificationSeen => ("seen", true),
        Milestone::Ended(_) => ("end", false),
    }
}

/// The tellings of a thread that say the same, one after another in the order of time.
fn runs(story: &Story<'_>, mut tellings: Vec<usize>) -> Vec<Vec<usize>> {
    tellings.sort_by_key(|fact| (story.facts[*fact].fact.at, *fact));
    let mut runs: Vec<Vec<usize>> = Vec::new();
    for fact in tellings {
        match runs.last_mut().filter(|run| says_the_same(story, run[0], fact)) {
            Some(run) => run.push(fact),
            None => runs.push(vec![fact]),
        }
    }
    runs
}

fn says_the_same(story: &Story<'_>, one: usize, other: usize) -> bool {
    let (one, other) = (&story.facts[one].fact, &story.facts[other].fact);
    let milestone = |fact: &Fact| fact.milestone.map(|(milestone, _)| milestone);
    if milestone(one) != milestone(other) {
        return false;
    }
    match (&one.tells, &other.tells) {
        (Tells::RootCauseFound { summary: one, .. }, Tells::RootCauseFound { summary: other, .. }) => one == other,
        // One message goes to several channels, which the title names.
        _ if milestone(one) == Some(Milestone::NotificationSent) => one.title == other.title,
        _ => true,
    }
}

/// How good a telling is: by who did it, with a time of its own, with its end, with something to say beyond its title. Of
/// those that are alike the last to tell is right, as for every field; where a status only implies a time, and for a cause,
/// which is found once, it is the first. Of what is told of one moment one is taken, whatever the order of recording.
fn worth(story: &Story<'_>, fact: usize) -> impl Ord {
    let telling = &story.facts[fact].fact;
    let event = &story.entry_of(fact).event;
    let own = telling.milestone.is_some_and(|(_, teller)| teller == Teller::Own);
    let implied = match telling.tells {
        Tells::Began { .. } | Tells::RootCauseFound { .. } => true,
        Tells::Stopped { sureness, .. } => sureness != Sureness::Told,
        _ => false,
    };
    let speaks = telling.tells != Tells::Itself;
    let last = (!implied).then_some(event.occurred_at);
    (own, !implied, telling.until.is_some(), speaks, last, Reverse(telling.at), event.event_id, Reverse(telling.index))
}

/// The entries that say nothing but what others say better; the timeline names them with the fact that shows.
pub fn silent(story: &Story<'_>, echoes: &HashMap<usize, usize>) -> HashSet<usize> {
    let mut echoing = vec![false; story.entries.len()];
    let mut speaking = vec![false; story.entries.len()];
    for (fact, known) in story.facts.iter().enumerate() {
        match echoes.contains_key(&fact) {
            true => echoing[known.entry] = true,
            false => speaking[known.entry] |= known.fact.shown != Shown::Never,
        }
    }
    (0..story.entries.len()).filter(|entry| echoing[*entry] && !speaking[*entry]).collect()
}
