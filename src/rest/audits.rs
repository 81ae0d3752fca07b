//! Audits of any kind and form in one list, as a `Recorder` or a relay brings them.

use axum::{extract::State, response::Response};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{
    Rest,
    body::{Item, JsonText},
    call::{Admitted, Call},
    fault::{Fault, ProblemDocument},
    recording, seeds,
};
use crate::audit::{Form, Kind, Problem, Submission};

pub fn routes() -> OpenApiRouter<Rest> {
    OpenApiRouter::default().routes(routes!(record))
}

/// An audit with what tells how to read it.
#[derive(ToSchema)]
#[allow(dead_code, reason = "it is the schema of what is read member by member")]
struct NamedAudit {
    /// The audit's own id: sent again with the same content, it is answered with its first receipt.
    event_id: Uuid,
    /// How `audit` is spelled: `fields` as in GraphQL, `columns` as at the endpoint of its kind, `kubernaut` as in Kubernaut's envelope.
    #[schema(schema_with = form_schema)]
    form: Option<String>,
    /// A word of GraphQL's `AuditKind`; an event in Kubernaut's envelope tells its own.
    #[schema(example = "NOTIFICATION")]
    kind: Option<String>,
    /// The audit. It has no id of its own, or the same.
    #[schema(value_type = Object)]
    audit: Map<String, Value>,
}

fn form_schema() -> utoipa::openapi::schema::Object {
    let words = Form::ALL.map(Form::word);
    utoipa::openapi::ObjectBuilder::new().enum_values(Some(words)).default(Some(Form::Fields.word().into())).build()
}

/// Record up to 1,000 audits of any kind
///
/// In one transaction, each with its own result. For those who send again until they are answered: each audit has its id beside it.
#[utoipa::path(post, path = "/api/v1/audits", tag = "audits", operation_id = "record_audits",
    request_body(content = [NamedAudit], description = "The audits, in the order in which they shall stand in the journal."),
    responses(
        (status = 200, description = "All of it had been recorded before.", body = seeds::Results),
        (status = 201, description = "It is recorded.", body = seeds::Results),
        (status = 207, description = "Some audits of the list are recorded, others are not.", body = seeds::Results),
        (status = 409, description = "The ids were recorded before with other content; `results` tells of each.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 422, description = "None of the audits is well formed; `results` tells of each.", body = ProblemDocument, content_type = "application/problem+json"),
    ))]
async fn record(State(rest): State<Rest>, call: Call, _: Admitted, body: JsonText) -> Result<Response, Fault> {
    let items = body.list()?;
    let named = items.iter().map(id).collect();
    let read: Vec<_> = items.into_iter().map(read).collect();
    let unknown = vec![Vec::new(); read.len()];
    let whole: Vec<bool> = read.iter().map(Result::is_ok).collect();
    let mut outcomes = recording::record_read(&rest, &call, read).await?;
    for (outcome, _) in outcomes.iter_mut().zip(whole).filter(|(_, whole)| *whole) {
        // What is wrong with the audit, and not with what stands beside it.
        let problems = outcome.as_mut().err().map(|rejected| rejected.problems.iter_mut());
        problems.into_iter().flatten().for_each(|problem| problem.path.insert(0, "audit".to_string()));
    }
    seeds::many_named(outcomes, unknown, named, rest.app.journal.id())
}

/// The id beside an audit, where there is one.
fn id(item: &Item) -> Option<Uuid> {
    item.as_ref().ok()?.get("event_id")?.as_str()?.parse().ok()
}

/// One audit of the list.
pub fn read(item: Item) -> recording::Read {
    submission(item?).map_err(|problem| vec![problem])
}

fn submission(mut item: Map<String, Value>) -> Result<Submission, Problem> {
    let id = text(&mut item, "event_id")?.ok_or_else(|| problem("event_id", "REQUIRED", "`event_id` is required"))?;
    let Ok(event_id) = id.parse::<Uuid>() else {
        return Err(problem("event_id", "MALFORMED", format!("`event_id` is `{id}`, which is no UUID")));
    };
    let form = match text(&mut item, "form")? {
        None => Form::Fields,
        Some(word) => Form::parse(&word).ok_or_else(|| {
            let known = Form::ALL.map(Form::word).join(", ");
            problem("form", "UNKNOWN_WORD", format!("`form` is `{word}`; allowed are {known}"))
        })?,
    };
    let kind = text(&mut item, "kind")?;
    let mut fields = match item.remove("audit") {
        Some(Value::Object(fields)) => fields,
        Some(_) => return Err(problem("audit", "WRONG_TYPE", "`audit` must be a JSON object")),
        None => return Err(problem("audit", "REQUIRED", "`audit` is required")),
    };
    // The audit's own, however it is spelled, has to be the same.
    let names: &[&str] = match form {
        Form::Fields => &["eventId"],
        Form::Columns => &["event_id", "eventId"],
        Form::Kubernaut => &["event_id"],
    };
    let own: Vec<Value> = names.iter().filter_map(|name| fields.remove(*name)).collect();
    let other = own
        .iter()
        .filter(|own| !own.is_null() && **own != "")
        .any(|own| own.as_str().and_then(|own| own.parse().ok()) != Some(event_id));
    if other {
        return Err(problem("event_id", "CONTRADICTION", format!("`event_id` is `{id}`, and the audit has another")));
    }
    fields.insert(names[0].to_string(), event_id.to_string().into());
    if form == Form::Kubernaut {
        return Ok(Submission::of_kubernaut(fields));
    }
    let known = || Kind::ALL.map(Kind::word).join(", ");
    let word = kind.ok_or_else(|| problem("kind", "REQUIRED", format!("`kind` is required: one of {}", known())))?;
    let kind = Kind::parse(&word)
        .ok_or_else(|| problem("kind", "UNKNOWN_WORD", format!("`kind` is `{word}`; allowed are {}", known())))?;
    Ok(Submission { kind, form, fields })
}

/// A member that is a text, or not there.
fn text(item: &mut Map<String, Value>, name: &str) -> Result<Option<String>, Problem> {
    match item.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(problem(name, "WRONG_TYPE", format!("`{name}` must be a string"))),
    }
}

fn problem(name: &str, code: &'static str, message: impl Into<String>) -> Problem {
    Problem { path: vec![name.to_string()], code, message: message.into() }
}
