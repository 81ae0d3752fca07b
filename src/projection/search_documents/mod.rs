//! The projection `search_documents`: the texts worth finding, searched by their words. Their vectors are made elsewhere.

mod chunks;
mod texts;
mod told;
mod words;

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::{Range, batch::Batch};
use crate::audit::Position;

pub use chunks::{CHARS_MAX, cut_to};
pub use texts::{Document, FIELDS, Facet, SUMMARY, WHOLE, documents};
pub use told::{Telling, Vocabulary, Word, Words, telling, told};
pub use words::searchable;

/// Writes the documents of the streams that were appended to in the range: those of its events, and each remediation's own.
pub(super) async fn write(db: &mut PgConnection, range: Range, batch: &Batch) -> anyhow::Result<()> {
    let mut rows = Rows::default();
    for stream in batch.streams_after(range.from) {
        for (recorded_at, document) in stream.told.iter().flat_map(|told| &told.documents) {
            // Those of earlier events are there already, and stay as they are.
            if document.made_after(range.from) {
                rows.push(stream.first, *recorded_at, document);
            }
        }
    }
    rows.write(db).await
}

/// The columns of the rows to write.
#[derive(Default)]
struct Rows<'a> {
    firsts: Vec<i64>,
    sources: Vec<i64>,
    parts: Vec<i32>,
    positions: Vec<i64>,
    event_ids: Vec<Uuid>,
    recorded_ats: Vec<DateTime<Utc>>,
    kinds: Vec<&'static str>,
    facets: Vec<&'static str>,
    fields: Vec<&'static str>,
    contents: Vec<Uuid>,
    searchables: Vec<String>,
    texts: Vec<&'a str>,
}

impl<'a> Rows<'a> {
    fn push(&mut self, first: Position, recorded_at: DateTime<Utc>, document: &'a Document) {
        self.firsts.push(first.0);
        self.sources.push(document.source.0);
        self.parts.push(document.part);
        self.positions.push(document.position.0);
        self.event_ids.push(document.event_id);
        self.recorded_ats.push(recorded_at);
        self.kinds.push(document.kind);
        self.facets.push(document.facet.word());
        self.fields.push(document.field);
        self.contents.push(document.content());
        self.searchables.push(searchable(&document.text));
        self.texts.push(&document.text);
    }

    async fn write(self, db: &mut PgConnection) -> anyhow::Result<()> {
        // Much is told again and again, by the same remediation or by others, and its words are not found anew then.
        sqlx::query!(
            "INSERT INTO search_documents (first_position, source, part, position, event_id, recorded_at, kind, facet, field,
                content, words, text)
            SELECT first_position, source, part, position, event_id, recorded_at, kind, facet, field, content,
                coalesce(
                    (SELECT d.words FROM search_documents d WHERE d.content = w.content ORDER BY d.content LIMIT 1),
                    to_tsvector('english', searchable)
                ),
                text
            FROM (
                SELECT unnest($1::bigint[]) AS first_position, unnest($2::bigint[]) AS source, unnest($3::int[]) AS part,
                    unnest($4::bigint[]) AS position, unnest($5::uuid[]) AS event_id,
                    unnest($6::timestamptz[]) AS recorded_at, unnest($7::text[]) AS kind, unnest($8::text[]) AS facet,
                    unnest($9::text[]) AS field, unnest($10::uuid[]) AS content, unnest($11::text[]) AS searchable,
                    unnest($12::text[]) AS text
            ) w
            ON CONFLICT (first_position, source, part) DO UPDATE
            SET position = excluded.position, event_id = excluded.event_id, recorded_at = excluded.recorded_at,
                content = excluded.content, words = excluded.words, text = excluded.text",
            &self.firsts,
            &self.sources,
            &self.parts,
            &self.positions,
            &self.event_ids,
            &self.recorded_ats,
            &self.kinds as &[&str],
            &self.facets as &[&str],
            &self.fields as &[&str],
            &self.contents,
            &self.searchables,
            &self.texts as &[&str]
        )
        .execute(db)
        .await?;
        Ok(())
    }
}

/// A document that was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// The remediation.
    pub first_position: i64,
    pub source: i64,
    pub part: i32,
    pub event_id: Uuid,
    pub kind: String,
    pub facet: String,
    pub field: String,
    pub text: String,
    pub content: Uuid,
}

