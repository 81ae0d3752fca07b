//! `binnacle config`: the settings in force, and where each comes from.

use comfy_table::{Cell, Color};
use serde_json::json;

use super::{
    args::ConfigArgs,
    embedding::Embedding,
    exit::Exit,
    look::{self, Look},
};
use crate::{
    config::{Loaded, Origin, Source},
    postgres::default_data_dir,
    search::choice::Choice,
};

pub fn print(loaded: &Loaded, arguments: &ConfigArgs) -> anyhow::Result<Exit> {
    let text = if arguments.json { as_json(loaded) } else { as_table(loaded, Look::of_output(loaded.settings.color)) };
    look::print(&text)?;
    // It is what is in force, but `serve` would refuse it.
    loaded.settings.check_exposure()?;
    Embedding::of(&loaded.settings)?;
    Ok(Exit::Done)
}

fn as_table(loaded: &Loaded, look: Look) -> String {
    let mut table = look.table(&["SETTING", "VALUE", "FROM"]);
    for origin in &loaded.origins {
        let value = Cell::new(look::line(&in_force(loaded, origin).unwrap_or_else(|| "-".to_string())));
        let (value, from) = match origin.source {
            Source::Default => (value, Cell::new(&origin.source).fg(Color::DarkGrey)),
            _ => (value.fg(Color::Cyan), Cell::new(look::line(&origin.source.to_string()))),
        };
        table.add_row([Cell::new(origin.key), value, from]);
    }
    let file = match &loaded.file {
        Some(path) => format!("settings file: {}", look::line(&path.display().to_string())),
        None => "settings file: none".to_string(),
    };
    format!("{}\n\n{file}\n", table.trim_fmt())
}

fn as_json(loaded: &Loaded) -> String {
    let settings: serde_json::Map<_, _> = loaded
        .origins
        .iter()
        .map(|origin| {
            let (from, at) = match &origin.source {
                Source::Flag(flag) => ("flag", Some(flag.clone())),
                Source::Environment(name) => ("environment", Some(name.clone())),
                Source::File(path) => ("file", Some(path.display().to_string())),
                Source::Default => ("default", None),
            };
            (origin.key.to_string(), json!({"value": in_force(loaded, origin), "from": from, "at": at}))
        })
        .collect();
    format!("{:#}\n", json!({"file": loaded.file, "settings": settings}))
}

/// The value of a setting, also of those whose default depends on others and on the machine.
fn in_force(loaded: &Loaded, origin: &Origin) -> Option<String> {
    let settings = &loaded.settings;
    origin.value.clone().or_else(|| match origin.key {
        "public-url" => Some(settings.public_address()),
        "data-dir" if settings.database_url.is_none() => Some(default_data_dir()?.display().to_string()),
        "embedding-fields" => Some(Choice::default().text()),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use std::{collections::HashMap, path::PathBuf};

    use super::*;
    use crate::config::{self, Flags};

    fn loaded() -> Loaded {
        let given = HashMap::from([
            ("database-url", "postgres://me:hunter2@db/x".to_string()),
            ("insecure-no-auth", "true".to_string()),
        ]);
        let mut loaded = config::layer(&Flags { file: None, given }, |_| Ok(None), None).unwrap();
        loaded.file = Some(PathBuf::from("/etc/binnacle.toml"));
        loaded.origins.retain(|origin| ["listen", "database-url", "data-dir"].contains(&origin.key));
        loaded
    }

    #[test]
    fn the_table_shows_each_value_and_where_it_comes_from_without_passwords() {
        let table = as_table(&loaded(), Look { color: false, width: Some(100) });
        insta::assert_snapshot!(table, @r"
         SETTING       VALUE                   FROM
         listen        127.0.0.1:8080          default
         database-url  postgres://me:***@db/x  flag --database-url
         data-dir      -                       default

        settings file: /etc/binnacle.toml
        ");
    }

    #[test]
    fn the_json_says_the_same() {
        insta::assert_snapshot!(as_json(&loaded()), @r#"
        {
          "file": "/etc/binnacle.toml",
          "settings": {
            "data-dir": {
              "at": null,
              "from": "default",
              "value": null
            },
            "database-url": {
              "at": "--database-url",
              "from": "flag",
              "value": "postgres://me:***@db/x"
            },
            "listen": {
              "at": null,
              "from": "default",
              "value": "127.0.0.1:8080"
            }
          }
        }
        "#);
    }
}
