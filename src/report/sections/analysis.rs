//! The analysis's decision: the cause it found, what it chose and rejected, how good that was, and whether it predicted right.

use crate::{
    audit::{Kind, RemediationOutcome, facts::Fields},
    remediation::model::ViewRow,
    report::{
        case::Case,
        model::{Quality, Section, Statement},
        words,
    },
};

/// From this confidence on a right decision counts as one of high quality.
pub const CONFIDENT_FROM: f64 = 0.7;
/// Most analyses, alternatives and links of a chain that are told.
const ANALYSES_MAX: usize = 3;
const ALTERNATIVES_MAX: usize = 8;
const CHAIN_MAX: usize = 8;

pub fn section(case: &Case<'_>) -> Section {
    let rows: Vec<&ViewRow> = case.rows(Kind::AiAnalysis).collect();
    let mut statements = Vec::new();
    if rows.is_empty() {
        statements.push(case.say("No audit of an AI analysis was recorded.", case.cite.last()));
    }
    if rows.len() > ANALYSES_MAX {
        let said = format!("The last {ANALYSES_MAX} of {} are told here.", words::count(rows.len(), "analysis run"));
        statements.push(case.say(said, rows.iter().flat_map(|row| case.told_or_last(row, &[])).collect()));
    }
    for row in &rows[rows.len().saturating_sub(ANALYSES_MAX)..] {
        told(case, row, &mut statements);
    }
    if let Some(judged) = quality(case) {
        statements.push(case.say(judged.said, judged.cites));
    }
    statements.extend(prediction(case));
    Section { id: "ai-analysis", title: "AI decision analysis", statements, tables: Vec::new() }
}

fn told(case: &Case<'_>, row: &ViewRow, statements: &mut Vec<Statement>) {
    let before = statements.len();
    statements.extend(cause(case, row));
    statements.extend(chain(case, row));
    statements.extend(chosen(case, row));
    statements.extend(rejected(case, row));
    statements.extend(doubts(case, row));
    statements.extend(effort(case, row));
    if statements.len() == before {
        let status = Fields::Map(&row.fields).text("completionStatus").map_or("unknown".to_string(), words::word);
        let said = format!("The analysis is {status}; it tells neither a cause nor a remedy.");
        statements.push(case.say(said, case.told_or_last(row, &["completionStatus"])));
    }
}

fn cause(case: &Case<'_>, row: &ViewRow) -> Option<Statement> {
    let fields = Fields::Map(&row.fields);
    let summary = fields.text("rootCauseSummary").or_else(|| fields.text("rootCause"));
    let excerpt = || fields.text("investigationReport").and_then(crate::audit::facts::say::excerpt);
    let summary = summary.map(str::to_string).or_else(excerpt)?;
    let sure = fields.number("rootCauseConfidence").map(|sure| format!(" ({} sure)", words::percent(sure)));
    let of = fields.count("rootCauseCount").filter(|count| *count > 1).map(|count| format!(", of {count} hypotheses"));
    let said = format!("Root cause{}{}: {}.", sure.unwrap_or_default(), of.unwrap_or_default(), words::quote(&summary));
    let names = ["rootCauseSummary", "rootCause", "investigationReport", "rootCauseConfidence"];
    Some(case.say(said, case.told(row, &names)))
}

fn chain(case: &Case<'_>, row: &ViewRow) -> Vec<Statement> {
    let fields = Fields::Map(&row.fields);
    let said = [("causalChain", "How it came about", " → "), ("contributingFactors", "What made it worse", "; ")];
    let told = said.iter().filter_map(|(name, lead, by)| {
        let parts: Vec<String> = fields.texts(name).into_iter().take(CHAIN_MAX).map(words::cell).collect();
        (!parts.is_empty()).then(|| case.say(format!("{lead}: {}.", parts.join(by)), case.told(row, &[name])))
    });
    told.collect()
}

/// The remedies that the analysis recommends.
fn chosen(case: &Case<'_>, row: &ViewRow) -> Option<Statement> {
    let fields = Fields::Map(&row.fields);
    let listed: Vec<Fields<'_>> = fields.objects("recommendations").collect();
    let told = fields.text("recommendedAction").or_else(|| fields.text("topRecommendation"));
    let more = |of: Fields<'_>, rationale: Option<&str>| {
        let likely =
            of.number("effectivenessProbability").map(|p| format!("expected to help in {}", words::percent(p)));
        let ever = of.number("historicalSuccessRate").map(|rate| format!("has helped in {}", words::percent(rate)));
        let why = rationale.or_else(|| of.text("rationale")).map(words::quote);
        let parts: Vec<String> = likely.into_iter().chain(ever).chain(why).collect();
        if parts.is_empty() { String::new() } else { format!(" ({})", parts.join("; ")) }
    };
    let remedies: Vec<String> = if listed.is_empty() {
        let action = told?;
        vec![format!("{}{}", words::name(action), more(fields, fields.text("actionRationale")))]
    } else {
        let rationale = |of: &Fields<'_>| fields.text("actionRationale").filter(|_| of.text("action") == told);
        let named = listed.iter().filter_map(|of| Some((of, of.text("action")?)));
        named
            .take(ALTERNATIVES_MAX)
            .map(|(of, action)| format!("{}{}", words::name(action), more(*of, rationale(of))))
            .collect()
    };
    let sure = fields.number("actionConfidence").or_else(|| fields.number("confidenceScore"));
    let sure = sure.map(|sure| format!(", {} sure", words::percent(sure))).unwrap_or_default();
    let said = format!("Recommended{sure}: {}.", words::listed(&remedies));
    let names = ["recommendedAction", "recommendations", "topRecommendation", "actionRationale", "confidenceScore"];
    Some(case.say(said, case.told(row, &names)))
}

