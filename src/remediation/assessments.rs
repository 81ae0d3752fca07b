//! Assessments that name no score of the whole: it follows from their components, which other entries tell.

use std::collections::HashMap;

use super::story::Known;
use crate::audit::facts::{
    Component, Part, Tells,
    effectiveness::{self, verdict},
};

/// Gives each assessment that ended without a score the one that its components come to, as far as they are known.
/// `facts` are in the order of telling, so the latest telling of a component counts.
pub fn score(facts: &mut [Known]) {
    let unscored = |known: &Known| matches!(known.fact.tells, Tells::Assessed { score: None, .. });
    if !facts.iter().any(unscored) {
        return;
    }
    let mut components: HashMap<(usize, Part), Component> = HashMap::new();
    for known in facts.iter() {
        if let Tells::ComponentAssessed(component) = known.fact.tells {
            components.insert((known.entity, component.part), component);
        }
    }
    let mut titles = HashMap::new();
    for known in facts.iter_mut().filter(|known| unscored(known)) {
        let Tells::Assessed { score, effective, reason, complete } = &mut known.fact.tells else { continue };
        let parts = || {
            let of = |part| components.get(&(known.entity, part));
            [Part::Health, Part::Alert, Part::Metrics].into_iter().filter_map(of)
        };
        let scores = parts().filter_map(|component| Some((component.part, component.score?)));
        *score = effectiveness::score(scores, *reason == Some("spec_drift"));
        let still_fires = parts().any(|component| component.still_fires);
        if *complete {
            *effective = verdict(*score, *reason, still_fires);
            titles.insert(known.entry, effectiveness::title(*score, *effective));
        }
    }
    for known in facts.iter_mut().filter(|known| known.fact.about.0 == "ended") {
        if let Some(title) = titles.get(&known.entry) {
            known.fact.title = title.clone();
        }
    }
}
