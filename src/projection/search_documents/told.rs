//! Finding remediations by their words: which words a question asks for, what each weighs, and who tells them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use sqlx::PgConnection;

use super::searchable;

/// How many documents of one word are looked at. A word that more of them tell says little, and counts only where no other
/// word says more.
const DOCUMENTS_OF_WORD_MAX: i64 = 8_000;

/// The same as a share of all documents: in a large store 8,000 of them are few.
const SHARE_MAX: f64 = 0.1;

/// How many documents of a word are counted that the database's statistics do not have among the common ones.
const COUNTED_MAX: i64 = 1_000;

/// Most words of a question that are looked for.
const WORDS_MAX: i64 = 24;

/// How long it is remembered which words are common. The database itself counts them anew only now and then.
const REMEMBERED_FOR: Duration = Duration::from_secs(60);

/// A word that a question asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct Word {
    pub lexeme: String,
    /// How many documents tell it, about.
    pub documents: f64,
    /// What it counts: the more, the fewer documents tell it.
    pub weight: f64,
}

/// The words of a question that are looked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Words {
    /// The rarest first.
    pub words: Vec<Word>,
    /// Whether these are all: else some were left out, because nearly everybody tells them.
    pub complete: bool,
}

impl Words {
    pub fn none() -> Words {
        Words { words: Vec::new(), complete: true }
    }

    /// As many of the rarest as tell no more than so many documents together, one at least. Who tells none of these is no candidate
    /// for the first places: a common word adds little to what the rare ones say.
    pub fn rarest(&self, documents_max: f64) -> &[Word] {
        let mut documents = 0.0;
        let few = self.words.iter().take_while(|word| {
            documents += word.documents;
            documents <= documents_max
        });
        &self.words[..few.count().max(1).min(self.words.len())]
    }
}

/// Knows which words are common, and remembers it for a while. A clone shares what is remembered.
#[derive(Clone, Debug, Default)]
pub struct Vocabulary(Arc<Mutex<Option<Remembered>>>);

#[derive(Debug)]
struct Remembered {
    since: Instant,
    common: Arc<Common>,
}

/// What the database's statistics say of the documents.
#[derive(Debug)]
struct Common {
    /// How many documents there are, about.
    documents: f64,
    /// The share of the documents that tell each of the most common words; one that is not here is rare.
    shares: HashMap<String, f64>,
}

impl Vocabulary {
    /// The words of a question, each with its weight: as in BM25, but by the documents that tell it rather than by the
    /// remediations, since that is what the database's statistics know; it found as much, see `docs/search-quality.md`.
    pub async fn asked(&self, db: &mut PgConnection, question: &str) -> Result<Words, sqlx::Error> {
        let common = self.common(&mut *db).await?;
        let known: Vec<&str> = common.shares.keys().map(String::as_str).collect();
        let counted_max = if known.is_empty() { DOCUMENTS_OF_WORD_MAX } else { COUNTED_MAX };
        // What is not known to be common is counted: a word that few documents tell, or any, before there are statistics.
        let rows = sqlx::query!(
            r#"SELECT lexeme AS "lexeme!", CASE WHEN lexeme <> ALL($3) THEN (
                SELECT count(*) FROM (
                    SELECT FROM search_documents i WHERE i.words @@ search_word(lexeme) LIMIT $4
                ) telling
            ) END AS documents
            FROM (SELECT lexeme, positions FROM unnest(to_tsvector('english', $1)) ORDER BY positions[1], lexeme LIMIT $2) a
            ORDER BY lexeme"#,
            searchable(question),
            WORDS_MAX,
            &known as &[&str],
            counted_max
        )
        .fetch_all(db)
        .await?;
        let words = rows.into_iter().map(|row| {
            let documents = common.tell(&row.lexeme, row.documents, counted_max);
            Word { lexeme: row.lexeme, documents, weight: weight(documents, common.documents) }
        });
        Ok(looked_for(words.collect(), common.documents))
    }

    async fn common(&self, db: &mut PgConnection) -> Result<Arc<Common>, sqlx::Error> {
        if let Some(Remembered { since, common }) = &*self.0.lock().unwrap_or_else(PoisonError::into_inner)
            && since.elapsed() < REMEMBERED_FOR
        {
            return Ok(common.clone());
        }
        let common = Arc::new(common(db).await?);
        // Without statistics it is worth asking again soon: a small store may grow.
        if !common.shares.is_empty() {
            let remembered = Remembered { since: Instant::now(), common: common.clone() };
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(remembered);
        }
        Ok(common)
    }
}

