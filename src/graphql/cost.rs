//! The cost of an operation: its fields, each as often as the pages around it may show it. It is known before anything runs.

use std::sync::{Arc, OnceLock};

use async_graphql::{
    Request, Schema, ServerError, ValidationResult, Value, Variables,
    extensions::{Extension, ExtensionContext, ExtensionFactory, NextValidation},
    value,
};

use super::{guard::LEVELS_MAX, mutation::Mutation, query::Query, server::root, subscription::Subscriptions};

/// The member of a request's `extensions` that asks for the cost, and of the answer's that tells it.
const MEMBER: &str = "cost";

/// What one operation costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// Fields, page sizes counted.
    pub fields: usize,
    /// Deepest nesting of fields.
    pub depth: usize,
}

impl Cost {
    /// Whether a request asks to be told its cost.
    pub fn asked_for(request: &Request) -> bool {
        request.extensions.get(MEMBER) == Some(&Value::Boolean(true))
    }

    /// The member of the answer's `extensions` that tells the cost, and what is allowed.
    pub fn told(self, fields_max: usize, depth_max: usize) -> (String, Value) {
        let told = value!({
            "requested": self.fields, "max": fields_max, "depth": self.depth, "depthMax": depth_max,
        });
        (MEMBER.to_string(), told)
    }
}

/// What of a request decides on its cost.
#[derive(Clone)]
pub struct Load {
    pub text: String,
    pub operation_name: Option<String>,
    pub variables: Variables,
}

/// Weighs operations without running them.
///
/// It is a schema of its own, because async-graphql tells the cost to extensions only, and a schema that has an extension
/// takes a detour for each field that it resolves.
#[derive(Clone)]
pub struct Scale(Schema<Query, Mutation, Subscriptions>);

impl Scale {
    pub fn new() -> Scale {
        let schema = Schema::build(root(), Mutation::default(), Subscriptions)
            .limit_recursive_depth(LEVELS_MAX)
            .extension(Weigh)
            .finish();
        Scale(schema)
    }

    /// What an operation costs that the guard has let through; `None` for one that is not valid.
    pub async fn weigh(&self, load: Load) -> Option<Cost> {
        let found: Found = Arc::default();
        let mut request = Request::new(load.text).variables(load.variables).data(found.clone());
        request.operation_name = load.operation_name;
        self.0.execute(request).await;
        found.get().copied()
    }
}

type Found = Arc<OnceLock<Cost>>;

/// Keeps the cost of a valid operation, and lets none run.
struct Weigh;

impl ExtensionFactory for Weigh {
    fn create(&self) -> Arc<dyn Extension> {
        Arc::new(Weigh)
    }
}

#[async_graphql::async_trait::async_trait]
impl Extension for Weigh {
    async fn validation(
        &self,
        ctx: &ExtensionContext<'_>,
        next: NextValidation<'_>,
    ) -> Result<ValidationResult, Vec<ServerError>> {
        let valid = next.run(ctx).await?;
        if let Some(found) = ctx.data_opt::<Found>() {
            let _ = found.set(Cost { fields: valid.complexity, depth: valid.depth }); // each request is weighed once
        }
        Err(Vec::new())
    }
}
