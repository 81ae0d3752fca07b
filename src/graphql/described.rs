//! GraphQL types made from the table of fields in `audit`, so that each field is listed once: the inputs of the mutations,
//! the structured fields, and what the service views show.

use std::{borrow::Cow, sync::Arc};

use async_graphql::{
    ContainerType, Context, ContextSelectionSet, InputType, InputValueResult, Name, OutputType, Positioned,
    ServerResult, Value, indexmap::IndexMap, parser::types::Field as Selected, registry, registry::Registry,
    resolver_utils,
};
use serde_json::Map;

use super::{enums, scalars, variables};
use crate::audit::{
    Kind,
    fields::{COMMON, Field, KindTable, Need, Shape, TARGET, Table},
    words::{Words, enum_value},
};

type Json = serde_json::Value;

/// The input of one kind's mutation; `K` is the kind's place in `Kind::ALL`. Its fields are handed on as they came: the
/// schema has refused what GraphQL refuses, and the checks of `audit` say the rest.
pub struct RecordInput<const K: usize>(pub Map<String, Json>);

impl<const K: usize> InputType for RecordInput<K> {
    type RawValueType = Self;

    fn type_name() -> Cow<'static, str> {
        Cow::Owned(input_name(KindTable::of(Kind::ALL[K]).table))
    }

    fn create_type_info(registry: &mut Registry) -> String {
        registry.create_input_type::<Self, _>(registry::MetaTypeId::InputObject, |registry| {
            let kind = KindTable::of(Kind::ALL[K]);
            let fields = COMMON.fields.iter().chain(kind.table.fields);
            input_object(registry, &input_name(kind.table), kind.table.meaning, fields, |field| {
                variables::needs(kind.kind, field)
            })
        })
    }

    fn parse(value: Option<Value>) -> InputValueResult<Self> {
        match value.unwrap_or_default().into_json() {
            Ok(Json::Object(fields)) => Ok(RecordInput(fields)),
            _ => Err(async_graphql::InputValueError::custom("expected an object")),
        }
    }

    fn to_value(&self) -> Value {
        Value::from_json(Json::Object(self.0.clone())).unwrap_or_default()
    }

    fn as_raw_value(&self) -> Option<&Self> {
        Some(self)
    }
}

pub(super) fn input_name(table: &Table) -> String {
    format!("{}Input", table.name)
}

fn input_object<'a>(
    registry: &mut Registry,
    name: &str,
    meaning: &str,
    fields: impl Iterator<Item = &'a Field>,
    required: impl Fn(&Field) -> bool,
) -> registry::MetaType {
    let input_fields = fields.map(|field| {
        let ty = input_type(registry, field.shape);
        let value = registry::MetaInputValue {
            name: field.name.to_string(),
            description: Some(field.description()),
            ty: if required(field) { format!("{ty}!") } else { ty },
            deprecation: deprecation(field),
            default_value: None,
            visible: None,
            inaccessible: false,
            tags: vec![],
            is_secret: false,
            directive_invocations: vec![],
        };
        (field.name.to_string(), value)
    });
    registry::MetaType::InputObject {
        name: name.to_string(),
        description: Some(meaning.to_string()),
        input_fields: input_fields.collect(),
        visible: None,
        inaccessible: false,
        tags: vec![],
        rust_typename: None,
        oneof: false,
        directive_invocations: vec![],
    }
}

fn deprecation(field: &Field) -> registry::Deprecation {
    match field.deprecated {
        Some(reason) => registry::Deprecation::Deprecated { reason: Some(reason.to_string()) },
        None => registry::Deprecation::NoDeprecated,
    }
}

/// The nullable type of a field in an input. Closed sets are strings there, so that an unknown word is the item's mistake
/// and not the request's.
fn input_type(registry: &mut Registry, shape: Shape) -> String {
    let scalar = |qualified: String| qualified.trim_end_matches('!').to_string();
    match shape {
        Shape::Name | Shape::Line | Shape::Text | Shape::Word(_) => {
            scalar(<String as InputType>::create_type_info(registry))
        }
        Shape::Count | Shape::Int => scalar(<i32 as InputType>::create_type_info(registry)),
        Shape::Score | Shape::Impact | Shape::Ms => scalar(<f64 as InputType>::create_type_info(registry)),
        Shape::Bool => scalar(<bool as InputType>::create_type_info(registry)),
        Shape::Time => scalar(<scalars::DateTime as InputType>::create_type_info(registry)),
        Shape::Uuid => scalar(<scalars::Uuid as InputType>::create_type_info(registry)),
        Shape::Json => scalar(<Json as InputType>::create_type_info(registry)),
        Shape::Names | Shape::Lines | Shape::WordList(_) => {
            format!("[{}]", <String as InputType>::create_type_info(registry))
        }
        Shape::Object(table) => input_table(registry, table),
        Shape::Objects(table) => format!("[{}!]", input_table(registry, table)),
    }
}

