//! The words that a text is found by. Full-text search takes names such as `KubePodOOMKilled` for one word; people look for
//! its parts.

/// The text, and behind it the parts of the names in it that are written as one word.
pub fn searchable(text: &str) -> String {
    let mut all = text.to_string();
    for name in text.split(|c: char| !c.is_alphanumeric()) {
        if !name.chars().skip(1).any(char::is_uppercase) {
            continue; // no part of it begins within
        }
        let parts = parts(name);
        if parts.len() > 1 {
            all.push(' ');
            all.push_str(&parts.join(" "));
        }
    }
    all
}

/// The parts of a name in camel case: `KubePodOOMKilled` has `Kube`, `Pod`, `OOM` and `Killed`.
fn parts(name: &str) -> Vec<String> {
    let letters: Vec<char> = name.chars().collect();
    let mut parts: Vec<String> = Vec::new();
    for (place, letter) in letters.iter().enumerate() {
        let after_lower = place > 0 && letters[place - 1].is_lowercase();
        let before_lower = letters.get(place + 1).is_some_and(|next| next.is_lowercase());
        let begins = place == 0 || (letter.is_uppercase() && (after_lower || before_lower));
        match parts.last_mut() {
            Some(part) if !begins => part.push(*letter),
            _ => parts.push(letter.to_string()),
        }
    }
    // A part of one letter is none that anybody looks for, and `iPhone` or `HTTPs` are no lists of words.
    if parts.iter().any(|part| part.chars().count() < 2) { Vec::new() } else { parts }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_by_its_parts_too() {
        assert_eq!(parts("KubePodOOMKilled"), ["Kube", "Pod", "OOM", "Killed"]);
        assert_eq!(parts("CrashLoopBackOff"), ["Crash", "Loop", "Back", "Off"]);
        assert_eq!(parts("checkout"), ["checkout"]);
        assert_eq!(parts("x509"), ["x509"]);
        assert_eq!(searchable("a KubePodOOMKilled, twice"), "a KubePodOOMKilled, twice Kube Pod OOM Killed");
    }
}
