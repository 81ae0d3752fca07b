//! The fields that every input starts with, and those of the open kind.

use super::{Field, KindTable, Shape::*, Table, Unit};
use crate::audit::{kind::Kind, words};

pub static SIGNAL: Table = Table {
    name: "Signal",
    meaning: "What said that something is wrong: an alert or an event of the cluster.",
    fields: &[
        Field::new("name", Name, "The alert's or the event's name, such as `KubePodCrashLooping`."),
        Field::new("fingerprint", Name, "The signal's fingerprint: the same workload gives the same one."),
        Field::new("source", Name, "Where it came from, such as `prometheus`."),
        Field::new("summary", Line, "The alert in one line."),
        Field::new("description", Text, "The alert's own description of what is wrong."),
        Field::new("labels", Json, "The signal's labels, as a JSON object, such as `{\"team\": \"checkout\"}`."),
    ],
};

pub static TARGET: Table = Table {
    name: "Target",
    meaning: "The resource that the remediation is about.",
    fields: &[
        Field::new("kind", Name, "The resource's kind, such as `Deployment`.").required(),
        Field::new("namespace", Name, "The resource's namespace; null for cluster-wide resources."),
        Field::new("name", Name, "The resource's name, such as `checkout`.").required(),
    ],
};

pub static ACTOR: Table = Table {
    name: "Actor",
    meaning: "Who acted, as the writer claims. Who sent the audit is `recordedBy`.",
    fields: &[
        Field::new("type", Word(&words::ACTOR_TYPE), "What sort of actor it is.").required(),
        Field::new("id", Name, "Who it is: a service's or a user's name, such as `alice@example.com`.").required(),
        Field::new("displayName", Name, "The actor's name for people, such as `Alice`."),
        Field::new("onBehalfOf", Name, "For whom the actor acted, where it acted for somebody else."),
    ],
};

pub static COMMON: Table = Table {
    name: "Common",
    meaning: "What every audit may carry.",
    fields: &[
        Field::new("remediationId", Name, "The remediation: the name of its RemediationRequest, such as `rr-7d1f0c9ab3e2-4be09c11`.").required().also(&["remediation_name"]),
        Field::new(
            "clusterId",
            Name,
            "The cluster that the remediation belongs to, such as `eu-prod-1`; when left out, the one that the server is set to.",
        ),
        Field::new(
            "eventId",
            Uuid,
            "The audit's own id, of any version of UUID. Sending one makes a retry safe: the same id with the same content is recorded once. When left out, the server makes one.",
        ),
        Field::new("occurredAt", Time, "When it happened, by the clock of whoever writes. The server's own time is kept beside it, as `recordedAt`.").required(),
        Field::new("eventType", Name, "What sort of event it is, in dotted words, such as `notification.delivered`. Made from the kind and its status when left out; the open kind has to name it."),
        Field::new("outcome", Word(&words::OUTCOME), "How the recorded step ended; from the status when left out.").also(&["event_outcome"]),
        Field::new("actor", Object(&ACTOR), "Who acted, such as a service or a person."),
        Field::new("parentEventId", Uuid, "The `eventId` of the event that led to this one."),
        Field::new("traceparent", Name, "The W3C trace context of the work that is recorded, such as `00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01`."),
        Field::new("details", Json, "Anything else worth keeping, as a JSON object."),
        Field::new("environment", Name, "The environment, such as `production`."),
        Field::new("severity", Word(&words::SEVERITY), "How bad the signal is."),
        Field::new("signal", Object(&SIGNAL), "What said that something is wrong."),
        Field::new("target", Object(&TARGET), "The resource that the remediation is about.")
            .column_in("target", Unit::Resource)
            .also(&["target_resource"]),
    ],
};

pub static OTHER: Table = Table {
    name: "Other",
    meaning: "An audit of the open kind: of a gateway, an approval, an agent, or a service yet to come.",
    fields: &[
        Field::new("category", Name, "The service or area, such as `gateway` or `approval`.").required(),
        Field::new("payload", Json, "What happened, as a JSON object of any shape.").required(),
    ],
};

pub static OTHER_KIND: KindTable = KindTable {
    kind: Kind::Other,
    table: &OTHER,
    status: None,
    status_default: None,
    final_words: &[],
    event_type_prefix: "other",
};
