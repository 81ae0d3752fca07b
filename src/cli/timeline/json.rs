//! A remediation as JSON, in GraphQL's spelling.

use serde_json::{Value, json};

use super::word;
use crate::{
    audit::event::time_text,
    remediation::model::{Actor, Approval, Completeness, Decision, Phase, Remediation, TimelineEntry, ViewRow},
};

/// The remediation for scripts.
pub fn json(remediation: &Remediation) -> Value {
    let summary = &remediation.summary;
    json!({
        "remediationId": summary.stream.remediation_id,
        "clusterId": summary.stream.cluster_id,
        "phase": summary.phase,
        "outcome": summary.outcome,
        "effective": summary.effective,
        "effectiveness": summary.effectiveness,
        "signal": summary.signal,
        "environment": summary.environment,
        "severity": summary.severity,
        "target": summary.target,
        "rootCause": summary.root_cause.as_ref().map(|cause| json!({
            "summary": cause.summary, "confidence": cause.confidence, "eventId": cause.event_id,
        })),
        "startedAt": time_text(summary.started_at),
        "completedAt": summary.completed_at.map(time_text),
        "settledAt": summary.settled_at.map(time_text),
        "durationMs": summary.duration_ms,
        "unaccountedMs": summary.unaccounted_ms,
        "phases": summary.phases.iter().map(phase).collect::<Vec<_>>(),
        "bottleneck": summary.bottleneck_phase().map(phase),
        "approvals": summary.approvals.iter().map(approval).collect::<Vec<_>>(),
        "completeness": completeness(&summary.completeness),
        "timeline": remediation.timeline.iter().map(entry).collect::<Vec<_>>(),
        "views": remediation.views.iter().map(view).collect::<Vec<_>>(),
        "events": summary.events,
        "lastPosition": summary.last_position.to_string(),
    })
}

fn phase(phase: &Phase) -> Value {
    let intervals = phase.intervals.iter().map(|interval| {
        json!({
            "startedAt": time_text(interval.started_at),
            "endedAt": interval.ended_at.map(time_text),
            "waiting": interval.waiting,
        })
    });
    json!({
        "name": phase.name,
        "startedAt": time_text(phase.started_at),
        "endedAt": phase.ended_at.map(time_text),
        "durationMs": phase.duration_ms,
        "share": phase.share,
        "intervals": intervals.collect::<Vec<_>>(),
    })
}

fn approval(approval: &Approval) -> Value {
    json!({
        "requestedAt": approval.requested_at.map(time_text),
        "requiredBy": approval.required_by.map(time_text),
        "decidedAt": approval.decided_at.map(time_text),
        "decision": crate::audit::words::enum_value(&approval.decision),
        "decidedBy": approval.decided_by,
        "via": approval.via,
        "reason": approval.reason,
        "waitMs": approval.wait_ms,
        "eventId": approval.event_id,
    })
}

fn completeness(completeness: &Completeness) -> Value {
    let late = completeness.late.iter().map(|late| json!({"eventId": late.event_id, "byMs": late.by_ms}));
    let contradictions =
        completeness.contradictions.iter().map(|found| json!({"what": found.what, "eventIds": found.event_ids}));
    json!({
        "score": completeness.score,
        "missing": completeness.missing,
        "late": late.collect::<Vec<_>>(),
        "contradictions": contradictions.collect::<Vec<_>>(),
    })
}

fn entry(entry: &TimelineEntry) -> Value {
    json!({
        "eventId": entry.event_id,
        "index": entry.index,
        "position": entry.position.to_string(),
        "at": time_text(entry.at),
        "until": entry.until.map(time_text),
        "offsetMs": entry.offset_ms,
        "durationMs": entry.duration_ms,
        "service": word(entry.service),
        "phase": entry.phase,
        "title": entry.title,
        "detail": entry.detail,
        "decision": entry.decision.as_ref().map(decision),
        "recordedLateByMs": entry.recorded_late_by_ms,
    })
}

fn decision(decision: &Decision) -> Value {
    let alternatives = decision.alternatives.iter().map(|alternative| {
        json!({
            "option": alternative.option,
            "confidence": alternative.confidence,
            "rejectedBecause": alternative.rejected_because,
        })
    });
    json!({
        "question": decision.question,
        "chosen": decision.chosen,
        "by": decision.by.as_ref().map(actor),
        "rationale": decision.rationale,
        "confidence": decision.confidence,
        "alternatives": alternatives.collect::<Vec<_>>(),
    })
}

fn actor(actor: &Actor) -> Value {
    json!({
        "type": crate::audit::words::enum_value(actor.actor_type.word()),
        "id": actor.id,
        "displayName": actor.display_name,
        "onBehalfOf": actor.on_behalf_of,
    })
}

fn view(row: &ViewRow) -> Value {
    json!({
        "kind": row.kind,
        "key": row.key,
        "fields": row.fields,
        "firstOccurredAt": time_text(row.first_occurred_at),
        "lastOccurredAt": time_text(row.last_occurred_at),
        "eventIds": row.event_ids,
    })
}
