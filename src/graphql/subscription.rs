//! The subscriptions: what the feed tells, as GraphQL shows it.

use async_graphql::{Context, ErrorExtensions as _, Subscription};
use futures_util::Stream;

use super::{
    Result, app,
    event::AuditEvent,
    filters::{EventFilter, RemediationFilter},
    readable,
    remediation::RemediationNode,
    scalars::Watermark,
    timeline::TimelineEntry,
};
use crate::{
    app::App,
    error::ClientError,
    feed::{FeedError, Told},
};

/// What comes with an error that ends a subscription.
type Ended = async_graphql::Error;

/// The root of all subscriptions.
pub struct Subscriptions;

/// What is new, in the order of the journal: first what was recorded after `after`, then each as it is recorded. Nothing is left
/// out or told twice: keep the `watermark` of the last one, and subscribe again with it as `after` when the connection is lost.
#[Subscription(name = "Subscription")]
impl Subscriptions {
    /// Events as they are recorded.
    async fn events<'ctx>(
        &self,
        ctx: &Context<'ctx>,
        #[graphql(desc = "Which events; all when left out.")] filter: Option<EventFilter>,
        #[graphql(
            desc = "After this place in the journal, such as the `watermark` of the last event that you have seen; \
                          from now on when left out."
        )]
        after: Option<Watermark>,
    ) -> Result<impl Stream<Item = std::result::Result<AuditEvent, Ended>> + use<>> {
        let app = begin(ctx, after).await?;
        let filter = EventFilter::to_projection(filter);
        bounded(filter.most_values())?;
        let events = app.feed.events(filter, after.map(|watermark| watermark.position)).await?;
        Ok(told(events, move |mut events| {
            let app = app.clone();
            async move {
                match events.next().await {
                    Ok(event) => (Ok(AuditEvent(event)), events),
                    Err(error) => (Err(ended(&app, error, Told::whole(events.reached()))), events),
                }
            }
        }))
    }

    /// The facts of one remediation as they become known, each once.
    async fn timeline<'ctx>(
        &self,
        ctx: &Context<'ctx>,
        #[graphql(desc = "The remediation's name, such as `rr-7d1f0c9ab3e2-4be09c11`.")] remediation_id: String,
        #[graphql(
            desc = "The cluster, such as `eu-prod-1`; may be left out where only one knows the name. A remediation of which nothing is \
                          recorded yet needs it."
        )]
        cluster_id: Option<String>,
        #[graphql(
            desc = "After this place, such as the `watermark` of the last fact that you have seen, or that of the \
                          remediation; from now on when left out."
        )]
        after: Option<Watermark>,
    ) -> Result<impl Stream<Item = std::result::Result<TimelineEntry, Ended>> + use<>> {
        let app = begin(ctx, after).await?;
        let stream = app.stream(remediation_id.clone(), cluster_id).await?.ok_or_else(|| {
            ClientError::not_found(format!(
                "nothing is recorded of `{remediation_id}`; to wait for it, say in which cluster with `clusterId`"
            ))
        })?;
        let after = after.map(|watermark| Told {
            position: watermark.position,
            facts: watermark.facts.map_or(usize::MAX, usize::from),
        });
        let timeline = app.feed.timeline(stream, after).await?;
        Ok(told(timeline, move |mut timeline| {
            let app = app.clone();
            async move {
                match timeline.next().await {
                    Ok(fact) => (Ok(TimelineEntry::of(fact)), timeline),
                    Err(error) => (Err(ended(&app, error, timeline.told())), timeline),
                }
            }
        }))
    }

    /// Remediations that match, each as it stands after a change. Changes that follow each other closely come as one.
    async fn remediations<'ctx>(
        &self,
        ctx: &Context<'ctx>,
        #[graphql(
            desc = "Which remediations; all when left out. One that matches no more, or that only the passing of time lets match, is not told."
        )]
        filter: Option<RemediationFilter>,
        #[graphql(
            desc = "Changed after this place in the journal, such as the `watermark` of the last remediation that you \
                          have seen; from now on when left out."
        )]
        after: Option<Watermark>,
    ) -> Result<impl Stream<Item = std::result::Result<RemediationNode, Ended>> + use<>> {
        let app = begin(ctx, after).await?;
        let filter = RemediationFilter::to_projection(filter);
        bounded(filter.most_values())?;
        let remediations = app.feed.remediations(filter, after.map(|watermark| watermark.position)).await?;
        Ok(told(remediations, move |mut remediations| {
            let app = app.clone();
            async move {
                match remediations.next().await {
                    Ok(summary) => (Ok(RemediationNode::changed(summary)), remediations),
                    Err(error) => (Err(ended(&app, error, Told::whole(remediations.reached()))), remediations),
                }
            }
        }))
    }
}

/// Most values in one list of a subscription's filter: each is compared with each event.
const VALUES_MAX: usize = 100;

/// Refuses a filter that would take long to compare.
fn bounded(most_values: usize) -> Result<()> {
    if most_values > VALUES_MAX {
        let message = format!("a list of the filter has {most_values} values, at most {VALUES_MAX} are allowed");
        return Err(ClientError::bad_input(message));
    }
    Ok(())
}

async fn begin(ctx: &Context<'_>, after: Option<Watermark>) -> Result<App> {
    readable(ctx)?;
    let app = app(ctx).clone();
    if let Some(after) = after {
        app.reached(after).await?;
    }
    Ok(app)
}

/// What `next` gives, again and again, up to the first error.
fn told<Follower, Item, Next, Telling>(
    follower: Follower,
    next: Next,
) -> impl Stream<Item = std::result::Result<Item, Ended>>
where
    Next: Fn(Follower) -> Telling,
    Telling: Future<Output = (std::result::Result<Item, Ended>, Follower)>,
{
    futures_util::stream::unfold((Some(follower), next), |(follower, next)| async move {
        let (item, follower) = next(follower?).await;
        let follower = item.is_ok().then_some(follower);
        Some((item, (follower, next)))
    })
}

/// The error that ends a subscription, with the watermark to resume from.
fn ended(app: &App, error: FeedError, told: Told) -> Ended {
    if matches!(error, FeedError::TooSlow) {
        app.metrics.follower_too_slow();
    }
    let watermark = watermark(app, told);
    Ended::from(ClientError::from(error)).extend_with(|_, extensions| extensions.set("watermark", watermark.encode()))
}

/// The place up to which somebody was told.
pub fn watermark(app: &App, told: Told) -> Watermark {
    let facts = u16::try_from(told.facts).ok();
    Watermark { facts, ..Watermark::at(app.journal.id(), told.position) }
}
