//! The facts of an effectiveness audit: scheduled, made component by component, and its verdict.

use std::borrow::Cow;

use super::{Component, Milestone, Shown, Sureness, Teller, Telling, Tells, moved, say};
use crate::audit::{phase::PhaseName, words::ASSESSMENT_REASON};

const PHASE: PhaseName = PhaseName::Verification;
/// From this score on a remediation counts as effective.
const EFFECTIVE_FROM: f64 = 0.5;

/// A part of an assessment that counts for its score.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    Health,
    Alert,
    Metrics,
}

/// Where an assessment stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Standing {
    #[default]
    Planned,
    Making,
    /// It ended as planned, so a score gives a verdict.
    Made,
    /// It ended without enough data.
    Wanting,
    Expired,
}

impl Standing {
    pub fn ended(self) -> bool {
        matches!(self, Standing::Made | Standing::Wanting | Standing::Expired)
    }
}

impl Part {
    pub const ALL: [Part; 3] = [Part::Health, Part::Alert, Part::Metrics];

    fn find(component: &str) -> Option<Part> {
        match component {
            "health" => Some(Part::Health),
            "alert" => Some(Part::Alert),
            "metrics" => Some(Part::Metrics),
            _ => None,
        }
    }

    fn weight(self) -> f64 {
        match self {
            Part::Health => 0.40,
            Part::Alert => 0.35,
            Part::Metrics => 0.25,
        }
    }
}

/// The score of an assessment, 0 to 1, by the scores of its parts: their mean, weighed 0.40 for health, 0.35 for the alert and
/// 0.25 for metrics, over those that were assessed; `None` where none was. This is how Kubernaut's Data Storage computes it
/// (`GET /api/v1/effectiveness/{correlation_id}`).
pub fn score(parts: impl IntoIterator<Item = (Part, f64)>) -> Option<f64> {
    let (sum, weights) = parts
        .into_iter()
        .fold((0.0, 0.0), |(sum, weights), (part, score)| (sum + part.weight() * score, weights + part.weight()));
    // Rounded, so that 0.95 is 0.95 whichever order the sum was made in.
    (weights > 0.0).then(|| (sum / weights * 1e6).round() / 1e6)
}

/// Whether an assessment that ended as planned verifies that the remediation worked; `None` where it comes to no verdict.
pub fn verdict(score: Option<f64>, reason: Option<&str>, still_fires: bool) -> Option<bool> {
    match reason {
        Some("no_execution" | "expired" | "unrecoverable") => None,
        // Somebody else changed the target, so what was seen is not the remediation's doing.
        Some("spec_drift") => Some(false),
        _ => Some(score? >= EFFECTIVE_FROM && !still_fires),
    }
}

/// What an assessment that ended as planned comes to, for people.
pub fn title(score: Option<f64>, effective: Option<bool>) -> Cow<'static, str> {
    let scored = score.map(|score| format!(": score {}", rounded(score))).unwrap_or_default();
    match effective {
        Some(true) => format!("Remediation found effective{scored}").into(),
        Some(false) => format!("Remediation found not effective{scored}").into(),
        None => "Assessment ended without a verdict".into(),
    }
}

pub(super) fn tell(telling: &mut Telling<'_>) {
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
        .began(PHASE, "")
        .marking(Milestone::AssessmentPlanned, Teller::Own);
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
    telling.point(at, ("making", 0), "Assessment under way").of(PHASE).shown(Shown::Never).telling(Tells::Assessing);
    if let Some(part) = fields.text("component").and_then(Part::find) {
        let component = Component {
            part,
            assessed: fields.flag("assessed"),
            score: fields.number("score"),
            details: fields.owned("assessment"),
            still_fires: still_fires(telling),
        };
        let fact = telling.point(at, ("component", 0), "Component assessed").of(PHASE).shown(Shown::Never);
        fact.telling(Tells::ComponentAssessed(component));
    }
}

fn still_fires(telling: &Telling<'_>) -> Option<bool> {
    Some(!telling.fields.object("alertResolution")?.flag("alertResolved")?)
}

fn ended(telling: &mut Telling<'_>) {
    let fields = telling.fields;
    let end = fields.time("completedAt");
    let at = end.unwrap_or(telling.occurred_at);
    let score = fields.number("traditionalScore");
    let reason = fields.text("reason").and_then(|reason| ASSESSMENT_REASON.find(reason));
    let still_fires = still_fires(telling) == Some(true);
    let standing = match telling.status {
        "insufficient_data" => Standing::Wanting,
        "expired" => Standing::Expired,
        _ => Standing::Made,
    };
    let title: Cow<'static, str> = match standing {
        Standing::Wanting => "Assessment ended without enough data".into(),
        Standing::Expired => "Assessment expired".into(),
        _ => title(score, verdict(score, reason, still_fires)),
    };
    let sure = fields.number("confidence").map(|share| format!("{} sure", say::percent(share)));
    let why = fields.text("reason").filter(|reason| *reason != "full").map(say::words);
    let seen = fields.text("assessment").and_then(say::excerpt);
    let side = fields.owned("sideEffectsDescription");
    let detail = say::joined([sure, why, seen, fields.owned("patternDescription"), side], "; ");
    telling
        .point(at, ("ended", 0), title)
        .saying(detail)
        .stopped(PHASE, if end.is_some() { Sureness::Told } else { Sureness::Implied })
        .marking(Milestone::Assessed, Teller::Own);
    telling.point(at, ("verdict", 0), "Verdict").of(PHASE).shown(Shown::Never).telling(Tells::Assessed {
        score,
        reason,
        standing,
        still_fires,
    });
}

/// A score as people read it: two decimals, none that say nothing.
fn rounded(score: f64) -> f64 {
    (score * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_score_is_the_weighed_mean_of_what_was_assessed() {
        let all = |health, alert, metrics| [(Part::Health, health), (Part::Alert, alert), (Part::Metrics, metrics)];
        assert_eq!(score(all(1.0, 1.0, 0.8)), Some(0.95));
        assert_eq!(score([(Part::Health, 1.0), (Part::Metrics, 0.0)]), Some(0.615385));
        assert_eq!(score([]), None);
    }
}
