//! The journal, read straight from Postgres in pages, and compared with itself.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{audits::Audits, nemesis::Arena};

const PAGE: i64 = 20_000;
/// The stream of acts of administration, which is refused to clients.
const ADMINISTRATION: (&str, &str) = ("binnacle", "administration");

/// What stands in the journal of an audit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    pub position: i64,
    /// How the digest begins.
    pub digest: u64,
}

/// Everything that is recorded, by number.
#[derive(Default)]
pub struct Recorded {
    rows: Vec<Option<Row>>,
    /// Numbers that are there more than once.
    pub doubled: Vec<u64>,
    pub last: i64,
}

impl Recorded {
    pub fn row(&self, number: u64) -> Option<Row> {
        self.rows.get(number as usize).copied().flatten()
    }

    fn add(&mut self, number: u64, row: Row) {
        let place = number as usize;
        if self.rows.len() <= place {
            self.rows.resize(place + 1, None);
        }
        if self.rows[place].replace(row).is_some() {
            self.doubled.push(number);
        }
    }
}

#[derive(sqlx::FromRow)]
struct Entry {
    position: i64,
    recorded_at: DateTime<Utc>,
    event_id: Uuid,
    cluster_id: String,
    remediation_id: String,
    version: i32,
    digest: Vec<u8>,
    word: Option<String>,
}

const ENTRIES: &str = "SELECT position, recorded_at, event_id, cluster_id, remediation_id, version, digest,
        coalesce(payload ->> 'notificationId', payload ->> 'crdName') AS word
    FROM audit_events WHERE position > $1 ORDER BY position LIMIT $2";

/// Reads the journal from its first entry, and checks its order on the way: positions and versions without a gap, times that
/// never go back, and nothing that nobody sent.
pub async fn read(arena: &Arena) -> anyhow::Result<Recorded> {
    let mut admin = arena.world.postgres.admin().await?;
    let (ledger, sent) = (&arena.ledger, arena.ledger.operations().len() as u64);
    let mut recorded = Recorded::default();
    let mut versions: HashMap<(String, String), i32> = HashMap::new();
    let mut since = DateTime::<Utc>::MIN_UTC;
    loop {
        let page = page(&mut admin, recorded.last).await?;
        if page.is_empty() {
            return Ok(recorded);
        }
        for entry in page {
            let at = entry.position;
            if at != recorded.last + 1 {
                ledger.breach(format!("position {at} follows on {}", recorded.last));
            }
            if entry.recorded_at < since {
                ledger.breach(format!(
                    "position {at} is recorded at {}, before the one before it ({since})",
                    entry.recorded_at
                ));
            }
            // What `binnacle` did when it was told to: such as a rebuild, which is an event itself.
            let act = (entry.cluster_id.as_str(), entry.remediation_id.as_str()) == ADMINISTRATION;
            let number = ledger.audits.number(entry.event_id).filter(|number| (1..=sent).contains(number));
            match number {
                Some(number) => {
                    let told = (entry.remediation_id.clone(), entry.word.clone());
                    if told != (Audits::remediation(number), Some(Audits::word(number))) {
                        ledger.breach(format!("position {at} is not what was sent as audit {number}: {told:?}"));
                    }
                    recorded.add(number, Row { position: at, digest: beginning(&entry.digest) });
                }
                None if act => {}
                None => ledger.breach(format!("nobody sent {} of position {at}", entry.event_id)),
            }
            let version = versions.entry((entry.cluster_id, entry.remediation_id)).or_default();
            if entry.version != *version + 1 {
                ledger.breach(format!("position {at} has version {} after {version}", entry.version));
            }
            *version = entry.version;
            (recorded.last, since) = (at, entry.recorded_at);
        }
    }
}

async fn page(admin: &mut PgConnection, after: i64) -> Result<Vec<Entry>, sqlx::Error> {
    sqlx::query_as(ENTRIES).bind(after).bind(PAGE).fetch_all(admin).await
}

fn beginning(digest: &[u8]) -> u64 {
    digest.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

/// What must select no row: the tables beside the journal say the same as it.
const DISAGREEMENTS: [(&str, &str); 3] = [
    (
        "event_keys",
        "SELECT count(*) FROM audit_events e FULL JOIN event_keys k ON k.event_id = e.event_id
        WHERE k.position IS DISTINCT FROM e.position OR k.version IS DISTINCT FROM e.version
            OR k.recorded_at IS DISTINCT FROM e.recorded_at",
    ),
    (
        "streams",
        "SELECT count(*) FROM (SELECT cluster_id, remediation_id, max(version) AS version, count(*) AS entries,
                max(recorded_at) AS last FROM audit_events GROUP BY cluster_id, remediation_id) e
        FULL JOIN streams s ON (s.cluster_id, s.remediation_id) = (e.cluster_id, e.remediation_id)
        WHERE s.version IS DISTINCT FROM e.version OR e.entries IS DISTINCT FROM e.version
            OR s.last_recorded_at IS DISTINCT FROM e.last",
    ),
    (
        "journal_head",
        "SELECT count(*) FROM journal_head
        WHERE next_position <> 1 + (SELECT coalesce(max(position), 0) FROM audit_events)",
    ),
];

pub async fn check_tables(arena: &Arena) -> anyhow::Result<()> {
    let mut admin = arena.world.postgres.admin().await?;
    for (table, statement) in DISAGREEMENTS {
        let differing: i64 = sqlx::query_scalar(statement).fetch_one(&mut admin).await?;
        if differing > 0 {
            arena.ledger.breach(format!("`{table}` and the journal disagree in {differing} rows"));
        }
    }
    Ok(())
}
