//! The parameters of an address: read by name, all mistakes told at once, and none overlooked.

use std::{ops::RangeInclusive, str::FromStr};

use axum::{extract::FromRequestParts, http::request::Parts};
use chrono::{DateTime, Utc};

use super::fault::{Fault, Mistake};
use crate::{audit::check::parse_time, error::Failure};

/// The parameters of a request. Each is taken once; `finish` refuses what nobody has taken.
pub struct Params {
    given: Vec<(String, String)>,
    known: Vec<&'static str>,
    mistakes: Vec<Mistake>,
}

impl<S: Send + Sync> FromRequestParts<S> for Params {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Params, Fault> {
        Ok(Params::of(parts.uri.query().unwrap_or_default()))
    }
}

impl Params {
    /// The parameters of a query string.
    pub fn of(query: &str) -> Params {
        let given = form_urlencoded(query);
        Params { given, known: Vec::new(), mistakes: Vec::new() }
    }

    /// A text, where it is given and not empty.
    pub fn text(&mut self, name: &'static str) -> Option<String> {
        self.known.push(name);
        let mut texts = Vec::new();
        self.given.retain(|(given, text)| {
            let taken = given == name;
            if taken {
                texts.push(text.clone());
            }
            !taken
        });
        if texts.len() > 1 {
            self.mistake(name, "REPEATED", format!("`{name}` is given {} times", texts.len()));
            return None;
        }
        let text = texts.pop()?;
        if text.contains('\0') {
            self.mistake(name, "NUL", format!("`{name}` holds a NUL character"));
            return None;
        }
        Some(text).filter(|text| !text.is_empty())
    }

    /// A text that has to be there.
    pub fn required(&mut self, name: &'static str) -> String {
        match self.text(name) {
            Some(text) => text,
            None => {
                self.mistake(name, "REQUIRED", format!("`{name}` is required"));
                String::new()
            }
        }
    }

    /// A whole number within a range.
    pub fn number<N: FromStr + PartialOrd + std::fmt::Display>(
        &mut self,
        name: &'static str,
        range: RangeInclusive<N>,
    ) -> Option<N> {
        let text = self.text(name)?;
        let number = text.parse().ok().filter(|number| range.contains(number));
        if number.is_none() {
            let (least, most) = (range.start(), range.end());
            self.mistake(name, "OUT_OF_RANGE", format!("`{name}` has to be a whole number from {least} to {most}"));
        }
        number
    }

    /// `true` or `false`.
    pub fn flag(&mut self, name: &'static str) -> Option<bool> {
        let text = self.text(name)?;
        let flag = text.parse().ok();
        if flag.is_none() {
            self.mistake(name, "MALFORMED", format!("`{name}` has to be true or false"));
        }
        flag
    }

    /// A time in RFC 3339.
    pub fn time(&mut self, name: &'static str) -> Option<DateTime<Utc>> {
        self.read(name, parse_time, "a time as in RFC 3339, such as 2026-05-04T10:00:00Z")
    }

    /// What `read` makes of a text; `wanted` says what it should have been.
    pub fn read<T>(&mut self, name: &'static str, read: impl FnOnce(&str) -> Option<T>, wanted: &str) -> Option<T> {
        let text = self.text(name)?;
        let value = read(&text);
        if value.is_none() {
            self.mistake(name, "MALFORMED", format!("`{name}` has to be {wanted}"));
        }
        value
    }

    /// Notes a mistake.
    pub fn mistake(&mut self, name: &str, code: &str, detail: String) {
        self.mistakes.push(Mistake::parameter(name, code, detail));
    }

    /// Refuses the request where it has mistakes, or parameters that it does not take: a filter that was overlooked would
    /// answer another question.
    pub fn finish(mut self) -> Result<(), Fault> {
        let known = self.known.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        for (name, _) in std::mem::take(&mut self.given) {
            let detail = match known.as_str() {
                "" => format!("`{name}` is no parameter of this address; it takes none"),
                known => format!("`{name}` is no parameter of this address; it takes {known}"),
            };
            self.mistake(&name, "UNKNOWN_PARAMETER", detail);
        }
        if self.mistakes.is_empty() { Ok(()) } else { Err(Fault::mistaken(Failure::BadInput, self.mistakes)) }
    }
}

/// The pairs of a query string; `+` is a space.
fn form_urlencoded(query: &str) -> Vec<(String, String)> {
    let decode = |text: &str| {
        let text = text.replace('+', " ");
        percent_encoding::percent_decode_str(&text).decode_utf8_lossy().into_owned()
    };
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, text)| (decode(name), decode(text)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_mistakes_are_told_at_once_and_nothing_is_overlooked() {
        let mut params = Params::of("limit=0&since=2026-05-04+10:00&a=1&a=2&sinse=x&flag=yes&id=%41%20b&none=");
        assert_eq!(params.text("id").as_deref(), Some("A b"));
        assert_eq!(params.text("none"), None);
        assert_eq!(params.number("limit", 1..=1000), None);
        assert_eq!(params.time("since"), None);
        assert_eq!(params.text("a"), None);
        assert_eq!(params.flag("flag"), None);
        params.required("target");
        let fault = params.finish().unwrap_err();
        let told: Vec<_> = fault.errors.iter().map(|mistake| mistake.detail.as_str()).collect();
        insta::assert_snapshot!(told.join("\n"), @r"
        `limit` has to be a whole number from 1 to 1000
        `since` has to be a time as in RFC 3339, such as 2026-05-04T10:00:00Z
        `a` is given 2 times
        `flag` has to be true or false
        `target` is required
        `sinse` is no parameter of this address; it takes `id`, `none`, `limit`, `since`, `a`, `flag`, `target`
        ");
    }
}
