//! The seeds' endpoints in the OpenAPI document: their bodies are read from the table of fields.

use serde_json::{Map, Value, json};
use utoipa::{PartialSchema as _, ToSchema as _};

use super::{add_failure, reference};
use crate::{
    audit::{
        Kind,
        fields::{Column, KindTable, Need, Shape, Table, Unit},
        limits::{BATCH_MAX, LINE_MAX, LIST_MAX, NAME_MAX, TEXT_MAX},
        words::Words,
    },
    error::Failure,
    rest::{
        kubernaut::NotificationRecord,
        receipt::Receipt,
        seeds::{BENEATH, ENDPOINTS, Endpoint, ItemResult, Results},
    },
};

/// A body of each kind, as it stands in the documentation.
const EXAMPLES: [(Kind, &str); 6] = [
    (Kind::Orchestration, include_str!("../../../docs/examples/orchestration.json")),
    (Kind::SignalProcessing, include_str!("../../../docs/examples/signal-processing.json")),
    (Kind::AiAnalysis, include_str!("../../../docs/examples/ai-decisions.json")),
    (Kind::WorkflowExecution, include_str!("../../../docs/examples/executions.json")),
    (Kind::Notification, include_str!("../../../docs/examples/notifications.json")),
    (Kind::Effectiveness, include_str!("../../../docs/examples/effectiveness.json")),
];

/// Durations as Go writes them.
const GO_DURATION: &str = r"^\+?(0|([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+$";

/// Adds the endpoints, and the schemas of their bodies and answers.
pub fn describe(document: &mut Value) {
    let mut schemas = Map::new();
    for endpoint in &ENDPOINTS {
        document["paths"][format!("{BENEATH}{}", endpoint.name)] = json!({"post": operation(endpoint)});
        let table = KindTable::of(endpoint.kind);
        let mut body = object(table.table, &table.columns(), &mut schemas);
        body["example"] = example(endpoint.kind);
        schemas.insert(name(endpoint.kind), body);
    }
    let answers = [
        (Receipt::name(), Receipt::schema()),
        (Results::name(), Results::schema()),
        (ItemResult::name(), ItemResult::schema()),
        (NotificationRecord::name(), NotificationRecord::schema()),
    ];
    for (name, schema) in answers {
        schemas.insert(name.into_owned(), serde_json::to_value(schema).expect("a schema is JSON"));
    }
    document["components"]["schemas"].as_object_mut().expect("schemas are an object").extend(schemas);
}

fn operation(endpoint: &Endpoint) -> Value {
    let audit = reference(&name(endpoint.kind));
    let mut bodies =
        vec![audit.clone(), json!({"type": "array", "minItems": 1, "maxItems": BATCH_MAX, "items": audit})];
    let mut created = vec![reference(&Receipt::name()), reference(&Results::name())];
    let mut about =
        "One audit, or a list of up to 1,000, each with its own result. Sent again with the same `event_id`, or with \
        the same header `Idempotency-Key`, an audit is recorded once."
            .to_string();
    if endpoint.kind == Kind::Notification {
        bodies.push(reference("KubernautNotification"));
        created.push(reference(&NotificationRecord::name()));
        about.push_str(" A body with `message_summary` is Kubernaut's, and answered as Kubernaut does: a notification that is known is 409, and 201 where the request has a key.");
    }
    let json_of = |schemas: &[Value]| json!({"application/json": {"schema": {"anyOf": schemas}}});
    let answer =
        |description: &str, schemas: &[Value]| json!({"description": description, "content": json_of(schemas)});
    let mut operation = json!({
        "tags": ["audits"],
        "summary": format!("Record audits of {}", KindTable::of(endpoint.kind).table.meaning.trim_start_matches("An audit of ").split(':').next().unwrap_or_default()),
        "description": about,
        "operationId": format!("record_{}", endpoint.name.replace('-', "_")),
        "parameters": [{
            "name": "Idempotency-Key", "in": "header", "required": false,
            "description": "A name of this request, of the client's own: one for each request of a caller to this endpoint. The ids of audits that name none are made of it.",
            "schema": {"type": "string", "minLength": 1, "maxLength": NAME_MAX, "pattern": "^[!#-~]+$"},
        }],
        "requestBody": {"required": true, "content": json_of(&bodies)},
        "responses": {
            "200": answer("All of it had been recorded before.", &created[..2]),
            "201": answer("It is recorded.", &created),
            "207": answer("Some audits of the list are recorded, others are not.", &created[1..2]),
        },
    });
    for failure in [Failure::Conflict, Failure::Invalid] {
        add_failure(&mut operation["responses"], failure);
    }
    operation
}

fn example(kind: Kind) -> Value {
    let (_, text) = EXAMPLES.iter().find(|(known, _)| *known == kind).expect("every endpoint has an example");
    serde_json::from_str(text).expect("the examples are JSON")
}

