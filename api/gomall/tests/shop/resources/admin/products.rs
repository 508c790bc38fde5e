//! Products as staff write them.

use crate::conventions::{Keyed, Scene, samples};
use crate::resources::{OutOfRange, Resource, Thing, out_of_range};
use crate::support::{Answer, Person, Shop, key};
use futures::FutureExt;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

const PRODUCTS: &str = "/api/v1/admin/products";

const CREATE: &str = "POST /api/v1/admin/products";

pub(super) const RESOURCE: Resource = Resource {
    keyed: |scene| keyed(scene).boxed_local(),
    ranges,
    things: |scene| things(scene).boxed_local(),
    ..Resource::NONE
};

/// A new product, as staff would send it.
pub(crate) fn sample() -> Value {
    let mut product = samples::body(CREATE);
    product["variants"][0]["sku"] = json!(key());
    product
}

/// What its publication has answered.
pub(crate) async fn published(scene: &Scene) -> Answer {
    let created = scene.admin.post_keyed(PRODUCTS, &key(), &sample()).await;
    created.expect(StatusCode::CREATED);
    let path = format!("{PRODUCTS}/{}/publish", created.id());
    scene.admin.send(Method::POST, &path, &[], None).await
}

/// The SKU of a product on sale of which there are so many, and its id.
pub(crate) async fn on_sale(scene: &Scene, pieces: u32) -> (String, String) {
    let published = published(scene).await;
    let sku = published.body["variants"][0]["sku"].as_str().expect("a SKU").to_owned();
    let receive = json!({"quantity": pieces, "reason": "delivery"});
    let path = format!("/api/v1/admin/stock/{sku}/receive");
    let received = scene.admin.post_keyed(&path, &key(), &receive).await;
    received.expect(StatusCode::OK);
    scene.admin.get_once_at("/api/v1/products", received.position()).await;
    (sku, published.id().to_owned())
}

async fn keyed(scene: &Scene) -> Vec<Keyed> {
    let admin = &scene.admin;
    let mut other = sample();
    other["name"] = json!("Cup");
    let mut calls = vec![Keyed::of(admin, CREATE, &[]).with(sample()).unlike(other.clone())];
    for name in [
        "PUT /api/v1/admin/products/{id}",
        "POST /api/v1/admin/products/{id}/publish",
        "POST /api/v1/admin/products/{id}/retire",
    ] {
        let created = admin.post_keyed(PRODUCTS, &key(), &sample()).await;
        let call = Keyed::of(admin, name, &[created.id()]);
        let replaces = name.starts_with("PUT");
        calls.push(if replaces { call.with(sample()).unlike(other.clone()) } else { call });
    }
    calls
}

fn ranges() -> Vec<OutOfRange> {
    let variant = samples::body(CREATE)["variants"][0].clone();
    vec![out_of_range(CREATE, "/variants", [json!([variant, variant])], "duplicate_sku")]
}

async fn things(scene: &Scene) -> Vec<Thing> {
    let published = published(scene).await;
    let id = published.id().to_owned();
    vec![Thing::new(&scene.admin, "/api/v1/admin/products/{id}", &id, published)]
}

fn product(skus: &[&str]) -> Value {
    let price = json!({"amount": 500, "currency": "USD"});
    let variants: Vec<_> = skus.iter().map(|sku| json!({"sku": sku, "price": price})).collect();
    json!({"name": "Kettle", "description": "", "categories": ["Kitchen"], "variants": variants})
}

async fn put(person: &Person, path: &str, if_match: &str, body: &Value) -> Answer {
    person.send(Method::PUT, path, &[("if-match", if_match)], Some(body)).await
}

