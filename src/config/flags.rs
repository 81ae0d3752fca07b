//! The flags of the settings, made from their table, for the command line.

use std::{collections::HashMap, path::PathBuf};

use clap::{Arg, ArgMatches, Args, Command, FromArgMatches, ValueHint, value_parser};

use super::settings::TABLE;

const HEADING: &str = "Settings (flag, environment variable or key in binnacle.toml)";

/// The settings that were given as flags, as texts: `load` reads them together with the other sources.
#[derive(Clone, Default)]
pub struct Flags {
    /// The settings file.
    pub file: Option<PathBuf>,
    pub given: HashMap<&'static str, String>,
}

impl Args for Flags {
    fn augment_args(command: Command) -> Command {
        let file = Arg::new("config")
            .long("config")
            .value_name("FILE")
            .value_parser(value_parser!(PathBuf))
            .value_hint(ValueHint::FilePath)
            .help(
                "Settings file [env: BINNACLE_CONFIG] [default: ./binnacle.toml, else the platform's settings folder]",
            );
        let settings = TABLE.iter().map(|setting| {
            let arg = Arg::new(setting.key).long(setting.key).value_name(setting.shape).help(setting_help(setting));
            if setting.switch {
                // `--graphiql=false` needs the equals sign, or a switch would swallow the argument behind it.
                arg.num_args(0..=1).require_equals(true).default_missing_value("true")
            } else {
                arg
            }
        });
        std::iter::once(file)
            .chain(settings)
            .fold(command, |command, arg| command.arg(arg.global(true).help_heading(HEADING).hide_short_help(true)))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Flags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = TABLE
            .iter()
            .filter_map(|setting| Some((setting.key, matches.get_one::<String>(setting.key)?.clone())))
            .collect();
        Ok(Flags { file: matches.get_one::<PathBuf>("config").cloned(), given })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

fn setting_help(setting: &super::Setting) -> String {
    let default = setting.default.map(|default| format!(" [default: {default}]")).unwrap_or_default();
    format!("{} [env: {}]{default}", setting.help.trim().trim_end_matches('.'), setting.variable())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Flags {
        let command = Flags::augment_args(Command::new("binnacle")).subcommand(Command::new("serve"));
        Flags::from_arg_matches(&command.try_get_matches_from(arguments).unwrap()).unwrap()
    }

    #[test]
    fn a_flag_may_stand_before_or_behind_the_command() {
        for arguments in [["binnacle", "--listen", "[::1]:1", "serve"], ["binnacle", "serve", "--listen", "[::1]:1"]] {
            assert_eq!(parse(&arguments).given["listen"], "[::1]:1");
        }
    }

    #[test]
    fn a_switch_means_true_and_can_be_switched_off() {
        let flags = parse(&["binnacle", "--insecure-no-auth", "--graphiql=false", "serve"]);
        assert_eq!(flags.given["insecure-no-auth"], "true");
        assert_eq!(flags.given["graphiql"], "false");
    }
}
