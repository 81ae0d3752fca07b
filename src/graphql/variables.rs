//! The variables of a request as they came. Audits among them go to the checks as the JSON that they are, and the schema is
//! given something small in their place: to make values of GraphQL of them, look at each twice and make JSON again costs more
//! than all the checks. That holds for what is usual and surely fits its type; everything else the schema sees as it is.

use std::{any::TypeId, sync::Mutex};

use async_graphql::{
    Context, Name, Request, Value, Variables,
    indexmap::IndexMap,
    parser::types::{ExecutableDocument, Field, OperationDefinition, Selection},
};
use serde_json::{Map, Value as Json};

use super::{Result, described::input_name};
use crate::{
    audit::{
        Kind, Submission,
        check::parse_time,
        fields::{self, COMMON, KindTable, Need, Shape},
    },
    record::Answer,
};

/// What the schema does not see of a request, until the mutation takes it.
pub enum Unseen {
    /// The audits that come in a variable.
    Audits(Vec<Submission>),
    /// What became of them, where they were recorded before the schema was asked.
    Answers(Result<Vec<Answer>>),
}

struct Brought(Mutex<Option<Unseen>>);

/// What the request brings unseen.
pub fn unseen(ctx: &Context<'_>) -> Option<Unseen> {
    let Brought(unseen) = ctx.data_opt()?;
    unseen.lock().ok()?.take()
}

/// Takes the audits out of a request that brings them unseen.
pub fn take_audits(request: &Request) -> Option<Vec<Submission>> {
    let Brought(unseen) = request.data.get(&TypeId::of::<Brought>())?.downcast_ref()?;
    match unseen.lock().ok()?.take()? {
        Unseen::Audits(audits) => Some(audits),
        Unseen::Answers(_) => None,
    }
}

/// Puts what became of the audits in their place.
pub fn with_answers(request: Request, answers: Result<Vec<Answer>>) -> Request {
    request.data(Brought(Mutex::new(Some(Unseen::Answers(answers)))))
}

/// Whether the schema sees the same of a request whenever it comes with the same document: no variables, or nothing but what
/// stands for the audits.
pub fn always_alike(request: &Request, document: &ExecutableDocument) -> bool {
    let one_operation = document.operations.iter().count() == 1;
    let stands_for_audits = request.variables.len() == 1 && request.data.contains_key(&TypeId::of::<Brought>());
    one_operation && (request.variables.is_empty() || stands_for_audits)
}

/// Gives a request the variables that came as JSON. Fails where one of them is no value of GraphQL.
pub fn put(request: Request, mut given: Map<String, Json>, place: Option<&Place>) -> serde_json::Result<Request> {
    let usual = place.and_then(|place| Some((place, place.audits(given.get_mut(place.variable.as_str())?)?)));
    let mut variables = Variables::default();
    for (name, value) in given {
        let value = match &usual {
            Some((place, _)) if name == place.variable.as_str() => place.stand_in.clone(),
            _ => Value::from_json(value)?,
        };
        variables.insert(Name::new(name), value);
    }
    let request = request.variables(variables);
    Ok(match usual {
        Some((_, audits)) => request.data(Brought(Mutex::new(Some(Unseen::Audits(audits))))),
        None => request,
    })
}

/// Where an operation takes audits: it is one mutation, and they are a variable of its own.
#[derive(Clone)]
pub struct Place {
    variable: Name,
    /// None where they are a list of any kinds.
    kind: Option<Kind>,
    /// What the schema sees in their place.
    stand_in: Value,
}

