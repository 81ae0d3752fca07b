//! Relay's pages: `first` with `after`, or `last` with `before`, 1 to 100 at a time, with cursors that name a place and not
//! a number, so that nothing is skipped or repeated when rows come or go.

use std::borrow::Cow;

use async_graphql::{Context, Object, SimpleObject, TypeName, parser::types::Field};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Serialize, de::DeserializeOwned};
use tokio::sync::OnceCell;
use uuid::Uuid;

use super::{
    Result, app,
    at_once::{All, AtOnce, One, beneath},
    loaders::Loaders,
};
use crate::{
    administration::dead_letters,
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

    /// A page of what was read in the direction of reading, `reach` rows at most.
    pub fn list<T: Listed, R>(&self, mut rows: Vec<R>, totals: Totals, mut edge: impl FnMut(R) -> (C, T)) -> List<T>
    where
        C: Serialize,
    {
        let more = rows.len() > self.limit;
        rows.truncate(self.limit);
        if self.backwards {
            rows.reverse();
        }
        // What lies on the side we came from is known only by having come from there.
        let (has_previous_page, has_next_page) = match self.backwards {
            false => (self.from.is_some(), more),
            true => (more, self.from.is_some()),
        };
        let edges = rows.into_iter().map(|row| {
            let (place, node) = edge(row);
            Edge { cursor: encode(&place), node: One(node) }
        });
        List { edges: edges.collect(), has_previous_page, has_next_page, totals, count: OnceCell::new() }
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

/// What lists are made of.
pub trait Listed: AtOnce {
    /// What the names of its list begin with: `Remediation` has a `RemediationConnection` of `RemediationEdge`s.
    const NAME: &'static str;
}

/// A page of a list, with what it takes to read on. (async-graphql's own has no description.)
pub struct List<T: Listed> {
    edges: Vec<Edge<T>>,
    has_previous_page: bool,
    has_next_page: bool,
    totals: Totals,
    count: OnceCell<i64>,
}

/// An entry of a list and the place where it stands.
#[derive(SimpleObject)]
#[graphql(name_type)]
pub struct Edge<T: Listed> {
    /// The entry itself.
    node: One<T>,
    /// Its place in the list: hand it back as `after` or `before` to read on from here. Opaque; good for this list only.
    cursor: String,
}

/// Where a page lies in its list, and how to read on.
#[derive(SimpleObject)]
pub struct PageInfo {
    /// Whether there is something before this page. Reading forwards, it only says that you came from there.
    has_previous_page: bool,
    /// Whether there is something behind this page. Reading backwards, it only says that you came from there.
    has_next_page: bool,
    /// The first entry's cursor: the `before` of the page before this one. Null on an empty page.
    start_cursor: Option<String>,
    /// The last entry's cursor: the `after` of the next page. Null on an empty page.
    end_cursor: Option<String>,
}

impl<T: Listed> AtOnce for Edge<T> {
    fn at_once(field: &Field) -> bool {
        match field.name.node.as_str() {
            "node" => beneath::<T>(field),
            name => name == "cursor",
        }
    }
}

impl<T: Listed> TypeName for List<T> {
    fn type_name() -> Cow<'static, str> {
        Cow::Owned(format!("{}Connection", T::NAME))
    }
}

impl<T: Listed> TypeName for Edge<T> {
    fn type_name() -> Cow<'static, str> {
        Cow::Owned(format!("{}Edge", T::NAME))
    }
}

/// A page of a list. To read on, hand `pageInfo.endCursor` back as `after`.
#[Object(name_type)]
impl<T: Listed> List<T> {
    /// Where the page lies in its list, and how to read on.
    async fn page_info(&self) -> PageInfo {
        PageInfo {
            has_previous_page: self.has_previous_page,
            has_next_page: self.has_next_page,
            start_cursor: self.edges.first().map(|edge| edge.cursor.clone()),
            end_cursor: self.edges.last().map(|edge| edge.cursor.clone()),
        }
    }

