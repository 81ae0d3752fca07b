//! Postgres, as Binnacle needs it: the embedded default, pools, the checks of a server, roles and migrations.

mod account;
mod backup;
mod cluster;
mod embedded;
mod find;
mod folder;
mod guard;
mod manifest;
mod pools;
mod prepare;
mod server;

pub use backup::{BackupError, backup, restore};
pub use embedded::{Elsewhere, Embedded, EmbeddedError, EmbeddedOptions};
pub use find::{FindError, MAJOR_MIN, Programs};
pub use folder::{DataDir, default_data_dir};
pub use manifest::ManifestError;
pub use pools::{ANSWER_WAIT, PoolSettings, Pools, in_time, with_kept_plans, with_search};
pub use prepare::{Guarding, MIGRATIONS, PrepareError, grant, pending, prepare};
pub use server::{ServerError, Unfit, check_server};
