//! The effectiveness monitor: after things have settled it looks whether the remedy worked.

use chrono::TimeDelta;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Span, Story, service, time, with};
use crate::{
    audit::Kind,
    demo::{
        plan::{Effect, Ending, Stage},
        texts,
    },
};

const STABILISATION: TimeDelta = TimeDelta::minutes(5);
const VALIDITY: TimeDelta = TimeDelta::minutes(30);

impl Story<'_> {
    /// The orchestrator waits for the assessment before it ends the remediation.
    pub(super) fn verified(&mut self, carried_out: Uuid) {
        let start = self.now;
        let verifying = self.phase(
            "verifying",
            Some(carried_out),
            json!({"fromPhase": "Executing", "toPhase": "Verifying", "eaName": self.child("ea")}),
        );
        let outcome = match self.plan.ending {
            Ending::VerificationTimedOut => "verification_timed_out",
            Ending::Inconclusive => "inconclusive",
            _ => "remediated",
        };
        let assessed = self.assessed(verifying);
        self.stages.insert(Stage::Verifying, Span { start, end: self.now });
        self.ended(assessed, outcome);
    }

    /// The audit of the assessment, which is made some minutes from now.
    pub(super) fn assessed(&mut self, parent: Uuid) -> Uuid {
        self.pass(300, 2_000);
        let scheduled_at = self.now;
        let delay = self.draw.range(15, 180);
        let due = scheduled_at + STABILISATION + TimeDelta::seconds(delay);
        let scheduled = self.assessment(
            "scheduled",
            Some(parent),
            json!({
                "validityDeadline": time(scheduled_at + VALIDITY), "prometheusCheckAfter": time(due),
                "alertmanagerCheckAfter": time(due), "stabilizationWindowMs": STABILISATION.num_milliseconds(),
                "validityWindowMs": VALIDITY.num_milliseconds(), "actionType": self.action(),
            }),
        );
        if self.plan.ending == Ending::VerificationTimedOut {
            self.now = scheduled_at + VALIDITY;
            let fields = json!({"reason": "metrics_timed_out", "actionType": self.action(),
            "completedAt": time(self.now),
                "assessment": self.fill("{The metrics of {service} did not arrive|Prometheus had no samples for \
                    {service}} before the window closed; whether the change helped could not be verified.")});
            return self.assessment("expired", Some(scheduled), fields);
        }
        self.now = due;
        self.components(scheduled);
        self.pass(400, 4_000);
        let fields = self.verdict();
        let status = if self.plan.ending == Ending::Inconclusive { "insufficient_data" } else { "assessed" };
        self.assessment(status, Some(scheduled), fields)
    }

    fn assessment(&mut self, status: &str, parent: Option<Uuid>, fields: Value) -> Uuid {
        let own = json!({"assessmentId": self.child("ea"), "status": status});
        self.audit(Kind::Effectiveness, service("effectiveness-monitor"), parent, with(own, fields))
    }

    fn helped(&self) -> bool {
        self.plan.effect != Effect::Unchanged
    }

    /// Each component that could be looked at, on its own.
    fn components(&mut self, scheduled: Uuid) {
        let helped = self.helped();
        let replicas: i64 = self.figures["replicas"].parse().unwrap_or(3);
        if self.draw.chance(80) {
            self.pass(100, 900);
            let ready = if helped { replicas } else { self.draw.range(0, replicas - 1) };
            let restarts = if helped { 0 } else { self.draw.range(2, 9) };
            let score = if helped { self.draw.score(0.9, 1.0) } else { self.draw.score(0.1, 0.45) };
            let crash_loops = !helped && matches!(self.plan.family.name, "oom-kill" | "crash-loop" | "bad-rollout");
            self.assessment(
                "assessing",
                Some(scheduled),
                json!({
                    "eventType": "effectiveness.health.assessed", "component": "health", "assessed": true,
                    "score": score,
                    "healthChecks": {
                        "podRunning": true, "readinessPass": helped, "totalReplicas": replicas, "readyReplicas": ready,
                        "restartDelta": restarts, "crashLoops": crash_loops,
                        "oomKilled": !helped && self.plan.family.name == "oom-kill", "pendingCount": 0,
                    },
                }),
            );
        }
        if self.draw.chance(70) {
            self.pass(100, 900);
            let fields = if helped {
                let ms = self.draw.range(70_000, 400_000);
                json!({"alertResolved": true, "activeCount": 0, "resolutionTimeMs": ms})
            } else {
                json!({"alertResolved": false, "activeCount": self.draw.range(1, 3)})
            };
            self.assessment(
                "assessing",
                Some(scheduled),
                json!({
                    "eventType": "effectiveness.alert.assessed", "component": "alert", "assessed": true,
                    "score": if helped { 1.0 } else { 0.0 }, "alertResolution": fields,
                }),
            );
        }
    }

    fn verdict(&mut self) -> Value {
        let (plan, now) = (self.plan, self.now);
        if plan.ending == Ending::Inconclusive {
            let words = self.fill(
                "{Too few requests reached {service} in the window to judge|The target was changed \
                by somebody else meanwhile}, so that neither success nor failure can be told from the figures.",
            );
            return json!({
                "actionType": self.action(), "traditionalScore": 0.5, "confidence": self.draw.score(0.2, 0.4),
                "dataQuality": "insufficient", "trendDirection": "insufficient_data", "assessment": words,
                "completedAt": time(now), "reason": "partial",
            });
        }
        let (score, impact, severity) = match plan.effect {
            Effect::Good => (self.draw.score(0.82, 1.0), self.draw.score(0.0, 0.3), "none"),
            Effect::Mixed => (self.draw.score(0.68, 0.9), -self.draw.score(0.1, 0.5), "medium"),
            Effect::Unchanged => (self.draw.score(0.04, 0.38), -self.draw.score(0.0, 0.2), "none"),
        };
        let past = f64::from(plan.remedy.odds) / 100.0;
        let recent = (past + self.draw.score(-0.12, 0.08)).clamp(0.0, 1.0);
        let trend = match recent - past {
            change if change > 0.04 => "improving",
            change if change < -0.06 => "declining",
            _ => "stable",
        };
        let cases = self.draw.range(4, 80);
        let mut fields = json!({
            "actionType": self.action(), "traditionalScore": score, "environmentalImpact": impact,
            "confidence": self.draw.score(0.7, 0.96),
            "trendDirection": if cases < 8 { "insufficient_data" } else { trend },
            "recentSuccessRate": (recent * 100.0).round() / 100.0, "historicalSuccessRate": past,
            "dataQuality": if cases < 8 { "limited" } else { "sufficient" }, "sampleSize": cases,
            "dataAgeDays": self.draw.range(20, 90), "assessment": self.text.assessment,
            "sideEffectsDetected": plan.effect == Effect::Mixed, "sideEffectSeverity": severity,
            "completedAt": time(now), "reason": "full", "componentsAssessed": ["health", "alert", "metrics"],
            "assessmentDurationMs": (now - self.started_at).num_milliseconds(),
        });
        if plan.effect == Effect::Mixed {
            fields["sideEffectsDescription"] = self.text.side_effect.clone().into();
        }
        if self.draw.chance(28) {
            let (pattern, word) = self.draw.pick(texts::PATTERNS);
            let pattern = self.fill(pattern);
            fields =
                with(fields, json!({"patternDetected": true, "patternDescription": pattern, "temporalPattern": word}));
        }
        fields
    }

    /// The workflow as effectiveness monitors write actions, such as `restart_pods`.
    fn action(&self) -> String {
        self.plan.remedy.workflow.replace('-', "_")
    }
}
