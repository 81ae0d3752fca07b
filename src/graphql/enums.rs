//! The enums that are written by hand, because filters take them as well as outputs show them.

use async_graphql::{Enum, OutputType, registry::Registry};

use crate::{audit, remediation::model};

/// Which service's audit it is.
#[derive(Enum, Copy, Clone, Eq, PartialEq, Debug)]
#[graphql(remote = "audit::Kind")]
pub enum AuditKind {
    /// Where the remediation stands as a whole.
    Orchestration,
    /// How the signal was enriched, classified and routed.
    SignalProcessing,
    /// The cause that was found and the remedy that is recommended.
    AiAnalysis,
    /// What was done, step by step.
    WorkflowExecution,
    /// Whom it told.
    Notification,
    /// Whether it worked.
    Effectiveness,
    /// The open kind; and any kind that this server does not know yet.
    Other,
}

/// How the recorded step ended, as its writer says.
#[derive(Enum, Copy, Clone, Eq, PartialEq, Debug)]
#[graphql(remote = "audit::Outcome")]
pub enum Outcome {
    /// It did what it should.
    Success,
    /// It did not do what it should.
    Failure,
    /// It has not ended yet.
    Pending,
}

/// What sort of actor acted.
#[derive(Enum, Copy, Clone, Eq, PartialEq, Debug)]
#[graphql(remote = "audit::ActorType")]
pub enum ActorType {
    /// A controller or another program.
    Service,
    /// A person.
    User,
    /// A model or an agent.
    Ai,
    /// The platform itself.
    System,
    /// Something outside the cluster.
    External,
}

/// How bad the signal is.
#[derive(Enum, Copy, Clone, Eq, PartialEq, Debug)]
pub enum Severity {
    /// Service is lost or about to be.
    Critical,
    /// Serious, not yet lost.
    High,
    /// Noticeable.
    Medium,
    /// Heading the wrong way.
    Warning,
    /// Minor.
    Low,
    /// Worth knowing.
    Info,
    /// The source did not say.
    Unknown,
}

/// What was decided about an approval.
#[derive(Enum, Copy, Clone, Eq, PartialEq, Debug)]
pub enum ApprovalDecision {
    /// Nobody has decided yet.
    Pending,
    /// A person agreed.
    Approved,
    /// A person refused.
    Rejected,
    /// Nobody decided in time.
    Expired,
    /// Policy agreed without a person.
    AutoApproved,
}

/// A phase in which a remediation spends its time.
#[derive(Enum, Copy, Clone, Eq, PartialEq, Debug)]
#[graphql(remote = "model::PhaseName")]
pub enum PhaseName {
    /// From the signal to the first work on it.
    Intake,
    /// Enriching and classifying the signal.
    SignalProcessing,
    /// Finding the cause and a remedy.
    AiAnalysis,
    /// Waiting for a person's decision.
    ApprovalWait,
    /// Carrying the remedy out.
    WorkflowExecution,
    /// Checking the effect.
    Verification,
    /// Telling people.
    Notification,
}

/// Where a remediation stands.
#[derive(Enum, Copy, Clone, Eq, PartialEq, Debug)]
#[graphql(remote = "model::RemediationPhase")]
pub enum RemediationPhase {
    /// Nothing has begun.
    Pending,
    /// The signal has come in.
    Intake,
    /// The signal is being enriched and classified.
    SignalProcessing,
    /// The cause is being sought.
    AiAnalysis,
    /// A person has to decide.
    ApprovalWait,
    /// The workflow runs.
    WorkflowExecution,
    /// The effect is being checked.
    Verification,
    /// People are being told.
    Notification,
    /// Held back by a routing rule.
    Blocked,
    /// Ended as planned.
    Completed,
    /// Ended with a failure.
    Failed,
    /// Ended by a time limit.
    TimedOut,
    /// Not carried out, on purpose.
    Skipped,
    /// Called off by a person.
    Cancelled,
}

/// What came of a remediation.
#[derive(Enum, Copy, Clone, Eq, PartialEq, Debug)]
#[graphql(remote = "model::RemediationOutcome")]
pub enum RemediationOutcome {
    /// The workflow ran and the problem is dealt with.
    Remediated,
    /// Nothing had to be done.
    NoActionRequired,
    /// Handed to people.
    ManualReview,
    /// Carried out, its effect is unclear.
    Inconclusive,
    /// Carried out, but its effect could not be verified in time.
    VerificationTimedOut,
    /// Only tried, nothing was changed.
    DryRun,
    /// It failed.
    Failed,
    /// It ran out of time.
    TimedOut,
    /// A person refused it.
    Rejected,
    /// Nobody decided in time.
    Expired,
    /// Held back by a routing rule.
    Blocked,
    /// Not carried out, on purpose.
    Skipped,
    /// Called off by a person.
    Cancelled,
}

/// Which way a list runs.
#[derive(Enum, Copy, Clone, Eq, PartialEq, Debug)]
pub enum Direction {
    /// The smallest or earliest first.
    Asc,
    /// The largest or latest first.
    Desc,
}

/// Registers the enum of that name, if it is one of this file's that the table of fields uses too.
pub fn register(registry: &mut Registry, name: &str) -> bool {
    match name {
        "Severity" => drop(<Severity as OutputType>::create_type_info(registry)),
        "ApprovalDecision" => drop(<ApprovalDecision as OutputType>::create_type_info(registry)),
        "PhaseName" => drop(<PhaseName as OutputType>::create_type_info(registry)),
        "ActorType" => drop(<ActorType as OutputType>::create_type_info(registry)),
        "Outcome" => drop(<Outcome as OutputType>::create_type_info(registry)),
        _ => return false,
    }
    true
}

/// The enum value's name in GraphQL.
pub fn name<T: async_graphql::resolver_utils::EnumType>(value: &T) -> &'static str {
    T::items().iter().find(|item| item.value == *value).map_or("", |item| item.name)
}

/// The enum value of this name, in any case.
pub fn parse<T: async_graphql::resolver_utils::EnumType + Copy>(word: &str) -> Option<T> {
    let plain = audit::words::plain(word);
    T::items().iter().find(|item| audit::words::plain(item.name) == plain).map(|item| item.value)
}
