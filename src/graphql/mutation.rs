//! The mutations: one for each kind, one for batches, and those of administrators.

use std::{borrow::Cow, sync::Arc};

use async_graphql::{
    Context, ContextSelectionSet, Enum, MergedObject, Object, OneofObject, OutputType, Positioned, ServerResult,
    SimpleObject, Union, Value, parser::types::Field, registry::Registry, resolver_utils::resolve_list,
};

use super::{
    Result,
    administration::Administration,
    app,
    at_once::{self, AtOnce},
    caller,
    described::RecordInput,
    event::AuditEvent,
    scalars::Watermark,
    variables::{self, Unseen},
};
use crate::{
    app::App,
    audit::{self, Kind, Submission},
    caller::Caller,
    record::{self, Answer, Traceparent},
};

/// What can be recorded. Each audit is checked as a whole: what is wrong with it comes back as `Rejected`, and nothing of it is
/// recorded. What is recorded stays as it is for ever.
#[derive(MergedObject, Default)]
pub struct Mutation(Recording, Administration);

#[derive(Default)]
pub struct Recording;

type OrchestrationInput = RecordInput<0>;
type SignalProcessingInput = RecordInput<1>;
type AiAnalysisInput = RecordInput<2>;
type WorkflowExecutionInput = RecordInput<3>;
type NotificationInput = RecordInput<4>;
type EffectivenessInput = RecordInput<5>;
type OtherInput = RecordInput<6>;

#[Object]
impl Recording {
    /// Records where a remediation stands as a whole: an audit of the orchestrator.
    #[graphql(complexity = "child_complexity.saturating_add(1)")]
    async fn record_orchestration(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What to record. Give it an `eventId`, so that sending it again is safe.")]
        input: OrchestrationInput,
    ) -> Result<RecordResult> {
        one(ctx, Kind::Orchestration, input).await
    }

    /// Records how a signal was enriched, classified and routed: an audit of signal processing.
    #[graphql(complexity = "child_complexity.saturating_add(1)")]
    async fn record_signal_processing(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What to record. Give it an `eventId`, so that sending it again is safe.")]
        input: SignalProcessingInput,
    ) -> Result<RecordResult> {
        one(ctx, Kind::SignalProcessing, input).await
    }

    /// Records the cause that was found and the remedy that is recommended: an audit of an AI analysis.
    #[graphql(complexity = "child_complexity.saturating_add(1)")]
    async fn record_ai_analysis(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What to record. Give it an `eventId`, so that sending it again is safe.")]
        input: AiAnalysisInput,
    ) -> Result<RecordResult> {
        one(ctx, Kind::AiAnalysis, input).await
    }

    /// Records what was done, step by step: an audit of a workflow execution.
    #[graphql(complexity = "child_complexity.saturating_add(1)")]
    async fn record_workflow_execution(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What to record. Give it an `eventId`, so that sending it again is safe.")]
        input: WorkflowExecutionInput,
    ) -> Result<RecordResult> {
        one(ctx, Kind::WorkflowExecution, input).await
    }

    /// Records whom a notification told, and whether it arrived: an audit of a notification.
    #[graphql(complexity = "child_complexity.saturating_add(1)")]
    async fn record_notification(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What to record. Give it an `eventId`, so that sending it again is safe.")]
        input: NotificationInput,
    ) -> Result<RecordResult> {
        one(ctx, Kind::Notification, input).await
    }

    /// Records whether a remediation worked: an audit of an effectiveness assessment.
    #[graphql(complexity = "child_complexity.saturating_add(1)")]
    async fn record_effectiveness(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What to record. Give it an `eventId`, so that sending it again is safe.")]
        input: EffectivenessInput,
    ) -> Result<RecordResult> {
        one(ctx, Kind::Effectiveness, input).await
    }

    /// Records anything else: an audit of a gateway, an approval, an agent, or a service yet to come.
    #[graphql(complexity = "child_complexity.saturating_add(1)")]
    async fn record_other(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What to record. Give it an `eventId`, so that sending it again is safe.")] input: OtherInput,
    ) -> Result<RecordResult> {
        one(ctx, Kind::Other, input).await
    }

    /// Records up to 1,000 audits in one commit. Each has its own result, in the order given: one that is rejected keeps no
    /// other from being recorded.
    // A batch is priced as one page: it is bounded by its size, not by what is selected of its results.
    #[graphql(complexity = "super::paging::times(20, child_complexity)")]
    async fn record_audits(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The audits, up to 1,000, each of one kind.")] inputs: Vec<AuditInput>,
    ) -> Result<RecordResults> {
        let answers = send(ctx, || inputs.into_iter().map(AuditInput::submission).collect()).await?;
        Ok(RecordResults(answers.into_iter().map(|answer| RecordResult::of(ctx, answer)).collect()))
    }
}

