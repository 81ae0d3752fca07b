//! What the settings say of embedding: by what, and which texts. Whatever may leave this machine was named by a person.

use tracing::info;

use super::exit::Usage;
use crate::{
    config::{EmbedderKind, Settings},
    search::{
        choice::Choice,
        embedder::{EmbedderSettings, Embedders, OpenAiSettings},
    },
};

/// The embedder that is wanted, and the documents that it is to embed.
#[derive(Clone, Debug)]
pub struct Embedding {
    pub embedder: EmbedderSettings,
    pub choice: Choice,
}

impl Embedding {
    /// Refuses settings that are missing or contradict each other.
    pub fn of(settings: &Settings) -> Result<Embedding, Usage> {
        let choice = match &settings.embedding_fields {
            Some(text) => read("embedding-fields", text)?,
            None => Choice::default(),
        };
        let (embedder, choice) = match settings.embedder {
            EmbedderKind::OpenAi => {
                let (endpoint, send) = endpoint(settings)?;
                (EmbedderSettings::OpenAi(endpoint), allowed(&choice, &send)?)
            }
            EmbedderKind::None => (without_endpoint(settings, EmbedderSettings::Off)?, choice),
            EmbedderKind::Local => {
                let threads = usize::try_from(settings.embedding_threads).unwrap_or(usize::MAX);
                let local = EmbedderSettings::Local { folder: settings.model_dir.clone(), threads };
                (without_endpoint(settings, local)?, choice)
            }
        };
        Ok(Embedding { embedder, choice })
    }

    /// For a command that embeds nothing.
    pub fn off() -> Embedding {
        Embedding { embedder: EmbedderSettings::Off, choice: Choice::default() }
    }

    /// Starts the embedder, and says in the log what leaves this machine.
    pub fn start(&self) -> Embedders {
        if let EmbedderSettings::OpenAi(endpoint) = &self.embedder {
            let (host, fields, place) = (endpoint.host(), self.choice.text(), endpoint.place());
            info!(
                embedding.host = host,
                embedding.fields = fields,
                "embedding by {place}: the texts of {fields} and every question are sent to `{host}`"
            );
        }
        Embedders::start(self.embedder.clone())
    }
}

