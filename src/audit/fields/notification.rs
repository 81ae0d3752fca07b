//! The fields of a notification audit.

use super::{Field, KindTable, Shape::*, Table, Unit};
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
        Field::new("channel", Word(&words::CHANNEL), "The channel that was tried.").required(),
        Field::new("attempt", Count, "Which attempt it was, from 1."),
        Field::new("status", Word(&words::NOTIFICATION_STATUS), "How the attempt went."),
        Field::new("durationMs", Ms, "How long the attempt took.").column_in("duration", Unit::Nanoseconds),
        Field::new("at", Time, "When the attempt was made."),
        Field::new("errorMessage", Line, "What went wrong, where something did."),
    ],
};

static TABLE: Table = Table {
    name: "Notification",
    meaning: "An audit of a notification: whom it told, and whether it arrived.",
    fields: &[
        Field::new("notificationId", Name, "The notification's own id, which all audits of it name.").required(),
        Field::new(
            "status",
            Word(&words::NOTIFICATION_STATUS),
            "Where the notification stands. Without `eventType`, the type is `notification.` and this word.",
        )
        .required(),
        Field::new("channel", Word(&words::CHANNEL), "Where people are told.").when_final(),
        Field::new("channels", WordList(&words::CHANNEL), "All channels, where there are several."),
        Field::new("recipientCount", Count, "How many people are told."),
        Field::new("recipients", Names, "Who is told: names or addresses."),
        Field::new("messageTemplate", Name, "The name of the template that the message was made from."),
        Field::new("messagePriority", Word(&words::PRIORITY), "How urgent the message is."),
        Field::new("notificationType", Word(&words::NOTIFICATION_TYPE), "What the message is for."),
        Field::new("subject", Line, "The subject of the message."),
        Field::new("body", Text, "The text of the message; up to 100,000 characters."),
        Field::new("messageSummary", Line, "The text of the message in short."),
        Field::new("notificationRequestedAt", Time, "When the notification was asked for."),
        Field::new("sentAt", Time, "When the message was handed to the channel."),
        Field::new("deliveryTime", Time, "When the message was delivered."),
        Field::new("deliveryConfirmedAt", Time, "When the channel confirmed the delivery."),
        Field::new("deliveryDurationMs", Ms, "How long delivery took.").since("deliveryTime"),
        Field::new("deliveryStatus", Word(&words::DELIVERY_STATUS), "How delivery went over all channels."),
        Field::new("deliveryAttempts", Objects(&ATTEMPT), "The attempts to deliver the message, in their order."),
        Field::new("retryCount", Count, "How often delivery was tried again."),
        Field::new("maxRetries", Count, "How often delivery may be tried again."),
        Field::new("lastRetryTime", Time, "When delivery was last tried again."),
        Field::new("errorMessage", Line, "What went wrong, where something did."),
        Field::new("errorCode", Name, "The channel's own code of the error, such as `SLACK_RATE_LIMIT`."),
        Field::new("errorType", Name, "What sort of error it is, such as `rate_limit`."),
        Field::new("escalationLevel", Count, "How often the message was passed on to others, 0 for not at all."),
        Field::new("reason", Line, "Why the message was passed on or called off."),
        Field::new("acknowledgedBy", Name, "Who has seen the message; null where nobody has said so."),
        Field::new("cancelledBy", Name, "Who called the notification off; null where nobody has."),
        Field::new("completedAt", Time, "When nothing more was to be done about the notification."),
    ],
};
