//! The facts of a signal-processing audit: its steps, and what it classified the signal as.

use std::borrow::Cow;

use super::{Actor, Decision, End, Fields, Milestone, Shown, Sureness, Teller, Telling, moved, say};
use crate::audit::phase::PhaseName;

const PHASE: PhaseName = PhaseName::SignalProcessing;

pub fn tell(telling: &mut Telling<'_>) {
    let told = steps(telling);
    if telling.ended { end(telling, told) } else { moment(telling) }
}

/// The steps; a step without a time follows the one before. Whether any had a time.
fn steps(telling: &mut Telling<'_>) -> bool {
    let mut before = None;
    let mut any = false;
    for (index, step) in (0..).zip(telling.fields.objects("processingPhases")) {
        let took = step.ms("durationMs");
        let started = step.time("startTime").or_else(|| moved(step.time("endTime")?, -took?)).or(before);
        let Some(start) = started else { continue };
        let end = step.time("endTime").or_else(|| moved(start, took?));
        before = end;
        any = true;
        let word = part(step.text("phase").unwrap_or_default());
        let over = end.is_some_and(|end| telling.over(end));
        let found = over.then(|| found(step)).flatten();
        let (doing, done) = step_words(word);
        let decision = over.then(|| classified(telling, step)).flatten();
        let fact = telling.span(start, end, (if word.is_empty() { "step" } else { word }, index), |took| match took {
            Some(took) => format!("{done} in {took}").into(),
            None => doing.into(),
        });
        fact.ran(PHASE, word).saying(found);
        fact.decision = decision.map(Box::new);
    }
    any
}

/// The stored words of the steps, so that a part has a static name.
fn part(word: &str) -> &'static str {
    ["enriching", "classifying", "categorizing", "routing"].into_iter().find(|known| *known == word).unwrap_or("")
}

fn step_words(part: &str) -> (&'static str, &'static str) {
    match part {
        "enriching" => ("Enriching the signal", "Signal enriched"),
        "classifying" => ("Classifying the signal", "Signal classified"),
        "categorizing" => ("Deciding the business impact", "Business impact decided"),
        "routing" => ("Choosing the next service", "Next service chosen"),
        _ => ("Processing the signal", "Signal processed"),
    }
}

fn found(step: Fields<'_>) -> Option<String> {
    let enriched = step.object("enrichmentResults").and_then(|found| {
        let quality = found.number("contextQuality").map(|q| format!("{} of the wanted context", say::percent(q)));
        let sources = found.texts("contextSources");
        let from = (!sources.is_empty()).then(|| format!("from {}", sources.join(", ")));
        let degraded = (found.flag("degradedMode") == Some(true)).then(|| "sources were missing".to_string());
        say::joined([quality, from, degraded], ", ")
    });
    let classified = step.object("classificationResults").and_then(classes);
    let routed =
        step.object("routingResults").and_then(|found| found.text("routedToService")).map(|to| format!("to {to}"));
    say::joined([enriched, classified, routed], "; ")
}

fn classes(found: Fields<'_>) -> Option<String> {
    let sure = found.number("confidence").map(|share| format!("{} sure", say::percent(share)));
    say::joined([found.owned("environment"), found.owned("businessPriority"), sure], ", ")
}

fn classified(telling: &Telling<'_>, step: Fields<'_>) -> Option<Decision> {
    let found = step.object("classificationResults")?;
    let chosen = say::joined([found.owned("businessPriority"), found.owned("environment")], " in ")?;
    Some(Decision {
        question: "How urgent is the signal, and where does it come from?".to_string(),
        chosen,
        by: Actor::of(telling.entry),
        rationale: found.text("classificationMethod").map(|method| format!("by {}", say::words(method))),
        confidence: found.number("confidence"),
        alternatives: Vec::new(),
    })
}

fn moment(telling: &mut Telling<'_>) {
    let fields = telling.fields;
    // A transition says where it went; else the status says where it is.
    let to = telling.entered().map(str::to_lowercase);
    let entered = part(to.as_deref().unwrap_or(telling.status));
    let title: Cow<'static, str> = match (telling.moved(), telling.status) {
        (Some(moved), _) => moved.into(),
        (None, "pending") if entered.is_empty() => telling.moment_title("Signal waits to be processed"),
        (None, _) => telling.moment_title(step_words(entered).0),
    };
    let found = [fields.owned("environment"), fields.owned("businessPriority"), fields.owned("errorMessage")];
    let detail = say::joined(found, ", ");
    let shown = if telling.facts.is_empty() { Shown::Always } else { Shown::Alone };
    let waits = telling.status == "pending" && entered.is_empty();
    let at = telling.occurred_at;
    let decision = classification(telling);
    let fact = telling.point(at, ("moment", 0), title).of(PHASE).saying(detail).shown(shown);
    fact.decision = decision.map(Box::new);
    if matches!(to.as_deref(), Some("completed" | "failed")) {
        fact.stopped(PHASE, Sureness::Implied);
    } else if !waits && shown == Shown::Always {
        // The steps tell when they began, so the status only speaks where none has.
        fact.began(PHASE, entered);
    }
}

/// What the signal was classified as, where the event is of that decision.
fn classification(telling: &Telling<'_>) -> Option<Decision> {
    let fields = telling.fields;
    if !telling.event_type_ends("classification.decision") {
        return None;
    }
    Some(Decision {
        question: "How urgent is the signal, and where does it come from?".to_string(),
        chosen: say::joined([fields.owned("businessPriority"), fields.owned("environment")], " in ")?,
        by: Actor::of(telling.entry),
        rationale: fields.text("determinationSource").map(|source| format!("by {}", say::words(source))),
        confidence: None,
        alternatives: Vec::new(),
    })
}

fn end(telling: &mut Telling<'_>, steps_told: bool) {
    let fields = telling.fields;
    let end = fields.time("completedAt");
    let at = end.unwrap_or(telling.occurred_at);
    if !steps_told && let Some(start) = fields.ms("durationMs").and_then(|took| moved(at, -took)) {
        let fact = telling.span(start, Some(at), ("processing", 0), |_| "Processing the signal".into());
        // The end says how long it took; that it began others may have said.
        fact.ran(PHASE, "").shown(Shown::Alone);
    }
    let (title, how) = match telling.status {
        "failed" => ("Signal processing failed", End::Failed),
        "degraded" => ("Signal processed with less context than wanted", End::Partly),
        _ => ("Signal processed", End::Done),
    };
    let took = fields.ms("durationMs").filter(|_| !steps_told).map(|took| format!("in {}", say::duration(took)));
    let to = fields.text("routedToService").map(|to| format!("to {to}"));
    let found = say::joined([fields.owned("environment"), fields.owned("businessPriority"), to, took], ", ");
    telling
        .point(at, ("ended", 0), title)
        .saying(say::joined([found, fields.owned("errorMessage")], "; "))
        .stopped(PHASE, if end.is_some() { Sureness::Told } else { Sureness::Implied })
        .marking(Milestone::ProcessingEnded(how), Teller::Own);
}
