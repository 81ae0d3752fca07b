//! The AI analysis: it investigates with its tools, weighs what it found, and recommends.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Span, Story, time, with};
use crate::{
    audit::Kind,
    demo::{
        plan::{Ending, Stage},
        texts,
    },
};

impl Story<'_> {
    /// The audit of the finished analysis; `None` when it came to nothing.
    pub(super) fn analysed(&mut self, processed: Uuid) -> Option<Uuid> {
        self.pass(250, 1_200);
        let created_child = self.create_child("AIAnalysis", "ai");
        let child = self.child("ai");
        let routed = self.phase(
            "analyzing",
            Some(processed),
            json!({
                "fromPhase": "Processing", "toPhase": "Analyzing", "aiAnalysisName": child.clone(),
                "aiAnalysisStartedAt": time(self.now), "crdPropagation": created_child,
                "decision": {
                    "point": "where does the signal go after processing", "chosen": "ai-analysis",
                    "rule": "no-recent-remediation",
                    "reason": "no remediation of this target is running or has just ended",
                    "options": [
                        {"name": "ai-analysis", "taken": true},
                        {"name": "block", "taken": false, "reason": "no consecutive failures"},
                        {"name": "skip", "taken": false, "reason": "outside the cool-down of the last remediation"},
                    ],
                },
            }),
        );

        self.pass(300, 1_500);
        let start = self.now;
        let investigating = self.analysis(
            "investigating",
            Some(routed),
            json!({
                "investigationStart": time(start), "llmProvider": "self-hosted", "llmModel": self.model,
                "signal": self.signal(), "target": self.target(),
                "environment": self.plan.cluster.environment, "severity": self.plan.severity,
            }),
        );
        let tools = self.tool_calls(investigating);
        self.pass(9_000, 45_000);
        if self.plan.ending == Ending::AnalysisFailed {
            self.gave_up(investigating, start, &tools);
            return None;
        }
        let end = self.now;
        let found = self.found(start, end, &tools);
        let investigated = self.analysis("analyzing", Some(investigating), found);

        self.pass(3_000, 24_000);
        self.spans.push(("ai_analysis", Span { start, end: self.now }));
        self.stages.insert(Stage::Investigating, Span { start, end: self.now });
        let recommended = self.recommended(end);
        let analysed = self.analysis("completed", Some(investigated), recommended);
        Some(analysed)
    }

    pub(super) fn analysis(&mut self, status: &str, parent: Option<Uuid>, fields: Value) -> Uuid {
        let actor = json!({"type": "ai", "id": "remediation-agent", "displayName": self.model});
        let own = json!({"completionStatus": status, "crdName": self.child("ai"), "crdNamespace": "remediation"});
        self.audit(Kind::AiAnalysis, actor, parent, with(own, fields))
    }

    /// What the agent asks of the cluster while it investigates.
    fn tool_calls(&mut self, investigating: Uuid) -> Vec<&'static str> {
        let count = self.draw.range(1, 4) as usize;
        let mut used = Vec::new();
        for (index, (tool, arguments, preview)) in self.draw.some(texts::TOOL_CALLS, count).into_iter().enumerate() {
            self.pass(2_000, 21_000);
            let (arguments, preview) = (self.fill(arguments), self.fill(preview));
            let ms = self.draw.range(60, 2_900);
            self.audit(
                Kind::Other,
                json!({"type": "ai", "id": "remediation-agent", "displayName": self.model}),
                Some(investigating),
                json!({
                    "category": "aiagent", "eventType": "aiagent.llm.tool_call", "outcome": "success",
                    "payload": {
                        "toolCallIndex": index, "toolName": tool, "toolArguments": arguments,
                        "toolResultPreview": preview, "durationMs": ms,
                    },
                }),
            );
            if !used.contains(tool) {
                used.push(*tool);
            }
        }
        used
    }

    fn found(&mut self, start: DateTime<Utc>, end: DateTime<Utc>, tools: &[&str]) -> Value {
        let (plan, text) = (self.plan, &self.text);
        let mut fields = json!({
            "investigationStart": time(start), "investigationEnd": time(end),
            "investigationDurationMs": Span { start, end }.ms(), "analysisStart": time(end),
            "investigationReport": text.report, "rootCauseSummary": text.summary,
            "rootCauseConfidence": plan.confidence,
            "rcaSignalType": plan.signal.name, "rcaSeverity": plan.severity, "toolsInvoked": tools,
        });
        if matches!(plan.ending, Ending::ManualReview | Ending::NoAction) {
            fields["rootCauseCount"] = json!(0);
            return fields;
        }
        with(
            fields,
            json!({
                "rootCause": text.root_cause, "causalChain": text.chain, "contributingFactors": text.factors,
                "rootCauseCount": self.draw.range(1, 3),
            }),
        )
    }

    fn recommended(&mut self, start: DateTime<Utc>) -> Value {
        let plan = self.plan;
        let (prompt, completion) = (self.draw.range(9_000, 96_000), self.draw.range(900, 6_800));
        let began = self.spans.last().map_or(start, |(_, span)| span.start);
        let mut fields = json!({
            "investigationStart": time(began), "investigationEnd": time(start),
            "analysisStart": time(start), "analysisEnd": time(self.now),
            "analysisDurationMs": Span { start, end: self.now }.ms(),
            "durationMs": Span { start: began, end: self.now }.ms(),
            "confidenceScore": plan.confidence, "hallucinationDetected": self.draw.chance(2),
            "llmProvider": "self-hosted", "llmModel": self.model,
            "promptTokens": prompt, "completionTokens": completion, "totalTokens": prompt + completion,
            "environment": plan.cluster.environment, "severity": plan.severity, "rootCauseSummary": self.text.summary,
        });
        match plan.ending {
            Ending::NoAction => {
                return with(
                    fields,
                    json!({"needsHumanReview": false, "approvalRequired": false, "reason": "nothing \
                    to remediate: the condition has cleared"}),
                );
            }
            Ending::ManualReview => {
                let why = self.draw.pick(&["low_confidence", "investigation_inconclusive", "no_matching_workflows"]);
                return with(
                    fields,
                    json!({"needsHumanReview": true, "humanReviewReason": why, "approvalRequired": false}),
                );
            }
            _ => {}
        }
        let likely = self.draw.score(0.6, 0.95);
        let past = self.draw.score(
            (f64::from(plan.remedy.odds) / 100.0 - 0.12).max(0.05),
            (f64::from(plan.remedy.odds) / 100.0 + 0.04).min(0.99),
        );
        let mut recommendations = vec![json!({
            "action": plan.remedy.workflow, "effectivenessProbability": likely, "historicalSuccessRate": past,
            "target": self.target_path(), "rationale": self.text.rationale,
        })];
        if let Some(other) = plan.cause.remedies.iter().find(|other| other.workflow != plan.remedy.workflow) {
            let (less, rationale) = (self.draw.score(0.3, 0.6), self.one(other.rationale));
            recommendations
                .push(json!({"action": other.workflow, "effectivenessProbability": less, "rationale": rationale}));
        }
        let mut alternatives = Vec::new();
        for (action, reason) in self.text.alternatives.clone() {
            alternatives
                .push(json!({"action": action, "confidence": self.draw.score(0.08, 0.58), "rejectedReason": reason}));
        }
        let workflow = plan.workflow();
        fields = with(
            fields,
            json!({
                "recommendations": recommendations, "topRecommendation": plan.remedy.workflow,
                "effectivenessProbability": likely, "historicalSuccessRate": past,
                "alternativesConsidered": alternatives, "recommendedAction": workflow.action_type,
                "actionConfidence": plan.confidence, "actionRationale": self.text.rationale,
                "workflowId": workflow.name, "workflowCrdName": self.child("we"), "workflowCrdNamespace": "remediation",
                "approvalRequired": plan.asks, "needsHumanReview": false,
            }),
        );
        if plan.asks {
            fields["approvalReason"] = self.asking().into();
        } else {
            let policy =
                json!({"approvalStatus": "auto_approved", "approvalTime": time(self.now), "approvalMethod": "api"});
            fields = with(fields, policy);
        }
        fields
    }

    /// Why policy wants a person; true of the confidence that the analysis has.
    pub(super) fn asking(&mut self) -> String {
        self.figures.insert("confidence", format!("{:.2}", self.plan.confidence));
        // The second of them speaks of a confidence below the threshold.
        let place = match self.draw.below(texts::ASKING.len()) {
            1 if self.plan.confidence >= 0.8 => 0,
            other => other,
        };
        self.fill(texts::ASKING[place])
    }

    fn gave_up(&mut self, investigating: Uuid, start: DateTime<Utc>, tools: &[&str]) {
        self.pass(60_000, 420_000);
        let (message, code) = self.draw.pick(texts::ANALYSIS_FAILURES);
        let status = if code == "ERR_LLM_OVERLOADED" { "timeout" } else { "failed" };
        self.spans.push(("ai_analysis", Span { start, end: self.now }));
        self.analysis(
            status,
            Some(investigating),
            json!({
                "investigationStart": time(start), "analysisEnd": time(self.now), "failureReason": message,
                "errorCode": code, "toolsInvoked": tools, "degradedMode": true, "needsHumanReview": true,
                "humanReviewReason": if code == "ERR_LLM_PARSING" { "llm_parsing_error" } else { "rca_incomplete" },
                "environment": self.plan.cluster.environment, "severity": self.plan.severity,
                "llmProvider": "self-hosted", "llmModel": self.model,
            }),
        );
    }
}
