//! The projection `search_documents`: the texts worth finding, searched by their words. Their vectors are made elsewhere.

mod chunks;
mod texts;
mod words;

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::{Range, remediations::group};
use crate::{
    audit::{Entry, Position},
    journal::read,
    remediation,
};

pub use chunks::{CHARS_MAX, cut_to};
pub use texts::{Document, FIELDS, Facet, SUMMARY, WHOLE, documents};
pub use words::searchable;

/// Writes the documents of the streams that were appended to in the range: those of its events, and each remediation's own.
pub(super) async fn apply(db: &mut PgConnection, range: Range) -> anyhow::Result<()> {
    let streams = read::streams_between(&mut *db, range.from, range.since, range.to).await?;
    let entries = read::streams(&mut *db, &streams, &vec![range.as_of; streams.len()]).await?;
    let mut rows = Rows::default();
    for stream in group(entries).values() {
        let (Some(first), Some(remediation)) = (stream.first(), remediation::fold(stream, None)) else { continue };
        for document in documents(stream, &remediation) {
            // Those of earlier events are there already, and stay as they are.
            if document.source > range.from || document.kind == WHOLE {
                rows.push(first.position, recorded_at(stream, &document), document);
            }
        }
    }
    rows.write(db).await
}

fn recorded_at(stream: &[Entry], document: &Document) -> DateTime<Utc> {
    let place = stream.partition_point(|entry| entry.position < document.position);
    stream[place].recorded_at
}

/// The columns of the rows to write.
#[derive(Default)]
struct Rows {
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
    texts: Vec<String>,
}

impl Rows {
    fn push(&mut self, first: Position, recorded_at: DateTime<Utc>, document: Document) {
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
        self.texts.push(document.text);
    }

    async fn write(self, db: &mut PgConnection) -> anyhow::Result<()> {
        sqlx::query!(
            "INSERT INTO search_documents (first_position, source, part, position, event_id, recorded_at, kind, facet, field,
                content, words, text)
            SELECT first_position, source, part, position, event_id, recorded_at, kind, facet, field,
                content, to_tsvector('english', searchable), text
            FROM unnest($1::bigint[], $2::bigint[], $3::int[], $4::bigint[], $5::uuid[], $6::timestamptz[], $7::text[],
                $8::text[], $9::text[], $10::uuid[], $11::text[], $12::text[])
                AS w(first_position, source, part, position, event_id, recorded_at, kind, facet, field, content, searchable,
                    text)
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
            &self.texts
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

/// The documents with these texts, for each text at most `each`, the latest first; of these kinds where they are given.
pub async fn with_contents(
    db: &PgPool,
    contents: &[Uuid],
    kinds: Option<&[String]>,
    each: i64,
) -> Result<Vec<(Uuid, i64)>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"SELECT w.content AS "content!", d.first_position AS "first_position!"
        FROM unnest($1::uuid[]) AS w(content)
        CROSS JOIN LATERAL (
            SELECT i.first_position FROM search_documents i
            WHERE i.content = w.content AND ($2::text[] IS NULL OR i.kind = ANY($2))
            ORDER BY i.content, i.first_position DESC LIMIT $3
        ) d"#,
        contents,
        kinds,
        each
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(|row| (row.content, row.first_position)).collect())
}

