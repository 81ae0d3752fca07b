//! One view of all dead letters: events that a projection could not take, then texts that a model refuses. They are listed page
//! by page, and tried again one by one.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::PgPool;
use uuid::Uuid;

use super::{explain, letter::LetterId};
use crate::{
    audit::{Entry, Position},
    journal::read,
    projection::{self, dead_letters::Retried as Parked},
    search::refused,
};

/// A dead letter.
#[derive(Clone, Debug)]
pub struct Letter {
    pub id: LetterId,
    /// Why it was refused last.
    pub error: String,
    /// Of a text, since somebody asked for it last.
    pub tries: i32,
    /// When it was tried last; not known of texts that were refused by an older version.
    pub tried_at: Option<DateTime<Utc>>,
    /// When an event was set aside.
    pub parked_at: Option<DateTime<Utc>>,
    /// When a text is tried again by itself.
    pub next_attempt_at: Option<DateTime<Utc>>,
    /// The field that tells a text.
    pub field: Option<String>,
    /// The event, or one that tells the text; `None` where none does any more.
    pub entry: Option<Entry>,
}

impl Letter {
    /// What it means and what to do, for people.
    pub fn explanation(&self) -> String {
        explain::explanation(self)
    }
}

/// Up to `limit` dead letters behind a place: parked events by projection and position, then texts by model.
pub async fn page(db: &PgPool, after: Option<&LetterId>, limit: i64) -> Result<Vec<Letter>, sqlx::Error> {
    let (parked_after, refused_after) = match after {
        None => (Some(None), None),
        Some(LetterId::Parked(projection, position)) => (Some(Some((*projection, *position))), None),
        Some(LetterId::Refused { model, content }) => (None, Some((model.as_str(), *content))),
    };
    let mut letters = match parked_after {
        Some(after) => parked(db, after, limit).await?,
        None => Vec::new(),
    };
    let left = limit - letters.len() as i64;
    if left > 0 {
        letters.extend(refused(db, refused_after, left).await?);
    }
    Ok(letters)
}

async fn parked(
    db: &PgPool,
    after: Option<(projection::Projection, Position)>,
    limit: i64,
) -> Result<Vec<Letter>, sqlx::Error> {
    let parked = projection::dead_letters::page(db, after, limit).await?;
    let positions: Vec<Position> = parked.iter().map(|letter| letter.position).collect();
    let entries: HashMap<Position, Entry> =
        read::at_positions(db, &positions).await?.into_iter().map(|entry| (entry.position, entry)).collect();
    let letters = parked.into_iter().map(|letter| Letter {
        id: LetterId::Parked(letter.projection, letter.position),
        error: letter.error,
        tries: letter.tries,
        tried_at: Some(letter.tried_at),
        parked_at: Some(letter.parked_at),
        next_attempt_at: None,
        field: None,
        entry: entries.get(&letter.position).cloned(),
    });
    Ok(letters.collect())
}

async fn refused(db: &PgPool, after: Option<(&str, Uuid)>, limit: i64) -> Result<Vec<Letter>, sqlx::Error> {
    let refused = refused::page(db, after, limit).await?;
    let event_ids: Vec<Uuid> = refused.iter().filter_map(|text| text.event_id).collect();
    let entries: HashMap<Uuid, Entry> =
        read::by_event_ids(db, &event_ids).await?.into_iter().map(|entry| (entry.event.event_id, entry)).collect();
    let letters = refused.into_iter().map(|text| Letter {
        id: LetterId::Refused { model: text.model, content: text.content },
        error: text.reason,
        tries: text.attempts,
        tried_at: text.refused_at,
        parked_at: None,
        next_attempt_at: text.next_attempt_at,
        field: text.field,
        entry: text.event_id.and_then(|event_id| entries.get(&event_id).cloned()),
    });
    Ok(letters.collect())
}

/// How many there are, counted up to `most` + 1.
pub async fn count(db: &PgPool, most: i64) -> Result<i64, sqlx::Error> {
    let parked = projection::dead_letters::count(db, most).await?;
    Ok((parked + refused::count(db, most).await?).min(most + 1))
}

/// A dead letter that was tried again, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retried {
    pub id: LetterId,
    pub what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// The projection has the event now.
    Mended,
    /// The projection refused it again, for this reason.
    Refused(String),
    /// The server will try the text again.
    Waiting,
    /// There is no such dead letter, or no more.
    Gone,
}

/// Tries one again. An event is tried at once; a text waits for a server that embeds, as every text does.
pub async fn retry(db: &PgPool, id: LetterId) -> anyhow::Result<Retried> {
    let what = match &id {
        LetterId::Parked(projection, position) => {
            match projection::dead_letters::retry(db, *projection, *position).await? {
                Parked::Mended => What::Mended,
                Parked::Refused(error) => What::Refused(error),
                Parked::Gone => What::Gone,
            }
        }
        LetterId::Refused { model, content } => match refused::retry_one(db, model, *content).await? {
            true => What::Waiting,
            false => What::Gone,
        },
    };
    Ok(Retried { id, what })
}

/// How many came to what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    pub mended: usize,
    pub refused: usize,
    pub waiting: usize,
    pub gone: usize,
}

impl Sums {
    pub fn of(letters: &[Retried]) -> Sums {
        let mut sums = Sums::default();
        for letter in letters {
            match letter.what {
                What::Mended => sums.mended += 1,
                What::Refused(_) => sums.refused += 1,
                What::Waiting => sums.waiting += 1,
                What::Gone => sums.gone += 1,
            }
        }
        sums
    }

    /// Whether any was there to be tried.
    pub fn any(self) -> bool {
        self.mended + self.refused + self.waiting > 0
    }
}
