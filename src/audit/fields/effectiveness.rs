//! The fields of an effectiveness audit.

use super::{Field, KindTable, Shape::*, Table, Unit};
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
        Field::new("podRunning", Bool, "Whether the target's pods run."),
        Field::new("readinessPass", Bool, "Whether the pods are ready."),
        Field::new("totalReplicas", Count, "How many pods there should be."),
        Field::new("readyReplicas", Count, "How many pods are ready."),
        Field::new("restartDelta", Int, "How many restarts there have been since the remediation."),
        Field::new("crashLoops", Bool, "Whether the pods crash again and again."),
        Field::new("oomKilled", Bool, "Whether a pod ran out of memory."),
        Field::new("pendingCount", Count, "How many pods wait for a node."),
    ],
};

static ALERT: Table = Table {
    name: "AlertResolution",
    meaning: "What became of the alert.",
    fields: &[
        Field::new("alertResolved", Bool, "Whether the alert stopped."),
        Field::new("activeCount", Count, "How many such alerts still fire."),
        Field::new("resolutionTimeMs", Ms, "How long the alert took to stop.")
            .column_in("resolution_time_seconds", Unit::Seconds),
    ],
};

static TABLE: Table = Table {
    name: "Effectiveness",
    meaning: "An audit of an effectiveness assessment: whether the remediation worked.",
    fields: &[
        Field::new("assessmentId", Name, "The assessment's own id, which all audits of it name.").required(),
        Field::new(
            "status",
            Word(&words::ASSESSMENT_STATUS),
            "Where the assessment stands; `assessed` when left out. Without `eventType`, the type is `effectiveness.` and this word.",
        ),
        Field::new("actionType", Name, "The action that is assessed, such as `restart_pod`.").when_final(),
        Field::new("traditionalScore", Score, "How far the symptom went away: 1 is gone.")
            .when_final()
            .since("completedAt"),
        Field::new("environmentalImpact", Impact, "The side effects on the surroundings; below zero is harm.")
            .since("completedAt"),
        Field::new("confidence", Score, "How sure the assessment is.").when_final().since("completedAt"),
        Field::new("trendDirection", Word(&words::TREND), "Where effectiveness is heading.").since("completedAt"),
        Field::new("recentSuccessRate", Score, "How often the action helped lately.").since("completedAt"),
        Field::new("historicalSuccessRate", Score, "How often the action has helped.").since("completedAt"),
        Field::new("dataQuality", Word(&words::DATA_QUALITY), "How far the data carries.").since("completedAt"),
        Field::new("sampleSize", Count, "How many comparable actions the rates are taken from.").since("completedAt"),
        Field::new("dataAgeDays", Count, "How old the data is, in days.").since("completedAt"),
        Field::new("patternDetected", Bool, "Whether a pattern was seen.").since("completedAt"),
        Field::new("patternDescription", Line, "The pattern, in words.").since("completedAt"),
        Field::new("patternInsights", Lines, "What follows from the pattern.").since("completedAt"),
        Field::new("temporalPattern", Name, "A pattern in time, such as `time_of_day`.").since("completedAt"),
        Field::new("sideEffectsDetected", Bool, "Whether side effects were seen.").since("completedAt"),
        Field::new("sideEffectsDescription", Line, "The side effects, in words.").since("completedAt"),
        Field::new("sideEffectSeverity", Word(&words::IMPACT), "How bad the side effects are.").since("completedAt"),
        Field::new("assessment", Text, "What was seen afterwards, in words.").since("completedAt"),
        Field::new("completedAt", Time, "When the assessment was made.").when_final(),
        Field::new("reason", Word(&words::ASSESSMENT_REASON), "Why the assessment ended.").since("completedAt"),
        Field::new("component", Name, "The component that was assessed: `health`, `alert`, `metrics`, `hash`."),
        Field::new("assessed", Bool, "Whether that component could be assessed."),
        Field::new("score", Score, "That component's score."),
        Field::new(
            "componentsAssessed",
            Names,
            "The components that went into the assessment, such as `health` and `alert`.",
        )
        .since("completedAt"),
        Field::new("assessmentDurationMs", Ms, "How long after the remediation's start the assessment was made.")
            .column_in("assessment_duration_seconds", Unit::Seconds)
            .since("completedAt"),
        Field::new("validityDeadline", Time, "Until when an assessment is worth making.").ahead(),
        Field::new("prometheusCheckAfter", Time, "When metrics will be read.").ahead(),
        Field::new("alertmanagerCheckAfter", Time, "When the alert will be looked at.").ahead(),
        Field::new("hashComputeAfter", Time, "When the target's spec will be hashed.").ahead(),
        Field::new("hashComputeDelayMs", Ms, "How long to wait before the target's spec is hashed.")
            .column_in("hash_compute_delay", Unit::GoDuration),
        Field::new("alertCheckDelayMs", Ms, "How long to wait before the alert is checked.")
            .column_in("alert_check_delay", Unit::GoDuration),
        Field::new("validityWindowMs", Ms, "How long an assessment is worth making.")
            .column_in("validity_window", Unit::GoDuration),
        Field::new("stabilizationWindowMs", Ms, "How long to let things settle first.")
            .column_in("stabilization_window", Unit::GoDuration),
        Field::new("preRemediationSpecHash", Name, "The hash of the target's spec before anything was done to it."),
        Field::new("postRemediationSpecHash", Name, "The hash of the target's spec afterwards."),
        Field::new("hashMatch", Bool, "Whether both hashes are the same: then nothing of the spec has changed."),
        Field::new("healthChecks", Object(&HEALTH), "How healthy the target was found."),
        Field::new("metricDeltas", Json, "Metrics before and after, as JSON."),
        Field::new("alertResolution", Object(&ALERT), "What became of the alert."),
    ],
};
