//! What the faces share: the journal, the signals of the projections, the search, the feed, the metrics and the settings they
//! need.

use std::{ops::Deref, sync::Arc};

use sqlx::PgPool;

use crate::{
    audit::{Position, StreamId, Watermark},
    error::ClientError,
    feed::Feed,
    journal::{Journal, read},
    projection::{Projection, signals::Signals},
    search::Search,
    telemetry::Metrics,
};

/// One running Binnacle. Cheap to clone: each request holds it in several places.
#[derive(Clone)]
pub struct App(Arc<Parts>);

/// What an `App` is made of, and gives access to.
pub struct Parts {
    pub journal: Journal,
    /// For what workers and administrators do to the projections.
    pub work: PgPool,
    pub signals: Signals,
    pub search: Search,
    pub feed: Feed,
    pub metrics: Metrics,
    pub faces: Faces,
}

/// Settings of the faces.
#[derive(Clone, Debug)]
pub struct Faces {
    /// The cluster of a submission that names none.
    pub cluster_id: String,
    /// Where people reach this server, without a final slash.
    pub public_url: String,
    /// Origins, besides this server's own, whose web pages may ask here.
    pub allowed_origins: Vec<String>,
    /// Most connections that are kept open for live answers.
    pub live_connections_max: usize,
    /// How long a request may take.
    pub request_timeout: std::time::Duration,
}

impl Deref for App {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl App {
    pub fn new(parts: Parts) -> App {
        App(Arc::new(parts))
    }

    /// The stream of a remediation whose cluster may be left out: then it is the one that knows the name. `None` where none
    /// does.
    pub async fn stream(
        &self,
        remediation_id: String,
        cluster_id: Option<String>,
    ) -> Result<Option<StreamId>, ClientError> {
        if let Some(cluster_id) = cluster_id {
            return Ok(Some(StreamId { cluster_id, remediation_id }));
        }
        let mut clusters = read::clusters_of(self.journal.reader(), &remediation_id).await?;
        match clusters.len() {
            0 => Ok(None),
            1 => Ok(clusters.pop().map(|cluster_id| StreamId { cluster_id, remediation_id })),
            _ => {
                let clusters = clusters.join(", ");
                Err(ClientError::bad_input(format!(
                    "several clusters know `{remediation_id}`; name one as its cluster: {clusters}"
                )))
            }
        }
    }

    /// Refuses a watermark of another journal, and one that this journal has not come to: no waiting would help.
    pub async fn reached(&self, watermark: Watermark) -> Result<(), ClientError> {
        if watermark.journal_id != self.journal.id() {
            return Err(ClientError::bad_input("this watermark was given by another journal"));
        }
        if watermark.position > read::head(self.journal.reader()).await?.last {
            return Err(ClientError::bad_input("this watermark lies beyond the end of the journal"));
        }
        Ok(())
    }

    /// Waits until these projections have come to a position.
    pub async fn projected(&self, projections: &[Projection], position: Position) -> Result<(), ClientError> {
        for projection in projections {
            self.signals.wait(self.journal.reader(), *projection, position).await?;
        }
        Ok(())
    }
}
