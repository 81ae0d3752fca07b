//! The fields of a signal-processing audit.

use super::{Field, KindTable, Shape::*, Table};
use crate::audit::{kind::Kind, words};

pub static KIND: KindTable = KindTable {
    kind: Kind::SignalProcessing,
    table: &TABLE,
    status: Some("status"),
    status_default: None,
    final_words: &[("completed", "success"), ("failed", "failure"), ("degraded", "success")],
    event_type_prefix: "signal_processing",
};

static ENRICHMENT: Table = Table {
    name: "EnrichmentResults",
    meaning: "What enriching found.",
    fields: &[
        Field::new("contextQuality", Score, "The share of the wanted context that was got."),
        Field::new("contextSizeBytes", Count, "The context's size in bytes."),
        Field::new("contextSources", Names, "Where it came from."),
        Field::new("degradedMode", Bool, "Whether sources were missing."),
    ],
};

static CLASSIFICATION: Table = Table {
    name: "ClassificationResults",
    meaning: "What classifying found.",
    fields: &[
        Field::new("environment", Name, "The environment."),
        Field::new("confidence", Score, "How sure that is."),
        Field::new("businessPriority", Word(&words::PRIORITY), "The business priority."),
        Field::new("classificationMethod", Word(&words::CLASSIFICATION_METHOD), "How it was found."),
    ],
};

static ROUTING: Table = Table {
    name: "RoutingResults",
    meaning: "Where routing sent it.",
    fields: &[
        Field::new("routedToService", Name, "The next service."),
        Field::new("routingPriority", Int, "Its place in the queue, 1 first."),
        Field::new("routingKey", Name, "The key it was routed by."),
    ],
};

static PHASE: Table = Table {
    name: "ProcessingPhase",
    meaning: "One step of signal processing.",
    fields: &[
        Field::new("phase", Word(&words::PROCESSING_PHASE), "Which step.").required(),
        Field::new("startTime", Time, "When it began."),
        Field::new("endTime", Time, "When it ended."),
        Field::new("durationMs", Ms, "How long it took.").column("duration"),
        Field::new("enrichmentResults", Object(&ENRICHMENT), "What enriching found."),
        Field::new("classificationResults", Object(&CLASSIFICATION), "What classifying found."),
        Field::new("routingResults", Object(&ROUTING), "Where routing sent it."),
    ],
};

static TABLE: Table = Table {
    name: "SignalProcessing",
    meaning: "An audit of signal processing: how the signal was enriched, classified and routed.",
    fields: &[
        Field::new(
            "status",
            Word(&words::PROCESSING_STATUS),
            "Where signal processing stands. Without `eventType`, the type is `signal_processing.` and this word.",
        )
        .required(),
        Field::new("processingPhases", Objects(&PHASE), "Its steps.").when_final(),
        Field::new("enrichmentQuality", Score, "The share of the wanted context that was got."),
        Field::new("enrichmentSources", Names, "Where context came from."),
        Field::new("contextSizeBytes", Count, "The context's size in bytes."),
        Field::new("confidence", Score, "How sure the classification is."),
        Field::new("businessPriority", Word(&words::PRIORITY), "The business priority."),
        Field::new("slaRequirement", Name, "How soon it has to be solved, such as `15m`."),
        Field::new("routedToService", Name, "The next service.").since("completedAt"),
        Field::new("routingPriority", Int, "Its place in that service's queue, 1 first.").since("completedAt"),
        Field::new("completedAt", Time, "When signal processing ended.").when_final(),
        Field::new("errorMessage", Line, "What went wrong.").since("completedAt"),
        Field::new("externalSeverity", Name, "The severity as received, such as `Sev1`."),
        Field::new("determinationSource", Name, "What decided the severity: a policy, a fallback or a default."),
        Field::new("policyHash", Name, "The hash of the policy that decided."),
        Field::new("environmentSource", Name, "What decided the environment."),
        Field::new("prioritySource", Name, "What decided the priority."),
        Field::new("criticality", Word(&words::CRITICALITY), "How much the business depends on the target."),
        Field::new("businessUnit", Name, "The business unit."),
        Field::new("hasOwnerChain", Bool, "Whether the owner chain was found."),
        Field::new("hasNamespace", Bool, "Whether the namespace was found."),
        Field::new("hasPod", Bool, "Whether the pod was found."),
        Field::new("hasDeployment", Bool, "Whether the deployment was found."),
        Field::new("ownerChainLength", Count, "How long the owner chain is."),
        Field::new("degradedMode", Bool, "Whether sources were missing."),
        Field::new("durationMs", Ms, "How long it took.").since("completedAt"),
        Field::new("fromPhase", Name, "The phase it left."),
        Field::new("toPhase", Name, "The phase it entered."),
        Field::new("signalMode", Word(&words::SIGNAL_MODE), "Whether it happened or is predicted."),
        Field::new("sourceSignalName", Name, "The original signal of a predicted one."),
    ],
};
