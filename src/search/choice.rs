//! Which documents are embedded, as people write it: kinds, and single fields of kinds.

use crate::{
    audit::Kind,
    projection::search_documents::{FIELDS, SUMMARY, WHOLE},
};

/// Kinds (`AI_ANALYSIS`) and fields of kinds (`OTHER.signal`), each once and in order. `REMEDIATION` is the summary of each
/// remediation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice(Vec<String>);

impl Default for Choice {
    fn default() -> Choice {
        let words = [
            "AI_ANALYSIS",
            "WORKFLOW_EXECUTION",
            "SIGNAL_PROCESSING",
            "EFFECTIVENESS",
            "OTHER.signal",
            "ORCHESTRATION.signal",
            WHOLE,
        ];
        Choice::of(words.map(str::to_string).to_vec())
    }
}

impl Choice {
    /// Reads words between commas; a kind may be written in any case. What there is not is refused, with what there is.
    pub fn parse(text: &str) -> Result<Choice, String> {
        let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
        let words = words.map(word).collect::<Result<Vec<String>, String>>()?;
        if words.is_empty() {
            return Err(format!("name at least one kind, or field of a kind; there are {}", kinds().join(", ")));
        }
        Ok(Choice::of(words))
    }

    /// A field beside its whole kind says nothing new.
    fn of(mut words: Vec<String>) -> Choice {
        words.sort_unstable();
        words.dedup();
        let kept = words.iter().filter(|word| match word.split_once('.') {
            Some((kind, _)) => words.iter().all(|other| other != kind),
            None => true,
        });
        Choice(kept.cloned().collect())
    }

    pub fn words(&self) -> &[String] {
        &self.0
    }

    /// The one way to write it.
    pub fn text(&self) -> String {
        self.0.join(",")
    }

    /// Nothing at all is chosen.
    pub fn empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a field of a kind is chosen.
    pub fn allows(&self, kind: &str, field: &str) -> bool {
        self.0.iter().any(|word| match word.split_once('.') {
            Some((of, name)) => (of, name) == (kind, field),
            None => word == kind,
        })
    }

    /// What both choose.
    pub fn intersection(&self, other: &Choice) -> Choice {
        let within = |words: &[String], other: &Choice| -> Vec<String> {
            let allowed = |word: &&String| match word.split_once('.') {
                Some((kind, field)) => other.allows(kind, field),
                None => other.0.contains(word),
            };
            words.iter().filter(allowed).cloned().collect()
        };
        let mut words = within(&self.0, other);
        words.extend(within(&other.0, self));
        Choice::of(words)
    }
}

/// One word in its one spelling.
fn word(given: &str) -> Result<String, String> {
    let (kind, field) = given.split_once('.').map_or((given, None), |(kind, field)| (kind, Some(field)));
    let known = match Kind::parse(kind) {
        Some(kind) => kind.word(),
        None if kind.eq_ignore_ascii_case(WHOLE) => WHOLE,
        None => return Err(format!("there is no kind `{kind}`; there are {}", kinds().join(", "))),
    };
    let Some(field) = field else { return Ok(known.to_string()) };
    let fields = fields(known);
    if !fields.contains(&field) {
        return Err(format!("`{known}` has no text `{field}`; it has {}", fields.join(", ")));
    }
    Ok(format!("{known}.{field}"))
}

fn kinds() -> Vec<&'static str> {
    Kind::ALL.into_iter().map(Kind::word).chain([WHOLE]).collect()
}

/// The fields of a kind that have texts.
fn fields(kind: &str) -> Vec<&'static str> {
    if kind == WHOLE {
        return vec![SUMMARY];
    }
    FIELDS.iter().filter(|(of, _, _)| of.word() == kind).flat_map(|(_, _, fields)| fields.iter().copied()).collect()
}

#[cfg(test)]
mod tests {
    use proptest::{prelude::*, sample::subsequence};

    use super::*;

    /// Every word that may be written.
    fn all() -> Vec<String> {
        let of = |kind: &'static str| fields(kind).into_iter().map(move |field| format!("{kind}.{field}"));
        kinds().into_iter().flat_map(|kind| of(kind).chain([kind.to_string()])).collect()
    }

    fn choices() -> impl Strategy<Value = Choice> {
        let count = all().len();
        prop_oneof![subsequence(all(), 0..=6), subsequence(all(), 0..=count)].prop_map(Choice::of)
    }

    #[test]
    fn a_choice_has_one_spelling() {
        let choice =
            Choice::parse(" other.signal, ai-analysis,AI_ANALYSIS.rootCause , remediation,other.signal").unwrap();
        assert_eq!(choice.text(), "AI_ANALYSIS,OTHER.signal,REMEDIATION");
        assert_eq!(Choice::parse(&choice.text()), Ok(choice));
        assert_eq!(Choice::parse(&Choice::default().text()), Ok(Choice::default()));
    }

    #[test]
    fn what_there_is_not_is_refused_with_what_there_is() {
        let refused = |text| Choice::parse(text).unwrap_err();
        insta::assert_snapshot!(refused("AI_ANALYSIS,pigeon"), @"there is no kind `pigeon`; there are ORCHESTRATION, SIGNAL_PROCESSING, AI_ANALYSIS, WORKFLOW_EXECUTION, NOTIFICATION, EFFECTIVENESS, OTHER, REMEDIATION");
        insta::assert_snapshot!(refused("signalProcessing.wings"), @"`SIGNAL_PROCESSING` has no text `wings`; it has signal, errorMessage");
        insta::assert_snapshot!(refused("remediation.phase"), @"`REMEDIATION` has no text `phase`; it has summary");
        assert!(refused(" , ").starts_with("name at least one kind"));
    }

    #[test]
    fn a_kind_and_one_of_its_fields_have_the_field_in_common() {
        let both = Choice::parse("AI_ANALYSIS,OTHER").unwrap().intersection(&Choice::parse("OTHER.signal").unwrap());
        assert_eq!(both.text(), "OTHER.signal");
        assert!(Choice::parse("OTHER.payload").unwrap().intersection(&both).empty());
    }

    proptest! {
        #[test]
        fn the_intersection_allows_exactly_what_both_allow(one in choices(), other in choices()) {
            let both = one.intersection(&other);
            for kind in kinds() {
                for field in fields(kind) {
                    let allowed = one.allows(kind, field) && other.allows(kind, field);
                    prop_assert_eq!(both.allows(kind, field), allowed, "{}.{}", kind, field);
                }
            }
            prop_assert_eq!(&both, &other.intersection(&one));
            prop_assert_eq!(&both.intersection(&one), &both);
        }
    }
}
