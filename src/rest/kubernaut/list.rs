//! Kubernaut's query of events: filters, pages by offset or by cursor, and a caller that reads what it has just written.

use std::collections::HashMap;

use axum::{Json, extract::State};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use sqlx::PgPool;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::show::AuditEvent;
use crate::{
    app::App,
    audit::{Outcome, Position, check::parse_time},
    error::Failure,
    journal::read,
    projection::{
        Projection,
        event_index::{self, Filter, Order, Row},
    },
    rest::{Rest, call::Call, fault::Fault, params::Params},
};

const PAGE_DEFAULT: i64 = 50;
const PAGE_MAX: i64 = 1_000;

/// Furthest that an offset reaches: the rows before it are read for nothing.
const OFFSET_MAX: i64 = 10_000;

/// Most events that a total counts.
const TOTAL_MAX: i64 = 10_000;

/// Bytes of JSON at which a page is full. Its last event may go beyond.
const PAGE_BYTES: usize = 8 * 1024 * 1024;

/// Entries that are read at once for a page: with the largest payloads some 16 MiB.
const ENTRIES: usize = 50;

/// Most events whose data is looked into for one page. The other filters say which.
const DETAIL_MAX: i64 = 20_000;

/// Events whose data is looked into with one statement.
const DETAIL_PAGE: i64 = 2_000;

pub fn routes() -> OpenApiRouter<Rest> {
    OpenApiRouter::default().routes(routes!(events))
}

/// A page of events, the latest first.
#[derive(Serialize, ToSchema)]
pub struct EventPage {
    // In JSON already: what was read of an event takes several times as much memory as its text.
    #[schema(value_type = Vec<AuditEvent>)]
    data: Vec<Box<RawValue>>,
    pub pagination: Pagination,
}

/// Where a page lies in its list.
#[derive(Serialize, ToSchema)]
pub struct Pagination {
    /// Most events of the page.
    #[schema(minimum = 1, maximum = 1000)]
    pub limit: i64,
    /// How many events were passed over; 0 for a page that was asked for by its cursor.
    #[schema(minimum = 0)]
    pub offset: i64,
    /// How many events match the filters, on all pages. Counted once: a page that was asked for by its cursor tells what the first
    /// one did.
    #[schema(minimum = 0, maximum = 10000)]
    pub total: i64,
    /// Whether there may be more than `total`: it counts 10,000, and with `detail_key` those among the latest 20,000 that match the
    /// other filters.
    pub total_is_capped: bool,
    /// Whether there are events behind this page.
    pub has_more: bool,
    /// The next page's `cursor`; left out on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub next_cursor: Option<String>,
}

/// Events, the latest first
///
/// Ordered by `event_timestamp`, then by the place in the journal. The list holds everything that was recorded when it is asked
/// for. `pagination.next_cursor` reads on without skipping or repeating an event while others are recorded, which an offset cannot.
///
/// Times are inclusive. A time may be relative to now (`90s`, `30m`, `24h`, `7d`), in RFC 3339, or a date, which is its beginning in UTC.
///
/// A page is full, too, once its events have 8 MiB of JSON: it may then have fewer than `limit` while `has_more` is true. Read on by
/// the cursor, or with `offset` greater by the number of events that came.
///
/// `detail_key` looks into 20,000 events for one page at most, so that it may be short, even empty, while `has_more` is true: read on by
/// the cursor.
#[utoipa::path(get, path = "/api/v1/audit/events", tag = "kubernaut",
    params(
        ("correlation_id" = Option<String>, Query, description = "Of this remediation."),
        ("cluster_id" = Option<String>, Query, description = "Ours: of this cluster."),
        ("event_type" = Option<String>, Query, description = "Of this type.", example = "notification.message.sent"),
        ("event_category" = Option<String>, Query, description = "Of this category.", example = "notification"),
        ("event_outcome" = Option<String>, Query, pattern = "^(success|failure|pending)$", description = "With this outcome."),
        ("severity" = Option<String>, Query, description = "Of this severity.", example = "critical"),
        ("since" = Option<String>, Query, description = "That happened at this time or later.", example = "24h"),
        ("until" = Option<String>, Query, description = "That happened at this time or before."),
        ("detail_key" = Option<String>, Query, pattern = "^[a-zA-Z0-9_]+$", description = "With a member of this name at the top of `event_data`; goes with `detail_value`."),
        ("detail_value" = Option<String>, Query, description = "What that member says. A number or a boolean is compared by its JSON text."),
        ("limit" = Option<i64>, Query, minimum = 1, maximum = 1000, description = "How many; 50 when left out."),
        ("offset" = Option<i64>, Query, minimum = 0, maximum = 10000, description = "How many to pass over; not together with `cursor`."),
        ("cursor" = Option<String>, Query, description = "Ours: read on behind a page, from its `next_cursor`."),
    ),
    responses((status = 200, description = "A page of events.", body = EventPage)))]
