//! An endpoint of vectors that is in trouble. Nothing that is recorded may notice.

use std::time::{Duration, Instant};

use super::{Arena, Fault, PLAIN, last, until};
use crate::{endpoint::Answers, random::Random, world::Setup};

pub const FAULTS: &[Fault] = &[Fault {
    name: "embedder-trouble",
    how: "the endpoint of vectors is away, answers 429 or 500, or gives vectors of a wrong dimension, for 1 to 5 s",
    setup: Setup { embedding: true, ..Setup::ONE_SERVER },
    strike: |arena, random| Box::pin(trouble(arena, random)),
    mend: |arena| Box::pin(embedded(arena)),
    ..PLAIN
}];

/// How long the texts that waited may take.
const EMBEDDED_WAIT: Duration = Duration::from_secs(180);

async fn trouble(arena: &mut Arena, mut random: Random) -> anyhow::Result<Instant> {
    let answers = *random.pick(&[Answers::Away, Answers::TooMany, Answers::WrongDimension, Answers::Broken]);
    let set = |answers| {
        if let Some(endpoint) = &arena.world.endpoint {
            endpoint.set(answers);
        }
    };
    set(answers);
    last(&mut random, 1_000, 5_000).await;
    let healing = Instant::now();
    set(Answers::Vectors);
    Ok(healing)
}

/// Waits until each text has its vector; those that were refused for good are tried again first, as an operator does.
async fn embedded(arena: &mut Arena) -> anyhow::Result<()> {
    let (code, told) = arena.world.command(&["embed", "--retry-failed"]).await?;
    anyhow::ensure!(code == Some(0), "`embed --retry-failed` ended with {code:?}: {told}");
    let mut admin = arena.world.postgres.admin().await?;
    let whole = until("each text has its vector", EMBEDDED_WAIT, async || {
        Ok(sqlx::query_scalar(
            "SELECT NOT EXISTS (SELECT FROM search_documents d WHERE kind = 'AI_ANALYSIS' AND NOT EXISTS
                (SELECT FROM search_embeddings e WHERE e.content = d.content AND e.state = 'embedded'))",
        )
        .fetch_one(&mut admin)
        .await?)
    });
    if let Err(error) = whole.await {
        arena.ledger.breach(error.to_string());
    }
    Ok(())
}
