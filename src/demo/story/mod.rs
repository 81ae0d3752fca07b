//! Tells one remediation: the audits that a fleet of controllers would send of it, one after the other.

mod analysis;
mod assessment;
mod decision;
mod execution;
mod notice;
mod orchestration;
mod signal;

use std::collections::BTreeMap;

use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{
    Recording,
    phrase::{Figures, fill},
    plan::{Ending, Plan, Stage},
    random::Draw,
    writer::{self, Narrative},
};
use crate::audit::{Kind, Submission, event::time_text};

/// The namespace of the demo's event ids (UUIDv5 of it, the remediation and the audit's ordinal).
const EVENT_IDS: Uuid = Uuid::from_u128(0x6f1c_90b4_2d1e_5a77_9a53_04e1_7c3b_d8f2);

/// A remediation that has been told.
#[derive(Debug)]
pub struct Told {
    /// In the order in which the audits occurred to be sent, not yet as they were recorded.
    pub recordings: Vec<Recording>,
    /// When each stage began and ended.
    pub stages: BTreeMap<Stage, Span>,
    pub ended_at: DateTime<Utc>,
}

#[derive(Clone, Copy, Debug)]
pub struct Span {
    pub start: DateTime<Utc>,
    pub end: DateTime<Utc>,
}

impl Span {
    fn ms(&self) -> i64 {
        (self.end - self.start).num_milliseconds()
    }
}

/// Tells the remediation as if its signal had come in at `started_at`; all draws depend on the plan alone, so telling
/// it at another time moves it and changes nothing else.
pub fn tell(plan: &Plan, started_at: DateTime<Utc>) -> Told {
    let started_at = started_at.trunc_subsecs(3); // controllers stamp their audits in milliseconds
    let figures = writer::figures(plan, started_at);
    let text = Narrative::write(plan, &figures);
    let mut draw = Draw::new(plan.index, "story");
    let mut story = Story {
        trace: draw.hex(32),
        model: draw.pick(&["rca-large-0226", "rca-large-0426", "rca-large-0426", "rca-small-0426"]),
        verifies_first: matches!(plan.ending, Ending::VerificationTimedOut | Ending::Inconclusive)
            || plan.caught_in == Some(Stage::Verifying)
            || draw.chance(35),
        plan,
        draw,
        figures,
        text,
        started_at,
        now: started_at,
        recordings: Vec::new(),
        stages: BTreeMap::new(),
        spans: Vec::new(),
        notices: 0,
    };
    story.whole();
    Told { ended_at: story.now, stages: story.stages, recordings: story.recordings }
}

/// A story in the telling.
struct Story<'a> {
    plan: &'a Plan,
    draw: Draw,
    figures: Figures,
    text: Narrative,
    model: &'static str,
    trace: String,
    /// Newer orchestrators complete a remediation only after its effect was verified.
    verifies_first: bool,
    started_at: DateTime<Utc>,
    /// The moment that the telling has come to.
    now: DateTime<Utc>,
    recordings: Vec<Recording>,
    stages: BTreeMap<Stage, Span>,
    /// What each service took, by the word of `audit::words::PHASE_NAME`.
    spans: Vec<(&'static str, Span)>,
    notices: usize,
}

