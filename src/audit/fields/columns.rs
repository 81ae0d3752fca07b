//! The domain's columns: how a body spells the fields that is made of columns, and in which units they are there.

use std::{collections::HashMap, sync::LazyLock};

use super::{COMMON, Field, KindTable, Need, SIGNAL, Shape, Table, snake};
use crate::audit::kind::Kind;

/// In what a column tells its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// As the field's shape says; durations are in milliseconds.
    Plain,
    /// Seconds, as a number.
    Seconds,
    /// Nanoseconds, as Go's `time.Duration` is a number in JSON; or a text as for `GoDuration`.
    Nanoseconds,
    /// A duration as Go writes it, such as `4m0s`.
    GoDuration,
    /// A number as a text, such as `0.72`; the number itself is taken too.
    NumberText,
    /// A resource as an object, or as a text such as `shop/Deployment/checkout`, without a namespace `Node/worker-1`.
    Resource,
}

impl Unit {
    pub(super) fn of_duration(self) -> &'static str {
        match self {
            Unit::Plain | Unit::NumberText | Unit::Resource => " In milliseconds.",
            Unit::Seconds => " In seconds.",
            Unit::Nanoseconds => " In nanoseconds, or as Go writes durations, such as `4m0s`.",
            Unit::GoDuration => " As Go writes durations, such as `4m0s`.",
        }
    }

    pub(super) fn of_others(self) -> &'static str {
        match self {
            Unit::NumberText => " As a text, such as `0.72`.",
            Unit::Resource => " As an object, or as a text such as `shop/Deployment/checkout` or `Node/worker-1`.",
            Unit::Plain | Unit::Seconds | Unit::Nanoseconds | Unit::GoDuration => "",
        }
    }
}

/// A column as a body may have it.
#[derive(Debug)]
pub struct Column {
    pub name: String,
    /// The field that it tells; for `alert_fingerprint` and `signal_name` a field of the signal.
    pub field: &'static Field,
    pub unit: Unit,
    pub need: Need,
    /// Further columns that mean the same.
    pub also: Vec<String>,
}

/// Columns of every kind that tell a member of a structured common field: their names, that field, the member.
static MEMBERS: &[(&[&str], &str, &str)] =
    &[(&["alert_fingerprint", "signal_fingerprint"], "signal", "fingerprint"), (&["signal_name"], "signal", "name")];

impl KindTable {
    /// The columns of a body of this kind: those that all kinds have, then its own.
    pub fn columns(&self) -> Vec<Column> {
        let own = self.table.columns();
        let common = COMMON.fields.iter().map(|field| {
            let mut names = field.domain_names();
            if (self.kind, field.name) == (Kind::Orchestration, "remediationId") {
                names.reverse(); // there the domain has `remediation_name` first
            }
            names.retain(|name| own.iter().all(|column| column.name != *name));
            field.as_column(names)
        });
        let members = MEMBERS.iter().map(|(names, _, member)| {
            let field = SIGNAL.field(member).expect("the members are the signal's");
            field.as_column(names.iter().map(|name| name.to_string()).collect())
        });
        let mut columns: Vec<Column> = common.chain(members).collect();
        columns.extend(own);
        columns
    }
}

impl Table {
    /// The columns that an object of this table may have where it stands in a body of columns.
    pub fn columns(&self) -> Vec<Column> {
        self.fields.iter().map(|field| field.as_column(field.domain_names())).collect()
    }
}

impl Field {
    /// Whether a body of columns has to have it: `occurredAt` may be left out, because bodies tell times of their own.
    pub fn column_need(&self) -> Need {
        if self.name == "occurredAt" { Need::Optional } else { self.need }
    }

    fn domain_names(&self) -> Vec<String> {
        std::iter::once(self.column_name()).chain(self.also.iter().map(|name| name.to_string())).collect()
    }

    fn as_column(&'static self, mut names: Vec<String>) -> Column {
        let also = names.split_off(1);
        let name = names.remove(0);
        Column { name, field: self, unit: self.unit, need: self.column_need(), also }
    }
}

impl Column {
    /// What it means, with the allowed words and its unit; other fields are named by their columns.
    pub fn description(&self, table: &Table) -> String {
        let spellings = Spellings::of(table);
        let text = self.field.described_in(self.unit);
        let parts = text.split('`').enumerate();
        parts
            .map(|(index, part)| if index % 2 == 1 { spellings.column(part) } else { part })
            .collect::<Vec<_>>()
            .join("`")
    }
}

/// What a spelling stands for.
#[derive(Debug)]
pub struct Claim {
    pub field: &'static Field,
    pub unit: Unit,
    /// Whether the spelling is one of the domain's columns, and not the field's name in GraphQL.
    pub domain: bool,
    /// The common field that `field` is a member of, such as `signal` for `alert_fingerprint`.
    pub within: Option<&'static str>,
}

/// All spellings of the fields that one object of a body may have.
#[derive(Debug)]
pub struct Spellings {
    /// By spelling; a domain's column comes before a name of GraphQL that is spelled alike.
    claims: HashMap<String, Vec<Claim>>,
    /// The column of each field, by its name in GraphQL.
    columns: HashMap<&'static str, String>,
}