fn input_table(registry: &mut Registry, table: &'static Table) -> String {
    let name = input_name(table);
    if !registry.types.contains_key(&name) {
        let object =
            input_object(registry, &name, table.meaning, table.fields.iter(), |field| field.need == Need::Always);
        registry.types.insert(name.clone(), object);
    }
    name
}

/// A target as an argument: the type that audits name theirs by.
pub struct TargetInput {
    pub kind: String,
    pub namespace: Option<String>,
    pub name: String,
}

impl InputType for TargetInput {
    type RawValueType = Self;

    fn type_name() -> Cow<'static, str> {
        Cow::Owned(input_name(&TARGET))
    }

    fn create_type_info(registry: &mut Registry) -> String {
        input_table(registry, &TARGET);
        Self::qualified_type_name()
    }

    fn parse(value: Option<Value>) -> InputValueResult<Self> {
        let value = value.unwrap_or_default();
        let Ok(Json::Object(fields)) = value.clone().into_json() else {
            return Err(async_graphql::InputValueError::expected_type(value));
        };
        let text = |name: &str| fields.get(name).and_then(Json::as_str).map(str::to_string);
        match (text("kind"), text("name")) {
            (Some(kind), Some(name)) => Ok(TargetInput { kind, namespace: text("namespace"), name }),
            _ => Err(async_graphql::InputValueError::custom("a target has a `kind` and a `name`")),
        }
    }

    fn to_value(&self) -> Value {
        let named = [("kind", Some(&self.kind)), ("namespace", self.namespace.as_ref()), ("name", Some(&self.name))];
        Value::Object(named.into_iter().map(|(name, text)| (Name::new(name), text.cloned().into())).collect())
    }

    fn as_raw_value(&self) -> Option<&Self> {
        Some(self)
    }
}

/// Every structured field's table. A GraphQL type belongs to a Rust type, so each table gets one, by its place here.
static TABLES: std::sync::LazyLock<Vec<&'static Table>> = std::sync::LazyLock::new(|| {
    let mut tables: Vec<&'static Table> = Vec::new();
    for fields in Kind::ALL.map(|kind| KindTable::of(kind).table.fields).into_iter().chain([COMMON.fields]) {
        collect_tables(fields, &mut tables);
    }
    assert!(tables.len() <= TABLES_MAX, "raise TABLES_MAX and the arms of `resolve_table` to {}", tables.len());
    tables
});

const TABLES_MAX: usize = 32;

fn collect_tables(fields: &'static [Field], tables: &mut Vec<&'static Table>) {
    for field in fields {
        if let Shape::Object(table) | Shape::Objects(table) = field.shape
            && !tables.iter().any(|known| known.name == table.name)
        {
            tables.push(table);
            collect_tables(table.fields, tables);
        }
    }
}

/// A structured field as GraphQL shows it; `T` is its table's place in `TABLES`.
struct Structured<const T: usize>(Map<String, Json>);

impl<const T: usize> OutputType for Structured<T> {
    fn type_name() -> Cow<'static, str> {
        Cow::Borrowed(TABLES[T].name)
    }

    fn create_type_info(registry: &mut Registry) -> String {
        output_table(registry, TABLES[T]);
        Self::qualified_type_name()
    }

    async fn resolve(&self, ctx: &ContextSelectionSet<'_>, _: &Positioned<Selected>) -> ServerResult<Value> {
        resolver_utils::resolve_container(ctx, self).await
    }
}

impl<const T: usize> ContainerType for Structured<T> {
    async fn resolve_field(&self, ctx: &Context<'_>) -> ServerResult<Option<Value>> {
        Box::pin(resolve_field(ctx, TABLES[T].fields.iter(), &self.0)).await
    }
}

/// What a service view shows of its kind's own fields and of the common context; `K` is the kind's place in `Kind::ALL`.
/// Made to be flattened into the view's object.
pub struct KindFields<const K: usize>(pub Arc<crate::remediation::model::ViewRow>);

/// The common fields that a view shows.
const CONTEXT: &[&str] = &["environment", "severity", "signal", "target", "details"];

fn view_fields(kind: Kind) -> impl Iterator<Item = &'static Field> {
    let context = COMMON.fields.iter().filter(|field| CONTEXT.contains(&field.name));
    KindTable::of(kind).table.fields.iter().chain(context)
}

impl<const K: usize> OutputType for KindFields<K> {
    fn type_name() -> Cow<'static, str> {
        Cow::Owned(format!("{}Fields", KindTable::of(Kind::ALL[K]).table.name))
    }

    fn create_type_info(registry: &mut Registry) -> String {
        registry.create_output_type::<Self, _>(registry::MetaTypeId::Object, |registry| {
            output_object(registry, &Self::type_name(), "", view_fields(Kind::ALL[K]))
        })
    }

    async fn resolve(&self, ctx: &ContextSelectionSet<'_>, _: &Positioned<Selected>) -> ServerResult<Value> {
        resolver_utils::resolve_container(ctx, self).await
    }
}

