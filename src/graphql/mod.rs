//! The GraphQL schema: what the queries and mutations are, and how the rooms below answer them. Nothing outside of this
//! room and its HTTP handler knows async-graphql.

mod administration;
mod allow_list;
mod at_once;
mod cost;
mod described;
mod documents;
mod enums;
mod event;
mod filters;
mod folds;
mod guard;
mod ids;
mod insight;
mod known;
mod loaders;
mod mutation;
mod outcomes;
mod paging;
mod parts;
mod period_report;
mod query;
mod receipts;
mod remediation;
mod report;
mod scalars;
mod search;
mod server;
mod statistics;
mod subscription;
mod system;
mod target_history;
mod timeline;
mod variables;
mod view_lists;
mod views;
mod window;

use async_graphql::Context;

use crate::{app::App, caller::Caller, error::ClientError};

pub use allow_list::{AllowList, AllowListError};
pub use guard::DEPTH_MAX;
pub use scalars::Watermark;
pub use server::{GraphQl, Settings, sdl};

/// What a resolver answers.
type Result<T> = std::result::Result<T, ClientError>;

impl From<ClientError> for async_graphql::Error {
    fn from(error: ClientError) -> async_graphql::Error {
        use async_graphql::ErrorExtensions as _;
        let (code, retryable, retry_after) = (error.code(), error.retryable(), error.retry_after());
        async_graphql::Error::new(error.message).extend_with(|_, extensions| {
            extensions.set("code", code.word());
            extensions.set("retryable", retryable);
            if let Some(wait) = retry_after {
                extensions.set("retryAfterMs", millis(wait));
            }
        })
    }
}

/// Whole milliseconds, as errors tell them.
fn millis(wait: std::time::Duration) -> u64 {
    wait.as_millis().try_into().unwrap_or(u64::MAX)
}

fn app<'a>(ctx: &Context<'a>) -> &'a App {
    ctx.data_unchecked::<App>()
}

fn caller<'a>(ctx: &Context<'a>) -> &'a Caller {
    ctx.data_unchecked::<Caller>()
}

/// Refuses a caller that may only record.
fn readable(ctx: &Context<'_>) -> Result<()> {
    let caller = caller(ctx);
    if caller.may_read() {
        return Ok(());
    }
    let name = caller.name.as_deref().unwrap_or("this caller");
    Err(ClientError::forbidden(format!("`{name}` may not read")))
}
