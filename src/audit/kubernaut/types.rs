//! The event types of Kubernaut's services, each with its kind.

use crate::audit::kind::Kind;

/// Every event type that Kubernaut documents, by the kind that it belongs to.
pub const TYPES: &[(Kind, &[&str])] = &[
    (
        Kind::Orchestration,
        &[
            "orchestrator.lifecycle.started",
            "orchestrator.lifecycle.created",
            "orchestrator.lifecycle.completed",
            "orchestrator.lifecycle.failed",
            "orchestrator.lifecycle.verifying_started",
            "orchestrator.lifecycle.verification_completed",
            "orchestrator.lifecycle.verification_timed_out",
            "orchestrator.lifecycle.transitioned",
            "orchestrator.approval.requested",
            "orchestrator.approval.approved",
            "orchestrator.approval.rejected",
            "orchestrator.remediation.manual_review",
            "orchestrator.routing.blocked",
            "orchestrator.ea.created",
            "remediation.workflow_created",
            "webhook.remediationrequest.timeout_modified",
        ],
    ),
    (
        Kind::SignalProcessing,
        &[
            "signalprocessing.signal.processed",
            "signalprocessing.phase.transition",
            "signalprocessing.classification.decision",
            "signalprocessing.business.classified",
            "signalprocessing.enrichment.completed",
            "signalprocessing.error.occurred",
        ],
    ),
    (
        Kind::AiAnalysis,
        &[
            "aianalysis.analysis.completed",
            "aianalysis.analysis.failed",
            "aianalysis.phase.transition",
            "aianalysis.aiagent.call",
            "aianalysis.aiagent.submit",
            "aianalysis.aiagent.result",
            "aianalysis.approval.decision",
            "aianalysis.rego.evaluation",
            "aianalysis.error.occurred",
            "aiagent.response.complete",
            "aiagent.rca.complete",
            "aiagent.response.failed",
            "aiagent.enrichment.completed",
            "aiagent.enrichment.failed",
            "aiagent.llm.request",
            "aiagent.llm.response",
            "aiagent.llm.tool_call",
            "aiagent.workflow.validation_attempt",
            "aiagent.session.started",
            "aiagent.session.completed",
            "aiagent.session.failed",
            "aiagent.session.cancelled",
            "aiagent.session.suspended",
            "aiagent.session.resumed",
            "aiagent.session.observed",
            "aiagent.session.access_denied",
            "aiagent.interactive.started",
            "aiagent.interactive.completed",
            "aiagent.interactive.k8s_call",
            "aiagent.secret.accessed",
            "aiagent.investigation.cancelled",
            "aiagent.alignment.step",
            "aiagent.alignment.verdict",
            "aiagent.shadow.llm.request",
            "aiagent.shadow.llm.response",
            "aiagent.ratelimit.denied",
            "aiagent.auth.failure",
            "aiagent.auth.denied",
            "workflow.catalog.actions_listed",
            "workflow.catalog.workflows_listed",
            "workflow.catalog.workflow_retrieved",
            "workflow.catalog.selection_validated",
        ],
    ),
    (
        Kind::WorkflowExecution,
        &[
            "workflowexecution.workflow.started",
            "workflowexecution.workflow.completed",
            "workflowexecution.workflow.failed",
            "workflowexecution.selection.completed",
            "workflowexecution.execution.started",
            "workflowexecution.block.cleared",
        ],
    ),
    (
        Kind::Notification,
        &[
            "notification.message.sent",
            "notification.message.failed",
            "notification.message.acknowledged",
            "notification.message.escalated",
            "webhook.notification.cancelled",
            "webhook.notification.acknowledged",
        ],
    ),
    (
        Kind::Effectiveness,
        &[
            "effectiveness.health.assessed",
            "effectiveness.hash.computed",
            "effectiveness.alert.assessed",
            "effectiveness.metrics.assessed",
            "effectiveness.assessment.scheduled",
            "effectiveness.assessment.completed",
            "effectiveness.alert_decay.detected",
        ],
    ),
    (
        Kind::Other,
        &[
            "gateway.signal.received",
            "gateway.signal.deduplicated",
            "gateway.crd.created",
            "gateway.crd.failed",
            "gateway.config.reloaded",
            "gateway.config.rejected",
            "webhook.remediationapprovalrequest.decided",
            "remediationworkflow.admitted.create",
            "remediationworkflow.admitted.update",
            "remediationworkflow.admitted.delete",
            "remediationworkflow.admitted.denied",
            "authwebhook.workflow.registration_failed",
            "datastorage.workflow.created",
            "datastorage.workflow.updated",
            "datastorage.ratelimit.denied",
            "datastorage.actiontype.created",
            "datastorage.actiontype.updated",
            "datastorage.actiontype.disabled",
            "datastorage.actiontype.reenabled",
            "datastorage.actiontype.disable_denied",
            "actiontype.admitted.create",
            "actiontype.admitted.update",
            "actiontype.admitted.delete",
            "actiontype.denied.create",
            "actiontype.denied.update",
            "actiontype.denied.delete",
            "agentsession.admitted.create",
            "agentsession.denied.create",
            "apifrontend.triage.started",
            "apifrontend.triage.completed",
            "apifrontend.rr.created",
            "apifrontend.rr.deduplicated",
            "apifrontend.session.created",
            "apifrontend.session.completed",
            "apifrontend.session.phase_changed",
            "apifrontend.session.deleted",
            "apifrontend.session.auto_cancelled",
            "apifrontend.session.retention_deleted",
            "apifrontend.ka.delegated",
            "apifrontend.ka.result_received",
            "apifrontend.user.decision",
            "apifrontend.auth.access_denied",
            "apifrontend.auth.success",
            "apifrontend.auth.failure",
            "apifrontend.tool.executed",
            "apifrontend.workflow.discovery",
            "apifrontend.ratelimit.denied",
            "apifrontend.circuitbreaker.trip",
            "apifrontend.impersonation.created",
            "apifrontend.jwt.delegation",
            "apifrontend.a2a.task_started",
            "apifrontend.a2a.task_completed",
            "apifrontend.a2a.task_failed",
            "apifrontend.mcp.tool_failed",
            "apifrontend.mcp.session_init",
            "apifrontend.severity_triage.completed",
            "apifrontend.severity_triage.failed",
            "apifrontend.config.reloaded",
            "apifrontend.config.rejected",
        ],
    ),
];

/// The kind that an event type belongs to; the open one for a type that is not known, for it is a fact all the same.
pub fn kind(event_type: &str) -> Kind {
    TYPES.iter().find(|(_, types)| types.contains(&event_type)).map_or(Kind::Other, |(kind, _)| *kind)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_documented_type_has_one_kind_and_others_have_the_open_one() {
        let all: Vec<&str> = TYPES.iter().flat_map(|(_, types)| *types).copied().collect();
        assert_eq!(all.len(), 142);
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), 142);
        assert_eq!(kind("workflow.catalog.actions_listed"), Kind::AiAnalysis);
        assert_eq!(kind("webhook.notification.cancelled"), Kind::Notification);
        assert_eq!(kind("aiagent.fleet_overlay.failed"), Kind::Other);
        assert_eq!(kind(""), Kind::Other);
    }
}
