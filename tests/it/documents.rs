//! What the pages say is so: their examples work as they stand, and the tests that they name are there.

use std::collections::BTreeSet;

use serde_json::Value;
use uuid::Uuid;

use crate::support::{
    app::App,
    page::{Block, blocks, read},
};

#[tokio::test]
async fn every_example_of_the_page_for_controllers_works_and_together_they_tell_a_whole_remediation() {
    let app = App::start().await;
    let blocks = blocks(&read("docs/integrate.md"));
    for round in [Round::First, Round::Again] {
        let (mut commands, mut answers) = (0, 0);
        let mut after = blocks.iter().peekable();
        while let Some(block) = after.next() {
            match block.sort.as_str() {
                "sh" => commands += run(&app, block, round).await,
                "graphql" => {
                    let variables = after.next_if(|next| next.sort == "json variables").map(json);
                    let expected = after.next_if(|next| next.sort == "json answer").map(json);
                    answers += usize::from(expected.is_some());
                    ask(&app, block, variables.unwrap_or_default(), expected).await;
                }
                "json" => drop(json(block)),
                "go" | "yaml" => {}
                other => panic!("line {}: nobody looks at a block of `{other}`", block.line),
            }
        }
        assert!(commands > 0 && answers > 0, "{commands} commands, {answers} answers");
    }
}

#[test]
fn the_ids_of_the_page_for_controllers_are_made_by_its_recipe() {
    let page = read("docs/integrate.md");
    let made: BTreeSet<Uuid> = page.split("uuid5(").skip(1).map(made).collect();
    let sent: BTreeSet<Uuid> = blocks(&page)
        .iter()
        .flat_map(|block| match block.sort.as_str() {
            "sh" => block.curls().iter().filter_map(|curl| curl.body.as_deref()).flat_map(ids).collect::<Vec<_>>(),
            "json variables" => ids(&block.text),
            _ => Vec::new(),
        })
        .collect();

    assert_eq!(sent, made);
}

#[tokio::test]
async fn every_example_of_rest_in_the_readme_works() {
    let app = App::start().await;
    let mut commands = 0;
    for block in about_rest() {
        match block.sort.as_str() {
            "sh" => commands += run(&app, &block, Round::First).await,
            "json" => drop(json(&block)),
            other => panic!("line {}: nobody looks at a block of `{other}`", block.line),
        }
    }
    assert!(commands > 0);
}

#[test]
fn the_readme_has_an_example_of_every_operation_of_rest() {
    let document: Value = serde_json::from_str(&read("openapi.json")).unwrap();
    let called: Vec<(String, String)> = about_rest()
        .iter()
        .filter(|block| block.sort == "sh")
        .flat_map(Block::curls)
        .map(|curl| (curl.method().as_str().to_lowercase(), curl.path.split('?').next().unwrap().to_string()))
        .collect();
    for (template, operations) in document["paths"].as_object().unwrap() {
        for method in operations.as_object().unwrap().keys() {
            let there = called.iter().any(|(called, path)| called == method && fits(path, template));
            assert!(there, "the README has no example of {method} {template}");
        }
    }
}

#[test]
fn every_row_about_kubernaut_names_tests_that_are_there() {
    let page = read("docs/kubernaut-compatibility.md");
    let mut rows = 0;
    for (line, cell) in tests_named(&page) {
        let (mut source, mut named) = (None, 0);
        for word in cell.split('`').skip(1).step_by(2) {
            if word.ends_with(".rs") {
                let path = if word.starts_with("src/") { word.to_string() } else { format!("tests/it/{word}") };
                let text = read(&path);
                source = Some((path, text));
                continue;
            }
            let (path, text) = source.as_ref().unwrap_or_else(|| panic!("line {line}: `{word}` of which file?"));
            assert!(is_test(text, word), "line {line}: `{path}` has no test `{word}`");
            named += 1;
        }
        assert!(named > 0, "line {line} names no test: {cell}");
        rows += 1;
    }
    assert!(rows > 0);

    let operation = |text: &str| text.contains(" /") && !text.contains('`');
    let told = page.lines().filter_map(|text| Some(text.strip_prefix("| `")?.split_once("` |")?.0));
    let told: BTreeSet<&str> = told.filter(|text| operation(text)).collect();
    let shown: BTreeSet<&str> = page.lines().filter_map(|text| Some(item(text)?.0)).collect();
    assert_eq!(told, shown, "each operation in the table has its tests below it");
}

#[test]
fn the_readme_tells_of_every_metric_of_a_server() {
    let (source, readme) = (read("src/telemetry/metrics.rs"), read("README.md"));
    let name = |text: &&str| {
        text.starts_with("binnacle_") && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
    };
    let names: BTreeSet<&str> = source.split('"').filter(name).collect();

    let untold: Vec<&&str> = names.iter().filter(|name| !readme.contains(&format!("`{name}`"))).collect();

    assert!(names.contains("binnacle_append_seconds"), "{names:?}");
    assert!(untold.is_empty(), "{untold:?}");
}

/// Whether a page is read for the first time, or everything on it has been sent already.
#[derive(Clone, Copy, PartialEq)]
enum Round {
    First,
    Again,
}

