//! The facts of an AI-analysis audit: the investigation, the cause, the remedy it recommends, and the approval.

use std::borrow::Cow;

use chrono::{DateTime, Utc};

use super::{
    Actor, Alternative, Decided, Decision, End, Fields, Milestone, Shown, Sureness, Teller, Telling, Tells, approval,
    moved, say,
};
use crate::audit::{phase::PhaseName, words::APPROVAL_DECISION};

const PHASE: PhaseName = PhaseName::AiAnalysis;
/// Most remedies that a title names.
const NAMED_MAX: usize = 3;

pub fn tell(telling: &mut Telling<'_>) {
    let times = Times::of(telling.fields);
    let asked_at = asked_at(telling.fields);
    investigation(telling, &times);
    analysis(telling, &times);
    let recommended = recommendation(telling, &times, asked_at);
    moment(telling, &times, asked_at, recommended);
    approve(telling, asked_at);
}

/// The parts of an analysis, each with a start and an end where they are told or follow from its duration.
struct Times {
    investigation: (Option<DateTime<Utc>>, Option<DateTime<Utc>>),
    analysis: (Option<DateTime<Utc>>, Option<DateTime<Utc>>),
    recommendation: (Option<DateTime<Utc>>, Option<DateTime<Utc>>),
}

impl Times {
    fn of(fields: Fields<'_>) -> Times {
        let part = |start: &str, end: &str, took: &str| {
            let (start, end, took) = (fields.time(start), fields.time(end), fields.ms(took));
            (start.or_else(|| moved(end?, -took?)), end.or_else(|| moved(start?, took?)))
        };
        Times {
            investigation: part("investigationStart", "investigationEnd", "investigationDurationMs"),
            analysis: part("analysisStart", "analysisEnd", "analysisDurationMs"),
            recommendation: part("recommendationStart", "recommendationEnd", ""),
        }
    }

    /// When the last part ended.
    fn end(&self) -> Option<DateTime<Utc>> {
        [self.investigation.1, self.analysis.1, self.recommendation.1].into_iter().flatten().max()
    }
}

/// When approval was asked for: as told, or the decision's time less its wait.
fn asked_at(fields: Fields<'_>) -> Option<DateTime<Utc>> {
    fields
        .time("approvalRequestedAt")
        .or_else(|| moved(fields.time("approvalTime")?, -fields.ms("approvalDurationMs")?))
}

fn investigation(telling: &mut Telling<'_>, times: &Times) {
    let fields = telling.fields;
    let (start, end) = times.investigation;
    if let Some(start) = start {
        let over = end.is_some_and(|end| telling.over(end));
        let found = || {
            fields.count("rootCauseCount").map(|n| format!("{n} possible {}", if n == 1 { "cause" } else { "causes" }))
        };
        let report = || fields.text("investigationReport").and_then(say::excerpt);
        let detail = if over { say::joined([found(), report()], ": ") } else { None };
        let title = |took: Option<&str>| match took {
            Some(took) => format!("Investigated for {took}").into(),
            None => "Investigation started".into(),
        };
        let fact = telling.span(start, end, ("investigation", 0), title).ran(PHASE, "investigation").saying(detail);
        fact.marking(Milestone::AnalysisStarted, Teller::Own);
    } else if let Some(end) = end {
        telling.point(end, ("investigation", 1), "Investigation ended").stopped(PHASE, Sureness::After);
    }

    let report = || fields.text("investigationReport").and_then(say::excerpt).and_then(|text| first_sentence(&text));
    let told = fields.owned("rootCauseSummary").or_else(|| fields.text("rootCause").and_then(say::excerpt));
    let stated = told.is_some();
    if let Some(summary) = told.or_else(report) {
        let confidence = fields.number("rootCauseConfidence");
        let at = end.or(times.analysis.1).unwrap_or(telling.occurred_at);
        let sure = confidence.map(|share| format!("{} sure", say::percent(share)));
        telling
            .point(at, ("root cause", 0), "Root cause found")
            .of(PHASE)
            .saying(say::joined([Some(summary.clone()), sure], "; "))
            // A report is shown with the investigation already.
            .shown(if stated { Shown::Always } else { Shown::Alone })
            .telling(Tells::RootCauseFound { summary, confidence })
            .marking(Milestone::CauseFound, Teller::Own);
    }
}

fn first_sentence(text: &str) -> Option<String> {
    let end = text.find(". ").map_or(text.len(), |end| end + 1);
    Some(text[..end].to_string())
}

