//! The fields of an orchestration audit.

use super::{Field, KindTable, Shape::*, Table, Unit};
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
        Field::new("phase", Name, "The child's phase, in the child's own word."),
        Field::new("startTime", Time, "When the child began."),
        Field::new("completionTime", Time, "When the child ended; null while it runs."),
        Field::new("success", Bool, "Whether the child succeeded."),
        Field::new("error", Line, "The child's error, where it failed."),
    ],
};

static CRD_STATUSES: Table = Table {
    name: "ServiceCrdStatuses",
    meaning: "The child resources as the orchestrator saw them.",
    fields: &[
        Field::new("remediationProcessing", Object(&CRD_STATUS), "The child that processes the signal."),
        Field::new("aiAnalysis", Object(&CRD_STATUS), "The child that analyses."),
        Field::new("workflowExecution", Object(&CRD_STATUS), "The child that executes."),
    ],
};

static TRANSITION: Table = Table {
    name: "ServiceTransition",
    meaning: "A step from one service to the next.",
    fields: &[
        Field::new("from", Name, "The service or phase that the remediation left.").required(),
        Field::new("to", Name, "The service or phase that the remediation entered.").required(),
        Field::new("durationMs", Ms, "How long the service or phase that it left took.")
            .column_in("duration", Unit::Nanoseconds),
        Field::new("at", Time, "When the step was taken."),
    ],
};

static PROPAGATION: Table = Table {
    name: "CrdPropagation",
    meaning: "What was done to a child resource, and with what result.",
    fields: &[
        Field::new("kind", Name, "The child's kind, such as `AIAnalysis`.").required(),
        Field::new("name", Name, "The child's name.").required(),
        Field::new("uid", Name, "The child's UID."),
        Field::new("action", Word(&words::PROPAGATION_ACTION), "What was done to the child."),
        Field::new("result", Word(&words::RESULT), "Whether it worked."),
        Field::new("error", Line, "The error, where it did not work."),
        Field::new("at", Time, "When it was done."),
    ],
};

static OPTION: Table = Table {
    name: "RoutingOption",
    meaning: "A way the orchestrator could have gone.",
    fields: &[
        Field::new("name", Name, "The way's name.").required(),
        Field::new("taken", Bool, "Whether this way was taken."),
        Field::new("reason", Line, "Why this way was taken, or why not."),
    ],
};

static DECISION: Table = Table {
    name: "RoutingDecision",
    meaning: "A fork in the orchestrator's decision tree: why it routed, blocked or skipped.",
    fields: &[
        Field::new("point", Line, "The question at the fork.").required(),
        Field::new("chosen", Line, "The answer.").required(),
        Field::new("rule", Name, "The name of the rule that gave the answer."),
        Field::new("reason", Line, "Why the answer is what it is."),
        Field::new("options", Objects(&OPTION), "The ways that were open."),
    ],
};

static TIMEOUTS: Table = Table {
    name: "TimeoutConfig",
    meaning: "The time limits in force.",
    fields: &[
        Field::new("globalMs", Ms, "The limit of the whole remediation.").column_in("global", Unit::GoDuration),
        Field::new("processingMs", Ms, "The limit of signal processing.").column_in("processing", Unit::GoDuration),
        Field::new("analyzingMs", Ms, "The limit of AI analysis.").column_in("analyzing", Unit::GoDuration),
        Field::new("executingMs", Ms, "The limit of workflow execution.").column_in("executing", Unit::GoDuration),
    ],
};

