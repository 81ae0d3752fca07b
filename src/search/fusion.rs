//! One order from two: what is near in meaning, and what tells the words that were asked for. Pure.

use std::collections::BTreeMap;

/// Of the mixed score of a remediation, the share of its meaning; the rest is its words'. A cosine moves within a few tenths
/// where a share of the best words moves within one, so this makes both about as strong. Chosen by measurement: see
/// `docs/search-quality.md`.
const MEANING_SHARE: f64 = 0.875;

/// A remediation that either list has.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    pub first_position: i64,
    /// How like the question it is; larger is better.
    pub meaning: Option<f64>,
    /// How well it tells the words; larger is better.
    pub words: Option<f64>,
}

/// A remediation in the one order, with the parts of its score.
#[derive(Clone, Debug, PartialEq)]
pub struct Fused {
    pub first_position: i64,
    /// 0 to 1; comparable within one question only.
    pub score: f64,
    pub meaning: Option<Part>,
    pub words: Option<Part>,
}

/// What one list says of a remediation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Part {
    /// As the list counts.
    pub score: f64,
    /// Its place in the list, from 1.
    pub rank: usize,
}

/// Mixes both lists: the cosine, and the words as a share of the best that any remediation tells, by their shares. Neither
/// depends on how many others are looked at. Ties go to the later remediation.
pub fn fuse(candidates: &[Candidate]) -> Vec<Fused> {
    let meaning = ranked(candidates, |candidate| candidate.meaning);
    let words = ranked(candidates, |candidate| candidate.words);
    let most = words.values().map(|part| part.score).fold(f64::MIN_POSITIVE, f64::max);
    let share = match (meaning.is_empty(), words.is_empty()) {
        (true, _) => 0.0,
        (_, true) => 1.0,
        _ => MEANING_SHARE,
    };
    let mut fused: Vec<Fused> = candidates
        .iter()
        .map(|candidate| {
            let first = candidate.first_position;
            let (meaning, words) = (meaning.get(&first).copied(), words.get(&first).copied());
            let score = share * meaning.map_or(0.0, |part| part.score.clamp(0.0, 1.0))
                + (1.0 - share) * words.map_or(0.0, |part| part.score / most);
            Fused { first_position: first, score, meaning, words }
        })
        .collect();
    fused.sort_by(|a, b| b.score.total_cmp(&a.score).then(b.first_position.cmp(&a.first_position)));
    fused
}

/// The candidates that a list has, with their place in it.
fn ranked(candidates: &[Candidate], score: impl Fn(&Candidate) -> Option<f64>) -> BTreeMap<i64, Part> {
    let mut list: Vec<(i64, f64)> =
        candidates.iter().filter_map(|candidate| Some((candidate.first_position, score(candidate)?))).collect();
    list.sort_by(|a, b| b.1.total_cmp(&a.1).then(b.0.cmp(&a.0)));
    list.into_iter().enumerate().map(|(place, (first, score))| (first, Part { score, rank: place + 1 })).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(first_position: i64, meaning: Option<f64>, words: Option<f64>) -> Candidate {
        Candidate { first_position, meaning, words }
    }

    fn order(candidates: &[Candidate]) -> Vec<i64> {
        fuse(candidates).iter().map(|fused| fused.first_position).collect()
    }

    #[test]
    fn what_both_lists_praise_comes_first() {
        let candidates = [
            candidate(1, Some(0.62), None),
            candidate(2, Some(0.60), Some(9.0)),
            candidate(3, Some(0.45), Some(10.0)),
            candidate(4, Some(0.41), Some(1.0)),
        ];
        assert_eq!(order(&candidates)[0], 2);
        assert_eq!(order(&candidates)[3], 4);
    }

    #[test]
    fn one_list_alone_keeps_its_order() {
        let words = [candidate(1, None, Some(1.0)), candidate(2, None, Some(3.0)), candidate(3, None, Some(2.0))];
        assert_eq!(order(&words), [2, 3, 1]);
        let meaning = [candidate(1, Some(0.1), None), candidate(2, Some(0.3), None)];
        assert_eq!(order(&meaning), [2, 1]);
        assert!(fuse(&[]).is_empty());
    }

    #[test]
    fn equals_go_to_the_later() {
        assert_eq!(order(&[candidate(1, Some(0.5), None), candidate(2, Some(0.5), None)]), [2, 1]);
    }
}
