//! The kinds of audits and the two small closed sets of the envelope: an event's outcome and the type of its actor.

use serde::{Deserialize, Serialize};

/// Which service's audit an event is. `Other` is the open kind; a kind that this binary does not know reads as `Other`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Kind {
    Orchestration,
    SignalProcessing,
    AiAnalysis,
    WorkflowExecution,
    Notification,
    Effectiveness,
    Other,
}

impl Kind {
    pub const ALL: [Kind; 7] = [
        Kind::Orchestration,
        Kind::SignalProcessing,
        Kind::AiAnalysis,
        Kind::WorkflowExecution,
        Kind::Notification,
        Kind::Effectiveness,
        Kind::Other,
    ];

    /// The word that stands in the journal and in GraphQL, such as `AI_ANALYSIS`.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Orchestration => "ORCHESTRATION",
            Kind::SignalProcessing => "SIGNAL_PROCESSING",
            Kind::AiAnalysis => "AI_ANALYSIS",
            Kind::WorkflowExecution => "WORKFLOW_EXECUTION",
            Kind::Notification => "NOTIFICATION",
            Kind::Effectiveness => "EFFECTIVENESS",
            Kind::Other => "OTHER",
        }
    }

    /// Reads a kind in any case, with `-`, `_` or nothing between its words; `None` for an unknown one.
    pub fn parse(text: &str) -> Option<Kind> {
        let plain = super::words::plain(text);
        Kind::ALL.into_iter().find(|kind| super::words::plain(kind.word()) == plain)
    }

    /// The kind that the journal's word means to this binary.
    pub fn from_journal(word: &str) -> Kind {
        Kind::ALL.into_iter().find(|kind| kind.word() == word).unwrap_or(Kind::Other)
    }

    /// The category of the kind's events (the words of Kubernaut's envelope); an `Other` event names its own.
    pub fn category(self) -> Option<&'static str> {
        match self {
            Kind::Orchestration => Some("orchestration"),
            Kind::SignalProcessing => Some("signalprocessing"),
            Kind::AiAnalysis => Some("analysis"),
            Kind::WorkflowExecution => Some("workflowexecution"),
            Kind::Notification => Some("notification"),
            Kind::Effectiveness => Some("effectiveness"),
            Kind::Other => None,
        }
    }
}

/// How the recorded step ended, as its writer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    Success,
    Failure,
    Pending,
}

impl Outcome {
    pub fn word(self) -> &'static str {
        match self {
            Outcome::Success => "success",
            Outcome::Failure => "failure",
            Outcome::Pending => "pending",
        }
    }

    pub fn parse(text: &str) -> Option<Outcome> {
        [Outcome::Success, Outcome::Failure, Outcome::Pending].into_iter().find(|o| o.word() == text)
    }
}

/// Who acted, as the writer claims; the authenticated caller is kept apart from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ActorType {
    Service,
    User,
    Ai,
    System,
    External,
}

impl ActorType {
    pub const ALL: [ActorType; 5] =
        [ActorType::Service, ActorType::User, ActorType::Ai, ActorType::System, ActorType::External];

    pub fn word(self) -> &'static str {
        match self {
            ActorType::Service => "service",
            ActorType::User => "user",
            ActorType::Ai => "ai",
            ActorType::System => "system",
            ActorType::External => "external",
        }
    }

    pub fn parse(text: &str) -> Option<ActorType> {
        ActorType::ALL.into_iter().find(|actor| actor.word() == text)
    }
}
