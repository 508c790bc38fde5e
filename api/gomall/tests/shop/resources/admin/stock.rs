//! Stock as staff book it.

use crate::conventions::{Keyed, Scene};
use crate::resources::{OutOfRange, Resource, out_of_range};
use crate::support::{Shop, key};
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
