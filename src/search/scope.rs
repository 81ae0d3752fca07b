//! Which remediations a question is about: all, the few that a filter leaves, or more than that.

use std::collections::HashSet;

use sqlx::PgPool;

use super::{SearchError, query::Question};
use crate::projection::remediations::{self, Filter};

/// Up to so many remediations are compared one by one, which is exact and quick. Beyond, the nearest of all are found first,
/// and those kept that match: an index cannot be asked for the nearest of some, and a planner that tries misses many.
const FEW_MAX: i64 = 500;

/// Most remediations that a question may leave where the nearest of all did not suffice.
const ALL_MAX: i64 = 1_000_000;

pub enum Scope {
    All,
    Few(Vec<i64>),
    Many,
}

impl Scope {
    pub async fn of(db: &PgPool, question: &Question) -> Result<Scope, SearchError> {
        match question.exact {
            true => Ok(Scope::Few(select(db, &question.filter, ALL_MAX).await?)),
            false => Scope::of_filter(db, &question.filter).await,
        }
    }

    pub async fn of_filter(db: &PgPool, filter: &Filter) -> Result<Scope, SearchError> {
        if *filter == Filter::default() {
            return Ok(Scope::All);
        }
        let found = select(db, filter, FEW_MAX + 1).await?;
        Ok(if found.len() as i64 <= FEW_MAX { Scope::Few(found) } else { Scope::Many })
    }

    /// The remediations, where they are so few that all of them are compared.
    pub fn few(&self) -> Option<&[i64]> {
        match self {
            Scope::Few(among) => Some(among),
            Scope::All | Scope::Many => None,
        }
    }

    /// Keeps those that match, in their order.
    pub async fn keep_matching(&self, db: &PgPool, filter: &Filter, firsts: &mut Vec<i64>) -> Result<(), SearchError> {
        let matching: HashSet<i64> = match self {
            Scope::All => return Ok(()),
            Scope::Few(among) => among.iter().copied().collect(),
            Scope::Many => remediations::matching_of(db, filter, firsts).await?.into_iter().collect(),
        };
        firsts.retain(|first| matching.contains(first));
        Ok(())
    }

    /// All that match, one by one.
    pub async fn all(&self, db: &PgPool, filter: &Filter) -> Result<Vec<i64>, SearchError> {
        match self {
            Scope::Few(among) => Ok(among.clone()),
            Scope::All | Scope::Many => select(db, filter, ALL_MAX).await,
        }
    }
}

async fn select(db: &PgPool, filter: &Filter, limit: i64) -> Result<Vec<i64>, SearchError> {
    Ok(remediations::newest(db, filter, limit).await?)
}