impl Place {
    /// The place in an operation, and the field that takes what is there.
    pub fn of(operation: &OperationDefinition) -> Option<(Place, &Field)> {
        let [selected] = &operation.selection_set.node.items[..] else { return None };
        let Selection::Field(field) = &selected.node else { return None };
        let [(argument, value)] = &field.node.arguments[..] else { return None };
        let value = value.node.to_string();
        let mut definitions = operation.variable_definitions.iter().map(|definition| &definition.node);
        let definition =
            definitions.find(|definition| value.strip_prefix('$') == Some(definition.name.node.as_str()))?;
        if definition.default_value.is_some() || !operation.directives.is_empty() || !field.node.directives.is_empty() {
            return None;
        }
        let (name, ty) = (field.node.name.node.as_str(), definition.var_type.node.to_string());
        let kind = match (argument.node.as_str(), ty.as_str()) {
            ("inputs", "[AuditInput!]!") if name == "recordAudits" => None,
            ("input", ty) => Some(Kind::ALL.into_iter().find(|kind| {
                let table = KindTable::of(*kind).table;
                name.strip_prefix("record") == Some(table.name) && ty.strip_suffix('!') == Some(&*input_name(table))
            })?),
            _ => return None,
        };
        let place = Place { variable: definition.name.node.clone(), kind, stand_in: stand_in(kind) };
        Some((place, &field.node))
    }

    /// Whether they are a list.
    pub fn many(&self) -> bool {
        self.kind.is_none()
    }

    /// Takes the audits of the variable; none unless all surely are what the schema would let pass.
    fn audits(&self, given: &mut Json) -> Option<Vec<Submission>> {
        let audits: Vec<(Kind, &mut Map<String, Json>)> = match self.kind {
            Some(kind) => vec![(kind, given.as_object_mut()?)],
            None => given.as_array_mut()?.iter_mut().map(named).collect::<Option<_>>()?,
        };
        let usual = audits.iter().all(|(kind, given)| fit(given, fields(*kind), |field| needs(*kind, field)));
        let taken = |(kind, given)| Submission::of_fields(kind, std::mem::take(given));
        usual.then(|| audits.into_iter().map(taken).collect())
    }
}

/// An item of a list: the kind that its only member names, and the fields that this has.
fn named(item: &mut Json) -> Option<(Kind, &mut Map<String, Json>)> {
    let mut members = item.as_object_mut()?.iter_mut();
    let (Some((name, fields)), None) = (members.next(), members.next()) else { return None };
    Some((Kind::ALL.into_iter().find(|kind| names(*kind, name))?, fields.as_object_mut()?))
}

/// The least of a kind that the schema lets pass; of a list none.
fn stand_in(kind: Option<Kind>) -> Value {
    let Some(kind) = kind else { return Value::List(Vec::new()) };
    let needed = fields(kind).filter(|field| needs(kind, field));
    let least = |shape: Shape| match shape {
        Shape::Time => Value::from("1970-01-01T00:00:00Z"),
        _ => Value::from("-"),
    };
    Value::Object(needed.map(|field| (Name::new(field.name), least(field.shape))).collect::<IndexMap<_, _>>())
}

/// Whether this is the member of `AuditInput` for a kind: its table's name, with a small letter first.
fn names(kind: Kind, member: &str) -> bool {
    let name = KindTable::of(kind).table.name;
    member.starts_with(|first: char| first.is_ascii_lowercase())
        && member.eq_ignore_ascii_case(name)
        && member[1..] == name[1..]
}

fn fields(kind: Kind) -> impl Iterator<Item = &'static fields::Field> + Clone {
    COMMON.fields.iter().chain(KindTable::of(kind).table.fields)
}

/// Whether the schema wants the field of an audit.
pub fn needs(kind: Kind, field: &fields::Field) -> bool {
    // `eventType` has a default for every kind but the open one.
    field.need == Need::Always || (kind == Kind::Other && field.name == "eventType")
}

/// Whether these are the fields of an object, each with a value that its type takes, and none is missing.
fn fit(
    given: &Map<String, Json>,
    fields: impl Iterator<Item = &'static fields::Field> + Clone,
    needs: impl Fn(&fields::Field) -> bool,
) -> bool {
    let needed = fields.clone().filter(|field| needs(field)).count();
    let mut there = 0;
    for (name, value) in given {
        let Some(field) = fields.clone().find(|field| field.name == name) else { return false };
        let needed = needs(field);
        if !(if value.is_null() { !needed } else { fits(field.shape, value) }) {
            return false;
        }
        there += usize::from(needed);
    }
    there == needed
}