/// Of each of these remediations the document that tells the words of a question best, with the passage that does, its words
/// between `[[` and `]]`. Where none tells any, or the words do not count, it is the document that is named with the
/// remediation, where one is; else its first. Of these kinds where they are given.
pub async fn best(
    db: &mut PgConnection,
    remediations: &[(i64, Option<(i64, i32)>)],
    kinds: Option<&[String]>,
    question: &str,
    by_words: bool,
) -> Result<Vec<(Found, String)>, sqlx::Error> {
    let firsts: Vec<i64> = remediations.iter().map(|(first, _)| *first).collect();
    let sources: Vec<Option<i64>> = remediations.iter().map(|(_, named)| named.map(|(source, _)| source)).collect();
    let parts: Vec<Option<i32>> = remediations.iter().map(|(_, named)| named.map(|(_, part)| part)).collect();
    // There is no passage where the question has no words to look for.
    let rows = sqlx::query!(
        r#"WITH asked AS MATERIALIZED (SELECT search_any_word($5) AS words)
        SELECT d.first_position AS "first_position!", d.source AS "source!", d.part AS "part!", d.event_id AS "event_id!",
            d.kind AS "kind!", d.facet AS "facet!", d.field AS "field!", d.text AS "text!", d.content AS "content!",
            ts_headline('english', d.text, (SELECT words FROM asked),
                'StartSel=[[, StopSel=]], MaxWords=40, MinWords=20') AS snippet
        FROM unnest($1::bigint[], $2::bigint[], $3::int[]) AS w(first_position, source, part)
        CROSS JOIN LATERAL (
            SELECT i.* FROM search_documents i
            WHERE i.first_position = w.first_position AND ($4::text[] IS NULL OR i.kind = ANY($4))
            ORDER BY CASE WHEN $6 THEN coalesce(ts_rank(i.words, (SELECT words FROM asked), 1), 0) ELSE 0 END DESC,
                coalesce(i.source = w.source AND i.part = w.part, false) DESC, i.source, i.part
            LIMIT 1
        ) d
        ORDER BY d.first_position"#,
        &firsts,
        &sources as &[Option<i64>],
        &parts as &[Option<i32>],
        kinds,
        searchable(question),
        by_words
    )
    .fetch_all(db)
    .await?;
    let found = rows.into_iter().map(|row| {
        let snippet = row.snippet.unwrap_or_else(|| row.text.clone());
        let found = Found {
            first_position: row.first_position,
            source: row.source,
            part: row.part,
            event_id: row.event_id,
            kind: row.kind,
            facet: row.facet,
            field: row.field,
            text: row.text,
            content: row.content,
        };
        (found, snippet)
    });
    Ok(found.collect())
}

/// These documents, each named by its remediation, its event and its place, in no particular order.
pub async fn at(db: &PgPool, keys: &[(i64, i64, i32)]) -> Result<Vec<Found>, sqlx::Error> {
    let (firsts, sources, parts) = columns(keys);
    sqlx::query_as!(
        Found,
        r#"SELECT d.first_position, d.source, d.part, d.event_id, d.kind, d.facet, d.field, d.text, d.content
        FROM unnest($1::bigint[], $2::bigint[], $3::int[]) AS w(first_position, source, part)
        JOIN search_documents d USING (first_position, source, part)"#,
        &firsts,
        &sources,
        &parts
    )
    .fetch_all(db)
    .await
}

/// The first document that each of these remediations tells, up to a position.
pub async fn first_of(db: &PgPool, firsts: &[i64], up_to: Position) -> Result<Vec<Found>, sqlx::Error> {
    sqlx::query_as!(
        Found,
        r#"SELECT d.first_position AS "first_position!", d.source AS "source!", d.part AS "part!", d.event_id AS "event_id!",
            d.kind AS "kind!", d.facet AS "facet!", d.field AS "field!", d.text AS "text!", d.content AS "content!"
        FROM unnest($1::bigint[]) AS w(first_position)
        CROSS JOIN LATERAL (
            SELECT i.* FROM search_documents i
            WHERE i.first_position = w.first_position AND i.source <> 0 AND i.position <= $2
            ORDER BY i.first_position, i.source, i.part LIMIT 1
        ) d"#,
        firsts,
        up_to.0
    )
    .fetch_all(db)
    .await
}

fn columns(keys: &[(i64, i64, i32)]) -> (Vec<i64>, Vec<i64>, Vec<i32>) {
    let parts = keys.iter().map(|key| key.2).collect();
    (keys.iter().map(|key| key.0).collect(), keys.iter().map(|key| key.1).collect(), parts)
}
