//! The table: every way in which a request fails, with what each face says of it.

use std::time::Duration;

use super::Code;

/// A second is soon, and long enough that those who are turned away do not make things worse.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// A way in which a request fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    Malformed,
    BadInput,
    TooComplex,
    InvalidEvent,
    IncompleteTrail,
    Unauthenticated,
    Forbidden,
    NotAllowed,
    NotFound,
    MethodNotAllowed,
    NotAcceptable,
    RequestTimeout,
    Conflict,
    TooLarge,
    UnsupportedMediaType,
    Invalid,
    TooSlow,
    TooMany,
    Internal,
    NotYet,
    Unavailable,
    Timeout,
}

/// What the faces say of a failure.
pub struct Row {
    /// The last part of the address that names it on REST; its page is `docs/problems/<name>.md`.
    pub name: &'static str,
    pub title: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// The code of GraphQL's errors.
    pub code: Code,
    /// The word of GraphQL for it: of a mutation's `Rejected` where it is one, else the code's.
    pub word: &'static str,
    /// Whether the same request may succeed later.
    pub retryable: bool,
}

impl Failure {
    pub const ALL: [Failure; 22] = [
        Failure::Malformed,
        Failure::BadInput,
        Failure::TooComplex,
        Failure::InvalidEvent,
        Failure::IncompleteTrail,
        Failure::Unauthenticated,
        Failure::Forbidden,
        Failure::NotAllowed,
        Failure::NotFound,
        Failure::MethodNotAllowed,
        Failure::NotAcceptable,
        Failure::RequestTimeout,
        Failure::Conflict,
        Failure::TooLarge,
        Failure::UnsupportedMediaType,
        Failure::Invalid,
        Failure::TooSlow,
        Failure::TooMany,
        Failure::Internal,
        Failure::NotYet,
        Failure::Unavailable,
        Failure::Timeout,
    ];

    pub fn row(self) -> Row {
        let final_ =
            |name, title, status, code: Code| Row { name, title, status, code, word: code.word(), retryable: false };
        let for_now =
            |name, title, status, code: Code| Row { name, title, status, code, word: code.word(), retryable: true };
        let rejected = |word, row: Row| Row { word, ..row };
        match self {
            Failure::Malformed => final_("malformed-request", "Malformed request", 400, Code::BadInput),
            Failure::BadInput => final_("bad-input", "Bad input", 400, Code::BadInput),
            Failure::TooComplex => final_("too-complex", "Too complex", 400, Code::TooComplex),
            Failure::InvalidEvent => rejected("INVALID", final_("invalid-event", "Invalid event", 400, Code::BadInput)),
            Failure::IncompleteTrail => final_("incomplete-trail", "Incomplete trail", 400, Code::NotFound),
            Failure::Unauthenticated => final_("unauthenticated", "Unauthenticated", 401, Code::Unauthenticated),
            Failure::Forbidden => final_("forbidden", "Forbidden", 403, Code::Forbidden),
            Failure::NotAllowed => {
                rejected("NOT_ALLOWED", final_("kind-not-allowed", "Kind not allowed", 403, Code::Forbidden))
            }
            Failure::NotFound => final_("not-found", "Not found", 404, Code::NotFound),
            Failure::MethodNotAllowed => final_("method-not-allowed", "Method not allowed", 405, Code::BadInput),
            Failure::NotAcceptable => final_("not-acceptable", "Not acceptable", 406, Code::BadInput),
            Failure::RequestTimeout => for_now("request-timeout", "Request timeout", 408, Code::Timeout),
            Failure::Conflict => rejected("CONFLICT", final_("conflict", "Conflict", 409, Code::BadInput)),
            Failure::TooLarge => final_("too-large", "Too large", 413, Code::BadInput),
            Failure::UnsupportedMediaType => {
                final_("unsupported-media-type", "Unsupported media type", 415, Code::BadInput)
            }
            Failure::Invalid => rejected("INVALID", final_("invalid-audit", "Invalid audit", 422, Code::BadInput)),
            Failure::TooSlow => for_now("too-slow", "Too slow", 429, Code::TooSlow),
            Failure::TooMany => for_now("too-many-requests", "Too many requests", 429, Code::Unavailable),
            Failure::Internal => final_("internal", "Internal error", 500, Code::Internal),
            Failure::NotYet => final_("not-yet", "Not yet", 501, Code::NotFound),
            Failure::Unavailable => for_now("unavailable", "Unavailable", 503, Code::Unavailable),
            Failure::Timeout => for_now("timeout", "Timeout", 504, Code::Timeout),
        }
    }

    /// What a GraphQL code stands for, as well as its word tells.
    pub fn of_code(code: Code) -> Failure {
        match code {
            Code::Unauthenticated => Failure::Unauthenticated,
            Code::Forbidden => Failure::Forbidden,
            Code::NotFound => Failure::NotFound,
            Code::BadInput => Failure::BadInput,
            Code::TooComplex => Failure::TooComplex,
            Code::Unavailable => Failure::Unavailable,
            Code::Timeout => Failure::Timeout,
            Code::TooSlow => Failure::TooSlow,
            Code::Internal => Failure::Internal,
        }
    }

    pub fn name(self) -> &'static str {
        self.row().name
    }

    pub fn status(self) -> u16 {
        self.row().status
    }

    pub fn code(self) -> Code {
        self.row().code
    }

    pub fn retryable(self) -> bool {
        self.row().retryable
    }

    /// After how long a request that is turned away for now is worth another try, where nobody knows better.
    pub fn retry_after(self) -> Option<Duration> {
        matches!(self.status(), 429 | 503).then_some(RETRY_AFTER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_has_one_name_and_each_code_one_failure_that_is_its_own() {
        for (index, failure) in Failure::ALL.into_iter().enumerate() {
            assert!(Failure::ALL[..index].iter().all(|other| other.name() != failure.name()), "{failure:?}");
        }
        for code in Code::ALL {
            assert_eq!(Failure::of_code(code).code(), code);
        }
    }

    #[test]
    fn what_may_succeed_later_is_told_by_the_status_too() {
        for failure in Failure::ALL {
            let passing = matches!(failure.status(), 408 | 429 | 503 | 504);
            assert_eq!(failure.retryable(), passing, "{failure:?}");
        }
    }
}
