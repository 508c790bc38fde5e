//! Payments as staff see them. What has to go back is in `money.rs`.

use crate::conventions::Scene;
use crate::resources::cart::shopper;
use crate::support::key;
use reqwest::StatusCode;
use serde_json::{Value, json};

const PAYMENTS: &str = "/api/v1/admin/payments";

#[tokio::test]
async fn staff_find_every_attempt_to_pay_an_order() {
    let scene = Scene::shared().await;
    let customer = shopper(&scene).await;
    let placed = customer.check_out(&key(), Some("tok_insufficient_funds")).await;
    let order = placed.expect(StatusCode::CREATED)["order"]["id"].as_str().expect("an id");
    let pay = json!({"method": "card", "token": "tok_ok"});
    let paid = customer.post_keyed(&format!("/api/v1/orders/{order}/payments"), &key(), &pay).await;
    paid.expect(StatusCode::CREATED);

    // Somebody else pays as well.
    let other = shopper(&scene).await.check_out(&key(), Some("tok_ok")).await;
    other.expect(StatusCode::CREATED);

    let of_order = format!("{PAYMENTS}?order_id={order}");
    let found = scene.admin.get_once_at(&of_order, other.position()).await;
    let [captured, declined] = found.items() else { panic!("the last first: {}", found.text) };
    assert_eq!((&captured["id"], &captured["status"]), (&paid.body["id"], &json!("captured")));
    assert_eq!(
        (&declined["status"], &declined["failure_code"]),
        (&json!("declined"), &json!("insufficient_funds"))
    );
    let amount = json!({"amount": 990, "currency": "USD"});
    let nothing = json!({"amount": 0, "currency": "USD"});
    assert_eq!(
        captured["captured"],
        json!([{"amount": amount, "orphaned": nothing, "code": null}])
    );
    assert_eq!((&declined["captured"], &declined["amount"]), (&json!([]), &amount));
    for payment in found.items() {
        assert_eq!(
            (&payment["order_id"], &payment["customer_id"]),
            (&json!(order), &json!(customer.id()))
        );
        assert_eq!(
            (&payment["orphaned"], &payment["capture_unreadable"]),
            (&json!(false), &Value::Null)
        );
    }
    let first = scene.admin.get(&format!("{of_order}&limit=1")).await;
    let cursor = first.body["next_cursor"].as_str().expect("there is another");
    let next = scene.admin.get(&format!("{of_order}&limit=1&cursor={cursor}")).await;
    assert_eq!(next.items(), std::slice::from_ref(declined));
    let orphaned = scene.admin.get(&format!("{of_order}&orphaned=true")).await;
    assert_eq!(orphaned.items(), &[] as &[Value]);
    customer.get(PAYMENTS).await.refused(403, "forbidden");
    for bad in ["order_id=x", "orphaned=perhaps"] {
        scene.admin.get(&format!("{PAYMENTS}?{bad}")).await.refused(422, "invalid_parameter");
    }
}
