//! Objects whose fields are there already, answered without waiting.
//!
//! async-graphql makes a task of every field, in case it has to wait for something. Most fields of an event or of a timeline's
//! entry hand out what is in memory, and there the tasks cost many times what the fields do. So lists look first whether all
//! that is asked of their entries is there, and then take it, field by field; otherwise they leave it to async-graphql.

use std::borrow::Cow;

use async_graphql::{
    ContextSelectionSet, Name, OutputType, Positioned, ServerResult, Value,
    indexmap::IndexMap,
    parser::types::{Field, Selection, SelectionSet},
    registry::Registry,
    resolver_utils::{ContainerType, resolve_container, resolve_list},
};
use futures_util::FutureExt as _;

/// An object that says which of its fields are there.
pub trait AtOnce: ContainerType {
    /// Whether this field waits for nothing. One that says so and waits nevertheless is answered all the same, only dearer.
    fn at_once(field: &Field) -> bool;
}

impl<T: AtOnce> AtOnce for &T {
    fn at_once(field: &Field) -> bool {
        T::at_once(field)
    }
}

/// Whether all that is asked of an object beneath a field is there.
pub fn beneath<T: AtOnce>(field: &Field) -> bool {
    field.selection_set.node.items.iter().all(|selection| match &selection.node {
        Selection::Field(field) => {
            field.node.directives.is_empty() && (typename(&field.node) || T::at_once(&field.node))
        }
        Selection::FragmentSpread(_) | Selection::InlineFragment(_) => false,
    })
}

/// Whether a field of this name is asked for anywhere beneath a field, or may be: fragments are not looked into.
pub fn names(field: &Field, name: &str) -> bool {
    field.selection_set.node.items.iter().any(|selection| match &selection.node {
        Selection::Field(field) => field.node.name.node == name || names(&field.node, name),
        Selection::FragmentSpread(_) | Selection::InlineFragment(_) => true,
    })
}

fn typename(field: &Field) -> bool {
    field.name.node == "__typename"
}

/// What is asked of each object: its fields in their order, and the names under which they are answered.
type Asked<'a> = Vec<(&'a Positioned<Field>, &'a Name)>;

/// The fields that are asked of a `T`; `None` where one may have to wait, or where async-graphql has more to do than to ask.
/// `others` are the types that may stand in the place of `T`: what is asked of those is left aside.
fn asked<'a, T: AtOnce>(ctx: &ContextSelectionSet<'a>, others: &[&str]) -> Option<Asked<'a>> {
    let mut fields = Vec::new();
    gather::<T>(ctx, ctx.item, others, &mut fields)?;
    Some(fields)
}

fn gather<'a, T: AtOnce>(
    ctx: &ContextSelectionSet<'a>,
    selected: &'a Positioned<SelectionSet>,
    others: &[&str],
    fields: &mut Asked<'a>,
) -> Option<()> {
    for selection in &selected.node.items {
        let (condition, within) = match &selection.node {
            Selection::Field(field) => {
                let name = &field.node.response_key().node;
                let plain = field.node.directives.is_empty() && (typename(&field.node) || T::at_once(&field.node));
                // The same name twice: what is asked beneath both has to be put together.
                if !plain || fields.iter().any(|(_, other)| *other == name) {
                    return None;
                }
                fields.push((field, name));
                continue;
            }
            Selection::FragmentSpread(spread) => {
                let fragment = ctx.query_env.fragments.get(&spread.node.fragment_name.node)?;
                (Some(&fragment.node.type_condition), &fragment.node.selection_set)
            }
            Selection::InlineFragment(fragment) => {
                (fragment.node.type_condition.as_ref(), &fragment.node.selection_set)
            }
        };
        let condition = condition.map(|condition| condition.node.on.node.as_str());
        if condition.is_some_and(|condition| others.contains(&condition)) {
            continue;
        }
        // On another type: an interface that it has, or a mistake.
        if condition.is_some_and(|condition| condition != T::type_name()) {
            return None;
        }
        gather::<T>(ctx, within, others, fields)?;
    }
    Some(())
}

/// An object's fields; `None` where one has to wait after all.
fn answer<T: AtOnce>(ctx: &ContextSelectionSet<'_>, asked: &Asked<'_>, object: &T) -> Option<Value> {
    let mut answers = IndexMap::with_capacity(asked.len());
    for (field, name) in asked {
        if typename(&field.node) {
            answers.insert((*name).clone(), Value::String(object.introspection_type_name().into_owned()));
            continue;
        }
        match object.resolve_field(&ctx.with_field(field)).now_or_never()? {
            Ok(value) => {
                answers.insert((*name).clone(), value.unwrap_or_default());
            }
            Err(error) => ctx.add_error(error),
        }
    }
    Some(if answers.is_empty() { Value::Null } else { Value::Object(answers) })
}

