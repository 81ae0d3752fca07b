//! The facts of an effectiveness audit: scheduled, made component by component, and its verdict.

use std::borrow::Cow;

use super::{Shown, Sureness, Telling, Tells, moved, say};
use crate::audit::phase::PhaseName;

const PHASE: PhaseName = PhaseName::Verification;
/// From this score on a remediation counts as effective.
const EFFECTIVE_FROM: f64 = 0.5;

pub fn tell(telling: &mut Telling<'_>) {
    match telling.status {
        "scheduled" => scheduled(telling),
        "assessing" => assessing(telling),
        _ => ended(telling),
    }
}

fn plan(telling: &Telling<'_>) -> Tells {
    let fields = telling.fields;
    let at = telling.occurred_at;
    let settled = fields.ms("stabilizationWindowMs").and_then(|window| moved(at, window));
    let first_check = ["hashComputeAfter", "alertmanagerCheckAfter", "prometheusCheckAfter"]
        .into_iter()
        .filter_map(|name| fields.time(name))
        .filter(|check| *check > at)
        .min();
    let window = || fields.ms("validityWindowMs").and_then(|window| moved(at, window));
    Tells::AssessmentScheduled {
        settles_at: settled.or(first_check),
        valid_until: fields.time("validityDeadline").or_else(window),
    }
}

fn scheduled(telling: &mut Telling<'_>) {
    let plan = plan(telling);
    let at = telling.occurred_at;
    let (settles, valid) = match plan {
        Tells::AssessmentScheduled { settles_at, valid_until } => (settles_at, valid_until),
        _ => (None, None),
    };
    let settles = settles.map(|then| format!("after {} of stabilisation", say::between(at, then)));
    let valid = valid.map(|until| format!("worth making for {}", say::between(at, until)));
    telling
        .point(at, ("scheduled", 0), "Assessment scheduled")
        .saying(say::joined([settles, valid], "; "))
        .began(PHASE, "");
    telling.point(at, ("plan", 0), "Assessment planned").of(PHASE).shown(Shown::Never).telling(plan);
}

fn assessing(telling: &mut Telling<'_>) {
    let fields = telling.fields;
    let at = telling.occurred_at;
    let title: Cow<'static, str> = match (fields.text("component"), fields.number("score"), fields.flag("assessed")) {
        (Some(component), _, Some(false)) => {
            format!("{} could not be assessed", say::capital(&say::words(component))).into()
        }
        (Some(component), Some(score), _) => {
            format!("{} assessed: score {}", say::capital(&say::words(component)), rounded(score)).into()
        }
        (Some(component), None, _) => format!("{} assessed", say::capital(&say::words(component))).into(),
        (None, ..) => telling.moment_title("Assessing the effect"),
    };
    let alert = fields.object("alertResolution").and_then(|alert| alert.flag("alertResolved"));
    let alert = alert.map(|resolved| if resolved { "the alert stopped" } else { "the alert still fires" }.to_string());
    let hash = fields
        .flag("hashMatch")
        .map(|same| if same { "the spec is unchanged" } else { "the spec changed" }.to_string());
    let seen = fields.text("assessment").and_then(say::excerpt);
    telling.point(at, ("moment", 0), title).saying(say::joined([alert, hash, seen], "; ")).began(PHASE, "");
}

fn ended(telling: &mut Telling<'_>) {
    let fields = telling.fields;
    let end = fields.time("completedAt");
    let at = end.unwrap_or(telling.occurred_at);
    let score = fields.number("traditionalScore");
    let effective = verdict(telling);
    let scored = score.map(|score| format!(": score {}", rounded(score))).unwrap_or_default();
    let title: Cow<'static, str> = match (telling.status, effective) {
        ("insufficient_data", _) => "Assessment ended without enough data".into(),
        ("expired", _) => "Assessment expired".into(),
        (_, Some(true)) => format!("Remediation found effective{scored}").into(),
        (_, Some(false)) => format!("Remediation found not effective{scored}").into(),
        (_, None) => "Assessment ended without a verdict".into(),
    };
    let sure = fields.number("confidence").map(|share| format!("{} sure", say::percent(share)));
    let why = fields.text("reason").filter(|reason| *reason != "full").map(say::words);
    let seen = fields.text("assessment").and_then(say::excerpt);
    let side = fields.owned("sideEffectsDescription");
    let detail = say::joined([sure, why, seen, fields.owned("patternDescription"), side], "; ");
    telling
        .point(at, ("ended", 0), title)
        .saying(detail)
        .stopped(PHASE, if end.is_some() { Sureness::Told } else { Sureness::Implied });
    telling
        .point(at, ("verdict", 0), "Verdict")
        .of(PHASE)
        .shown(Shown::Never)
        .telling(Tells::Assessed { score, effective });
}

/// Whether the assessment verifies that the remediation worked; `None` where it comes to no verdict.
fn verdict(telling: &Telling<'_>) -> Option<bool> {
    let fields = telling.fields;
    if telling.status != "assessed" && !telling.status.is_empty() {
        return None;
    }
    match fields.text("reason") {
        Some("no_execution" | "expired" | "unrecoverable") => return None,
        // Somebody else changed the target, so what was seen is not the remediation's doing.
        Some("spec_drift") => return Some(false),
        _ => {}
    }
    let still_fires = fields.object("alertResolution").and_then(|alert| alert.flag("alertResolved")) == Some(false);
    Some(fields.number("traditionalScore")? >= EFFECTIVE_FROM && !still_fires)
}

/// A score as people read it: two decimals, none that say nothing.
fn rounded(score: f64) -> f64 {
    (score * 100.0).round() / 100.0
}
