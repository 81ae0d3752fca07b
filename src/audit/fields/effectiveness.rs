//! The fields of an effectiveness audit.

use super::{Field, KindTable, Shape::*, Table};
use crate::audit::{kind::Kind, words};

pub static KIND: KindTable = KindTable {
    kind: Kind::Effectiveness,
    table: &TABLE,
    status: Some("status"),
    status_default: Some("assessed"),
    final_words: &[("assessed", "success")],
    event_type_prefix: "effectiveness",
};

static HEALTH: Table = Table {
    name: "HealthChecks",
    meaning: "How healthy the target was found.",
    fields: &[
        Field::new("podRunning", Bool, "Whether its pods run."),
        Field::new("readinessPass", Bool, "Whether they are ready."),
        Field::new("totalReplicas", Count, "How many there should be."),
        Field::new("readyReplicas", Count, "How many are ready."),
        Field::new("restartDelta", Int, "How many restarts there have been since."),
        Field::new("crashLoops", Bool, "Whether they crash again and again."),
        Field::new("oomKilled", Bool, "Whether they ran out of memory."),
        Field::new("pendingCount", Count, "How many wait for a node."),
    ],
};

static ALERT: Table = Table {
    name: "AlertResolution",
    meaning: "What became of the alert.",
    fields: &[
        Field::new("alertResolved", Bool, "Whether it stopped."),
        Field::new("activeCount", Count, "How many still fire."),
        Field::new("resolutionTimeMs", Ms, "How long it took to stop.").column("resolution_time_seconds"),
    ],
};

static TABLE: Table = Table {
    name: "Effectiveness",
    meaning: "An audit of an effectiveness assessment: whether the remediation worked.",
    fields: &[
        Field::new("assessmentId", Name, "The assessment.").required(),
        Field::new(
            "status",
            Word(&words::ASSESSMENT_STATUS),
            "Where it stands; `assessed` when left out. Without `eventType`, the type is `effectiveness.` and this word.",
        ),
        Field::new("actionType", Name, "The action that is assessed, such as `restart_pod`.").when_final(),
        Field::new("traditionalScore", Score, "Whether the symptom went away.").when_final().since("completedAt"),
        Field::new("environmentalImpact", Impact, "The side effects on the surroundings; below zero is harm.")
            .since("completedAt"),
        Field::new("confidence", Score, "How sure the assessment is.").when_final().since("completedAt"),
        Field::new("trendDirection", Word(&words::TREND), "Where effectiveness is heading.").since("completedAt"),
        Field::new("recentSuccessRate", Score, "How often the action helped lately.").since("completedAt"),
        Field::new("historicalSuccessRate", Score, "How often the action has helped.").since("completedAt"),
        Field::new("dataQuality", Word(&words::DATA_QUALITY), "How far the data carries.").since("completedAt"),
        Field::new("sampleSize", Count, "How many comparable actions there are.").since("completedAt"),
        Field::new("dataAgeDays", Count, "How old the data is, in days.").since("completedAt"),
        Field::new("patternDetected", Bool, "Whether a pattern was seen.").since("completedAt"),
        Field::new("patternDescription", Line, "The pattern.").since("completedAt"),
        Field::new("patternInsights", Lines, "What follows from the pattern.").since("completedAt"),
        Field::new("temporalPattern", Name, "A pattern in time, such as `time_of_day`.").since("completedAt"),
        Field::new("sideEffectsDetected", Bool, "Whether side effects were seen.").since("completedAt"),
        Field::new("sideEffectsDescription", Line, "The side effects.").since("completedAt"),
        Field::new("sideEffectSeverity", Word(&words::IMPACT), "How bad they are.").since("completedAt"),
        Field::new("assessment", Text, "What was seen afterwards, in words.").since("completedAt"),
        Field::new("completedAt", Time, "When it was made.").when_final(),
        Field::new("reason", Word(&words::ASSESSMENT_REASON), "Why it ended.").since("completedAt"),
        Field::new("component", Name, "The component that was assessed: `health`, `alert`, `metrics`, `hash`."),
        Field::new("assessed", Bool, "Whether that component could be assessed."),
        Field::new("score", Score, "That component's score."),
        Field::new("componentsAssessed", Names, "The components that went into it.").since("completedAt"),
        Field::new("assessmentDurationMs", Ms, "How long after the remediation's start it was made.")
            .column("assessment_duration_seconds")
            .since("completedAt"),
        Field::new("validityDeadline", Time, "Until when an assessment is worth making."),
        Field::new("prometheusCheckAfter", Time, "When metrics will be read."),
        Field::new("alertmanagerCheckAfter", Time, "When the alert will be looked at."),
        Field::new("hashComputeAfter", Time, "When the target's spec will be hashed."),
        Field::new("hashComputeDelayMs", Ms, "How long to wait before the spec is hashed.")
            .column("hash_compute_delay"),
        Field::new("alertCheckDelayMs", Ms, "How long to wait before the alert is checked.")
            .column("alert_check_delay"),
        Field::new("validityWindowMs", Ms, "How long an assessment is worth making.").column("validity_window"),
        Field::new("stabilizationWindowMs", Ms, "How long to let things settle first.").column("stabilization_window"),
        Field::new("preRemediationSpecHash", Name, "The hash of the target's spec before."),
        Field::new("postRemediationSpecHash", Name, "The hash of the target's spec after."),
        Field::new("hashMatch", Bool, "Whether both are the same."),
        Field::new("healthChecks", Object(&HEALTH), "How healthy the target was found."),
        Field::new("metricDeltas", Json, "Metrics before and after."),
        Field::new("alertResolution", Object(&ALERT), "What became of the alert."),
    ],
};