async fn events(State(rest): State<Rest>, call: Call, params: Params) -> Result<Json<EventPage>, Fault> {
    call.reads()?;
    let question = Question::read(params, Utc::now())?;
    let app = &rest.app;
    let head = read::head(app.journal.reader()).await?.last;
    app.projected(&[Projection::EventIndex], head).await?;
    let found = question.answer(app.journal.reader()).await?;
    let (data, stopped_at) = shown(app, &found.rows).await?;
    let next = stopped_at.cloned().or(found.next);
    let next_cursor = next.map(|row| Cursor { row, total: found.total }.encode());
    let pagination = Pagination {
        limit: question.limit,
        offset: question.offset,
        total: found.total.count,
        total_is_capped: found.total.capped,
        has_more: next_cursor.is_some(),
        next_cursor,
    };
    Ok(Json(EventPage { data, pagination }))
}

/// The events of these rows, in their order, until the page is full; the last row that is shown, where there are more.
async fn shown<'r>(app: &App, rows: &'r [Row]) -> Result<(Vec<Box<RawValue>>, Option<&'r Row>), Fault> {
    let (mut data, mut bytes) = (Vec::new(), 0);
    for (chunk, rows_of_chunk) in rows.chunks(ENTRIES).enumerate() {
        let places: Vec<_> = rows_of_chunk.iter().map(place).collect();
        let entries = read::at(app.journal.reader(), &places).await?;
        let mut entries: HashMap<_, _> = entries.into_iter().map(|entry| (entry.position.0, entry)).collect();
        for (at, row) in rows_of_chunk.iter().enumerate() {
            let Some(entry) = entries.remove(&row.position) else { continue };
            let event = to_raw_value(&AuditEvent::of(&entry, app.journal.id())).expect("an event is JSON");
            bytes += event.get().len();
            data.push(event);
            if bytes >= PAGE_BYTES {
                let more = chunk * ENTRIES + at + 1 < rows.len();
                return Ok((data, more.then_some(row)));
            }
        }
    }
    Ok((data, None))
}

/// What is asked.
struct Question {
    filter: Filter,
    detail: Option<(String, String)>,
    limit: i64,
    offset: i64,
    after: Option<Cursor>,
}

/// Where the next page begins, and what need not be counted again for it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
struct Cursor {
    /// The row behind which it begins.
    #[serde(flatten)]
    row: Row,
    #[serde(flatten)]
    total: Total,
}

/// How many events match.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
struct Total {
    #[serde(rename = "total")]
    count: i64,
    /// Whether there may be more.
    capped: bool,
}

impl Total {
    /// Of so many that were counted; `unseen` where there may be others.
    fn of(counted: i64, unseen: bool) -> Total {
        Total { count: counted.min(TOTAL_MAX), capped: unseen || counted > TOTAL_MAX }
    }
}

/// What was found.
struct Found {
    rows: Vec<Row>,
    /// The row behind which the next page begins; none where there is no next page.
    next: Option<Row>,
    total: Total,
}

