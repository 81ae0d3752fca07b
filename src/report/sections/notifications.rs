//! Notifications: who was told what and when, and what did not get through.

use crate::{
    audit::{Kind, facts::Fields},
    remediation::model::ViewRow,
    report::{
        case::Case,
        model::{Row, Section, Statement, Table},
        words,
    },
};

use super::{column, figure, people::channel};

/// Most notifications that are told, and recipients of one.
const TOLD_MAX: usize = 25;
const RECIPIENTS_MAX: usize = 4;

pub fn section(case: &Case<'_>) -> Section {
    let rows: Vec<&ViewRow> = case.rows(Kind::Notification).collect();
    let mut statements = Vec::new();
    let mut tables = Vec::new();
    if rows.is_empty() {
        statements.push(case.say("No notification was recorded.", case.cite.last()));
    } else {
        statements.push(counted(case, &rows));
        statements.extend(rows.iter().filter_map(|row| trouble(case, row)).take(TOLD_MAX));
        tables.push(table(case, &rows));
    }
    Section { id: "notifications", title: "Notifications", statements, tables }
}

fn status(row: &ViewRow) -> &str {
    Fields::Map(&row.fields).text("status").unwrap_or_default()
}

/// Whether it reached its channel.
pub fn arrived(row: &ViewRow) -> bool {
    matches!(status(row), "sent" | "delivered" | "partially_sent" | "acknowledged")
}

/// How often it was tried again.
pub fn retries(row: &ViewRow) -> i64 {
    let fields = Fields::Map(&row.fields);
    let attempts = fields.list("deliveryAttempts").count() as i64;
    fields.count("retryCount").unwrap_or_default().max(attempts - 1).max(0)
}

fn counted(case: &Case<'_>, rows: &[&ViewRow]) -> Statement {
    let arrived = rows.iter().filter(|row| arrived(row)).count();
    let failed = rows.iter().filter(|row| status(row) == "failed").count();
    let retries: i64 = rows.iter().map(|row| retries(row)).sum();
    let mut said = match rows {
        [one] => {
            let to = recipients(one).map(|to| format!(" to {to}")).unwrap_or_default();
            let at = told_at(one).map(|at| format!(" at {}", words::moment(at))).unwrap_or_default();
            format!("One notification, by {}{to}: {}{at}", name(one), words::word(status(one)))
        }
        _ if arrived == rows.len() => format!("{arrived} notifications, all arrived"),
        _ => format!("{} notifications: {arrived} arrived, {failed} failed", rows.len()),
    };
    if retries > 0 {
        said.push_str(&format!(", after {} in all", words::count(retries as usize, "further attempt")));
    } else if arrived > 0 && failed == 0 {
        said.push_str(", at the first attempt");
    }
    case.say(format!("{said}."), rows.iter().flat_map(|row| case.told_or_last(row, &["status"])).collect())
}

fn name(row: &ViewRow) -> String {
    let fields = Fields::Map(&row.fields);
    let channels = fields.text("channel").into_iter().chain(fields.texts("channels"));
    let mut channels: Vec<String> = channels.map(channel).collect();
    channels.dedup();
    if channels.is_empty() { "a channel that is not told".to_string() } else { words::listed(&channels) }
}

fn recipients(row: &ViewRow) -> Option<String> {
    let fields = Fields::Map(&row.fields);
    let to = fields.texts("recipients");
    if to.is_empty() {
        return fields
            .count("recipientCount")
            .map(|count| words::count(usize::try_from(count).unwrap_or(0), "recipient"));
    }
    let mut named: Vec<String> = to.iter().take(RECIPIENTS_MAX).map(|to| words::name(to)).collect();
    if to.len() > RECIPIENTS_MAX {
        named.push(format!("{} more", to.len() - RECIPIENTS_MAX));
    }
    Some(words::listed(&named))
}

fn told_at(row: &ViewRow) -> Option<chrono::DateTime<chrono::Utc>> {
    let fields = Fields::Map(&row.fields);
    fields.any_time(&["deliveryTime", "deliveryConfirmedAt", "sentAt"])
}

/// What did not get through.
fn trouble(case: &Case<'_>, row: &ViewRow) -> Option<Statement> {
    let fields = Fields::Map(&row.fields);
    let error = fields.text("errorMessage").map(str::to_string);
    let attempts = || fields.objects("deliveryAttempts").filter_map(|attempt| attempt.owned("errorMessage")).last();
    let error = error.or_else(attempts);
    let code = fields.text("errorCode").map(|code| format!(" ({})", words::name(code))).unwrap_or_default();
    let again = retries(row);
    let said = match (status(row), error) {
        ("failed", Some(error)) => format!("The one by {} failed{code}: {}", name(row), words::quote(&error)),
        ("failed", None) => format!("The one by {} failed{code}", name(row)),
        (_, Some(error)) if again > 0 => {
            format!("The one by {} met an error{code}: {}", name(row), words::quote(&error))
        }
        _ => return None,
    };
    let again = if again > 0 { format!("; it was tried again {again} times") } else { String::new() };
    let again = if retries(row) == 1 { "; it was tried again once".to_string() } else { again };
    let names = ["status", "errorMessage", "errorCode", "deliveryAttempts", "retryCount"];
    Some(case.say(format!("{said}{again}."), case.told(row, &names)))
}

fn table(case: &Case<'_>, rows: &[&ViewRow]) -> Table {
    let left = rows.len().saturating_sub(TOLD_MAX);
    let left = if left > 0 { format!(" {left} more are left out.") } else { String::new() };
    Table {
        caption: format!("Who was told.{left}"),
        columns: vec![
            column("Channel"),
            column("For"),
            column("To"),
            column("Status"),
            figure("At"),
            figure("Attempts"),
        ],
        rows: rows.iter().take(TOLD_MAX).map(|row| self::row(case, row)).collect(),
    }
}

fn row(case: &Case<'_>, row: &ViewRow) -> Row {
    let fields = Fields::Map(&row.fields);
    let at = told_at(row).map(|at| words::offset(words::millis(case.summary.started_at, at)));
    let cells = vec![
        words::capital(&name(row)),
        fields.text("notificationType").map(words::word).unwrap_or_default(),
        recipients(row).unwrap_or_default(),
        words::word(status(row)),
        at.unwrap_or_default(),
        (retries(row) + 1).to_string(),
    ];
    case.row(cells, status(row) == "failed", case.told_or_last(row, &["status", "deliveryTime", "recipients"]))
}
