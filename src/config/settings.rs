//! The table of settings. Flag, variable, key of the file and help are all made from one line, so they cannot differ.

use std::{collections::HashMap, net::SocketAddr, path::PathBuf, time::Duration};

use super::{
    ConfigError, Origin, Source,
    secret::{Key, Secret},
    value::{ColorMode, EmbedderKind, LogFormat, Name, Origins, Url, Value, Wait},
};

/// One setting, as people name it.
#[derive(Debug)]
pub struct Setting {
    /// Its key in the file, and its flag without the dashes.
    pub key: &'static str,
    pub help: &'static str,
    /// What a value looks like, in help texts.
    pub shape: &'static str,
    pub default: Option<&'static str>,
    /// Whether the flag alone, without a value, means `true`.
    pub switch: bool,
}

impl Setting {
    pub fn flag(&self) -> String {
        format!("--{}", self.key)
    }

    pub fn variable(&self) -> String {
        // No setting may be named `port`, `host` or `service-…`: Kubernetes sets such variables for a service `binnacle`.
        format!("BINNACLE_{}", self.key.replace('-', "_").to_uppercase())
    }
}

macro_rules! settings {
    ($($(#[doc = $help:literal])+ $key:literal $field:ident: $kind:ty $(= $default:literal)?;)+) => {
        /// The settings in force.
        #[derive(Clone, Debug)]
        pub struct Settings {
            $($(#[doc = $help])+ pub $field: $kind,)+
        }

        /// Every setting.
        pub static TABLE: &[Setting] = &[$(Setting {
            key: $key,
            help: concat!($($help),+),
            shape: <$kind as Value>::SHAPE,
            default: settings!(@default $($default)?),
            switch: <$kind as Value>::SWITCH,
        }),+];

        impl Settings {
            /// Reads what was given, and the defaults for the rest.
            pub(super) fn read(
                given: &HashMap<&'static str, (String, Source)>,
            ) -> Result<(Settings, Vec<Origin>), ConfigError> {
                let mut origins = Vec::with_capacity(TABLE.len());
                let settings = Settings {
                    $($field: read_one::<$kind>($key, settings!(@default $($default)?), given, &mut origins)?,)+
                };
                Ok((settings, origins))
            }
        }
    };
    (@default) => { None };
    (@default $default:literal) => { Some($default) };
}

settings! {
    /// Address and port to listen on; those of a relay are 127.0.0.1:8085 if nothing is said.
    "listen" listen: SocketAddr = "127.0.0.1:8080";
    /// The address under which people reach this server, for links in answers [default: http://<listen>].
    "public-url" public_url: Option<Url>;
    /// The Postgres to use, as its service role; without it an embedded Postgres runs in the data folder.
    "database-url" database_url: Option<Secret>;
    /// The same Postgres as the role that owns the tables and migrates them [default: the service role's].
    "owner-url" owner_url: Option<Secret>;
    /// Folder of the embedded Postgres [default: the platform's data folder].
    "data-dir" data_dir: Option<PathBuf>;
    /// Folder of Postgres's programs for the embedded Postgres [default: what is found].
    "pg-bin-dir" pg_bin_dir: Option<PathBuf>;
    /// The cluster of audits that name none.
    "cluster-id" cluster_id: Name = "default";
    /// File of the callers: each line has a name, the SHA-256 of a token, kinds it may record, `read`, `admin`.
    "tokens-file" tokens_file: Option<PathBuf>;
    /// Let everybody who reaches the address read and record, also beyond this machine.
    "insecure-no-auth" insecure_no_auth: bool = "false";
    /// Most audits that wait to be appended; when it is full, callers are asked to come again; where nothing waits, one batch is taken whatever its size.
    "queue-max" queue_max: u32 = "10000";
    /// Most connections to Postgres for appending, at least 3.
    "append-connections-max" append_connections_max: u32 = "4";
    /// Most connections to Postgres for reading.
    "read-connections-max" read_connections_max: u32 = "16";
    /// Longest time that one statement of a reader may take.
    "read-statement-timeout" read_statement_timeout: Duration = "10s";
    /// Longest time that one request may take.
    "request-timeout" request_timeout: Duration = "30s";
    /// How long a server that is told to stop still serves, so that all who send requests here hear of it; Ctrl-C skips it.
    "withdrawal-wait" withdrawal_wait: Wait = "5s";
    /// Longest time that running requests are given to end when the server stops.
    "shutdown-grace" shutdown_grace: Duration = "20s";
    /// Deepest nesting of a GraphQL query, at most 32.
    "query-depth-max" query_depth_max: u32 = "20";
    /// Largest cost of a GraphQL query.
    "query-complexity-max" query_complexity_max: u32 = "50000";
    /// Most that follow the journal with a subscription at the same time; and most connections that are kept open for it.
    "subscriptions-max" subscriptions_max: u32 = "1000";
    /// How many of the newest events a server keeps for its subscribers, at least 1000: so far a live one may fall behind.
    "subscription-lag-max" subscription_lag_max: u32 = "4096";
    /// Origins, with commas between them, whose web pages may ask here, besides this server's own.
    "allowed-origins" allowed_origins: Origins;
    /// File of the only GraphQL documents that may run: a JSON object of ids, such as SHA-256, with texts.
    "allow-list" allow_list: Option<PathBuf>;
    /// Answer GraphQL queries for the schema.
    "introspection" introspection: bool = "true";
    /// Name in a GraphQL error what was probably meant; without introspection it is off too.
    "suggestions" suggestions: bool = "true";
    /// GraphQL operations that take longer than this are logged.
    "slow-operation" slow_operation: Duration = "1s";
    /// Serve the GraphiQL page.
    "graphiql" graphiql: bool = "true";
    /// What makes vectors of texts, for search by meaning: a model in this process, an endpoint elsewhere, or nothing.
    "embedder" embedder: EmbedderKind = "local";
    /// Folder of the model in this process [default: what `make setup` fetched].
    "model-dir" model_dir: Option<PathBuf>;
    /// How many threads the model in this process uses.
    "embedding-threads" embedding_threads: u32 = "1";
    /// The endpoint of `--embedder openai`, up to what `/embeddings` follows on: https, or http to this machine.
    "embedding-url" embedding_url: Option<Url>;
    /// The key of that endpoint; better given as a variable than as a flag.
    "embedding-key" embedding_key: Option<Key>;
    /// The model of that endpoint, as the endpoint calls it.
    "embedding-model" embedding_model: Option<Name>;
    /// How many numbers that model's vectors have.
    "embedding-dimension" embedding_dimension: Option<u32>;
    /// Whose texts get vectors: kinds and fields of kinds, such as `AI_ANALYSIS,OTHER.signal` [default: see `binnacle config`].
    "embedding-fields" embedding_fields: Option<String>;
    /// Whose texts may leave this machine for the endpoint, written likewise; `--embedder openai` needs it.
    "embedding-send" embedding_send: Option<String>;
    /// Servers that a relay brings audits to, with commas between them, such as http://binnacle:8080.
    "upstream" upstream: Option<String>;
    /// File of the token that a relay shows to these servers; it is read anew for each request.
    "upstream-token-file" upstream_token_file: Option<PathBuf>;
    /// Folder in which a relay keeps audits: its own, on a disk that outlives the process.
    "spool" spool: Option<PathBuf>;
    /// Most MiB that a relay keeps; when they are full, audits are refused.
    "spool-mib-max" spool_mib_max: u32 = "1024";
    /// Longest time that a relay brings what waits to the server before it stops; the rest stays on disk.
    "drain-wait" drain_wait: Wait = "10s";
    /// Unix socket on which a relay listens, in place of an address.
    "socket" socket: Option<PathBuf>;
    /// How log lines look; `auto` is `human` on a terminal, else `json`.
    "log-format" log_format: LogFormat = "auto";
    /// Which log lines are written: a level, or levels by module, such as `info,binnacle::journal=debug`.
    "log-filter" log_filter: String = "info,sqlx::postgres::notice=warn";
    /// Colours in logs and tables; `auto` is on a terminal, unless NO_COLOR is set.
    "color" color: ColorMode = "auto";
}

fn read_one<T: Value>(
    key: &'static str,
    default: Option<&'static str>,
    given: &HashMap<&'static str, (String, Source)>,
    origins: &mut Vec<Origin>,
) -> Result<T, ConfigError> {
    let (text, source) = match given.get(key) {
        Some((text, source)) => (Some(text.as_str()), source.clone()),
        None => (default, Source::Default),
    };
    let refused = |why| {
        let text = text.unwrap_or_default();
        ConfigError::Value { key, value: T::masked(text), source_: source.clone(), why }
    };
    let value = T::parse(text).map_err(refused)?;
    origins.push(Origin { key, value: value.shown(), source });
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_can_be_read_and_every_key_is_spelled_like_a_flag() {
        let (_, origins) = Settings::read(&HashMap::new()).unwrap();
        assert_eq!(origins.len(), TABLE.len());
        for setting in TABLE {
            assert!(setting.key.chars().all(|c| c.is_ascii_lowercase() || c == '-'), "{}", setting.key);
            assert!(setting.help.ends_with('.'), "{}", setting.key);
        }
    }

    #[test]
    fn a_field_is_its_key_with_underscores() {
        let (settings, _) = Settings::read(&HashMap::new()).unwrap();
        let shown = format!("{settings:?}");
        for setting in TABLE {
            assert!(shown.contains(&format!("{}: ", setting.key.replace('-', "_"))), "{}", setting.key);
        }
    }
}
