//! Stock as staff book it.

use crate::conventions::{Keyed, Scene};
use crate::resources::{OutOfRange, Resource, out_of_range};
use crate::support::{Shop, key};
use compose::testing::eventually;
use futures::FutureExt;
use reqwest::StatusCode;
use serde_json::{Value, json};

pub(super) const RESOURCE: Resource =
    Resource { keyed: |scene| keyed(scene).boxed_local(), ranges, ..Resource::NONE };

async fn keyed(scene: &Scene) -> Vec<Keyed> {
    let book = |name: &str| {
        let body = |quantity: u32| json!({"quantity": quantity, "reason": "counted"});
        Keyed::of(&scene.admin, name, &["notebook"]).with(body(1)).unlike(body(2))
    };
    ["receive", "adjust"]
        .map(|what| book(&format!("POST /api/v1/admin/stock/{{sku}}/{what}")))
        .into()
}

fn ranges() -> Vec<OutOfRange> {
    let adjust = "POST /api/v1/admin/stock/{sku}/adjust";
    vec![out_of_range(adjust, "/quantity", [0], "invalid_field")]
}

#[tokio::test]
async fn stock_is_booked_once_and_never_below_what_is_there() {
    let shop = Shop::new().await;
    let gomall = shop.serve();
    let admin = shop.admin(&gomall).await;
    let book = async |sku: &str, what: &str, key: &str, quantity: Value| {
        let body = json!({"quantity": quantity, "reason": "stocktaking"});
        admin.post_keyed(&format!("/api/v1/admin/stock/{sku}/{what}"), key, &body).await
    };
    let retried = key();
    let received = book("mascot", "receive", &retried, json!(5)).await;
    assert_eq!(received.expect(StatusCode::OK)["on_hand"], 1_005);
    let again = book("mascot", "receive", &retried, json!(5)).await;
    assert_eq!(again.expect(StatusCode::OK), &received.body);
    let adjusted = book("mascot", "adjust", &key(), json!(-1_005)).await;
    assert_eq!(adjusted.expect(StatusCode::OK)["available"], 0);
    let missing = book("mascot", "adjust", &key(), json!(-1)).await;
    assert_eq!(missing.refused(409, "insufficient_stock")["available"], 0);
    for quantity in [json!(0), json!(-1), json!(1.5), json!("1"), json!(1_000_000_001)] {
        book("mascot", "receive", &key(), quantity).await.refused(422, "invalid_field");
    }
    book("mascot", "adjust", &key(), json!(0)).await.refused(422, "invalid_field");
    book("nothing", "receive", &key(), json!(1)).await.refused(404, "not_found");

    let stock = admin.get_once_at("/api/v1/admin/stock?limit=2", adjusted.position()).await;
    let stock = stock.expect(StatusCode::OK);
    assert_eq!(stock["items"][0], adjusted.body, "by SKU: the mascot is the first");
    let cursor = stock["next_cursor"].as_str().expect("seven SKUs are more than a page");
    let next = admin.get(&format!("/api/v1/admin/stock?limit=100&cursor={cursor}")).await;
    let next = next.expect(StatusCode::OK);
    assert_eq!(next["items"].as_array().map(Vec::len), Some(5));
    assert_eq!(next["next_cursor"], Value::Null);
    admin.get("/api/v1/admin/stock?cursor=x").await.refused(422, "invalid_parameter");
}

#[tokio::test]
async fn the_ledger_says_what_was_booked_by_whom_and_why_and_adds_up() {
    let shop = Shop::new().await;
    let gomall = shop.serve();
    let admin = shop.admin(&gomall).await;
    let customer = shop.customer(&gomall).await;
    for (what, quantity, reason) in [("receive", 5, "delivery"), ("adjust", -3, "broken")] {
        let body = json!({"quantity": quantity, "reason": reason});
        let path = format!("/api/v1/admin/stock/mascot/{what}");
        admin.post_keyed(&path, &key(), &body).await.expect(StatusCode::OK);
    }
    // One order is paid, one waits.
    let mut orders = vec![];
    let mut position = 0;
    for token in [Some("tok_ok"), None] {
        customer.add("mascot", 2).await.expect(StatusCode::OK);
        let placed = customer.check_out(&key(), token).await;
        orders.push(placed.expect(StatusCode::CREATED)["order"]["id"].clone());
        position = placed.position();
    }

    let path = "/api/v1/admin/stock/mascot/ledger";
    let entries = eventually("the paid order has its pieces", || async {
        let ledger = admin.get_once_at(path, position).await;
        let entries = ledger.expect(StatusCode::OK)["items"].as_array().expect("a list").clone();
        entries.iter().any(|entry| entry["kind"] == "committed").then_some(entries)
    })
    .await;
    let kinds: Vec<_> = entries.iter().filter_map(|entry| entry["kind"].as_str()).collect();
    assert_eq!(kinds[..4], ["opened", "received", "received", "adjusted"]);
    let of_kind = |kind: &'static str| entries.iter().filter(move |entry| entry["kind"] == kind);
    let reserved: Vec<_> = of_kind("reserved").map(|entry| &entry["order_id"]).collect();
    assert_eq!(reserved, [&orders[0], &orders[1]]);
    let sold: Vec<_> = of_kind("committed").collect();
    assert_eq!((sold.len(), &sold[0]["order_id"]), (1, &orders[0]));
    assert_eq!((&sold[0]["on_hand"], &sold[0]["reserved"]), (&json!(-2), &json!(-2)));
    let booked = &entries[3];
    assert_eq!((&booked["on_hand"], &booked["reason"]), (&json!(-3), &json!("broken")));
    assert_eq!(booked["actor"], format!("user:{}", admin.id()));
    assert_eq!(booked["order_id"], Value::Null);
    let last = entries.last().and_then(|entry| entry["position"].as_u64()).expect("entries");
    let stock = admin.get_once_at("/api/v1/admin/stock?limit=1", last).await;
    let stock = &stock.expect(StatusCode::OK)["items"][0];
    for member in ["on_hand", "reserved"] {
        let sum: i64 = entries.iter().filter_map(|entry| entry[member].as_i64()).sum();
        assert_eq!(stock[member], sum, "{member}");
    }
    admin.get("/api/v1/admin/stock/nothing/ledger").await.refused(404, "not_found");
    for cursor in ["x", "-1", "18446744073709551615", "WyJub3RlYm9vayJd"] {
        let refused = admin.get(&format!("{path}?cursor={cursor}")).await;
        refused.refused(422, "invalid_parameter");
    }
    customer.get(path).await.refused(403, "forbidden");
}
