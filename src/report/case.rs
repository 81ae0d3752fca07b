//! The case: the evidence as sections and rules look at it, and what several of them want to know.

use std::cmp::Reverse;

use uuid::Uuid;

use super::{
    Evidence,
    cite::Cite,
    model::{BusinessImpact, Row, Statement},
    words,
};
use crate::{
    audit::{Entry, Kind, PhaseName, RemediationOutcome, facts::Fields, words::plain},
    remediation::{
        model::{Approval, Phase, Summary, ViewRow},
        outcomes::success,
    },
    search::similar::Similar,
};

/// Most other remediations that the report names as similar, and as earlier ones of the same target.
pub const NAMED_MAX: usize = 5;
/// Most references of one statement.
const CITES_MAX: usize = 12;

pub struct Case<'a> {
    pub evidence: &'a Evidence,
    pub summary: &'a Summary,
    pub cite: Cite<'a>,
    pub impact: BusinessImpact,
}

impl<'a> Case<'a> {
    pub fn of(evidence: &'a Evidence) -> Case<'a> {
        let summary = &evidence.remediation.summary;
        let none = BusinessImpact { priority: None, sla: None, sla_ms: None, sla_breached: None };
        let mut case = Case { evidence, summary, cite: Cite::new(evidence), impact: none };
        case.impact = case.business_impact();
        case
    }

    /// A statement. Without anything to cite it is about what was not told, which the last event shows.
    pub fn say(&self, text: impl Into<String>, cites: Vec<String>) -> Statement {
        Statement { text: text.into(), cites: self.cited(cites) }
    }

    /// A row of a table.
    pub fn row(&self, cells: Vec<String>, marked: bool, cites: Vec<String>) -> Row {
        Row { cells, marked, cites: self.cited(cites) }
    }

    /// References that can stand behind something said: each once, few enough to read, at least one.
    pub fn cited(&self, cites: Vec<String>) -> Vec<String> {
        let mut kept: Vec<String> = Vec::with_capacity(cites.len().min(CITES_MAX));
        for cite in cites {
            if kept.len() < CITES_MAX && !kept.contains(&cite) {
                kept.push(cite);
            }
        }
        if kept.is_empty() { self.cite.last() } else { kept }
    }

    /// The rows of a service.
    pub fn rows(&self, kind: Kind) -> impl Iterator<Item = &'a ViewRow> {
        self.evidence.remediation.views.iter().filter(move |row| row.kind == kind)
    }

    /// The last events of a row that tell any of these fields.
    pub fn told(&self, row: &ViewRow, names: &[&str]) -> Vec<String> {
        let mut events: Vec<&Entry> = self.entries(&row.event_ids);
        events.sort_by_key(|entry| Reverse((entry.event.occurred_at, entry.position)));
        let last = |name: &&str| events.iter().find(|entry| entry.field(name).is_some());
        let mut found: Vec<&Entry> = names.iter().filter_map(last).copied().collect();
        found.sort_by_key(|entry| entry.version);
        self.cite.events(found.iter().map(|entry| entry.event.event_id))
    }

    /// As `told`, else the row's last event.
    pub fn told_or_last(&self, row: &ViewRow, names: &[&str]) -> Vec<String> {
        let told = self.told(row, names);
        if told.is_empty() { self.cite.events([row.last_event_id]) } else { told }
    }

    /// The last events of the whole remediation that tell any of these fields.
    pub fn told_anywhere(&self, names: &[&str]) -> Vec<String> {
        let last = |name: &&str| {
            let told = self.cite.own.iter().filter(|entry| entry.field(name).is_some());
            told.max_by_key(|entry| (entry.event.occurred_at, entry.position)).copied()
        };
        let mut found: Vec<&Entry> = names.iter().filter_map(last).collect();
        found.sort_by_key(|entry| entry.version);
        self.cite.events(found.iter().map(|entry| entry.event.event_id))
    }

