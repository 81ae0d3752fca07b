//! Documents that passed the guard lately, parsed, with where they take audits and what they ask of their receipts: clients send the
//! same few over and over, with other variables.

use std::{
    borrow::Cow,
    num::NonZeroUsize,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use async_graphql::parser::types::ExecutableDocument;
use lru::LruCache;

use super::{
    guard::{self, Bounds, Refused},
    insight,
    receipts::Receipts,
    variables::Place,
};

/// Most documents that are kept.
const KEPT_MAX: NonZeroUsize = NonZeroUsize::new(256).unwrap();
/// The longest text of one that is kept, in bytes. Parsed it takes many times as much.
const TEXT_BYTES_MAX: usize = 8 * 1024;

/// A document that the guard has let through.
pub struct Document {
    pub parsed: ExecutableDocument,
    /// Where its one operation takes audits.
    place: Option<Place>,
    /// What that asks of their receipts, where it is no more than they have.
    pub receipts: Option<Receipts>,
    /// Whether the schema has found nothing wrong with it, as it comes without variables or with the same each time.
    valid: AtomicBool,
}

impl Document {
    fn read(text: &str, bounds: Bounds) -> Result<Arc<Document>, Refused> {
        let parsed = guard::check(text, bounds)?;
        let place = insight::definition(&parsed, None).and_then(|(_, operation)| Place::of(&operation.node));
        let receipts = place.as_ref().and_then(|(place, field)| Receipts::asked(&parsed, field, place.many()));
        let place = place.map(|(place, _)| place);
        Ok(Arc::new(Document { parsed, place, receipts, valid: AtomicBool::new(false) }))
    }

    /// Where the operation that is asked for takes audits.
    pub fn place(&self, named: Option<&str>) -> Option<Cow<'_, Place>> {
        if self.parsed.operations.iter().count() == 1 {
            return self.place.as_ref().map(Cow::Borrowed);
        }
        let (_, operation) = insight::definition(&self.parsed, named)?;
        Place::of(&operation.node).map(|(place, _)| Cow::Owned(place))
    }

    /// Whether it need not be validated again where it comes as it did before.
    pub fn is_valid(&self) -> bool {
        self.valid.load(Ordering::Relaxed)
    }

    /// Takes note of a validation that found nothing wrong.
    pub fn found_valid(&self) {
        self.valid.store(true, Ordering::Relaxed);
    }
}

/// What the guard has let through. Cheap to clone; all clones share what is kept.
#[derive(Clone)]
pub struct Documents {
    bounds: Bounds,
    kept: Arc<Mutex<LruCache<String, Arc<Document>>>>,
}

impl Documents {
    pub fn new(bounds: Bounds) -> Documents {
        Documents { bounds, kept: Arc::new(Mutex::new(LruCache::new(KEPT_MAX))) }
    }

    /// The document of a text, or why the guard refuses it. What it refuses is looked at anew each time.
    pub fn check(&self, text: &str) -> Result<Arc<Document>, Refused> {
        if text.len() > TEXT_BYTES_MAX {
            return Document::read(text, self.bounds);
        }
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).get(text).cloned();
        if let Some(document) = kept {
            return Ok(document);
        }
        let document = Document::read(text, self.bounds)?;
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).put(text.to_string(), document.clone());
        Ok(document)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { depth_max: 3, introspection: true };

    #[test]
    fn a_document_that_is_kept_is_the_one_that_was_parsed() {
        let documents = Documents::new(BOUNDS);
        let text = "query Q($id: String!) { remediation(remediationId: $id) { phase } }";
        let first = documents.check(text).unwrap();
        assert!(Arc::ptr_eq(&first, &documents.check(text).unwrap()));
        assert_eq!(documents.kept.lock().unwrap().len(), 1);
    }

    #[test]
    fn audits_have_their_place_in_the_operation_that_is_asked_for() {
        let documents = Documents::new(BOUNDS);
        let place = |text: &str, named| documents.check(text).unwrap().place(named).map(|place| place.many());
        let one = "mutation A($it: NotificationInput!) { recordNotification(input: $it) { __typename } }";
        let many = "mutation B($all: [AuditInput!]!) { recordAudits(inputs: $all) { __typename } }";
        assert_eq!(
            (place(one, None), place(one, Some("A")), place(many, None)),
            (Some(false), Some(false), Some(true))
        );
        let both = format!("{one} {many} query C {{ system {{ events }} }}");
        let named = [None, Some("A"), Some("B"), Some("C")].map(|named| place(&both, named));
        assert_eq!(named, [None, Some(false), Some(true), None]);
    }

    #[test]
    fn what_is_refused_or_long_is_not_kept() {
        let documents = Documents::new(BOUNDS);
        assert!(documents.check("{ a { b { c { d } } } }").is_err());
        assert!(documents.check(&format!("{{ a }} #{}", "x".repeat(TEXT_BYTES_MAX))).is_ok());
        assert_eq!(documents.kept.lock().unwrap().len(), 0);
    }

    #[test]
    fn no_more_are_kept_than_may_be() {
        let documents = Documents::new(BOUNDS);
        for number in 0..KEPT_MAX.get() + 10 {
            documents.check(&format!("{{ field{number} }}")).unwrap();
        }
        assert_eq!(documents.kept.lock().unwrap().len(), KEPT_MAX.get());
    }
}
