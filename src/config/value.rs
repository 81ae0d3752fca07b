//! The types of settings: how each is read from text and shown again.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use super::secret::Credentials;
use crate::audit::limits::NAME_MAX;

/// A type that a setting may have.
pub trait Value: Sized {
    /// What a value looks like, in help texts.
    const SHAPE: &'static str;
    const SWITCH: bool = false;

    /// Reads `text`, which is `None` where nothing is given and there is no default.
    fn parse(text: Option<&str>) -> Result<Self, String>;

    /// As people may see it.
    fn shown(&self) -> Option<String>;

    /// What people may see of a text that cannot be read.
    fn masked(text: &str) -> String {
        Credentials::masked(text)
    }
}

/// An `http` or `https` address without a slash at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url(String);

impl Url {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A text that is not empty and short enough to be a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name(String);

impl Name {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Origins of web pages: scheme and host, with a port where it is not the scheme's own. None by default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origins(Vec<String>);

impl Origins {
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

/// What makes vectors of texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmbedderKind {
    Local,
    OpenAi,
    None,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    Auto,
    Human,
    Json,
}

/// When to use colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColorMode {
    Auto,
    Always,
    Never,
}

impl ColorMode {
    /// Whether what is written to a stream, which is a terminal or not, has colours.
    pub fn on(self, terminal: bool) -> bool {
        match self {
            ColorMode::Always => true,
            ColorMode::Never => false,
            ColorMode::Auto => terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
        }
    }
}

impl<T: Value> Value for Option<T> {
    const SHAPE: &'static str = T::SHAPE;

    fn parse(text: Option<&str>) -> Result<Self, String> {
        text.map(|text| T::parse(Some(text))).transpose()
    }

    fn shown(&self) -> Option<String> {
        self.as_ref().and_then(T::shown)
    }

    fn masked(text: &str) -> String {
        T::masked(text)
    }
}

impl Value for SocketAddr {
    const SHAPE: &'static str = "ADDRESS:PORT";

    fn parse(text: Option<&str>) -> Result<Self, String> {
        let text = text.unwrap_or_default();
        // A name is not looked up: what it stands for decides whether the address may be listened on at all.
        let address = text.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
        address
            .as_deref()
            .unwrap_or(text)
            .parse()
            .map_err(|_| "write an address and a port, such as 127.0.0.1:8080 or [::1]:8080".to_string())
    }

