//! The fields of a signal-processing audit.

use super::{Field, KindTable, Shape::*, Table, Unit};
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
        Field::new("contextSources", Names, "The sources that the context came from, such as `kubernetes`."),
        Field::new("degradedMode", Bool, "Whether some sources of context were missing."),
    ],
};

static CLASSIFICATION: Table = Table {
    name: "ClassificationResults",
    meaning: "What classifying found.",
    fields: &[
        Field::new("environment", Name, "The environment that was found, such as `production`."),
        Field::new("confidence", Score, "How sure the environment is."),
        Field::new("businessPriority", Word(&words::PRIORITY), "How urgent it is for the business."),
        Field::new("classificationMethod", Word(&words::CLASSIFICATION_METHOD), "How the environment was found."),
    ],
};

static ROUTING: Table = Table {
    name: "RoutingResults",
    meaning: "Where routing sent it.",
    fields: &[
        Field::new("routedToService", Name, "The service that the signal was handed to."),
        Field::new("routingPriority", Int, "The signal's place in that service's queue, 1 first."),
        Field::new("routingKey", Name, "The key that the signal was routed by."),
    ],
};

static PHASE: Table = Table {
    name: "ProcessingPhase",
    meaning: "One step of signal processing.",
    fields: &[
        Field::new("phase", Word(&words::PROCESSING_PHASE), "Which step of signal processing this is.").required(),
        Field::new("startTime", Time, "When the step began."),
        Field::new("endTime", Time, "When the step ended."),
        Field::new("durationMs", Ms, "How long it took.").column_in("duration", Unit::Nanoseconds),
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
        Field::new("processingPhases", Objects(&PHASE), "The steps of signal processing, in their order.").when_final(),
        Field::new("enrichmentQuality", Score, "The share of the wanted context that was got."),
        Field::new("enrichmentSources", Names, "The sources that the context came from, such as `kubernetes`."),
        Field::new("contextSizeBytes", Count, "The context's size in bytes."),
        Field::new("confidence", Score, "How sure the classification is."),
        Field::new("businessPriority", Word(&words::PRIORITY), "How urgent it is for the business."),
        Field::new("slaRequirement", Name, "How soon the problem has to be solved, such as `15m`."),
        Field::new("routedToService", Name, "The service that the signal was handed to.").since("completedAt"),
        Field::new("routingPriority", Int, "The signal's place in that service's queue, 1 first.").since("completedAt"),
        Field::new("completedAt", Time, "When signal processing ended.").when_final(),
        Field::new("errorMessage", Line, "What went wrong, where something did.").since("completedAt"),
        Field::new("externalSeverity", Name, "The severity as received, such as `Sev1`."),
        Field::new("determinationSource", Name, "What decided the severity: a policy, a fallback or a default."),
        Field::new("policyHash", Name, "The hash of the policy that classified the signal."),
        Field::new("environmentSource", Name, "What decided the environment, such as a label of the namespace."),
        Field::new("prioritySource", Name, "What decided the priority, such as a policy."),
        Field::new("criticality", Word(&words::CRITICALITY), "How much the business depends on the target."),
        Field::new("businessUnit", Name, "The business unit that the target belongs to."),
        Field::new("hasOwnerChain", Bool, "Whether the target's owners were found, such as the Deployment of a Pod."),
        Field::new("hasNamespace", Bool, "Whether the target's namespace was found."),
        Field::new("hasPod", Bool, "Whether the target's pod was found."),
        Field::new("hasDeployment", Bool, "Whether the target's deployment was found."),
        Field::new("ownerChainLength", Count, "How many owners there are, one above the other."),
        Field::new("degradedMode", Bool, "Whether some sources of context were missing."),
        Field::new("durationMs", Ms, "How long it took.").since("completedAt"),
        Field::new("fromPhase", Name, "The step of signal processing that it left."),
        Field::new("toPhase", Name, "The step of signal processing that it entered."),
        Field::new(
            "signalMode",
            Word(&words::SIGNAL_MODE),
            "Whether the signal tells what happened or what is predicted.",
        ),
        Field::new("sourceSignalName", Name, "The original signal of a predicted one."),
    ],
};