    fn entries(&self, ids: &[Uuid]) -> Vec<&'a Entry> {
        self.cite.own.iter().filter(|entry| ids.contains(&entry.event.event_id)).copied().collect()
    }

    /// The events of the timeline's first fact, and of its last.
    pub fn first(&self) -> Vec<String> {
        self.cite.events(self.evidence.remediation.timeline.first().map(|moment| moment.event_id))
    }

    /// What tells how the remediation ended, or the last event while it runs.
    pub fn ending(&self) -> Vec<String> {
        let names: &[&str] = match self.summary.completed_at {
            Some(_) => &["completionTime", "completedAt", "crdOutcome", "failureReason", "failurePhase"],
            None => &["overallPhase"],
        };
        let told: Vec<String> = self.rows(Kind::Orchestration).flat_map(|row| self.told(row, names)).collect();
        match (told.is_empty(), self.summary.completed_at) {
            (false, Some(_)) => told,
            (true, Some(_)) => {
                self.rows(Kind::Orchestration).flat_map(|row| self.told(row, &["overallPhase"])).collect()
            }
            (_, None) => self.cite.last(),
        }
    }

    /// What tells of a phase.
    pub fn of_phase(&self, name: PhaseName) -> Vec<String> {
        let moments = self.evidence.remediation.timeline.iter().filter(|moment| moment.phase == Some(name));
        let mut told = self.cite.events(moments.map(|moment| moment.event_id));
        if told.is_empty() && name == PhaseName::ApprovalWait {
            told = self.cite.events(self.summary.approvals.iter().map(|approval| approval.event_id));
        }
        // Where a phase has many events, those at its two ends say when it ran.
        if told.len() > 4 {
            told.drain(2..told.len() - 2);
        }
        if told.is_empty() { self.first() } else { told }
    }

    pub fn signal(&self) -> Option<String> {
        let signal = self.summary.signal.as_ref()?;
        signal.get("name")?.as_str().map(words::name)
    }

    /// The action that was chosen last, or the remedy that was recommended.
    pub fn action(&self) -> Option<&'a str> {
        let chosen = self.summary.action_types.last().map(String::as_str);
        let recommended = || {
            let rows = self.rows(Kind::AiAnalysis).map(|row| Fields::Map(&row.fields));
            rows.filter_map(|fields| fields.text("recommendedAction").or_else(|| fields.text("topRecommendation")))
                .last()
        };
        chosen.or_else(recommended)
    }

    /// Whether a remediation chose this action last.
    pub fn chose(summary: &Summary, action: &str) -> bool {
        summary.action_types.last().is_some_and(|chosen| same_action(chosen, action))
    }

    pub fn environment(&self) -> Option<&'a str> {
        self.summary.environment.as_deref()
    }

    /// How long it waited for approval within its duration; `None` where it did not.
    pub fn approval_wait(&self) -> Option<f64> {
        self.phase(PhaseName::ApprovalWait).map(|phase| phase.duration_ms).filter(|ms| *ms > 0.0)
    }

    pub fn phase(&self, name: PhaseName) -> Option<&'a Phase> {
        self.summary.phases.iter().find(|phase| phase.name == name)
    }

    /// The last approval that a person was asked for.
    pub fn asked(&self) -> Option<&'a Approval> {
        self.summary.approvals.iter().rev().find(|approval| approval.decision != "auto_approved")
    }

    /// The similar remediations that can be cited, the nearest first.
    pub fn similar(&self) -> impl Iterator<Item = (&'a Similar, Vec<String>)> {
        let nearest = self.evidence.similar.nearest.iter();
        let cited = nearest.map(|similar| (similar, self.cite.remediation(&similar.summary.stream)));
        cited.filter(|(_, cites)| !cites.is_empty())
    }

    /// The earlier remediations of the same target that can be cited, the latest first.
    pub fn earlier(&self) -> impl Iterator<Item = (&'a Summary, Vec<String>)> {
        let before = self.evidence.earlier.iter().filter(|earlier| earlier.started_at < self.summary.started_at);
        let cited = before.map(|earlier| (earlier, self.cite.remediation(&earlier.stream)));
        cited.filter(|(_, cites)| !cites.is_empty())
    }

    fn business_impact(&self) -> BusinessImpact {
        let rows = || self.rows(Kind::SignalProcessing).map(|row| Fields::Map(&row.fields));
        let classified = |fields: Fields<'a>| {
            let phases = fields.objects("processingPhases");
            phases.filter_map(|phase| phase.object("classificationResults")?.text("businessPriority")).last()
        };
        let priority = rows().find_map(|fields| fields.text("businessPriority").or_else(|| classified(fields)));
        let sla = rows().find_map(|fields| fields.text("slaRequirement"));
        let sla_ms = sla.and_then(words::read_duration);
        BusinessImpact {
            priority: priority.map(words::name),
            sla: sla.map(words::name),
            sla_ms,
            sla_breached: sla_ms.and_then(|limit| self.breached(limit)),
        }
    }

    /// Longer than the limit is a breach, over or not. Within it only what ended with the problem solved kept it: what ended
    /// otherwise left the problem to others, who may solve it later.
    fn breached(&self, limit_ms: f64) -> Option<bool> {
        let solved = success(self.summary) || self.summary.outcome == Some(RemediationOutcome::NoActionRequired);
        match (self.summary.duration_ms > limit_ms, solved) {
            (true, _) => Some(true),
            (false, true) => Some(false),
            (false, false) => None,
        }
    }
}

/// Services spell an action in several ways: `RestartPod` is `restart_pod`.
pub fn same_action(one: &str, other: &str) -> bool {
    plain(one) == plain(other)
}
