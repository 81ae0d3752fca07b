//! Fills fragments of text: `{pod}` is a figure of the story, `{a|b|c}` is one of several wordings. Both may be nested.

use std::collections::BTreeMap;

use super::random::Draw;

/// The facts of one remediation that its texts speak of, by name: they are drawn once, so the texts agree.
pub type Figures = BTreeMap<&'static str, String>;

/// The fragment with its wordings chosen and its figures filled in.
///
/// A figure that the story does not have stays as it stands; a test fills every fragment and looks for braces.
pub fn fill(text: &str, draw: &mut Draw, figures: &Figures) -> String {
    let mut out = String::with_capacity(text.len() + 64);
    let mut rest = text;
    while let Some(open) = rest.find('{') {
        out.push_str(&rest[..open]);
        let inner_and_more = &rest[open + 1..];
        let Some(close) = closing(inner_and_more) else {
            out.push_str(&rest[open..]);
            return out;
        };
        let options = options(&inner_and_more[..close]);
        match options.as_slice() {
            [name] => match figures.get(name) {
                Some(value) => out.push_str(value),
                None => out.push_str(&format!("{{{name}}}")),
            },
            several => out.push_str(&fill(draw.pick(several), draw, figures)),
        }
        rest = &inner_and_more[close + 1..];
    }
    out.push_str(rest);
    out
}

/// Where the brace that is open before `text` closes.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0;
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => return Some(at),
            '}' => depth -= 1,
            _ => {}
        }
    }
    None
}

/// The parts between those `|` that stand in no inner brace.
fn options(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut depth, mut from) = (0, 0);
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            '|' if depth == 0 => {
                parts.push(&text[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[from..]);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wordings_are_chosen_and_figures_filled_in_at_any_depth() {
        let figures = Figures::from([("pod", "checkout-0".to_string())]);
        let mut seen: Vec<String> = (0..40)
            .map(|index| fill("{The pod {pod}|It} {died|was killed}.", &mut Draw::new(index, "t"), &figures))
            .collect();
        seen.sort();
        seen.dedup();
        assert_eq!(seen, ["It died.", "It was killed.", "The pod checkout-0 died.", "The pod checkout-0 was killed."]);
        assert_eq!(fill("{nobody} }", &mut Draw::new(0, "t"), &figures), "{nobody} }");
    }
}
