//! The facts that an entry tells: each with its own time, its words for people, and what it means to the fold. An audit
//! of a whole execution tells several. Every entry tells at least one that shows in the timeline, unless others say the same
//! better.

mod ai_analysis;
mod approval;
pub mod effectiveness;
mod fields;
pub mod notification;
mod orchestration;
mod other;
pub mod say;
mod signal_processing;
mod workflow_execution;

use std::borrow::Cow;

use chrono::{DateTime, TimeDelta, Utc};

use crate::audit::{
    event::Entry,
    fields::KindTable,
    kind::{ActorType, Kind},
    outcome::RemediationOutcome,
    phase::{PhaseName, RemediationPhase},
};

pub use effectiveness::{Part, Standing};
pub use fields::{Fields, Items, Json};

/// One fact that an entry tells.
#[derive(Clone, Debug, PartialEq)]
pub struct Fact {
    /// Its place among the facts of its entry, from 0; the same whatever the moment that is asked about.
    pub index: usize,
    pub at: DateTime<Utc>,
    /// Its end, where it lasted and the end is known at the moment that is asked about.
    pub until: Option<DateTime<Utc>>,
    /// Its end is told, and lies after the moment that is asked about.
    pub unfinished: bool,
    pub phase: Option<PhaseName>,
    pub title: Cow<'static, str>,
    pub detail: Option<String>,
    pub decision: Option<Box<Decision>>,
    pub shown: Shown,
    /// What the fact is about within its entity. Told again of the same time, it is the same fact.
    pub about: About,
    pub tells: Tells,
    /// The one thing that it says, where others may say it too, and whether its teller did it or looked on.
    pub milestone: Option<(Milestone, Teller)>,
}

/// What can be true but once until its opposite is: told by several, it is one fact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Milestone {
    SignalReceived,
    RequestCreated,
    StageEntered(RemediationPhase),
    ProcessingEnded(End),
    AnalysisStarted,
    AnalysisEnded(End),
    CauseFound,
    ExecutionStarted,
    ExecutionEnded(End),
    AssessmentPlanned,
    Assessed,
    NotificationSent,
    NotificationFailed,
    NotificationSeen,
    Ended(RemediationPhase),
}

/// How something ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum End {
    Done,
    /// With less than was wanted.
    Partly,
    Failed,
    TimedOut,
    Cancelled,
}

/// What a fact is about within its entity, such as `("step", 2)`.
pub type About = (&'static str, u32);

/// Whether a fact shows in the timeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    Always,
    /// When nothing else of its entry shows, so that nothing recorded is invisible.
    Alone,
    /// When the phase's own service tells nothing of it.
    Untold,
    /// It says to the fold what another fact of its entry says to people.
    Never,
}

/// How sure a time is: written as such, or inferred from when a status was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sureness {
    /// Something that can only come after it.
    After,
    /// The time at which its status was told.
    Implied,
    /// Its own time.
    Told,
}

/// Who tells of a phase: its own service, or one that looks on and fills in what the own service leaves out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Teller {
    Own,
    Onlooker,
}

/// What a fact means to the fold.
#[derive(Clone, Debug, PartialEq)]
pub enum Tells {
    /// Nothing but itself.
    Itself,
    SignalReceived,
    SignalRepeated,
    RemediationCreated,
    /// The orchestrator says that the remediation stands here from this time on.
    StageEntered(RemediationPhase),
    /// The remediation ended.
    Ended(Ending),
    /// A block was lifted.
    BlockCleared,
    /// The resource was cleaned up, long after.
    Retired,
    /// A child resource was created, changed or deleted.
    ChildTouched {
        failed: bool,
    },
    /// A fork in the orchestrator's decision tree.
    Routed,
    /// A part of a phase ran from `at` until `until`; without that it still runs, or the end is told elsewhere.
    Ran {
        phase: PhaseName,
        part: &'static str,
        teller: Teller,
    },
    /// A status says that a part of a phase has begun by `at`.
    Began {
        phase: PhaseName,
        part: &'static str,
        teller: Teller,
    },
    /// Whatever ran in a phase ended.
    Stopped {
        phase: PhaseName,
        sureness: Sureness,
        teller: Teller,
    },
    RootCauseFound {
        summary: String,
        confidence: Option<f64>,
    },
    RemedyRecommended,
    ApprovalAsked(Asked),
    ApprovalDecided(Decided),
    /// An execution ended; `None` where its outcome is not told.
    ExecutionEnded {
        outcome: Option<&'static str>,
    },
    StepRan,
    NotificationAsked,
    NotificationDelivered,
    NotificationFailed,
    NotificationSeen,
    /// Things are left to settle until `settles_at`; nothing is worth assessing after `valid_until`.
    AssessmentScheduled {
        settles_at: Option<DateTime<Utc>>,
        valid_until: Option<DateTime<Utc>>,
    },
    /// A component of an assessment was judged.
    ComponentAssessed(Component),
    /// The assessment is being made.
    Assessing,
    /// The assessment ended.
    Assessed {
        /// The score of the whole that is told.
        score: Option<f64>,
        /// Why it ended, a word of `audit::words::ASSESSMENT_REASON`.
        reason: Option<&'static str>,
        standing: Standing,
        still_fires: bool,
    },
}

