//! What happened to a target before, found in the table `remediations`: by the target itself, by the fingerprints of its
//! signals, and by their names. So its history does not vanish when its spec moves on.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use sqlx::PgPool;

use super::{
    pinned::{PinError, window},
    remediations::Filter,
};
use crate::{
    audit::Position,
    remediation::{
        history::{Match, TargetHistory, signal},
        model::{Summary, Target},
    },
};

/// Most remediations of the target that are looked at, the latest; and most of those that share a fingerprint with them.
pub const OWN_MAX: i64 = 500;

/// Of which target, since when, and as of when.
#[derive(Clone, Debug)]
pub struct Question {
    /// A namespace that is left out is any.
    pub target: Target,
    /// A cluster that is left out is any.
    pub cluster_id: Option<String>,
    pub current_spec_hash: Option<String>,
    /// Started from then on, before `to`.
    pub from: DateTime<Utc>,
    pub to: DateTime<Utc>,
    /// Most entries.
    pub first: usize,
    /// Remediations whose texts mean the same, the nearest first.
    pub similar: Vec<Summary>,
    /// As of this position; the projection has to have come there.
    pub at: Option<Position>,
}

/// What happened to the target before.
pub async fn find(db: &PgPool, question: Question) -> Result<TargetHistory, PinError> {
    let anywhere = anywhere(&question);
    let of_target = of_target(&question);
    let span = (question.from, question.to);
    let own = window(db, &of_target, span, OWN_MAX, question.at).await?;

    let mut others: Vec<(Match, Summary)> = Vec::new();
    if let Some(fingerprints) = told(&own, "fingerprint") {
        let filter = Filter { fingerprint: Some(fingerprints), ..anywhere.clone() };
        let found = window(db, &filter, span, OWN_MAX, question.at).await?;
        others.extend(found.into_iter().map(|summary| (Match::Fingerprint, summary)));
    }
    // Where the target's own fill the answer, what happened elsewhere has no room in it.
    if own.len() <= question.first
        && let Some(names) = told(&own, "name")
    {
        let filter = Filter { signal_name: Some(names), ..anywhere };
        // The target's own may be among them; beyond those, one more than is shown tells whether there are more.
        let most = question.first.saturating_add(own.len() + others.len() + 1);
        let found = window(db, &filter, span, i64::try_from(most).unwrap_or(i64::MAX), question.at).await?;
        others.extend(found.into_iter().map(|summary| (Match::Signal, summary)));
    }
    others.extend(question.similar.into_iter().map(|summary| (Match::Meaning, summary)));
    Ok(TargetHistory::of(own, others, question.current_spec_hash.as_deref(), question.first))
}

/// What happened to the target itself, and nothing of what happened elsewhere.
pub async fn own(db: &PgPool, question: &Question) -> Result<TargetHistory, PinError> {
    let span = (question.from, question.to);
    let own = window(db, &of_target(question), span, OWN_MAX, question.at).await?;
    Ok(TargetHistory::of(own, [], question.current_spec_hash.as_deref(), question.first))
}

/// The latest remediation of the target.
pub async fn latest(db: &PgPool, question: &Question) -> Result<Option<Summary>, PinError> {
    let found = window(db, &of_target(question), (question.from, question.to), 1, question.at).await?;
    Ok(found.into_iter().next())
}

fn anywhere(question: &Question) -> Filter {
    Filter { cluster_id: question.cluster_id.clone().map(|cluster_id| vec![cluster_id]), ..Filter::default() }
}

fn of_target(question: &Question) -> Filter {
    let target = question.target.clone();
    Filter {
        target_kind: Some(vec![target.kind]),
        target_namespace: target.namespace.map(|namespace| vec![namespace]),
        target_name: Some(vec![target.name]),
        ..anywhere(question)
    }
}

/// What the signals of these remediations hold in a field; `None` where none does.
fn told(own: &[Summary], field: &str) -> Option<Vec<String>> {
    let told: BTreeSet<&str> = own.iter().filter_map(|summary| signal(summary, field)).collect();
    (!told.is_empty()).then(|| told.into_iter().map(str::to_string).collect())
}
