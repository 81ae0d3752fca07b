//! The OpenAPI 3.1 document: put together from the endpoints and the table of fields, served, and kept as `openapi.json`.

mod audits;
mod envelope;

use serde_json::{Map, Value, json};
use utoipa::{PartialSchema as _, ToSchema as _, openapi::OpenApi};

use super::{
    fault::{Fault, Mistake, PROBLEM_JSON, ProblemDocument},
    routes,
};
use crate::error::Failure;

const ABOUT: &str = "Records the audits of autonomous remediation and reads them back. GraphQL, at `/graphql`, asks for more: \
    timelines, search, statistics and reports.\n\nEvery failure is a problem document (RFC 9457), whose `type` is the address \
    of a page that explains it.";

const PROBLEM: &str = "What is told of a failure: a problem document as in RFC 9457. Some have members of their own: `existing` is the \
    receipt of what was recorded under the id before, `results` tells of each audit of a list, `event_ids` has the ids of those \
    events of a batch that are recorded.";

/// The document of this server, as JSON text.
pub fn text() -> String {
    let (_, document) = routes().split_for_parts();
    let mut text = serde_json::to_string_pretty(&complete(document)).expect("the document is JSON");
    text.push('\n');
    text
}

/// The document that the endpoints make, with what is the same for all of them and what comes from the table of fields.
pub fn complete(endpoints: OpenApi) -> Value {
    let mut document = serde_json::to_value(endpoints).expect("the document is JSON");
    document["openapi"] = "3.1.0".into();
    document["info"] = json!({
        "title": "Binnacle",
        "version": env!("CARGO_PKG_VERSION"),
        "description": ABOUT,
        "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
    });
    document["servers"] = json!([{"url": "/", "description": "This server."}]);
    document["tags"] = json!([
        {"name": "audits", "description": "Recording audits in the columns of their kind."},
        {"name": "kubernaut", "description": "Kubernaut's Data Storage API, so that its controllers need only another address."},
    ]);
    document["security"] = json!([{}, {"token": []}]);
    document["components"]["securitySchemes"] = json!({"token": {
        "type": "http", "scheme": "bearer", "description": "Asked for where the server is started with `--tokens-file`.",
    }});
    audits::describe(&mut document);
    envelope::describe(&mut document);
    let schemas = document["components"]["schemas"].as_object_mut().expect("the endpoints have schemas");
    for (name, schema) in [(ProblemDocument::name(), ProblemDocument::schema()), (Mistake::name(), Mistake::schema())] {
        schemas.insert(name.into_owned(), serde_json::to_value(schema).expect("a schema is JSON"));
    }
    schemas[&*ProblemDocument::name()]["additionalProperties"] = true.into();
    schemas[&*ProblemDocument::name()]["description"] = PROBLEM.into();
    every_operation(&mut document, common_failures);
    every_operation(&mut document, empty_is_left_out);
    document
}

/// Does something to each operation.
fn every_operation(document: &mut Value, mut does: impl FnMut(&mut Map<String, Value>)) {
    let paths = document["paths"].as_object_mut().expect("the document has paths");
    for path in paths.values_mut() {
        let operations = path.as_object_mut().expect("a path is an object").iter_mut();
        let operations = operations.filter(|(method, _)| matches!(method.as_str(), "get" | "post" | "delete"));
        operations.for_each(|(_, operation)| does(operation.as_object_mut().expect("an operation is an object")));
    }
}

/// The failures that any request can meet, and those of requests with a body.
fn common_failures(operation: &mut Map<String, Value>) {
    let any = [
        Failure::BadInput,
        Failure::Unauthenticated,
        Failure::Forbidden,
        Failure::NotAcceptable,
        Failure::Internal,
        Failure::Unavailable,
        Failure::Timeout,
    ];
    let with_body = [Failure::RequestTimeout, Failure::TooLarge, Failure::UnsupportedMediaType]
        .into_iter()
        .filter(|_| operation.contains_key("requestBody"));
    let failures: Vec<Failure> = any.into_iter().chain(with_body).collect();
    let responses = operation.entry("responses").or_insert_with(|| json!({}));
    for failure in failures {
        add_failure(responses, failure);
    }
}

/// A parameter of the address that is there without a value counts as left out.
fn empty_is_left_out(operation: &mut Map<String, Value>) {
    let parameters = operation.get_mut("parameters").and_then(Value::as_array_mut).into_iter().flatten();
    for parameter in parameters.filter(|it| it["in"] == "query" && it["required"] != true) {
        parameter["allowEmptyValue"] = true.into();
    }
}

/// Adds the problem that a failure answers, unless its status is described already.
fn add_failure(responses: &mut Value, failure: Failure) {
    let row = failure.row();
    let described = responses.as_object_mut().expect("responses are an object");
    described.entry(row.status.to_string()).or_insert_with(|| {
        json!({
            "description": format!("{}.", row.title),
            "content": {PROBLEM_JSON: {
                "schema": {"$ref": "#/components/schemas/ProblemDocument"},
                "example": Fault::new(failure, format!("{}.", row.title)).document(None),
            }},
        })
    });
}

/// A reference to a named schema.
fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_is_the_one_that_clients_were_given() {
        let kept = include_str!("../../../openapi.json");
        assert!(kept == text(), "the API has changed: `binnacle openapi > openapi.json` writes it down");
    }

    #[test]
    fn every_reference_leads_somewhere_and_every_operation_has_a_name_of_its_own() {
        let document: Value = serde_json::from_str(&text()).unwrap();
        let mut references = Vec::new();
        find_references(&document, &mut references);
        assert!(references.len() > 50);
        for reference in references {
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
        }
        let paths = document["paths"].as_object().unwrap().values();
        let operations = paths.flat_map(|path| path.as_object().unwrap().values());
        let mut names: Vec<_> = operations.map(|it| it["operationId"].as_str().unwrap().to_string()).collect();
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    fn find_references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(members) => {
                found.extend(members.get("$ref").and_then(Value::as_str).map(str::to_string));
                members.values().for_each(|member| find_references(member, found));
            }
            Value::Array(items) => items.iter().for_each(|item| find_references(item, found)),
            _ => {}
        }
    }
}
