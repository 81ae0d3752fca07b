//! The embedder in force: none, one that is being loaded, one whose model is missing so far, or one that is ready.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::Duration,
};

use tokio::sync::watch;
use tracing::{debug, warn};

use super::{Embedder, Local, OpenAi, OpenAiSettings};
use crate::cache;

/// How often a model that is missing is looked for.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Which embedder is wanted.
#[derive(Clone, Debug)]
pub enum EmbedderSettings {
    Off,
    /// A model in this process: of the folder named, else of the one that `make setup` fetched.
    Local {
        folder: Option<PathBuf>,
        threads: usize,
    },
    OpenAi(OpenAiSettings),
}

/// How far the embedder is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    Off,
    Loading,
    /// There is no model, or none that can be used; it is looked for again and again.
    Missing {
        reason: String,
    },
    Ready {
        /// Its model, and where that runs.
        model: String,
    },
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            State::Off => f.write_str("search by meaning is off (--embedder none)"),
            State::Loading => f.write_str("the model is being loaded"),
            State::Missing { reason } => {
                write!(f, "no model: {reason}; run `make setup` or name its folder with --model-dir")
            }
            State::Ready { model } => f.write_str(model),
        }
    }
}

/// What there is at the moment.
struct Held {
    state: State,
    embedder: Option<Arc<dyn Embedder>>,
}

impl Held {
    fn nothing(state: State) -> Held {
        Held { state, embedder: None }
    }

    fn ready(embedder: Arc<dyn Embedder>, model: String) -> Held {
        Held { state: State::Ready { model }, embedder: Some(embedder) }
    }
}

/// The embedder in force. A clone shows the same one.
#[derive(Clone)]
pub struct Embedders(watch::Receiver<Held>);

impl Embedders {
    /// Returns at once: a local model is loaded on a thread of its own, which looks for one that is missing until it is
    /// there, or until nobody holds a clone any more.
    pub fn start(settings: EmbedderSettings) -> Embedders {
        match settings {
            EmbedderSettings::Off => Embedders::holding(Held::nothing(State::Off)),
            EmbedderSettings::OpenAi(settings) => {
                let place = settings.place();
                Embedders::holding(Held::ready(Arc::new(OpenAi::new(settings)), place))
            }
            EmbedderSettings::Local { folder, threads } => {
                let (sender, held) = watch::channel(Held::nothing(State::Loading));
                thread::spawn(move || load(&sender, folder.as_deref(), threads));
                Embedders(held)
            }
        }
    }

    /// Exactly this one, from the start.
    pub fn of(embedder: Arc<dyn Embedder>) -> Embedders {
        let model = embedder.model().name.clone();
        Embedders::holding(Held::ready(embedder, model))
    }

    fn holding(held: Held) -> Embedders {
        Embedders(watch::channel(held).1)
    }

    /// The embedder, once it is ready.
    pub fn current(&self) -> Option<Arc<dyn Embedder>> {
        self.0.borrow().embedder.clone()
    }

    pub fn state(&self) -> State {
        self.0.borrow().state.clone()
    }

    /// Whether all is as it was asked for.
    pub fn ready_or_off(&self) -> bool {
        matches!(self.0.borrow().state, State::Off | State::Ready { .. })
    }

    /// Waits until it is known whether there is a model, for `wait` at most.
    pub async fn loaded(&self, wait: Duration) {
        let mut held = self.0.clone();
        // Neither a wait that has run out nor a thread that has ended leaves anything to wait for.
        let _ = tokio::time::timeout(wait, held.wait_for(|held| held.state != State::Loading)).await;
    }
}

/// Loads the model, however late it comes.
fn load(held: &watch::Sender<Held>, folder: Option<&Path>, threads: usize) {
    while !held.is_closed() {
        match try_load(folder, threads) {
            Ok(local) => {
                let model = format!("{} in this process", local.model().name);
                debug!(model = local.model().name, "loaded the model: {model}");
                held.send_replace(Held::ready(Arc::new(local), model));
                return;
            }
            Err(reason) => missing(held, reason),
        }
        thread::sleep(LOOK_EVERY);
    }
}

fn try_load(folder: Option<&Path>, threads: usize) -> Result<Local, String> {
    let fetched = if folder.is_none() { cache::fetched(cache::MODEL) } else { None };
    let Some(folder) = folder.or(fetched.as_deref()) else { return Err("none was fetched".to_string()) };
    Local::load(folder, threads).map_err(|error| error.to_string())
}

/// Says so once for each reason.
fn missing(held: &watch::Sender<Held>, reason: String) {
    let state = State::Missing { reason };
    if held.borrow().state != state {
        warn!("searching by words only: {state}; it is looked for every {} seconds", LOOK_EVERY.as_secs());
        held.send_replace(Held::nothing(state));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_state_is_told_in_words() {
        let told = |state: State| state.to_string();
        insta::assert_snapshot!(told(State::Off), @"search by meaning is off (--embedder none)");
        insta::assert_snapshot!(told(State::Missing { reason: "none was fetched".to_string() }), @"no model: none was fetched; run `make setup` or name its folder with --model-dir");
        assert_eq!(told(State::Ready { model: "m at h".to_string() }), "m at h");
    }

    #[tokio::test]
    async fn a_model_that_is_missing_is_told_soon_and_holds_nothing_up() {
        let folder = Some(PathBuf::from("/nonexistent"));
        let embedders = Embedders::start(EmbedderSettings::Local { folder, threads: 1 });
        embedders.loaded(Duration::from_secs(30)).await;
        assert!(matches!(embedders.state(), State::Missing { .. }), "{}", embedders.state());
        assert!(embedders.current().is_none());
        assert!(!embedders.ready_or_off());
    }

    #[tokio::test]
    async fn switched_off_there_is_nothing_to_wait_for() {
        let embedders = Embedders::start(EmbedderSettings::Off);
        embedders.loaded(Duration::from_secs(3_600)).await;
        assert_eq!((embedders.state(), embedders.ready_or_off()), (State::Off, true));
    }
}
