//! The trace that a request belongs to: W3C `traceparent`, continued or begun.

use std::{fmt, time::Instant};

use axum::http::HeaderMap;
use uuid::Uuid;

/// What is known of a request before it is read.
#[derive(Clone, Debug)]
pub struct RequestContext {
    /// As the client sent it; an audit that names no trace of its own belongs to this one.
    pub traceparent: Option<TraceParent>,
    /// The client's trace, else one that begins here; 32 hexadecimal digits.
    pub trace_id: String,
    pub started: Instant,
}

impl RequestContext {
    pub fn of(headers: &HeaderMap) -> RequestContext {
        let traceparent = headers.get("traceparent").and_then(|value| value.to_str().ok()).and_then(TraceParent::parse);
        let trace_id = match &traceparent {
            Some(parent) => parent.trace_id.clone(),
            None => Uuid::new_v4().simple().to_string(),
        };
        RequestContext { traceparent, trace_id, started: Instant::now() }
    }
}

/// A place in a trace, of a client that follows W3C Trace Context.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceParent {
    /// 32 hexadecimal digits.
    pub trace_id: String,
    /// 16 hexadecimal digits.
    pub span_id: String,
    pub flags: u8,
}

impl TraceParent {
    /// Reads the header; `None` for one that is malformed, which the standard tells us to ignore.
    pub fn parse(text: &str) -> Option<TraceParent> {
        let mut parts = text.trim().split('-');
        let (version, trace_id, span_id, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let hex = |part: &str, length| {
            part.len() == length && part.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        };
        let zero = |part: &str| part.bytes().all(|b| b == b'0');
        // Version 00 ends here; a later one may add parts.
        let known = hex(version, 2) && version != "ff" && (version != "00" || parts.next().is_none());
        if !known || !hex(trace_id, 32) || zero(trace_id) || !hex(span_id, 16) || zero(span_id) || !hex(flags, 2) {
            return None;
        }
        Some(TraceParent {
            trace_id: trace_id.to_string(),
            span_id: span_id.to_string(),
            flags: u8::from_str_radix(flags, 16).ok()?,
        })
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{}-{}-{:02x}", self.trace_id, self.span_id, self.flags)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_good_traceparent_is_continued() {
        let parent = TraceParent::parse(GOOD).unwrap();
        assert_eq!(parent.trace_id, "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(parent.to_string(), GOOD);
        assert!(TraceParent::parse(&GOOD.replace("00-0", "01-0").replace("-01", "-01-more")).is_some());
    }

    #[test]
    fn a_malformed_one_is_ignored_and_a_trace_begins_here() {
        for bad in [
            "",
            "00-1",
            &GOOD.replace("0af", "0AF"),
            &GOOD.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32)),
            &format!("{GOOD}-more"),
            &GOOD.replace("00-0", "ff-0"),
            "00-é",
        ] {
            assert_eq!(TraceParent::parse(bad), None, "{bad}");
        }
        assert_eq!(RequestContext::of(&HeaderMap::new()).trace_id.len(), 32);
    }
}