/// The settings that only an endpoint has, and whether each is given; those that it needs come first.
fn of_endpoint(settings: &Settings) -> [(&'static str, bool); 5] {
    [
        ("--embedding-url", settings.embedding_url.is_some()),
        ("--embedding-model", settings.embedding_model.is_some()),
        ("--embedding-dimension", settings.embedding_dimension.is_some()),
        ("--embedding-send", settings.embedding_send.is_some()),
        ("--embedding-key", settings.embedding_key.is_some()),
    ]
}

/// The endpoint, and what may be sent to it.
fn endpoint(settings: &Settings) -> Result<(OpenAiSettings, Choice), Usage> {
    let (Some(url), Some(model), Some(dimension), Some(send)) =
        (&settings.embedding_url, &settings.embedding_model, settings.embedding_dimension, &settings.embedding_send)
    else {
        let missing: Vec<&str> =
            of_endpoint(settings)[..4].iter().filter(|(_, given)| !given).map(|(flag, _)| *flag).collect();
        let why = if settings.embedding_send.is_none() {
            "; `--embedding-send` names the kinds and fields whose texts may leave this machine, such as \
             `AI_ANALYSIS,OTHER.signal`"
        } else {
            ""
        };
        return Err(Usage(format!("`--embedder openai` needs {} as well{why}", quoted(&missing))));
    };
    let send = read("embedding-send", send)?;
    let dimension = usize::try_from(dimension).unwrap_or(usize::MAX);
    let endpoint = OpenAiSettings::new(url.as_str(), settings.embedding_key.clone(), model.as_str(), dimension);
    Ok((endpoint.map_err(|error| Usage(format!("`--embedder openai` cannot be used so: {error}")))?, send))
}

/// What is both wanted and allowed.
fn allowed(wanted: &Choice, send: &Choice) -> Result<Choice, Usage> {
    let both = wanted.intersection(send);
    if both.empty() {
        let (wanted, send) = (wanted.text(), send.text());
        let why = format!("of what is to be embedded ({wanted}) nothing may be sent ({send})");
        return Err(Usage(format!("{why}: change `--embedding-fields` or `--embedding-send`")));
    }
    Ok(both)
}

/// Another embedder sends nothing, so whoever says what may be sent expects something else.
fn without_endpoint(settings: &Settings, embedder: EmbedderSettings) -> Result<EmbedderSettings, Usage> {
    let given: Vec<&str> = of_endpoint(settings).iter().filter(|(_, given)| *given).map(|(flag, _)| *flag).collect();
    if given.is_empty() {
        return Ok(embedder);
    }
    Err(Usage(format!("only `--embedder openai` uses {}: add that, or leave them out", quoted(&given))))
}

fn read(setting: &str, text: &str) -> Result<Choice, Usage> {
    Choice::parse(text).map_err(|why| Usage(format!("`{text}` is no value for `--{setting}`: {why}")))
}

fn quoted(flags: &[&str]) -> String {
    flags.iter().map(|flag| format!("`{flag}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, Flags};

    const WHOLE: [(&str, &str); 5] = [
        ("embedder", "openai"),
        ("embedding-url", "https://api.example.org/v1"),
        ("embedding-model", "text-embedding-3-small"),
        ("embedding-dimension", "512"),
        ("embedding-send", "ai_analysis,OTHER.signal,NOTIFICATION"),
    ];

    fn of(given: &[(&'static str, &str)]) -> Result<Embedding, String> {
        let given = given.iter().map(|(key, text)| (*key, text.to_string())).collect();
        let loaded = config::layer(&Flags { file: None, given }, |_| Ok(None), None).unwrap();
        Embedding::of(&loaded.settings).map_err(|error| error.to_string())
    }

    #[test]
    fn the_model_in_this_process_is_the_default_and_embeds_what_is_chosen() {
        let Ok(Embedding { embedder: EmbedderSettings::Local { folder: None, threads: 1 }, choice }) = of(&[]) else {
            panic!("should be the local model")
        };
        assert_eq!(choice, Choice::default());
        assert_eq!(of(&[("embedding-fields", "other")]).unwrap().choice.text(), "OTHER");
        assert!(matches!(of(&[("embedder", "none")]).unwrap().embedder, EmbedderSettings::Off));
    }

    #[test]
    fn what_is_sent_is_what_is_wanted_and_allowed() {
        let Embedding { embedder: EmbedderSettings::OpenAi(endpoint), choice } = of(&WHOLE).unwrap() else {
            panic!("should be an endpoint")
        };
        assert_eq!(endpoint.place(), "text-embedding-3-small at api.example.org");
        assert_eq!(choice.text(), "AI_ANALYSIS,OTHER.signal");
        let nothing = of(&[&WHOLE[..], &[("embedding-fields", "EFFECTIVENESS")]].concat());
        insta::assert_snapshot!(nothing.unwrap_err(), @"of what is to be embedded (EFFECTIVENESS) nothing may be sent (AI_ANALYSIS,NOTIFICATION,OTHER.signal): change `--embedding-fields` or `--embedding-send`");
    }

    #[test]
    fn what_an_endpoint_lacks_is_named() {
        insta::assert_snapshot!(of(&WHOLE[..1]).unwrap_err(), @"`--embedder openai` needs `--embedding-url`, `--embedding-model`, `--embedding-dimension`, `--embedding-send` as well; `--embedding-send` names the kinds and fields whose texts may leave this machine, such as `AI_ANALYSIS,OTHER.signal`");
        for (flag, _) in &WHOLE[1..] {
            let given: Vec<_> = WHOLE.iter().filter(|(other, _)| other != flag).copied().collect();
            let error = of(&given).unwrap_err();
            assert!(error.contains(&format!("`--{flag}` as well")), "{error}");
        }
    }

    #[test]
    fn what_only_an_endpoint_uses_is_refused_without_one() {
        insta::assert_snapshot!(of(&WHOLE[4..]).unwrap_err(), @"only `--embedder openai` uses `--embedding-send`: add that, or leave them out");
        assert!(of(&[("embedder", "none"), ("embedding-key", "k")]).unwrap_err().contains("`--embedding-key`"));
    }

    #[test]
    fn what_cannot_be_read_names_its_setting() {
        let wrong = |key: &'static str, text| of(&[&WHOLE[..], &[(key, text)]].concat()).unwrap_err();
        insta::assert_snapshot!(wrong("embedding-send", "AI_ANALYSIS.wings,OTHER"), @"`AI_ANALYSIS.wings,OTHER` is no value for `--embedding-send`: `AI_ANALYSIS` has no text `wings`; it has signal, rootCause, rootCauseSummary, causalChain, contributingFactors, investigationReport, actionRationale, recommendations, alternativesConsidered, approvalReason, approvalJustification, rejectionReason, failureReason, warnings, reason, subReason");
        assert!(wrong("embedding-fields", "x").contains("`--embedding-fields`: there is no kind `x`"));
        assert!(wrong("embedding-url", "http://models/v1").contains("write `https`"));
        assert!(wrong("embedding-dimension", "5000").contains("1 to 4000"));
    }
}
