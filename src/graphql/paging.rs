//! Relay's pages: `first` with `after`, or `last` with `before`, 1 to 100 at a time, with cursors that name a place and not
//! a number, so that nothing is skipped or repeated when rows come or go.

use async_graphql::{
    Context, Object, OutputType,
    connection::{
        Connection, ConnectionNameType, DefaultConnectionName, DefaultEdgeName, Edge, EdgeNameType, EmptyFields,
    },
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Serialize, de::DeserializeOwned};

use super::{Result, app};
use crate::{
    audit::Kind,
    error::ClientError,
    projection::{event_index, remediations, service_views},
};

pub const PAGE_DEFAULT: usize = 20;
pub const PAGE_MAX: usize = 100;

/// Most rows that a total counts.
pub const TOTAL_MAX: i64 = 10_000;

/// What `first`, `after`, `last` and `before` ask for.
#[derive(Clone, Debug)]
pub struct Page<C> {
    pub limit: usize,
    /// From the end of the list.
    pub backwards: bool,
    /// Beyond this place, in the direction of reading.
    pub from: Option<C>,
}

impl<C: DeserializeOwned> Page<C> {
    pub fn new(
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
    ) -> Result<Page<C>> {
        let backwards = last.is_some();
        if first.is_some() && backwards {
            return Err(ClientError::bad_input("ask for `first` or for `last`, not for both"));
        }
        if (backwards && after.is_some()) || (!backwards && before.is_some()) {
            return Err(ClientError::bad_input("use `first` with `after`, and `last` with `before`"));
        }
        let limit = match first.or(last) {
            None => PAGE_DEFAULT,
            Some(size) => usize::try_from(size).ok().filter(|size| (1..=PAGE_MAX).contains(size)).ok_or_else(|| {
                let name = if backwards { "last" } else { "first" };
                ClientError::bad_input(format!("`{name}` is {size}; a page has 1 to {PAGE_MAX} entries"))
            })?,
        };
        let from = after.or(before).map(|cursor| decode(&cursor)).transpose()?;
        Ok(Page { limit, backwards, from })
    }

    /// How many rows to read: one more than the page, which tells whether there are more.
    pub fn reach(&self) -> i64 {
        self.limit as i64 + 1
    }

    /// A connection of what was read in the direction of reading, `reach` rows at most.
    pub fn connection<T, N, E, R>(
        &self,
        mut rows: Vec<R>,
        totals: Totals,
        mut edge: impl FnMut(R) -> (C, T),
    ) -> Connection<String, T, Totals, EmptyFields, N, E>
    where
        C: Serialize,
        T: OutputType,
        N: ConnectionNameType,
        E: EdgeNameType,
    {
        let more = rows.len() > self.limit;
        rows.truncate(self.limit);
        if self.backwards {
            rows.reverse();
        }
        // What lies on the side we came from is known only by having come from there.
        let (previous, next) = match self.backwards {
            false => (self.from.is_some(), more),
            true => (more, self.from.is_some()),
        };
        let mut connection = Connection::with_additional_fields(previous, next, totals);
        connection.edges.extend(rows.into_iter().map(|row| {
            let (place, node) = edge(row);
            Edge::new(encode(&place), node)
        }));
        connection
    }

    /// A page of what is in memory already, in order, each with its place.
    pub fn slice<R: Clone>(&self, rows: &[R], place: impl Fn(&R) -> C) -> Result<Vec<R>>
    where
        C: PartialEq,
    {
        let from = match &self.from {
            None => None,
            Some(from) => Some(rows.iter().position(|row| place(row) == *from).ok_or_else(|| {
                ClientError::bad_input("the cursor is of another list; hand back one that this list has given you")
            })?),
        };
        let reach = self.limit + 1;
        Ok(match (self.backwards, from) {
            (false, None) => rows.iter().take(reach).cloned().collect(),
            (false, Some(at)) => rows[at + 1..].iter().take(reach).cloned().collect(),
            (true, None) => rows.iter().rev().take(reach).cloned().collect(),
            (true, Some(at)) => rows[..at].iter().rev().take(reach).cloned().collect(),
        })
    }
}

/// A connection whose names are made from its node's.
pub type List<T> = Connection<String, T, Totals, EmptyFields, DefaultConnectionName, DefaultEdgeName>;

fn encode<C: Serialize>(place: &C) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(serde_json::to_string(place).expect("a place is plain data"))
}

fn decode<C: DeserializeOwned>(cursor: &str) -> Result<C> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(cursor).ok();
    bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()).ok_or_else(|| {
        ClientError::bad_input(format!("`{cursor}` is no cursor of this list; hand back one that it has given you"))
    })
}

/// What a connection counts, when it is asked to.
pub enum Totals {
    Known(i64),
    Events(Box<event_index::Filter>),
    Remediations(Box<remediations::Filter>),
    Views(Kind, Box<remediations::Filter>),
}

impl Totals {
    async fn count(&self, ctx: &Context<'_>) -> Result<i64> {
        let db = app(ctx).journal.reader();
        Ok(match self {
            Totals::Known(count) => *count,
            Totals::Events(filter) => event_index::count(db, filter, TOTAL_MAX).await?,
            Totals::Remediations(filter) => remediations::count(db, filter, TOTAL_MAX).await?,
            Totals::Views(kind, filter) => service_views::count(db, *kind, filter, TOTAL_MAX).await?,
        })
    }
}

#[Object]
impl Totals {
    /// How many there are in all, counted only when asked for and up to 10,000.
    #[graphql(complexity = 10)]
    async fn total_count(&self, ctx: &Context<'_>) -> Result<i32> {
        let count = self.count(ctx).await?.min(TOTAL_MAX);
        Ok(i32::try_from(count).unwrap_or(i32::MAX))
    }

    /// Whether there are more than `totalCount` says.
    #[graphql(complexity = 10)]
    async fn total_count_is_capped(&self, ctx: &Context<'_>) -> Result<bool> {
        Ok(self.count(ctx).await? > TOTAL_MAX)
    }
}

/// Nothing that may run costs as much; counting ends here, so that sums of such pages still fit a number.
const COST_MAX: usize = 1_000_000_000;

/// What a page costs: each of its entries costs what its fields cost.
pub fn cost(first: Option<i32>, last: Option<i32>, child: usize) -> usize {
    let size = first.or(last).map_or(PAGE_DEFAULT, |size| usize::try_from(size).unwrap_or(0).clamp(1, PAGE_MAX));
    size.saturating_mul(child).saturating_add(1).min(COST_MAX)
}
