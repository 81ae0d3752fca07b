//! What a dead letter means, and what to do about it, in sentences for people.

use super::{dead_letters::Letter, letter::LetterId};
use crate::projection::Projection;

/// The sentences for one dead letter. Those that have the same cause have the same sentences.
pub fn explanation(letter: &Letter) -> String {
    match &letter.id {
        LetterId::Parked(projection, _) => parked(*projection, &letter.error),
        LetterId::Refused { .. } if letter.entry.is_none() => {
            "No event tells this text any more, so nothing lacks it. A retry forgets it.".to_string()
        }
        LetterId::Refused { model, .. } => {
            let by_itself = match letter.next_attempt_at {
                Some(_) => "It is tried again by itself, later and later; a retry tries it at once.",
                None => "It is not tried again by itself: retry it once the model takes it.",
            };
            format!(
                "Search by meaning does not find this text; search by words does. Model `{model}` refuses it for the reason \
                 told, which is mostly its length or its content. {by_itself}"
            )
        }
    }
}

fn parked(projection: Projection, error: &str) -> String {
    let lacking = match projection {
        Projection::Remediations => {
            "Lists of remediations, statistics and the services' views do not show what this event tells; a \
             remediation that is asked for by its name is read from the journal."
        }
        Projection::EventIndex => "Lists of events do not show this event; asked for by its id it is there.",
        Projection::SearchDocuments => "Search does not find what this event tells.",
    };
    // `panic_text` of the projections writes this word.
    let cause = if error.starts_with("panicked") {
        "The error is a mistake in Binnacle: please report it."
    } else {
        "The database has refused the rows, for the reason told."
    };
    format!(
        "{lacking} The event itself is safe in the journal. {cause} Once the cause is mended, by an upgrade or in the \
         database, retry it; `binnacle rebuild {}` tries all of them.",
        projection.name()
    )
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::audit::Position;

    fn letter(id: LetterId, error: &str) -> Letter {
        let error = error.to_string();
        Letter { id, error, tries: 1, tried_at: None, parked_at: None, next_attempt_at: None, field: None, entry: None }
    }

    #[test]
    fn what_is_lacking_and_what_to_do_is_told_of_each_projection() {
        let of = |projection, error| explanation(&letter(LetterId::Parked(projection, Position(14)), error));
        insta::assert_snapshot!(of(Projection::EventIndex, "violates check constraint"), @"Lists of events do not show this event; asked for by its id it is there. The event itself is safe in the journal. The database has refused the rows, for the reason told. Once the cause is mended, by an upgrade or in the database, retry it; `binnacle rebuild event_index` tries all of them.");
        insta::assert_snapshot!(of(Projection::Remediations, "panicked: index out of bounds"), @"Lists of remediations, statistics and the services' views do not show what this event tells; a remediation that is asked for by its name is read from the journal. The event itself is safe in the journal. The error is a mistake in Binnacle: please report it. Once the cause is mended, by an upgrade or in the database, retry it; `binnacle rebuild remediations` tries all of them.");
        assert!(of(Projection::SearchDocuments, "").starts_with("Search does not find what this event tells. "));
    }

    #[test]
    fn a_text_that_nothing_tells_lacks_nowhere() {
        let id = LetterId::Refused { model: "m".to_string(), content: Uuid::nil() };
        assert!(explanation(&letter(id, "too long")).starts_with("No event tells this text any more"));
    }
}
