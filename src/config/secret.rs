//! Settings that hold secrets: what of them people may see.

use std::fmt;

use super::value::Value;

/// A text that a person may not see whole: the address of a database with its password.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The whole text, for the one who connects with it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&Credentials::masked(&self.0))
    }
}

/// A text that a person may see nothing of: a key.
#[derive(Clone, PartialEq, Eq)]
pub struct Key(String);

impl Key {
    /// A key that can be sent in a header.
    pub fn of(text: &str) -> Result<Key, String> {
        let text = text.trim();
        if text.is_empty() || !text.chars().all(|c| c.is_ascii_graphic()) {
            return Err("write a key of letters, digits and signs, without white space".to_string());
        }
        Ok(Key(text.to_string()))
    }

    /// The key, for the one who opens with it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

/// What is shown in the place of a secret.
const HIDDEN: &str = "***";

/// The parts of an address that are secret.
pub struct Credentials;

impl Credentials {
    /// `text` without the password after the user's name and without those in its query.
    pub fn masked(text: &str) -> String {
        let Some((scheme, rest)) = text.split_once("://") else { return text.to_string() };
        // The last `@` ends the credentials: a password that was not escaped may hold `/`, `?` and `@`.
        let (user, rest) = match rest.rsplit_once('@') {
            Some((user, rest)) => (Some(user), rest),
            None => (None, rest),
        };
        let user = match user.map(|user| user.split_once(':').map_or((user, false), |(name, _)| (name, true))) {
            Some((name, true)) => format!("{name}:***@"),
            Some((name, false)) => format!("{name}@"),
            None => String::new(),
        };
        let (address, query) = rest.split_once('?').map_or((rest, None), |(address, query)| (address, Some(query)));
        let query = query.map_or_else(String::new, |query| {
            let pairs: Vec<_> = query.split('&').map(masked_pair).collect();
            format!("?{}", pairs.join("&"))
        });
        format!("{scheme}://{user}{address}{query}")
    }
}

fn masked_pair(pair: &str) -> String {
    match pair.split_once('=') {
        Some((name, _)) if name.contains("password") => format!("{name}=***"),
        _ => pair.to_string(),
    }
}

impl Value for Secret {
    const SHAPE: &'static str = "URL";

    fn parse(text: Option<&str>) -> Result<Self, String> {
        let text = text.unwrap_or_default();
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            Ok(Secret(text.to_string()))
        } else {
            Err("write postgres://user:password@host:port/database".to_string())
        }
    }

    fn shown(&self) -> Option<String> {
        Some(Credentials::masked(&self.0))
    }

    fn masked(text: &str) -> String {
        // What is no address at all may hold a password anywhere, as `host=db password=…` does.
        if text.contains("://") { Credentials::masked(text) } else { HIDDEN.to_string() }
    }
}

impl Value for Key {
    const SHAPE: &'static str = "KEY";

    fn parse(text: Option<&str>) -> Result<Self, String> {
        Key::of(text.unwrap_or_default())
    }

    fn shown(&self) -> Option<String> {
        Some(HIDDEN.to_string())
    }

    fn masked(_: &str) -> String {
        HIDDEN.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_masked_wherever_an_address_may_hold_them() {
        let cases = [
            ("postgres://db/x", "postgres://db/x"),
            ("postgres://me@db/x", "postgres://me@db/x"),
            ("postgres://me:p@ss@db/x", "postgres://me:***@db/x"),
            ("postgres://me:a/b?c@db/x", "postgres://me:***@db/x"),
            ("postgres:///x?host=/run&sslpassword=s", "postgres:///x?host=/run&sslpassword=***"),
        ];
        for (text, masked) in cases {
            assert_eq!(Credentials::masked(text), masked);
        }
    }

    #[test]
    fn nothing_of_a_key_is_ever_shown() {
        let key = Key::parse(Some("sk-hunter2\n")).unwrap();
        assert_eq!(key.reveal(), "sk-hunter2", "a file's last line has an end");
        assert_eq!((key.shown().as_deref(), format!("{key:?}").as_str()), (Some("***"), "***"));
        assert_eq!(<Option<Key>>::masked("https://sk-hunter2"), "***");
        for text in ["", " ", "two words", "sk-\u{e9}", "a\r\nb"] {
            assert!(Key::parse(Some(text)).is_err(), "{text}");
        }
    }
}