    fn shown(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl Value for Url {
    const SHAPE: &'static str = "URL";

    fn parse(text: Option<&str>) -> Result<Self, String> {
        let text = text.unwrap_or_default();
        let host = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://")).unwrap_or_default();
        if host.is_empty() || text.contains(['?', '#', '@']) || text.contains(char::is_whitespace) {
            return Err("write an address such as https://binnacle.example.org".to_string());
        }
        Ok(Url(text.trim_end_matches('/').to_string()))
    }

    fn shown(&self) -> Option<String> {
        Some(self.0.clone())
    }
}

impl Value for Origins {
    const SHAPE: &'static str = "ORIGINS";

    fn parse(text: Option<&str>) -> Result<Self, String> {
        let origins = text.unwrap_or_default().split(',').map(str::trim).filter(|origin| !origin.is_empty());
        let origins: Vec<String> =
            origins.map(|origin| Ok(Url::parse(Some(origin))?.0)).collect::<Result<_, String>>()?;
        match origins.iter().find(|origin| origin.split('/').count() > 3) {
            Some(origin) => {
                Err(format!("`{origin}` has a path; write scheme and host only, such as https://example.org"))
            }
            None => Ok(Origins(origins)),
        }
    }

    fn shown(&self) -> Option<String> {
        (!self.0.is_empty()).then(|| self.0.join(","))
    }
}

impl Value for Name {
    const SHAPE: &'static str = "NAME";

    fn parse(text: Option<&str>) -> Result<Self, String> {
        let text = text.unwrap_or_default();
        if text.trim().is_empty() || text.trim() != text || text.chars().count() > NAME_MAX || text.contains('\0') {
            return Err(format!("write a name of 1 to {NAME_MAX} characters, without white space around it"));
        }
        Ok(Name(text.to_string()))
    }

    fn shown(&self) -> Option<String> {
        Some(self.0.clone())
    }
}

impl Value for String {
    const SHAPE: &'static str = "TEXT";

    fn parse(text: Option<&str>) -> Result<Self, String> {
        Ok(text.unwrap_or_default().to_string())
    }

    fn shown(&self) -> Option<String> {
        Some(self.clone())
    }
}

impl Value for PathBuf {
    const SHAPE: &'static str = "PATH";

    fn parse(text: Option<&str>) -> Result<Self, String> {
        match text {
            None | Some("") => Err("write a path".to_string()),
            Some(text) => Ok(PathBuf::from(text)),
        }
    }

    fn shown(&self) -> Option<String> {
        Some(self.display().to_string())
    }
}

impl Value for bool {
    const SHAPE: &'static str = "BOOL";
    const SWITCH: bool = true;

    fn parse(text: Option<&str>) -> Result<Self, String> {
        match text.unwrap_or_default().to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "1" => Ok(true),
            "false" | "no" | "off" | "0" => Ok(false),
            _ => Err("write true or false".to_string()),
        }
    }

    fn shown(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl Value for u32 {
    const SHAPE: &'static str = "NUMBER";

    fn parse(text: Option<&str>) -> Result<Self, String> {
        let number = text.unwrap_or_default().replace('_', "").parse().ok().filter(|number| *number > 0);
        number.ok_or_else(|| format!("write a whole number from 1 to {}", u32::MAX))
    }

    fn shown(&self) -> Option<String> {
        Some(self.to_string())
    }
}

/// A time that may be none at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait(pub Duration);

impl Value for Wait {
    const SHAPE: &'static str = Duration::SHAPE;

    fn parse(text: Option<&str>) -> Result<Self, String> {
        match text {
            Some("0" | "0ms" | "0s") => Ok(Wait(Duration::ZERO)),
            text => Duration::parse(text).map(Wait),
        }
    }

    fn shown(&self) -> Option<String> {
        if self.0.is_zero() { Some("0s".to_string()) } else { self.0.shown() }
    }
}

impl Value for Duration {
    const SHAPE: &'static str = "DURATION";

    fn parse(text: Option<&str>) -> Result<Self, String> {
        let text = text.unwrap_or_default();
        let unit = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let millis = match &text[unit..] {
            "ms" => Some(1),
            "s" => Some(1_000),
            "m" => Some(60_000),
            "h" => Some(3_600_000),
            _ => None,
        };
        let number = text[..unit].parse::<u64>().ok().filter(|number| *number > 0);
        number
            .zip(millis)
            .and_then(|(number, millis)| number.checked_mul(millis))
            .filter(|millis| *millis <= DURATION_MS_MAX)
            .map(Duration::from_millis)
            .ok_or_else(|| "write a number and its unit, up to a day: 250ms, 10s, 5m or 1h".to_string())
    }

    fn shown(&self) -> Option<String> {
        let millis = self.as_millis();
        let (unit, name) = [(3_600_000, "h"), (60_000, "m"), (1_000, "s")]
            .into_iter()
            .find(|(unit, _)| millis >= *unit && millis.is_multiple_of(*unit))
            .unwrap_or((1, "ms"));
        Some(format!("{}{name}", millis / unit))
    }
}

/// Longest duration that a setting may have.
const DURATION_MS_MAX: u64 = 24 * 3_600_000;

impl Value for EmbedderKind {
    const SHAPE: &'static str = "local|openai|none";

    fn parse(text: Option<&str>) -> Result<Self, String> {
        match text.unwrap_or_default() {
            "local" => Ok(EmbedderKind::Local),
            "openai" => Ok(EmbedderKind::OpenAi),
            "none" => Ok(EmbedderKind::None),
            _ => Err("write local, openai or none".to_string()),
        }
    }

    fn shown(&self) -> Option<String> {
        Some(format!("{self:?}").to_lowercase())
    }
}

impl Value for LogFormat {
    const SHAPE: &'static str = "auto|human|json";

    fn parse(text: Option<&str>) -> Result<Self, String> {
        match text.unwrap_or_default() {
            "auto" => Ok(LogFormat::Auto),
            "human" => Ok(LogFormat::Human),
            "json" => Ok(LogFormat::Json),
            _ => Err("write auto, human or json".to_string()),
        }
    }

    fn shown(&self) -> Option<String> {
        Some(format!("{self:?}").to_lowercase())
    }
}

impl Value for ColorMode {
    const SHAPE: &'static str = "auto|always|never";

    fn parse(text: Option<&str>) -> Result<Self, String> {
        match text.unwrap_or_default() {
            "auto" => Ok(ColorMode::Auto),
            "always" => Ok(ColorMode::Always),
            "never" => Ok(ColorMode::Never),
            _ => Err("write auto, always or never".to_string()),
        }
    }

    fn shown(&self) -> Option<String> {
        Some(format!("{self:?}").to_lowercase())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_a_number_with_its_unit_and_shows_as_it_was_written() {
        for text in ["250ms", "10s", "90s", "5m", "1h"] {
            assert_eq!(Duration::parse(Some(text)).unwrap().shown().as_deref(), Some(text));
        }
        for text in ["", "10", "s", "0s", "-1s", "1.5s", "1 s", "25h", "99999999999999999999h"] {
            assert!(Duration::parse(Some(text)).is_err(), "{text}");
        }
    }

    #[test]
    fn an_embedder_shows_as_it_is_written() {
        for text in ["local", "openai", "none"] {
            assert_eq!(EmbedderKind::parse(Some(text)).unwrap().shown().as_deref(), Some(text));
        }
        assert!(EmbedderKind::parse(Some("LOCAL")).is_err());
    }

    #[test]
    fn a_public_address_loses_the_slash_at_its_end_and_needs_a_host() {
        assert_eq!(Url::parse(Some("https://a.example/x/")), Ok(Url("https://a.example/x".to_string())));
        for text in ["a.example", "http://", "https://a b", "https://a?b"] {
            assert!(Url::parse(Some(text)).is_err(), "{text}");
        }
    }
}
