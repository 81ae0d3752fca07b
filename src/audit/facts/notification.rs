//! The facts of a notification audit: asked for, sent, delivered, seen, or given up.

use std::borrow::Cow;

use chrono::{DateTime, Utc};

use super::{Fields, Milestone, Shown, Sureness, Teller, Telling, Tells, moved, say};
use crate::audit::phase::PhaseName;

const PHASE: PhaseName = PhaseName::Notification;

pub(super) fn tell(telling: &mut Telling<'_>) {
    let fields = telling.fields;
    let name = named(fields);
    if let Some(at) = fields.time("notificationRequestedAt") {
        let fact = telling.point(at, ("asked", 0), format!("{name} requested"));
        fact.saying(fields.text("subject")).of(PHASE).telling(Tells::NotificationAsked);
    }
    attempts(telling);
    if let Some(at) = fields.time("sentAt").filter(|_| telling.status != "sent") {
        let fact = telling.point(at, ("sent", 0), format!("{name} sent")).stopped(PHASE, Sureness::Implied);
        fact.marking(Milestone::NotificationSent, Teller::Own);
    }
    moment(telling, &name);
}

/// The channel that an audit is of, as it is written.
pub fn channel<'f>(fields: Fields<'f>) -> Option<&'f str> {
    fields.text("channel").or_else(|| fields.texts("channels").first().copied())
}

/// The notification by its channel: `Slack notification`.
fn named(fields: Fields<'_>) -> Cow<'static, str> {
    match channel(fields) {
        Some("slack") => "Slack notification".into(),
        Some("pagerduty") => "PagerDuty notification".into(),
        Some("email") => "E-mail".into(),
        Some("sms") => "Text message".into(),
        Some("teams") => "Teams notification".into(),
        Some(other) => format!("{} notification", say::capital(other)).into(),
        None => "Notification".into(),
    }
}

fn attempts(telling: &mut Telling<'_>) {
    for (index, attempt) in (0..).zip(telling.fields.objects("deliveryAttempts")) {
        let Some(at) = attempt.time("at") else { continue };
        let until = attempt.ms("durationMs").and_then(|took| moved(at, took));
        let number = attempt.count("attempt").unwrap_or(i64::from(index) + 1);
        let over = until.is_none_or(|until| telling.over(until));
        let failed = attempt.text("status") == Some("failed") || attempt.text("errorMessage").is_some();
        let error = attempt.owned("errorMessage").filter(|_| over);
        let title = |_: Option<&str>| match (over, failed) {
            (true, true) => format!("Delivery attempt {number} failed").into(),
            _ => format!("Delivery attempt {number}").into(),
        };
        telling.span(at, until, ("attempt", index), title).saying(error).ran(PHASE, "attempt");
    }
}

fn moment(telling: &mut Telling<'_>, name: &str) {
    let fields = telling.fields;
    let occurred_at = telling.occurred_at;
    let own = |names: &[&str]| fields.any_time(names);
    let (done, own_time): (&str, Option<DateTime<Utc>>) = match telling.status {
        "pending" => ("waits to be sent", None),
        "sending" => ("is being sent", None),
        "retrying" => ("will be tried again", own(&["lastRetryTime"])),
        "sent" => ("sent", own(&["sentAt", "completedAt"])),
        "partially_sent" => ("sent to some channels", own(&["completedAt"])),
        "delivered" => ("delivered", own(&["deliveryTime", "deliveryConfirmedAt", "completedAt"])),
        "failed" => ("failed", own(&["completedAt"])),
        "acknowledged" => ("acknowledged", None),
        "escalated" => ("passed on", None),
        "cancelled" => ("cancelled", own(&["completedAt"])),
        _ => ("updated", None),
    };
    let at = own_time.unwrap_or(occurred_at);
    let title = match (telling.status, fields.text("acknowledgedBy"), fields.text("cancelledBy")) {
        ("acknowledged", Some(by), _) => format!("{name} acknowledged by {by}"),
        ("cancelled", _, Some(by)) => format!("{name} cancelled by {by}"),
        _ => format!("{name} {done}"),
    };
    let to = fields.texts("recipients");
    let to = (!to.is_empty()).then(|| format!("to {}", to.join(", ")));
    let wrong = say::joined([fields.owned("errorCode"), fields.owned("errorMessage"), fields.owned("reason")], ": ");
    let detail = say::joined([to, fields.owned("subject"), wrong], "; ");
    let asked = telling.facts.iter().any(|fact| fact.about.0 == "asked");
    let shown = if telling.status == "pending" && asked { Shown::Alone } else { Shown::Always };

    // The message took `deliveryDurationMs` to arrive, so it left that long before.
    let left =
        fields.ms("deliveryDurationMs").filter(|_| telling.status == "delivered").and_then(|took| moved(at, -took));
    let start = fields.time("notificationRequestedAt").or(left);
    let ends = matches!(telling.status, "sent" | "partially_sent" | "delivered" | "failed" | "cancelled");
    if let Some(start) = start {
        let end = ends.then_some(at);
        let fact = telling.span(start, end, ("sending", 0), |_| format!("{name} on its way").into());
        fact.ran(PHASE, "").shown(Shown::Alone);
    }
    let by_person = fields.text("acknowledgedBy").is_some();
    let about = (status_about(telling.status), 0);
    let status = telling.status;
    let fact = telling.point(at, about, title).saying(detail).of(PHASE).shown(shown);
    match status {
        "sent" | "partially_sent" | "delivered" | "failed" | "cancelled" => {
            fact.stopped(PHASE, if own_time.is_some() { Sureness::Told } else { Sureness::Implied });
        }
        "acknowledged" | "escalated" => {
            fact.stopped(PHASE, Sureness::After);
        }
        _ if start.is_none() => {
            fact.began(PHASE, "");
        }
        _ => {}
    }
    match status {
        "sent" => {
            fact.marking(Milestone::NotificationSent, Teller::Own);
        }
        "failed" => {
            fact.marking(Milestone::NotificationFailed, Teller::Own);
        }
        // The webhook saw the person.
        "acknowledged" => {
            let teller = if by_person { Teller::Own } else { Teller::Onlooker };
            fact.marking(Milestone::NotificationSeen, teller);
        }
        _ => {}
    }
    let outcome = match status {
        "sent" | "delivered" | "partially_sent" => Tells::NotificationDelivered,
        "failed" => Tells::NotificationFailed,
        "acknowledged" => Tells::NotificationSeen,
        _ => return,
    };
    telling.point(at, ("outcome", 0), "Notification outcome").of(PHASE).shown(Shown::Never).telling(outcome);
}

fn status_about(status: &str) -> &'static str {
    match status {
        "sent" => "sent",
        "delivered" => "delivered",
        _ => "moment",
    }
}