/// A component of an assessment, as one event tells it.
#[derive(Clone, Debug, PartialEq)]
pub struct Component {
    pub part: Part,
    /// Whether it could be judged, where that is told.
    pub assessed: Option<bool>,
    /// 0 to 1.
    pub score: Option<f64>,
    /// What was seen, in the assessor's words.
    pub details: Option<String>,
    /// Whether the alert still fires, where it was looked at.
    pub still_fires: Option<bool>,
}

/// How the orchestrator says that a remediation ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Ending {
    pub phase: RemediationPhase,
    pub crd_outcome: Option<String>,
    pub failure_phase: Option<String>,
    pub failure_reason: Option<String>,
    pub timeout_phase: Option<String>,
    /// The orchestrator's own count.
    pub total_duration_ms: Option<f64>,
}

impl Ending {
    /// What came of it; `approval` is the last approval's decision, where nothing was carried out after it.
    pub fn outcome(&self, approval: Option<&str>) -> Option<RemediationOutcome> {
        let words = crate::audit::outcome::EndWords {
            crd_outcome: self.crd_outcome.as_deref(),
            failure_phase: self.failure_phase.as_deref(),
            failure_reason: self.failure_reason.as_deref(),
            timeout_phase: self.timeout_phase.as_deref(),
            approval,
        };
        RemediationOutcome::of(self.phase, words)
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    pub sureness: Sureness,
    pub required_by: Option<DateTime<Utc>>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Decided {
    pub sureness: Sureness,
    /// A word of `audit::words::APPROVAL_DECISION`, never `pending`.
    pub decision: &'static str,
    pub by: Option<String>,
    pub via: Option<String>,
    pub reason: Option<String>,
    pub required_by: Option<DateTime<Utc>>,
}

/// A decision point: what was decided, by whom, why, and instead of what.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    pub question: String,
    pub chosen: String,
    pub by: Option<Actor>,
    pub rationale: Option<String>,
    /// 0 to 1.
    pub confidence: Option<f64>,
    pub alternatives: Vec<Alternative>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    pub actor_type: ActorType,
    pub id: String,
    pub display_name: Option<String>,
    pub on_behalf_of: Option<String>,
}

impl Actor {
    /// Who acted, as the entry's writer claims.
    pub fn of(entry: &Entry) -> Option<Actor> {
        let more = entry.event.fields().object("actor");
        let text = |name| more.and_then(|more| more.text(name)).map(str::to_string);
        Some(Actor {
            actor_type: entry.event.actor_type?,
            id: entry.event.actor_id.clone()?,
            display_name: text("displayName"),
            on_behalf_of: text("onBehalfOf"),
        })
    }

