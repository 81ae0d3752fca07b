//! Which entity each entry is about: the one orchestration of a remediation, an execution, a notification, an assessment.

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
};

use crate::audit::{Entry, Kind, facts::Fields};

/// Among more executions than these an event that does not name its own is not placed by elimination, which would cost
/// the square of their number.
const NAMED_MAX: usize = 100;

/// The entities of a stream.
pub struct Keys {
    /// For each entry, the index of its entity.
    pub of: Vec<usize>,
    /// Kind and key of each entity.
    pub entities: Vec<(Kind, String)>,
}

/// Assigns each entry its entity, whatever the order of the entries.
pub fn assign(entries: &[&Entry]) -> Keys {
    let executions = Executions::of(entries);
    let analyses = Analyses::of(entries);
    let mut known: HashMap<(Kind, Cow<'_, str>), usize> = HashMap::new();
    let mut of = Vec::with_capacity(entries.len());
    let mut settled: HashMap<(Option<&str>, Option<i64>), Cow<'_, str>> = HashMap::new();
    for entry in entries {
        let fields = entry.event.fields();
        let kind = entry.event.kind;
        let key: Cow<'_, str> = match kind {
            Kind::Orchestration | Kind::SignalProcessing | Kind::Other => "".into(),
            Kind::AiAnalysis => analyses.key(fields),
            Kind::WorkflowExecution => match fields.text("executionName") {
                Some(name) => name.into(),
                None => {
                    let told = (fields.text("workflowName"), fields.count("attempt"));
                    settled.entry(told).or_insert_with(|| executions.key(told)).clone()
                }
            },
            Kind::Notification => fields.text("notificationId").unwrap_or_default().into(),
            Kind::Effectiveness => fields.text("assessmentId").unwrap_or_default().into(),
        };
        let next = known.len();
        of.push(*known.entry((kind, key)).or_insert(next));
    }
    let mut entities = vec![(Kind::Other, String::new()); known.len()];
    for ((kind, key), index) in known {
        entities[index] = (kind, key.into_owned());
    }
    Keys { of, entities }
}

/// The executions of a remediation: the named ones, and those known by workflow and attempt only.
struct Executions<'a> {
    named: Vec<Execution<'a>>,
    unnamed: Vec<(&'a str, Option<i64>)>,
}

struct Execution<'a> {
    name: &'a str,
    workflows: HashSet<&'a str>,
    attempts: HashSet<i64>,
}

impl<'a> Executions<'a> {
    fn of(entries: &[&'a Entry]) -> Executions<'a> {
        let mut named: Vec<Execution<'a>> = Vec::new();
        let mut places: HashMap<&str, usize> = HashMap::new();
        let mut unnamed = Vec::new();
        for entry in entries.iter().filter(|entry| entry.event.kind == Kind::WorkflowExecution) {
            let fields = entry.event.fields();
            let (workflow, attempt) = (fields.text("workflowName"), fields.count("attempt"));
            let Some(name) = fields.text("executionName") else {
                unnamed.extend(workflow.map(|workflow| (workflow, attempt)));
                continue;
            };
            let place = *places.entry(name).or_insert_with(|| {
                named.push(Execution { name, workflows: HashSet::new(), attempts: HashSet::new() });
                named.len() - 1
            });
            named[place].workflows.extend(workflow);
            named[place].attempts.extend(attempt);
        }
        unnamed.sort_unstable();
        unnamed.dedup();
        Executions { named, unnamed }
    }

    /// The key of an event that does not name its execution: the one named execution that it can be of; else its
    /// workflow and attempt; else the one execution there is with that attempt.
    fn key(&self, (workflow, attempt): (Option<&'a str>, Option<i64>)) -> Cow<'a, str> {
        let fits = |execution: &&Execution<'_>| {
            let (workflows, attempts) = (&execution.workflows, &execution.attempts);
            workflow.is_none_or(|workflow| workflows.is_empty() || workflows.contains(workflow))
                && attempt.is_none_or(|attempt| attempts.is_empty() || attempts.contains(&attempt))
        };
        let few = if self.named.len() > NAMED_MAX { &[] } else { self.named.as_slice() };
        let mut fitting = few.iter().filter(fits);
        if let (Some(one), None) = (fitting.next(), fitting.next()) {
            return one.name.into();
        }
        if let Some(workflow) = workflow {
            return by_attempt(workflow, attempt).into();
        }
        let mut others: Vec<String> = self
            .unnamed
            .iter()
            .filter(|(_, other)| attempt.is_none_or(|attempt| attempt == other.unwrap_or(1)))
            .map(|(workflow, other)| by_attempt(workflow, *other))
            .collect();
        others.dedup();
        match others.as_slice() {
            [one] if self.named.is_empty() => one.clone().into(),
            _ => by_attempt("", attempt).into(),
        }
    }
}

fn by_attempt(workflow: &str, attempt: Option<i64>) -> String {
    format!("{workflow}#{}", attempt.unwrap_or(1))
}

/// The analyses of a remediation, by the namespace and the name of their resource.
struct Analyses<'a> {
    /// Sorted, each once; the namespace is empty where no event tells it.
    named: Vec<(&'a str, &'a str)>,
}

impl<'a> Analyses<'a> {
    fn of(entries: &[&'a Entry]) -> Analyses<'a> {
        let analyses = entries.iter().filter(|entry| entry.event.kind == Kind::AiAnalysis);
        let mut named: Vec<_> = analyses.filter_map(|entry| named(entry.event.fields())).collect();
        named.sort_unstable();
        named.dedup();
        let whole: Vec<&str> =
            named.iter().filter(|(_, namespace)| !namespace.is_empty()).map(|(name, _)| *name).collect();
        // A name without a namespace is that of the resource whose namespace is told elsewhere.
        named.retain(|(name, namespace)| !namespace.is_empty() || whole.binary_search(name).is_err());
        Analyses { named }
    }

    fn key(&self, fields: Fields<'a>) -> Cow<'a, str> {
        let found = match named(fields) {
            Some((name, "")) => {
                let first = self.named.partition_point(|(other, _)| *other < name);
                self.named.get(first).filter(|(other, _)| *other == name).copied().or(Some((name, "")))
            }
            Some(whole) => Some(whole),
            None if self.named.len() == 1 => self.named.first().copied(),
            None => None,
        };
        found.map_or("".into(), |(name, namespace)| format!("{namespace}/{name}").into())
    }
}

fn named<'a>(fields: Fields<'a>) -> Option<(&'a str, &'a str)> {
    Some((fields.text("crdName")?, fields.text("crdNamespace").unwrap_or_default()))
}
