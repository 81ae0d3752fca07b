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
    facts::{End, Fact, Milestone, Shown, Sureness, Teller, Tells, notification},
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
type Thread<'e> = (&'static str, Option<usize>, Option<&'e str>);

/// The tellings of each thread. Executions, assessments and notifications are told apart, and the channels that a message
/// goes to; an onlooker does not say which it saw, so it belongs to the only one there is.
fn threads<'e>(story: &Story<'e>) -> BTreeMap<Thread<'e>, Vec<usize>> {
    let mut threads: BTreeMap<Thread<'e>, Vec<usize>> = BTreeMap::new();
    let mut seen: Vec<(&'static str, usize)> = Vec::new();
    for (fact, known) in story.facts.iter().enumerate() {
        let Some((milestone, teller)) = known.fact.milestone else { continue };
        let (family, of_entity) = family(milestone);
        match (of_entity, teller) {
            (true, Teller::Onlooker) if known_elsewhere(story, known.entity, milestone) => seen.push((family, fact)),
            (true, _) => {
                let fields = || story.entry_of(fact).event.fields();
                let channel = if family == "sending" { notification::channel(fields()) } else { None };
                threads.entry((family, Some(known.entity), channel)).or_default().push(fact);
            }
            (false, _) => threads.entry((family, None, None)).or_default().push(fact),
        }
    }
    for (family, fact) in seen {
        let mut of_family = threads.iter_mut().filter(|((name, ..), _)| *name == family);
        match (of_family.next(), of_family.next()) {
            (Some((_, only)), None) => only.push(fact),
            _ => threads.entry((family, None, None)).or_default().push(fact),
        }
    }
    threads
}

/// Whether the teller is not the entity that the milestone is of.
fn known_elsewhere(story: &Story<'_>, entity: usize, milestone: Milestone) -> bool {
    let kind = story.keys.entities[entity].0;
    match milestone {
        Milestone::ExecutionStarted | Milestone::ExecutionEnded(_) => kind != Kind::WorkflowExecution,
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
        Milestone::ProcessingEnded(_) => ("processing", false),
        Milestone::AnalysisStarted | Milestone::AnalysisEnded(_) => ("analysis", false),
        Milestone::CauseFound => ("cause", false),
        Milestone::ExecutionStarted | Milestone::ExecutionEnded(_) => ("execution", true),
        Milestone::AssessmentPlanned | Milestone::Assessed => ("assessment", true),
        Milestone::NotificationSent | Milestone::NotificationFailed => ("sending", true),
        Milestone::NotificationSeen => ("seen", true),
        Milestone::Ended(_) => ("end", false),
    }
}

/// Tellings of one fact, in the order of time.
#[derive(Default)]
struct Run {
    facts: Vec<usize>,
    /// The first that is told by who did it.
    own: Option<usize>,
}

/// The tellings of a thread that say the same, one after another in the order of time.
fn runs(story: &Story<'_>, mut tellings: Vec<usize>) -> Vec<Vec<usize>> {
    tellings.sort_by_key(|fact| (story.facts[*fact].fact.at, *fact));
    let mut runs: Vec<Run> = Vec::new();
    for fact in tellings {
        // Of a long run two stand for all: an onlooker agrees with everyone, and of those who did it the first is the farthest.
        let fits = |run: &&mut Run| {
            let others = run.facts.first().into_iter().chain(&run.own);
            others.into_iter().all(|other| says_the_same(story, *other, fact))
        };
        if runs.last_mut().filter(fits).is_none() {
            runs.push(Run::default());
        }
        let run = runs.last_mut().expect("there is one");
        run.facts.push(fact);
        let own = story.facts[fact].fact.milestone.is_some_and(|(_, teller)| teller == Teller::Own);
        run.own = run.own.or(own.then_some(fact));
    }
    runs.into_iter().map(|run| run.facts).collect()
}

/// Whether two tellings of a thread, with nothing between them, are of one fact.
fn says_the_same(story: &Story<'_>, one: usize, other: usize) -> bool {
    let facts = [one, other].map(|fact| &story.facts[fact].fact);
    let [Some((milestone, teller)), Some((other_milestone, other_teller))] = facts.map(|fact| fact.milestone) else {
        return false;
    };
    if milestone != other_milestone {
        return false;
    }
    // An onlooker says that it happened, not how.
    let looked_on = teller == Teller::Onlooker || other_teller == Teller::Onlooker;
    match milestone {
        Milestone::CauseFound => cause(facts[0]) == cause(facts[1]),
        Milestone::NotificationSeen => {
            let by = [one, other].map(|fact| story.entry_of(fact).event.fields().text("acknowledgedBy"));
            looked_on || by[0] == by[1]
        }
        // The title says what the assessment came to.
        Milestone::Assessed => looked_on || facts[0].title == facts[1].title,
        _ if failure(milestone) => looked_on || at_once(facts[0], facts[1]),
        _ => true,
    }
}

fn cause(fact: &Fact) -> Option<&str> {
    match &fact.tells {
        Tells::RootCauseFound { summary, .. } => Some(summary),
        _ => None,
    }
}

/// What may happen again without anything told between, each time for a reason of its own.
fn failure(milestone: Milestone) -> bool {
    match milestone {
        Milestone::ProcessingEnded(end) | Milestone::AnalysisEnded(end) | Milestone::ExecutionEnded(end) => {
            matches!(end, End::Failed | End::TimedOut)
        }
        Milestone::NotificationFailed => true,
        _ => false,
    }
}

/// Whether two tellings are of one moment. A resource of Kubernetes keeps whole seconds, where an event knows more.
fn at_once(one: &Fact, other: &Fact) -> bool {
    let whole = |fact: &Fact| fact.at.timestamp_subsec_nanos() == 0;
    one.at == other.at || ((whole(one) || whole(other)) && one.at.timestamp() == other.at.timestamp())
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

/// The entries that say nothing but what others say better, or say again later; the timeline names them with the fact that
/// shows.
pub fn silent(story: &Story<'_>, echoes: &HashMap<usize, usize>, repeated: &HashSet<usize>) -> HashSet<usize> {
    let mut echoing = vec![false; story.entries.len()];
    let mut speaking = vec![false; story.entries.len()];
    for (fact, known) in story.facts.iter().enumerate() {
        match echoes.contains_key(&fact) {
            true => echoing[known.entry] = true,
            false => speaking[known.entry] |= known.fact.shown != Shown::Never && !repeated.contains(&fact),
        }
    }
    (0..story.entries.len()).filter(|entry| echoing[*entry] && !speaking[*entry]).collect()
}
