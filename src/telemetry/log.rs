//! Log lines: on standard error, for people or as JSON, panics included.

use std::{io::IsTerminal as _, panic};

use tracing::error;
use tracing_subscriber::{EnvFilter, Layer as _, layer::SubscriberExt as _, util::SubscriberInitExt as _};

use crate::config::{LogFormat, Settings};

#[derive(Debug, thiserror::Error)]
pub enum LogError {
    #[error("`{filter}` is no value for `log-filter`: write a level, or levels by module, such as info,binnacle=debug")]
    Filter { filter: String, source: tracing_subscriber::filter::ParseError },
    #[error("log lines go somewhere else already")]
    Taken(#[from] tracing_subscriber::util::TryInitError),
}

/// Sends log lines to standard error, as the settings say.
pub fn init(settings: &Settings) -> Result<(), LogError> {
    let filter = EnvFilter::builder()
        .parse(&settings.log_filter)
        .map_err(|source| LogError::Filter { filter: settings.log_filter.clone(), source })?;
    let terminal = std::io::stderr().is_terminal();
    let human = match settings.log_format {
        LogFormat::Human => true,
        LogFormat::Json => false,
        LogFormat::Auto => terminal,
    };

    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = if human {
        lines.with_ansi(settings.color.on(terminal)).with_target(false).boxed()
    } else {
        lines.json().flatten_event(true).with_span_list(true).boxed()
    };
    tracing_subscriber::registry().with(filter).with(lines).try_init()?;
    log_panics();
    Ok(())
}

/// Makes a panic a log line like any other, so that it reaches whoever collects them. Who catches a panic need not log
/// it again.
fn log_panics() {
    panic::set_hook(Box::new(|panic| {
        let message = panic.payload_as_str().unwrap_or("no message");
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        error!(panic.place = %place, "a part of the program panicked: {message}");
    }));
}
