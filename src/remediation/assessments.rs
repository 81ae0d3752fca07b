//! The assessments of a remediation: what each found, component by component, and the score of the whole, which follows
//! from the components where nobody tells it.

use std::collections::BTreeMap;

use super::{
    keys::Keys,
    model::{Assessment, Judgement},
    story::Known,
};
use crate::audit::facts::{
    Component, Part, Standing, Tells,
    effectiveness::{self, verdict},
};

/// The reason that leaves nothing of a score: somebody else has changed the target, so what was seen is not the
/// remediation's doing.
const SPEC_DRIFT: &str = "spec_drift";

/// What the assessments of a stream found.
#[derive(Default)]
pub struct Assessments {
    /// By entity.
    found: BTreeMap<usize, Found>,
    /// The entity of the one that counts.
    latest: Option<usize>,
}

impl Assessments {
    /// Hears what is told; `facts` are in the order of telling, and of each field the latest value counts.
    pub fn find(facts: &[Known]) -> Assessments {
        let mut assessments = Assessments::default();
        for known in facts {
            let ends = match known.fact.tells {
                Tells::AssessmentScheduled { .. } | Tells::Assessing | Tells::ComponentAssessed(_) => false,
                Tells::Assessed { .. } => true,
                _ => continue,
            };
            if ends || !assessments.latest_ended() {
                assessments.latest = Some(known.entity);
            }
            assessments.found.entry(known.entity).or_default().hear(&known.fact.tells);
        }
        assessments
    }

    /// The last that ended, else the last that is told of.
    pub fn latest(&self, keys: &Keys) -> Option<Assessment> {
        let entity = self.latest?;
        Some(self.found[&entity].assessment(&keys.entities[entity].1))
    }

    /// Each that came to a score: its entity, the score, and whether that is there in spite of what was told.
    pub fn scores(&self) -> impl Iterator<Item = (usize, f64, bool)> {
        let ended = self.found.iter().filter(|(_, found)| found.standing.ended());
        ended.filter_map(|(entity, found)| Some((*entity, found.score(found.reason, None)?, found.drifted())))
    }

    /// Names each end by what it came to, which other entries may tell.
    pub fn name(&self, facts: &mut [Known]) {
        let mut titles = BTreeMap::new();
        for known in facts.iter() {
            if let Tells::Assessed { score, reason, standing: Standing::Made, still_fires } = known.fact.tells {
                let found = &self.found[&known.entity];
                let score = found.score(reason, score);
                let effective = verdict(score, reason, still_fires || found.component_fires);
                titles.insert(known.entry, effectiveness::title(score, effective));
            }
        }
        for known in facts.iter_mut().filter(|known| known.fact.about.0 == "ended") {
            if let Some(title) = titles.get(&known.entry) {
                known.fact.title = title.clone();
            }
        }
    }

    fn latest_ended(&self) -> bool {
        self.latest.is_some_and(|entity| self.found[&entity].standing.ended())
    }
}

/// One assessment while it is told.
#[derive(Default)]
struct Found {
    standing: Standing,
    reason: Option<&'static str>,
    /// The score of the whole that is told.
    score: Option<f64>,
    /// In the order of `Part::ALL`.
    components: [Judgement; 3],
    /// Whether the alert still fires: by its component, and by the end.
    component_fires: bool,
    end_fires: bool,
}

impl Found {
    fn hear(&mut self, tells: &Tells) {
        match tells {
            // Components may be told in the moment in which the assessment ends, in any order.
            Tells::Assessing if !self.standing.ended() => self.standing = Standing::Making,
            Tells::ComponentAssessed(component) => self.judge(component),
            Tells::Assessed { score, reason, standing, still_fires } => {
                self.standing = *standing;
                self.score = score.or(self.score);
                self.reason = reason.or(self.reason);
                self.end_fires = *still_fires;
            }
            _ => {}
        }
    }

    /// What is told later wins. Of a component that could not be assessed in the end nothing that was found before is left.
    fn judge(&mut self, told: &Component) {
        let known = &mut self.components[told.part as usize];
        if told.assessed == Some(false) {
            *known = Judgement { details: told.details.clone(), ..Judgement::default() };
            self.component_fires &= told.part != Part::Alert;
            return;
        }
        known.assessed |= told.assessed == Some(true) || told.score.is_some();
        known.score = told.score.or(known.score);
        known.details = told.details.clone().or(known.details.take());
        self.component_fires = told.still_fires.unwrap_or(self.component_fires);
    }

    fn drifted(&self) -> bool {
        self.reason == Some(SPEC_DRIFT)
    }

    /// The score of the whole where it ended for this reason and with this score told, else with any that is told.
    fn score(&self, reason: Option<&str>, told: Option<f64>) -> Option<f64> {
        if reason == Some(SPEC_DRIFT) {
            return Some(0.0);
        }
        let parts = Part::ALL.into_iter().zip(&self.components);
        told.or(self.score).or_else(|| effectiveness::score(parts.filter_map(|(part, it)| Some((part, it.score?)))))
    }

    fn assessment(&self, id: &str) -> Assessment {
        let score = self.score(self.reason, None);
        let made = self.standing == Standing::Made;
        let [health, alert, metrics] = self.components.clone();
        Assessment {
            id: id.to_string(),
            standing: self.standing,
            reason: self.reason,
            score,
            effective: verdict(score, self.reason, self.end_fires || self.component_fires).filter(|_| made),
            health,
            alert,
            metrics,
        }
    }
}
