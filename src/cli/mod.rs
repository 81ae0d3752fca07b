//! The command line: what each command takes, prints and ends with.

mod acts;
pub mod args;
mod ask;
mod bench;
mod dead_letters;
mod demo;
mod embedding;
pub mod exit;
pub mod look;
mod maintain;
pub mod record;
mod relay;
mod search;
mod serve;
mod settings;
pub mod signals;
mod store;
pub mod timeline;

use std::{process::ExitCode, time::Duration};

use anyhow::Context as _;
use clap::Parser as _;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::{
    config::{self, Loaded},
    fail_points, telemetry, threads,
};
use args::{Cli, Command};

pub use exit::Exit;

/// How long threads that are still at work are waited for at the end.
const LEFTOVERS_WAIT: Duration = Duration::from_secs(1);

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(exit) => exit.into(),
        Err(error) => {
            exit::tell(&error);
            exit::of(&error).into()
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<Exit> {
    fail_points::arm();
    let loaded = config::load(&cli.flags)?;
    if let Command::Config(arguments) = &cli.command {
        return settings::print(&loaded, arguments); // it has to work where nothing else does
    }
    telemetry::init(&loaded.settings)?;
    open_files();
    let runtime = threads::runtime().context("cannot start threads")?;
    let ended = runtime.block_on(dispatch(cli.command, loaded));
    // Nothing that is recorded hangs on what still runs: a request to an endpoint that does not answer, say.
    runtime.shutdown_timeout(LEFTOVERS_WAIT);
    ended
}

/// Lets the process have as many files open as it may: each connection is one, and so is each segment of a spool.
fn open_files() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE).and_then(|(soft, hard)| match soft < hard {
        true => setrlimit(Resource::RLIMIT_NOFILE, hard, hard),
        false => Ok(()),
    });
    if let Err(error) = raised {
        tracing::debug!(error = %error, "the number of files that may be open stays as it is: {error}");
    }
}

async fn dispatch(command: Command, loaded: Loaded) -> anyhow::Result<Exit> {
    match command {
        Command::Config(arguments) => settings::print(&loaded, &arguments),
        Command::Bench(arguments) => bench::run(&loaded.settings, &arguments).await,
        Command::Relay(arguments) => relay::run(&loaded, &arguments).await,
        Command::Serve => serve::serve(&loaded.settings).await,
        Command::Demo(arguments) => demo::run(&loaded.settings, &arguments).await,
        Command::Migrate => maintain::migrate(&loaded.settings).await,
        Command::Rebuild(arguments) => maintain::rebuild(&loaded.settings, &arguments).await,
        Command::Verify(arguments) => maintain::verify(&loaded.settings, &arguments).await,
        Command::Openapi => {
            look::print(&crate::rest::openapi::text())?;
            Ok(Exit::Done)
        }
        Command::Schema => {
            look::print(&crate::graphql::sdl())?;
            Ok(Exit::Done)
        }
        Command::Timeline(arguments) => ask::timeline(&loaded.settings, &arguments).await,
        Command::Report(arguments) => ask::report(&loaded.settings, &arguments).await,
        Command::Search(arguments) => search::search(&loaded.settings, &arguments).await,
        Command::Embed(arguments) => search::embed(&loaded.settings, &arguments).await,
        Command::DeadLetters(command) => dead_letters::run(&loaded.settings, &command).await,
        Command::Record(arguments) => ask::record(&loaded.settings, &arguments).await,
        Command::Backup(arguments) => maintain::backup(&loaded.settings, &arguments).await,
        Command::Restore(arguments) => maintain::restore(&loaded.settings, &arguments).await,
    }
}
