//! A remediation's timeline as GraphQL shows it.

use std::sync::Arc;

use async_graphql::{Context, ID, Object, SimpleObject, parser::types::Field};
use uuid::Uuid;

use super::{
    app,
    at_once::{AtOnce, One, beneath},
    enums::{AuditKind, PhaseName},
    event::{Actor, AuditEvent},
    filters::TimelineOrder,
    ids::GlobalId,
    paging::{List, Listed, Page, Totals},
    scalars::{self, DateTime, Watermark},
    subscription::watermark,
};
use crate::{
    audit::Kind,
    feed::{Fact, Told},
    remediation::{Folded, model},
};

/// One fact. An audit that tells several (approval asked, approval given, step 1 …) gives several entries.
#[derive(Clone)]
pub struct TimelineEntry {
    folded: Arc<Folded>,
    /// Its place in the fold's timeline.
    place: usize,
}

impl AtOnce for TimelineEntry {
    fn at_once(field: &Field) -> bool {
        field.name.node != "event" || beneath::<AuditEvent>(field)
    }
}

impl Listed for TimelineEntry {
    const NAME: &'static str = "Timeline";
}

impl TimelineEntry {
    /// A page of the timeline, with what is not wanted left out.
    pub fn page(
        page: &Page<(Uuid, usize)>,
        folded: Arc<Folded>,
        kinds: Option<&[Kind]>,
        decision_points_only: bool,
        order: TimelineOrder,
    ) -> super::Result<List<TimelineEntry>> {
        let timeline = &folded.timeline;
        let mut places: Vec<usize> = (0..timeline.len())
            .filter(|place| kinds.is_none_or(|kinds| kinds.contains(&timeline[*place].service)))
            .filter(|place| !decision_points_only || timeline[*place].decision.is_some())
            .collect();
        if order == TimelineOrder::Recorded {
            places.sort_by_key(|place| (timeline[*place].position, timeline[*place].index));
        }
        let name = |place: &usize| (timeline[*place].event_id, timeline[*place].index);
        let rows = page.slice(&places, name)?;
        Ok(page.list(rows, Totals::Known(places.len() as i64), |place| {
            (name(&place), TimelineEntry { folded: folded.clone(), place })
        }))
    }

    /// A fact that is news.
    pub fn of(fact: Fact) -> TimelineEntry {
        TimelineEntry { folded: fact.folded, place: fact.place }
    }

    /// The entry of this event and index, if the fold has it.
    pub fn find(folded: Arc<Folded>, event_id: Uuid, index: usize) -> Option<TimelineEntry> {
        let mut timeline = folded.timeline.iter();
        let place = timeline.position(|entry| entry.event_id == event_id && entry.index == index)?;
        Some(TimelineEntry { folded, place })
    }

    fn entry(&self) -> &model::TimelineEntry {
        &self.folded.timeline[self.place]
    }
}

/// One fact of a remediation. An audit that tells several (approval asked, approval given, step 1 …) gives several entries.
#[Object(name = "TimelineEntry")]
impl TimelineEntry {
    /// A name for this object among all of this server: hand it to `node` to get the object again.
    pub async fn id(&self) -> ID {
        GlobalId::TimelineEntry(self.entry().event_id, self.entry().index).encode()
    }

    /// When it happened, or began.
    async fn at(&self) -> DateTime {
        self.entry().at.into()
    }

    /// When it ended; null for what took no time, or has not ended.
    async fn until(&self) -> Option<DateTime> {
        self.entry().until.map(DateTime)
    }

    /// How long after the remediation's start it happened, in milliseconds; below zero for what came before.
    async fn offset_ms(&self) -> f64 {
        self.entry().offset_ms
    }

    /// How long it took, in milliseconds; null for what took no time, or has not ended.
    async fn duration_ms(&self) -> Option<f64> {
        self.entry().duration_ms
    }

    /// The service that tells it.
    async fn service(&self) -> AuditKind {
        self.entry().service.into()
    }

    /// The phase that it belongs to; null where it belongs to none.
    async fn phase(&self) -> Option<PhaseName> {
        self.entry().phase.map(PhaseName::from)
    }

    /// What happened, in a few words, such as `Approved by alice`.
    async fn title(&self) -> &str {
        &self.entry().title
    }

    /// What else there is to say of it, in a sentence or a few.
    async fn detail(&self) -> Option<&str> {
        self.entry().detail.as_deref()
    }

    /// What was decided; null where nothing was.
    async fn decision(&self) -> Option<One<Decision>> {
        self.entry().decision.clone().map(Decision::from).map(One)
    }

    /// The `eventId`s of further events that tell the same fact, such as the orchestrator's of what the gateway did. One that
    /// says nothing else shows here only.
    async fn also_told_by(&self) -> Vec<scalars::Uuid> {
        self.entry().also_told_by.iter().copied().map(scalars::Uuid).collect()
    }

    /// How much later than it should have been it was recorded, in milliseconds; null when in time.
    async fn recorded_late_by_ms(&self) -> Option<f64> {
        self.entry().recorded_late_by_ms
    }

    /// How far the story is told with this fact, in the order in which it became known: hand it back as `after` of the
    /// subscription `timeline`.
    async fn watermark(&self, ctx: &Context<'_>) -> Watermark {
        let entry = self.entry();
        watermark(app(ctx), Told { position: entry.position, facts: entry.index + 1 })
    }

    /// The audit that tells it.
    #[graphql(complexity = "child_complexity.saturating_add(1)")]
    async fn event(&self) -> super::Result<One<AuditEvent>> {
        let entry = self.folded.entry(self.entry().event_id);
        entry.map(AuditEvent).map(One).ok_or_else(|| {
            crate::error::ClientError::hidden(&std::io::Error::other(
                "a timeline names an event that it was not made from",
            ))
        })
    }
}

/// What was decided, by whom, why, and instead of what.
#[derive(SimpleObject, Clone)]
pub struct Decision {
    /// What had to be decided.
    question: String,
    /// What was chosen.
    chosen: String,
    /// Who decided; null where nobody is named.
    by: Option<One<Actor>>,
    /// Why it was decided so.
    rationale: Option<String>,
    /// How sure the decision is, 0 to 1; null where that was not said.
    confidence: Option<f64>,
    /// What else could have been decided, and why it was not.
    alternatives: Vec<Alternative>,
}

impl AtOnce for Decision {
    fn at_once(_: &Field) -> bool {
        true
    }
}

/// What else could have been decided.
#[derive(SimpleObject, Clone)]
pub struct Alternative {
    /// What would have been done.
    option: String,
    /// How much was believed in it, 0 to 1.
    confidence: Option<f64>,
    /// Why it was not taken.
    rejected_because: Option<String>,
}

impl From<model::Decision> for Decision {
    fn from(decision: model::Decision) -> Decision {
        let alternatives = decision.alternatives.into_iter();
        Decision {
            question: decision.question,
            chosen: decision.chosen,
            by: decision.by.map(|by| One(by.into())),
            rationale: decision.rationale,
            confidence: decision.confidence,
            alternatives: alternatives
                .map(|other| Alternative {
                    option: other.option,
                    confidence: other.confidence,
                    rejected_because: other.rejected_because,
                })
                .collect(),
        }
    }
}