impl Question {
    fn read(mut params: Params, now: DateTime<Utc>) -> Result<Question, Fault> {
        let one = |text: Option<String>| text.map(|text| vec![text]);
        let since = params.read("since", |text| moment(text, now), MOMENT);
        let until = params.read("until", |text| moment(text, now), MOMENT);
        let filter = Filter {
            occurred_from: since,
            // Times are kept to the microsecond.
            occurred_to: until.map(|time| time + TimeDelta::microseconds(1)),
            event_type: one(params.text("event_type")),
            category: one(params.text("event_category")),
            outcome: params.read("event_outcome", Outcome::parse, "success, failure or pending").map(outcome_words),
            severity: one(params.text("severity")),
            remediation_id: one(params.text("correlation_id")),
            cluster_id: one(params.text("cluster_id")),
            ..Filter::default()
        };
        let detail = detail(&mut params);
        let limit = params.number("limit", 1..=PAGE_MAX).unwrap_or(PAGE_DEFAULT);
        let offset = params.number("offset", 0..=i64::MAX);
        if offset.is_some_and(|offset| offset > OFFSET_MAX) {
            let detail = format!(
                "`offset` may be {OFFSET_MAX} at most; to read on, hand back `pagination.next_cursor` of each page as `cursor`"
            );
            params.mistake("offset", "OUT_OF_RANGE", detail);
        }
        let after = params.read("cursor", Cursor::decode, "a `pagination.next_cursor` that this server has given");
        if offset.is_some() && after.is_some() {
            let detail = "`cursor` says where the page begins; leave out `offset`".to_string();
            params.mistake("offset", "NOT_TOGETHER", detail);
        }
        params.finish()?;
        Ok(Question { filter, detail, limit, offset: offset.unwrap_or(0), after })
    }

    async fn answer(&self, db: &PgPool) -> Result<Found, Fault> {
        match &self.detail {
            None => self.page(db).await,
            Some((key, value)) => self.page_with_detail(db, key, value).await,
        }
    }

    async fn page(&self, db: &PgPool) -> Result<Found, Fault> {
        let reach = self.offset + self.limit + 1;
        let after = self.after.as_ref().map(|cursor| &cursor.row);
        let rows = event_index::page(db, &self.filter, Order::OccurredAt, true, after, reach).await?;
        let total = match &self.after {
            Some(cursor) => cursor.total,
            None if (rows.len() as i64) < reach => Total::of(rows.len() as i64, false), // these are all
            None => Total::of(event_index::count(db, &self.filter, TOTAL_MAX).await?, false),
        };
        let (rows, next) = self.cut(rows);
        Ok(Found { rows, next, total })
    }

    async fn page_with_detail(&self, db: &PgPool, key: &str, value: &str) -> Result<Found, Fault> {
        let after = self.after.as_ref().map(|cursor| cursor.row.clone());
        let seen = look(db, &self.filter, key, value, after).await?;
        let total = match &self.after {
            Some(cursor) => cursor.total,
            None => Total::of(seen.rows.len() as i64, seen.stopped_at.is_some()),
        };
        if seen.stopped_at.is_some() && self.offset > 0 && (seen.rows.len() as i64) < self.offset + self.limit {
            let detail = format!(
                "the page begins behind the latest {DETAIL_MAX} events that match the other filters; filter more narrowly, or read on with `cursor`"
            );
            return Err(Fault::new(Failure::TooComplex, detail));
        }
        let (rows, next) = self.cut(seen.rows);
        let next = next.or(seen.stopped_at);
        Ok(Found { rows, next, total })
    }

    /// The page of the rows that were found from where it begins, and its last row where there are more.
    fn cut(&self, rows: Vec<Row>) -> (Vec<Row>, Option<Row>) {
        let mut rows: Vec<Row> = rows.into_iter().skip(self.offset as usize).collect();
        let more = rows.len() as i64 > self.limit;
        rows.truncate(self.limit as usize);
        let next = rows.last().filter(|_| more).cloned();
        (rows, next)
    }
}

/// What was found among the first `DETAIL_MAX` events that match the other filters.
struct Seen {
    rows: Vec<Row>,
    /// The last event that was looked into, where there are more.
    stopped_at: Option<Row>,
}

/// Looks into the data of events, the latest first. What an event's data says is in no index, so each is read.
async fn look(db: &PgPool, filter: &Filter, key: &str, value: &str, after: Option<Row>) -> Result<Seen, Fault> {
    let mut seen = Seen { rows: Vec::new(), stopped_at: after };
    for _ in 0..DETAIL_MAX / DETAIL_PAGE {
        let rows =
            event_index::page(db, filter, Order::OccurredAt, true, seen.stopped_at.as_ref(), DETAIL_PAGE).await?;
        let places: Vec<_> = rows.iter().map(place).collect();
        let telling = read::telling(db, &places, key, value).await?;
        let last = rows.last().filter(|_| rows.len() as i64 == DETAIL_PAGE).cloned();
        seen.rows.extend(rows.into_iter().filter(|row| telling.contains(&Position(row.position))));
        seen.stopped_at = last;
        if seen.stopped_at.is_none() {
            break;
        }
    }
    Ok(seen)
}