fn rejected(case: &Case<'_>, row: &ViewRow) -> Vec<Statement> {
    let fields = Fields::Map(&row.fields);
    let rejected = fields.objects("alternativesConsidered").filter_map(|option| {
        let sure = option.number("confidence").map(|sure| format!(" ({} sure)", words::percent(sure)));
        let why = match option.text("rejectedReason") {
            Some(why) => format!(": {}", words::quote(why)),
            None => ", without a reason".to_string(),
        };
        let said = format!("Rejected {}{}{why}.", words::name(option.text("action")?), sure.unwrap_or_default());
        Some(case.say(said, case.told(row, &["alternativesConsidered"])))
    });
    rejected.take(ALTERNATIVES_MAX).collect()
}

/// What speaks against trusting the analysis.
fn doubts(case: &Case<'_>, row: &ViewRow) -> Vec<Statement> {
    let fields = Fields::Map(&row.fields);
    let mut doubts = Vec::new();
    let mut add = |said: String, names: &[&str]| doubts.push(case.say(said, case.told(row, names)));
    if let Some(status @ ("failed" | "timeout")) = fields.text("completionStatus") {
        let how = if status == "timeout" { "timed out" } else { "failed" };
        let why = fields.text("failureReason").or_else(|| fields.text("reason")).map(words::quote);
        let why = why.map(|why| format!(": {why}")).unwrap_or_default();
        add(format!("The analysis {how}{why}."), &["completionStatus", "failureReason"]);
    }
    if fields.flag("hallucinationDetected") == Some(true) {
        add(
            "An answer of the model failed its validation (hallucination detected).".into(),
            &["hallucinationDetected"],
        );
    }
    if fields.flag("needsHumanReview") == Some(true) {
        let why = fields.text("humanReviewReason").map(|why| format!(": {}", words::word(why))).unwrap_or_default();
        add(format!("The analysis asked for a person to look{why}."), &["needsHumanReview", "humanReviewReason"]);
    }
    if fields.flag("degradedMode") == Some(true) {
        add("It ran in degraded mode: sources were missing.".into(), &["degradedMode"]);
    }
    let warnings: Vec<String> = fields.texts("warnings").into_iter().take(3).map(words::quote).collect();
    if !warnings.is_empty() {
        add(format!("It warned of {}.", words::listed(&warnings)), &["warnings"]);
    }
    doubts
}

/// The model, its tokens and tools.
fn effort(case: &Case<'_>, row: &ViewRow) -> Option<Statement> {
    let fields = Fields::Map(&row.fields);
    let model = fields.text("llmModel").map(words::name)?;
    let by = fields.text("llmProvider").map(|by| format!(" ({})", words::name(by))).unwrap_or_default();
    let tokens = fields.count("totalTokens").map(|tokens| format!(", {tokens} tokens")).unwrap_or_default();
    let tools = fields.texts("toolsInvoked").len();
    let tools = if tools > 0 { format!(", {}", words::count(tools, "tool")) } else { String::new() };
    let said = format!("Model: {model}{by}{tokens}{tools}.");
    Some(case.say(said, case.told(row, &["llmModel", "totalTokens", "toolsInvoked"])))
}

/// How good the decision was, and by which rule.
pub struct Judged {
    pub quality: Quality,
    said: String,
    cites: Vec<String>,
}