#[tokio::test]
async fn products_are_drafted_published_revised_and_retired() {
    let shop = Shop::new().await;
    let gomall = shop.serve();
    let (admin, visitor) = (shop.admin(&gomall).await, shop.visitor(&gomall));
    visitor.post(PRODUCTS, &product(&["kettle"])).await.refused(401, "unauthenticated");
    let customer = shop.customer(&gomall).await;
    customer.post(PRODUCTS, &product(&["kettle"])).await.refused(403, "forbidden");

    // A draft is seen by staff only.
    admin.post(PRODUCTS, &product(&["kettle"])).await.refused(400, "idempotency_key_missing");
    let create_key = key();
    let created = admin.post_keyed(PRODUCTS, &create_key, &product(&["kettle", "kettle-xl"])).await;
    let body = created.expect(StatusCode::CREATED);
    assert_eq!((&body["status"], &body["number"]), (&json!("draft"), &json!(8)));
    let id = body["id"].as_str().expect("an id").to_owned();
    let (path, public) = (format!("{PRODUCTS}/{id}"), format!("/api/v1/products/{id}"));
    assert_eq!(created.header("location"), Some(path.as_str()));
    visitor.get_once_at(&public, created.position()).await.refused(404, "not_found");
    let shown = admin.get_once_at(&path, created.position()).await;
    assert_eq!(shown.expect(StatusCode::OK), body);
    assert_eq!(shown.header("etag"), created.header("etag"));
    let again = admin.post_keyed(PRODUCTS, &create_key, &product(&["kettle", "kettle-xl"])).await;
    assert_eq!(again.expect(StatusCode::CREATED), body, "a retry answers the same");
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    let taken = admin.post_keyed(PRODUCTS, &key(), &product(&["pot", "kettle"])).await;
    taken.refused(409, "sku_taken");
    let free = admin.post_keyed(PRODUCTS, &key(), &product(&["pot"])).await;
    free.expect(StatusCode::CREATED);

    let published = admin.post(&format!("{path}/publish"), &json!({})).await;
    assert_eq!(published.expect(StatusCode::OK)["status"], "published");
    let shown = visitor.get_once_at(&public, published.position()).await;
    assert_eq!(shown.expect(StatusCode::OK), &published.body);

    // A revision needs the version; what stays keeps its number, what is new opens its stock.
    let mut revised = product(&["kettle-xl", "kettle-xxl"]);
    revised["name"] = json!("Samovar");
    admin.put(&path, &revised).await.refused(428, "precondition_required");
    put(&admin, &path, "\"1.1\"", &revised).await.refused(412, "version_conflict");
    let etag = published.header("etag").expect("a version").to_owned();
    let changed = put(&admin, &path, &etag, &revised).await;
    let body = changed.expect(StatusCode::OK);
    assert_eq!((&body["name"], &body["number"]), (&json!("Samovar"), &json!(9)));
    put(&admin, &path, &etag, &revised).await.refused(412, "version_conflict");
    put(&admin, &path, "*", &product(&["pot"])).await.refused(409, "sku_taken");
    let receive = json!({"quantity": 3, "reason": "delivery"});
    let received =
        admin.post_keyed("/api/v1/admin/stock/kettle-xxl/receive", &key(), &receive).await;
    received.expect(StatusCode::OK);
    let shown = visitor.get_once_at(&public, received.position()).await;
    assert_eq!(shown.expect(StatusCode::OK)["variants"][1]["available"], 3);

    let retired = admin.post(&format!("{path}/retire"), &json!({})).await;
    assert_eq!(retired.expect(StatusCode::OK)["status"], "retired");
    let shown = visitor.get_once_at(&public, retired.position()).await;
    assert_eq!(shown.expect(StatusCode::OK)["status"], "retired", "orders name it");
    let drafts = admin.get("/api/v1/admin/products?status=draft").await;
    assert_eq!(drafts.expect(StatusCode::OK)["items"].as_array().map(Vec::len), Some(1));

    let nobody = format!("{PRODUCTS}/0199d3a2-7c41-7000-8000-00000000abcd");
    put(&admin, &nobody, "*", &product(&["pan"])).await.refused(404, "not_found");
    admin.post(&format!("{nobody}/publish"), &json!({})).await.refused(404, "not_found");
    refuses_bad_products(&admin).await;
}

async fn refuses_bad_products(admin: &Person) {
    let with = |member: &str, value: Value| {
        let mut body = product(&["pan"]);
        body[member] = value;
        body
    };
    let negative = json!({"amount": -1, "currency": "USD"});
    let many: Vec<_> = (0..101).map(|n| format!("pan-{n}")).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    for (body, code, pointer) in [
        (with("name", json!("")), "invalid_field", "/name"),
        (with("colour", json!("red")), "unknown_field", "/colour"),
        (with("variants", json!([])), "invalid_field", "/variants"),
        (with("variants", json!([{"sku": "pan"}])), "missing_field", "/variants/0/price"),
        (
            with("variants", json!([{"sku": "pan", "price": negative}])),
            "invalid_field",
            "/variants/0/price/amount",
        ),
        (with("categories", json!(["a b"])), "invalid_field", "/categories/0"),
        (product(&many), "invalid_field", "/variants"),
    ] {
        let refused = admin.post_keyed(PRODUCTS, &key(), &body).await;
        assert_eq!(refused.refused(422, code)["errors"][0]["pointer"], pointer);
    }
    let twice = admin.post_keyed(PRODUCTS, &key(), &product(&["pan", "pan"])).await;
    twice.refused(422, "duplicate_sku");
}
