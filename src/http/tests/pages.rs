//! The pages for people.

use axum::http::{Method, header};
use serde_json::json;
use tower::ServiceExt as _;

use super::server::{Server, request};
use crate::http::{EXAMPLES, pages::console};

#[tokio::test]
async fn the_landing_page_shows_the_examples_and_needs_nothing_from_elsewhere() {
    let landing = Server::new().get("/").await;
    assert!(landing.text.contains("query LatestRemediations") && landing.text.contains("/graphiql"));
    assert!(!landing.text.contains("src=") && !landing.text.contains("https://"), "{}", landing.text);
}

#[tokio::test]
async fn graphiql_comes_whole_out_of_the_binary_or_says_how_to_get_it() {
    let server = Server::new();
    let page = server.get("/graphiql").await;
    assert_eq!((page.status, page.header(header::CONTENT_TYPE)), (200, "text/html; charset=utf-8"));
    if console::bundled_names().is_empty() {
        assert!(page.text.contains("make setup") && page.text.contains("plain.js"), "{}", page.text);
        return;
    }
    let policy = page.header(header::CONTENT_SECURITY_POLICY);
    assert!(policy.starts_with("default-src 'none'; script-src 'self';") && !policy.contains("http"), "{policy}");
    let addresses: Vec<_> =
        page.text.split(['"', '\'']).filter(|text| text.contains("//") || text.contains("/assets/")).collect();
    assert!(addresses.len() >= 3, "an icon, a style and a script: {addresses:?}");
    for address in addresses {
        assert!(address.starts_with("/graphiql/assets/"), "{address} is elsewhere");
        assert_eq!(server.get(address).await.status, 200, "{address}");
    }
}

#[tokio::test]
async fn every_file_of_the_bundle_is_served_as_what_it_is_and_kept_by_browsers() {
    let server = Server::new();
    for name in console::bundled_names() {
        if name == "index.html" || name.ends_with(".gz") {
            continue;
        }
        let get = async |encoding: &str| {
            let request = request(Method::GET, &format!("/graphiql/{name}"), &[("accept-encoding", encoding)], "");
            server.router.clone().oneshot(request).await.unwrap()
        };
        let plain = get("identity").await;
        assert_eq!(plain.status(), 200, "{name}");
        assert_eq!(plain.headers()[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
        let script = name.ends_with(".js");
        let media = plain.headers()[header::CONTENT_TYPE].to_str().unwrap();
        assert_eq!(media == "text/javascript; charset=utf-8", script, "{name} is {media}");
        let kept = plain.headers()[header::CACHE_CONTROL] == "public, max-age=31536000, immutable";
        assert_eq!(kept, name.starts_with("assets/"), "{name}");
        assert!(!plain.headers().contains_key(header::CONTENT_ENCODING), "{name}");

        // What was compressed beforehand has a known length; what is compressed on the way has none.
        let compressed = get("gzip, br").await;
        if console::bundled_names().contains(&format!("{name}.gz")) {
            assert_eq!(compressed.headers()[header::CONTENT_ENCODING], "gzip", "{name}");
            let length =
                |of: &axum::http::HeaderMap| of[header::CONTENT_LENGTH].to_str().unwrap().parse::<u64>().unwrap();
            assert!(length(compressed.headers()) < length(plain.headers()), "{name}");
        }
    }
}

#[tokio::test]
async fn the_plain_editor_is_there_in_every_build_and_brings_its_own_script() {
    let server = Server::new();
    let page = server.get("/graphiql/plain").await;
    assert_eq!((page.status, page.header(header::CACHE_CONTROL)), (200, "no-cache"));
    assert!(page.header(header::CONTENT_SECURITY_POLICY).contains("script-src 'self'"));
    assert!(!page.text.contains("://") && !page.text.contains("{{"), "{}", page.text);
    assert!(page.text.contains(r#"<script src="/graphiql/plain.js">"#));
    let script = server.get("/graphiql/plain.js").await;
    assert_eq!(script.header(header::CONTENT_TYPE), "text/javascript; charset=utf-8");
    assert!(script.text.contains("/graphql"));
}

#[tokio::test]
async fn the_editors_get_the_same_examples_as_the_landing_page() {
    let examples = Server::new().get("/graphiql/examples.json").await.json();
    assert_eq!(examples[0]["query"], json!(EXAMPLES[0].query));
    let of_one: Vec<_> =
        examples.as_array().unwrap().iter().map(|example| example["ofOne"].as_bool().unwrap()).collect();
    assert_eq!(of_one, EXAMPLES.map(|example| example.query.contains("($id: String!, $cluster: String)")));
}

#[tokio::test]
async fn examples_fit_an_editor_beside_its_answer_and_their_names_tell_them_apart() {
    let name = |query: &str| query.split([' ', '(']).nth(1).unwrap().to_string();
    let names: std::collections::BTreeSet<_> = EXAMPLES.iter().map(|example| name(example.query)).collect();
    assert_eq!(names.len(), EXAMPLES.len(), "{names:?}");
    for line in EXAMPLES.iter().flat_map(|example| example.query.lines()) {
        assert!(line.len() <= 66, "{line}");
    }
}

#[tokio::test]
async fn beneath_graphiql_there_is_what_the_bundle_holds_and_no_more() {
    let server = Server::new();
    for path in ["assets/nope.js", "index.html", "plain.html", "../Cargo.toml", "%2e%2e/%2e%2e/Cargo.toml", "assets/"] {
        assert_eq!(server.get(&format!("/graphiql/{path}")).await.status, 404, "{path}");
    }
    let without = Server::with(|app| app.graphiql = false);
    for path in ["/graphiql", "/graphiql/plain", "/graphiql/examples.json"] {
        assert_eq!(without.get(path).await.status, 404, "{path}");
    }
    assert!(!without.get("/").await.text.contains("/graphiql"));
}