    /// The entries of the page, each with its cursor.
    async fn edges(&self) -> All<&Edge<T>> {
        All(self.edges.iter().collect())
    }

    /// The entries of the page, without cursors: shorter to write than `edges`.
    async fn nodes(&self) -> All<&T> {
        All(self.edges.iter().map(|edge| &edge.node.0).collect())
    }

    /// How many entries the whole list has, whatever the page. Counted only when asked for, and up to 10,000.
    #[graphql(complexity = 10)]
    async fn total_count(&self, ctx: &Context<'_>) -> Result<i32> {
        let count = self.count(ctx).await?.min(TOTAL_MAX);
        Ok(i32::try_from(count).unwrap_or(i32::MAX))
    }

    /// Whether the list has more entries than the 10,000 that `totalCount` counts up to.
    #[graphql(complexity = 10)]
    async fn total_count_is_capped(&self, ctx: &Context<'_>) -> Result<bool> {
        Ok(self.count(ctx).await? > TOTAL_MAX)
    }
}

impl<T: Listed> List<T> {
    /// The list of which only the total is asked.
    pub fn only_counted(totals: Totals) -> List<T> {
        let edges = Vec::new();
        List { edges, has_previous_page: false, has_next_page: false, totals, count: OnceCell::new() }
    }

    /// Counted once, however many fields ask for it.
    async fn count(&self, ctx: &Context<'_>) -> Result<i64> {
        self.count.get_or_try_init(|| self.totals.count(ctx)).await.copied()
    }
}

/// Whether the field that is being answered, a list, is asked for more than its total: only then is a page read.
pub fn page_wanted(ctx: &Context<'_>) -> bool {
    let asked = ctx.look_ahead();
    ["nodes", "edges", "pageInfo"].into_iter().any(|field| asked.field(field).exists())
}

fn encode<C: Serialize>(place: &C) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(serde_json::to_string(place).expect("a place is plain data"))
}

fn decode<C: DeserializeOwned>(cursor: &str) -> Result<C> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(cursor).ok();
    bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()).ok_or_else(|| {
        ClientError::bad_input(format!("`{cursor}` is no cursor of this list; hand back one that it has given you"))
    })
}

/// What a list counts, when it is asked to.
pub enum Totals {
    Known(i64),
    Events(Box<event_index::Filter>),
    /// The events that an event led to.
    Children(Uuid),
    Remediations(Box<remediations::Filter>),
    Views(Kind, Box<remediations::Filter>),
    DeadLetters,
}

impl Totals {
    async fn count(&self, ctx: &Context<'_>) -> Result<i64> {
        let db = app(ctx).journal.reader();
        Ok(match self {
            Totals::Known(count) => *count,
            Totals::Events(filter) => event_index::count(db, filter, TOTAL_MAX).await?,
            Totals::Children(parent) => {
                let counts = ctx.data_unchecked::<Loaders>().child_counts();
                counts.load_one(*parent).await?.unwrap_or_default()
            }
            Totals::Remediations(filter) => remediations::count(db, filter, TOTAL_MAX).await?,
            Totals::DeadLetters => dead_letters::count(db, TOTAL_MAX).await?,
            Totals::Views(kind, filter) => service_views::count(db, *kind, filter, TOTAL_MAX).await?,
        })
    }
}

/// Nothing that may run costs as much; counting ends here, so that sums of such pages still fit a number.
const COST_MAX: usize = 1_000_000_000;

/// What a page costs: each of its entries costs what its fields cost.
pub fn cost(first: Option<i32>, last: Option<i32>, child: usize) -> usize {
    let size = first.or(last).map_or(PAGE_DEFAULT, |size| usize::try_from(size).unwrap_or(0).clamp(1, PAGE_MAX));
    times(size, child)
}

/// What so many objects cost, of which each costs what its fields cost, and the field that gives them.
pub fn times(count: usize, child: usize) -> usize {
    count.saturating_mul(child).saturating_add(1).min(COST_MAX)
}
