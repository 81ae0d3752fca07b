//! What goes wrong: the families of incidents, each with its causes, evidence and remedies, as data.

use super::{cast::Place, phrase::Figures, random::Draw, services::Runtime};

mod bad_rollout;
mod certificate_expiry;
mod crash_loop;
mod dependency_outage;
mod disk_full;
mod dns_failure;
mod flapping_probe;
mod image_pull;
mod node_pressure;
mod noisy_neighbour;
mod oom_kill;
mod queue_backlog;
mod quota_exhausted;
mod slow_database;
mod traffic_surge;

/// Incidents that look alike from outside.
#[derive(Debug)]
pub struct Family {
    pub name: &'static str,
    /// How many of these are in the pack that incidents are dealt from.
    pub weight: usize,
    pub severities: &'static [&'static str],
    pub signals: &'static [Signal],
    /// The figures that its texts speak of, beyond those that every story has.
    pub figures: fn(&mut Draw) -> Figures,
    /// What was looked at and is not the cause, whichever the cause is.
    pub ruled_out: &'static [&'static str],
    /// How it went away before anything was done.
    pub passed: &'static [&'static str],
    /// Why the cause could not be told.
    pub unclear: &'static [&'static str],
    /// Why a person refused what was recommended: the workflow that it is about (none: any), and the words.
    pub refusals: &'static [(&'static str, &'static str)],
    pub causes: &'static [Cause],
}

/// What an alert or an event of the cluster says.
#[derive(Debug)]
pub struct Signal {
    pub name: &'static str,
    pub source: &'static str,
    pub summary: &'static str,
    pub description: &'static str,
}

/// A root cause, told in fragments. Fragments of one cause fit each other in any choice, and fit any service and
/// figures of the family.
#[derive(Debug)]
pub struct Cause {
    pub name: &'static str,
    pub place: Place,
    /// The runtimes that it befalls; none for all.
    pub runtimes: &'static [Runtime],
    /// The names of those of the family's signals that it gives; none for all.
    pub signals: &'static [&'static str],
    /// The root cause in a sentence or two.
    pub summary: &'static [&'static str],
    pub openings: &'static [&'static str],
    pub evidence: &'static [&'static str],
    /// Excerpts of logs and of tools' output.
    pub logs: &'static [&'static str],
    pub reasoning: &'static [&'static str],
    /// The whole finding in an on-call engineer's shorthand.
    pub notes: &'static [&'static str],
    /// From the cause to the symptom.
    pub chain: &'static [&'static str],
    pub factors: &'static [&'static str],
    /// The best one first.
    pub remedies: &'static [Remedy],
    /// What was considered and why it was not recommended.
    pub alternatives: &'static [(&'static str, &'static str)],
}

/// A workflow that is recommended for a cause, and what is seen after it ran.
#[derive(Debug)]
pub struct Remedy {
    pub workflow: &'static str,
    /// How many of a hundred times it helps.
    pub odds: u32,
    pub rationale: &'static [&'static str],
    pub helped: &'static [&'static str],
    pub not_helped: &'static [&'static str],
    pub side_effect: &'static str,
}

pub static ALL: &[&Family] = &[
    &oom_kill::FAMILY,
    &bad_rollout::FAMILY,
    &certificate_expiry::FAMILY,
    &node_pressure::FAMILY,
    &crash_loop::FAMILY,
    &queue_backlog::FAMILY,
    &dns_failure::FAMILY,
    &quota_exhausted::FAMILY,
    &disk_full::FAMILY,
    &slow_database::FAMILY,
    &flapping_probe::FAMILY,
    &noisy_neighbour::FAMILY,
    &image_pull::FAMILY,
    &traffic_surge::FAMILY,
    &dependency_outage::FAMILY,
];

/// Figures from a list, for the families' tables.
fn figures(list: Vec<(&'static str, String)>) -> Figures {
    list.into_iter().collect()
}
