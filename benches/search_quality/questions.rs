//! The questions of the evaluation, and how well a remediation answers one.

use std::{collections::BTreeMap, fmt};

use binnacle::demo::Label;
use serde::Deserialize;

/// How well a remediation answers a question: 0 not at all, `SAME_FAMILY` up to `ALL_THAT_IS_NAMED`.
pub type Grade = u8;

pub const SAME_FAMILY: Grade = 1;
pub const SOME_OF_WHAT_IS_NAMED: Grade = 2;
pub const ALL_THAT_IS_NAMED: Grade = 3;

/// A question as somebody types it, and what they were after.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    pub text: String,
    pub kind: Kind,
    pub truth: Vec<Truth>,
    /// What is hard about it.
    pub note: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// What happened, in a sentence or two.
    Paraphrase,
    /// What is seen, in a line.
    Symptom,
    /// What a log says, pasted.
    Error,
    /// What was done about it, and whether it helped.
    Action,
}

impl Kind {
    pub const ALL: [Kind; 4] = [Kind::Paraphrase, Kind::Symptom, Kind::Error, Kind::Action];
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Paraphrase => "paraphrase",
            Kind::Symptom => "symptom",
            Kind::Error => "error",
            Kind::Action => "action",
        })
    }
}

/// What a remediation must have been to answer the question.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Truth {
    /// Without one it is all that is named or nothing.
    pub family: Option<String>,
    #[serde(default)]
    pub causes: Vec<String>,
    pub workflow: Option<String>,
    pub ending: Option<String>,
    pub helped: Option<bool>,
}

/// The two halves of the questions: settings are chosen on one and reported on both, so that they do not fit the
/// questions instead of the task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Half {
    Choosing,
    Checking,
}

#[derive(Deserialize)]
struct File {
    question: Vec<Question>,
}

/// The questions of this folder, in the order of their file.
pub fn all() -> anyhow::Result<Vec<Question>> {
    let file: File = toml::from_str(include_str!("questions.toml"))?;
    Ok(file.question)
}

impl Question {
    /// How well a remediation answers it: the best that any entry of the truth says.
    pub fn grade(&self, label: &Label) -> Grade {
        self.truth.iter().map(|truth| truth.grade(label)).max().unwrap_or(0)
    }

    /// The family that it counts under, where there is one.
    pub fn family(&self) -> &str {
        self.truth.first().and_then(|truth| truth.family.as_deref()).unwrap_or("any")
    }
}

impl Truth {
    fn grade(&self, label: &Label) -> Grade {
        let Some(family) = &self.family else {
            return if self.holds(label).into_iter().all(|holds| holds) { ALL_THAT_IS_NAMED } else { 0 };
        };
        if family != label.family {
            return 0;
        }
        let named = self.holds(label);
        match named.iter().filter(|holds| **holds).count() {
            0 => SAME_FAMILY,
            held if held == named.len() => ALL_THAT_IS_NAMED,
            _ => SOME_OF_WHAT_IS_NAMED,
        }
    }

    /// Whether each thing that it names beside the family holds. What was never written cannot be found, so a cause or
    /// a workflow that the audits do not name does not count.
    fn holds(&self, label: &Label) -> Vec<bool> {
        let causes = !self.causes.is_empty();
        let cause = causes.then(|| label.diagnosed && self.causes.iter().any(|cause| cause == label.cause));
        let workflow = self.workflow.as_deref().map(|workflow| label.diagnosed && workflow == label.workflow);
        let ending = self.ending.as_deref().map(|ending| label.ending == Some(ending));
        let helped = self.helped.map(|helped| label.helped == Some(helped));
        [cause, workflow, ending, helped].into_iter().flatten().collect()
    }
}

