//! What `/readyz` looks at: whether this server can do its work, and what an operator should see to.

use sqlx::PgPool;

use crate::{
    app::App,
    clock,
    error::ClientError,
    http,
    journal::{self, partitions},
    postgres, projection,
    search::{
        embedder::{self, Embedders},
        index,
    },
};

/// More texts that wait for their vector than this are worth a warning: some minutes of work for the local model.
const BACKLOG_WARNING: i64 = 20_000;

/// A projection that is further behind than this is worth a warning.
const LAG_WARNING: i64 = 10_000;

/// Whether this server can do its work, and what an operator should look at.
pub async fn checks(app: &App, work: &PgPool) -> Vec<http::Check> {
    // The writer knows already, so that nobody has to wait for a database that does not answer.
    if let Some(away) = app.journal.away() {
        return vec![check("journal", http::State::Failed, Some(away.trouble.to_string()))];
    }
    let head = match journal::read::head(app.journal.reader()).await {
        Ok(head) => head,
        Err(error) => return vec![failed("database", error)],
    };
    let mut checks = vec![check("database", http::State::Ok, None), check("journal", http::State::Ok, None)];
    checks.push(match postgres::pending(work).await {
        Ok(pending) if pending.is_empty() => check("migrations", http::State::Ok, None),
        Ok(pending) => check("migrations", http::State::Failed, Some(format!("{} are not done", pending.len()))),
        Err(error) => failed("migrations", error),
    });
    checks.push(match partitions::months_ahead(work, clock::now()).await {
        Ok(0) => check("partitions", http::State::Failed, Some("next month has no partition yet".to_string())),
        Ok(ahead) => check("partitions", http::State::Ok, Some(format!("{ahead} months ahead"))),
        Err(error) => failed("partitions", error),
    });
    match projection::states(work).await {
        Err(error) => checks.push(failed("projections", error)),
        Ok(states) => checks.extend(states.into_iter().map(|state| {
            let lag = (head.last.0 - state.position.0).max(0);
            let fine = lag <= LAG_WARNING && state.dead_letters == 0 && !state.outdated;
            let due = if state.outdated { "; made by other rules, `binnacle rebuild` is due" } else { "" };
            let detail = format!("{lag} events behind, {} dead letters{due}", state.dead_letters);
            let word = if fine { http::State::Ok } else { http::State::Warning };
            check(state.projection.name(), word, Some(detail))
        })),
    }
    checks.push(match index::states(work).await {
        Err(error) => failed("embedding", error),
        Ok(models) => embedding(&models, &app.search.embedders),
    });
    checks
}

/// Whether search by meaning is all there. Nothing that is recorded depends on it, so it is never worse than a warning.
fn embedding(models: &[index::State], embedders: &Embedders) -> http::Check {
    let failed: i64 = models.iter().map(|it| it.failed).sum();
    let pending: i64 = models.iter().map(|it| it.pending).sum();
    let fine = embedders.ready_or_off() && failed == 0 && pending <= BACKLOG_WARNING;
    // Anybody may read it, so it names neither folder nor host.
    let state = match embedders.state() {
        embedder::State::Off => "off",
        embedder::State::Loading => "the model is being loaded",
        embedder::State::Missing { .. } => "there is no model, so search is by words only",
        embedder::State::Ready { .. } => "ready",
    };
    let detail = format!("{state}; {pending} texts wait for their vector, {failed} are refused");
    check("embedding", if fine { http::State::Ok } else { http::State::Warning }, Some(detail))
}

fn check(name: &str, state: http::State, detail: Option<String>) -> http::Check {
    http::Check { name: name.to_string(), state, detail }
}

/// A check that could not be made; the cause is logged, and what anybody may read names no address.
fn failed(name: &str, error: sqlx::Error) -> http::Check {
    check(name, http::State::Failed, Some(ClientError::from(error).message))
}
