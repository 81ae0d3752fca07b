//! Where an endpoint is, and which of its models is asked.

use std::net::IpAddr;

use ureq::http::Uri;

use crate::{config::Key, search::embedder::Model};

/// Most numbers of a vector that has an index.
pub const DIMENSION_MAX: usize = 4_000;

/// Longest name under which a model is recorded.
const NAME_MAX: usize = 200;

/// An endpoint and its model, checked.
#[derive(Clone, Debug)]
pub struct OpenAiSettings {
    pub(super) url: String,
    pub(super) key: Option<Key>,
    /// The model, as the endpoint calls it.
    pub(super) asked: String,
    /// The model, as it is recorded.
    pub(super) model: Model,
    host: String,
    loopback: bool,
}

/// Why an endpoint cannot be used as it is named.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    #[error("write an address such as https://api.example.org/v1, without user, question mark or fragment")]
    Address,
    #[error(
        "`http` to `{host}` would send texts of audits, and the key, over the network for anybody to read: write `https`; \
         `http` is for this machine only, as in http://127.0.0.1:11434/v1"
    )]
    Clear { host: String },
    #[error(
        "write the model as the endpoint calls it, in letters, digits and `-_.:/@`; with its host it has at most {NAME_MAX}"
    )]
    Model,
    #[error("a vector has 1 to {DIMENSION_MAX} numbers")]
    Dimension,
}

impl OpenAiSettings {
    /// `url` is what `/embeddings` follows on, often ending in `/v1`.
    pub fn new(url: &str, key: Option<Key>, model: &str, dimension: usize) -> Result<OpenAiSettings, SettingsError> {
        let uri: Uri = url.parse().map_err(|_| SettingsError::Address)?;
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_ascii_lowercase();
        let plain = uri.authority().is_some_and(|authority| !authority.as_str().contains('@')) && uri.query().is_none();
        if host.is_empty() || !plain || url.contains('#') {
            return Err(SettingsError::Address);
        }
        let loopback =
            host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.to_canonical().is_loopback());
        match uri.scheme_str() {
            Some("https") => {}
            Some("http") if loopback => {}
            Some("http") => return Err(SettingsError::Clear { host }),
            _ => return Err(SettingsError::Address),
        }
        let name = format!("openai:{host}:{model}:{dimension}");
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.:/@".contains(c);
        if model.is_empty() || name.len() > NAME_MAX || !name.chars().all(allowed) {
            return Err(SettingsError::Model);
        }
        if !(1..=DIMENSION_MAX).contains(&dimension) {
            return Err(SettingsError::Dimension);
        }
        let url = url.trim_end_matches('/').to_string();
        Ok(OpenAiSettings { url, key, asked: model.to_string(), model: Model { name, dimension }, host, loopback })
    }

    /// The host that the texts are sent to.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The model and where it runs, in words.
    pub fn place(&self) -> String {
        format!("{} at {}", self.asked, self.host)
    }

    /// Whether the endpoint is on this machine.
    pub(super) fn loopback(&self) -> bool {
        self.loopback
    }

    /// Whether the model takes the number of its vectors' numbers.
    pub(super) fn shortens(&self) -> bool {
        self.asked.starts_with("text-embedding-3")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(url: &str) -> Result<OpenAiSettings, SettingsError> {
        OpenAiSettings::new(url, None, "bge-m3", 1_024)
    }

    #[test]
    fn a_model_is_recorded_with_its_host_and_its_dimension() {
        let settings = of("https://API.example.org:8443/v1/").unwrap();
        assert_eq!(settings.model.name, "openai:api.example.org:bge-m3:1024");
        assert_eq!(settings.place(), "bge-m3 at api.example.org");
        assert_eq!(settings.url, "https://API.example.org:8443/v1");
        assert_eq!(of("http://[::1]:11434/v1").unwrap().model.name, "openai:::1:bge-m3:1024");
    }

    #[test]
    fn nothing_goes_over_a_network_in_the_clear() {
        for near in ["http://localhost:1/v1", "http://127.0.0.1/v1", "http://127.8.8.8", "http://[::1]/v1"] {
            assert!(of(near).unwrap().loopback(), "{near}");
        }
        for far in ["http://api.example.org/v1", "http://10.0.0.1", "http://localhost.example.org", "http://0.0.0.0:1"]
        {
            assert!(matches!(of(far), Err(SettingsError::Clear { .. })), "{far}");
        }
        insta::assert_snapshot!(of("http://models:80").unwrap_err(), @"`http` to `models` would send texts of audits, and the key, over the network for anybody to read: write `https`; `http` is for this machine only, as in http://127.0.0.1:11434/v1");
    }

    #[test]
    fn what_is_no_address_no_model_or_no_dimension_is_refused() {
        for url in
            ["", "api.example.org", "ftp://a/b", "https://", "https://me@a/v1", "https://a/v1?x=y", "https://a/#x"]
        {
            assert_eq!(of(url).err(), Some(SettingsError::Address), "{url}");
        }
        for model in ["", "two words", "quote'", &"x".repeat(200)] {
            let refused = OpenAiSettings::new("https://a/v1", None, model, 3).err();
            assert_eq!(refused, Some(SettingsError::Model), "{model}");
        }
        for dimension in [0, 4_001] {
            let refused = OpenAiSettings::new("https://a/v1", None, "m", dimension).err();
            assert_eq!(refused, Some(SettingsError::Dimension), "{dimension}");
        }
    }
}