impl Story<'_> {
    fn whole(&mut self) {
        let received = self.received();
        let created = self.created(received);
        let processed = self.processed(created);
        match self.plan.ending {
            Ending::Blocked => return self.blocked(processed),
            Ending::Skipped => return self.skipped(processed),
            _ => {}
        }
        let Some(analysed) = self.analysed(processed) else {
            return self.failed("AIAnalysis", "the analysis ended without a result", None);
        };
        match self.plan.ending {
            Ending::NoAction => return self.no_action(analysed),
            Ending::ManualReview => return self.manual_review(analysed),
            Ending::Cancelled => return self.cancelled(analysed),
            _ => {}
        }
        let Some(agreed) = self.decided(analysed) else { return };
        let Some(carried_out) = self.carried_out(agreed) else { return };
        if self.plan.ending == Ending::DryRun {
            return self.ended(carried_out, "dry_run");
        }
        if self.verifies_first {
            self.verified(carried_out);
        } else {
            self.ended(carried_out, "remediated");
            self.assessed(carried_out);
        }
    }

    /// Records one audit that occurred now, and gives its id. The common fields are added.
    fn audit(&mut self, kind: Kind, actor: Value, parent: Option<Uuid>, fields: Value) -> Uuid {
        self.audit_at(self.now, kind, actor, parent, fields)
    }

    fn audit_at(&mut self, at: DateTime<Utc>, kind: Kind, actor: Value, parent: Option<Uuid>, fields: Value) -> Uuid {
        let plan = self.plan;
        let event_id =
            Uuid::new_v5(&EVENT_IDS, format!("{}:{}", plan.remediation_id, self.recordings.len()).as_bytes());
        let Value::Object(mut all) = fields else { unreachable!("an audit's fields are written as an object") };
        all.insert("remediationId".to_string(), plan.remediation_id.clone().into());
        all.insert("clusterId".to_string(), plan.cluster.name.into());
        all.insert("eventId".to_string(), event_id.to_string().into());
        all.insert("occurredAt".to_string(), time(at));
        all.insert("actor".to_string(), actor);
        if let Some(parent) = parent {
            all.insert("parentEventId".to_string(), parent.to_string().into());
        }
        if !matches!(kind, Kind::Effectiveness) && self.draw.chance(92) {
            let span = self.draw.hex(15);
            all.insert("traceparent".to_string(), format!("00-{}-{span}1-01", self.trace).into());
        }
        if kind != Kind::Notification {
            let details = all.entry("details").or_insert_with(|| Value::Object(Map::new()));
            details["family"] = plan.family.name.into();
        }
        let recorded_at = at + self.delay();
        self.recordings.push(Recording { recorded_at, event_id, submission: Submission::of_fields(kind, all) });
        event_id
    }

    /// How long an audit is under way: a moment, a batch, or as long as a controller's buffer held it back.
    fn delay(&mut self) -> TimeDelta {
        let micros = self.draw.range(0, 999);
        let ms = match self.draw.below(1000) {
            0..=5 => self.draw.range(180_000, 900_000),
            6..=17 => self.draw.range(61_000, 170_000),
            18..=79 => self.draw.range(2_000, 25_000),
            80..=399 => self.draw.range(300, 1_100),
            _ => self.draw.range(6, 140),
        };
        TimeDelta::milliseconds(ms) + TimeDelta::microseconds(micros)
    }

    /// Lets between `least` and `most` milliseconds pass.
    fn pass(&mut self, least: i64, most: i64) {
        self.now += TimeDelta::milliseconds(self.draw.range(least, most));
    }

    fn fill(&mut self, text: &str) -> String {
        fill(text, &mut self.draw, &self.figures)
    }

    fn one(&mut self, texts: &[&str]) -> String {
        let text = self.draw.pick(texts);
        self.fill(text)
    }

    /// The name of a child resource, such as `ai-rr-7d1f0c9ab3e2-4be09c11`.
    fn child(&self, prefix: &str) -> String {
        format!("{prefix}-{}", self.plan.remediation_id)
    }

    fn signal(&self) -> Value {
        let plan = self.plan;
        json!({
            "name": plan.signal.name,
            "fingerprint": plan.fingerprint,
            "source": plan.signal.source,
            "summary": self.text.signal_summary,
            "description": self.text.signal_description,
            "labels": {
                "alertname": plan.signal.name,
                "cluster": plan.cluster.name,
                "namespace": plan.target.namespace.unwrap_or("kube-system"),
                "service": plan.service.name,
                "severity": plan.severity,
            },
        })
    }

    fn target(&self) -> Value {
        let target = &self.plan.target;
        match target.namespace {
            Some(namespace) => json!({"kind": target.kind, "namespace": namespace, "name": target.name}),
            None => json!({"kind": target.kind, "name": target.name}),
        }
    }

    fn target_path(&self) -> String {
        let target = &self.plan.target;
        match target.namespace {
            Some(namespace) => format!("{namespace}/{}/{}", target.kind, target.name),
            None => format!("{}/{}", target.kind, target.name),
        }
    }
}

fn service(id: &str) -> Value {
    json!({"type": "service", "id": id})
}

fn orchestrator() -> Value {
    service("remediation-orchestrator")
}

fn time(at: DateTime<Utc>) -> Value {
    time_text(at).into()
}

/// Adds the members of `more` to an object.
fn with(mut fields: Value, more: Value) -> Value {
    if let (Value::Object(fields), Value::Object(more)) = (&mut fields, more) {
        fields.extend(more);
    }
    fields
}
