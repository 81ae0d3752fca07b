//! The mutations: one for each kind, and one for batches.

use std::sync::Arc;

use async_graphql::{Context, Enum, Object, OneofObject, SimpleObject, Union};

use super::{Result, app, caller, described::RecordInput, event::AuditEvent, scalars::Watermark};
use crate::{
    audit::{self, Kind, Submission},
    record::{self, Answer, Traceparent},
};

pub struct Mutation;

type OrchestrationInput = RecordInput<0>;
type SignalProcessingInput = RecordInput<1>;
type AiAnalysisInput = RecordInput<2>;
type WorkflowExecutionInput = RecordInput<3>;
type NotificationInput = RecordInput<4>;
type EffectivenessInput = RecordInput<5>;
type OtherInput = RecordInput<6>;

#[Object]
impl Mutation {
    /// Records an audit of the orchestrator.
    #[graphql(complexity = "child_complexity.saturating_add(1)")]
    async fn record_orchestration(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The audit.")] input: OrchestrationInput,
    ) -> Result<RecordResult> {
        one(ctx, Kind::Orchestration, input).await
    }

    /// Records an audit of signal processing.
    #[graphql(complexity = "child_complexity.saturating_add(1)")]
    async fn record_signal_processing(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The audit.")] input: SignalProcessingInput,
    ) -> Result<RecordResult> {
        one(ctx, Kind::SignalProcessing, input).await
    }

    /// Records an audit of an AI analysis.
    #[graphql(complexity = "child_complexity.saturating_add(1)")]
    async fn record_ai_analysis(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The audit.")] input: AiAnalysisInput,
    ) -> Result<RecordResult> {
        one(ctx, Kind::AiAnalysis, input).await
    }

    /// Records an audit of a workflow execution.
    #[graphql(complexity = "child_complexity.saturating_add(1)")]
    async fn record_workflow_execution(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The audit.")] input: WorkflowExecutionInput,
    ) -> Result<RecordResult> {
        one(ctx, Kind::WorkflowExecution, input).await
    }

    /// Records an audit of a notification.
    #[graphql(complexity = "child_complexity.saturating_add(1)")]
    async fn record_notification(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The audit.")] input: NotificationInput,
    ) -> Result<RecordResult> {
        one(ctx, Kind::Notification, input).await
    }

    /// Records an audit of an effectiveness assessment.
    #[graphql(complexity = "child_complexity.saturating_add(1)")]
    async fn record_effectiveness(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The audit.")] input: EffectivenessInput,
    ) -> Result<RecordResult> {
        one(ctx, Kind::Effectiveness, input).await
    }

    /// Records an audit of the open kind.
    #[graphql(complexity = "child_complexity.saturating_add(1)")]
    async fn record_other(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The audit.")] input: OtherInput,
    ) -> Result<RecordResult> {
        one(ctx, Kind::Other, input).await
    }

    /// Up to 1,000 audits in one commit; each has its own result, in the order given.
    // A batch is priced as one page: it is bounded by its size, not by what is selected of its results.
    #[graphql(complexity = "child_complexity.saturating_mul(20).saturating_add(1)")]
    async fn record_audits(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The audits, each of one kind.")] inputs: Vec<AuditInput>,
    ) -> Result<Vec<RecordResult>> {
        let submissions = inputs.into_iter().map(AuditInput::submission).collect();
        let answers = send(ctx, submissions).await?;
        Ok(answers.into_iter().map(|answer| RecordResult::of(ctx, answer)).collect())
    }
}

async fn one<const K: usize>(ctx: &Context<'_>, kind: Kind, input: RecordInput<K>) -> Result<RecordResult> {
    let answers = send(ctx, vec![Submission { kind, fields: input.0 }]).await?;
    let answer = answers.into_iter().next().expect("one submission has one answer");
    Ok(RecordResult::of(ctx, answer))
}

async fn send(ctx: &Context<'_>, mut submissions: Vec<Submission>) -> Result<Vec<Answer>> {
    if let Some(trace) = ctx.data_opt::<Traceparent>() {
        submissions.iter_mut().for_each(|submission| trace.lend(submission));
    }
    record::record(app(ctx), caller(ctx), submissions).await
}