static ERROR: Table = Table {
    name: "ErrorDetails",
    meaning: "An error as its component tells it.",
    fields: &[
        Field::new("message", Line, "What went wrong.").required(),
        Field::new("code", Name, "The error's code, such as `ERR_TIMEOUT_REMEDIATION`."),
        Field::new("component", Name, "The component that met the error."),
        Field::new("retryPossible", Bool, "Whether trying again may help."),
        Field::new("stackTrace", Lines, "Where in the code it happened, the innermost first."),
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
        Field::new("completionTime", Time, "When the remediation ended; not before `startTime`. Null while it runs."),
        Field::new("remediationProcessingName", Name, "The name of the child resource that processes the signal."),
        Field::new("aiAnalysisName", Name, "The name of the child resource that analyses."),
        Field::new("workflowExecutionName", Name, "The name of the child resource that executes."),
        Field::new(
            "kubernetesExecutionName",
            Name,
            "The name of the child resource that executed, in older platforms.",
        ),
        Field::new("serviceCrdStatuses", Object(&CRD_STATUSES), "The children as the orchestrator saw them."),
        Field::new("timeoutPhase", Name, "The phase that ran out of time; null where none did."),
        Field::new("timeoutTime", Time, "When time ran out."),
        Field::new("failurePhase", Name, "The phase that failed."),
        Field::new("failureReason", Line, "Why the remediation failed."),
        Field::new("errorDetails", Object(&ERROR), "The error behind the failure."),
        Field::new("duplicateCount", Count, "How many more signals meant the same."),
        Field::new("lastDuplicateTime", Time, "When the last of these signals came."),
        Field::new("retentionExpiryTime", Time, "When the resource will be deleted.").ahead(),
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
        Field::new("totalDurationMs", Ms, "How long the remediation took, as the orchestrator counts.")
            .column_in("total_duration_seconds", Unit::Seconds),
        Field::new(
            "bottleneckPhase",
            Word(&words::PHASE_NAME),
            "The phase that took longest, as the orchestrator counts.",
        ),
        Field::new("bottleneckDurationMs", Ms, "How long that phase took.")
            .column_in("bottleneck_duration_seconds", Unit::Seconds),
        Field::new("crdPropagation", Objects(&PROPAGATION), "What was done to the child resources."),
        Field::new("decision", Object(&DECISION), "A fork in the orchestrator's decision tree.")
            .column("routing_decision"),
        Field::new("namespace", Name, "The RemediationRequest's namespace."),
        Field::new("crdOutcome", Word(&words::CRD_OUTCOME), "What came of the remediation."),
        Field::new("fromPhase", Name, "The phase that the remediation left."),
        Field::new("toPhase", Name, "The phase that the remediation entered."),
        Field::new("transitionReason", Line, "Why the remediation moved on to the next phase."),
        Field::new("approvalRequestName", Name, "The name of the RemediationApprovalRequest.").column("rar_name"),
        Field::new("approvalRequestedAt", Time, "When approval was asked for."),
        Field::new("requiredBy", Time, "Until when a decision about the approval is needed.").ahead(),
        Field::new("approvalConfidence", Score, "The analysis's confidence, as shown to the person who decides.")
            .column_in("confidence_str", Unit::NumberText),
        Field::new("approvalDecision", Word(&words::APPROVAL_DECISION), "What was decided about the approval.")
            .column("decision"),
        Field::new("approvalDecidedAt", Time, "When the approval was decided."),
        Field::new("approvedBy", Name, "Who agreed, such as `alice@example.com`; null where nobody has.")
            .since("approvalDecidedAt"),
        Field::new("rejectedBy", Name, "Who refused; null where nobody has.").since("approvalDecidedAt"),
        Field::new("rejectionReason", Line, "Why approval was refused.").since("approvalDecidedAt"),
        Field::new("message", Line, "What the person who decided said.").since("approvalDecidedAt"),
        Field::new("reason", Line, "Why the remediation is blocked, skipped or handed to people."),
        Field::new("subReason", Line, "The `reason`, more closely."),
        Field::new("notificationName", Name, "The name of the NotificationRequest that tells people."),
        Field::new("eaName", Name, "The name of the EffectivenessAssessment that checks the effect."),
        Field::new("workflowId", Name, "The chosen workflow's id in the catalogue."),
        Field::new("workflowVersion", Name, "The chosen workflow's version, such as `v1.2.0`."),
        Field::new("actionType", Name, "What the workflow does, such as `RestartPod`."),
        Field::new("preRemediationSpecHash", Name, "The hash of the target's spec before anything was done to it."),
        Field::new("timeoutConfig", Object(&TIMEOUTS), "The time limits in force."),
        Field::new("hashComputeDelayMs", Ms, "How long to wait before the target's spec is hashed.")
            .column_in("hash_compute_delay", Unit::GoDuration),
        Field::new("alertCheckDelayMs", Ms, "How long to wait before the alert is checked.")
            .column_in("alert_check_delay", Unit::GoDuration),
        Field::new("gitopsSyncDelayMs", Ms, "How long GitOps takes to sync.")
            .column_in("gitops_sync_delay", Unit::GoDuration),
        Field::new("operatorReconcileDelayMs", Ms, "How long the operator takes to reconcile.")
            .column_in("operator_reconcile_delay", Unit::GoDuration),
        Field::new("gitopsManaged", Bool, "Whether GitOps manages the target.").column("is_gitops_managed"),
        Field::new("targetIsCrd", Bool, "Whether the target is a custom resource.").column("is_crd"),
    ],
};
