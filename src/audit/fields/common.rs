//! The fields that every input starts with, and those of the open kind.

use super::{Field, KindTable, Shape::*, Table};
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
        Field::new("labels", Json, "The signal's labels."),
    ],
};

pub static TARGET: Table = Table {
    name: "Target",
    meaning: "The resource that the remediation is about.",
    fields: &[
        Field::new("kind", Name, "Its kind, such as `Deployment`.").required(),
        Field::new("namespace", Name, "Its namespace; none for cluster-wide resources."),
        Field::new("name", Name, "Its name.").required(),
    ],
};

pub static ACTOR: Table = Table {
    name: "Actor",
    meaning: "Who acted, as the writer claims. Who sent the audit is `recordedBy`.",
    fields: &[
        Field::new("type", Word(&words::ACTOR_TYPE), "What sort of actor it is.").required(),
        Field::new("id", Name, "Its identity, such as a service's or a user's name.").required(),
        Field::new("displayName", Name, "Its name for people."),
        Field::new("onBehalfOf", Name, "For whom it acted."),
    ],
};

pub static COMMON: Table = Table {
    name: "Common",
    meaning: "What every audit may carry.",
    fields: &[
        Field::new("remediationId", Name, "The remediation: the name of its RemediationRequest.").required(),
        Field::new(
            "clusterId",
            Name,
            "The cluster that the remediation belongs to; the server's own default when left out.",
        ),
        Field::new(
            "eventId",
            Uuid,
            "The event's id. Sending one makes a retry safe: the same id with the same content is recorded once.",
        ),
        Field::new("occurredAt", Time, "When the fact occurred, by the writer's clock.").required(),
        Field::new("eventType", Name, "The event's type, in dotted words."),
        Field::new("outcome", Word(&words::OUTCOME), "How the recorded step ended; from the status when left out."),
        Field::new("actor", Object(&ACTOR), "Who acted."),
        Field::new("parentEventId", Uuid, "The event that led to this one."),
        Field::new("traceparent", Name, "The W3C trace context of the work that is recorded."),
        Field::new("details", Json, "Anything else worth keeping, as a JSON object."),
        Field::new("environment", Name, "The environment, such as `production`."),
        Field::new("severity", Word(&words::SEVERITY), "How bad the signal is."),
        Field::new("signal", Object(&SIGNAL), "What said that something is wrong."),
        Field::new("target", Object(&TARGET), "The resource that the remediation is about."),
    ],
};

pub static OTHER: Table = Table {
    name: "Other",
    meaning: "An audit of the open kind: of a gateway, an approval, an agent, or a service yet to come.",
    fields: &[
        Field::new("category", Name, "The service or area, such as `gateway` or `approval`.").required(),
        Field::new("payload", Json, "What happened, as JSON.").required(),
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