fn fits(shape: Shape, value: &Json) -> bool {
    let all = |fits: &dyn Fn(&Json) -> bool| value.as_array().is_some_and(|items| items.iter().all(fits));
    match shape {
        Shape::Name | Shape::Line | Shape::Text | Shape::Word(_) => value.is_string(),
        Shape::Time => value.as_str().and_then(parse_time).is_some(),
        Shape::Uuid => value.as_str().is_some_and(|text| uuid::Uuid::try_parse(text).is_ok()),
        Shape::Count | Shape::Int => value.as_i64().is_some_and(|number| i32::try_from(number).is_ok()),
        Shape::Score | Shape::Impact | Shape::Ms => value.is_number(),
        Shape::Bool => value.is_boolean(),
        Shape::Json => true,
        Shape::Names | Shape::Lines | Shape::WordList(_) => all(&Json::is_string),
        Shape::Object(table) => object(table, value),
        Shape::Objects(table) => all(&|item| object(table, item)),
    }
}

fn object(table: &'static crate::audit::fields::Table, value: &Json) -> bool {
    let needs = |field: &fields::Field| field.need == Need::Always;
    value.as_object().is_some_and(|given| fit(given, table.fields.iter(), needs))
}

#[cfg(test)]
mod tests {
    use async_graphql::{EmptyMutation, EmptySubscription, Object, Schema};
    use proptest::prelude::*;
    use serde_json::json;

    use super::{
        super::{insight, mutation::AuditInput},
        *,
    };

    fn member(kind: Kind) -> String {
        let name = KindTable::of(kind).table.name;
        format!("{}{}", name[..1].to_lowercase(), &name[1..])
    }

    struct Probe;

    #[Object]
    impl Probe {
        /// What the long way makes of audits.
        async fn takes(&self, inputs: Vec<AuditInput>) -> Vec<String> {
            let submissions = inputs.into_iter().map(AuditInput::submission);
            submissions.map(|made| format!("{:?} {}", made.kind, Json::Object(made.fields))).collect()
        }
    }

    /// A value that fits.
    fn fitting(shape: Shape) -> Json {
        match shape {
            Shape::Name | Shape::Line | Shape::Text | Shape::Word(_) => json!("x"),
            Shape::Time => json!("2026-05-04T10:00:00Z"),
            Shape::Uuid => json!("0199c2f4-7b1e-7c3a-9d58-2f6a1b0c4d5e"),
            Shape::Count | Shape::Int => json!(7),
            Shape::Score | Shape::Impact | Shape::Ms => json!(0.5),
            Shape::Bool => json!(true),
            Shape::Json => json!({"a": [1, null]}),
            Shape::Names | Shape::Lines | Shape::WordList(_) => json!(["x", "y"]),
            Shape::Object(table) => table.fields.iter().map(|field| (field.name, fitting(field.shape))).collect(),
            Shape::Objects(table) => json!([fitting(Shape::Object(table))]),
        }
    }

    fn odd(choice: u8) -> Json {
        let odd = [
            json!(""),
            json!(7),
            json!(-1),
            json!(0.5),
            json!(3e9),
            json!(true),
            json!([]),
            json!([null]),
            json!({}),
            json!({"type": 7}),
            json!("0199c2f4"),
            json!([{"x": 1}]),
        ];
        odd[usize::from(choice) % odd.len()].clone()
    }

    fn audit(kind: Kind, choices: &[u8], unknown: bool) -> Map<String, Json> {
        let mut audit = Map::new();
        for (field, choice) in fields(kind).zip(choices.iter().cycle()) {
            match choice {
                0..40 => {}
                40..45 => drop(audit.insert(field.name.to_string(), Json::Null)),
                45..48 => drop(audit.insert(field.name.to_string(), odd(*choice))),
                _ => drop(audit.insert(field.name.to_string(), fitting(field.shape))),
            }
        }
        if unknown {
            audit.insert("unknown".to_string(), json!(1));
        }
        audit
    }

    /// What is taken of a variable, past the schema.
    fn audits(kind: Option<Kind>, given: &Json) -> Option<Vec<String>> {
        let place = Place { variable: Name::new("it"), kind, stand_in: stand_in(kind) };
        let mut variable = given.clone();
        let taken = place.audits(&mut variable);
        assert!(taken.is_some() || variable == *given, "what is not taken is there");
        Some(taken?.into_iter().map(|made| format!("{:?} {}", made.kind, Json::Object(made.fields))).collect())
    }

