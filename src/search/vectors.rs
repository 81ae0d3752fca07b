//! Comparing vectors: the nearest of all by a model's index, and exactly, for the remediations that are asked about.

use pgvector::HalfVector;
use sqlx::{AssertSqlSafe, PgConnection, PgPool};
use uuid::Uuid;

use super::embedder::Model;
use crate::audit::Position;

/// Why a vector is not taken.
pub const UNFIT: &str = "the embedder gave no vector that fits its model";

/// Whether a vector is one that the model may have made: of its dimension, of finite numbers, and not zero.
pub fn fits(model: &Model, vector: &[f32]) -> bool {
    vector.len() == model.dimension
        && vector.iter().all(|number| number.is_finite())
        && vector.iter().any(|number| *number != 0.0)
}

/// Most texts that `nearest` is asked for.
pub const LIMIT_MAX: usize = 5_000;

/// Most vectors that pgvector looks at in one go; then it goes on by itself, nearly in order.
const LOOKED_AT_MAX: i64 = 1_000;

/// The texts whose vectors are nearest to a question's, and who tells them.
#[derive(Clone, Debug, PartialEq)]
pub struct Nearest {
    /// How many texts were found.
    pub texts: usize,
    /// The cosine of the last of them.
    pub least: f64,
    /// Of each text the latest documents that tell it.
    pub told: Vec<Teller>,
}

/// A document that tells one of the nearest texts, and whose it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Teller {
    pub content: Uuid,
    /// How near the text is, −1 to 1.
    pub cosine: f64,
    pub first_position: i64,
    pub source: i64,
    pub part: i32,
}

/// Lets the index look at so many vectors at once for what is asked over this connection from now on. To begin with fewer and to
/// go on from there takes half as long again: see `docs/performance-notes.md`.
pub async fn look_at(db: &mut PgConnection, limit: i64) -> Result<(), sqlx::Error> {
    let looked_at = limit.clamp(1, LOOKED_AT_MAX).to_string();
    sqlx::query!("SELECT set_config('hnsw.ef_search', $1, false) AS now", looked_at).fetch_one(db).await.map(drop)
}

/// The texts whose vectors are nearest to a question's, at most `limit`, each with at most `each` documents that tell it, the latest
/// first; of these kinds where they are given. Approximate where the model's vectors have an index: what is near may be missed,
/// what is told is right.
/// The index is best told by `look_at` how many that will be.
pub async fn nearest(
    db: &mut PgConnection,
    model: &Model,
    question: &[f32],
    kinds: Option<&[String]>,
    (limit, each): (i64, i64),
) -> Result<Nearest, sqlx::Error> {
    type Row = (Uuid, f64, Option<i64>, Option<i64>, Option<i32>);
    let rows: Vec<Row> = sqlx::query_as(AssertSqlSafe(nearest_statement(model)))
        .bind(HalfVector::from_f32_slice(question))
        .bind(limit)
        .bind(kinds)
        .bind(each)
        .fetch_all(db)
        .await?;
    let texts = rows.chunk_by(|a, b| a.0 == b.0).count();
    let least = rows.iter().map(|row| row.1).fold(1.0, f64::min);
    let teller = |(content, cosine, first_position, source, part): Row| {
        Some(Teller { content, cosine, first_position: first_position?, source: source?, part: part? })
    };
    Ok(Nearest { texts, least, told: rows.into_iter().filter_map(teller).collect() })
}

/// The planner takes a model's index only where cast and predicate are literals, so each model has a text of its own. It is
/// made of a number and of a name that `quoted` makes a literal.
fn nearest_statement(model: &Model) -> String {
    let (name, dimension) = (quoted(&model.name), model.dimension);
    let distance = format!("embedding::halfvec({dimension}) <=> $1::halfvec({dimension})");
    format!(
        "SELECT n.content, n.cosine, d.first_position, d.source, d.part
        FROM (
            SELECT content, 1 - ({distance}) AS cosine FROM search_embeddings WHERE model = {name} AND state = 'embedded'
            ORDER BY {distance} LIMIT $2
        ) n
        LEFT JOIN LATERAL (
            SELECT i.first_position, i.source, i.part FROM search_documents i
            WHERE i.content = n.content AND ($3::text[] IS NULL OR i.kind = ANY($3))
            ORDER BY i.content, i.first_position DESC LIMIT $4
        ) d ON true"
    )
}

/// A text as a literal of SQL. Names of models are checked where they are made; this holds whatever they are.
fn quoted(text: &str) -> String {
    format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

/// How like a question a remediation is.
#[derive(Clone, Debug, PartialEq)]
pub struct Likeness {
    pub first_position: i64,
    /// The mean cosine of its nearest documents, −1 to 1.
    pub mean: f64,
    /// The document that is nearest of all.
    pub source: i64,
    pub part: i32,
}

/// How many of a remediation's documents count, the nearest ones: what speaks of the same thing says so in its symptom, its
/// cause and its remedy. Chosen by measurement: see `docs/search-quality.md`.
pub const NEAREST_COUNTED: usize = 4;

impl Likeness {
    /// Of the documents that count, each with its cosine; none where there are none.
    pub fn of(first_position: i64, documents: &mut [(f64, i64, i32)]) -> Option<Likeness> {
        documents.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)).then(a.2.cmp(&b.2)));
        let nearest = &documents[..documents.len().min(NEAREST_COUNTED)];
        let (_, source, part) = *nearest.first()?;
        let mean = nearest.iter().map(|(cosine, _, _)| cosine).sum::<f64>() / nearest.len() as f64;
        Some(Likeness { first_position, mean, source, part })
    }
}