impl<const K: usize> ContainerType for KindFields<K> {
    async fn resolve_field(&self, ctx: &Context<'_>) -> ServerResult<Option<Value>> {
        Box::pin(resolve_field(ctx, view_fields(Kind::ALL[K]), &self.0.fields)).await
    }
}

async fn resolve_field(
    ctx: &Context<'_>,
    mut fields: impl Iterator<Item = &'static Field>,
    values: &Map<String, Json>,
) -> ServerResult<Option<Value>> {
    let name = ctx.item.node.name.node.as_str();
    let Some(field) = fields.find(|field| field.name == name) else { return Ok(None) };
    let Some(value) = values.get(name) else { return Ok(Some(Value::Null)) };
    output_value(ctx, field.shape, value).await.map(Some)
}

async fn output_value(ctx: &Context<'_>, shape: Shape, value: &Json) -> ServerResult<Value> {
    Ok(match (shape, value) {
        (Shape::Object(table), Json::Object(map)) => resolve_table(ctx, table, map).await?,
        (Shape::Objects(table), Json::Array(items)) => {
            let mut shown = Vec::with_capacity(items.len());
            for item in items.iter().filter_map(Json::as_object) {
                shown.push(resolve_table(ctx, table, item).await?);
            }
            Value::List(shown)
        }
        (Shape::Word(words), value) => word_value(words, value),
        (Shape::WordList(words), Json::Array(items)) => {
            Value::List(items.iter().map(|item| word_value(words, item)).filter(|word| *word != Value::Null).collect())
        }
        (_, value) => Value::from_json(value.clone()).unwrap_or_default(),
    })
}

/// A word as an enum's value; null for one that this binary does not know, which a newer one may have recorded.
fn word_value(words: &Words, value: &Json) -> Value {
    let known = value.as_str().and_then(|word| words.find(word));
    known.map_or(Value::Null, |word| Value::Enum(Name::new(enum_value(word))))
}

async fn resolve_table(ctx: &Context<'_>, table: &'static Table, values: &Map<String, Json>) -> ServerResult<Value> {
    let selection = ctx.with_selection_set(&ctx.item.node.selection_set);
    let place = TABLES.iter().position(|known| known.name == table.name);
    macro_rules! by_place {
        ($($t:literal)+) => {
            match place {
                $(Some($t) => resolver_utils::resolve_container(&selection, &Structured::<$t>(values.clone())).await,)+
                _ => Ok(Value::Null),
            }
        };
    }
    by_place!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31)
}

fn output_object(
    registry: &mut Registry,
    name: &str,
    meaning: &str,
    fields: impl Iterator<Item = &'static Field>,
) -> registry::MetaType {
    let fields: IndexMap<String, registry::MetaField> = fields
        .map(|field| {
            let field = registry::MetaField {
                name: field.name.to_string(),
                description: Some(output_description(field)),
                args: IndexMap::new(),
                ty: output_type(registry, field.shape),
                deprecation: deprecation(field),
                cache_control: Default::default(),
                external: false,
                requires: None,
                provides: None,
                visible: None,
                shareable: false,
                inaccessible: false,
                tags: vec![],
                override_from: None,
                compute_complexity: None,
                directive_invocations: vec![],
                requires_scopes: vec![],
            };
            (field.name.clone(), field)
        })
        .collect();
    registry::MetaType::Object {
        name: name.to_string(),
        description: Some(meaning.to_string()).filter(|meaning| !meaning.is_empty()),
        fields,
        cache_control: Default::default(),
        extends: false,
        shareable: false,
        resolvable: true,
        inaccessible: false,
        interface_object: false,
        tags: vec![],
        keys: None,
        visible: None,
        is_subscription: false,
        rust_typename: None,
        directive_invocations: vec![],
        requires_scopes: vec![],
    }
}

/// What an output says is the meaning without what only a writer needs to know.
fn output_description(field: &Field) -> String {
    let meaning = field.meaning.split(" Without `eventType`").next().unwrap_or(field.meaning);
    match field.shape {
        Shape::Ms => format!("{meaning} In milliseconds."),
        Shape::Score => format!("{meaning} From 0 to 1."),
        Shape::Impact => format!("{meaning} From -1 to 1."),
        _ => meaning.to_string(),
    }
}

fn output_type(registry: &mut Registry, shape: Shape) -> String {
    match shape {
        Shape::Word(words) => enum_type(registry, words),
        Shape::WordList(words) => format!("[{}!]", enum_type(registry, words)),
        Shape::Object(table) => output_table(registry, table),
        Shape::Objects(table) => format!("[{}!]", output_table(registry, table)),
        _ => input_type(registry, shape),
    }
}

