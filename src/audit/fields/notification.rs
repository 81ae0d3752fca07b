//! The fields of a notification audit.

use super::{Field, KindTable, Shape::*, Table};
use crate::audit::{kind::Kind, words};

pub static KIND: KindTable = KindTable {
    kind: Kind::Notification,
    table: &TABLE,
    status: Some("status"),
    status_default: None,
    final_words: &[
        ("delivered", "success"),
        ("acknowledged", "success"),
        ("failed", "failure"),
        ("cancelled", "failure"),
    ],
    event_type_prefix: "notification",
};

static ATTEMPT: Table = Table {
    name: "DeliveryAttempt",
    meaning: "One attempt to deliver the message.",
    fields: &[
        Field::new("channel", Word(&words::CHANNEL), "Where.").required(),
        Field::new("attempt", Count, "Which attempt, from 1."),
        Field::new("status", Word(&words::NOTIFICATION_STATUS), "How it went."),
        Field::new("durationMs", Ms, "How long it took.").column("duration"),
        Field::new("at", Time, "When it was made."),
        Field::new("errorMessage", Line, "What went wrong."),
    ],
};

static TABLE: Table = Table {
    name: "Notification",
    meaning: "An audit of a notification: whom it told, and whether it arrived.",
    fields: &[
        Field::new("notificationId", Name, "The notification.").required(),
        Field::new(
            "status",
            Word(&words::NOTIFICATION_STATUS),
            "Where it stands. Without `eventType`, the type is `notification.` and this word.",
        )
        .required(),
        Field::new("channel", Word(&words::CHANNEL), "Where people are told.").when_final(),
        Field::new("channels", WordList(&words::CHANNEL), "All channels, where there are several."),
        Field::new("recipientCount", Count, "How many people are told."),
        Field::new("recipients", Names, "Who they are."),
        Field::new("messageTemplate", Name, "The template of the message."),
        Field::new("messagePriority", Word(&words::PRIORITY), "How urgent it is."),
        Field::new("notificationType", Word(&words::NOTIFICATION_TYPE), "What it is for."),
        Field::new("subject", Line, "Its subject."),
        Field::new("body", Text, "Its text."),
        Field::new("messageSummary", Line, "Its text in short."),
        Field::new("notificationRequestedAt", Time, "When it was asked for."),
        Field::new("sentAt", Time, "When it was handed to the channel."),
        Field::new("deliveryTime", Time, "When it was delivered."),
        Field::new("deliveryConfirmedAt", Time, "When the channel confirmed that."),
        Field::new("deliveryDurationMs", Ms, "How long delivery took.").since("deliveryTime"),
        Field::new("deliveryStatus", Word(&words::DELIVERY_STATUS), "How delivery went over all channels."),
        Field::new("deliveryAttempts", Objects(&ATTEMPT), "The attempts to deliver it."),
        Field::new("retryCount", Count, "How often it was tried again."),
        Field::new("maxRetries", Count, "How often it may be tried again."),
        Field::new("lastRetryTime", Time, "When it was last tried again."),
        Field::new("errorMessage", Line, "What went wrong."),
        Field::new("errorCode", Name, "The channel's error, such as `SLACK_RATE_LIMIT`."),
        Field::new("errorType", Name, "What sort of error it is."),
        Field::new("escalationLevel", Count, "How far it was passed on."),
        Field::new("reason", Line, "Why it was passed on or called off."),
        Field::new("acknowledgedBy", Name, "Who has seen it."),
        Field::new("cancelledBy", Name, "Who called it off."),
        Field::new("completedAt", Time, "When nothing more was to be done."),
    ],
};