/// An audit of any kind: exactly one field.
#[derive(OneofObject)]
pub enum AuditInput {
    /// An audit of the orchestrator.
    Orchestration(OrchestrationInput),
    /// An audit of signal processing.
    SignalProcessing(SignalProcessingInput),
    /// An audit of an AI analysis.
    AiAnalysis(AiAnalysisInput),
    /// An audit of a workflow execution.
    WorkflowExecution(WorkflowExecutionInput),
    /// An audit of a notification.
    Notification(NotificationInput),
    /// An audit of an effectiveness assessment.
    Effectiveness(EffectivenessInput),
    /// An audit of the open kind.
    Other(OtherInput),
}

impl AuditInput {
    fn submission(self) -> Submission {
        let (kind, fields) = match self {
            AuditInput::Orchestration(input) => (Kind::Orchestration, input.0),
            AuditInput::SignalProcessing(input) => (Kind::SignalProcessing, input.0),
            AuditInput::AiAnalysis(input) => (Kind::AiAnalysis, input.0),
            AuditInput::WorkflowExecution(input) => (Kind::WorkflowExecution, input.0),
            AuditInput::Notification(input) => (Kind::Notification, input.0),
            AuditInput::Effectiveness(input) => (Kind::Effectiveness, input.0),
            AuditInput::Other(input) => (Kind::Other, input.0),
        };
        Submission { kind, fields }
    }
}

/// What became of an audit.
#[derive(Union)]
pub enum RecordResult {
    Recorded(Recorded),
    Rejected(Rejected),
}

impl RecordResult {
    fn of(ctx: &Context<'_>, answer: Answer) -> RecordResult {
        match answer {
            Answer::Recorded { entry, duplicate } => RecordResult::Recorded(Recorded {
                position: entry.position.to_string(),
                version: entry.version.0,
                watermark: Watermark::at(app(ctx).journal.id(), entry.position),
                event: AuditEvent(Arc::new(*entry)),
                duplicate,
            }),
            Answer::Rejected(rejected) => RecordResult::Rejected(Rejected {
                code: rejected.reason.into(),
                retryable: false,
                problems: rejected.problems.into_iter().map(Problem::from).collect(),
                existing: rejected.existing.map(|entry| AuditEvent(Arc::new(*entry))),
            }),
        }
    }
}

/// The audit is in the journal, for good.
#[derive(SimpleObject)]
pub struct Recorded {
    /// The recorded event.
    event: AuditEvent,
    /// Its place in the whole journal, from 1, without gaps.
    position: String,
    /// Its place in its remediation's stream, from 1, without gaps.
    version: i32,
    /// Whether it was recorded before: then this is the first receipt again.
    duplicate: bool,
    /// Its place, to hand back as `atLeast`.
    watermark: Watermark,
}

/// The audit is not in the journal, because of what it says or who sent it.
#[derive(SimpleObject)]
pub struct Rejected {
    /// Why.
    code: RejectionCode,
    /// Whether sending the same again may help.
    retryable: bool,
    /// Everything that is wrong.
    problems: Vec<Problem>,
    /// In a conflict, what was recorded under the same id before.
    existing: Option<AuditEvent>,
}

/// Why an audit was rejected.
#[derive(Enum, Copy, Clone, Eq, PartialEq)]
#[graphql(remote = "record::Reason")]
pub enum RejectionCode {
    /// It is not well formed; `problems` says what is wrong.
    Invalid,
    /// Its id was recorded before with other content.
    Conflict,
    /// This caller may not record audits of this kind.
    NotAllowed,
}

/// One thing that is wrong with an audit.
#[derive(SimpleObject)]
pub struct Problem {
    /// Where: names of fields, and places in lists from 0.
    path: Vec<String>,
    /// A stable word for programs.
    code: String,
    /// For people.
    message: String,
}

impl From<audit::Problem> for Problem {
    fn from(problem: audit::Problem) -> Problem {
        Problem { path: problem.path, code: problem.code.to_string(), message: problem.message }
    }
}