/// Which half each question belongs to. Those of one kind and family are dealt in turn, so that both halves have about
/// as many of each.
pub fn halves(questions: &[Question]) -> Vec<Half> {
    let mut dealt: BTreeMap<(Kind, &str), usize> = BTreeMap::new();
    questions
        .iter()
        .map(|question| {
            let kind = question.kind;
            // Neighbouring cells begin with different halves: the first question of a cell is often the easy one.
            let begin = dealt.keys().filter(|(other, _)| *other == kind).count() + kind as usize;
            let next = dealt.entry((kind, question.family())).or_insert(begin);
            *next += 1;
            if next.is_multiple_of(2) { Half::Choosing } else { Half::Checking }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeSet, HashMap, HashSet};

    use binnacle::demo;
    use serde_json::Value;

    use super::*;

    /// How many remediations the questions are checked against: enough for rare endings of rare workflows.
    const REMEDIATIONS: usize = 2_000;
    /// A run of words that a question must not share with the history's texts.
    const RUN: usize = 6;

    fn label() -> Label {
        Label {
            cluster_id: "eu-prod-1",
            remediation_id: "rr-1".to_string(),
            environment: "production",
            family: "oom-kill",
            cause: "heap-leak",
            signal: "KubePodOOMKilled",
            service: "checkout-api",
            target_kind: "Deployment",
            workflow: "rollback-deployment",
            diagnosed: true,
            ending: Some("remediated"),
            helped: Some(true),
        }
    }

    fn question(truth: &str) -> Question {
        toml::from_str(&format!("text = \"?\"\nkind = \"action\"\ntruth = [{truth}]")).unwrap()
    }

    #[test]
    fn a_remediation_is_graded_by_how_much_of_what_is_named_holds() {
        let grade = |truth: &str| question(truth).grade(&label());
        assert_eq!(grade(r#"{family = "oom-kill"}"#), 1);
        assert_eq!(grade(r#"{family = "disk-full"}"#), 0);
        assert_eq!(grade(r#"{family = "oom-kill", causes = ["limit-too-low", "heap-leak"]}"#), 3);
        assert_eq!(grade(r#"{family = "oom-kill", causes = ["limit-too-low"]}"#), 1);
        assert_eq!(grade(r#"{family = "oom-kill", causes = ["heap-leak"], ending = "rejected"}"#), 2);
        assert_eq!(grade(r#"{family = "oom-kill", workflow = "rollback-deployment", helped = true}"#), 3);
        assert_eq!(grade(r#"{family = "disk-full"}, {family = "oom-kill", helped = true}"#), 3);
    }

    #[test]
    fn without_a_family_it_is_all_or_nothing() {
        let grade = |truth: &str| question(truth).grade(&label());
        assert_eq!(grade(r#"{workflow = "rollback-deployment", helped = true}"#), 3);
        assert_eq!(grade(r#"{workflow = "rollback-deployment", helped = false}"#), 0);
    }

    #[test]
    fn a_cause_that_its_audits_do_not_name_counts_no_more_than_the_family() {
        let asked = question(r#"{family = "oom-kill", causes = ["heap-leak"]}"#);
        assert_eq!(asked.grade(&Label { diagnosed: false, ..label() }), 1);
    }

    #[test]
    fn there_are_enough_questions_of_every_kind_and_family_and_none_twice() {
        let questions = all().unwrap();
        assert!(questions.len() >= 80, "{} questions", questions.len());
        let texts: HashSet<Vec<String>> = questions.iter().map(|question| words(&question.text)).collect();
        assert_eq!(texts.len(), questions.len());
        for kind in Kind::ALL {
            let count = questions.iter().filter(|question| question.kind == kind).count();
            assert!((questions.len() / 5..=questions.len() / 3).contains(&count), "{count} of kind {kind}");
        }
        for family in demo::labels(REMEDIATIONS).iter().map(|label| label.family).collect::<BTreeSet<_>>() {
            let own: Vec<&Question> = questions.iter().filter(|question| question.family() == family).collect();
            let kinds: BTreeSet<Kind> = own.iter().map(|question| question.kind).collect();
            assert!(own.len() >= 4 && kinds.len() == Kind::ALL.len(), "{family}: {} of {kinds:?}", own.len());
        }
    }

    #[test]
    fn the_truth_names_what_there_is_and_every_question_has_an_answer() {
        let labels = demo::labels(REMEDIATIONS);
        let mut unanswered = Vec::new();
        let endings: BTreeSet<_> = demo::endings().collect();
        for question in all().unwrap() {
            assert!(!question.truth.is_empty(), "{}", question.text);
            for truth in &question.truth {
                let of_family = |label: &&Label| truth.family.as_deref().is_none_or(|family| family == label.family);
                let own: Vec<&Label> = labels.iter().filter(of_family).collect();
                assert!(!own.is_empty(), "{truth:?}");
                assert!(truth.causes.iter().all(|cause| own.iter().any(|label| label.cause == cause)), "{truth:?}");
                assert!(truth.ending.as_deref().is_none_or(|ending| endings.contains(ending)), "{truth:?}");
                assert!(truth.family.is_some() || !truth.holds(own[0]).is_empty(), "{truth:?} is after anything");
                let best = own.iter().map(|label| truth.grade(label)).max().unwrap();
                let wanted = if truth.holds(own[0]).is_empty() { SAME_FAMILY } else { ALL_THAT_IS_NAMED };
                if best < wanted {
                    unanswered.push((question.text.clone(), truth.clone()));
                }
            }
        }
        assert!(unanswered.is_empty(), "no remediation answers these wholly: {unanswered:#?}");
    }

    #[test]
    fn no_question_repeats_the_words_of_the_history() {
        let mut told: HashMap<Vec<String>, String> = HashMap::new();
        for recording in demo::history(REMEDIATIONS, "2026-05-04T12:00:00Z".parse().unwrap()) {
            for text in texts(&Value::Object(recording.submission.fields)) {
                for run in words(&text).windows(RUN) {
                    told.entry(run.to_vec()).or_insert_with(|| text.clone());
                }
            }
        }
        assert!(told.len() > 10_000);
        for question in all().unwrap() {
            for run in words(&question.text).windows(RUN) {
                assert!(!told.contains_key(run), "`{}` repeats `{}`", question.text, told[run]);
            }
        }
    }

    #[test]
    fn the_halves_are_about_the_same_by_kind_and_family() {
        let questions = all().unwrap();
        let halves = halves(&questions);
        let lean = |of: &dyn Fn(&Question) -> bool| -> i64 {
            let own = questions.iter().zip(&halves).filter(|(question, _)| of(question));
            own.map(|(_, half)| if *half == Half::Choosing { 1 } else { -1 }).sum()
        };
        assert!(lean(&|_| true).abs() <= 8);
        for kind in Kind::ALL {
            assert!(lean(&|question| question.kind == kind).abs() <= 6, "{kind}");
        }
        for question in &questions {
            assert!(lean(&|other| other.family() == question.family()).abs() <= 4, "{}", question.family());
        }
    }

    fn texts(value: &Value) -> Vec<String> {
        match value {
            Value::String(text) => vec![text.clone()],
            Value::Array(items) => items.iter().flat_map(texts).collect(),
            Value::Object(fields) => fields.values().flat_map(texts).collect(),
            Value::Null | Value::Bool(_) | Value::Number(_) => Vec::new(),
        }
    }

    fn words(text: &str) -> Vec<String> {
        let words = text.split(|c: char| !c.is_alphanumeric());
        words.filter(|word| !word.is_empty()).map(str::to_lowercase).collect()
    }
}