/// Runs the commands of a block, one after the other, and gives their number. Each is answered as the page says, one that
/// says nothing with success; sent again, 200 stands for 201 where the endpoint is not Kubernaut's.
async fn run(app: &App, block: &Block, round: Round) -> usize {
    let curls = block.curls();
    for curl in &curls {
        let answer = curl.run(app).await;
        let (line, status) = (block.line, answer.status.as_u16());
        let known = round == Round::Again && !curl.path.starts_with("/api/v1/audit/events");
        match curl.promised {
            Some(201) if known => assert_eq!(status, 200, "line {line}, {}: {}", curl.path, answer.text),
            Some(expected) => assert_eq!(status, expected, "line {line}, {}: {}", curl.path, answer.text),
            None => assert!(answer.status.is_success(), "line {line}, {}: {}", curl.path, answer.text),
        }
        if curl.path.starts_with("/graphql") {
            judge(line, &answer.json());
        }
        app.projected().await;
    }
    curls.len()
}

/// Asks what a block of GraphQL asks, once what the page told before has arrived everywhere.
async fn ask(app: &App, block: &Block, variables: Value, expected: Option<Value>) {
    app.projected().await;
    let answer = app.ask(&block.text, variables).await;
    judge(block.line, &answer);
    if let Some(expected) = expected {
        let told = &answer["data"];
        assert_eq!(*told, expected, "the answer to the query in line {} is\n{told:#}", block.line);
    }
}

/// An answer of GraphQL that tells no failure of any sort.
fn judge(line: usize, answer: &Value) {
    assert!(answer.get("errors").is_none(), "line {line}: {answer:#}");
    assert!(!answer.to_string().contains("\"problems\":"), "line {line}: {answer:#}");
}

fn json(block: &Block) -> Value {
    serde_json::from_str(&block.text).unwrap_or_else(|error| panic!("line {}: {error}", block.line))
}

/// `<namespace>, "<name>")…` as the UUIDv5 that it stands for.
fn made(text: &str) -> Uuid {
    let (namespace, rest) = text.split_once(", \"").unwrap();
    let (name, _) = rest.split_once("\")").unwrap();
    Uuid::new_v5(&namespace.parse().unwrap(), name.as_bytes())
}

/// All ids of audits in a body.
fn ids(body: &str) -> Vec<Uuid> {
    fn gather(value: &Value, ids: &mut Vec<Uuid>) {
        match value {
            Value::Object(members) => {
                let own = ["event_id", "eventId"].into_iter().filter_map(|name| members.get(name));
                ids.extend(own.map(|id| id.as_str().unwrap().parse::<Uuid>().unwrap()));
                members.values().for_each(|member| gather(member, ids));
            }
            Value::Array(items) => items.iter().for_each(|item| gather(item, ids)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    gather(&serde_json::from_str(body).unwrap(), &mut found);
    found
}

/// The blocks of the README's section about REST.
fn about_rest() -> Vec<Block> {
    let readme = read("README.md");
    let titles = (1..).zip(readme.lines()).filter(|(_, text)| text.starts_with("## "));
    let mut titles = titles.skip_while(|(_, text)| *text != "## REST").map(|(line, _)| line);
    let from = titles.next().expect("the README has a section about REST");
    let section = from..titles.next().unwrap_or(usize::MAX);
    blocks(&readme).into_iter().filter(|block| section.contains(&block.line)).collect()
}

/// Whether a path is one of those that a template, such as `/events/{event_id}`, stands for.
fn fits(path: &str, template: &str) -> bool {
    let (parts, wanted): (Vec<_>, Vec<_>) = (path.split('/').collect(), template.split('/').collect());
    parts.len() == wanted.len()
        && parts.iter().zip(wanted).all(|(part, wanted)| *part == wanted || wanted.starts_with('{'))
}

/// What names tests, with its line: the last cell of each row of the tables whose last column is `test`, and the items of
/// lists.
fn tests_named(page: &str) -> Vec<(usize, &str)> {
    let mut named = Vec::new();
    let mut within = false;
    for (line, text) in (1..).zip(page.lines()) {
        named.extend(item(text).map(|(_, tests)| (line, tests)));
        let last = text.trim_end().strip_suffix('|').and_then(|row| row.rsplit('|').next()).map(str::trim);
        match last {
            None => within = false,
            Some("test") => within = true,
            Some(cell) if within && !cell.starts_with("---") => named.push((line, cell)),
            Some(_) => {}
        }
    }
    named
}

/// An operation and its tests, of a line of a list.
fn item(line: &str) -> Option<(&str, &str)> {
    line.strip_prefix("- `")?.split_once("`: ")
}

/// Whether a source has a test of this name.
fn is_test(source: &str, name: &str) -> bool {
    let mut attributes = Vec::new();
    for line in source.lines().map(str::trim) {
        if line.starts_with("#[") {
            attributes.push(line);
            continue;
        }
        let signature = line.strip_prefix("async ").unwrap_or(line);
        let function = signature.strip_prefix("fn ").and_then(|rest| rest.split('(').next());
        if function == Some(name) && attributes.iter().any(|attribute| attribute.contains("test")) {
            return true;
        }
        attributes.clear();
    }
    false
}
