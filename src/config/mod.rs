//! The settings: each read from flag, environment and file, in that order of precedence, and where each came from.

mod file;
mod flags;
mod secret;
mod settings;
mod value;

use std::{collections::HashMap, env, fmt, path::PathBuf};

pub use file::FileError;
pub use flags::Flags;
pub use secret::{Key, Secret};
pub use settings::{Setting, Settings, TABLE};
pub use value::{ColorMode, EmbedderKind, LogFormat, Name, Url};

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    Flag(String),
    Environment(String),
    File(PathBuf),
    Default,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Flag(flag) => write!(f, "flag {flag}"),
            Source::Environment(name) => write!(f, "environment {name}"),
            Source::File(path) => write!(f, "file {}", path.display()),
            Source::Default => f.write_str("default"),
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error("`{value}` is no value for `{key}` ({source_}): {why}")]
    Value { key: &'static str, value: String, source_: Source, why: String },
    #[error("`{name}` of the environment is not valid text")]
    NotText { name: String },
    #[error(
        "without `--tokens-file` anybody who reaches `{listen}` may read and record: name a file of callers with \
         `--tokens-file FILE`, or allow it with `--insecure-no-auth`; 127.0.0.1 needs neither"
    )]
    Exposed { listen: std::net::SocketAddr },
    #[error("`--tokens-file` asks for authentication and `--insecure-no-auth` for none: leave one of them out")]
    Contradiction,
    #[error("`--owner-url` without `--database-url`: the embedded postgres has its own owner; name both or neither")]
    OwnerAlone,
}

/// The settings in force and where each comes from.
#[derive(Clone, Debug)]
pub struct Loaded {
    pub settings: Settings,
    /// One for each setting, in the order of the table.
    pub origins: Vec<Origin>,
    /// The file that was read.
    pub file: Option<PathBuf>,
}

/// One setting as it is in force; what is secret is masked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    pub key: &'static str,
    pub value: Option<String>,
    pub source: Source,
}

/// Reads every setting: a flag wins over the environment, that over the file, that over the default.
pub fn load(flags: &Flags) -> Result<Loaded, ConfigError> {
    let variable = |name: &str| match env::var(name) {
        // An empty variable is what compose files pass on for one that nobody has set.
        Ok(text) if text.is_empty() => Ok(None),
        Ok(text) => Ok(Some(text)),
        Err(env::VarError::NotPresent) => Ok(None),
        Err(env::VarError::NotUnicode(_)) => Err(ConfigError::NotText { name: name.to_string() }),
    };
    let named = match &flags.file {
        Some(path) => Some(path.clone()),
        None => variable("BINNACLE_CONFIG")?.map(PathBuf::from),
    };
    let file = file::find_and_read(named)?;
    layer(flags, variable, file)
}

/// Puts the layers on one another; the environment and the file come as arguments.
pub(crate) fn layer(
    flags: &Flags,
    variable: impl Fn(&str) -> Result<Option<String>, ConfigError>,
    file: Option<file::File>,
) -> Result<Loaded, ConfigError> {
    let mut given: HashMap<&'static str, (String, Source)> = HashMap::new();
    for setting in TABLE {
        let layered = if let Some(text) = flags.given.get(setting.key) {
            Some((text.clone(), Source::Flag(setting.flag())))
        } else if let Some(text) = variable(&setting.variable())? {
            Some((text, Source::Environment(setting.variable())))
        } else {
            file.as_ref().and_then(|f| f.values.get(setting.key).map(|t| (t.clone(), Source::File(f.path.clone()))))
        };
        given.extend(layered.map(|layered| (setting.key, layered)));
    }
    let (settings, origins) = Settings::read(&given)?;
    if settings.tokens_file.is_some() && settings.insecure_no_auth {
        return Err(ConfigError::Contradiction);
    }
    if settings.owner_url.is_some() && settings.database_url.is_none() {
        return Err(ConfigError::OwnerAlone);
    }
    Ok(Loaded { settings, origins, file: file.map(|file| file.path) })
}

impl Settings {
    /// Whether it is safe to listen where the settings say: without callers to check, on loopback only.
    pub fn check_exposure(&self) -> Result<(), ConfigError> {
        if self.tokens_file.is_some() || self.insecure_no_auth || self.listen.ip().to_canonical().is_loopback() {
            return Ok(());
        }
        Err(ConfigError::Exposed { listen: self.listen })
    }

