//! Audits of any kind and form in one list, as those bring them who send again until they are answered.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{
    app::{App, audit_input},
    audits::notification,
    rest::example,
};

const PATH: &str = "/api/v1/audits";

fn statuses(results: &Value) -> Vec<u64> {
    results.as_array().unwrap().iter().map(|result| result["status"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn three_forms_in_one_list_are_recorded_in_its_order_and_sent_again_are_the_same() {
    let app = App::start().await;
    let fields = audit_input(&notification("rr-1", Uuid::from_u128(1), "nt-1"))["notification"].clone();
    let list = json!([
        {"event_id": Uuid::from_u128(1), "kind": "notification", "audit": fields},
        {"event_id": Uuid::from_u128(2), "form": "columns", "kind": "EFFECTIVENESS", "audit": example("effectiveness")},
        {"event_id": Uuid::from_u128(3), "form": "kubernaut", "audit": example("kubernaut-event")},
    ]);

    let answer = app.post(PATH, &list).await;

    assert_eq!((answer.status.as_u16(), statuses(&answer.json()["results"])), (201, vec![201; 3]), "{}", answer.text);
    let positions: Vec<Value> =
        answer.json()["results"].as_array().unwrap().iter().map(|it| it["receipt"]["position"].clone()).collect();
    assert_eq!(positions, ["1", "2", "3"]);
    let again = app.post(PATH, &list).await;
    assert_eq!((again.status.as_u16(), statuses(&again.json()["results"])), (200, vec![200; 3]), "{}", again.text);
    // The same audit by another way in is the same one.
    let by_mutation = app.recorded(&[notification("rr-1", Uuid::from_u128(1), "nt-1")]).await.remove(0);
    assert_eq!((by_mutation["position"].as_str(), by_mutation["duplicate"].as_bool()), (Some("1"), Some(true)));
}

#[tokio::test]
async fn what_is_wrong_beside_an_audit_or_in_it_is_told_where_it_is_and_harms_no_neighbour() {
    let app = App::start().await;
    let id = |number: u128| Uuid::from_u128(number);
    let good = example("notifications");
    let list = json!([
        {"event_id": id(1), "form": "columns", "kind": "NOTIFICATION", "audit": good},
        {"form": "columns", "kind": "NOTIFICATION", "audit": good},
        {"event_id": "7", "kind": "NOTIFICATION", "audit": good},
        {"event_id": id(4), "form": "verse", "audit": good},
        {"event_id": id(5), "kind": "PIGEON", "audit": good},
        {"event_id": id(6), "audit": good},
        {"event_id": id(7), "kind": "NOTIFICATION", "audit": [good]},
        {"event_id": id(8), "form": "columns", "kind": "NOTIFICATION", "audit": {"event_id": id(9)}},
        {"event_id": id(10), "form": "columns", "kind": "NOTIFICATION", "audit": {"remediation_id": "rr-1", "status": "pigeon"}},
    ]);

    let answer = app.post(PATH, &list).await;

    assert_eq!(answer.status, 207, "{}", answer.text);
    let results = answer.json()["results"].clone();
    assert_eq!(statuses(&results), [201, 422, 422, 422, 422, 422, 422, 422, 422]);
    let pointers: Vec<String> = results.as_array().unwrap()[1..]
        .iter()
        .map(|it| it["problem"]["errors"][0]["pointer"].as_str().unwrap().to_string())
        .collect();
    assert_eq!(
        pointers[..7],
        ["/1/event_id", "/2/event_id", "/3/form", "/4/kind", "/5/kind", "/6/audit", "/7/event_id"]
    );
    assert!(pointers[7].starts_with("/8/audit/"), "{pointers:?}");

    let none = app.post(PATH, &json!([{"event_id": id(1), "kind": "NOTIFICATION", "audit": {}}])).await;
    assert_eq!((none.status.as_u16(), statuses(&none.json()["results"])), (422, vec![422]), "{}", none.text);
    let mut other = good.clone();
    other["channel"] = json!("email");
    let conflict =
        app.post(PATH, &json!([{"event_id": id(1), "form": "columns", "kind": "NOTIFICATION", "audit": other}])).await;
    assert_eq!(
        (conflict.status.as_u16(), statuses(&conflict.json()["results"])),
        (409, vec![409]),
        "{}",
        conflict.text
    );
}
