//! `binnacle dead-letters`: what projections and models could not take, and trying it again.

use std::{collections::BTreeSet, time::Instant};

use anyhow::Context as _;
use serde_json::{Value, json};
use sqlx::PgPool;

use super::{
    Exit,
    acts::Acts,
    args::{DeadLettersCommand, ListDeadLettersArgs, RetryDeadLettersArgs},
    demo::progress,
    look::{self, Look},
    signals,
    store::Store,
};
use crate::{
    administration::{
        Act, LetterId,
        dead_letters::{self, Letter, Retried, Sums, What},
    },
    config::Settings,
    worker::Shutdown,
};

/// Dead letters that are read at once.
const PAGE: i64 = 500;

/// Most of those refused again that are listed for people.
const REFUSED_SHOWN: usize = 50;

/// The largest number that `list` tells of those that it does not show.
const COUNT_MAX: i64 = 1_000_000;

pub async fn run(settings: &Settings, command: &DeadLettersCommand) -> anyhow::Result<Exit> {
    let store = Store::open(settings).await?;
    let told = match command {
        DeadLettersCommand::List(arguments) => list(&store, settings, arguments).await,
        DeadLettersCommand::Retry(arguments) => retry(&store, settings, arguments).await,
    };
    store.close().await;
    let (text, exit) = told?;
    look::print(&text)?;
    Ok(exit)
}

async fn list(store: &Store, settings: &Settings, arguments: &ListDeadLettersArgs) -> anyhow::Result<(String, Exit)> {
    let db = store.reader();
    let letters = dead_letters::page(&db, None, i64::from(arguments.first)).await?;
    let count = dead_letters::count(&db, COUNT_MAX).await?;
    db.close().await;
    let text = if arguments.json {
        let shown = Value::from_iter(letters.iter().map(as_json));
        format!("{:#}\n", json!({"count": count, "letters": shown}))
    } else {
        as_text(&letters, count, Look::of_output(settings.color))
    };
    Ok((text, if count == 0 { Exit::Done } else { Exit::Findings }))
}

fn as_json(letter: &Letter) -> Value {
    let (projection, model) = match &letter.id {
        LetterId::Parked(projection, _) => (Some(projection.name()), None),
        LetterId::Refused { model, .. } => (None, Some(model)),
    };
    let event = letter.entry.as_ref().map(|entry| &entry.event);
    json!({
        "id": letter.id.to_string(), "projection": projection, "model": model, "field": letter.field,
        "position": letter.entry.as_ref().map(|entry| entry.position.to_string()),
        "eventId": event.map(|event| event.event_id.to_string()), "kind": event.map(|event| event.kind.word()),
        "remediationId": event.map(|event| &event.stream.remediation_id),
        "clusterId": event.map(|event| &event.stream.cluster_id),
        "error": letter.error, "explanation": letter.explanation(), "tries": letter.tries, "triedAt": letter.tried_at,
        "parkedAt": letter.parked_at, "nextAttemptAt": letter.next_attempt_at,
    })
}

fn as_text(letters: &[Letter], count: i64, look: Look) -> String {
    if letters.is_empty() {
        return "There are no dead letters: every projection has every event, and every model every text.\n"
            .to_string();
    }
    let mut table = look.table(&["ID", "WHAT", "TRIES", "LAST TRY", "WHY IT WAS REFUSED"]);
    for letter in letters {
        table.add_row([
            look::line(&letter.id.to_string()),
            what(letter),
            letter.tries.to_string(),
            letter.tried_at.map(look::time).unwrap_or_default(),
            look::line(&letter.error),
        ]);
    }
    let more = count - letters.len() as i64;
    let more = if more > 0 { format!("… and {more} more; `--first` shows more of them\n") } else { String::new() };
    // Many have one cause, which is told once.
    let explained: BTreeSet<String> = letters.iter().map(Letter::explanation).collect();
    let explained: Vec<String> = explained.into_iter().map(|text| format!("\n{}\n", look::line(&text))).collect();
    let (table, explained) = (table.trim_fmt(), explained.concat());
    format!("{table}\n{more}{explained}\nbinnacle dead-letters retry --all tries all of them again.\n")
}

/// The event, or the text and an event that tells it.
fn what(letter: &Letter) -> String {
    let Some(entry) = &letter.entry else { return "a text that no event tells any more".to_string() };
    let event = &entry.event;
    let of = format!("{} of {}", event.event_type, event.stream.remediation_id);
    look::line(&match &letter.field {
        Some(field) => format!("{field} in {of}"),
        None => of,
    })
}

async fn retry(store: &Store, settings: &Settings, arguments: &RetryDeadLettersArgs) -> anyhow::Result<(String, Exit)> {
    let acts = Acts::open(store).await?;
    let retried = retry_and_record(&acts, arguments).await;
    let left = dead_letters::count(acts.work(), COUNT_MAX).await;
    acts.close().await;
    let (retried, left) = (retried?, left?);
    let sums = Sums::of(&retried);
    let exit = if left == 0 && sums.gone == 0 { Exit::Done } else { Exit::Findings };
    if arguments.json {
        let Sums { mended, refused, waiting, gone } = sums;
        let letters = Value::from_iter(retried.iter().map(retried_json));
        let all = json!({"mended": mended, "refused": refused, "waiting": waiting, "gone": gone, "left": left,
            "letters": letters});
        return Ok((format!("{all:#}\n"), exit));
    }
    Ok((retried_text(&retried, sums, left, Look::of_output(settings.color)), exit))
}

