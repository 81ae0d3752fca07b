//! The commands that use a store without serving it: timeline, report and record.

use anyhow::Context as _;

use super::{
    Exit,
    args::{RecordArgs, ReportArgs, TimelineArgs},
    embedding::Embedding,
    exit::Usage,
    look::{self, Look},
    record::{self, Outcome},
    signals,
    store::{Store, server_settings},
    timeline,
};
use crate::{
    audit::{Position, StreamId},
    caller::Caller,
    config::Settings,
    error::Code,
    http,
    journal::read,
    record::{Answer, Reason},
    remediation::{self, model::Remediation},
    server::{self, Server},
    telemetry::Metrics,
};

pub async fn timeline(settings: &Settings, arguments: &TimelineArgs) -> anyhow::Result<Exit> {
    let store = Store::open(settings).await?;
    let found = find(&store, arguments).await;
    store.close().await;
    let Some(remediation) = found? else {
        eprintln!("binnacle: nothing is recorded of remediation `{}`", arguments.remediation_id);
        return Ok(Exit::Findings);
    };
    if arguments.json {
        look::print(&format!("{:#}\n", timeline::json(&remediation)))?;
    } else {
        look::print(&timeline::text(&remediation, Look::of_output(settings.color)))?;
    }
    Ok(Exit::Done)
}

pub async fn report(settings: &Settings, arguments: &ReportArgs) -> anyhow::Result<Exit> {
    let Some(format) = http::Format::parse(&arguments.format) else {
        return Err(Usage(format!("there is no format `{}`; there are md, html and json", arguments.format)).into());
    };
    let store = Store::open(settings).await?;
    // What is alike is found by vectors that are there; nothing is embedded for it.
    let settings = server_settings(&store, settings, &Embedding::off(), Metrics::new());
    let server = Server::start(settings).await.context("cannot open the journal")?;
    let asked = http::Asked {
        remediation_id: arguments.remediation_id.clone(),
        cluster_id: arguments.cluster.clone(),
        at: arguments.at.clone(),
        format,
    };
    let made = server::report(&server.app, asked).await;
    server.stop().await;
    store.close().await;
    match made {
        Ok(Some(text)) => {
            look::print(&text)?;
            Ok(Exit::Done)
        }
        Ok(None) => {
            eprintln!("binnacle: nothing is recorded of remediation `{}`", arguments.remediation_id);
            Ok(Exit::Findings)
        }
        Err(error) if error.code() == Code::BadInput => Err(Usage(error.message).into()),
        Err(error) => Err(anyhow::anyhow!(error.message)),
    }
}

async fn find(store: &Store, arguments: &TimelineArgs) -> anyhow::Result<Option<Remediation>> {
    let db = store.reader();
    let remediation_id = arguments.remediation_id.clone();
    let cluster_id = match &arguments.cluster {
        Some(cluster) => cluster.clone(),
        None => {
            let mut clusters = read::clusters_of(&db, &remediation_id).await?;
            anyhow::ensure!(
                clusters.len() <= 1,
                "several clusters know `{remediation_id}`; name one with `--cluster`: {}",
                clusters.join(", ")
            );
            let Some(cluster) = clusters.pop() else { return Ok(None) };
            cluster
        }
    };
    let stream = StreamId { cluster_id, remediation_id };
    let mut entries = read::stream(&db, &stream, Position(i64::MAX)).await?;
    db.close().await;
    if let Some(known_at) = arguments.known_at {
        entries.truncate(remediation::known_at(&entries, known_at).len());
    }
    Ok(remediation::fold(&entries, arguments.as_of))
}

pub async fn record(settings: &Settings, arguments: &RecordArgs) -> anyhow::Result<Exit> {
    let (lines, bytes) = record::open(&arguments.file).await?;
    let shutdown = signals::listen()?;
    let store = Store::open(settings).await?;
    // Texts get their vectors by a server that stays.
    let server = Server::start(server_settings(&store, settings, &Embedding::off(), Metrics::new()))
        .await
        .context("cannot open the journal")?;
    let bar = record::bar(bytes);
    // Whoever can open the store may record anything.
    let caller = Caller::anonymous();
    let app = server.app.clone();
    let send = async |submissions| {
        let answers = crate::record::record(&app, &caller, submissions)
            .await
            .map_err(|error| anyhow::anyhow!("{}", error.message))?;
        Ok(answers.into_iter().map(outcome).collect())
    };
    let summary = record::record(lines, &bar, arguments.problems_max, shutdown, send).await;
    server.stop().await;
    store.close().await;
    let summary = summary?;
    look::print(&if arguments.json { summary.json() + "\n" } else { summary.text() })?;
    Ok(summary.exit())
}

fn outcome(answer: Answer) -> Outcome {
    match answer {
        Answer::Recorded { duplicate: false, .. } => Outcome::Recorded,
        Answer::Recorded { duplicate: true, .. } => Outcome::Duplicate,
        Answer::Rejected(rejected) => {
            let code = match rejected.reason {
                Reason::Invalid => "INVALID",
                Reason::Conflict => "CONFLICT",
                Reason::NotAllowed => "NOT_ALLOWED",
            };
            Outcome::Rejected { code, problems: rejected.problems }
        }
    }
}