fn analysis(telling: &mut Telling<'_>, times: &Times) {
    let sure = telling.fields.number("confidenceScore").map(|share| format!("{} sure", say::percent(share)));
    match times.analysis {
        (Some(start), end) => {
            let sure = sure.filter(|_| end.is_some_and(|end| telling.over(end)));
            let title = |took: Option<&str>| match took {
                Some(took) => format!("Weighed the evidence for {took}").into(),
                None => "Weighing the evidence".into(),
            };
            telling.span(start, end, ("analysis", 0), title).ran(PHASE, "analysis").saying(sure);
        }
        (None, Some(end)) => {
            telling.point(end, ("analysis", 1), "Evidence weighed").saying(sure).stopped(PHASE, Sureness::After);
        }
        (None, None) => {}
    }
    if let (Some(start), end) = times.recommendation {
        let title = |took: Option<&str>| match took {
            Some(took) => format!("Chose a remedy in {took}").into(),
            None => "Choosing a remedy".into(),
        };
        telling.span(start, end, ("choice", 0), title).ran(PHASE, "recommendation");
    }
}

/// The remedy that is recommended; whether there is one.
fn recommendation(telling: &mut Telling<'_>, times: &Times, asked_at: Option<DateTime<Utc>>) -> bool {
    let fields = telling.fields;
    let listed: Vec<&str> = fields.objects("recommendations").filter_map(|remedy| remedy.text("action")).collect();
    let top = fields
        .text("recommendedAction")
        .map(str::to_string)
        .or_else(|| named(&listed))
        .or_else(|| fields.owned("topRecommendation"));
    let Some(chosen) = top else { return false };

    let first = fields.objects("recommendations").next();
    let rationale = fields.owned("actionRationale").or_else(|| first?.owned("rationale"));
    let confidence = fields.number("actionConfidence").or_else(|| fields.number("confidenceScore"));
    let likely =
        fields.number("effectivenessProbability").map(|share| format!("likely to help in {}", say::percent(share)));
    let sure = confidence.map(|share| format!("{} sure", say::percent(share)));
    let alternatives: Vec<Alternative> = fields
        .objects("alternativesConsidered")
        .map(|option| Alternative {
            option: option.owned("action").unwrap_or_default(),
            confidence: option.number("confidence"),
            rejected_because: option.owned("rejectedReason"),
        })
        .collect();
    let decision = Decision {
        question: "Which remedy should be carried out?".to_string(),
        chosen: chosen.clone(),
        by: Actor::of(telling.entry),
        rationale: rationale.clone(),
        confidence,
        alternatives,
    };
    // An audit written after the approval still recommended before approval was asked for.
    let latest = asked_at.map_or(telling.occurred_at, |asked| asked.min(telling.occurred_at));
    let at = times.recommendation.1.or(times.analysis.1).or(times.investigation.1).unwrap_or(latest);
    telling
        .point(at, ("recommended", 0), format!("Recommended {chosen}"))
        .of(PHASE)
        .saying(say::joined([sure, likely, rationale], "; "))
        .deciding(decision)
        .telling(Tells::RemedyRecommended);
    true
}

/// The remedies that were listed: `restart-pod + scale-deployment`.
fn named(actions: &[&str]) -> Option<String> {
    let more = actions.len().saturating_sub(NAMED_MAX);
    let first = actions.iter().take(NAMED_MAX).copied().collect::<Vec<_>>().join(" + ");
    (!actions.is_empty()).then(|| if more > 0 { format!("{first} + {more} more") } else { first })
}