impl Spellings {
    /// The spellings in an object of `table`; in a kind's own, those of the common fields among them.
    pub fn of(table: &Table) -> &'static Spellings {
        ALL.get(table.name).expect("every table belongs to a kind or to the common fields")
    }

    /// What `spelling` stands for. Where two fields are spelled alike, it is the one that holds such a value.
    pub fn claim(&self, spelling: &str, object: bool) -> Option<&Claim> {
        let claims = self.claims.get(spelling)?;
        let fitting = claims.iter().find(|claim| matches!(claim.field.shape, Shape::Object(_)) == object);
        fitting.or_else(|| claims.first())
    }

    /// The column of a field, by its name in GraphQL; any other word as it is.
    pub fn column<'a>(&'a self, field: &'a str) -> &'a str {
        self.columns.get(field).map_or(field, String::as_str)
    }

    fn from(columns: Vec<Column>) -> Spellings {
        let mut spellings = Spellings { claims: HashMap::new(), columns: HashMap::new() };
        let member = |column: &Column| MEMBERS.iter().find(|(names, ..)| names.contains(&column.name.as_str()));
        for column in &columns {
            let within = member(column).map(|(_, object, _)| *object);
            if within.is_none() {
                spellings.columns.insert(column.field.name, column.name.clone());
            }
            for name in std::iter::once(&column.name).chain(&column.also) {
                spellings.add(name.clone(), Claim { field: column.field, unit: column.unit, domain: true, within });
            }
        }
        // A name as GraphQL has it brings GraphQL's unit.
        for column in columns.iter().filter(|column| member(column).is_none()) {
            for name in [snake(column.field.name), column.field.name.to_string()] {
                spellings.add(name, Claim { field: column.field, unit: Unit::Plain, domain: false, within: None });
            }
        }
        spellings
    }

    fn add(&mut self, spelling: String, claim: Claim) {
        let claims = self.claims.entry(spelling).or_default();
        if claims.iter().all(|other| other.field.name != claim.field.name) {
            claims.push(claim);
        }
    }
}

static ALL: LazyLock<HashMap<&'static str, Spellings>> = LazyLock::new(|| {
    let mut all = HashMap::new();
    for kind in Kind::ALL {
        let kind = KindTable::of(kind);
        all.insert(kind.table.name, Spellings::from(kind.columns()));
        add_nested(kind.table, &mut all);
    }
    add_nested(&COMMON, &mut all);
    all
});

fn add_nested(table: &Table, all: &mut HashMap<&'static str, Spellings>) {
    for field in table.fields {
        if let Shape::Object(nested) | Shape::Objects(nested) = field.shape {
            all.insert(nested.name, Spellings::from(nested.columns()));
            add_nested(nested, all);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spelling_stands_for_one_field_but_for_two_that_the_domain_uses_twice() {
        let mut shared: Vec<String> = Vec::new();
        for (table, spellings) in ALL.iter() {
            for (spelling, claims) in spellings.claims.iter().filter(|(_, claims)| claims.len() > 1) {
                let names: Vec<&str> = claims.iter().map(|claim| claim.field.name).collect();
                shared.push(format!("{table} {spelling}: {}", names.join(", ")));
            }
        }
        shared.sort();
        assert_eq!(
            shared,
            [
                "Orchestration decision: approvalDecision, decision",
                "WorkflowExecution outcome: executionOutcome, outcome"
            ]
        );
    }

    #[test]
    fn the_columns_of_a_kind_have_the_names_and_units_of_the_domain() {
        let listed = |kind| {
            let columns = KindTable::of(kind).columns();
            let line =
                |c: &Column| format!("{} {} {:?} {:?} {}", c.name, c.field.name, c.unit, c.need, c.also.join(" "));
            columns.iter().map(|column| line(column).trim_end().to_string()).collect::<Vec<_>>()
        };
        let orchestration = listed(Kind::Orchestration);
        for column in [
            "remediation_name remediationId Plain Always remediation_id",
            "occurred_at occurredAt Plain Optional",
            "outcome outcome Plain Optional event_outcome",
            "alert_fingerprint fingerprint Plain Optional signal_fingerprint",
            "signal_name name Plain Optional",
            "start_time startTime Plain WhenFinal",
            "total_duration_seconds totalDurationMs Seconds Optional",
            "hash_compute_delay hashComputeDelayMs GoDuration Optional",
            "confidence_str approvalConfidence NumberText Optional",
            "decision approvalDecision Plain Optional",
            "routing_decision decision Plain Optional",
        ] {
            assert!(orchestration.contains(&column.to_string()), "{column}");
        }
        let executions = listed(Kind::WorkflowExecution);
        for column in [
            "remediation_id remediationId Plain Always remediation_name",
            "outcome executionOutcome Plain WhenFinal",
            "event_outcome outcome Plain Optional",
            "total_duration_ms totalDurationMs Plain Optional",
        ] {
            assert!(executions.contains(&column.to_string()), "{column}");
        }
        assert!(
            listed(Kind::AiAnalysis)
                .contains(&"confidence_score confidenceScore Plain Optional confidence".to_string())
        );
    }

    #[test]
    fn a_columns_description_has_its_unit_and_names_columns() {
        let table = KindTable::of(Kind::Orchestration).table;
        let described = |name: &str| {
            let columns = KindTable::of(Kind::Orchestration).columns();
            columns.iter().find(|column| column.name == name).unwrap().description(table)
        };
        assert_eq!(
            described("total_duration_seconds"),
            "How long the remediation took, as the orchestrator counts. In seconds."
        );
        assert_eq!(
            described("completion_time"),
            "When the remediation ended; not before `start_time`. Null while it runs."
        );
    }
}
