//! The fields of an orchestration audit.

use super::{Field, KindTable, Shape::*, Table};
use crate::audit::{kind::Kind, words};

pub static KIND: KindTable = KindTable {
    kind: Kind::Orchestration,
    table: &TABLE,
    status: Some("overallPhase"),
    status_default: None,
    final_words: &[
        ("completed", "success"),
        ("failed", "failure"),
        ("timed_out", "failure"),
        ("skipped", "success"),
        ("cancelled", "failure"),
    ],
    event_type_prefix: "orchestration",
};

static CRD_STATUS: Table = Table {
    name: "ServiceCrdStatus",
    meaning: "A child resource as the orchestrator saw it.",
    fields: &[
        Field::new("phase", Name, "Its phase."),
        Field::new("startTime", Time, "When it began."),
        Field::new("completionTime", Time, "When it ended."),
        Field::new("success", Bool, "Whether it succeeded."),
        Field::new("error", Line, "Its error."),
    ],
};

static CRD_STATUSES: Table = Table {
    name: "ServiceCrdStatuses",
    meaning: "The child resources as the orchestrator saw them.",
    fields: &[
        Field::new("remediationProcessing", Object(&CRD_STATUS), "Signal processing."),
        Field::new("aiAnalysis", Object(&CRD_STATUS), "AI analysis."),
        Field::new("workflowExecution", Object(&CRD_STATUS), "Workflow execution."),
    ],
};

static TRANSITION: Table = Table {
    name: "ServiceTransition",
    meaning: "A step from one service to the next.",
    fields: &[
        Field::new("from", Name, "The service or phase it left.").required(),
        Field::new("to", Name, "The service or phase it entered.").required(),
        Field::new("durationMs", Ms, "How long the one it left took.").column("duration"),
        Field::new("at", Time, "When it happened."),
    ],
};

static PROPAGATION: Table = Table {
    name: "CrdPropagation",
    meaning: "What was done to a child resource, and with what result.",
    fields: &[
        Field::new("kind", Name, "The child's kind, such as `AIAnalysis`.").required(),
        Field::new("name", Name, "The child's name.").required(),
        Field::new("uid", Name, "The child's UID."),
        Field::new("action", Word(&words::PROPAGATION_ACTION), "What was done."),
        Field::new("result", Word(&words::RESULT), "Whether it worked."),
        Field::new("error", Line, "The error, if it did not."),
        Field::new("at", Time, "When."),
    ],
};

static OPTION: Table = Table {
    name: "RoutingOption",
    meaning: "A way the orchestrator could have gone.",
    fields: &[
        Field::new("name", Name, "The way.").required(),
        Field::new("taken", Bool, "Whether it was gone."),
        Field::new("reason", Line, "Why, or why not."),
    ],
};

static DECISION: Table = Table {
    name: "RoutingDecision",
    meaning: "A fork in the orchestrator's decision tree: why it routed, blocked or skipped.",
    fields: &[
        Field::new("point", Line, "The question at the fork.").required(),
        Field::new("chosen", Line, "The answer.").required(),
        Field::new("rule", Name, "The rule that gave it."),
        Field::new("reason", Line, "Why."),
        Field::new("options", Objects(&OPTION), "The ways there were."),
    ],
};

static TIMEOUTS: Table = Table {
    name: "TimeoutConfig",
    meaning: "The time limits in force.",
    fields: &[
        Field::new("globalMs", Ms, "Of the whole remediation.").column("global"),
        Field::new("processingMs", Ms, "Of signal processing.").column("processing"),
        Field::new("analyzingMs", Ms, "Of AI analysis.").column("analyzing"),
        Field::new("executingMs", Ms, "Of workflow execution.").column("executing"),
    ],
};

static ERROR: Table = Table {
    name: "ErrorDetails",
    meaning: "An error as its component tells it.",
    fields: &[
        Field::new("message", Line, "What went wrong.").required(),
        Field::new("code", Name, "Its code, such as `ERR_TIMEOUT_REMEDIATION`."),
        Field::new("component", Name, "The component that met it."),
        Field::new("retryPossible", Bool, "Whether trying again may help."),
        Field::new("stackTrace", Lines, "Where it happened."),
    ],
};

