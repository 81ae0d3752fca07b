//! Human interventions: who was asked, who decided what and when, how long that took, and what ran without anybody.

use std::collections::HashSet;

use crate::{
    audit::ActorType,
    remediation::model::Approval,
    report::{
        case::Case,
        model::{Section, Statement},
        words,
    },
};

/// Most acts of people that are told one by one.
const ACTS_MAX: usize = 10;

pub fn section(case: &Case<'_>) -> Section {
    let approvals = &case.summary.approvals;
    let mut statements: Vec<Statement> = approvals.iter().take(ACTS_MAX).map(|found| approval(case, found)).collect();
    statements.extend(acts(case));
    let people = approvals.iter().filter(|found| found.decision != "auto_approved").count() + acts(case).len();
    if people == 0 {
        statements.push(case.say(unattended(case), case.cite.last()));
    } else if let Some(wait) = case.approval_wait() {
        statements.push(waited(case, wait));
    }
    Section { id: "human-interventions", title: "Human interventions", statements, tables: Vec::new() }
}

fn unattended(case: &Case<'_>) -> &'static str {
    match case.summary.completed_at {
        Some(_) => "No person took part: nothing that is told was done by one.",
        None => "No person has taken part so far.",
    }
}

/// An approval as a part of a sentence: `approved by alice via Slack after 2 m 45 s`.
pub fn decided(approval: &Approval) -> String {
    let by = approval.decided_by.as_ref().map(|by| format!(" by {}", words::name(by))).unwrap_or_default();
    let via = approval.via.as_deref().map(|via| format!(" via {}", channel(via))).unwrap_or_default();
    let after = approval.wait_ms.map(|ms| format!(" after {}", words::duration(ms))).unwrap_or_default();
    match approval.decision.as_str() {
        "auto_approved" => "approved by policy, without a person".to_string(),
        "expired" => format!("the approval expired{after}"),
        "pending" => "the approval is still awaited".to_string(),
        decision => format!("{}{by}{via}{after}", words::word(decision)),
    }
}

pub fn channel(word: &str) -> String {
    match word {
        "slack" => "Slack".to_string(),
        "pagerduty" => "PagerDuty".to_string(),
        "email" => "e-mail".to_string(),
        "sms" => "text message".to_string(),
        "teams" => "Microsoft Teams".to_string(),
        "console" => "the console".to_string(),
        "api" => "the API".to_string(),
        other => words::word(other),
    }
}

fn approval(case: &Case<'_>, approval: &Approval) -> Statement {
    let mut cites = case.told_anywhere(&["approvalRequestedAt", "approvalDurationMs"]);
    cites.extend(case.cite.events([approval.event_id]));
    let asked = approval.requested_at.map(|at| format!("Approval was asked for at {}", words::moment(at)));
    let until = approval.required_by.map(|by| format!(", to be decided by {}", words::moment(by))).unwrap_or_default();
    let decided_at = approval.decided_at.map(|at| format!(" at {}", words::moment(at))).unwrap_or_default();
    let unnamed = approval.decided_by.is_none() && matches!(approval.decision.as_str(), "approved" | "rejected");
    let unnamed = if unnamed { " Who decided is not told." } else { "" };
    let why = approval.reason.as_ref().map(|why| format!(" In their words: {}.", words::quote(why)));
    let why = why.filter(|_| matches!(approval.decision.as_str(), "approved" | "rejected"));
    let policy = approval.reason.as_ref().filter(|_| approval.decision == "auto_approved");
    let policy = policy.map(|why| format!(" Why: {}.", words::quote(why))).unwrap_or_default();
    let said = match asked {
        Some(asked) => format!("{asked}{until}: {}{decided_at}.", decided(approval)),
        None => format!("{}{decided_at}.", words::capital(&decided(approval))),
    };
    case.say(format!("{said}{unnamed}{}{policy}", why.unwrap_or_default()), cites)
}

/// What people did beside deciding about approvals.
fn acts(case: &Case<'_>) -> Vec<Statement> {
    let decided: HashSet<_> = case.summary.approvals.iter().map(|approval| approval.event_id).collect();
    let by_people =
        case.cite.own.iter().filter(|entry| {
            entry.event.actor_type == Some(ActorType::User) && !decided.contains(&entry.event.event_id)
        });
    let acts = by_people.filter_map(|entry| {
        let id = entry.event.event_id;
        let told = case.evidence.remediation.timeline.iter().find(|told| told.event_id == id)?;
        let decides = told.decision.is_some() && told.phase == Some(crate::audit::PhaseName::ApprovalWait);
        if decides {
            return None; // told again, the approval is one
        }
        let who = entry.event.actor_id.as_deref().map_or("A person".to_string(), words::name);
        let detail = told.detail.as_deref().map(|detail| format!(": {}", words::quote(detail))).unwrap_or_default();
        let said = format!("{who}, at {}: {}{detail}.", words::offset(told.offset_ms), words::name(&told.title));
        Some(case.say(said, case.cite.events([id])))
    });
    acts.take(ACTS_MAX).collect()
}

fn waited(case: &Case<'_>, wait_ms: f64) -> Statement {
    let share = case.phase(crate::audit::PhaseName::ApprovalWait).and_then(|phase| phase.share);
    let share = share.map(|share| format!(", {} of the whole", words::percent(share))).unwrap_or_default();
    let rest = (case.summary.duration_ms - wait_ms).max(0.0);
    let said = match case.summary.completed_at {
        Some(_) => format!(
            "Waiting for people took {}{share}; everything else took {}.",
            words::duration(wait_ms),
            words::duration(rest)
        ),
        None => format!("Waiting for people has taken {}{share} so far.", words::duration(wait_ms)),
    };
    case.say(said, case.of_phase(crate::audit::PhaseName::ApprovalWait))
}
