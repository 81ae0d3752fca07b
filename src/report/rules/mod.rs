//! Recommendations by named rules. A rule fires on facts only, computes the figures that it names, and cites what it rests
//! on. A change of a rule, or of what it says, is a new `RULES_VERSION`.

mod approval;
mod history;
mod outcome;
mod record;

use super::{
    case::Case,
    model::{Priority, Recommendation},
};

/// The version of the rules and of the sentences of a report.
pub const RULES_VERSION: &str = "1";

/// Most recommendations that one rule may make.
const FIRED_MAX: usize = 3;

/// A rule, and in words what it looks at and when it fires.
pub struct Rule {
    pub name: &'static str,
    pub looks_at: &'static str,
    pub fires: &'static str,
    apply: fn(&Case<'_>) -> Vec<Fired>,
}

/// What a rule found.
struct Fired {
    priority: Priority,
    expected_impact: Option<String>,
    text: String,
    cites: Vec<String>,
}

impl Fired {
    fn new(priority: Priority, text: impl Into<String>, cites: Vec<String>) -> Fired {
        Fired { priority, expected_impact: None, text: text.into(), cites }
    }

    fn worth(mut self, impact: impl Into<String>) -> Fired {
        self.expected_impact = Some(impact.into());
        self
    }
}

/// Every rule. Of equal priority, the recommendation of the earlier rule comes first.
pub static RULES: &[Rule] = &[
    Rule {
        name: "sla-breached",
        looks_at: "the SLA of signal processing and the duration",
        fires: "the remediation took longer than the SLA allows",
        apply: outcome::sla_breached,
    },
    Rule {
        name: "not-effective",
        looks_at: "the assessments of the effect",
        fires: "an assessment found the remediation not effective, or the alert still fires",
        apply: outcome::not_effective,
    },
    Rule {
        name: "execution-failed",
        looks_at: "the last workflow execution",
        fires: "it failed, timed out or succeeded in part only",
        apply: outcome::execution_failed,
    },
    Rule {
        name: "action-failed-before",
        looks_at: "earlier remediations of the same target",
        fires: "the same action was carried out on it before without success",
        apply: history::action_failed_before,
    },
    Rule {
        name: "recurring-target",
        looks_at: "earlier remediations of the same target",
        fires: "it was remediated at least once in the 7 days before, with success",
        apply: history::recurring_target,
    },
    Rule {
        name: "auto-approve",
        looks_at: "the last approval, and approvals of the same action in similar and earlier cases of this environment",
        fires: "a person agreed after a wait; in such cases nobody ever refused, and the lower end of their success rate (Wilson, \
                95 %) is at least 50 %",
        apply: approval::auto_approve,
    },
    Rule {
        name: "approval-bottleneck",
        looks_at: "the phases",
        fires: "the wait for approval was the bottleneck and at least a quarter of the whole, and `auto-approve` did not fire",
        apply: approval::bottleneck,
    },
    Rule {
        name: "approval-expired",
        looks_at: "the last approval",
        fires: "nobody decided in time",
        apply: approval::expired,
    },
    Rule {
        name: "remedy-refused",
        looks_at: "the last approval",
        fires: "a person refused the remedy",
        apply: approval::refused,
    },
    Rule {
        name: "better-action",
        looks_at: "what came of each action in similar cases",
        fires: "another action ended at least 3 times, and the lower end of its success rate (Wilson, 95 %) is at least 10 points \
                higher than that of the action chosen here",
        apply: history::better_action,
    },
    Rule {
        name: "slow-phase",
        looks_at: "the bottleneck, and the same phase in similar cases",
        fires: "it is not the wait for approval, and took at least twice the median of at least 3 similar cases",
        apply: history::slow_phase,
    },
    Rule {
        name: "hallucination",
        looks_at: "the AI analysis",
        fires: "an answer of the model failed its validation",
        apply: outcome::hallucination,
    },
    Rule {
        name: "low-confidence",
        looks_at: "the AI analysis",
        fires: "it was less than 60 % sure, or asked for a person to look",
        apply: outcome::low_confidence,
    },
    Rule {
        name: "side-effects",
        looks_at: "the assessments of the effect",
        fires: "side effects were seen",
        apply: outcome::side_effects,
    },
    Rule {
        name: "not-verified",
        looks_at: "the outcome and the assessments",
        fires: "a workflow was carried out and the remediation ended, but no assessment came to a verdict in time",
        apply: outcome::not_verified,
    },
    Rule {
        name: "rollbacks",
        looks_at: "the workflow executions",
        fires: "steps were rolled back",
        apply: outcome::rollbacks,
    },
    Rule {
        name: "retried-steps",
        looks_at: "the workflow executions",
        fires: "steps of an execution that succeeded were tried again",
        apply: outcome::retried_steps,
    },
    Rule {
        name: "notification-failed",
        looks_at: "the notifications",
        fires: "one was given up, or arrived only after further attempts",
        apply: record::notification_failed,
    },
    Rule {
        name: "contradictions",
        looks_at: "the completeness of the record",
        fires: "facts contradict one another",
        apply: record::contradictions,
    },
    Rule {
        name: "missing-audits",
        looks_at: "the completeness of the record",
        fires: "something is missing that a remediation of this outcome should have",
        apply: record::missing_audits,
    },
    Rule {
        name: "late-audits",
        looks_at: "the completeness of the record",
        fires: "an event was recorded more than a minute after one that had occurred later",
        apply: record::late_audits,
    },
    Rule {
        name: "thin-context",
        looks_at: "signal processing",
        fires: "less than half of the wanted context was got, or sources were missing",
        apply: record::thin_context,
    },
];

/// What the rules recommend, the most urgent first.
pub fn apply(case: &Case<'_>) -> Vec<Recommendation> {
    let mut recommendations: Vec<Recommendation> = Vec::new();
    for rule in RULES {
        let fired = (rule.apply)(case).into_iter().take(FIRED_MAX);
        recommendations.extend(fired.map(|fired| Recommendation {
            rule: rule.name,
            priority: fired.priority,
            expected_impact: fired.expected_impact,
            text: fired.text,
            cites: case.cited(fired.cites),
        }));
    }
    recommendations.sort_by_key(|found| found.priority); // stable: then in the order of the rules
    recommendations
}