fn output_table(registry: &mut Registry, table: &'static Table) -> String {
    if !registry.types.contains_key(table.name) {
        let object = output_object(registry, table.name, table.meaning, table.fields.iter());
        registry.types.insert(table.name.to_string(), object);
    }
    table.name.to_string()
}

fn enum_type(registry: &mut Registry, words: &'static Words) -> String {
    if enums::register(registry, words.name) || registry.types.contains_key(words.name) {
        return words.name.to_string();
    }
    let enum_values = words.words.iter().map(|(word, meaning)| {
        let value = registry::MetaEnumValue {
            name: enum_value(word),
            description: Some(meaning.to_string()),
            deprecation: registry::Deprecation::NoDeprecated,
            visible: None,
            inaccessible: false,
            tags: vec![],
            directive_invocations: vec![],
        };
        (enum_value(word), value)
    });
    let described = registry::MetaType::Enum {
        name: words.name.to_string(),
        description: Some(words.meaning.to_string()),
        enum_values: enum_values.collect(),
        visible: None,
        inaccessible: false,
        tags: vec![],
        rust_typename: None,
        directive_invocations: vec![],
        requires_scopes: vec![],
    };
    registry.types.insert(words.name.to_string(), described);
    words.name.to_string()
}

/// The signal as a structured field, for objects that are written by hand.
pub struct SignalFields(pub Map<String, Json>);

impl OutputType for SignalFields {
    fn type_name() -> Cow<'static, str> {
        Cow::Borrowed(crate::audit::fields::SIGNAL.name)
    }

    fn create_type_info(registry: &mut Registry) -> String {
        output_table(registry, &crate::audit::fields::SIGNAL);
        Self::qualified_type_name()
    }

    async fn resolve(&self, ctx: &ContextSelectionSet<'_>, _: &Positioned<Selected>) -> ServerResult<Value> {
        resolver_utils::resolve_container(ctx, self).await
    }
}

impl ContainerType for SignalFields {
    async fn resolve_field(&self, ctx: &Context<'_>) -> ServerResult<Option<Value>> {
        Box::pin(resolve_field(ctx, crate::audit::fields::SIGNAL.fields.iter(), &self.0)).await
    }
}

#[cfg(test)]
mod tests {
    use async_graphql::{EmptyMutation, EmptySubscription, Object, Schema};
    use insta::assert_snapshot;

    use super::*;

    static PARCEL: Table = Table {
        name: "Parcel",
        meaning: "A parcel.",
        fields: &[
            Field::new("weightGrams", Shape::Count, "How heavy it is, in grams."),
            Field::new("weight", Shape::Name, "How heavy it is.").deprecated("use `weightGrams`"),
        ],
    };

    struct Parcel;

    impl OutputType for Parcel {
        fn type_name() -> Cow<'static, str> {
            Cow::Borrowed(PARCEL.name)
        }

        fn create_type_info(registry: &mut Registry) -> String {
            output_table(registry, &PARCEL);
            <Self as OutputType>::qualified_type_name()
        }

        async fn resolve(&self, _: &ContextSelectionSet<'_>, _: &Positioned<Selected>) -> ServerResult<Value> {
            Ok(Value::Null)
        }
    }

    impl InputType for Parcel {
        type RawValueType = Self;

        fn type_name() -> Cow<'static, str> {
            Cow::Owned(input_name(&PARCEL))
        }

        fn create_type_info(registry: &mut Registry) -> String {
            input_table(registry, &PARCEL);
            <Self as InputType>::qualified_type_name()
        }

        fn parse(_: Option<Value>) -> InputValueResult<Self> {
            Ok(Parcel)
        }

        fn to_value(&self) -> Value {
            Value::Null
        }

        fn as_raw_value(&self) -> Option<&Self> {
            Some(self)
        }
    }

    struct Depot;

    #[Object]
    impl Depot {
        async fn parcel(&self, like: Parcel) -> Parcel {
            like
        }

        #[graphql(deprecation = "use `parcel`")]
        async fn packet(&self) -> Parcel {
            Parcel
        }
    }

    #[test]
    fn a_field_is_deprecated_in_the_table_or_by_its_attribute() {
        let schema = Schema::build(Depot, EmptyMutation, EmptySubscription).finish();
        let sdl = schema.sdl();

        let deprecated: Vec<&str> =
            sdl.lines().filter(|line| line.contains("@deprecated(reason: \"")).map(str::trim).collect();

        assert_snapshot!(deprecated.join("\n"), @r#"
        packet: Parcel! @deprecated(reason: "use `parcel`")
        weight: String @deprecated(reason: "use `weightGrams`")
        weight: String @deprecated(reason: "use `weightGrams`")
        "#);
    }
}
