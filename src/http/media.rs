//! Which media type an answer has: what the header `accept` asks for.

use axum::http::{HeaderMap, header};

/// A media type that GraphQL's answers can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Media {
    Json,
    /// `application/graphql-response+json`: the status tells whether the request was executed.
    GraphqlJson,
    /// `text/event-stream`: answers as they come.
    Events,
}

impl Media {
    pub fn content_type(self) -> &'static str {
        match self {
            // Where there is nothing to tell but a refusal.
            Media::Json | Media::Events => "application/json; charset=utf-8",
            Media::GraphqlJson => "application/graphql-response+json; charset=utf-8",
        }
    }

    /// What the headers ask for; `None` where nothing that there is would do. The newer type is for those who name it, and
    /// before the older one where they want both alike: who names neither may never have heard of it.
    pub fn accepted(headers: &HeaderMap) -> Option<Media> {
        if !headers.contains_key(header::ACCEPT) {
            return Some(Media::Json);
        }
        let newer = wish(headers, "application", "graphql-response+json");
        let older = wish(headers, "application", "json");
        // Who names them last has them as one way of many; a query is better answered at once.
        let events = wish(headers, "text", "event-stream");
        if events.named && events.quality > newer.quality.max(older.quality) {
            return Some(Media::Events);
        }
        match (newer, older) {
            (newer, older) if newer.named && newer.quality > 0.0 && newer.quality >= older.quality => {
                Some(Media::GraphqlJson)
            }
            (_, older) if older.quality > 0.0 => Some(Media::Json),
            (newer, _) if newer.quality > 0.0 => Some(Media::GraphqlJson),
            _ => None,
        }
    }
}

/// How much a media type is wanted, by the narrowest range that holds it.
#[derive(Clone, Copy, Default)]
struct Wish {
    /// From 0, which is not at all, to 1.
    quality: f32,
    /// Whether the type itself is named, and not a range of types.
    named: bool,
}

fn wish(headers: &HeaderMap, kind: &str, subtype: &str) -> Wish {
    let ranges = headers.get_all(header::ACCEPT).iter().flat_map(|value| value.to_str().unwrap_or_default().split(','));
    let matching = ranges.filter_map(|range| {
        let mut parts = range.split(';').map(|part| part.trim().to_ascii_lowercase());
        let name = parts.next().unwrap_or_default();
        let narrowness = match name.split_once('/') {
            Some((a, b)) if a == kind && b == subtype => 2,
            Some((a, "*")) if a == kind => 1,
            Some(("*", "*")) => 0,
            _ => return None,
        };
        let quality = parts.find_map(|part| part.strip_prefix("q=")?.parse::<f32>().ok()).unwrap_or(1.0);
        Some((narrowness, quality))
    });
    let narrowest = matching.max_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
    narrowest.map_or(Wish::default(), |(narrowness, quality)| Wish { quality, named: narrowness == 2 })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepted(accept: &str) -> Option<Media> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, accept.parse().unwrap());
        Media::accepted(&headers)
    }

    #[test]
    fn who_does_not_name_the_newer_type_gets_plain_json() {
        assert_eq!(Media::accepted(&HeaderMap::new()), Some(Media::Json));
        for accept in [
            "*/*",
            "application/*",
            "application/json",
            "APPLICATION/JSON",
            "text/html,application/xml;q=0.9,*/*;q=0.8",
            "application/json, application/graphql-response+json;q=0.9",
            "application/graphql-response+json;q=0, */*",
            "image/png, application/json;q=0.1",
        ] {
            assert_eq!(accepted(accept), Some(Media::Json), "{accept}");
        }
    }

    #[test]
    fn the_newer_type_is_used_where_it_is_named_and_wanted_no_less() {
        for accept in [
            "application/graphql-response+json",
            "application/graphql-response+json; charset=utf-8, application/json;q=0.9",
            "application/json, application/graphql-response+json",
            "application/graphql-response+json;q=0.5, application/*;q=0.5",
            "*/*, application/json;q=0",
        ] {
            assert_eq!(accepted(accept), Some(Media::GraphqlJson), "{accept}");
        }
    }

    #[test]
    fn who_wants_events_most_gets_them() {
        assert_eq!(accepted("text/event-stream"), Some(Media::Events));
        assert_eq!(accepted("application/json;q=0.5, text/event-stream"), Some(Media::Events));
        assert_eq!(accepted("application/json, text/event-stream"), Some(Media::Json));
        assert_eq!(accepted("text/event-stream;q=0, application/json"), Some(Media::Json));
    }

    #[test]
    fn what_there_is_not_is_not_acceptable() {
        for accept in ["text/html", "image/*", "application/xml", "application/json;q=0", "", "json"] {
            assert_eq!(accepted(accept), None, "{accept}");
        }
    }
}
