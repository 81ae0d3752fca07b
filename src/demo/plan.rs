//! Deals the remediations: what goes wrong where, what is recommended, and how it ends.

use super::{
    cast::{CLUSTERS, Cluster, Target, hex},
    families::{self, Cause, Family, Remedy, Signal},
    random::Draw,
    services::{self, Service},
    workflows::{self, Workflow},
};
use sha2::{Digest as _, Sha256};

/// How a remediation ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ending {
    Remediated,
    /// Carried out, but what it did cannot be told.
    Inconclusive,
    VerificationTimedOut,
    ExecutionFailed,
    ExecutionTimedOut,
    AnalysisFailed,
    Rejected,
    Expired,
    Blocked,
    Skipped,
    NoAction,
    ManualReview,
    DryRun,
    Cancelled,
}

/// What the remedy did to the problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    Good,
    /// Good, but something else suffered.
    Mixed,
    Unchanged,
}

/// A stage that an unfinished remediation is caught in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    Investigating,
    AwaitingApproval,
    Executing,
    Verifying,
}

/// Everything that is settled about a remediation before its story is told.
#[derive(Clone, Debug)]
pub struct Plan {
    pub index: u64,
    pub remediation_id: String,
    pub cluster: &'static Cluster,
    pub service: &'static Service,
    pub node: String,
    pub target: Target,
    pub fingerprint: String,
    pub family: &'static Family,
    pub cause: &'static Cause,
    pub signal: &'static Signal,
    pub severity: &'static str,
    pub remedy: &'static Remedy,
    pub ending: Ending,
    pub effect: Effect,
    /// Whether a person has to agree; policy does so otherwise.
    pub asks: bool,
    pub confidence: f64,
    /// The stage in which the present moment finds it, for one that is still running.
    pub caught_in: Option<Stage>,
    /// The remediation of the same target that ended shortly before, if this one is about what became of it.
    pub follows: Option<String>,
}

impl Plan {
    pub fn workflow(&self) -> &'static Workflow {
        workflows::named(self.remedy.workflow)
    }
}

/// How many of a hundred remediations end so.
const ENDINGS: &[(Ending, usize)] = &[
    (Ending::Remediated, 62),
    (Ending::Inconclusive, 2),
    (Ending::VerificationTimedOut, 2),
    (Ending::ExecutionFailed, 7),
    (Ending::ExecutionTimedOut, 3),
    (Ending::AnalysisFailed, 2),
    (Ending::Rejected, 4),
    (Ending::Expired, 3),
    (Ending::Blocked, 2),
    (Ending::Skipped, 3),
    (Ending::NoAction, 4),
    (Ending::ManualReview, 3),
    (Ending::DryRun, 2),
    (Ending::Cancelled, 1),
];

/// Every ending that is dealt.
pub fn endings() -> impl Iterator<Item = Ending> {
    ENDINGS.iter().map(|(ending, _)| *ending)
}

/// The stages of those that still run, the latest last.
const RUNNING: [Stage; 7] = [
    Stage::Verifying,
    Stage::AwaitingApproval,
    Stage::Executing,
    Stage::AwaitingApproval,
    Stage::Investigating,
    Stage::Executing,
    Stage::Investigating,
];

/// The plans, the oldest first.
pub fn deal(remediations: usize) -> Vec<Plan> {
    let running = (remediations / 12).clamp(remediations.min(1), RUNNING.len());
    let mut incidents = Pack::new("incidents", families::ALL.iter().flat_map(|f| vec![*f; f.weight]).collect());
    let mut endings = Pack::new("endings", repeated(ENDINGS));
    let mut clusters = Pack::new("clusters", CLUSTERS.iter().flat_map(|c| vec![c; c.weight]).collect());
    let mut causes: Vec<usize> = vec![0; families::ALL.len()];

    let mut plans: Vec<Plan> = Vec::with_capacity(remediations);
    for index in 0..remediations {
        let mut draw = Draw::new(index as u64, "plan");
        let stage = (index + running).checked_sub(remediations).map(|place| RUNNING[place % RUNNING.len()]);
        let ending = if stage.is_some() { Ending::Remediated } else { endings.next() };
        let again = plans.last().filter(|previous| stage.is_none() && recurs(previous, ending, &mut draw));
        let plan = match again {
            Some(previous) => follow_up(previous, index, ending, &mut draw),
            None => {
                let family = incidents.next();
                // Causes of a family take turns, so that each of them is told about as often.
                let turn = families::ALL.iter().position(|other| other.name == family.name).unwrap_or(0);
                let cause = &family.causes[causes[turn] % family.causes.len()];
                causes[turn] += 1;
                let cluster = suited(&mut clusters, ending, stage);
                incident(index, family, cause, cluster, ending, stage, &mut draw)
            }
        };
        plans.push(plan);
    }
    plans
}

/// Whether the next remediation is about the same trouble: routing holds back what was just remediated, and what did
/// not help comes back.
fn recurs(previous: &Plan, ending: Ending, draw: &mut Draw) -> bool {
    let carried_out = matches!(previous.ending, Ending::Remediated);
    match ending {
        Ending::Skipped | Ending::Blocked => carried_out,
        Ending::Remediated => carried_out && previous.effect == Effect::Unchanged && draw.chance(70),
        _ => false,
    }
}

