//! What each remediation of the history really was. The history tells it in prose only; who judges a search needs it
//! plainly.

use super::plan::{self, Effect, Ending, Plan, Stage};

/// What a remediation of the history was, by the names that the families' data has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    pub cluster_id: &'static str,
    pub remediation_id: String,
    pub environment: &'static str,
    pub family: &'static str,
    pub cause: &'static str,
    pub signal: &'static str,
    /// The service that suffered.
    pub service: &'static str,
    pub target_kind: &'static str,
    /// What was recommended, where it came to that.
    pub workflow: &'static str,
    /// Whether its audits name the cause and recommend the workflow: nobody can find what was never written.
    pub diagnosed: bool,
    /// `None` while it is still running.
    pub ending: Option<&'static str>,
    /// Whether what was done helped; `None` where nothing was done, or nobody could tell.
    pub helped: Option<bool>,
}

/// The labels of what `history` records for as many remediations, the oldest first.
pub fn labels(remediations: usize) -> Vec<Label> {
    plan::deal(remediations).iter().map(label).collect()
}

/// The names that `Label::ending` may have.
pub fn endings() -> impl Iterator<Item = &'static str> {
    plan::endings().map(name)
}

fn label(plan: &Plan) -> Label {
    let finished = plan.caught_in.is_none();
    Label {
        cluster_id: plan.cluster.name,
        remediation_id: plan.remediation_id.clone(),
        environment: plan.cluster.environment,
        family: plan.family.name,
        cause: plan.cause.name,
        signal: plan.signal.name,
        service: plan.service.name,
        target_kind: plan.target.kind,
        workflow: plan.remedy.workflow,
        diagnosed: diagnosed(plan),
        ending: finished.then(|| name(plan.ending)),
        // Only what was carried out to its end and looked at afterwards has a verdict.
        helped: (finished && plan.ending == Ending::Remediated).then_some(plan.effect != Effect::Unchanged),
    }
}

fn diagnosed(plan: &Plan) -> bool {
    match plan.ending {
        Ending::AnalysisFailed | Ending::Blocked | Ending::Skipped | Ending::NoAction | Ending::ManualReview => false,
        Ending::Remediated
        | Ending::Inconclusive
        | Ending::VerificationTimedOut
        | Ending::ExecutionFailed
        | Ending::ExecutionTimedOut
        | Ending::Rejected
        | Ending::Expired
        | Ending::DryRun
        | Ending::Cancelled => plan.caught_in != Some(Stage::Investigating),
    }
}

fn name(ending: Ending) -> &'static str {
    match ending {
        Ending::Remediated => "remediated",
        Ending::Inconclusive => "inconclusive",
        Ending::VerificationTimedOut => "verification-timed-out",
        Ending::ExecutionFailed => "execution-failed",
        Ending::ExecutionTimedOut => "execution-timed-out",
        Ending::AnalysisFailed => "analysis-failed",
        Ending::Rejected => "rejected",
        Ending::Expired => "expired",
        Ending::Blocked => "blocked",
        Ending::Skipped => "skipped",
        Ending::NoAction => "no-action",
        Ending::ManualReview => "manual-review",
        Ending::DryRun => "dry-run",
        Ending::Cancelled => "cancelled",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use serde_json::Value;

    use super::*;
    use crate::{audit::Kind, demo::history};

    /// What the history's audits tell of one remediation.
    #[derive(Debug, Default)]
    struct Told {
        words: BTreeMap<&'static str, BTreeSet<String>>,
    }

    impl Told {
        fn add(&mut self, what: &'static str, value: Option<&Value>) {
            self.words.entry(what).or_default().extend(value.and_then(Value::as_str).map(str::to_string));
        }

        /// The one value that was told, if any was.
        fn one(&self, what: &str) -> Option<&str> {
            let values = self.words.get(what)?;
            assert!(values.len() <= 1, "{what}: {values:?}");
            values.first().map(String::as_str)
        }

        fn has(&self, what: &str, value: &str) -> bool {
            self.words.get(what).is_some_and(|values| values.contains(value))
        }
    }

    fn told(remediations: usize) -> BTreeMap<(String, String), Told> {
        let mut all: BTreeMap<_, Told> = BTreeMap::new();
        for recording in history(remediations, "2026-05-04T12:00:00Z".parse().unwrap()) {
            let (kind, fields) = (recording.submission.kind, recording.submission.fields);
            let text = |name: &str| fields[name].as_str().unwrap().to_string();
            let told = all.entry((text("clusterId"), text("remediationId"))).or_default();
            let inside = |outer: &str, inner: &str| fields.get(outer).and_then(|value| value.get(inner)).cloned();
            told.add("environment", fields.get("environment"));
            told.add("family", inside("details", "family").as_ref());
            told.add("signal", inside("signal", "name").as_ref());
            told.add("service", inside("signal", "labels").as_ref().and_then(|labels| labels.get("service")));
            told.add("target kind", inside("target", "kind").as_ref());
            told.add("root cause", fields.get("rootCause"));
            if kind == Kind::AiAnalysis {
                told.add("workflow", fields.get("workflowId"));
            }
            if kind == Kind::Orchestration && fields.contains_key("completionTime") {
                told.add("end", fields.get("overallPhase"));
            }
            if let Some(score) = fields.get("traditionalScore").and_then(Value::as_f64) {
                told.add("helped", Some(&Value::from(if score > 0.5 { "yes" } else { "no" })));
            }
        }
        all
    }

    #[test]
    fn labels_and_history_are_of_the_same_remediations_and_agree_on_what_both_tell() {
        let (labels, told) = (labels(300), told(300));
        assert_eq!(labels.len(), told.len());
        for label in &labels {
            let told = &told[&(label.cluster_id.to_string(), label.remediation_id.clone())];
            assert_eq!(told.one("family"), Some(label.family));
            assert_eq!(told.one("environment"), Some(label.environment));
            assert_eq!(told.one("signal"), Some(label.signal));
            assert_eq!(told.one("service"), Some(label.service));
            assert_eq!(told.one("target kind"), Some(label.target_kind));
            if label.diagnosed {
                assert_eq!(told.one("workflow"), Some(label.workflow));
            }
            if label.ending.is_some() {
                assert_eq!(told.one("root cause").is_some(), label.diagnosed, "{label:?}");
                assert_eq!(told.one("workflow").is_some(), label.diagnosed, "{label:?}");
            }
        }
    }

    #[test]
    fn what_is_over_has_an_ending_and_what_was_assessed_has_a_verdict() {
        let told = told(300);
        for label in labels(300) {
            let told = &told[&(label.cluster_id.to_string(), label.remediation_id.clone())];
            // Some of the blocked are held back until somebody looks.
            let over = label.ending.is_some_and(|ending| ending != "blocked" || told.one("end").is_some());
            assert_eq!(told.one("end").is_some(), over, "{label:?}: {told:?}");
            assert_eq!(told.has("end", "skipped"), label.ending == Some("skipped"), "{label:?}");
            assert_eq!(told.has("end", "cancelled"), label.ending == Some("cancelled"), "{label:?}");
            if let Some(helped) = label.helped {
                assert_eq!(told.one("helped"), Some(if helped { "yes" } else { "no" }), "{label:?}");
            }
        }
    }

    #[test]
    fn every_ending_has_a_name_of_its_own_and_appears() {
        let names: BTreeSet<_> = endings().collect();
        assert_eq!(names.len(), 14);
        assert_eq!(labels(300).iter().filter_map(|label| label.ending).collect::<BTreeSet<_>>(), names);
    }
}