/// Judges the decision by what came of it; `None` where nothing was recommended, or where it is too early to say.
///
/// LOW: an answer failed its validation, the analysis failed, a person refused the remedy, or it was carried out and did
/// not help. HIGH: it was carried out without failures or rollbacks, found effective, and the analysis had been at least
/// 70 % sure. MEDIUM: anything between.
pub fn quality(case: &Case<'_>) -> Option<Judged> {
    let summary = case.summary;
    let rows: Vec<&ViewRow> = case.rows(Kind::AiAnalysis).collect();
    let last = rows.last()?;
    let fields = Fields::Map(&last.fields);
    let failed = matches!(fields.text("completionStatus"), Some("failed" | "timeout"));
    let invented = rows.iter().find(|row| Fields::Map(&row.fields).flag("hallucinationDetected") == Some(true));
    summary.outcome?;
    if case.action().is_none() && !failed && invented.is_none() {
        return None;
    }
    let judged = |quality, why: &str, mut cites: Vec<String>| {
        cites.extend(case.told(last, &["recommendedAction", "recommendations", "topRecommendation"]));
        let word = match quality {
            Quality::High => "HIGH",
            Quality::Medium => "MEDIUM",
            Quality::Low => "LOW",
        };
        Some(Judged { quality, said: format!("Decision quality: {word}. {why}"), cites })
    };
    if let Some(row) = invented {
        let why = "An answer of the model failed its validation.";
        return judged(Quality::Low, why, case.told(row, &["hallucinationDetected"]));
    }
    if failed {
        return judged(Quality::Low, "The analysis did not come to an end.", case.told(last, &["completionStatus"]));
    }
    if summary.outcome == Some(RemediationOutcome::Rejected) {
        let decided = case.cite.events(summary.approvals.last().map(|approval| approval.event_id));
        return judged(Quality::Low, "A person refused the remedy.", decided);
    }
    let assessed: Vec<String> =
        case.rows(Kind::Effectiveness).flat_map(|row| case.told(row, &["traditionalScore", "status"])).collect();
    if summary.effective == Some(false) {
        return judged(Quality::Low, "The remedy was carried out and found not effective.", assessed);
    }
    let (trouble, executed) = trouble(case);
    let confidence = fields.number("confidenceScore").or_else(|| fields.number("actionConfidence"));
    match (summary.effective, confidence) {
        (Some(true), Some(sure)) if sure >= CONFIDENT_FROM && !trouble => {
            let why = format!(
                "The remedy was carried out without failure or rollback and found effective, and the analysis was {} sure \
                 (high from {}).",
                words::percent(sure),
                words::percent(CONFIDENT_FROM)
            );
            judged(Quality::High, &why, assessed)
        }
        (Some(true), _) if trouble => {
            let why = "The remedy was found effective, but carrying it out met failures or rollbacks.";
            judged(Quality::Medium, why, [executed, assessed].concat())
        }
        (Some(true), Some(sure)) => {
            let why =
                format!("The remedy was found effective, but the analysis was only {} sure.", words::percent(sure));
            judged(Quality::Medium, &why, assessed)
        }
        (Some(true), None) => {
            judged(Quality::Medium, "The remedy was found effective; how sure the analysis was is not told.", assessed)
        }
        _ if trouble => {
            judged(Quality::Medium, "Carrying the remedy out met failures, so whether it helps is not known.", executed)
        }
        _ => judged(Quality::Medium, "Whether the remedy helps is not verified.", case.ending()),
    }
}

/// Whether carrying it out met failures or rollbacks, and what tells so.
fn trouble(case: &Case<'_>) -> (bool, Vec<String>) {
    let mut cites = Vec::new();
    for row in case.rows(Kind::WorkflowExecution) {
        let fields = Fields::Map(&row.fields);
        let failed = fields.text("executionOutcome").is_some_and(|outcome| outcome != "success");
        if failed || fields.count("rollbacksPerformed").is_some_and(|count| count > 0) {
            cites.extend(case.told(row, &["executionOutcome", "rollbacksPerformed"]));
        }
    }
    (!cites.is_empty(), cites)
}

/// Whether what the analysis predicted came true.
fn prediction(case: &Case<'_>) -> Option<Statement> {
    let predicted = |row: &&ViewRow| {
        let fields = Fields::Map(&row.fields);
        let listed = || fields.objects("recommendations").next()?.number("effectivenessProbability");
        fields.number("effectivenessProbability").or_else(listed)
    };
    let (row, likely) = case.rows(Kind::AiAnalysis).filter_map(|row| Some((row, predicted(&row)?))).last()?;
    let mut cites = case.told(row, &["effectivenessProbability", "recommendations"]);
    let foretold = format!("The analysis expected the remedy to help with {}", words::percent(likely));
    let said = match (case.summary.effective, case.summary.effectiveness) {
        (Some(effective), score) => {
            cites
                .extend(case.rows(Kind::Effectiveness).flat_map(|row| case.told(row, &["traditionalScore", "status"])));
            let found = if effective { "found effective" } else { "found not effective" };
            let score = score.map(|score| format!(" with a score of {}", words::score(score))).unwrap_or_default();
            let right = if (likely >= 0.5) == effective { "right" } else { "wrong" };
            format!("{foretold}; it was {found}{score}. The prediction was {right}.")
        }
        (None, _) if case.summary.outcome.is_some() => {
            cites.extend(case.ending());
            format!("{foretold}; no assessment says whether it did.")
        }
        (None, _) => format!("{foretold}; it is too early to say whether it does."),
    };
    Some(case.say(said, cites))
}