fn suited(clusters: &mut Pack<&'static Cluster>, ending: Ending, stage: Option<Stage>) -> &'static Cluster {
    let people_decide = matches!(ending, Ending::Rejected | Ending::Expired) || stage == Some(Stage::AwaitingApproval);
    loop {
        let cluster = clusters.next();
        if !people_decide || cluster.environment == "production" {
            return cluster;
        }
    }
}

fn incident(
    index: usize,
    family: &'static Family,
    cause: &'static Cause,
    cluster: &'static Cluster,
    ending: Ending,
    stage: Option<Stage>,
    draw: &mut Draw,
) -> Plan {
    let befallen: Vec<&'static Service> = services::ALL
        .iter()
        .filter(|service| cause.runtimes.is_empty() || cause.runtimes.contains(&service.runtime))
        .collect();
    let service = draw.pick(&befallen);
    let node = cluster.node(draw.below(cluster.nodes));
    let target = Target::at(cause.place, service, &node);
    let fingerprint = target.fingerprint(cluster);
    let remedy = if cause.remedies.len() > 1 && draw.chance(30) { &cause.remedies[1] } else { &cause.remedies[0] };
    let confidence = confidence(ending, draw);
    Plan {
        index: index as u64,
        remediation_id: remediation_id(&fingerprint, index),
        cluster,
        service,
        node,
        target,
        fingerprint,
        family,
        cause,
        signal: signal(family, cause, draw),
        severity: draw.pick(family.severities),
        remedy,
        ending,
        effect: effect(remedy, draw),
        asks: asks(cluster, remedy, confidence, ending, stage, draw),
        confidence,
        caught_in: stage,
        follows: None,
    }
}

fn signal(family: &'static Family, cause: &'static Cause, draw: &mut Draw) -> &'static Signal {
    let given: Vec<&'static Signal> =
        family.signals.iter().filter(|s| cause.signals.is_empty() || cause.signals.contains(&s.name)).collect();
    draw.pick(&given)
}

fn follow_up(previous: &Plan, index: usize, ending: Ending, draw: &mut Draw) -> Plan {
    let remedies = previous.cause.remedies;
    let other = remedies.iter().find(|remedy| remedy.workflow != previous.remedy.workflow).unwrap_or(&remedies[0]);
    let confidence = confidence(ending, draw);
    Plan {
        index: index as u64,
        remediation_id: remediation_id(&previous.fingerprint, index),
        remedy: other,
        ending,
        effect: effect(other, draw),
        asks: asks(previous.cluster, other, confidence, ending, None, draw),
        confidence,
        caught_in: None,
        follows: Some(previous.remediation_id.clone()),
        ..previous.clone()
    }
}

/// The id does not depend on the time that the history ends at, so that guides can name one.
fn remediation_id(fingerprint: &str, index: usize) -> String {
    let unique = hex(&Sha256::digest(format!("binnacle demo remediation {index}")));
    format!("rr-{}-{}", &fingerprint[..12], &unique[..8])
}

fn confidence(ending: Ending, draw: &mut Draw) -> f64 {
    match ending {
        Ending::ManualReview => draw.score(0.28, 0.55),
        Ending::Rejected => draw.score(0.55, 0.86),
        _ => draw.score(0.66, 0.97),
    }
}

fn effect(remedy: &Remedy, draw: &mut Draw) -> Effect {
    match (draw.chance(remedy.odds), draw.chance(11)) {
        (true, false) => Effect::Good,
        (true, true) => Effect::Mixed,
        (false, _) => Effect::Unchanged,
    }
}

fn asks(
    cluster: &Cluster,
    remedy: &Remedy,
    confidence: f64,
    ending: Ending,
    stage: Option<Stage>,
    draw: &mut Draw,
) -> bool {
    if matches!(ending, Ending::Rejected | Ending::Expired) || stage == Some(Stage::AwaitingApproval) {
        return true;
    }
    match cluster.environment {
        // Policy trusts a confident analysis with what is easily undone, and a very confident one with more.
        "production" => confidence < 0.75 || (workflows::named(remedy.workflow).risky && confidence < 0.9),
        "staging" => confidence < 0.7 && draw.chance(50),
        _ => false,
    }
}

fn repeated<T: Copy>(weights: &[(T, usize)]) -> Vec<T> {
    weights.iter().flat_map(|(item, count)| vec![*item; *count]).collect()
}

/// Items that are dealt like cards: shuffled, each as often as the pack holds it, then shuffled anew.
struct Pack<T> {
    cards: Vec<T>,
    next: usize,
    draw: Draw,
}

impl<T: Copy> Pack<T> {
    fn new(purpose: &str, mut cards: Vec<T>) -> Pack<T> {
        let mut draw = Draw::new(0, purpose);
        draw.shuffle(&mut cards);
        Pack { cards, next: 0, draw }
    }

    fn next(&mut self) -> T {
        if self.next == self.cards.len() {
            self.draw.shuffle(&mut self.cards);
            self.next = 0;
        }
        self.next += 1;
        self.cards[self.next - 1]
    }
}
