//! What the guard lets through and what it refuses, in which words and in what time.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;
use crate::graphql::guard::walk::{Tally, tally};

const BOUNDS: Bounds = Bounds { depth_max: 20, introspection: true };

fn refused(text: &str) -> String {
    let refused = check(text, BOUNDS).unwrap_err();
    let places: Vec<_> = refused.places.iter().map(|place| format!(" {}:{}", place.line, place.column)).collect();
    format!("{} {}{}", refused.code.word(), refused.message, places.concat())
}

/// Fragments that spread the next one ten times each.
fn bomb(levels: usize) -> String {
    let spreads = |level: usize| format!("...f{level} ").repeat(10);
    let fragments = (0..levels).map(|level| format!("fragment f{level} on Query{{{}}}", spreads(level + 1)));
    format!("{{...f0}}{}fragment f{levels} on Query{{a}}", fragments.collect::<String>())
}

fn times(count: usize, part: impl Fn(usize) -> String) -> String {
    (0..count).map(part).collect()
}

#[test]
fn what_would_be_too_much_is_refused_with_the_limit_and_what_was_found() {
    let told = [
        bomb(8),
        format!("{{ {} }}", times(10_000, |n| format!("a{n}:system{{watermark}} "))),
        format!("{{ {} }}", times(1_000, |n| format!("a{n}:a "))),
        format!("{{ {} }}", "a ".repeat(51)),
        format!("{{ a {{ ...F ...F }} }} fragment F on Q {{ {} }}", "a ".repeat(2_500)),
        format!("{{ a {{ {} }} }}", "a ".repeat(5_000)),
        "{a".repeat(5_000),
        format!("{}{}", "{a".repeat(21), "}".repeat(21)),
        format!("{}{}", "{a".repeat(70), "}".repeat(70)),
        format!("{{ a(b: {}1{}) }}", "[".repeat(2_000), "]".repeat(2_000)),
        format!("{{ a {} }}", "@skip(if: false) ".repeat(1_000)),
        format!("{{ {} }}", "a @b @c @d ".repeat(40)),
        format!("{{ ...f0 }} {}", times(10_000, |n| format!("fragment f{n} on Q{{a}}"))),
        format!("{{ ...f0 }} {}", times(1_000, |n| format!("fragment f{n} on Q{{a}}"))),
        format!("{{ a }} {}", "#".repeat(TEXT_BYTES_MAX)),
        format!("query {} {{ a }}", times(90, |n| format!("($v{n}: [[[[[[I]]]]]] = [[[[[[1]]]]]])"))),
    ]
    .map(|text| refused(&text));
    insta::assert_snapshot!(told.join("\n"), @r"
    TOO_COMPLEX the query has 211111111 selections, at most 5000 are allowed; counted with every fragment in its place; ask for less at once
    TOO_COMPLEX the query has 238894 bytes, at most 65536 are allowed; send data as variables
    TOO_COMPLEX the query has 1000 aliases, at most 100 are allowed; counted with every fragment in its place; ask for less at once
    TOO_COMPLEX the query has 51 fields of an operation itself, at most 50 are allowed; send several requests
    TOO_COMPLEX the query has 5003 selections, at most 5000 are allowed; counted with every fragment in its place; ask for less at once
    TOO_COMPLEX the query has 5005 tokens, at most 5000 are allowed; send data as variables, or ask for less at once
    TOO_COMPLEX the query has 10000 tokens, at most 5000 are allowed; send data as variables, or ask for less at once
    TOO_COMPLEX the query has 21 levels of fields, at most 20 are allowed; nest less deep
    TOO_COMPLEX the query has more than 64 levels of selections; nest less deep
    TOO_COMPLEX the query has 2002 levels of brackets, at most 100 are allowed; nest less deep
    TOO_COMPLEX the query has 7003 tokens, at most 5000 are allowed; send data as variables, or ask for less at once
    TOO_COMPLEX the query has 120 directives, at most 100 are allowed; counted with every fragment in its place; ask for less at once
    TOO_COMPLEX the query has 218900 bytes, at most 65536 are allowed; send data as variables
    TOO_COMPLEX the query has 7004 tokens, at most 5000 are allowed; send data as variables, or ask for less at once
    TOO_COMPLEX the query has 65542 bytes, at most 65536 are allowed; send data as variables
    BAD_INPUT the query cannot be read at line 1, column 43: `(` is not expected 1:43
    ");
}

#[test]
fn mistakes_are_told_in_plain_sentences_with_their_place() {
    let told = [
        "",
        "  # nothing",
        "{",
        "{ a",
        "{ a }}",
        "{ a(b: ) }",
        "{ a(b: \"x) }",
        "query Q { a }\nquery { b }",
        "query Q { a }\nquery Q { b }",
        "{ ...F }\nfragment F on Q { a }\nfragment F on Q { b }",
        "fragment F on Q { a }",
        "{\n  a\n  ?\n}",
        "{ ä }",
        "type A { b: Int }",
        "{ ...A } fragment A on Q { a { ...B } } fragment B on Q { ...A }",
        "{ ...A } fragment A on Q { ...A }",
        "{ a(x: 18446744073709551616) }",
        "{ a(x: {b: 1, b: 2}) }",
    ]
    .map(refused);
    insta::assert_snapshot!(told.join("\n"), @r#"
    BAD_INPUT the request has no `query`
    BAD_INPUT the query ends too early, at line 1, column 12 1:12
    BAD_INPUT the query ends too early, at line 1, column 2 1:2
    BAD_INPUT the query ends too early, at line 1, column 4 1:4
    BAD_INPUT the query cannot be read at line 1, column 6: `}` is not expected 1:6
    BAD_INPUT the query cannot be read at line 1, column 8: `)` is not expected 1:8
    BAD_INPUT the query cannot be read at line 1, column 8: `"` is not expected 1:8
    BAD_INPUT an operation without a name has to be the only one of its query 2:1 1:1
    BAD_INPUT two operations are called `Q` 2:1 1:1
    BAD_INPUT two fragments are called `F` 3:1 2:1
    BAD_INPUT the query has fragments and no operation
    BAD_INPUT the query cannot be read at line 3, column 3: `?` is not expected 3:3
    BAD_INPUT the query cannot be read at line 1, column 3: `ä` is not expected 1:3
    BAD_INPUT the query cannot be read at line 1, column 1: `type` is not expected 1:1
    BAD_INPUT the fragment `A` contains itself 1:35
    BAD_INPUT the fragment `A` contains itself 1:31
    BAD_INPUT in the query, 18446744073709551616 does not fit a 64-bit number exactly; send it as a string
    BAD_INPUT in the query, `b` is given twice in one object
    "#);
}

/// Each list in a list multiplies the answer by its length: nine of these in each other would be many gigabytes.
#[test]
fn a_schema_is_not_asked_for_in_its_own_terms_again_and_again() {
    let nested = "{ __type(name: \"Node\") { possibleTypes { interfaces { name } } } }";
    let hidden = "{ __type(name: \"Node\") { possibleTypes { ...F } } } fragment F on __Type { interfaces { name } }";
    let told = [
        refused(nested),
        refused(hidden),
        refused(&format!("{{ {} }}", times(6, |n| format!("a{n}: __schema {{ types {{ name }} }} ")))),
        refused(&format!("{{ __schema {{ types {{ {} }} }} }}", times(17, |n| format!("a{n}: fields {{ name }} ")))),
    ];
    insta::assert_snapshot!(told.join("\n"), @"
    TOO_COMPLEX the query has 2 lists of the schema in each other, at most 1 are allowed; ask for each type by itself
    TOO_COMPLEX the query has 2 lists of the schema in each other, at most 1 are allowed; ask for each type by itself
    TOO_COMPLEX the query has 6 questions for the schema, at most 5 are allowed; counted with every fragment in its place; ask for less at once
    TOO_COMPLEX the query has 17 lists of the schema, at most 16 are allowed; counted with every fragment in its place; ask for less at once
    ");
}

#[test]
fn what_people_ask_passes() {
    for example in crate::http::EXAMPLES {
        check(example.query, BOUNDS).unwrap();
    }
    check(include_str!("introspection.graphql"), BOUNDS).unwrap();
    check("{ ...Missing }", BOUNDS).unwrap(); // the schema says what is missing
    check("{ a ...{ b } ...on Q { c(d: [1, {e: \"f\"}]) @include(if: $g) } }", BOUNDS).unwrap();
    let deepest = format!("{}{}", "{a".repeat(20), "}".repeat(20));
    check(&deepest, BOUNDS).unwrap();
}

#[test]
fn the_readme_s_queries_pass() {
    let readme = include_str!("../../../README.md");
    let blocks = readme.split("```graphql\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let mut seen = 0;
    for block in blocks {
        check(block, BOUNDS).unwrap_or_else(|refused| panic!("{}\n{block}", refused.message));
        seen += 1;
    }
    assert!(seen > 3, "found {seen} queries");
}

#[test]
fn introspection_can_be_switched_off_and_typename_stays() {
    let off = Bounds { introspection: false, ..BOUNDS };
    for text in ["{ __schema { types { name } } }", "{ ...F } fragment F on Query { __type(name: \"A\") { name } }"] {
        assert_eq!(check(text, off).unwrap_err().code, Code::Forbidden);
        check(text, BOUNDS).unwrap();
    }
    check("{ __typename }", off).unwrap();
}

/// The shortest of several looks, so that a machine that does something else meanwhile says nothing about the guard.
fn shortest(text: &str) -> Duration {
    let look = || {
        let begun = Instant::now();
        let _ = check(text, BOUNDS);
        begun.elapsed()
    };
    (0..20).map(|_| look()).min().unwrap()
}

#[test]
fn a_bomb_of_700_bytes_costs_less_than_five_milliseconds() {
    let bomb = bomb(8);
    assert!((600..=800).contains(&bomb.len()), "{}", bomb.len());
    let time = shortest(&bomb);
    println!("a bomb of {} bytes is refused in {time:?}", bomb.len());
    assert!(time < Duration::from_millis(5), "{time:?}");
}

#[test]
fn the_largest_texts_are_looked_at_in_bounded_time() {
    let half = TEXT_BYTES_MAX / 2;
    let texts = [
        "{a".repeat(half),
        "{ a(b: ".to_string() + &"[".repeat(TEXT_BYTES_MAX - 10),
        "{ a(b: ".to_string() + &"{a:".repeat(TEXT_BYTES_MAX / 3 - 10),
        "{".to_string() + &"a ".repeat(half - 10),
        "{".to_string() + &"a ".repeat(TOKENS_MAX - 10),
        "{".to_string() + &"a@b(c:1)".repeat(TOKENS_MAX / 8),
        "{".to_string() + &"#\n".repeat(half - 10),
        "{a".to_string() + &" #".repeat(half - 10),
        "query(".to_string() + &"$a:[[[I]]]=1 ".repeat(1_000),
        "\"".repeat(TEXT_BYTES_MAX),
        "{a(b:\"".to_string() + &"\\u00e9".repeat(TEXT_BYTES_MAX / 6 - 10),
        "...".repeat(TEXT_BYTES_MAX / 3),
        "fragment a on b".to_string() + &"{...on c".repeat(90),
    ];
    for text in texts {
        let time = shortest(&text);
        println!("{:?} … ({} bytes): {time:?}", &text[..12], text.len());
        assert!(time < Duration::from_millis(100), "{time:?} for {:?} …", &text[..20]);
    }
}

#[derive(Clone, Debug)]
enum Node {
    Field { alias: bool, directives: usize, children: Vec<Node> },
    Inline(Vec<Node>),
    Spread(usize),
}

fn nodes() -> impl Strategy<Value = Vec<Node>> {
    let leaf = prop_oneof![
        (any::<bool>(), 0..3usize).prop_map(|(alias, directives)| Node::Field { alias, directives, children: vec![] }),
        (0..5usize).prop_map(Node::Spread),
    ];
    let node = leaf.prop_recursive(3, 12, 3, |inner| {
        let some = prop::collection::vec(inner, 1..4);
        prop_oneof![
            (any::<bool>(), 0..3usize, some.clone()).prop_map(|(alias, directives, children)| Node::Field {
                alias,
                directives,
                children
            }),
            some.prop_map(Node::Inline),
        ]
    });
    prop::collection::vec(node, 1..4)
}

fn written(nodes: &[Node]) -> String {
    let one = |node: &Node| match node {
        Node::Field { alias, directives, children } => {
            let alias = if *alias { "x: " } else { "" };
            let set = if children.is_empty() { String::new() } else { written(children) };
            format!("{alias}a {} {set}", "@d ".repeat(*directives))
        }
        Node::Inline(children) => format!("... {}", written(children)),
        Node::Spread(n) => format!("...f{n} "),
    };
    format!("{{ {} }}", nodes.iter().map(one).collect::<String>())
}

/// The same count by putting every fragment in its place; `from` is the first fragment that may be spread here.
fn expanded(nodes: &[Node], fragments: &[Vec<Node>], levels: usize) -> Tally {
    let mut all = Tally { levels, ..Tally::default() };
    for node in nodes {
        let (own, inner) = match node {
            Node::Field { alias, directives, children } => {
                let mut inner = Tally::default();
                if !children.is_empty() {
                    inner = expanded(children, fragments, levels + 1);
                }
                inner.depth += 1;
                inner.roots = 1;
                (Tally { aliases: usize::from(*alias), directives: *directives, ..Tally::default() }, inner)
            }
            Node::Inline(children) => (Tally::default(), expanded(children, fragments, levels + 1)),
            Node::Spread(n) => (Tally::default(), expanded(&fragments[*n], fragments, levels + 1)),
        };
        all.selections += 1 + inner.selections;
        all.aliases += own.aliases + inner.aliases;
        all.directives += own.directives + inner.directives;
        all.depth = all.depth.max(inner.depth);
        all.levels = all.levels.max(inner.levels);
        all.roots += inner.roots;
    }
    all
}

/// A fragment that spreads later ones only, so that there are no cycles.
fn forwards(nodes: Vec<Node>, own: usize) -> Vec<Node> {
    let forward = |node| match node {
        Node::Spread(n) if n <= own => Node::Field { alias: false, directives: 0, children: vec![] },
        Node::Field { alias, directives, children } => {
            Node::Field { alias, directives, children: forwards(children, own) }
        }
        Node::Inline(children) => Node::Inline(forwards(children, own)),
        spread => spread,
    };
    nodes.into_iter().map(forward).collect()
}

proptest! {
    #[test]
    fn the_count_is_that_of_putting_every_fragment_in_its_place(
        operation in nodes(),
        fragments in prop::collection::vec(nodes(), 5),
    ) {
        let fragments: Vec<_> = fragments.into_iter().enumerate().map(|(own, nodes)| forwards(nodes, own)).collect();
        let definitions = fragments.iter().enumerate().map(|(n, nodes)| format!("fragment f{n} on Q {}\n", written(nodes)));
        let text = written(&operation) + &definitions.collect::<String>();
        let found = tally(&parse_query(&text).unwrap()).unwrap();
        prop_assert_eq!(found, expanded(&operation, &fragments, 1), "{}", text);
    }

    #[test]
    fn no_text_makes_the_guard_panic(text in "[{}()\\[\\]\"\\\\#.:$@a-c0-9 \n,é]{0,60}") {
        let _ = check(&text, BOUNDS);
    }
}
