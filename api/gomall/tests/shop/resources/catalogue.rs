//! The catalogue as everybody sees it.

use super::admin::products;
use super::{Resource, Thing};
use crate::conventions::Scene;
use crate::support::{Shop, key};
use futures::FutureExt;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

pub(super) const RESOURCE: Resource =
    Resource { things: |scene| things(scene).boxed_local(), ..Resource::NONE };

async fn things(scene: &Scene) -> Vec<Thing> {
    let published = products::published(scene).await;
    let id = published.id().to_owned();
    vec![Thing::new(&scene.customer, "/api/v1/products/{id}", &id, published)]
}

fn names(list: &Value) -> Vec<&str> {
    let items = list["items"].as_array().expect("a list");
    items.iter().filter_map(|item| item["name"].as_str()).collect()
}

#[tokio::test]
async fn the_catalogue_is_listed_searched_and_cached() {
    let shop = Shop::new().await;
    let gomall = shop.serve();
    let visitor = shop.visitor(&gomall);
    let list = async |query: &str| {
        let answer = visitor.get(&format!("/api/v1/products?{query}")).await;
        answer.expect(StatusCode::OK).clone()
    };
    let cheap = list("sort=price&limit=2").await;
    assert_eq!(names(&cheap), ["Sweatshirt", "T-Shirt"]);
    let cursor = cheap["next_cursor"].as_str().expect("more products");
    let next = list(&format!("sort=price&limit=2&cursor={cursor}")).await;
    assert_eq!(names(&next), ["T-Shirt", "Mascot"]);
    assert_eq!(names(&list("sort=-price&limit=1").await), ["Notebook"]);
    assert_eq!(names(&list("q=mosue").await), ["Mouse-Pad"]);
    assert_eq!(
        names(&list("category=sticker&sort=name").await),
        ["Mascot", "Mouse-Pad", "Notebook"]
    );
    assert!(names(&list("category=none").await).is_empty());
    assert!(names(&list("currency=EUR").await).is_empty());
    let wrong_order = format!("/api/v1/products?sort=name&cursor={cursor}");
    visitor.get(&wrong_order).await.refused(422, "invalid_parameter");

    let one = visitor.get("/api/v1/products/7").await;
    assert_eq!(one.expect(StatusCode::OK)["name"], "Mascot");
    let by_id = format!("/api/v1/products/{}", one.body["id"].as_str().expect("an id"));
    let etag = one.header("etag").expect("a single resource has one").to_owned();
    let condition = [("if-none-match", etag.as_str())];
    let cached = visitor.send(Method::GET, &by_id, &condition, None).await;
    assert_eq!((cached.status, cached.text.as_str()), (StatusCode::NOT_MODIFIED, ""));
    for nothing in ["8", "0", "07", "none", "0199d3a2-7c41-7000-8000-00000000abcd"] {
        visitor.get(&format!("/api/v1/products/{nothing}")).await.refused(404, "not_found");
    }

    // Stock is part of what is shown: the tag moves with it.
    let admin = shop.admin(&gomall).await;
    let receive = json!({"quantity": 1, "reason": "delivery"});
    let received = admin.post_keyed("/api/v1/admin/stock/mascot/receive", &key(), &receive).await;
    let position = received.position().to_string();
    let condition = [("if-none-match", etag.as_str()), ("gomall-position", position.as_str())];
    let fresh = visitor.send(Method::GET, &by_id, &condition, None).await;
    assert_eq!(fresh.expect(StatusCode::OK)["variants"][0]["available"], 1_001);

    let categories = visitor.get("/api/v1/categories").await;
    let expected = json!([
        {"slug": "sticker", "name": "sticker", "product_count": 3},
        {"slug": "t-shirt", "name": "t-shirt", "product_count": 4},
    ]);
    assert_eq!(categories.expect(StatusCode::OK)["items"], expected);
    let suggest = async |text: &str| {
        let answer = visitor.get(&format!("/api/v1/search/suggest?q={text}")).await;
        answer.expect(StatusCode::OK)["items"].clone()
    };
    assert_eq!(suggest("noteb").await, json!(["Notebook"]));
    assert_eq!(suggest("shirt").await, json!(["T-Shirt", "Sweatshirt"]), "each name once");
    assert_eq!(suggest("").await, json!([]));
    visitor.get("/api/v1/search/suggest").await.refused(422, "invalid_parameter");
    let ahead = visitor.get_after("/api/v1/categories", i64::MAX as u64).await;
    ahead.refused(503, "projection_behind");
    assert!(ahead.header("retry-after").is_some());
}