/// A list whose objects are there; `None` where one of them is no `T`, or where something has to wait.
pub fn list<'a, T: AtOnce + 'a>(
    ctx: &ContextSelectionSet<'_>,
    others: &[&str],
    objects: impl Iterator<Item = Option<&'a T>>,
) -> Option<Value> {
    let asked = asked::<T>(ctx, others)?;
    let objects: Vec<&T> = objects.collect::<Option<_>>()?; // before any of them is answered: what fails is told once
    let answers = objects.into_iter().enumerate();
    let answers = answers.map(|(index, object)| answer(&ctx.with_index(index), &asked, object));
    Some(Value::List(answers.collect::<Option<_>>()?))
}

/// The objects of a list.
pub struct All<T>(pub Vec<T>);

impl<T: AtOnce> OutputType for All<T> {
    fn type_name() -> Cow<'static, str> {
        Vec::<T>::type_name()
    }

    fn qualified_type_name() -> String {
        Vec::<T>::qualified_type_name()
    }

    fn create_type_info(registry: &mut Registry) -> String {
        Vec::<T>::create_type_info(registry)
    }

    async fn resolve(&self, ctx: &ContextSelectionSet<'_>, field: &Positioned<Field>) -> ServerResult<Value> {
        match list(ctx, &[], self.0.iter().map(Some)) {
            Some(answers) => Ok(answers),
            None => resolve_list(ctx, field, &self.0, Some(self.0.len())).await,
        }
    }
}

/// One object.
#[derive(Clone)]
pub struct One<T>(pub T);