    /// A person known by a name only.
    fn person(name: &str) -> Actor {
        Actor { actor_type: ActorType::User, id: name.to_string(), display_name: None, on_behalf_of: None }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Alternative {
    pub option: String,
    pub confidence: Option<f64>,
    pub rejected_because: Option<String>,
}

/// The facts of `entry`, in the order in which its story is told.
///
/// With `as_of`, a fact that covers that moment is told as it was then: going on. Facts after it are told all the same;
/// the fold drops them.
pub fn facts(entry: &Entry, as_of: Option<DateTime<Utc>>) -> Vec<Fact> {
    let mut telling = Telling::new(entry, as_of);
    match entry.event.kind {
        Kind::Orchestration => orchestration::tell(&mut telling),
        Kind::SignalProcessing => signal_processing::tell(&mut telling),
        Kind::AiAnalysis => ai_analysis::tell(&mut telling),
        Kind::WorkflowExecution => workflow_execution::tell(&mut telling),
        Kind::Notification => notification::tell(&mut telling),
        Kind::Effectiveness => effectiveness::tell(&mut telling),
        Kind::Other => other::tell(&mut telling),
    }
    telling.facts
}

/// An entry while its facts are told.
struct Telling<'a> {
    entry: &'a Entry,
    fields: Fields<'a>,
    /// The word of the kind's status; empty for the open kind.
    status: &'a str,
    /// Whether that word is a final one.
    ended: bool,
    occurred_at: DateTime<Utc>,
    as_of: Option<DateTime<Utc>>,
    facts: Vec<Fact>,
}

impl<'a> Telling<'a> {
    fn new(entry: &'a Entry, as_of: Option<DateTime<Utc>>) -> Telling<'a> {
        let table = KindTable::of(entry.event.kind);
        let fields = entry.event.fields();
        let status = table.status.and_then(|name| fields.text(name)).unwrap_or_default();
        let ended = table.final_words.iter().any(|(word, _)| *word == status);
        Telling { entry, fields, status, ended, occurred_at: entry.event.occurred_at, as_of, facts: Vec::new() }
    }

    /// Tells a fact of one moment.
    fn point(&mut self, at: DateTime<Utc>, about: About, title: impl Into<Cow<'static, str>>) -> &mut Fact {
        self.push(at, None, false, about, title.into())
    }

    /// Tells a fact that lasts. `title` is given how long it took, or `None` where its end is not known.
    fn span(
        &mut self,
        at: DateTime<Utc>,
        until: Option<DateTime<Utc>>,
        about: About,
        title: impl FnOnce(Option<&str>) -> Cow<'static, str>,
    ) -> &mut Fact {
        let until = until.map(|until| until.max(at));
        let unfinished = matches!((until, self.as_of), (Some(until), Some(as_of)) if until > as_of);
        let until = until.filter(|_| !unfinished);
        let took = until.map(|until| say::between(at, until));
        self.push(at, until, unfinished, about, title(took.as_deref()))
    }

    fn push(
        &mut self,
        at: DateTime<Utc>,
        until: Option<DateTime<Utc>>,
        unfinished: bool,
        about: About,
        title: Cow<'static, str>,
    ) -> &mut Fact {
        let index = self.facts.len();
        self.facts.push(Fact {
            index,
            at,
            until,
            unfinished,
            phase: None,
            title,
            detail: None,
            decision: None,
            shown: Shown::Always,
            about,
            tells: Tells::Itself,
            milestone: None,
        });
        &mut self.facts[index]
    }

    /// The title of the event's own moment: `usual` for a type that only repeats the status, else the type in words.
    fn moment_title(&self, usual: impl Into<Cow<'static, str>>) -> Cow<'static, str> {
        let event = &self.entry.event;
        if self.repeats_status() { usual.into() } else { say::event_type(&event.event_type, &event.category).into() }
    }

    /// Whether the type says nothing but the status.
    fn repeats_status(&self) -> bool {
        let event = &self.entry.event;
        let prefix = KindTable::of(event.kind).event_type_prefix;
        event.event_type.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('.')) == Some(self.status)
    }

    /// The phase that the event says was left or entered. A kind without a field for it keeps it in `details`.
    fn transition(&self, names: [&str; 3]) -> Option<&'a str> {
        self.fields.text(names[0]).or_else(|| self.fields.object("details")?.any_text(&names))
    }

    fn left(&self) -> Option<&'a str> {
        self.transition(["fromPhase", "from_phase", "old_phase"])
    }

    fn entered(&self) -> Option<&'a str> {
        self.transition(["toPhase", "to_phase", "new_phase"])
    }

    /// The transition in words, where both ends are told.
    fn moved(&self) -> Option<String> {
        Some(format!("Moved from {} to {}", say::words(self.left()?), say::words(self.entered()?)))
    }

    fn event_type_ends(&self, end: &str) -> bool {
        self.entry.event.event_type.ends_with(end)
    }

    /// Whether a fact at `at` that lasts until `until` is over at the moment that is asked about.
    fn over(&self, until: DateTime<Utc>) -> bool {
        self.as_of.is_none_or(|as_of| until <= as_of)
    }
}

impl End {
    /// How an agent's session ended, by the type that tells of it.
    fn of_session(event_type: &str) -> End {
        match event_type.rsplit('.').next() {
            Some("failed") => End::Failed,
            Some("cancelled") => End::Cancelled,
            _ => End::Done,
        }
    }
}

impl Fact {
    fn of(&mut self, phase: PhaseName) -> &mut Fact {
        self.phase = Some(phase);
        self
    }

    fn saying(&mut self, detail: Option<impl Into<String>>) -> &mut Fact {
        self.detail = detail.map(Into::into);
        self
    }

    fn deciding(&mut self, decision: Decision) -> &mut Fact {
        self.decision = Some(Box::new(decision));
        self
    }

    fn shown(&mut self, shown: Shown) -> &mut Fact {
        self.shown = shown;
        self
    }

    fn telling(&mut self, tells: Tells) -> &mut Fact {
        self.tells = tells;
        self
    }

    /// Says that others may tell the same; `Own` is who did it.
    fn marking(&mut self, milestone: Milestone, teller: Teller) -> &mut Fact {
        self.milestone = Some((milestone, teller));
        self
    }

    fn ran(&mut self, phase: PhaseName, part: &'static str) -> &mut Fact {
        self.of(phase).telling(Tells::Ran { phase, part, teller: Teller::Own })
    }

    fn began(&mut self, phase: PhaseName, part: &'static str) -> &mut Fact {
        self.of(phase).telling(Tells::Began { phase, part, teller: Teller::Own })
    }

    fn stopped(&mut self, phase: PhaseName, sureness: Sureness) -> &mut Fact {
        self.of(phase).telling(Tells::Stopped { phase, sureness, teller: Teller::Own })
    }
}

/// `time` moved by a number of milliseconds; `None` beyond the calendar.
pub fn moved(time: DateTime<Utc>, ms: f64) -> Option<DateTime<Utc>> {
    // A duration is at most 1e15 ms, so its microseconds fit.
    time.checked_add_signed(TimeDelta::microseconds((ms * 1_000.0).round() as i64))
}
