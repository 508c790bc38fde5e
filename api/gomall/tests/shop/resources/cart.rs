//! The member's cart.

use super::{OutOfRange, Resource, Thing, out_of_range};
use crate::conventions::{Keyed, Scene};
use crate::support::{Person, key};
use futures::FutureExt;
use reqwest::StatusCode;
use serde_json::{Value, json};

const CART: &str = "/api/v1/me/cart";
const LINES: &str = "/api/v1/me/cart/lines";
const ADD: &str = "POST /api/v1/me/cart/lines";
const CHANGE: &str = "PUT /api/v1/me/cart/lines/{sku}";

pub(super) const RESOURCE: Resource = Resource {
    keyed: |scene| keyed(scene).boxed_local(),
    ranges,
    of_the_domain: &[
        (ADD, "/quantity", 422, "quantity_out_of_range"),
        (CHANGE, "/quantity", 422, "quantity_out_of_range"),
    ],
    things: |scene| things(scene).boxed_local(),
    ..Resource::NONE
};

/// Somebody with something in the cart.
pub(crate) async fn shopper(scene: &Scene) -> Person {
    let customer = scene.somebody().await;
    customer.add("notebook", 1).await.expect(StatusCode::OK);
    customer
}

async fn keyed(scene: &Scene) -> Vec<Keyed> {
    let line = |quantity: u32| json!({"sku": "notebook", "quantity": quantity});
    let quantity = |quantity: u32| json!({"quantity": quantity});
    let add = Keyed::of(&shopper(scene).await, ADD, &[]);
    let change = Keyed::of(&shopper(scene).await, CHANGE, &["notebook"]);
    let remove = "DELETE /api/v1/me/cart/lines/{sku}";
    vec![
        add.with(line(2)).unlike(line(3)),
        change.with(quantity(5)).unlike(quantity(6)),
        Keyed::of(&shopper(scene).await, remove, &["notebook"]),
        Keyed::of(&shopper(scene).await, "DELETE /api/v1/me/cart/lines", &[]),
    ]
}

fn ranges() -> Vec<OutOfRange> {
    vec![
        out_of_range(ADD, "/quantity", [0, 1000, u32::MAX], "quantity_out_of_range"),
        out_of_range(CHANGE, "/quantity", [1000], "quantity_out_of_range"),
    ]
}

async fn things(scene: &Scene) -> Vec<Thing> {
    let customer = scene.somebody().await;
    let added = customer.add("mascot", 1).await;
    vec![Thing::new(&customer, CART, "", added)]
}

#[tokio::test]
async fn a_cart_is_filled_changed_and_emptied_and_says_what_it_costs() {
    let scene = Scene::shared().await;
    let customer = scene.somebody().await;
    let usd = |cents: i64| json!({"amount": cents, "currency": "USD"});
    let empty = customer.get(CART).await;
    let empty = empty.expect(StatusCode::OK);
    assert_eq!((&empty["lines"], &empty["total"]), (&json!([]), &Value::Null));
    assert_eq!(empty["version"], 0);

    customer.add("notebook", 2).await.expect(StatusCode::OK);
    let added = customer.add("notebook", 1).await;
    let line = &added.expect(StatusCode::OK)["lines"][0];
    assert_eq!((&line["quantity"], &line["unit_price"]), (&json!(3), &usd(990)));
    assert_eq!((&line["total"], &added.body["total"]), (&usd(2_970), &usd(2_970)));
    let two = customer.add("mascot", 1).await;
    let skus: Vec<_> =
        two.expect(StatusCode::OK)["lines"].as_array().expect("a list").iter().collect();
    assert_eq!((&skus[0]["sku"], &skus[1]["sku"]), (&json!("notebook"), &json!("mascot")));
    let shown = customer.get_once_at(CART, two.position()).await;
    assert_eq!(shown.expect(StatusCode::OK), &two.body);
    assert_eq!(shown.header("etag"), two.header("etag"));

    let notebook = format!("{LINES}/notebook");
    let changed = customer.put(&notebook, &json!({"quantity": 1})).await;
    assert_eq!(changed.expect(StatusCode::OK)["lines"][0]["quantity"], 1);
    let none = customer.put(&notebook, &json!({"quantity": 0})).await;
    assert_eq!(none.expect(StatusCode::OK)["lines"][0]["sku"], "mascot", "none left is no line");
    let same = customer.delete(&notebook).await;
    assert_eq!(same.expect(StatusCode::OK), &none.body, "one that is not there is fine");
    let cleared = customer.delete(LINES).await;
    assert_eq!(cleared.expect(StatusCode::OK)["lines"], json!([]));

    let id = cleared.body["id"].as_str().expect("an id");
    let events = scene.events_of("cart", id).await;
    let expected = [
        "CartOpened",
        "ItemAdded",
        "ItemAdded",
        "ItemAdded",
        "QuantityChanged",
        "ItemRemoved",
        "ItemRemoved",
    ];
    assert_eq!(events, expected);
}

#[tokio::test]
async fn what_nobody_sells_or_no_line_holds_does_not_come_into_a_cart() {
    let scene = Scene::shared().await;
    let customer = scene.somebody().await;
    let before = customer.add("notebook", 1).await;
    before.expect(StatusCode::OK);
    customer.add("nobody-sells-this", 1).await.refused(404, "unknown_sku");
    customer.add("notebook", 999).await.refused(422, "quantity_out_of_range");
    let missing = customer.put(&format!("{LINES}/mascot"), &json!({"quantity": 1})).await;
    missing.refused(404, "unknown_sku");
    customer
        .put(&format!("{LINES}/mascot"), &json!({"quantity": 1000}))
        .await
        .refused(422, "quantity_out_of_range");
    customer.post(LINES, &json!({"sku": "notebook"})).await.refused(422, "missing_field");
    scene.visitor.get(CART).await.refused(401, "unauthenticated");
    scene.visitor.post_keyed(LINES, &key(), &json!({})).await.refused(401, "unauthenticated");
    let after = customer.get_once_at(CART, before.position()).await;
    assert_eq!((&after.body, after.header("etag")), (&before.body, before.header("etag")));
}