/// Tries them, and records what came of those that were tried, also when the rest could not be.
async fn retry_and_record(acts: &Acts, arguments: &RetryDeadLettersArgs) -> anyhow::Result<Vec<Retried>> {
    let begun = Instant::now();
    let shutdown = signals::listen()?;
    let mut retried = Vec::new();
    let done = match arguments.all {
        true => retry_all(acts.work(), &shutdown, &mut retried).await,
        false => retry_each(acts.work(), &shutdown, arguments.ids.clone(), &mut retried).await,
    };
    if Sums::of(&retried).any() {
        acts.record(&Act::DeadLettersRetried { letters: retried.clone(), took: begun.elapsed() }).await?;
    }
    done.context("could not try all dead letters again")?;
    Ok(retried)
}

/// From the first to the last that there is: one that is refused again is not met twice.
async fn retry_all(db: &PgPool, shutdown: &Shutdown, retried: &mut Vec<Retried>) -> anyhow::Result<()> {
    let bar = progress("retrying", dead_letters::count(db, COUNT_MAX).await?.unsigned_abs());
    let mut after = None;
    loop {
        let page = dead_letters::page(db, after.as_ref(), PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.id.clone());
        for letter in page {
            unless_stopped(shutdown)?;
            retried.push(dead_letters::retry(db, letter.id).await?);
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    Ok(())
}

async fn retry_each(
    db: &PgPool,
    shutdown: &Shutdown,
    mut ids: Vec<LetterId>,
    retried: &mut Vec<Retried>,
) -> anyhow::Result<()> {
    ids.sort_unstable();
    ids.dedup();
    for id in ids {
        unless_stopped(shutdown)?;
        retried.push(dead_letters::retry(db, id).await?);
    }
    Ok(())
}

/// What was tried by then is recorded all the same.
fn unless_stopped(shutdown: &Shutdown) -> anyhow::Result<()> {
    anyhow::ensure!(!shutdown.given(), "stopped, as asked; those that were tried are recorded");
    Ok(())
}

fn retried_json(retried: &Retried) -> Value {
    let (outcome, error) = match &retried.what {
        What::Mended => ("mended", None),
        What::Refused(error) => ("refused", Some(error)),
        What::Waiting => ("waiting", None),
        What::Gone => ("gone", None),
    };
    json!({"id": retried.id.to_string(), "outcome": outcome, "error": error})
}

fn retried_text(retried: &[Retried], sums: Sums, left: i64, look: Look) -> String {
    let Sums { mended, refused, waiting, gone } = sums;
    if retried.is_empty() {
        return "There are no dead letters to try again.\n".to_string();
    }
    let mut text = format!("{mended} mended, {refused} refused again\n");
    if waiting > 0 {
        text.push_str(&format!("{waiting} texts will be tried again by the server\n"));
    }
    if gone > 0 {
        let names: Vec<String> = retried
            .iter()
            .filter(|letter| letter.what == What::Gone)
            .take(REFUSED_SHOWN)
            .map(|letter| look::line(&letter.id.to_string()))
            .collect();
        text.push_str(&format!("{gone} are no dead letters (any more): {}\n", names.join(", ")));
    }
    let mut table = look.table(&["ID", "WHY IT WAS REFUSED AGAIN"]);
    let again = retried.iter().filter_map(|letter| match &letter.what {
        What::Refused(error) => Some((&letter.id, error)),
        What::Mended | What::Waiting | What::Gone => None,
    });
    for (id, error) in again.take(REFUSED_SHOWN) {
        table.add_row([look::line(&id.to_string()), look::line(error)]);
    }
    if refused > 0 {
        text.push_str(&format!("\n{}\n", table.trim_fmt()));
    }
    if refused > REFUSED_SHOWN {
        text.push_str(&format!("… and {} more\n", refused - REFUSED_SHOWN));
    }
    if left > 0 {
        text.push_str(&format!("{left} are left; `binnacle dead-letters list` explains them\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{audit::Position, projection::Projection};

    #[test]
    fn what_came_of_a_retry_is_summed_up_and_what_was_refused_again_says_why() {
        let letter =
            |position, what| Retried { id: LetterId::Parked(Projection::EventIndex, Position(position)), what };
        let refused = What::Refused("violates check constraint \"x\"".to_string());
        let retried = [letter(1, What::Mended), letter(2, refused), letter(3, What::Gone), letter(4, What::Waiting)];
        let text = retried_text(&retried, Sums::of(&retried), 1, Look { color: false, width: Some(80) });
        insta::assert_snapshot!(text, @r#"
        1 mended, 1 refused again
        1 texts will be tried again by the server
        1 are no dead letters (any more): event_index@3

         ID             WHY IT WAS REFUSED AGAIN
         event_index@2  violates check constraint "x"
        1 are left; `binnacle dead-letters list` explains them
        "#);
    }

    #[test]
    fn a_store_without_any_says_so() {
        let look = Look { color: false, width: None };
        assert!(as_text(&[], 0, look).starts_with("There are no dead letters: "));
        assert_eq!(retried_text(&[], Sums::default(), 0, look), "There are no dead letters to try again.\n");
    }
}