    /// The address that people and reports are given, without a slash at its end.
    pub fn public_address(&self) -> String {
        match &self.public_url {
            Some(url) => url.as_str().to_string(),
            None => format!("http://{}", self.listen),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(given: &[(&'static str, &str)]) -> Flags {
        Flags { file: None, given: given.iter().map(|(key, text)| (*key, text.to_string())).collect() }
    }

    fn variables(pairs: &[(&str, &str)]) -> impl Fn(&str) -> Result<Option<String>, ConfigError> {
        let pairs: HashMap<String, String> = pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        move |name| Ok(pairs.get(name).cloned())
    }

    fn read(text: &str) -> Option<file::File> {
        Some(file::parse("binnacle.toml".into(), text).unwrap())
    }

    fn source_of(loaded: &Loaded, key: &str) -> String {
        loaded.origins.iter().find(|origin| origin.key == key).unwrap().source.to_string()
    }

    #[test]
    fn a_flag_wins_over_the_environment_over_the_file_over_the_default() {
        let file = "queue-max = 1\ncluster-id = \"file\"\nread-statement-timeout = \"1s\"";
        let loaded = layer(
            &flags(&[("queue-max", "3")]),
            variables(&[("BINNACLE_QUEUE_MAX", "2"), ("BINNACLE_CLUSTER_ID", "environment")]),
            read(file),
        )
        .unwrap();

        assert_eq!(loaded.settings.queue_max, 3);
        assert_eq!(loaded.settings.cluster_id.as_str(), "environment");
        assert_eq!(loaded.settings.read_statement_timeout.as_secs(), 1);
        assert_eq!(loaded.settings.listen.to_string(), "127.0.0.1:8080");
        assert_eq!(source_of(&loaded, "queue-max"), "flag --queue-max");
        assert_eq!(source_of(&loaded, "cluster-id"), "environment BINNACLE_CLUSTER_ID");
        assert_eq!(source_of(&loaded, "read-statement-timeout"), "file binnacle.toml");
        assert_eq!(source_of(&loaded, "listen"), "default");
    }

    #[test]
    fn a_value_that_cannot_be_read_names_its_key_and_its_source() {
        let error = layer(&flags(&[]), variables(&[("BINNACLE_LISTEN", "here")]), None).unwrap_err();
        insta::assert_snapshot!(error, @"`here` is no value for `listen` (environment BINNACLE_LISTEN): write an address and a port, such as 127.0.0.1:8080 or [::1]:8080");
        let error = layer(&flags(&[]), variables(&[]), read("queue-max = -1")).unwrap_err();
        insta::assert_snapshot!(error, @"`-1` is no value for `queue-max` (file binnacle.toml): write a whole number from 1 to 4294967295");
    }

    #[test]
    fn a_password_in_a_refused_address_stays_hidden() {
        for address in ["mysql://me:hunter2@db/x", "host=db password=hunter2"] {
            let error = layer(&flags(&[("database-url", address)]), variables(&[]), None).unwrap_err();
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn a_key_that_is_refused_stays_hidden() {
        let error = layer(&flags(&[("embedding-key", "sk://two words")]), variables(&[]), None).unwrap_err();
        insta::assert_snapshot!(error, @"`***` is no value for `embedding-key` (flag --embedding-key): write a key of letters, digits and signs, without white space");
    }

    #[test]
    fn what_is_shown_of_an_address_has_no_password() {
        let given = flags(&[("database-url", "postgres://me:hunter2@db:5432/x?password=hunter2&sslmode=require")]);
        let loaded = layer(&given, variables(&[]), None).unwrap();
        let shown = loaded.origins.iter().find(|origin| origin.key == "database-url").unwrap();
        assert_eq!(shown.value.as_deref(), Some("postgres://me:***@db:5432/x?password=***&sslmode=require"));
        assert!(!format!("{loaded:?}").contains("hunter2"));
    }

    #[test]
    fn without_callers_only_loopback_is_listened_on_unless_told_otherwise() {
        let check = |given: &[(&'static str, &str)]| {
            layer(&flags(given), variables(&[]), None).unwrap().settings.check_exposure().map_err(|e| e.to_string())
        };
        assert_eq!(check(&[]), Ok(()));
        assert_eq!(check(&[("listen", "[::1]:80")]), Ok(()));
        assert_eq!(check(&[("listen", "0.0.0.0:80"), ("tokens-file", "t")]), Ok(()));
        assert_eq!(check(&[("listen", "0.0.0.0:80"), ("insecure-no-auth", "true")]), Ok(()));
        insta::assert_snapshot!(check(&[("listen", "0.0.0.0:80")]).unwrap_err(), @"without `--tokens-file` anybody who reaches `0.0.0.0:80` may read and record: name a file of callers with `--tokens-file FILE`, or allow it with `--insecure-no-auth`; 127.0.0.1 needs neither");
    }

    #[test]
    fn settings_that_contradict_each_other_are_refused() {
        let load = |given: &[(&'static str, &str)]| layer(&flags(given), variables(&[]), None);
        let both = load(&[("tokens-file", "t"), ("insecure-no-auth", "true")]);
        assert!(matches!(both, Err(ConfigError::Contradiction)));
        assert!(matches!(load(&[("owner-url", "postgres://o@db/x")]), Err(ConfigError::OwnerAlone)));
    }
}