impl Common {
    /// How many documents tell a word, of which so many were counted and no more would have been. One that is not common is
    /// told by fewer than the least common one.
    fn tell(&self, lexeme: &str, counted: Option<i64>, counted_max: i64) -> f64 {
        let least = || self.shares.values().copied().reduce(f64::min).map_or(0.0, |share| share * self.documents);
        match (self.shares.get(lexeme), counted) {
            (Some(share), _) => share * self.documents,
            (None, Some(counted)) if counted < counted_max => counted as f64,
            (None, _) => least().max(counted_max as f64),
        }
    }
}

async fn common(db: &mut PgConnection) -> Result<Common, sqlx::Error> {
    // The lists end with bounds of the shares, which have no word beside them.
    let rows = sqlx::query!(
        r#"SELECT e.lexeme AS "lexeme!", e.share::float8 AS "share!"
        FROM pg_stats s, unnest(s.most_common_elems::text::text[], s.most_common_elem_freqs) AS e(lexeme, share)
        WHERE s.schemaname = 'public' AND s.tablename = 'search_documents' AND s.attname = 'words' AND e.lexeme IS NOT NULL"#
    )
    .fetch_all(&mut *db)
    .await?;
    let documents = sqlx::query_scalar!(
        r#"SELECT CASE WHEN c.reltuples > 0 THEN c.reltuples::float8 ELSE (SELECT count(*) FROM search_documents) END
            AS "documents!"
        FROM pg_class c WHERE c.oid = 'public.search_documents'::regclass"#
    )
    .fetch_one(db)
    .await?;
    Ok(Common { documents, shares: rows.into_iter().map(|row| (row.lexeme, row.share)).collect() })
}

/// What a word counts by how many of all documents tell it (Robertson and Zaragoza, 2009).
fn weight(documents: f64, all: f64) -> f64 {
    (1.0 + (all.max(documents) - documents + 0.5) / (documents + 0.5)).ln()
}

/// The rarest first, and without those that nearly everybody tells, where others say more.
fn looked_for(mut words: Vec<Word>, all: f64) -> Words {
    words.sort_by(|a, b| a.documents.total_cmp(&b.documents).then_with(|| a.lexeme.cmp(&b.lexeme)));
    let most = (all * SHARE_MAX).max(DOCUMENTS_OF_WORD_MAX as f64);
    let fewer = words.iter().take_while(|word| word.documents < most).count();
    let complete = fewer == words.len();
    if fewer > 0 {
        words.truncate(fewer);
    }
    Words { words, complete }
}

/// Remediations that tell some of the words asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Telling {
    /// Where they begin, with how well they tell them, the best first.
    pub remediations: Vec<(i64, f64)>,
    /// Whether these are all.
    pub complete: bool,
}

/// The remediations that tell these words, the best first, by BM25: the more of a remediation's documents tell a word, the
/// more it counts, less and less. Of `among` only, where that is given; at most `limit`.
pub async fn telling(
    db: &mut PgConnection,
    words: &[Word],
    kinds: Option<&[String]>,
    among: Option<&[i64]>,
    limit: i64,
) -> Result<Telling, sqlx::Error> {
    let (lexemes, weights) = columns(words);
    let rows = sqlx::query!(
        r#"WITH found AS (
            SELECT a.lexeme, a.weight, d.first_position
            FROM unnest($1::text[], $2::float8[]) AS a(lexeme, weight)
            CROSS JOIN LATERAL (
                SELECT i.first_position FROM search_documents i
                WHERE i.words @@ search_word(a.lexeme)
                    AND ($3::text[] IS NULL OR i.kind = ANY($3)) AND ($4::bigint[] IS NULL OR i.first_position = ANY($4))
                LIMIT $5
            ) d
        ),
        told AS (
            SELECT weight, first_position, count(*)::float8 AS documents FROM found GROUP BY lexeme, weight, first_position
        )
        SELECT first_position AS "first_position!", sum(weight * documents * 2.2 / (documents + 1.2)) AS "score!",
            (SELECT count(*) FROM found) AS "documents!"
        FROM told
        GROUP BY first_position
        ORDER BY 2 DESC, first_position DESC
        LIMIT $6"#,
        &lexemes as &[&str],
        &weights,
        kinds,
        among,
        DOCUMENTS_OF_WORD_MAX,
        limit
    )
    .fetch_all(db)
    .await?;
    // A word of which not all documents were looked at has as many of them as may be.
    let complete = (rows.len() as i64) < limit && rows.iter().all(|row| row.documents < DOCUMENTS_OF_WORD_MAX);
    Ok(Telling { remediations: rows.into_iter().map(|row| (row.first_position, row.score)).collect(), complete })
}