async fn one<const K: usize>(ctx: &Context<'_>, kind: Kind, input: RecordInput<K>) -> Result<RecordResult> {
    let answers = send(ctx, || vec![Submission::of_fields(kind, input.0)]).await?;
    let answer = answers.into_iter().next().expect("one submission has one answer");
    Ok(RecordResult::of(ctx, answer))
}

async fn send(ctx: &Context<'_>, seen: impl FnOnce() -> Vec<Submission>) -> Result<Vec<Answer>> {
    let submissions = match variables::unseen(ctx) {
        Some(Unseen::Answers(answers)) => return answers,
        Some(Unseen::Audits(submissions)) => submissions,
        None => seen(),
    };
    record(app(ctx), caller(ctx), ctx.data_opt(), submissions).await
}

/// Records what came in a request, as part of its trace.
pub(super) async fn record(
    app: &App,
    caller: &Caller,
    trace: Option<&Traceparent>,
    mut submissions: Vec<Submission>,
) -> Result<Vec<Answer>> {
    if let Some(trace) = trace {
        submissions.iter_mut().for_each(|submission| trace.lend(submission));
    }
    record::record(app, caller, submissions).await
}

/// An audit of any kind: exactly one of these fields, such as `{notification: {…}}`.
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
    pub(super) fn submission(self) -> Submission {
        let (kind, fields) = match self {
            AuditInput::Orchestration(input) => (Kind::Orchestration, input.0),
            AuditInput::SignalProcessing(input) => (Kind::SignalProcessing, input.0),
            AuditInput::AiAnalysis(input) => (Kind::AiAnalysis, input.0),
            AuditInput::WorkflowExecution(input) => (Kind::WorkflowExecution, input.0),
            AuditInput::Notification(input) => (Kind::Notification, input.0),
            AuditInput::Effectiveness(input) => (Kind::Effectiveness, input.0),
            AuditInput::Other(input) => (Kind::Other, input.0),
        };
        Submission::of_fields(kind, fields)
    }
}

/// What became of an audit: it is in the journal for good, or nothing of it is.
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

/// What became of each audit of a batch. Mostly all are recorded, and that is told without waiting for anything.
pub struct RecordResults(Vec<RecordResult>);

impl OutputType for RecordResults {
    fn type_name() -> Cow<'static, str> {
        Vec::<RecordResult>::type_name()
    }

    fn qualified_type_name() -> String {
        Vec::<RecordResult>::qualified_type_name()
    }

    fn create_type_info(registry: &mut Registry) -> String {
        Vec::<RecordResult>::create_type_info(registry)
    }

    async fn resolve(&self, ctx: &ContextSelectionSet<'_>, field: &Positioned<Field>) -> ServerResult<Value> {
        let recorded = self.0.iter().map(|result| match result {
            RecordResult::Recorded(recorded) => Some(recorded),
            RecordResult::Rejected(_) => None,
        });
        match at_once::list(ctx, &[&Rejected::type_name()], recorded) {
            Some(answers) => Ok(answers),
            None => resolve_list(ctx, field, &self.0, Some(self.0.len())).await,
        }
    }
}

impl AtOnce for Recorded {
    fn at_once(field: &Field) -> bool {
        field.name.node != "event"
    }
}

/// The audit is in the journal, for good.
#[derive(SimpleObject)]
pub struct Recorded {
    /// The event that the audit became.
    event: AuditEvent,
    /// The event's place in the whole journal, from 1, without gaps. Decimal text.
    position: String,
    /// The event's place among those of its remediation, from 1, without gaps.
    version: i32,
    /// Whether it was recorded before: then this is the first receipt again.
    duplicate: bool,
    /// The event's place: hand it back as `atLeast` to read lists that hold it already.
    watermark: Watermark,
}

/// The audit is not in the journal, because of what it says or who sent it.
#[derive(SimpleObject)]
pub struct Rejected {
    /// Why it was rejected, as a word for programs.
    code: RejectionCode,
    /// Whether sending the very same again may help.
    retryable: bool,
    /// Everything that is wrong with the audit, all at once.
    problems: Vec<Problem>,
    /// In a conflict, what was recorded under the same `eventId` before; else null.
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
    /// Where it is wrong: names of fields, and places in lists from 0, such as `["stepExecutions", "0", "action"]`.
    path: Vec<String>,
    /// What is wrong, as a stable word for programs, such as `REQUIRED`.
    code: String,
    /// What is wrong and what to do about it, for people.
    message: String,
}

impl From<audit::Problem> for Problem {
    fn from(problem: audit::Problem) -> Problem {
        Problem { path: problem.path, code: problem.code.to_string(), message: problem.message }
    }
}
