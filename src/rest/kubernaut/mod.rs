//! Kubernaut's Data Storage API, path by path, over our journal. What is the same, better or not yet there is listed in
//! `docs/kubernaut-compatibility.md`.

mod effectiveness;
mod events;
mod history;
mod legal_hold;
mod notifications;
mod reconstruct;
mod spelling;
mod trail;

pub use notifications::NotificationRecord;

use utoipa_axum::router::OpenApiRouter;

use super::Rest;

pub fn routes() -> OpenApiRouter<Rest> {
    OpenApiRouter::default()
        .merge(events::routes())
        .merge(notifications::routes())
        .merge(legal_hold::routes())
        .merge(effectiveness::routes())
        .merge(history::routes())
        .merge(reconstruct::routes())
}