/// How well each of these remediations tells the words, as `telling` counts; those that tell none are left out.
pub async fn told(
    db: &mut PgConnection,
    words: &[Word],
    kinds: Option<&[String]>,
    firsts: &[i64],
) -> Result<HashMap<i64, f64>, sqlx::Error> {
    if words.is_empty() || firsts.is_empty() {
        return Ok(HashMap::new());
    }
    let (lexemes, weights) = columns(words);
    // Most documents tell none of the words, which is seen at once; only the others are held against each of them. Both happens
    // beyond `OFFSET 0`: else the planner asks the index of words for each remediation anew, a hundred times as long.
    let rows = sqlx::query!(
        r#"WITH asked AS MATERIALIZED (
            SELECT lexeme, weight, search_word(lexeme) AS query FROM unnest($1::text[], $2::float8[]) AS a(lexeme, weight)
        )
        SELECT first_position AS "first_position!", sum(weight * documents * 2.2 / (documents + 1.2)) AS "score!"
        FROM (
            SELECT d.first_position, a.weight, count(*)::float8 AS documents
            FROM unnest($4::bigint[]) AS w(first_position)
            CROSS JOIN LATERAL (
                SELECT i.first_position, i.words FROM search_documents i
                WHERE i.first_position = w.first_position AND ($3::text[] IS NULL OR i.kind = ANY($3)) OFFSET 0
            ) d
            JOIN asked a ON d.words @@ a.query
            WHERE d.words @@ (SELECT string_agg(query::text, ' | ')::tsquery FROM asked)
            GROUP BY d.first_position, a.lexeme, a.weight
        ) told
        GROUP BY first_position
        ORDER BY first_position"#,
        &lexemes as &[&str],
        &weights,
        kinds,
        firsts
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(|row| (row.first_position, row.score)).collect())
}

fn columns(words: &[Word]) -> (Vec<&str>, Vec<f64>) {
    words.iter().map(|word| (word.lexeme.as_str(), word.weight)).unzip()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(documents: &[f64], all: f64) -> Words {
        let word = |(place, documents): (usize, &f64)| Word {
            lexeme: format!("w{place}"),
            documents: *documents,
            weight: weight(*documents, all),
        };
        looked_for(documents.iter().enumerate().map(word).collect(), all)
    }

    fn told_by(words: &[Word]) -> Vec<f64> {
        words.iter().map(|word| word.documents).collect()
    }

    #[test]
    fn the_fewer_tell_a_word_the_more_it_counts_and_never_less_than_nothing() {
        let all = 100_000.0;
        let weights: Vec<f64> = [0.0, 1.0, 500.0, 99_999.0, all, 2.0 * all].map(|n| weight(n, all)).to_vec();
        assert!(weights.is_sorted_by(|a, b| a > b), "{weights:?}");
        assert!(weights.iter().all(|weight| *weight > 0.0));
    }

    #[test]
    fn a_word_that_is_not_among_the_common_is_taken_for_as_common_as_they_when_it_is_not_counted_to_the_end() {
        let shares = [("pod".to_string(), 0.2), ("hang".to_string(), 0.01)].into_iter().collect();
        let common = Common { documents: 1e6, shares };
        assert_eq!(common.tell("pod", None, 1_000), 200_000.0);
        assert_eq!(common.tell("boot", Some(999), 1_000), 999.0);
        assert_eq!(common.tell("boot", Some(1_000), 1_000), 10_000.0);
        let nothing_known = Common { documents: 50.0, shares: HashMap::new() };
        assert_eq!(nothing_known.tell("boot", Some(3), 8_000), 3.0);
        assert_eq!(nothing_known.tell("boot", Some(8_000), 8_000), 8_000.0);
    }

    #[test]
    fn what_nearly_everybody_tells_is_left_out_where_others_say_more() {
        let some = words(&[20_000.0, 30.0, 7_000.0], 100_000.0);
        assert_eq!((told_by(&some.words), some.complete), (vec![30.0, 7_000.0], false));
        let nothing_else = words(&[40_000.0, 20_000.0], 100_000.0);
        assert_eq!((told_by(&nothing_else.words), nothing_else.complete), (vec![20_000.0, 40_000.0], false));
        let small_store = words(&[90.0, 3.0], 100.0);
        assert_eq!((told_by(&small_store.words), small_store.complete), (vec![3.0, 90.0], true));
        let large_store = words(&[20_000.0, 3.0], 1e6);
        assert_eq!((told_by(&large_store.words), large_store.complete), (vec![3.0, 20_000.0], true));
    }

    #[test]
    fn the_rarest_are_as_many_as_tell_few_documents_together_and_one_at_least() {
        let rarest = |documents: &[f64]| told_by(words(documents, 1e6).rarest(4_000.0));
        assert_eq!(rarest(&[3_000.0, 900.0, 5.0, 200.0]), [5.0, 200.0, 900.0]);
        assert_eq!(rarest(&[7_000.0, 6_000.0]), [6_000.0]);
        assert_eq!(rarest(&[]), Vec::<f64>::new());
    }
}