    #[test]
    fn of_a_list_all_audits_are_taken_or_none() {
        let whole = |kind| json!({member(kind): audit(kind, &[255], false)});
        let all: Vec<Json> = Kind::ALL.into_iter().map(whole).collect();
        assert_eq!(audits(None, &json!(all)).map(|taken| taken.len()), Some(all.len()));
        let unknown = json!({member(Kind::Other): audit(Kind::Other, &[255], true)});
        for other in [unknown, json!({"Notification": {}}), json!({}), json!(7), json!(null)] {
            let last = all.iter().chain([&other]);
            assert_eq!(audits(None, &last.cloned().collect()), None, "{other}");
        }
        assert_eq!(audits(None, &all[0]), None, "what GraphQL takes for a list of one");
    }

    /// What the long way makes of an audit; none where the schema does not let it pass.
    fn taken(kind: Kind, audit: &Map<String, Json>) -> Option<String> {
        let schema = Schema::new(Probe, EmptyMutation, EmptySubscription);
        let request = Request::new("query ($inputs: [AuditInput!]!) { takes(inputs: $inputs) }")
            .variables(Variables::from_json(json!({"inputs": [{member(kind): audit}]})));
        let answer = futures_util::FutureExt::now_or_never(schema.execute(request)).unwrap();
        let data = answer.into_result().ok()?.data.into_json().unwrap();
        Some(data["takes"][0].as_str().unwrap().to_string())
    }

    #[test]
    fn what_fits_goes_past_the_schema_and_what_stands_in_for_it_passes() {
        for kind in Kind::ALL {
            let whole = audit(kind, &[255], false);
            assert!(taken(kind, &whole).is_some(), "{kind:?}");
            assert!(audits(Some(kind), &whole.into()).is_some(), "{kind:?}");
            let Value::Object(least) = stand_in(Some(kind)) else { panic!() };
            let Json::Object(least) = Value::Object(least).into_json().unwrap() else { panic!() };
            assert!(taken(kind, &least).is_some(), "{kind:?}");
        }
    }

    #[test]
    fn audits_are_found_where_they_are_the_one_variable_of_one_mutation() {
        let place = |text: &str| {
            let document = async_graphql::parser::parse_query(text).unwrap();
            let (_, definition) = insight::definition(&document, None)?;
            Place::of(&definition.node).map(|(place, _)| (place.variable.to_string(), place.kind))
        };
        let one = "mutation ($it: NotificationInput!) { recordNotification(input: $it) { __typename } }";
        assert_eq!(place(one), Some(("it".to_string(), Some(Kind::Notification))));
        let many = "mutation M($all: [AuditInput!]!) { them: recordAudits(inputs: $all) { __typename } }";
        assert_eq!(place(many), Some(("all".to_string(), None)));
        for other in [
            "mutation ($it: NotificationInput!) { recordOther(input: $it) { __typename } }",
            "mutation ($it: NotificationInput) { recordNotification(input: $it) { __typename } }",
            "mutation ($it: NotificationInput! = {}) { recordNotification(input: $it) { __typename } }",
            "mutation ($it: NotificationInput!, $b: Boolean!) { recordNotification(input: $it) @skip(if: $b) { __typename } }",
            "mutation ($it: NotificationInput!) { a: recordNotification(input: $it) { __typename } b: __typename }",
            "mutation ($it: AuditInput!) { recordAudits(inputs: [$it]) { __typename } }",
            "mutation { recordNotification(input: {status: \"sent\"}) { __typename } }",
        ] {
            assert_eq!(place(other), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn what_is_taken_past_the_schema_is_what_it_would_have_made_of_it(
            kind in 0_usize..7,
            choices in prop::collection::vec(any::<u8>(), 64),
            unknown in prop::bool::weighted(0.1),
        ) {
            let kind = Kind::ALL[kind];
            let audit = audit(kind, &choices, unknown);
            let alone = audits(Some(kind), &audit.clone().into());
            let listed = audits(None, &json!([{member(kind): audit}]));
            prop_assert_eq!(&alone, &listed);
            if let Some(made) = alone.map(|audits| audits.join("")) {
                prop_assert_eq!(taken(kind, &audit), Some(made));
            }
        }
    }
}
