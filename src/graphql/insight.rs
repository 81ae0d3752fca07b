//! What operators see of each operation: a span in the logs, the metrics by name, and a line when it was slow. Never its
//! variables.

use std::time::Duration;

use async_graphql::{
    Name, Positioned, Response, Value,
    parser::types::{DocumentOperations, ExecutableDocument, OperationDefinition, OperationType as Type, Selection},
};
use tracing::{Span, info_span, warn};

use super::{allow_list::hash, cost::Cost};
use crate::telemetry::OperationType;

/// Most characters of an operation's name that are shown.
const NAME_CHARS_MAX: usize = 64;
/// Digits of a document's SHA-256 that tell it from the others.
const HASH_DIGITS: usize = 16;

/// The operation of a document that will be executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    pub name: Option<String>,
    pub kind: OperationType,
    /// Whether it selects one thing, and that is a field: all that async-graphql sees of a subscription are its fields, each as
    /// one more stream. (GraphQL, 5.2.3.1: a subscription has a single root field.)
    pub has_one_field: bool,
    /// The variables that need a value, each with its type.
    pub required: Vec<(String, String)>,
}

/// The operation that a request asks for, with its name where it has one; none where the schema will refuse to choose.
pub fn definition<'a>(
    document: &'a ExecutableDocument,
    named: Option<&str>,
) -> Option<(Option<&'a Name>, &'a Positioned<OperationDefinition>)> {
    match (&document.operations, named) {
        (DocumentOperations::Single(operation), None) => Some((None, operation)),
        (DocumentOperations::Single(_), Some(_)) => None,
        (DocumentOperations::Multiple(operations), Some(named)) => {
            let (name, operation) = operations.iter().find(|(name, _)| name.as_str() == named)?;
            Some((Some(name), operation))
        }
        (DocumentOperations::Multiple(operations), None) if operations.len() == 1 => {
            let (name, operation) = operations.iter().next()?;
            Some((Some(name), operation))
        }
        (DocumentOperations::Multiple(_), None) => None,
    }
}

impl Operation {
    /// The operation that a request asks for, as `definition` finds it.
    pub fn of(document: &ExecutableDocument, named: Option<&str>) -> Option<Operation> {
        let (name, definition) = definition(document, named)?;
        let kind = match definition.node.ty {
            Type::Query => OperationType::Query,
            Type::Mutation => OperationType::Mutation,
            Type::Subscription => OperationType::Subscription,
        };
        let selected = &definition.node.selection_set.node.items;
        let has_one_field = matches!(&selected[..], [one] if matches!(one.node, Selection::Field(_)));
        let variables = definition.node.variable_definitions.iter().map(|variable| &variable.node);
        let required = variables
            .filter(|variable| !variable.var_type.node.nullable && variable.default_value.is_none())
            .map(|variable| (variable.name.node.to_string(), variable.var_type.node.to_string()))
            .collect();
        let name = name.map(|name| name.chars().take(NAME_CHARS_MAX).collect());
        Some(Operation { name, kind, has_one_field, required })
    }

    /// The span of all log lines that tell of this operation.
    pub fn span(&self) -> Span {
        info_span!("operation", operation.name = self.shown(), operation.kind = self.kind.word())
    }

    /// Tells of an operation that took long.
    pub fn tell_slow(&self, text: &str, cost: Option<Cost>, reads: usize, code: &str, time: Duration) {
        let hash = hash(text);
        warn!(
            operation.name = self.shown(),
            operation.kind = self.kind.word(),
            operation.cost = cost.map(|cost| cost.fields),
            operation.reads = reads,
            operation.code = code,
            document.sha256 = &hash[..HASH_DIGITS],
            duration.ms = time.as_secs_f64() * 1_000.0,
            "the {} `{}` took {} ms",
            self.kind.word(),
            self.shown(),
            time.as_millis()
        );
    }

    fn shown(&self) -> &str {
        self.name.as_deref().unwrap_or("anonymous")
    }
}

/// The code of what an answer says first, or `OK`.
pub fn code(response: &Response) -> String {
    let Some(error) = response.errors.first() else { return "OK".to_string() };
    match error.extensions.as_ref().and_then(|extensions| extensions.get("code")) {
        Some(Value::String(code)) => code.clone(),
        _ => crate::error::Code::BadInput.word().to_string(),
    }
}
