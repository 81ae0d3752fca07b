//! A first look at the text of a document, before the parser takes it: how many tokens and comments it has, and how deep its brackets nest.

/// What the text comes to. Where the text is no GraphQL, the figures may be larger than what a parser would reach, but never
/// smaller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    /// Comments included.
    pub tokens: usize,
    pub nesting: usize,
}

pub fn shape(text: &str) -> Shape {
    let bytes = text.as_bytes();
    let (mut shape, mut open, mut at) = (Shape::default(), 0_usize, 0);
    while at < bytes.len() {
        let rest = &bytes[at..];
        let length = match rest[0] {
            b' ' | b'\t' | b'\n' | b'\r' | b',' => {
                at += 1;
                continue;
            }
            // Not a token, but a parser has to pass it wherever one might begin.
            b'#' => run(rest, |byte| !matches!(byte, b'\n' | b'\r')),
            b'"' => string(rest),
            b'{' | b'[' | b'(' => {
                open += 1;
                shape.nesting = shape.nesting.max(open);
                1
            }
            b'}' | b']' | b')' => {
                open = open.saturating_sub(1);
                1
            }
            b'.' => run(rest, |byte| byte == b'.'),
            byte if word(byte) => run(rest, word),
            _ => 1,
        };
        shape.tokens += 1;
        at += length;
    }
    shape
}

/// Letters and digits, and bytes of characters that GraphQL has no token for.
fn word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || !byte.is_ascii()
}

fn run(bytes: &[u8], belongs: impl Fn(u8) -> bool) -> usize {
    bytes.iter().take_while(|byte| belongs(**byte)).count()
}

/// The length of the string at the start of `bytes`; one that has no end ends with its line, where a parser gives up.
fn string(bytes: &[u8]) -> usize {
    let block = bytes.starts_with(b"\"\"\"");
    let mut at = if block { 3 } else { 1 };
    while at < bytes.len() {
        let rest = &bytes[at..];
        at += match (block, rest[0]) {
            (true, _) if rest.starts_with(b"\\\"\"\"") => 4,
            (true, _) if rest.starts_with(b"\"\"\"") => return at + 3,
            (false, b'"') => return at + 1,
            (false, b'\n' | b'\r') => return at,
            (false, b'\\') => 2,
            (_, _) => 1,
        };
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> (usize, usize) {
        let shape = shape(text);
        (shape.tokens, shape.nesting)
    }

    #[test]
    fn tokens_are_counted_and_brackets_outside_of_strings_and_comments() {
        assert_eq!(of(""), (0, 0));
        assert_eq!(of("{ a, b(c: [1, {d: $e}]) ...F }"), (19, 4));
        assert_eq!(of("{ a } # {{{{ \n # }"), (5, 1));
        assert_eq!(of(r#"{ a(s: "[[[\"[[") }"#), (8, 2));
        assert_eq!(of("{ a(s: \"\"\"[[ \\\"\"\" [[ \n [[\"\"\") }"), (8, 2));
    }

    #[test]
    fn a_string_without_an_end_hides_nothing_beyond_its_line() {
        assert_eq!(of("{ a(s: \"[[[ \n [[["), (9, 5));
        assert_eq!(of("\"\\"), (1, 0));
        assert_eq!(of("\"\"\"[["), (1, 0));
    }
}