fn detail(params: &mut Params) -> Option<(String, String)> {
    let name = |text: &str| {
        let fine = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        fine.then(|| text.to_string())
    };
    let given = (params.read("detail_key", name, "letters, digits and underscores"), params.text("detail_value"));
    match given {
        (Some(key), Some(value)) => Some((key, value)),
        (Some(_), None) => {
            params.mistake("detail_value", "REQUIRED", "`detail_key` goes with a `detail_value`".to_string());
            None
        }
        (None, Some(_)) => {
            params.mistake("detail_key", "REQUIRED", "`detail_value` goes with a `detail_key`".to_string());
            None
        }
        (None, None) => None,
    }
}

/// An event that tells no outcome is shown as pending.
fn outcome_words(outcome: Outcome) -> Vec<String> {
    let none = (outcome == Outcome::Pending).then(String::new);
    std::iter::once(outcome.word().to_string()).chain(none).collect()
}

fn place(row: &Row) -> (Position, DateTime<Utc>) {
    (Position(row.position), row.recorded_at)
}

const MOMENT: &str =
    "a time as in RFC 3339, such as 2026-05-04T10:00:00Z, a date, or how long ago it was, such as 30m, 24h or 7d";

/// Longest that a relative time goes back.
const AGO_DAYS_MAX: i64 = 36_500;

fn moment(text: &str, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    ago(text)
        .map(|ago| now - ago)
        .or_else(|| Some(text.parse::<NaiveDate>().ok()?.and_time(NaiveTime::MIN).and_utc()))
        .or_else(|| parse_time(text))
        .filter(|time| (1..=9999).contains(&chrono::Datelike::year(time)))
}

fn ago(text: &str) -> Option<TimeDelta> {
    let unit = text.chars().next_back()?;
    let number = text.strip_suffix(unit)?;
    let number: i64 = number.bytes().all(|byte| byte.is_ascii_digit()).then(|| number.parse().ok())??;
    let ago = match unit {
        's' => TimeDelta::try_seconds(number),
        'm' => TimeDelta::try_minutes(number),
        'h' => TimeDelta::try_hours(number),
        'd' => TimeDelta::try_days(number),
        _ => None,
    }?;
    (ago <= TimeDelta::days(AGO_DAYS_MAX)).then_some(ago)
}

impl Cursor {
    fn encode(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(serde_json::to_string(self).expect("a cursor is JSON"))
    }

    fn decode(text: &str) -> Option<Cursor> {
        let cursor: Cursor = serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
        (0..=TOTAL_MAX).contains(&cursor.total.count).then_some(cursor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_may_be_relative_or_a_date_or_in_full() {
        let now = parse_time("2026-05-04T10:00:00Z").unwrap();
        let read = |text| moment(text, now).map(|time| time.to_rfc3339());
        let seen = ["24h", "7d", "30m", "90s", "0h", "2026-05-01", "2026-05-01T12:00:00+02:00"].map(read);
        insta::assert_debug_snapshot!(seen.map(Option::unwrap), @r#"
        [
            "2026-05-03T10:00:00+00:00",
            "2026-04-27T10:00:00+00:00",
            "2026-05-04T09:30:00+00:00",
            "2026-05-04T09:58:30+00:00",
            "2026-05-04T10:00:00+00:00",
            "2026-05-01T00:00:00+00:00",
            "2026-05-01T10:00:00+00:00",
        ]
        "#);
        for bad in [
            "",
            "h",
            "-1h",
            "+1h",
            "1.5h",
            "1w",
            "99999999999999999999d",
            "36501d",
            "yesterday",
            "2026-13-01",
            "2026-05-01T12:00:00",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_cursor_reads_back_and_nothing_else_is_one() {
        let at = parse_time("2026-05-04T10:00:00.123456Z").unwrap();
        let row = Row { position: 7, recorded_at: at, occurred_at: at };
        let cursor = Cursor { row: row.clone(), total: Total { count: 12, capped: false } };
        assert_eq!(Cursor::decode(&cursor.encode()), Some(cursor));
        assert_eq!(Cursor::decode("7"), None);
        assert_eq!(Cursor::decode(&BASE64_URL_SAFE_NO_PAD.encode("{}")), None);
        let made_up = Cursor { row, total: Total { count: TOTAL_MAX + 1, capped: false } };
        assert_eq!(Cursor::decode(&made_up.encode()), None);
    }
}
