//! The beginning: the gateway receives a signal, the orchestrator takes it up, signal processing classifies it.

use chrono::TimeDelta;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Span, Story, orchestrator, service, time, with};
use crate::{audit::Kind, demo::cast::hex};
use sha2::{Digest as _, Sha256};

impl Story<'_> {
    pub(super) fn received(&mut self) -> Uuid {
        let plan = self.plan;
        let firing = time(self.now - TimeDelta::seconds(40));
        let received = self.audit(
            Kind::Other,
            service("gateway"),
            None,
            json!({
                "category": "gateway", "eventType": "gateway.signal.received", "outcome": "success",
                "environment": plan.cluster.environment, "severity": plan.severity,
                "signal": self.signal(), "target": self.target(),
                "payload": {
                    "signalType": "alert", "firingTime": firing, "node": plan.node,
                    "deduplication": if plan.follows.is_some() { "recurrence" } else { "new" },
                },
            }),
        );
        if self.draw.chance(22) {
            let at = self.now + TimeDelta::seconds(self.draw.range(20, 70));
            let occurrences = self.draw.range(2, 9);
            self.audit_at(
                at,
                Kind::Other,
                service("gateway"),
                Some(received),
                json!({
                    "category": "gateway", "eventType": "gateway.signal.deduplicated", "outcome": "success",
                    "payload": {"fingerprint": plan.fingerprint, "occurrences": occurrences},
                }),
            );
        }
        received
    }

    pub(super) fn created(&mut self, received: Uuid) -> Uuid {
        self.pass(180, 900);
        let created = self.phase(
            "pending",
            Some(received),
            json!({
                "signalReceivedAt": time(self.started_at), "remediationCreatedAt": time(self.now),
                "startTime": time(self.started_at), "namespace": "remediation",
                "environment": self.plan.cluster.environment, "severity": self.plan.severity,
                "signal": self.signal(), "target": self.target(),
                "timeoutConfig": {
                    "globalMs": 3_600_000, "processingMs": 300_000, "analyzingMs": 600_000, "executingMs": 1_800_000,
                },
            }),
        );
        self.pass(60, 400);
        let created_child = self.create_child("SignalProcessing", "sp");
        let child = self.child("sp");
        self.phase(
            "processing",
            Some(created),
            json!({
                "fromPhase": "Pending", "toPhase": "Processing", "remediationProcessingName": child,
                "crdPropagation": created_child,
            }),
        )
    }

    pub(super) fn processed(&mut self, created: Uuid) -> Uuid {
        let plan = self.plan;
        let actor = || service("signal-processing");
        self.pass(200, 900);
        let start = self.now;
        if self.draw.chance(75) {
            self.audit(
                Kind::SignalProcessing,
                actor(),
                Some(created),
                json!({"status": "enriching", "fromPhase": "Pending", "toPhase": "Enriching"}),
            );
        }

        let degraded = self.draw.chance(7);
        let all = ["kubernetes", "prometheus", "history", "loki"];
        let sources: Vec<&str> =
            if degraded { vec!["kubernetes"] } else { self.draw.some(&all, 3).into_iter().copied().collect() };
        self.pass(350, if degraded { 31_000 } else { 2_800 });
        let enriched = self.now;
        if self.draw.chance(45) {
            self.audit(
                Kind::SignalProcessing,
                actor(),
                None,
                json!({"status": "classifying", "fromPhase": "Enriching", "toPhase": "Classifying"}),
            );
        }
        self.pass(90, 900);
        let classified = self.now;
        self.pass(40, 500);
        let end = self.now;

        let quality = if degraded { self.draw.score(0.31, 0.52) } else { self.draw.score(0.78, 0.99) };
        let sure = self.draw.score(0.86, 0.99);
        let size = self.draw.range(6_000, 61_000);
        let method = self.draw.pick(&["namespace-label", "namespace-label", "pattern", "fallback"]);
        let rank = match plan.service.priority {
            "P0" => 1,
            "P1" => 2,
            _ => 3,
        };
        let sla = match plan.service.priority {
            "P0" => "15m",
            "P1" => "1h",
            _ => "4h",
        };
        let criticality = match plan.service.priority {
            "P0" => "critical",
            "P1" => "high",
            "P2" => "medium",
            _ => "low",
        };
        let mut fields = json!({
            "status": if degraded { "degraded" } else { "completed" },
            "environment": plan.cluster.environment, "severity": plan.severity,
            "signal": self.signal(), "target": self.target(),
            "processingPhases": [
                {"phase": "enriching", "startTime": time(start), "endTime": time(enriched),
                 "durationMs": Span { start, end: enriched }.ms(),
                 "enrichmentResults": {"contextQuality": quality, "contextSizeBytes": size,
                 "contextSources": sources.clone(), "degradedMode": degraded}},
                {"phase": "classifying", "startTime": time(enriched), "endTime": time(classified),
                 "durationMs": Span { start: enriched, end: classified }.ms(),
                 "classificationResults": {"environment": plan.cluster.environment, "confidence": sure,
                 "businessPriority": plan.service.priority, "classificationMethod": method}},
                {"phase": "routing", "startTime": time(classified), "endTime": time(end),
                 "durationMs": Span { start: classified, end }.ms(),
                 "routingResults": {"routedToService": "ai-analysis", "routingPriority": rank,
                 "routingKey": format!("{}.{}", plan.cluster.environment, plan.service.priority)}},
            ],
            "enrichmentQuality": quality, "enrichmentSources": sources, "contextSizeBytes": size, "confidence": sure,
            "businessPriority": plan.service.priority, "slaRequirement": sla, "criticality": criticality,
            "businessUnit": plan.service.namespace, "routedToService": "ai-analysis", "routingPriority": rank,
            "completedAt": time(end), "durationMs": Span { start, end }.ms(), "degradedMode": degraded,
            "determinationSource": "rego-policy", "policyHash": hex(&Sha256::digest("severity policy 14")),
            "hasOwnerChain": plan.target.kind != "Node", "hasNamespace": plan.target.namespace.is_some(),
            "hasPod": !degraded, "signalMode": "reactive",
        });
        if degraded {
            fields["errorMessage"] = "prometheus: context deadline exceeded after 30s; continued with the cluster's \
                own objects"
                .into();
        }
        let processed = self.audit(Kind::SignalProcessing, actor(), Some(created), fields);
        self.spans.push(("signal_processing", Span { start, end }));
        processed
    }

    pub(super) fn phase(&mut self, phase: &str, parent: Option<Uuid>, fields: Value) -> Uuid {
        self.audit(Kind::Orchestration, orchestrator(), parent, with(json!({"overallPhase": phase}), fields))
    }
}