/// The name of the schema of a kind's body.
fn name(kind: Kind) -> String {
    format!("{}Audit", KindTable::of(kind).table.name)
}

/// The schema of an object with these columns. Nested tables get schemas of their own.
fn object(table: &Table, columns: &[Column], schemas: &mut Map<String, Value>) -> Value {
    let required: Vec<&str> =
        columns.iter().filter(|column| column.need == Need::Always).map(|column| column.name.as_str()).collect();
    let mut properties = Map::new();
    for column in columns {
        let mut schema = value(column.field.shape, column.unit, schemas);
        if column.need != Need::Always {
            schema = or_null(schema);
        }
        schema["description"] = column.description(table).into();
        properties.insert(column.name.clone(), schema);
    }
    // What no column takes is kept as well.
    let mut object = json!({
        "type": "object", "description": table.meaning, "properties": properties, "additionalProperties": true,
    });
    if !required.is_empty() {
        object["required"] = json!(required);
    }
    object
}

/// The schema of a value that may be left out: `null` is the same.
pub fn or_null(mut schema: Value) -> Value {
    match schema["type"].take() {
        Value::Null if schema.as_object().is_some_and(|it| it.len() == 1) => json!({}), // anything goes
        Value::Null => {
            schema.as_object_mut().expect("a schema is an object").remove("type");
            json!({"anyOf": [schema, {"type": "null"}]})
        }
        one => {
            schema["type"] = json!([one, "null"]);
            if let Some(words) = schema.get_mut("enum").and_then(Value::as_array_mut) {
                words.push(Value::Null);
            }
            schema
        }
    }
}

/// The schema of a value.
fn value(shape: Shape, unit: Unit, schemas: &mut Map<String, Value>) -> Value {
    let text = |most: usize| json!({"type": "string", "minLength": 1, "maxLength": most});
    let list = |items: Value| json!({"type": "array", "maxItems": LIST_MAX, "items": items});
    match (shape, unit) {
        (Shape::Ms, Unit::Seconds) => json!({"type": "number", "minimum": 0, "maximum": 1e12}),
        (Shape::Ms, Unit::Nanoseconds) => {
            json!({"anyOf": [{"type": "number", "minimum": 0}, {"type": "string", "pattern": GO_DURATION}]})
        }
        (Shape::Ms, Unit::GoDuration) => json!({"type": "string", "pattern": GO_DURATION}),
        (Shape::Score, Unit::NumberText) => {
            json!({"anyOf": [{"type": "number", "minimum": 0, "maximum": 1}, {"type": "string"}]})
        }
        (Shape::Name, _) => text(NAME_MAX),
        (Shape::Line, _) => text(LINE_MAX),
        (Shape::Text, _) => text(TEXT_MAX),
        (Shape::Word(words), _) => word(words),
        (Shape::Count, _) => json!({"type": "integer", "minimum": 0, "maximum": i32::MAX}),
        (Shape::Int, _) => json!({"type": "integer", "minimum": i32::MIN, "maximum": i32::MAX}),
        (Shape::Score, _) => json!({"type": "number", "minimum": 0, "maximum": 1}),
        (Shape::Impact, _) => json!({"type": "number", "minimum": -1, "maximum": 1}),
        (Shape::Ms, _) => json!({"type": "number", "minimum": 0, "maximum": 1e15}),
        (Shape::Bool, _) => json!({"type": "boolean"}),
        (Shape::Time, _) => json!({"type": "string", "format": "date-time"}),
        (Shape::Uuid, _) => json!({"type": "string", "format": "uuid"}),
        (Shape::Json, _) => json!({}),
        (Shape::Names, _) => list(text(NAME_MAX)),
        (Shape::Lines, _) => list(text(LINE_MAX)),
        (Shape::WordList(words), _) => list(word(words)),
        (Shape::Object(table), Unit::Resource) => {
            let nested = nested(table, schemas);
            json!({"anyOf": [nested, {"type": "string", "description": "As `namespace/Kind/name` or `Kind/name`."}]})
        }
        (Shape::Object(table), _) => json!({"allOf": [nested(table, schemas)]}),
        (Shape::Objects(table), _) => list(nested(table, schemas)),
    }
}

/// The words of a closed set. They are taken in any case, which no enumeration can say.
fn word(words: &Words) -> Value {
    let words: Vec<&str> = words.words.iter().map(|(word, _)| *word).collect();
    json!({"type": "string", "enum": words})
}

fn nested(table: &Table, schemas: &mut Map<String, Value>) -> Value {
    let schema = object(table, &table.columns(), schemas);
    schemas.insert(table.name.to_string(), schema);
    reference(table.name)
}