/// The documents of these remediations, in order, and how well each tells the words of a question, 0 or more; of these kinds
/// where they are given.
pub async fn of_remediations(
    db: &PgPool,
    firsts: &[i64],
    kinds: Option<&[String]>,
    question: &str,
) -> Result<Vec<(Found, f32)>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"SELECT first_position, source, part, event_id, kind, facet, field, text, content,
            coalesce(ts_rank(words, search_any_word($3), 1), 0) AS "told!"
        FROM search_documents
        WHERE first_position = ANY($1) AND ($2::text[] IS NULL OR kind = ANY($2))
        ORDER BY first_position, source, part"#,
        firsts,
        kinds,
        searchable(question)
    )
    .fetch_all(db)
    .await?;
    let found = rows.into_iter().map(|row| {
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
        (found, row.told)
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

/// A remediation that tells some of the words asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Worded {
    pub first_position: i64,
    /// Larger is better; comparable within one question only.
    pub score: f64,
    /// Whether a word was left out because too many documents tell it: then these are not all that tell any.
    pub partly: bool,
}

/// How many documents of one word are looked at. A word that more of them tell says little, and counts only where no other
/// word says more.
const DOCUMENTS_OF_WORD_MAX: i64 = 8_000;

/// Most words of a question that are looked for.
const WORDS_MAX: i64 = 24;

/// The remediations that tell the words of a question, the best first, by BM25 (Robertson and Zaragoza, 2009): each word counts
/// by how few remediations tell it, and the more in a remediation the more of its documents tell it, less and less. Of `among`
/// only, where that is given.
pub async fn by_words(
    db: &PgPool,
    question: &str,
    kinds: Option<&[String]>,
    among: Option<&[i64]>,
    limit: i64,
) -> Result<Vec<Worded>, sqlx::Error> {
    sqlx::query_as!(
        Worded,
        r#"WITH asked AS (
            SELECT lexeme FROM unnest(to_tsvector('english', $1)) ORDER BY positions[1], lexeme LIMIT $2
        ),
        found AS (
            SELECT a.lexeme, d.first_position, count(*) OVER (PARTITION BY a.lexeme) >= $5 AS everywhere
            FROM asked a
            CROSS JOIN LATERAL (
                SELECT i.first_position FROM search_documents i
                WHERE i.words @@ search_word(a.lexeme)
                    AND ($3::text[] IS NULL OR i.kind = ANY($3)) AND ($4::bigint[] IS NULL OR i.first_position = ANY($4))
                LIMIT $5
            ) d
        ),
        told AS (
            SELECT lexeme, first_position, count(*)::float8 AS documents FROM found
            WHERE NOT everywhere OR (SELECT bool_and(everywhere) FROM found)
            GROUP BY lexeme, first_position
        ),
        weighed AS (
            SELECT first_position, documents, count(*) OVER (PARTITION BY lexeme) AS remediations FROM told
        )
        SELECT first_position AS "first_position!",
            sum(ln(1 + (t.total - remediations + 0.5) / (remediations + 0.5)) * documents * 2.2 / (documents + 1.2))::float8
                AS "score!",
            (SELECT bool_or(everywhere) FROM found) AS "partly!"
        FROM weighed CROSS JOIN (SELECT greatest(count(DISTINCT first_position), 1)::float8 AS total FROM told) t
        GROUP BY first_position
        ORDER BY 2 DESC, first_position DESC
        LIMIT $6"#,
        searchable(question),
        WORDS_MAX,
        kinds,
        among,
        DOCUMENTS_OF_WORD_MAX,
        limit
    )
    .fetch_all(db)
    .await
}

/// The passages of these documents that tell the words of a question, with the words between `[[` and `]]`.
pub async fn snippets(
    db: &PgPool,
    question: &str,
    documents: &[(i64, i64, i32)],
) -> Result<HashMap<(i64, i64, i32), String>, sqlx::Error> {
    let (firsts, sources, parts) = columns(documents);
    let rows = sqlx::query!(
        r#"SELECT d.first_position, d.source, d.part,
            ts_headline('english', d.text, search_any_word($4),
                'StartSel=[[, StopSel=]], MaxWords=40, MinWords=20') AS snippet
        FROM unnest($1::bigint[], $2::bigint[], $3::int[]) AS w(first_position, source, part)
        JOIN search_documents d USING (first_position, source, part)
        ORDER BY d.first_position, d.source, d.part"#,
        &firsts,
        &sources,
        &parts,
        searchable(question)
    )
    .fetch_all(db)
    .await?;
    // There is none where the question has no words to look for.
    let told = rows.into_iter().filter_map(|row| Some(((row.first_position, row.source, row.part), row.snippet?)));
    Ok(told.collect())
}

fn columns(keys: &[(i64, i64, i32)]) -> (Vec<i64>, Vec<i64>, Vec<i32>) {
    let parts = keys.iter().map(|key| key.2).collect();
    (keys.iter().map(|key| key.0).collect(), keys.iter().map(|key| key.1).collect(), parts)
}