static TABLE: Table = Table {
    name: "Orchestration",
    meaning: "An audit of the orchestrator: where the remediation stands as a whole.",
    fields: &[
        Field::new(
            "overallPhase",
            Word(&words::OVERALL_PHASE),
            "Where the remediation stands. Without `eventType`, the type is `orchestration.` and this word.",
        )
        .required(),
        Field::new("startTime", Time, "When the remediation began.").when_final(),
        Field::new("completionTime", Time, "When it ended; not before `startTime`."),
        Field::new("remediationProcessingName", Name, "The child that processes the signal."),
        Field::new("aiAnalysisName", Name, "The child that analyses."),
        Field::new("workflowExecutionName", Name, "The child that executes."),
        Field::new("kubernetesExecutionName", Name, "The child that executed, in older platforms."),
        Field::new("serviceCrdStatuses", Object(&CRD_STATUSES), "The children as the orchestrator saw them."),
        Field::new("timeoutPhase", Name, "The phase that ran out of time."),
        Field::new("timeoutTime", Time, "When time ran out."),
        Field::new("failurePhase", Name, "The phase that failed."),
        Field::new("failureReason", Line, "Why it failed."),
        Field::new("errorDetails", Object(&ERROR), "The error behind the failure."),
        Field::new("duplicateCount", Count, "How many more signals meant the same."),
        Field::new("lastDuplicateTime", Time, "When the last of them came."),
        Field::new("retentionExpiryTime", Time, "When the resource will be deleted."),
        Field::new(
            "deletedAt",
            Time,
            "When the resource was deleted: a retention clean-up, not an end of the remediation.",
        ),
        Field::new("signalReceivedAt", Time, "When the signal came in."),
        Field::new("remediationCreatedAt", Time, "When the RemediationRequest was created."),
        Field::new("aiAnalysisStartedAt", Time, "When the AI analysis began."),
        Field::new("workflowStartedAt", Time, "When the workflow began."),
        Field::new("notificationSentAt", Time, "When people were told."),
        Field::new("completedAt", Time, "When the remediation ended, if `completionTime` does not say."),
        Field::new("servicesInvoked", Names, "The services that took part."),
        Field::new("serviceTransitions", Objects(&TRANSITION), "The way from service to service."),
        Field::new("totalDurationMs", Ms, "How long it took, as the orchestrator counts.")
            .column("total_duration_seconds"),
        Field::new(
            "bottleneckPhase",
            Word(&words::PHASE_NAME),
            "The phase that took longest, as the orchestrator counts.",
        ),
        Field::new("bottleneckDurationMs", Ms, "How long that phase took.").column("bottleneck_duration_seconds"),
        Field::new("crdPropagation", Objects(&PROPAGATION), "What was done to the child resources."),
        Field::new("decision", Object(&DECISION), "A fork in the orchestrator's decision tree."),
        Field::new("namespace", Name, "The RemediationRequest's namespace."),
        Field::new("crdOutcome", Word(&words::CRD_OUTCOME), "What came of the remediation."),
        Field::new("fromPhase", Name, "The phase it left."),
        Field::new("toPhase", Name, "The phase it entered."),
        Field::new("transitionReason", Line, "Why it moved on."),
        Field::new("approvalRequestName", Name, "The RemediationApprovalRequest.").column("rar_name"),
        Field::new("approvalRequestedAt", Time, "When approval was asked for."),
        Field::new("requiredBy", Time, "Until when a decision is needed."),
        Field::new("approvalConfidence", Score, "The analysis's confidence, as shown to the person who decides.")
            .column("confidence_str"),
        Field::new("approvalDecision", Word(&words::APPROVAL_DECISION), "What was decided.").column("decision"),
        Field::new("approvalDecidedAt", Time, "When it was decided."),
        Field::new("approvedBy", Name, "Who agreed.").since("approvalDecidedAt"),
        Field::new("rejectedBy", Name, "Who refused.").since("approvalDecidedAt"),
        Field::new("rejectionReason", Line, "Why.").since("approvalDecidedAt"),
        Field::new("message", Line, "What the person said.").since("approvalDecidedAt"),
        Field::new("reason", Line, "Why it is blocked, skipped or handed to people."),
        Field::new("subReason", Line, "The same, more closely."),
        Field::new("notificationName", Name, "The linked NotificationRequest."),
        Field::new("eaName", Name, "The linked EffectivenessAssessment."),
        Field::new("workflowId", Name, "The chosen workflow."),
        Field::new("workflowVersion", Name, "Its version."),
        Field::new("actionType", Name, "What the workflow does, such as `RestartPod`."),
        Field::new("preRemediationSpecHash", Name, "The hash of the target's spec before."),
        Field::new("timeoutConfig", Object(&TIMEOUTS), "The time limits in force."),
        Field::new("hashComputeDelayMs", Ms, "How long to wait before the spec is hashed.")
            .column("hash_compute_delay"),
        Field::new("alertCheckDelayMs", Ms, "How long to wait before the alert is checked.")
            .column("alert_check_delay"),
        Field::new("gitopsSyncDelayMs", Ms, "How long GitOps takes to sync.").column("gitops_sync_delay"),
        Field::new("operatorReconcileDelayMs", Ms, "How long the operator takes to reconcile.")
            .column("operator_reconcile_delay"),
        Field::new("gitopsManaged", Bool, "Whether GitOps manages the target.").column("is_gitops_managed"),
        Field::new("targetIsCrd", Bool, "Whether the target is a custom resource.").column("is_crd"),
    ],
};
