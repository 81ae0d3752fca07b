//! What commands do to the store itself is recorded in its journal, with the person who ran them.

use anyhow::Context as _;
use nix::unistd::{User, gethostname, getuid};
use sqlx::PgPool;

use super::store::Store;
use crate::{
    administration::{self, Act, Who},
    audit::limits::NAME_MAX,
    journal::{self, Journal},
    postgres::{PoolSettings, Pools},
    telemetry::Metrics,
};

/// The journal for a command, and connections to do its act with. Opened before the act: a journal that cannot be reached stops it.
/// One that is reached and takes no appends does not; then the act is done, and its command says that it is not recorded.
pub struct Acts {
    pools: Pools,
    journal: Journal,
    who: Who,
}

impl Acts {
    pub async fn open(store: &Store) -> anyhow::Result<Acts> {
        let few = PoolSettings { append_connections_max: 2, read_connections_max: 2, ..PoolSettings::default() };
        let pools = Pools::open(&store.service, &few);
        let (append, read) = (pools.append.clone(), pools.read.clone());
        let journal = Journal::open(append, read, journal::Settings::default(), Metrics::new())
            .await
            .context("cannot open the journal")?;
        Ok(Acts { pools, journal, who: Who { caller: None, person: Some(person()) } })
    }

    /// Connections with the time limits of workers.
    pub fn work(&self) -> &PgPool {
        &self.pools.work
    }

    pub async fn record(&self, act: &Act) -> anyhow::Result<()> {
        administration::record(&self.journal, act, &self.who).await?;
        Ok(())
    }

    pub async fn close(self) {
        self.journal.close().await;
        self.pools.close().await;
    }
}

/// Who runs this process, and where: `alice@bastion-1`.
fn person() -> String {
    let user = User::from_uid(getuid()).ok().flatten().map_or_else(|| getuid().to_string(), |user| user.name);
    let host = gethostname().ok().and_then(|host| host.into_string().ok());
    as_name(&user, host.as_deref().unwrap_or("unknown"))
}

/// A name as events have them: short, and without what people would not see.
fn as_name(user: &str, host: &str) -> String {
    format!("{user}@{host}").chars().filter(|c| !c.is_control() && !c.is_whitespace()).take(NAME_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_is_a_user_at_a_host() {
        let person = person();
        let (user, host) = person.split_once('@').unwrap();
        assert!(!user.is_empty() && !host.is_empty(), "{person}");
    }

    #[test]
    fn what_a_system_calls_its_users_fits_a_name() {
        assert_eq!(as_name("dr\u{7}. alice", "host\n"), "dr.alice@host");
        assert_eq!(as_name("a", &"h".repeat(1_000)).chars().count(), NAME_MAX);
    }
}
