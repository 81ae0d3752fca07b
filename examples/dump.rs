use std::collections::BTreeMap;
use binnacle::{audit::*, demo, projection::search_documents, remediation};
fn main() {
    let n: usize = std::env::args().nth(1).unwrap().parse().unwrap();
    let now = chrono::DateTime::parse_from_rfc3339("2026-11-20T00:00:00Z").unwrap().to_utc();
    let mut streams: BTreeMap<StreamId, Vec<Entry>> = BTreeMap::new();
    for (i, r) in demo::history(n, now).into_iter().enumerate() {
        let event = r.submission.check(Context { cluster_id: "default", now, fresh_id: r.event_id }).unwrap();
        let list = streams.entry(event.stream.clone()).or_default();
        let version = Version(list.len() as i32 + 1);
        list.push(Entry { position: Position(i as i64 + 1), version, recorded_at: r.recorded_at, recorded_by: None,
            words: event::SealedWords::of(&event), digest: vec![], event });
    }
    for (id, entries) in &streams {
        let Some(f) = remediation::fold(entries, None) else { continue };
        for d in search_documents::documents(entries, &f) {
            println!("{}", serde_json::json!({"id": id.remediation_id, "cluster": id.cluster_id, "first": entries[0].position.0, "facet": d.facet.word(), "kind": d.kind, "field": d.field, "text": d.text, "words": search_documents::searchable(&d.text)}));
        }
    }
}
