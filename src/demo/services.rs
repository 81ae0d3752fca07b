//! The services of the company that the demo is about, with what each does, needs and means to its users.

/// What a service is written in: some causes only befall some runtimes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runtime {
    Jvm,
    Go,
    Node,
    Python,
}

#[derive(Debug)]
pub struct Service {
    pub name: &'static str,
    pub namespace: &'static str,
    pub kind: &'static str,
    pub runtime: Runtime,
    pub priority: &'static str,
    /// What it does, to follow its name.
    pub role: &'static str,
    /// What its users notice when it does not.
    pub impact: &'static str,
    pub database: &'static str,
    pub queue: &'static str,
    /// The service that it calls.
    pub dependency: &'static str,
}

use Runtime::*;

const D: &str = "Deployment";
const S: &str = "StatefulSet";

#[rustfmt::skip] // a table: one row, one service
macro_rules! services {
    ($($name:literal $namespace:literal $kind:ident $runtime:ident $priority:literal
        $role:literal $impact:literal $database:literal $queue:literal
        $dependency:literal;)+) => {
        pub static ALL: &[Service] = &[$(Service {
            name: $name, namespace: $namespace, kind: $kind, runtime: $runtime, priority: $priority, role: $role,
            impact: $impact, database: $database, queue: $queue, dependency: $dependency,
        }),+];
    };
}

services! {
    "checkout-api" "payments" D Jvm "P0"
        "takes baskets through checkout" "shoppers cannot finish an order" "orders-db" "order-events" "payment-gateway";
    "payment-gateway" "payments" D Go "P0"
        "authorises card payments" "card payments hang or are declined"
        "payments-db" "settlement-jobs" "card-processor";
    "refund-worker" "payments" D Python "P2"
        "pays refunds out" "refunds arrive late" "payments-db" "refund-requests" "payment-gateway";
    "subscription-api" "billing" D Jvm "P1"
        "renews subscriptions" "renewals fail without anybody noticing" "billing-db" "renewal-events" "payment-gateway";
    "invoice-renderer" "billing" D Node "P2"
        "turns orders into PDF invoices" "invoices go out late" "billing-db" "invoice-jobs" "document-store";
    "dunning-scheduler" "billing" D Python "P3"
        "reminds customers of open invoices" "reminders are sent a day late" "billing-db" "reminder-jobs" "mail-sender";
    "product-catalogue" "catalogue" D Jvm "P1"
        "serves product pages" "product pages load slowly or not at all"
        "catalogue-db" "product-updates" "price-service";
    "price-service" "catalogue" D Go "P1"
        "answers price requests" "prices are missing from product pages" "prices-db" "price-changes" "currency-rates";
    "stock-keeper" "catalogue" S Jvm "P1"
        "counts stock per warehouse" "sold-out articles can still be ordered"
        "stock-db" "stock-movements" "warehouse-gateway";
    "search-api" "search" D Jvm "P1"
        "answers product searches" "searches return errors or nothing" "search-meta-db" "query-log" "ranking-service";
    "search-indexer" "search" D Python "P2"
        "keeps the search index fresh" "new articles do not show up in search"
        "search-meta-db" "reindex-jobs" "product-catalogue";
    "recommendation-engine" "search" D Python "P2"
        "picks what else might please" "the home page shows stale recommendations"
        "profiles-db" "view-events" "feature-store";
    "shipment-tracker" "logistics" D Go "P2"
        "follows parcels across carriers" "customers see no parcel status"
        "shipments-db" "carrier-events" "carrier-adapter";
    "route-planner" "logistics" D Python "P2"
        "plans the next day's delivery tours" "drivers leave without a tour plan"
        "tours-db" "tour-requests" "map-tiles";
    "label-printer" "logistics" D Node "P1"
        "prints shipping labels" "packing stations stand still" "shipments-db" "label-jobs" "carrier-adapter";
    "carrier-adapter" "logistics" D Jvm "P2"
        "books parcels with carriers" "parcels are packed but not collected"
        "shipments-db" "booking-requests" "carrier-directory";
    "login-service" "identity" D Go "P0"
        "signs people in" "nobody can sign in" "accounts-db" "login-events" "session-store";
    "session-store" "identity" S Go "P0"
        "keeps sessions alive" "people are signed out at random" "sessions-db" "session-expiry" "login-service";
    "profile-api" "identity" D Node "P2"
        "keeps addresses and preferences" "address changes are lost" "profiles-db" "profile-changes" "login-service";
    "consent-service" "identity" D Jvm "P1"
        "records consent" "marketing mails have to be held back" "consent-db" "consent-changes" "profile-api";
    "mail-sender" "messaging" D Python "P2"
        "sends order and account mails" "confirmation mails arrive late" "outbox-db" "mail-jobs" "template-service";
    "push-gateway" "messaging" D Go "P2"
        "pushes messages to phones" "phones stay silent" "devices-db" "push-jobs" "device-directory";
    "sms-relay" "messaging" D Node "P1"
        "sends one-time codes" "sign-in codes do not arrive" "outbox-db" "sms-jobs" "carrier-directory";
    "chat-backend" "messaging" S Node "P2"
        "carries the customer chat" "chats with the service desk break off" "chats-db" "chat-events" "profile-api";
    "event-collector" "analytics" D Go "P2"
        "takes in click events" "dashboards have gaps" "events-db" "click-events" "schema-registry";
    "session-aggregator" "analytics" S Jvm "P3"
        "groups clicks into visits" "conversion figures lag behind" "visits-db" "click-events" "event-collector";
    "report-builder" "analytics" D Python "P3"
        "builds the morning reports" "the morning reports are late" "warehouse-db" "report-jobs" "feature-store";
    "feature-store" "analytics" D Python "P2"
        "serves features to models" "models score with yesterday's data"
        "features-db" "feature-updates" "event-collector";
    "image-resizer" "media" D Go "P2"
        "cuts product images to size" "product images are missing" "media-db" "resize-jobs" "object-store";
    "video-transcoder" "media" D Go "P3"
        "transcodes product videos" "uploaded videos stay unpublished" "media-db" "transcode-jobs" "object-store";
    "media-api" "media" D Node "P2"
        "serves images and videos" "pages show empty frames" "media-db" "upload-events" "object-store";
    "storefront-web" "web" D Node "P0"
        "renders the storefront" "visitors see an error page" "content-db" "cache-invalidation" "product-catalogue";
    "basket-service" "web" D Jvm "P1"
        "keeps baskets" "baskets come up empty" "baskets-db" "basket-events" "price-service";
    "api-edge" "web" D Go "P0"
        "lets mobile apps in" "the mobile apps show a connection error" "routes-db" "access-log" "login-service";
    "fraud-scorer" "risk" D Python "P1"
        "scores orders for fraud" "orders wait for a manual check" "risk-db" "score-requests" "feature-store";
    "ledger-writer" "risk" S Jvm "P1"
        "books every payment" "the books close late" "ledger-db" "booking-events" "payments-archive";
    "audit-exporter" "risk" D Jvm "P3"
        "exports bookings for the auditors" "the nightly export is incomplete"
        "ledger-db" "export-jobs" "document-store";
}
