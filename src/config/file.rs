//! The file `binnacle.toml`: where it is searched for, and its keys.

use std::{
    collections::HashMap,
    env, fs, io,
    path::{Path, PathBuf},
};

use toml::Value;

use super::settings::TABLE;

const NAME: &str = "binnacle.toml";

#[derive(Debug, thiserror::Error)]
pub enum FileError {
    #[error("cannot read the settings file `{}`", .path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("the settings file `{}` is not toml", .path.display())]
    Toml { path: PathBuf, source: Box<toml::de::Error> },
    #[error("the settings file `{}` has the unknown key `{key}`{}", .path.display(), hint(.nearest))]
    UnknownKey { path: PathBuf, key: String, nearest: Option<&'static str> },
    #[error("`{key}` in the settings file `{}` has to be a text, a number, true or false", .path.display())]
    Shape { path: PathBuf, key: &'static str },
}

/// A settings file that was read: its values as texts, by key.
#[derive(Debug)]
pub struct File {
    pub path: PathBuf,
    pub values: HashMap<&'static str, String>,
}

/// Reads the file `named`, else `./binnacle.toml`, else the one in the platform's folder for settings.
pub fn find_and_read(named: Option<PathBuf>) -> Result<Option<File>, FileError> {
    if let Some(path) = named {
        return read(&path).map(Some); // who names a file wants it read: one that is missing is an error
    }
    let known = [Some(PathBuf::from(NAME)), platform_folder().map(|folder| folder.join("binnacle").join(NAME))];
    match known.into_iter().flatten().find(|path| path.is_file()) {
        Some(path) => read(&path).map(Some),
        None => Ok(None),
    }
}

fn read(path: &Path) -> Result<File, FileError> {
    let text = fs::read_to_string(path).map_err(|source| FileError::Read { path: path.to_path_buf(), source })?;
    parse(path.to_path_buf(), &text)
}

/// Reads the text of the file at `path`.
pub fn parse(path: PathBuf, text: &str) -> Result<File, FileError> {
    let table: toml::Table = match text.parse() {
        Ok(table) => table,
        Err(mut error) => {
            // Its message would show the line, which may hold a password.
            toml::de::Error::set_input(&mut error, None);
            return Err(FileError::Toml { path, source: Box::new(error) });
        }
    };
    let mut values = HashMap::new();
    for (key, value) in table {
        let Some(setting) = TABLE.iter().find(|setting| setting.key == key) else {
            return Err(FileError::UnknownKey { path, nearest: nearest(&key), key });
        };
        let text = match value {
            Value::String(text) => text,
            Value::Integer(number) => number.to_string(),
            Value::Boolean(truth) => truth.to_string(),
            Value::Float(_) | Value::Datetime(_) | Value::Array(_) | Value::Table(_) => {
                return Err(FileError::Shape { path, key: setting.key });
            }
        };
        values.insert(setting.key, text);
    }
    Ok(File { path, values })
}

fn platform_folder() -> Option<PathBuf> {
    let set = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    if cfg!(target_os = "macos") {
        return set("HOME").map(|home| home.join("Library/Application Support"));
    }
    set("XDG_CONFIG_HOME").or_else(|| set("HOME").map(|home| home.join(".config")))
}

/// The key that was probably meant: the same but for dashes and case, or one that begins or ends alike.
fn nearest(key: &str) -> Option<&'static str> {
    let plain = |text: &str| text.to_lowercase().replace(['-', '_', '.', ' '], "");
    let given = plain(key);
    let alike = |known: &str| {
        let known = plain(known);
        known == given || (given.len() >= 3 && (known.contains(&given) || given.contains(&known)))
    };
    let same = TABLE.iter().find(|setting| plain(setting.key) == given);
    same.or_else(|| TABLE.iter().find(|setting| alike(setting.key))).map(|setting| setting.key)
}

fn hint(nearest: &Option<&'static str>) -> String {
    match nearest {
        Some(key) => format!("; did you mean `{key}`?"),
        None => "; `binnacle --help` lists the keys".to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        parse("/etc/binnacle.toml".into(), text).unwrap_err().to_string()
    }

    #[test]
    fn an_unknown_key_is_an_error_that_names_key_and_file() {
        assert_eq!(
            refused("pigeon = 1"),
            "the settings file `/etc/binnacle.toml` has the unknown key `pigeon`; `binnacle --help` lists the keys"
        );
        assert!(refused("database_url = \"x\"").ends_with("did you mean `database-url`?"));
        assert!(refused("[listen]\nport = 1").starts_with("`listen` in the settings file"));
    }

    #[test]
    fn texts_numbers_and_truths_are_values() {
        let file = parse("f".into(), "listen = \"[::1]:1\"\nqueue-max = 1_000\ngraphiql = false").unwrap();
        assert_eq!(file.values["listen"], "[::1]:1");
        assert_eq!(file.values["queue-max"], "1000");
        assert_eq!(file.values["graphiql"], "false");
    }

    #[test]
    fn a_file_that_is_not_toml_is_refused_without_showing_its_text() {
        let error = parse("f".into(), "database-url = \"postgres://me:hunter2@db").unwrap_err();
        let FileError::Toml { source, .. } = &error else { panic!("{error}") };
        assert!(!source.to_string().contains("hunter2"), "{source}");
    }
}
