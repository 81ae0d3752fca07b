//! Kubernaut's Data Storage API, path by path, over our journal. What is the same, better or not yet there is listed in
//! `docs/kubernaut-compatibility.md`.

mod effectiveness;
mod event;
mod events;
mod export;
mod history;
mod legal_hold;
mod list;
pub mod notifications;
mod reconstruct;
mod show;
mod spelling;
mod trail;
mod verify;

use utoipa_axum::router::OpenApiRouter;

use super::Rest;

pub use export::room;
pub use notifications::NotificationRecord;

pub fn routes() -> OpenApiRouter<Rest> {
    OpenApiRouter::default()
        .merge(events::routes())
        .merge(list::routes())
        .merge(event::routes())
        .merge(notifications::routes())
        .merge(export::routes())
        .merge(verify::routes())
        .merge(effectiveness::routes())
        .merge(history::routes())
        .merge(reconstruct::routes())
        .merge(legal_hold::routes())
}