/// Where the analysis stands, at the time that the audit is of.
fn moment(telling: &mut Telling<'_>, times: &Times, asked_at: Option<DateTime<Utc>>, recommended: bool) {
    let fields = telling.fields;
    if telling.ended {
        let (title, how) = match telling.status {
            "failed" => ("AI analysis failed", End::Failed),
            "timeout" => ("AI analysis timed out", End::TimedOut),
            _ => ("AI analysis completed", End::Done),
        };
        let why = say::joined([fields.owned("failureReason"), fields.owned("errorCode")], ", ");
        let why = why.or_else(|| say::joined([fields.owned("reason"), fields.owned("subReason")], ": "));
        let wrong =
            (fields.flag("hallucinationDetected") == Some(true)).then(|| "an answer failed its validation".to_string());
        let review = (fields.flag("needsHumanReview") == Some(true)).then(|| match fields.text("humanReviewReason") {
            Some(reason) => format!("a person should look: {}", say::words(reason)),
            None => "a person should look".to_string(),
        });
        let detail = say::joined([why, wrong, review], "; ");
        let plain = recommended && telling.status == "completed" && detail.is_none();
        // Written after the approval, the audit's own time says nothing about the analysis.
        let latest = asked_at.map_or(telling.occurred_at, |asked| asked.min(telling.occurred_at));
        let end = times.end();
        telling
            .point(end.unwrap_or(latest), ("ended", 0), title)
            .saying(detail)
            .shown(if plain { Shown::Alone } else { Shown::Always })
            .stopped(PHASE, if end.is_some() { Sureness::Told } else { Sureness::Implied })
            .marking(Milestone::AnalysisEnded(how), Teller::Own);
        return;
    }

    // A transition says where it went; else the status says where it is.
    let to = telling.entered().map(str::to_lowercase);
    let (part, title): (_, Cow<'static, str>) = match to.as_deref().unwrap_or(telling.status) {
        "investigating" => ("investigation", "Investigation started".into()),
        "analyzing" => ("analysis", "Weighing the evidence".into()),
        "recommending" => ("recommendation", "Choosing a remedy".into()),
        _ => ("", "AI analysis waits to begin".into()),
    };
    let told_start = match part {
        "investigation" => times.investigation.0,
        "analysis" => times.analysis.0,
        _ => times.recommendation.0,
    };
    let moved = telling.moved();
    let transition = moved.is_some();
    let title = moved.map_or_else(|| telling.moment_title(title), Cow::from);
    let detail = say::joined([fields.owned("reason"), fields.owned("subReason")], ": ");
    let event_type = telling.entry.event.event_type.as_str();
    let policy = need_for_approval(telling);
    let shown = if telling.facts.iter().any(|fact| fact.shown == Shown::Always) { Shown::Alone } else { Shown::Always };
    let at = telling.occurred_at;
    let fact = telling.point(at, ("moment", 0), title).of(PHASE).saying(detail).shown(shown);
    if matches!(to.as_deref(), Some("completed" | "failed")) {
        fact.stopped(PHASE, Sureness::Implied);
    } else if !part.is_empty() && told_start.is_none() {
        fact.began(PHASE, part);
    }
    match event_type {
        // The agent works for the analysis: it fills in what the controller does not tell.
        "aiagent.session.started" => {
            let tells = Tells::Began { phase: PHASE, part: "", teller: Teller::Onlooker };
            fact.telling(tells).marking(Milestone::AnalysisStarted, Teller::Onlooker);
        }
        "aiagent.session.completed" | "aiagent.session.failed" | "aiagent.session.cancelled" => {
            let tells = Tells::Stopped { phase: PHASE, sureness: Sureness::Implied, teller: Teller::Onlooker };
            fact.telling(tells).marking(Milestone::AnalysisEnded(End::of_session(event_type)), Teller::Onlooker);
        }
        _ if transition && part == "investigation" => {
            fact.marking(Milestone::AnalysisStarted, Teller::Own);
        }
        _ => {}
    }
    fact.decision = policy.map(Box::new);
}

/// The decision whether a person has to agree, where the event is of that.
fn need_for_approval(telling: &Telling<'_>) -> Option<Decision> {
    let needed = telling.fields.flag("approvalRequired").filter(|_| telling.event_type_ends("approval.decision"))?;
    Some(Decision {
        question: "Does a person have to agree?".to_string(),
        chosen: if needed { "yes" } else { "no" }.to_string(),
        by: Actor::of(telling.entry),
        rationale: telling.fields.owned("approvalReason").or_else(|| telling.fields.owned("reason")),
        confidence: telling.fields.number("confidenceScore"),
        alternatives: Vec::new(),
    })
}

fn approve(telling: &mut Telling<'_>, asked_at: Option<DateTime<Utc>>) {
    let fields = telling.fields;
    let status = fields.text("approvalStatus").and_then(|word| APPROVAL_DECISION.find(word));
    let by_name = match (fields.text("approvedBy"), fields.text("rejectedBy")) {
        (Some(_), _) => Some("approved"),
        (None, Some(_)) => Some("rejected"),
        (None, None) => None,
    };
    let decision = status.filter(|word| *word != "pending").or(by_name);
    let required_by = fields.time("requiredBy");

    let pending = (status == Some("pending")).then_some(telling.occurred_at);
    if let Some(at) = asked_at.or(pending)
        && decision != Some("auto_approved")
    {
        let sureness = if fields.time("approvalRequestedAt").is_some() { Sureness::Told } else { Sureness::Implied };
        approval::asked(telling, at, sureness, required_by, fields.owned("approvalReason"));
    }
    if let Some(decision) = decision {
        let at = fields.time("approvalTime").or_else(|| moved(asked_at?, fields.ms("approvalDurationMs")?));
        let by = if decision == "rejected" { fields.owned("rejectedBy") } else { fields.owned("approvedBy") };
        let said = if decision == "rejected" { fields.owned("rejectionReason") } else { None };
        let reason = said.or_else(|| fields.owned("approvalJustification"));
        let decided = Decided {
            sureness: if at.is_some() { Sureness::Told } else { Sureness::Implied },
            decision,
            by,
            via: fields.owned("approvalMethod"),
            reason: reason.or_else(|| fields.owned("approvalReason").filter(|_| decision == "auto_approved")),
            required_by,
        };
        let action = fields.text("recommendedAction").or_else(|| fields.text("topRecommendation"));
        let confidence = fields.number("confidenceScore");
        approval::decided(telling, at.unwrap_or(telling.occurred_at), decided, action, confidence);
    }
}