impl<T: AtOnce> OutputType for One<T> {
    fn type_name() -> Cow<'static, str> {
        T::type_name()
    }

    fn create_type_info(registry: &mut Registry) -> String {
        T::create_type_info(registry)
    }

    async fn resolve(&self, ctx: &ContextSelectionSet<'_>, _: &Positioned<Field>) -> ServerResult<Value> {
        let answered = asked::<T>(ctx, &[]).and_then(|asked| answer(ctx, &asked, &self.0));
        match answered {
            Some(answer) => Ok(answer),
            None => resolve_container(ctx, &self.0).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use async_graphql::{EmptyMutation, EmptySubscription, Object, Schema, SimpleObject, Union};

    use super::*;

    #[derive(Clone)]
    struct Parcel(i32);

    impl AtOnce for Parcel {
        fn at_once(field: &Field) -> bool {
            match field.name.node.as_str() {
                "within" => beneath::<Parcel>(field),
                name => name != "route",
            }
        }
    }

    #[derive(SimpleObject)]
    struct Label {
        text: String,
        lines: i32,
    }

    #[Object]
    impl Parcel {
        async fn number(&self) -> i32 {
            self.0
        }

        async fn label(&self) -> Label {
            Label { text: format!("parcel {}", self.0), lines: 1 }
        }

        /// Says that it is there, and waits.
        async fn weight(&self) -> i32 {
            tokio::task::yield_now().await;
            self.0 * 100
        }

        async fn route(&self, from: Option<String>) -> String {
            tokio::task::yield_now().await;
            from.unwrap_or_default() + "home"
        }

        async fn value(&self) -> async_graphql::Result<Option<i32>> {
            if self.0 == 2 { Err("nobody knows".into()) } else { Ok(Some(self.0)) }
        }

        async fn within(&self) -> Option<One<Parcel>> {
            (self.0 > 1).then_some(One(Parcel(self.0 - 1)))
        }
    }

    struct Depot;

    #[Object]
    impl Depot {
        async fn parcels(&self, quick: bool) -> Parcels {
            if quick { Parcels::Quick } else { Parcels::Plain }
        }
    }

    #[derive(Union)]
    enum Sent {
        Parcel(Parcel),
        Label(Label),
    }

    enum Parcels {
        Quick,
        Plain,
    }

    /// The same list as `All` and as a `Vec`.
    #[Object]
    impl Parcels {
        async fn all(&self) -> Either {
            let parcels = vec![Parcel(1), Parcel(2), Parcel(3)];
            match self {
                Parcels::Quick => Either::Quick(All(parcels)),
                Parcels::Plain => Either::Plain(parcels),
            }
        }

        /// Of two sorts; of one where there is no label.
        async fn sent(&self, label: bool) -> AllSent {
            let mut sent = vec![Sent::Parcel(Parcel(1)), Sent::Parcel(Parcel(2))];
            if label {
                sent.push(Sent::Label(Label { text: "parcel 3".to_string(), lines: 1 }));
            }
            AllSent { sent, quick: matches!(self, Parcels::Quick) }
        }
    }

    struct AllSent {
        sent: Vec<Sent>,
        quick: bool,
    }

    impl OutputType for AllSent {
        fn type_name() -> Cow<'static, str> {
            Vec::<Sent>::type_name()
        }

        fn qualified_type_name() -> String {
            Vec::<Sent>::qualified_type_name()
        }

        fn create_type_info(registry: &mut Registry) -> String {
            Vec::<Sent>::create_type_info(registry)
        }

        async fn resolve(&self, ctx: &ContextSelectionSet<'_>, field: &Positioned<Field>) -> ServerResult<Value> {
            let parcels = self.sent.iter().map(|sent| match sent {
                Sent::Parcel(parcel) => Some(parcel),
                Sent::Label(_) => None,
            });
            match self.quick.then(|| list(ctx, &["Label"], parcels)).flatten() {
                Some(answers) => Ok(answers),
                None => self.sent.resolve(ctx, field).await,
            }
        }
    }

    enum Either {
        Quick(All<Parcel>),
        Plain(Vec<Parcel>),
    }

    impl OutputType for Either {
        fn type_name() -> Cow<'static, str> {
            Vec::<Parcel>::type_name()
        }

        fn qualified_type_name() -> String {
            Vec::<Parcel>::qualified_type_name()
        }

        fn create_type_info(registry: &mut Registry) -> String {
            All::<Parcel>::create_type_info(registry)
        }

        async fn resolve(&self, ctx: &ContextSelectionSet<'_>, field: &Positioned<Field>) -> ServerResult<Value> {
            match self {
                Either::Quick(parcels) => parcels.resolve(ctx, field).await,
                Either::Plain(parcels) => parcels.resolve(ctx, field).await,
            }
        }
    }

    #[tokio::test]
    async fn what_is_answered_at_once_is_what_async_graphql_answers() {
        for selection in [
            "number",
            "n: number number label { lines text }",
            "__typename kind: __typename number",
            "...Short label { text ...Lines }",
            "... { number } ... on Parcel { label { __typename lines } }",
            "label { text } label { lines }",
            "number @skip(if: true) value",
            "value @include(if: true) number",
            "value",
            "number value within { value within { number } }",
            "weight number",
            "route(from: \"here, \") number",
            "within { route number } number",
        ] {
            let query = format!(
                "query($quick: Boolean!) {{ parcels(quick: $quick) {{ all {{ {selection} }} }} }}
                fragment Short on Parcel {{ number value }} fragment Lines on Label {{ lines }}"
            );
            // A fragment that is not used is a mistake.
            let query = if selection.contains("...Short") {
                query
            } else {
                query[..query.find("fragment").unwrap()].to_string()
            };
            assert_alike(&query).await;
        }
    }

    #[tokio::test]
    async fn a_list_of_which_all_are_of_one_sort_is_answered_as_async_graphql_answers_it() {
        for selection in [
            "__typename",
            "... on Parcel { number label { text } } ... on Label { lines }",
            "__typename ... on Label { lines text } ...Short",
            "... on Label { text } ... on Parcel { weight }",
            "... on Parcel { number } ... on Parcel { value }",
            "... on Parcel { name: number } ... on Label { name: text }",
        ] {
            for label in [false, true] {
                let query = format!(
                    "query($quick: Boolean!) {{ parcels(quick: $quick) {{ sent(label: {label}) {{ {selection} }} }} }}
                    fragment Short on Parcel {{ number }}"
                );
                let query =
                    if selection.contains("...Short") { &query } else { &query[..query.find("fragment").unwrap()] };
                assert_alike(query).await;
            }
        }
    }

    /// Asks both ways.
    async fn assert_alike(query: &str) {
        let schema = Schema::new(Depot, EmptyMutation, EmptySubscription);
        let mut answers = Vec::new();
        for quick in [true, false] {
            let variables = async_graphql::Variables::from_json(serde_json::json!({ "quick": quick }));
            let answer = schema.execute(async_graphql::Request::new(query).variables(variables)).await;
            let mut errors: Vec<String> = answer.errors.iter().map(|error| format!("{error:?}")).collect();
            errors.sort();
            answers.push((serde_json::to_string(&answer.data).unwrap(), errors));
        }
        assert_eq!(answers[0], answers[1], "{query}");
        assert!(answers[0].0.contains("parcels"), "{query}: {answers:?}");
    }
}
