//! The same checks for what came in other words: they are told of each value alone, and a reading takes what fits.

use serde_json::{Map, Value};

use super::{Checker, Form, ORDERED, PROBLEMS_MAX, Problem, time_in};
use crate::audit::{
    fields::{COMMON, Field, KindTable, Need, Shape, Table},
    limits::{LINE_MAX, LIST_MAX, TEXT_MAX},
};

/// The checks of values, one by one, with everything that is wrong with them.
pub(in crate::audit) struct Examiner(Checker);

impl Examiner {
    pub fn new() -> Examiner {
        Examiner(Checker::new(Form::Kubernaut))
    }

    /// The value in its one normal form, or `None` after a problem was noted at its name.
    pub fn value(&mut self, name: &str, shape: Shape, mut value: Value) -> Option<Value> {
        self.0.path.push(name.to_string().into());
        let fine = self.0.value(name, shape, &mut value);
        self.0.path.pop();
        fine.then_some(value)
    }

    /// Depth, NUL characters and numbers, anywhere in an object that stands at `path`; depth counts from there.
    pub fn nesting(&mut self, path: &[&str], given: &Map<String, Value>) {
        self.0.path = path.iter().map(|part| part.to_string().into()).collect();
        self.0.nesting(given);
        self.0.path.clear();
    }

    pub fn problem(&mut self, path: &[&str], code: &'static str, message: impl Into<String>) {
        self.0.problem(path, code, message);
    }

    pub fn fine(&self) -> bool {
        self.0.problems.is_empty()
    }

    pub fn into_problems(self) -> Vec<Problem> {
        let mut problems = self.0.problems;
        problems.truncate(PROBLEMS_MAX);
        problems
    }
}

/// What of these fields the checks would let in, as they would keep it. The rest is left out, and a narrative that is
/// longer than its field is cut.
pub(in crate::audit) fn fitting(table: &KindTable, mut given: Map<String, Value>) -> Map<String, Value> {
    let mut kept = Map::new();
    for field in COMMON.fields.iter().chain(table.table.fields) {
        keep(field, &mut given, &mut kept);
    }
    in_order(&mut kept);
    kept
}

fn keep(field: &Field, given: &mut Map<String, Value>, kept: &mut Map<String, Value>) {
    if let Some(value) = given.remove(field.name).and_then(|value| fit(field.shape, value)) {
        kept.insert(field.name.to_string(), value);
    }
}

fn fit(shape: Shape, value: Value) -> Option<Value> {
    match (shape, value) {
        (Shape::Object(table), Value::Object(given)) => object(table, given),
        (Shape::Objects(table), value) => list(Shape::Object(table), value),
        (Shape::Names, value) => list(Shape::Name, value),
        (Shape::Lines, value) => list(Shape::Line, value),
        (Shape::WordList(words), value) => list(Shape::Word(words), value),
        (Shape::Line, Value::String(text)) => plain(shape, cut(text, LINE_MAX).into()),
        (Shape::Text, Value::String(text)) => plain(shape, cut(text, TEXT_MAX).into()),
        (_, Value::Null) => None,
        (shape, value) => plain(shape, value),
    }
}

fn plain(shape: Shape, value: Value) -> Option<Value> {
    let mut examiner = Examiner::new();
    let value = examiner.value("", shape, value)?;
    examiner.fine().then_some(value)
}

fn list(of: Shape, value: Value) -> Option<Value> {
    let Value::Array(items) = value else { return None };
    let items: Vec<Value> = items.into_iter().take(LIST_MAX).filter_map(|item| fit(of, item)).collect();
    (!items.is_empty()).then_some(Value::Array(items))
}

/// An object without what a value of its table needs is none.
fn object(table: &Table, mut given: Map<String, Value>) -> Option<Value> {
    let mut kept = Map::new();
    for field in table.fields {
        keep(field, &mut given, &mut kept);
        if field.need == Need::Always && !kept.contains_key(field.name) {
            return None;
        }
    }
    in_order(&mut kept);
    (!kept.is_empty()).then_some(Value::Object(kept))
}

fn in_order(kept: &mut Map<String, Value>) {
    for (first, second) in ORDERED {
        if let (Some(start), Some(end)) = (time_in(kept, first), time_in(kept, second))
            && end < start
        {
            kept.remove(*second);
        }
    }
}

fn cut(text: String, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text,
        Some(_) => {
            let end = text.char_indices().nth(most - 1).map_or(text.len(), |(end, _)| end);
            format!("{}…", text[..end].trim_end())
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::audit::kind::Kind;

    #[test]
    fn a_reading_takes_what_fits_and_leaves_out_what_does_not() {
        let Value::Object(given) = json!({
            "overallPhase": "AwaitingApproval", "startTime": "2026-05-04T12:00:00+02:00", "completionTime": "2026-05-04T09:00:00Z",
            "duplicateCount": -1, "totalDurationMs": 7, "errorDetails": {"code": "E"}, "crdOutcome": "Wonderful",
            "failureReason": "x".repeat(LINE_MAX + 1), "nobodyKnows": 1, "servicesInvoked": ["a", 7, " b", "c"],
            "target": {"kind": "Deployment", "name": "checkout", "namespace": null},
        }) else {
            unreachable!()
        };
        let mut kept = fitting(KindTable::of(Kind::Orchestration), given);
        let reason = kept.remove("failureReason").unwrap();
        assert_eq!(reason.as_str().unwrap().chars().count(), LINE_MAX);
        assert_eq!(
            Value::Object(kept),
            json!({"overallPhase": "awaiting_approval", "startTime": "2026-05-04T10:00:00Z", "totalDurationMs": 7,
                "servicesInvoked": ["a", "c"], "target": {"kind": "Deployment", "name": "checkout"}})
        );
    }
}