/// How like a question these remediations are, compared exactly; those without any vector are left out. With `kinds` only
/// documents of these kinds count.
pub async fn likeness(
    db: &mut PgConnection,
    model: &Model,
    question: &[f32],
    firsts: &[i64],
    kinds: Option<&[String]>,
) -> Result<Vec<Likeness>, sqlx::Error> {
    // Each look-up stands in `LATERAL`, with `OFFSET 0` where a plain join could take its place: of that the planner may read a
    // table whole.
    let nearest = sqlx::query!(
        r#"SELECT w.first_position AS "first_position!", d.source AS "source!", d.part AS "part!", d.cosine AS "cosine!"
        FROM unnest($3::bigint[]) AS w(first_position)
        CROSS JOIN LATERAL (
            SELECT i.source, i.part, 1 - (e.embedding <=> $2) AS cosine
            FROM search_documents i
            CROSS JOIN LATERAL (
                SELECT embedding FROM search_embeddings
                WHERE model = $1 AND content = i.content AND state = 'embedded' OFFSET 0
            ) e
            WHERE i.first_position = w.first_position AND ($4::text[] IS NULL OR i.kind = ANY($4))
            ORDER BY cosine DESC, i.source, i.part LIMIT $5
        ) d
        ORDER BY w.first_position"#,
        model.name,
        HalfVector::from_f32_slice(question) as HalfVector,
        firsts,
        kinds,
        NEAREST_COUNTED as i64
    )
    .fetch_all(db)
    .await?;
    let likeness = nearest.chunk_by(|a, b| a.first_position == b.first_position).filter_map(|nearest| {
        let mut documents: Vec<_> = nearest.iter().map(|row| (row.cosine, row.source, row.part)).collect();
        Likeness::of(nearest[0].first_position, &mut documents)
    });
    Ok(likeness.collect())
}

/// The middle of what a remediation's events say of each facet, up to a position: a vector for each facet that has any.
pub async fn middles(
    db: &PgPool,
    model: &Model,
    first_position: i64,
    facets: &[&str],
    up_to: Position,
) -> Result<Vec<(String, Vec<f32>)>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"SELECT d.facet, avg(e.embedding) AS "middle!: HalfVector"
        FROM search_documents d
        JOIN search_embeddings e ON e.model = $1 AND e.content = d.content AND e.state = 'embedded'
        WHERE d.first_position = $2 AND d.source <> 0 AND d.position <= $3 AND d.facet = ANY($4)
        GROUP BY d.facet
        ORDER BY d.facet"#,
        model.name,
        first_position,
        up_to.0,
        facets as &[&str]
    )
    .fetch_all(db)
    .await?;
    let wide = |middle: HalfVector| middle.as_slice().iter().map(|number| number.to_f32()).collect();
    Ok(rows.into_iter().map(|row| (row.facet, wide(row.middle))).collect())
}

/// A remediation like another, by what the events of both say.
#[derive(Clone, Debug, PartialEq)]
pub struct Alike {
    pub first_position: i64,
    /// The mean over the facets asked for of the cosine of the middles; a facet that it says nothing of counts 0.
    pub similarity: f64,
    /// The document that is nearest of all.
    pub source: i64,
    pub part: i32,
}

/// Which of `among` are like the middles of another's facets, compared exactly; the most alike first, those below `least` left
/// out, at most `limit`. Only what had been recorded up to a position counts.
pub async fn alike(
    db: &PgPool,
    model: &Model,
    middles: &[(String, Vec<f32>)],
    among: &[i64],
    up_to: Position,
    (least, limit): (f64, i64),
) -> Result<Vec<Alike>, sqlx::Error> {
    let facets: Vec<&str> = middles.iter().map(|(facet, _)| facet.as_str()).collect();
    let vectors: Vec<HalfVector> = middles.iter().map(|(_, vector)| HalfVector::from_f32_slice(vector)).collect();
    // Rounded, so that the order does not hang on the last digit; then ties go by place.
    sqlx::query_as!(
        Alike,
        r#"WITH middles AS (SELECT facet, middle FROM unnest($2::text[], $3::halfvec[]) AS m(facet, middle)),
        nearest AS (
            SELECT d.first_position, 1 - (avg(e.embedding) <=> m.middle) AS cosine,
                max(ARRAY[1 - (e.embedding <=> m.middle), -d.source, -d.part]) AS best
            FROM search_documents d
            JOIN middles m ON m.facet = d.facet
            JOIN search_embeddings e ON e.model = $1 AND e.content = d.content AND e.state = 'embedded'
            WHERE d.first_position = ANY($4) AND d.source <> 0 AND d.position <= $5
            GROUP BY d.first_position, d.facet, m.middle
        ),
        together AS (
            SELECT first_position, round((sum(cosine) / (SELECT count(*) FROM middles))::numeric, 4)::float8 AS similarity,
                max(best) AS best
            FROM nearest GROUP BY first_position
        )
        SELECT first_position AS "first_position!", similarity AS "similarity!", (-best[2])::bigint AS "source!",
            (-best[3])::int AS "part!"
        FROM together
        WHERE similarity >= $6
        ORDER BY similarity DESC, first_position DESC
        LIMIT $7"#,
        model.name,
        &facets as &[&str],
        &vectors as &[HalfVector],
        among,
        up_to.0,
        least,
        limit
    )
    .fetch_all(db)
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_end_its_literal() {
        assert_eq!(quoted("a'; DROP TABLE x; --\\"), "E'a''; DROP TABLE x; --\\\\'");
    }
}
