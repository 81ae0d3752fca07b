//! Cuts long texts into pieces that a model can take in whole, where people would pause.

/// Most characters of a piece. all-MiniLM-L6-v2 reads 256 tokens, and texts of this field have 3 to 4 characters a token.
pub const CHARS_MAX: usize = 700;

/// The pieces of a document's text.
pub fn cut(text: &str) -> Vec<String> {
    cut_to(text, CHARS_MAX)
}

/// The pieces of a text, in order; nothing is left out but white space between them. A short text is one piece.
pub fn cut_to(text: &str, chars_max: usize) -> Vec<String> {
    let chars_max = chars_max.max(1);
    let whole = text.trim();
    if whole.len() <= chars_max && !whole.contains('\n') {
        return Some(whole).filter(|whole| !whole.is_empty()).map(str::to_string).into_iter().collect(); // as most are
    }
    let mut pieces: Vec<String> = Vec::new();
    for part in text.split("\n\n").flat_map(|paragraph| fitting(paragraph.trim(), chars_max)) {
        match pieces.last_mut() {
            // Short paragraphs belong together: a heading says nothing alone.
            Some(piece) if length(piece) + 1 + length(part) <= chars_max => {
                piece.push('\n');
                piece.push_str(part);
            }
            _ => pieces.push(part.to_string()),
        }
    }
    pieces
}

/// The paragraph whole, or its parts that fit.
fn fitting(paragraph: &str, chars_max: usize) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = paragraph;
    while let Some((end, _)) = rest.char_indices().nth(chars_max) {
        let (part, more) = rest.split_at(pause(&rest[..end]));
        parts.push(part.trim_end());
        rest = more.trim_start();
    }
    parts.push(rest);
    parts.retain(|part| !part.is_empty());
    parts
}

/// Where to end a part that is too long: behind its last line or sentence, else its last word, else where it is.
fn pause(text: &str) -> usize {
    let behind = |found: Option<usize>| found.map(|place| place + 1).filter(|end| *end > text.len() / 3);
    let sentence = [". ", "! ", "? ", "; "].into_iter().filter_map(|end| text.rfind(end)).max();
    behind(text.rfind('\n').max(sentence))
        .or_else(|| text.rfind(char::is_whitespace).filter(|end| *end > 0))
        .unwrap_or(text.len())
}

fn length(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_long_text_is_cut_where_people_pause() {
        let sentence = "The heap grows until the kernel steps in. ".repeat(30);
        let pieces = cut(&format!("# Summary\n\nIt leaks.\n\n{sentence}"));
        assert!(pieces.len() >= 2, "{pieces:?}");
        assert!(pieces[0].starts_with("# Summary\nIt leaks."), "{pieces:?}");
        assert!(pieces.iter().all(|piece| piece.ends_with('.')), "{pieces:?}");
    }

    proptest! {
        #[test]
        fn nothing_but_white_space_is_lost_and_every_piece_fits(
            text in "[a-zé.\n ]{0,4000}",
            chars_max in prop_oneof![Just(CHARS_MAX), 1_usize..60],
        ) {
            let pieces = cut_to(&text, chars_max);
            let bare = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
            prop_assert_eq!(bare(&pieces.concat()), bare(&text));
            for piece in &pieces {
                prop_assert!(length(piece) <= chars_max);
                prop_assert!(!piece.trim().is_empty());
            }
        }
    }
}
